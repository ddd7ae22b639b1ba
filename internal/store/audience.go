package store

import (
	"context"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"

	"rapport.example/internal/audience"
	"rapport.example/internal/event"
	"rapport.example/internal/object"
)

var _ audience.Source = (*DB)(nil)

// LastPerson is part of audience.Source.
func (db *DB) LastPerson(ctx context.Context, ws int64) (uint32, error) {
	var last int64
	_, err := db.queryOne(ctx, `SELECT person FROM people WHERE workspace = $1 ORDER BY person DESC LIMIT 1`, []any{ws}, &last)
	return uint32(last), err
}

// People is part of audience.Source.
func (db *DB) People(ctx context.Context, ws int64, from, to uint32, each func(ordinal uint32) error) error {
	sql := `SELECT p.person AS n, NULL AS b FROM people p WHERE ` + db.dialect().everybody
	return db.lent(ctx, sql, []any{ws, int64(from), int64(to)}, func(who int64, _ []byte) error { return each(uint32(who)) })
}

// Documents is part of audience.Source.
func (db *DB) Documents(ctx context.Context, ws int64, from, to uint32, each func(ordinal uint32, doc []byte) error) error {
	sql := `SELECT p.person AS n, p.doc AS b FROM people p WHERE ` + db.dialect().everybody
	return db.lent(ctx, sql, []any{ws, int64(from), int64(to)}, func(who int64, doc []byte) error { return each(uint32(who), doc) })
}

// Pick is part of audience.Source.
func (db *DB) Pick(ctx context.Context, ws int64, people []uint32, each func(ordinal uint32, doc []byte) error) error {
	sql := `WITH k (workspace, person) AS ({rows}) SELECT p.person, p.doc FROM k CROSS JOIN people p WHERE ` + db.dialect().samePerson
	keys := set{repeat(ws, len(people)), col(people, func(o uint32) int64 { return int64(o) })}
	var who int64
	var doc []byte
	lent := db.dialect().lend(&doc)
	return db.querySet(ctx, sql, keys, func(r row) error {
		if err := r.Scan(&who, lent); err != nil {
			return err
		}
		return each(uint32(who), doc)
	})
}

// Walk is part of audience.Source.
func (db *DB) Walk(ctx context.Context, ws int64, heads []int64, each func(event.Activity) error) error {
	return db.querySet(ctx, historySQL, set{repeat(ws, len(heads)), heads}, func(r row) error {
		a, err := scanActivity(r)
		if err != nil {
			return err
		}
		return each(a)
	})
}

// Related is part of audience.Source.
func (db *DB) Related(ctx context.Context, ws int64, types []int64, from, to uint32, each func(object.Link) error) error {
	const sql = `WITH k (workspace, type, first, behind) AS ({rows})
		SELECT ` + relationshipColumns + `, ` + objectColumns + ` FROM k CROSS JOIN relationships r CROSS JOIN objects o
		WHERE r.workspace = k.workspace AND r.person >= k.first AND r.person < k.behind
			AND o.workspace = r.workspace AND o.object = r.object AND o.type = k.type
		ORDER BY r.person, r.object`
	n := len(types)
	known := map[int64]*object.Object{} // many people have the same
	return db.querySet(ctx, sql, set{repeat(ws, n), types, repeat(int64(from), n), repeat(int64(to), n)}, func(r row) error {
		var rel object.Relationship
		var o object.Object
		var who int64
		var theirs, attributes []byte
		err := r.Scan(&rel.Workspace, &who, &rel.Object, &rel.Created, &theirs, &o.Workspace, &o.Number, &o.Type, &o.ID, &o.CIO, &o.Created, &o.Updated, &attributes)
		if err != nil {
			return err
		}
		rel.Person, rel.Attributes = uint32(who), object.Decode(theirs)
		if known[o.Number] == nil {
			o.Attributes = object.Decode(attributes)
			known[o.Number] = &o
		}
		return each(object.Link{Object: known[o.Number], Relationship: &rel})
	})
}

// Membership is part of audience.Source.
func (db *DB) Membership(ctx context.Context, ws, segment int64) (*roaring.Bitmap, error) {
	const sql = `SELECT piece, bits FROM segment_pieces WHERE workspace = $1 AND segment = $2 ORDER BY piece`
	all := roaring.New()
	err := db.queryRows(ctx, sql, []any{ws, segment}, func(r row) error {
		var piece int64
		var bits []byte
		if err := r.Scan(&piece, &bits); err != nil {
			return err
		}
		part := roaring.New()
		if err := part.UnmarshalBinary(bits); err != nil {
			return fmt.Errorf("piece %d of segment %d: %w", piece, segment, err)
		}
		all.Or(roaring.AddOffset(part, uint32(piece)<<pieceBits))
		return nil
	})
	return all, err
}
