package store

import (
	"context"
	"fmt"
	"slices"

	"rapport.example/internal/engine"
	"rapport.example/internal/ingest"
)

const requestColumns = `q.workspace, q.hash, q.print, q.nonce, q.received`

func scanRequest(r row) (engine.Request, error) {
	var q engine.Request
	var hash, print, nonce []byte
	err := r.Scan(&q.Workspace, &hash, &print, &nonce, &q.Received)
	copy(q.Hash[:], hash)
	copy(q.Print[:], print)
	copy(q.Nonce[:], nonce)
	return q, err
}

// Requests is part of engine.Tx.
func (t *tx) Requests(ctx context.Context, keys []engine.RequestKey) ([]engine.Request, error) {
	const sql = `WITH k (workspace, hash) AS ({rows})
		SELECT ` + requestColumns + ` FROM k CROSS JOIN request_keys q WHERE q.workspace = k.workspace AND q.hash = k.hash`
	return lookUp(ctx, t.c, sql, set{
		col(keys, func(k engine.RequestKey) int64 { return k.Workspace }),
		col(keys, func(k engine.RequestKey) []byte { return k.Hash[:] }),
	}, scanRequest)
}

func requestBulk(c *engine.Changes) []bulk {
	rows := sorted(c.Requests, func(a, b engine.Request) int { return slices.Compare(a.Hash[:], b.Hash[:]) })
	return []bulk{{
		`INSERT INTO request_keys (workspace, hash, print, nonce, received) {rows}
		ON CONFLICT (workspace, hash) DO UPDATE SET print = excluded.print, nonce = excluded.nonce, received = excluded.received`,
		set{
			col(rows, func(q engine.Request) int64 { return q.Workspace }),
			col(rows, func(q engine.Request) []byte { return q.Hash[:] }),
			col(rows, func(q engine.Request) []byte { return q.Print[:] }),
			col(rows, func(q engine.Request) []byte { return q.Nonce[:] }),
			col(rows, func(q engine.Request) int64 { return q.Received }),
		},
	}}
}

// ExpireRequests is part of engine.Tx.
func (t *tx) ExpireRequests(ctx context.Context, workspace, before int64, limit int) (int64, error) {
	const sql = `DELETE FROM request_keys WHERE workspace = $1 AND hash IN
		(SELECT hash FROM request_keys WHERE workspace = $1 AND received < $2 ORDER BY received LIMIT $3)`
	n, err := t.c.exec(ctx, sql, workspace, before, int64(limit))
	if err != nil {
		return 0, fmt.Errorf("expire the keys of requests: %w", err)
	}
	return n, nil
}

// FindRequest tells which request was applied under a key, and when it was received (Unix ms, real time); found is false if
// none was at or after since.
func (db *DB) FindRequest(ctx context.Context, ws int64, hash [16]byte, since int64) (o ingest.Once, received int64, found bool, err error) {
	const sql = `SELECT ` + requestColumns + ` FROM request_keys q WHERE q.workspace = $1 AND q.hash = $2 AND q.received >= $3`
	all, err := list(ctx, db, sql, []any{ws, hash[:], since}, scanRequest)
	if err != nil || len(all) == 0 {
		return o, 0, false, err
	}
	return all[0].Once, all[0].Received, true, nil
}
