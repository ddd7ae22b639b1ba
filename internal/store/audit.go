package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"rapport.example/internal/audit"
	"rapport.example/internal/workspace"
)

// AppendAudit chains entries to their workspaces' records, and gives each its Seq and Hash. Those of many callers are written together,
// each at its turn. If ctx ends first, or after an error, some may still be written.
func (db *DB) AppendAudit(ctx context.Context, entries ...*audit.Entry) error {
	own := make([]audit.Entry, len(entries)) // what is written, should the caller not wait
	written := make([]<-chan error, len(entries))
	for i, e := range entries {
		own[i] = *e
		written[i] = db.audits.Add(&own[i])
	}
	for i, e := range entries {
		var err error
		select {
		case err = <-written[i]:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("record what an agent did: %w", err)
		}
		*e = own[i]
	}
	return nil
}

func (db *DB) saveAudits(ctx context.Context, entries []*audit.Entry) error {
	const (
		// Taking the numbers locks the row, so that of two nodes at once the second follows the first.
		next = `INSERT INTO agent_audit_heads AS h (workspace, seq, hash) VALUES ($1, $2, $3)
			ON CONFLICT (workspace) DO UPDATE SET seq = h.seq + excluded.seq RETURNING seq, hash`
		head   = `UPDATE agent_audit_heads SET hash = $2 WHERE workspace = $1`
		insert = `INSERT INTO agent_audit (workspace, seq, at, doc) ` + rowsMark
	)
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b *audit.Entry) int { return cmp.Compare(a.Workspace, b.Workspace) }) // all nodes lock in one order
	return db.write(ctx, func(c conn) error {
		docs := make([][]byte, 0, len(entries))
		for from := 0; from < len(entries); {
			ws, to := entries[from].Workspace, from
			for to < len(entries) && entries[to].Workspace == ws {
				to++
			}
			var last int64
			var hash []byte
			if err := c.query(ctx, next, []any{ws, int64(to - from), make([]byte, len(audit.Hash{}))}, func(r row) error { return r.Scan(&last, &hash) }); err != nil {
				return err
			}
			var before audit.Hash
			copy(before[:], hash)
			for i, e := range entries[from:to] {
				if err := e.Seal(last-int64(to-from)+int64(i)+1, before); err != nil {
					return err
				}
				before = e.Hash
				doc, err := json.Marshal(e)
				if err != nil {
					return err
				}
				docs = append(docs, doc)
			}
			if _, err := c.exec(ctx, head, ws, before[:]); err != nil {
				return err
			}
			from = to
		}
		return c.execSets(ctx, []bulk{{insert, set{
			col(entries, func(e *audit.Entry) int64 { return e.Workspace }),
			col(entries, func(e *audit.Entry) int64 { return e.Seq }),
			col(entries, func(e *audit.Entry) int64 { return e.At }),
			col(docs, func(d []byte) []byte { return d }),
		}}})
	})
}

// Audit lists up to limit entries of a workspace's record: those behind a sequence number, the oldest first, or with newest those
// before it, the newest first; there, 0 is behind the newest.
func (db *DB) Audit(ctx context.Context, ws, seq int64, newest bool, limit int) ([]audit.Entry, error) {
	sql := `SELECT doc FROM agent_audit WHERE workspace = $1 AND seq > $2 ORDER BY seq LIMIT $3`
	if newest {
		sql = `SELECT doc FROM agent_audit WHERE workspace = $1 AND (seq < $2 OR $2 = 0) ORDER BY seq DESC LIMIT $3`
	}
	return list(ctx, db, sql, []any{ws, seq, int64(limit)}, func(r row) (e audit.Entry, err error) {
		var doc []byte
		if err := r.Scan(&doc); err != nil {
			return e, err
		}
		return e, json.Unmarshal(doc, &e)
	})
}

// AuditHead is the newest entry of a workspace's record, the zero Chain if there is none.
func (db *DB) AuditHead(ctx context.Context, ws int64) (head audit.Chain, err error) {
	err = db.queryRows(ctx, `SELECT seq, hash FROM agent_audit_heads WHERE workspace = $1`, []any{ws}, func(r row) error {
		var hash []byte
		err := r.Scan(&head.Seq, &hash)
		copy(head.Hash[:], hash)
		return err
	})
	return head, err
}

// AgentPolicy is what all agents of a workspace may do.
func (db *DB) AgentPolicy(ctx context.Context, ws int64) (p workspace.AgentPolicy, err error) {
	err = db.queryRows(ctx, `SELECT stopped, live FROM agent_policies WHERE workspace = $1`, []any{ws}, func(r row) error {
		return r.Scan(&p.Stopped, &p.Live)
	})
	return p, err
}

// SetAgentPolicy changes it, from the next call on.
func (db *DB) SetAgentPolicy(ctx context.Context, ws int64, p workspace.AgentPolicy) error {
	const sql = `INSERT INTO agent_policies (workspace, stopped, live) VALUES ($1, $2, $3)
		ON CONFLICT (workspace) DO UPDATE SET stopped = excluded.stopped, live = excluded.live`
	return db.write(ctx, func(c conn) error {
		_, err := c.exec(ctx, sql, ws, p.Stopped, p.Live)
		return err
	})
}
