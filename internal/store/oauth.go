package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"rapport.example/internal/api/oauth"
	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

// OAuthClients lists the clients that were registered, by id.
func (db *DB) OAuthClients(ctx context.Context) ([]oauth.Client, error) {
	const sql = `SELECT id, name, redirects, created FROM oauth_clients ORDER BY id`
	return collect(func(s func(row) error) error { return db.queryRows(ctx, sql, nil, s) }, func(r row) (oauth.Client, error) {
		var c oauth.Client
		var redirects string
		if err := r.Scan(&c.ID, &c.Name, &redirects, &c.Created); err != nil {
			return c, err
		}
		return c, json.Unmarshal([]byte(redirects), &c.Redirects)
	})
}

// AddOAuthClient registers a client; a Conflict if there is one of this id.
func (db *DB) AddOAuthClient(ctx context.Context, c oauth.Client) error {
	redirects, err := json.Marshal(c.Redirects)
	if err != nil {
		return err
	}
	err = db.write(ctx, func(q conn) error {
		_, err := q.exec(ctx, `INSERT INTO oauth_clients (id, name, redirects, created) VALUES ($1, $2, $3, $4)`, c.ID, c.Name, string(redirects), c.Created)
		return err
	})
	if err != nil && db.dialect().unique(err) {
		return fault.Wrap(fault.Conflict, err, "there is a client of this id already")
	}
	return err
}

