package store

import (
	"context"

	"rapport.example/internal/engine"
	"rapport.example/internal/person"
	"rapport.example/internal/workspace"
)

// Workspace reads one workspace; found is false if there is none of this id.
func (db *DB) Workspace(ctx context.Context, id int64) (w workspace.Workspace, found bool, err error) {
	const sql = `SELECT ` + workspaceColumns + ` FROM workspaces WHERE id = $1`
	all, err := list(ctx, db, sql, []any{id}, scanWorkspace)
	if err != nil || len(all) == 0 {
		return workspace.Workspace{}, false, err
	}
	return all[0], true, nil
}

// FindPerson reads the person that an identifier finds, nil if there is nobody.
func (db *DB) FindPerson(ctx context.Context, ws int64, by person.Identifier) (*person.Document, error) {
	sql := `SELECT ` + personColumns + ` FROM identifiers k JOIN people p ON ` + db.dialect().samePerson + `
		WHERE k.workspace = $1 AND k.type = $2 AND k.value = $3`
	keys := storable([]person.Key{by.Key(ws)})
	if len(keys) == 0 {
		return nil, nil
	}
	docs, err := list(ctx, db, sql, []any{ws, int64(keys[0].Type), keys[0].Value}, scanPerson)
	if err != nil || len(docs) == 0 {
		return nil, err
	}
	return docs[0], nil
}

// IsSuppressed tells whether an identifier is suppressed.
func (db *DB) IsSuppressed(ctx context.Context, ws int64, by person.Identifier) (bool, error) {
	const sql = `SELECT count(*) FROM suppressions WHERE workspace = $1 AND hash = $2`
	var n int64
	_, err := db.queryOne(ctx, sql, []any{ws, engine.SuppressionHash(db.secret, by.Key(ws))}, &n)
	return n > 0, err
}

// ReadPeople reads the people who exist, by ordinal.
func (db *DB) ReadPeople(ctx context.Context, ws int64, ordinals []uint32) (map[uint32]*person.Document, error) {
	return readPeople(ctx, db, ws, ordinals)
}

func readPeople(ctx context.Context, q querier, ws int64, ordinals []uint32) (map[uint32]*person.Document, error) {
	sql := `WITH k (workspace, person) AS ({rows}) SELECT ` + personColumns + ` FROM k CROSS JOIN people p WHERE ` + q.dialect().samePerson
	keys := set{repeat(ws, len(ordinals)), col(ordinals, func(o uint32) int64 { return int64(o) })}
	docs, err := lookUp(ctx, q, sql, keys, scanPerson)
	if err != nil {
		return nil, err
	}
	out := make(map[uint32]*person.Document, len(docs))
	for _, d := range docs {
		out[d.Ordinal] = d
	}
	return out, nil
}

// NewestPeople lists up to limit people with ordinals up to and including from, the newest first; from 0 is the newest.
func (db *DB) NewestPeople(ctx context.Context, ws int64, from uint32, limit int) ([]*person.Document, error) {
	const sql = `SELECT ` + personColumns + ` FROM people p WHERE p.workspace = $1 AND p.person <= $2 ORDER BY p.person DESC LIMIT $3`
	upto := int64(from)
	if from == 0 {
		upto = 1 << 32
	}
	return list(ctx, db, sql, []any{ws, upto, int64(limit)}, scanPerson)
}

// CountPeople counts the people of a workspace.
func (db *DB) CountPeople(ctx context.Context, ws int64) (n int64, err error) {
	_, err = db.queryOne(ctx, `SELECT count(*) FROM people WHERE workspace = $1`, []any{ws}, &n)
	return n, err
}
