package store

import (
	"context"
	"encoding/json"
	"fmt"

	"rapport.example/internal/audit"
	"rapport.example/internal/workspace"
)

// AppendAudit chains an entry to its workspace's record, and gives it its Seq and Hash.
func (db *DB) AppendAudit(ctx context.Context, e *audit.Entry) error {
	const (
		// Taking the number locks the row, so that of two at once the second follows the first.
		next = `INSERT INTO agent_audit_heads AS h (workspace, seq, hash) VALUES ($1, 1, $2)
			ON CONFLICT (workspace) DO UPDATE SET seq = h.seq + 1 RETURNING seq, hash`
		head   = `UPDATE agent_audit_heads SET hash = $2 WHERE workspace = $1`
		insert = `INSERT INTO agent_audit (workspace, seq, at, doc) VALUES ($1, $2, $3, $4)`
	)
	err := db.write(ctx, func(c conn) error {
		var seq int64
		var hash []byte
		if err := c.query(ctx, next, []any{e.Workspace, make([]byte, len(e.Hash))}, func(r row) error { return r.Scan(&seq, &hash) }); err != nil {
			return err
		}
		var before audit.Hash
		copy(before[:], hash)
		if err := e.Seal(seq, before); err != nil {
			return err
		}
		doc, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if _, err := c.exec(ctx, insert, e.Workspace, e.Seq, e.At, doc); err != nil {
			return err
		}
		_, err = c.exec(ctx, head, e.Workspace, e.Hash[:])
		return err
	})
	if err != nil {
		return fmt.Errorf("record what an agent did: %w", err)
	}
	return nil
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
