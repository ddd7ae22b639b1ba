package store

import (
	"context"

	"rapport.example/internal/delivery"
	"rapport.example/internal/export"
	"rapport.example/internal/filter"
	"rapport.example/internal/person"
)

var _ export.Store = (*DB)(nil)

// Export is part of export.Store: fn reads in one transaction of a reader, which no writer waits for. While it lasts, SQLite's WAL
// grows by what is written, and PostgreSQL keeps rows that were replaced.
func (db *DB) Export(ctx context.Context, ws int64, fn func(export.Snapshot) error) error {
	return db.snapshot(ctx, func(q querier) error { return fn(&exported{q, ws}) })
}

// exported is a workspace in an open snapshot.
type exported struct {
	q         querier
	workspace int64
}

// People is part of export.Snapshot. Whoever segments and identifiers tell is found as a search finds them, a page at a time;
// else everybody is met one by one, and none is kept.
func (e *exported) People(ctx context.Context, f *filter.Filter, each func(*person.Document) error) error {
	if bounded(f) {
		return e.found(ctx, f, each)
	}
	sql := `SELECT ` + personColumns + ` FROM people p WHERE ` + e.q.dialect().everybody
	bits, err := (&search{q: e.q, ws: e.workspace, f: f}).pieces(ctx, 0, 1<<pieceBits)
	if err != nil {
		return err
	}
	return e.q.query(ctx, sql, []any{e.workspace, int64(0), pastEverybody}, func(r row) error {
		d, err := scanPerson(r)
		if err != nil || !f.Match(judged{filter.Person{Document: d}, bits}) {
			return err
		}
		return each(d)
	})
}

func (e *exported) found(ctx context.Context, f *filter.Filter, each func(*person.Document) error) error {
	const limit = 1000
	for after := uint32(0); ; {
		page, next, err := searchIn(ctx, e.q, e.workspace, f, after, limit, pageBounds())
		if err != nil {
			return err
		}
		for _, d := range page {
			if err := each(d); err != nil {
				return err
			}
		}
		if next == 0 {
			return nil
		}
		after = next
	}
}

// Deliveries is part of export.Snapshot.
func (e *exported) Deliveries(ctx context.Context, f *export.DeliveryFilter, after int64, limit int) ([]delivery.Delivery, error) {
	const sql = `SELECT ` + messageColumns + ` FROM deliveries d WHERE d.workspace = $1 AND d.id > $2 AND (d.campaign = $3 OR $3 = 0)
		AND (d.action_id = $4 OR $4 = 0) AND (d.transactional = $5 OR $5 = 0) AND d.created >= $6 AND d.created < $7 ORDER BY d.id LIMIT $8`
	return list(ctx, e.q, sql, []any{e.workspace, after, f.Campaign, f.Action, f.Transactional, f.Since, f.Until, int64(limit)}, scanMessage)
}

// ReadPeople is part of export.Snapshot.
func (e *exported) ReadPeople(ctx context.Context, ordinals []uint32) (map[uint32]*person.Document, error) {
	return readPeople(ctx, e.q, e.workspace, ordinals)
}
