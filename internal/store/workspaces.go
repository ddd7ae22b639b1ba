package store

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

// Workspaces lists all workspaces by id.
func (db *DB) Workspaces(ctx context.Context) ([]workspace.Workspace, error) {
	const sql = `SELECT ` + workspaceColumns + ` FROM workspaces ORDER BY id`
	return collect(func(s func(row) error) error { return db.queryRows(ctx, sql, nil, s) }, scanWorkspace)
}

// CreateWorkspace makes a workspace with the next id, counting from 1, at generation 0. A negative partition
// means the next one in turn: (id-1) modulo the number of partitions. The name may be empty, "not named yet"; another
// one that a workspace has is a Conflict.
func (db *DB) CreateWorkspace(ctx context.Context, name string, partition int32) (workspace.Workspace, error) {
	w := workspace.Workspace{Name: name, Partition: partition, Created: db.now().UnixMilli()}
	err := db.write(ctx, func(c conn) error {
		var last, taken, partitions int64
		if err := db.lockAll(ctx, c); err != nil {
			return err
		}
		const look = `SELECT (SELECT coalesce(max(id), 0) FROM workspaces), (SELECT count(*) FROM workspaces WHERE name = $1),
			(SELECT count(*) FROM partitions)`
		if err := c.query(ctx, look, []any{name}, func(r row) error { return r.Scan(&last, &taken, &partitions) }); err != nil {
			return err
		}
		switch {
		case name != "" && taken > 0:
			return fault.New(fault.Conflict, "a workspace of this name exists")
		case partitions == 0:
			return fault.New(fault.Conflict, "there are no partitions yet")
		case int64(partition) >= partitions:
			return fault.New(fault.Invalid, "there is no partition %d", partition)
		}
		w.ID = last + 1
		if partition < 0 {
			w.Partition = int32((w.ID - 1) % partitions)
		}
		_, err := c.exec(ctx, `INSERT INTO workspaces (`+workspaceColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			w.ID, w.Name, int64(w.Partition), w.Clock, w.Gen, w.Sweep, w.SweepEnd, w.Created)
		return err
	})
	if err != nil {
		return workspace.Workspace{}, fmt.Errorf("create workspace: %w", err)
	}
	return w, nil
}

const credentialColumns = `id, workspace, kind, name, site_id, prefix, hash, scopes, created, expires, revoked, last_used, replaced, client, audience, approved, per_minute`

func scanCredential(r row) (workspace.Credential, error) {
	var c workspace.Credential
	var kind, scopes string
	var hash []byte
	err := r.Scan(&c.ID, &c.Workspace, &kind, &c.Name, &c.SiteID, &c.Prefix, &hash, &scopes, &c.Created, &c.Expires, &c.Revoked, &c.LastUsed, &c.Replaced,
		&c.Client, &c.Audience, &c.Approved, &c.PerMinute)
	c.Kind = workspace.Kind(kind)
	copy(c.Hash[:], hash)
	if scopes != "" {
		c.Scopes = strings.Split(scopes, ",")
	}
	return c, err
}

// Credentials lists the credentials of all workspaces by id, revoked and expired ones included.
func (db *DB) Credentials(ctx context.Context) ([]workspace.Credential, error) {
	const sql = `SELECT ` + credentialColumns + ` FROM credentials ORDER BY id`
	return collect(func(s func(row) error) error { return db.queryRows(ctx, sql, nil, s) }, scanCredential)
}

// CreateCredential keeps a credential under the next id, which it returns with it; ID is not looked at, and Created is now
// if it is 0. The same kind and secret (of a Track key: with the same site id) twice is a Conflict.
func (db *DB) CreateCredential(ctx context.Context, c workspace.Credential) (workspace.Credential, error) {
	if c.Created == 0 {
		c.Created = db.now().UnixMilli()
	}
	err := db.write(ctx, func(q conn) error {
		if err := db.lockAll(ctx, q); err != nil {
			return err
		}
		return addCredential(ctx, q, &c)
	})
	return db.created(c, err)
}

// addCredential gives a credential its id and writes it.
func addCredential(ctx context.Context, q conn, c *workspace.Credential) error {
	if err := q.query(ctx, `SELECT coalesce(max(id), 0) + 1 FROM credentials`, nil, func(r row) error { return r.Scan(&c.ID) }); err != nil {
		return err
	}
	_, err := q.exec(ctx, `INSERT INTO credentials (`+credentialColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		c.ID, c.Workspace, string(c.Kind), c.Name, c.SiteID, c.Prefix, c.Hash[:], strings.Join(c.Scopes, ","), c.Created, c.Expires, c.Revoked, c.LastUsed, c.Replaced,
		c.Client, c.Audience, c.Approved, c.PerMinute)
	return err
}

