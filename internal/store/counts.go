package store

import (
	"context"
	"fmt"

	"rapport.example/internal/api/admin"
)

// Tally is part of engine.Tx.
func (t *tx) Tally(ctx context.Context, ws, at, before int64) error {
	const (
		note = `INSERT INTO segment_counts (workspace, segment, at, people)
			SELECT workspace, id, at, people FROM (
				SELECT d.workspace, d.id, CAST($2 AS BIGINT) AS at, coalesce((SELECT CAST(sum(p.count) AS BIGINT) FROM segment_pieces p
					WHERE p.workspace = d.workspace AND p.segment = d.id), 0) AS people
				FROM definitions d WHERE d.workspace = $1 AND d.current AND NOT d.deleted AND d.kind = 'segments') AS q
			WHERE people IS DISTINCT FROM (SELECT c.people FROM segment_counts c
				WHERE c.workspace = q.workspace AND c.segment = q.id ORDER BY c.at DESC LIMIT 1)
			ON CONFLICT (workspace, segment, at) DO UPDATE SET people = excluded.people`
		old = `DELETE FROM segment_counts WHERE workspace = $1 AND at < $2`
	)
	if _, err := t.c.exec(ctx, note, ws, at); err != nil {
		return fmt.Errorf("count segments: %w", err)
	}
	if _, err := t.c.exec(ctx, old, ws, before); err != nil {
		return fmt.Errorf("forget old counts of segments: %w", err)
	}
	return nil
}

// SegmentCounts tells how many people were in a segment over the hours from since to before until, oldest first: one count for each
// change, at most limit. The first one may lie before since: it is what held then. Counts are kept for 90 days.
func (db *DB) SegmentCounts(ctx context.Context, ws, segment, since, until int64, limit int) ([]admin.SegmentCount, error) {
	const sql = `SELECT at, people FROM segment_counts WHERE workspace = $1 AND segment = $2 AND at < $4 AND at >= coalesce(
		(SELECT max(b.at) FROM segment_counts b WHERE b.workspace = $1 AND b.segment = $2 AND b.at <= $3), $3) ORDER BY at LIMIT $5`
	return list(ctx, db, sql, []any{ws, segment, since, until, int64(limit)}, func(r row) (c admin.SegmentCount, err error) {
		err = r.Scan(&c.At, &c.People)
		return c, err
	})
}
