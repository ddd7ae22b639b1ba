package store

import (
	"context"

	"rapport.example/internal/engine"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
)

const (
	objectColumns       = `o.workspace, o.object, o.type, o.id, o.cio, o.created, o.updated, o.attributes`
	relationshipColumns = `r.workspace, r.person, r.object, r.created, r.attributes`
)

func scanObject(r row) (object.Object, error) {
	o, _, err := scanObjectSize(r)
	return o, err
}

// scanObjectSize is scanObject with how many bytes the attributes take.
func scanObjectSize(r row) (o object.Object, size int, err error) {
	var attributes []byte
	err = r.Scan(&o.Workspace, &o.Number, &o.Type, &o.ID, &o.CIO, &o.Created, &o.Updated, &attributes)
	o.Attributes = object.Decode(attributes)
	return o, len(attributes), err
}

func scanRelationship(r row) (object.Relationship, error) {
	var rel object.Relationship
	var who int64
	var attributes []byte
	err := r.Scan(&rel.Workspace, &who, &rel.Object, &rel.Created, &attributes)
	rel.Person, rel.Attributes = uint32(who), object.Decode(attributes)
	return rel, err
}

// Objects is part of engine.Tx.
func (t *tx) Objects(ctx context.Context, keys []engine.ObjectKey) ([]object.Object, error) {
	const (
		byID = `WITH k (workspace, type, id) AS ({rows})
			SELECT ` + objectColumns + ` FROM k CROSS JOIN objects o WHERE o.workspace = k.workspace AND o.type = k.type AND o.id = k.id`
		byCIO = `WITH k (workspace, cio) AS ({rows})
			SELECT ` + objectColumns + ` FROM k CROSS JOIN objects o WHERE o.workspace = k.workspace AND o.cio = k.cio`
	)
	var ids, cios []engine.ObjectKey
	for _, k := range keys {
		if k.CIO != "" {
			cios = append(cios, k)
		} else {
			ids = append(ids, k)
		}
	}
	out, err := lookUp(ctx, t.c, byID, set{
		col(ids, func(k engine.ObjectKey) int64 { return k.Workspace }),
		col(ids, func(k engine.ObjectKey) int64 { return k.Type }),
		col(ids, func(k engine.ObjectKey) string { return clean(k.ID) }),
	}, scanObject)
	if err != nil {
		return nil, err
	}
	more, err := lookUp(ctx, t.c, byCIO, set{
		col(cios, func(k engine.ObjectKey) int64 { return k.Workspace }),
		col(cios, func(k engine.ObjectKey) string { return clean(k.CIO) }),
	}, scanObject)
	return append(out, more...), err
}

// Relationships is part of engine.Tx.
func (t *tx) Relationships(ctx context.Context, people []person.Ref) ([]object.Relationship, error) {
	const sql = `WITH k (workspace, person) AS ({rows})
		SELECT ` + relationshipColumns + ` FROM k CROSS JOIN relationships r WHERE r.workspace = k.workspace AND r.person = k.person`
	return lookUp(ctx, t.c, sql, refSet(people), scanRelationship)
}

// NumberedObjects is part of engine.Tx.
func (t *tx) NumberedObjects(ctx context.Context, refs []engine.TypedRef) ([]object.Object, error) {
	const sql = `WITH k (workspace, object, type) AS ({rows})
		SELECT ` + objectColumns + ` FROM k CROSS JOIN objects o WHERE o.workspace = k.workspace AND o.object = k.object AND o.type = k.type`
	return lookUp(ctx, t.c, sql, set{
		col(refs, func(r engine.TypedRef) int64 { return r.Workspace }),
		col(refs, func(r engine.TypedRef) int64 { return r.Number }),
		col(refs, func(r engine.TypedRef) int64 { return r.Type }),
	}, scanObject)
}

// PeopleOfObjects is part of engine.Tx.
func (t *tx) PeopleOfObjects(ctx context.Context, refs []engine.ObjectRef, each func(person.Ref)) error {
	const sql = `WITH k (workspace, object) AS ({rows})
		SELECT r.workspace, r.person FROM k CROSS JOIN relationships r WHERE r.workspace = k.workspace AND r.object = k.object`
	var ws, who int64
	return t.c.querySet(ctx, sql, objectSet(refs), func(r row) error {
		if err := r.Scan(&ws, &who); err != nil {
			return err
		}
		each(person.Ref{Workspace: ws, Ordinal: uint32(who)})
		return nil
	})
}

func objectSet(refs []engine.ObjectRef) set {
	return set{
		col(refs, func(r engine.ObjectRef) int64 { return r.Workspace }),
		col(refs, func(r engine.ObjectRef) int64 { return r.Number }),
	}
}

// Visits is part of engine.Tx.
func (t *tx) Visits(ctx context.Context, anonymous []person.Key) ([]engine.Visit, error) {
	const sql = `WITH k (workspace, anonymous) AS ({rows})
		SELECT v.workspace, v.anonymous, v.object, v.received, v.attributes FROM k CROSS JOIN visits v
		WHERE v.workspace = k.workspace AND v.anonymous = k.anonymous`
	return lookUp(ctx, t.c, sql, visitorSet(anonymous), func(r row) (engine.Visit, error) {
		var v engine.Visit
		var attributes []byte
		err := r.Scan(&v.Workspace, &v.Anonymous, &v.Object, &v.Received, &attributes)
		v.Attributes = object.Decode(attributes)
		return v, err
	})
}

func visitorSet(anonymous []person.Key) set {
	return set{
		col(anonymous, func(k person.Key) int64 { return k.Workspace }),
		col(anonymous, func(k person.Key) string { return clean(k.Value) }),
	}
}

