package store

import (
	"cmp"
	"context"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"

	"rapport.example/internal/definition"
	"rapport.example/internal/engine"
	"rapport.example/internal/person"
)

const buildColumns = `workspace, segment, began, gen, live, state, built, since`

func scanBuild(r row) (definition.Build, error) {
	var b definition.Build
	var state int64
	err := r.Scan(&b.Workspace, &b.Segment, &b.Began, &b.Gen, &b.Live, &state, &b.Built, &b.Since)
	b.State = definition.BuildState(state)
	return b, err
}

const (
	buildsSQL  = `SELECT ` + buildColumns + ` FROM segment_builds WHERE workspace = $1 ORDER BY segment`
	countedSQL = `SELECT fact, keep, born FROM segment_facts WHERE workspace = $1 ORDER BY fact`
)

func scanCounted(r row) (definition.Counted, error) {
	var fact, keep, born int64
	err := r.Scan(&fact, &keep, &born)
	return definition.Counted{Key: uint64(fact), Keep: int(keep), Born: born}, err //nolint:gosec // stored as a signed number
}

// Builds is part of engine.Tx.
func (t *tx) Builds(ctx context.Context, ws int64) ([]definition.Build, error) {
	return list(ctx, t.c, buildsSQL, []any{ws}, scanBuild)
}

// Counted is part of engine.Tx.
func (t *tx) Counted(ctx context.Context, ws int64) ([]definition.Counted, error) {
	return list(ctx, t.c, countedSQL, []any{ws}, scanCounted)
}

// PieceKeys is part of engine.Tx.
func (t *tx) PieceKeys(ctx context.Context, ws, from int64) ([]engine.PieceKey, error) {
	const sql = `SELECT segment, piece FROM segment_pieces WHERE workspace = $1 AND segment >= $2 ORDER BY segment, piece`
	return list(ctx, t.c, sql, []any{ws, from}, func(r row) (engine.PieceKey, error) {
		k := engine.PieceKey{Workspace: ws}
		var piece int64
		err := r.Scan(&k.Segment, &piece)
		k.Piece = uint32(piece)
		return k, err
	})
}

// buildBulk comes before pieceBulk: bitmaps change their names before they change.
func buildBulk(c *engine.Changes) []bulk {
	segments := func(list []engine.SegmentRef) set {
		return set{
			col(list, func(r engine.SegmentRef) int64 { return r.Workspace }),
			col(list, func(r engine.SegmentRef) int64 { return r.Segment }),
		}
	}
	builds := sorted(c.Builds, func(a, b definition.Build) int {
		return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Segment, b.Segment))
	})
	facts := func(list []engine.CountedRow) set {
		return set{
			col(list, func(r engine.CountedRow) int64 { return r.Workspace }),
			col(list, func(r engine.CountedRow) int64 { return int64(r.Key) }), //nolint:gosec // as a signed number
		}
	}
	return []bulk{
		{`DELETE FROM segment_pieces WHERE (workspace, segment) IN ({rows})`, segments(c.DropPieces)},
		{
			`WITH k (workspace, segment, becomes) AS ({rows})
			UPDATE segment_pieces AS p SET segment = k.becomes FROM k WHERE p.workspace = k.workspace AND p.segment = k.segment`,
			append(segments(col(c.MovePieces, func(m engine.MovePieces) engine.SegmentRef { return m.SegmentRef })),
				col(c.MovePieces, func(m engine.MovePieces) int64 { return m.To })),
		},
		{`DELETE FROM segment_counts WHERE (workspace, segment) IN ({rows})`, segments(c.DropBuilds)},
		{`DELETE FROM segment_builds WHERE (workspace, segment) IN ({rows})`, segments(c.DropBuilds)},
		{
			`INSERT INTO segment_builds (` + buildColumns + `) {rows} ON CONFLICT (workspace, segment) DO UPDATE SET
				began = excluded.began, gen = excluded.gen, live = excluded.live, state = excluded.state, built = excluded.built, since = excluded.since`,
			set{
				col(builds, func(b definition.Build) int64 { return b.Workspace }),
				col(builds, func(b definition.Build) int64 { return b.Segment }),
				col(builds, func(b definition.Build) int64 { return b.Began }),
				col(builds, func(b definition.Build) int64 { return b.Gen }),
				col(builds, func(b definition.Build) int64 { return b.Live }),
				col(builds, func(b definition.Build) int64 { return int64(b.State) }),
				col(builds, func(b definition.Build) int64 { return b.Built }),
				col(builds, func(b definition.Build) int64 { return b.Since }),
			},
		},
		{`DELETE FROM segment_facts WHERE (workspace, fact) IN ({rows})`, facts(c.DropCounted)},
		{
			`INSERT INTO segment_facts (workspace, fact, keep, born) {rows} ON CONFLICT (workspace, fact) DO UPDATE SET keep = excluded.keep, born = excluded.born`,
			append(facts(c.PutCounted),
				col(c.PutCounted, func(r engine.CountedRow) int64 { return int64(r.Keep) }),
				col(c.PutCounted, func(r engine.CountedRow) int64 { return r.Born })),
		},
	}
}