// RemoveOAuthClient forgets a client and revokes all that it was granted, which it lists. NotFound if it is not registered.
func (db *DB) RemoveOAuthClient(ctx context.Context, id string) (gone []int64, err error) {
	err = db.write(ctx, func(q conn) error {
		gone = nil
		if err := db.lockAll(ctx, q); err != nil {
			return err
		}
		n, err := q.exec(ctx, `DELETE FROM oauth_clients WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "there is no such client")
		}
		const look = `SELECT id FROM credentials WHERE client = $1 AND revoked = 0`
		if err := q.query(ctx, look, []any{id}, func(r row) error {
			var c int64
			err := r.Scan(&c)
			gone = append(gone, c)
			return err
		}); err != nil {
			return err
		}
		_, err = q.exec(ctx, `UPDATE credentials SET revoked = $2 WHERE client = $1 AND revoked = 0`, id, db.now().UnixMilli())
		return err
	})
	return gone, err
}

// KeepCode keeps a code that was given to a client, and drops those that ended a day ago.
func (db *DB) KeepCode(ctx context.Context, hash [32]byte, c oauth.Code) error {
	doc, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return db.write(ctx, func(q conn) error {
		now := db.now()
		if _, err := q.exec(ctx, `DELETE FROM oauth_codes WHERE expires < $1`, now.Add(-24*time.Hour).UnixMilli()); err != nil {
			return err
		}
		if _, err := q.exec(ctx, `DELETE FROM oauth_refresh WHERE expires < $1`, now.UnixMilli()); err != nil {
			return err
		}
		_, err := q.exec(ctx, `INSERT INTO oauth_codes (hash, doc, expires, credential) VALUES ($1, $2, $3, 0)`, hash[:], string(doc), c.Expires)
		return err
	})
}

// UseCode makes a grant of a code, once. make decides on the code and says what is issued. A code that was used before revokes what was issued
// for it: then the answer is that grant, and used is true. NotFound if there is no such code.
func (db *DB) UseCode(ctx context.Context, hash [32]byte, issue func(oauth.Code) (workspace.Credential, oauth.Refresh, error)) (c workspace.Credential, used bool, err error) {
	err = db.write(ctx, func(q conn) error {
		var doc string
		var was int64
		used = false
		if err := db.lockAll(ctx, q); err != nil {
			return err
		}
		if err := q.query(ctx, `SELECT doc, credential FROM oauth_codes WHERE hash = $1`, []any{hash[:]}, func(r row) error { return r.Scan(&doc, &was) }); err != nil {
			return err
		}
		if doc == "" {
			return fault.New(fault.NotFound, "there is no such code")
		}
		if was != 0 {
			used = true
			return db.endGrant(ctx, q, was, &c)
		}
		var code oauth.Code
		if err := json.Unmarshal([]byte(doc), &code); err != nil {
			return fmt.Errorf("read a code: %w", err)
		}
		next, refresh, err := issue(code)
		if err != nil {
			return err
		}
		if c = next; c.Created == 0 {
			c.Created = db.now().UnixMilli()
		}
		if err := addCredential(ctx, q, &c); err != nil {
			return err
		}
		if err := addRefresh(ctx, q, c.ID, refresh); err != nil {
			return err
		}
		_, err = q.exec(ctx, `UPDATE oauth_codes SET credential = $2 WHERE hash = $1`, hash[:], c.ID)
		return err
	})
	return c, used, err
}

// endGrant revokes a credential and reads it.
func (db *DB) endGrant(ctx context.Context, q conn, id int64, c *workspace.Credential) error {
	if _, err := q.exec(ctx, `UPDATE credentials SET revoked = $2 WHERE id = $1 AND revoked = 0`, id, db.now().UnixMilli()); err != nil {
		return err
	}
	return readGrant(ctx, q, id, c)
}

func readGrant(ctx context.Context, q conn, id int64, c *workspace.Credential) error {
	return q.query(ctx, `SELECT `+credentialColumns+` FROM credentials WHERE id = $1`, []any{id}, func(r row) (err error) {
		*c, err = scanCredential(r)
		return err
	})
}

func addRefresh(ctx context.Context, q conn, id int64, r oauth.Refresh) error {
	_, err := q.exec(ctx, `INSERT INTO oauth_refresh (hash, credential, scopes, expires, used) VALUES ($1, $2, $3, $4, 0)`, r.Hash[:], id, strings.Join(r.Scopes, ","), r.Expires)
	return err
}

// UseRefresh gives a grant new tokens for a refresh token, once. issue decides on the grant, with the token as it was kept, and changes it. A
// token that was used before revokes the grant: then used is true. NotFound if there is no such token or its grant has ended.
func (db *DB) UseRefresh(ctx context.Context, hash [32]byte, issue func(c *workspace.Credential, was oauth.Refresh) (oauth.Refresh, error)) (c workspace.Credential, used bool, err error) {
	const renew = `UPDATE credentials SET hash = $2, prefix = $3, expires = $4, scopes = $5 WHERE id = $1`
	err = db.write(ctx, func(q conn) error {
		was, scopes, grant, at := oauth.Refresh{Hash: hash}, "", int64(0), int64(0)
		used = false
		if err := db.lockAll(ctx, q); err != nil {
			return err
		}
		const look = `SELECT credential, scopes, expires, used FROM oauth_refresh WHERE hash = $1`
		if err := q.query(ctx, look, []any{hash[:]}, func(r row) error { return r.Scan(&grant, &scopes, &was.Expires, &at) }); err != nil {
			return err
		}
		if at != 0 {
			used = true
			return db.endGrant(ctx, q, grant, &c)
		}
		if grant != 0 {
			if err := readGrant(ctx, q, grant, &c); err != nil {
				return err
			}
		}
		if grant == 0 || c.Revoked != 0 {
			return fault.New(fault.NotFound, "there is no such refresh token")
		}
		was.Scopes = strings.Split(scopes, ",")
		next, err := issue(&c, was)
		if err != nil {
			return err
		}
		if _, err := q.exec(ctx, `UPDATE oauth_refresh SET used = $2 WHERE hash = $1`, hash[:], db.now().UnixMilli()); err != nil {
			return err
		}
		if err := addRefresh(ctx, q, c.ID, next); err != nil {
			return err
		}
		_, err = q.exec(ctx, renew, c.ID, c.Hash[:], c.Prefix, c.Expires, strings.Join(c.Scopes, ","))
		return err
	})
	return c, used, err
}

// EndToken revokes the grant of an access or refresh token of a client, and says which; 0 if the client has no such token.
func (db *DB) EndToken(ctx context.Context, hash [32]byte, client string) (grant int64, err error) {
	const look = `SELECT id FROM credentials WHERE client = $2 AND (hash = $1 OR id IN (SELECT credential FROM oauth_refresh WHERE hash = $1))`
	err = db.write(ctx, func(q conn) error {
		grant = 0
		if err := q.query(ctx, look, []any{hash[:], client}, func(r row) error { return r.Scan(&grant) }); err != nil || grant == 0 {
			return err
		}
		var c workspace.Credential
		return db.endGrant(ctx, q, grant, &c)
	})
	return grant, err
}

// HasToken tells whether there is an access token with a hash, which a node may not have heard of yet.
func (db *DB) HasToken(ctx context.Context, hash [32]byte) (has bool, err error) {
	const sql = `SELECT count(*) FROM credentials WHERE kind = 'agent' AND hash = $1 AND site_id = '' AND revoked = 0`
	var n int64
	err = db.queryRows(ctx, sql, []any{hash[:]}, func(r row) error { return r.Scan(&n) })
	return n > 0, err
}