// objectBulk deletes and writes objects, relationships and what waits for visitors. The engine has them in order.
func objectBulk(c *engine.Changes) []bulk {
	gone := objectSet(c.DropObjects)
	return []bulk{
		{`DELETE FROM objects WHERE (workspace, object) IN ({rows})`, gone},
		{`DELETE FROM relationships WHERE (workspace, object) IN ({rows})`, gone},
		{`DELETE FROM visits WHERE (workspace, object) IN ({rows})`, gone},
		{`DELETE FROM relationships WHERE (workspace, person, object) IN ({rows})`, set{
			col(c.DropRelations, func(r engine.RelationRef) int64 { return r.Workspace }),
			col(c.DropRelations, func(r engine.RelationRef) int64 { return int64(r.Ordinal) }),
			col(c.DropRelations, func(r engine.RelationRef) int64 { return r.Object }),
		}},
		{`DELETE FROM visits WHERE (workspace, anonymous) IN ({rows})`, visitorSet(c.DropVisits)},
		{`INSERT INTO objects (workspace, object, type, id, cio, created, updated, attributes) {rows}
			ON CONFLICT (workspace, object) DO UPDATE SET updated = excluded.updated, attributes = excluded.attributes`, set{
			col(c.PutObjects, func(o object.Object) int64 { return o.Workspace }),
			col(c.PutObjects, func(o object.Object) int64 { return o.Number }),
			col(c.PutObjects, func(o object.Object) int64 { return o.Type }),
			col(c.PutObjects, func(o object.Object) string { return clean(o.ID) }),
			col(c.PutObjects, func(o object.Object) string { return o.CIO }),
			col(c.PutObjects, func(o object.Object) int64 { return o.Created }),
			col(c.PutObjects, func(o object.Object) int64 { return o.Updated }),
			col(c.PutObjects, func(o object.Object) []byte { return o.Attributes.Encode() }),
		}},
		{`INSERT INTO relationships (workspace, person, object, created, attributes) {rows}
			ON CONFLICT (workspace, person, object) DO UPDATE SET created = excluded.created, attributes = excluded.attributes`, set{
			col(c.PutRelations, func(r object.Relationship) int64 { return r.Workspace }),
			col(c.PutRelations, func(r object.Relationship) int64 { return int64(r.Person) }),
			col(c.PutRelations, func(r object.Relationship) int64 { return r.Object }),
			col(c.PutRelations, func(r object.Relationship) int64 { return r.Created }),
			col(c.PutRelations, func(r object.Relationship) []byte { return r.Attributes.Encode() }),
		}},
		{`INSERT INTO visits (workspace, anonymous, object, received, attributes) {rows}`, set{
			col(c.PutVisits, func(v engine.Visit) int64 { return v.Workspace }),
			col(c.PutVisits, func(v engine.Visit) string { return clean(v.Anonymous) }),
			col(c.PutVisits, func(v engine.Visit) int64 { return v.Object }),
			col(c.PutVisits, func(v engine.Visit) int64 { return v.Received }),
			col(c.PutVisits, func(v engine.Visit) []byte { return v.Attributes.Encode() }),
		}},
	}
}

// FindObject finds an object, nil if there is none.
func (db *DB) FindObject(ctx context.Context, ws int64, k object.Key) (*object.Object, error) {
	const columns = `SELECT ` + objectColumns + ` FROM objects o WHERE o.workspace = $1 AND `
	sql, args := columns+`o.type = $2 AND o.id = $3`, []any{ws, k.Type, clean(k.ID)}
	if k.CIO != "" {
		sql, args = columns+`o.cio = $2`, []any{ws, clean(k.CIO)}
	}
	all, err := list(ctx, db, sql, args, scanObject)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

const relatedSQL = `SELECT o.workspace, o.object, o.type, o.id, o.cio, r.person, r.created, r.attributes
	FROM relationships r CROSS JOIN objects o WHERE o.workspace = r.workspace AND o.object = r.object AND r.workspace = $1 AND `

func scanRelated(r row) (object.Related, error) {
	var rel object.Related
	var who int64
	var attributes []byte
	o := &rel.Object
	err := r.Scan(&o.Workspace, &o.Number, &o.Type, &o.ID, &o.CIO, &who, &rel.Created, &attributes)
	rel.Person, rel.Relationship = uint32(who), object.Decode(attributes)
	return rel, err
}

// ObjectsOf lists up to limit objects of a person with numbers after one, by number.
func (db *DB) ObjectsOf(ctx context.Context, who person.Ref, after int64, limit int) ([]object.Related, error) {
	return list(ctx, db, relatedSQL+`r.person = $2 AND r.object > $3 ORDER BY r.object LIMIT $4`, []any{who.Workspace, int64(who.Ordinal), after, int64(limit)}, scanRelated)
}

// PeopleOf lists up to limit people of an object with ordinals after one, by ordinal.
func (db *DB) PeopleOf(ctx context.Context, ws, number, after int64, limit int) ([]object.Related, error) {
	return list(ctx, db, relatedSQL+`r.object = $2 AND r.person > $3 ORDER BY r.person LIMIT $4`, []any{ws, number, after, int64(limit)}, scanRelated)
}

// HasRelationship tells whether a person and an object are related.
func (db *DB) HasRelationship(ctx context.Context, who person.Ref, object int64) (bool, error) {
	const sql = `SELECT 1 FROM relationships WHERE workspace = $1 AND person = $2 AND object = $3`
	return db.queryOne(ctx, sql, []any{who.Workspace, int64(who.Ordinal), object}, new(int64))
}