// SegmentBuilds lists how far the making of each segment's membership is, by segment. Segments that were made with their people at
// hand, and manual ones, may have none: they are finished.
func (db *DB) SegmentBuilds(ctx context.Context, ws int64) ([]definition.Build, error) {
	return list(ctx, db, buildsSQL, []any{ws}, scanBuild)
}

// Waiting counts people for whom something is still to be done: to begin a campaign that wants them, since they are in its segment, or
// to look at them because an object that they are related to has changed.
func (db *DB) Waiting(ctx context.Context, ws int64) (n int64, err error) {
	const sql = `SELECT CAST(coalesce(sum(count), 0) AS BIGINT) FROM segment_pieces WHERE workspace = $1 AND segment >= $2`
	_, err = db.queryOne(ctx, sql, []any{ws, engine.WaitingFrom}, &n)
	return n, err
}

// DefinitionSets compiles a workspace's definitions as its partition's owner does: live is the set by which memberships answer, next
// the one that is being built; see definition.CompileBuilding.
func (db *DB) DefinitionSets(ctx context.Context, ws int64) (live, next *definition.Set, err error) {
	var rows []definition.Row
	var builds []definition.Build
	var counted []definition.Counted
	err = db.snapshot(ctx, func(q querier) error {
		if rows, err = list(ctx, q, definitionsSQL, []any{ws, false}, scanDefinition); err != nil {
			return err
		}
		if builds, err = list(ctx, q, buildsSQL, []any{ws}, scanBuild); err != nil {
			return err
		}
		counted, err = list(ctx, q, countedSQL, []any{ws}, scanCounted)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return definition.CompileBuilding(rows, builds, counted)
}

// Memberships brings Segments of people's documents up to what was built since these were written. All are of one workspace.
func (db *DB) Memberships(ctx context.Context, ws int64, docs ...*person.Document) error {
	return memberships(ctx, db, ws, docs)
}

func memberships(ctx context.Context, q querier, ws int64, docs []*person.Document) error {
	if len(docs) == 0 {
		return nil
	}
	oldest := docs[0].Gen
	for _, d := range docs {
		oldest = min(oldest, d.Gen)
	}
	built, err := list(ctx, q, `SELECT `+buildColumns+` FROM segment_builds WHERE workspace = $1 AND built > $2 ORDER BY segment`, []any{ws, oldest}, scanBuild)
	if err != nil || len(built) == 0 {
		return err
	}
	var keys []engine.PieceKey
	seen := map[uint32]bool{}
	for _, d := range docs {
		if n := d.Ordinal >> pieceBits; !seen[n] {
			seen[n] = true
			for _, b := range built {
				keys = append(keys, engine.PieceKey{Workspace: ws, Segment: b.Segment, Piece: n})
			}
		}
	}
	bits := map[engine.PieceKey]*roaring.Bitmap{}
	err = q.querySet(ctx, piecesSQL, pieceKeys(keys), func(r row) error {
		var piece int64
		var data []byte
		k := engine.PieceKey{}
		if err := r.Scan(&k.Workspace, &k.Segment, &piece, &data); err != nil {
			return err
		}
		k.Piece = uint32(piece)
		bits[k] = roaring.New()
		if err := bits[k].UnmarshalBinary(data); err != nil {
			return fmt.Errorf("piece %d of segment %d: %w", k.Piece, k.Segment, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range docs {
		for _, b := range built {
			if d.Gen < b.Built {
				bm := bits[engine.PieceKey{Workspace: ws, Segment: b.Segment, Piece: d.Ordinal >> pieceBits}]
				d.Adopt(b.Segment, bm != nil && bm.Contains(d.Ordinal&(1<<pieceBits-1)), b.Since)
			}
		}
	}
	return nil
}