// created is the outcome of keeping a credential.
func (db *DB) created(c workspace.Credential, err error) (workspace.Credential, error) {
	if err != nil && db.dialect().unique(err) {
		return workspace.Credential{}, fault.Wrap(fault.Conflict, err, "this credential exists already")
	}
	if err != nil {
		return workspace.Credential{}, fmt.Errorf("create credential: %w", err)
	}
	return c, nil
}

// RotateCredential keeps a new credential as CreateCredential does, and lets the one with an id, whose place it takes, end at a
// moment, Unix ms; both or none. It is a Conflict if that one was revoked, ends before, or has been replaced already.
func (db *DB) RotateCredential(ctx context.Context, id, ends int64, next workspace.Credential) (workspace.Credential, error) {
	const sql = `UPDATE credentials SET expires = $2, replaced = $3 WHERE id = $1 AND revoked = 0 AND replaced = 0 AND (expires = 0 OR expires >= $2)`
	if next.Created == 0 {
		next.Created = db.now().UnixMilli()
	}
	err := db.write(ctx, func(q conn) error {
		if err := db.lockAll(ctx, q); err != nil {
			return err
		}
		if err := addCredential(ctx, q, &next); err != nil {
			return err
		}
		n, err := q.exec(ctx, sql, id, ends, next.ID)
		if err == nil && n == 0 {
			return fault.New(fault.Conflict, "key %d has ended or was replaced already: create a new one", id)
		}
		return err
	})
	return db.created(next, err)
}

// Revoke ends a credential now; NotFound if there is none with this id. Doing it again keeps the first moment.
func (db *DB) Revoke(ctx context.Context, id int64) error {
	const sql = `UPDATE credentials SET revoked = CASE WHEN revoked = 0 THEN $2 ELSE revoked END WHERE id = $1`
	return db.write(ctx, func(c conn) error {
		n, err := c.exec(ctx, sql, id, db.now().UnixMilli())
		if err == nil && n == 0 {
			return fault.New(fault.NotFound, "there is no credential %d", id)
		}
		return err
	})
}

// TouchCredentials records when credentials were last used, by id, Unix ms; an earlier moment than the one kept and an
// unknown id change nothing.
func (db *DB) TouchCredentials(ctx context.Context, used map[int64]int64) error {
	var ids, at []int64
	for id, t := range used {
		ids, at = append(ids, id), append(at, t)
	}
	return db.write(ctx, func(c conn) error {
		return c.execSets(ctx, []bulk{{`WITH k (id, at) AS ({rows})
			UPDATE credentials AS c SET last_used = k.at FROM k WHERE c.id = k.id AND c.last_used < k.at`, set{ids, at}}})
	})
}

// AllowedAddresses lists from where keys may be used, by workspace, in order of the text; a workspace without any is not in it.
func (db *DB) AllowedAddresses(ctx context.Context) (map[int64][]netip.Prefix, error) {
	const sql = `SELECT workspace, prefix FROM allowed_addresses ORDER BY workspace, prefix`
	out := map[int64][]netip.Prefix{}
	err := db.queryRows(ctx, sql, nil, func(r row) error {
		var ws int64
		var text string
		if err := r.Scan(&ws, &text); err != nil {
			return err
		}
		p, err := netip.ParsePrefix(text)
		out[ws] = append(out[ws], p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read allowed addresses: %w", err)
	}
	return out, nil
}

// AllowAddresses makes these all the addresses from where a workspace's keys may be used; none = everywhere.
func (db *DB) AllowAddresses(ctx context.Context, workspace int64, list []netip.Prefix) error {
	err := db.write(ctx, func(c conn) error {
		if _, err := c.exec(ctx, `DELETE FROM allowed_addresses WHERE workspace = $1`, workspace); err != nil {
			return err
		}
		for _, p := range list { // a hundred at most
			const sql = `INSERT INTO allowed_addresses (workspace, prefix) VALUES ($1, $2) ON CONFLICT DO NOTHING`
			if _, err := c.exec(ctx, sql, workspace, p.String()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep allowed addresses: %w", err)
	}
	return nil
}
