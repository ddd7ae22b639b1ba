package store

import (
	"context"
	"strings"

	"rapport.example/internal/engine"
)

const insertUnmailable = `INSERT INTO unmailable (workspace, hash, domain, category, created) {rows} ON CONFLICT (workspace, hash, domain) DO NOTHING`

func unmailableSet(list []engine.Unmailable) set {
	return set{
		col(list, func(u engine.Unmailable) int64 { return u.Workspace }),
		col(list, func(u engine.Unmailable) []byte { return u.Hash }),
		col(list, func(u engine.Unmailable) string { return clean(u.Domain) }),
		col(list, func(u engine.Unmailable) string { return u.Category }),
		col(list, func(u engine.Unmailable) int64 { return u.Created }),
	}
}

func unmailableBulk(c *engine.Changes) []bulk {
	return []bulk{{insertUnmailable, unmailableSet(c.Unmailable)}}
}

// Unmailable lists what is known against sending to an address from a workspace: entries of the workspace and of all, those
// for the sender's domain first among them.
func (db *DB) Unmailable(ctx context.Context, ws int64, address string) ([]engine.Unmailable, error) {
	const sql = `SELECT u.workspace, u.hash, u.domain, u.category, u.created FROM unmailable u
		WHERE u.workspace IN (0, $1) AND u.hash = $2 ORDER BY u.workspace, u.domain`
	return list(ctx, db, sql, []any{ws, engine.AddressHash(db.secret, address)}, func(r row) (engine.Unmailable, error) {
		var u engine.Unmailable
		err := r.Scan(&u.Workspace, &u.Hash, &u.Domain, &u.Category, &u.Created)
		return u, err
	})
}

// Refused says why nothing is sent to an address from a sender's domain, "" if it is.
func (db *DB) Refused(ctx context.Context, ws int64, address, domain string) (string, error) {
	all, err := db.Unmailable(ctx, ws, address)
	if err != nil {
		return "", err
	}
	for _, u := range all {
		if u.Domain == "" || u.Domain == strings.ToLower(domain) {
			return map[string]string{
				"bounces": "the address is suppressed: a mail server has refused it for good",
				"spam":    "the address is suppressed: mail to it was reported as spam",
				"manual":  "the address is suppressed by hand",
			}[u.Category], nil
		}
	}
	return "", nil
}

// AddUnmailable keeps an address from being mailed by any workspace from any domain, and RemoveUnmailable lets a workspace
// mail it again: its own entries go, and those of all workspaces.
func (db *DB) AddUnmailable(ctx context.Context, address string) error {
	u := engine.Unmailable{Hash: engine.AddressHash(db.secret, address), Category: "manual", Created: db.now().UnixMilli()}
	return db.write(ctx, func(q conn) error {
		return q.execSets(ctx, []bulk{{insertUnmailable, unmailableSet([]engine.Unmailable{u})}})
	})
}

// RemoveUnmailable is the way back; see AddUnmailable. It says how many entries went.
func (db *DB) RemoveUnmailable(ctx context.Context, ws int64, address string) (n int64, err error) {
	err = db.write(ctx, func(q conn) error {
		n, err = q.exec(ctx, `DELETE FROM unmailable WHERE workspace IN (0, $1) AND hash = $2`, ws, engine.AddressHash(db.secret, address))
		return err
	})
	return n, err
}
