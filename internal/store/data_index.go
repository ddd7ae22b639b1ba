package store

import (
	"context"
	"errors"

	"rapport.example/internal/api/app"
)

var errTooMany = errors.New("too many descriptions")

// Describe keeps what attributes or events are for; those described before are described anew. It tells how many there are then, and
// keeps nothing if that is more than most.
func (db *DB) Describe(ctx context.Context, ws int64, kind string, list []app.Description, most int64) (total int64, err error) {
	const (
		put = `WITH k (workspace, kind, name, description, privacy, updated) AS ({rows})
			INSERT INTO data_index (workspace, kind, name, description, privacy, updated)
			SELECT k.workspace, k.kind, k.name, k.description, k.privacy, k.updated FROM k WHERE TRUE
			ON CONFLICT (workspace, kind, name) DO UPDATE SET description = excluded.description, privacy = excluded.privacy, updated = excluded.updated`
		count = `SELECT count(*) FROM data_index WHERE workspace = $1 AND kind = $2`
	)
	now := db.now().UnixMilli()
	err = db.write(ctx, func(c conn) error {
		if err := c.execSets(ctx, []bulk{{put, set{
			repeat(ws, len(list)), col(list, func(app.Description) string { return kind }), col(list, func(d app.Description) string { return d.Name }),
			col(list, func(d app.Description) string { return d.Description }), col(list, func(d app.Description) int64 { return d.Privacy }), repeat(now, len(list)),
		}}}); err != nil {
			return err
		}
		if err := c.query(ctx, count, []any{ws, kind}, func(r row) error { return r.Scan(&total) }); err != nil {
			return err
		}
		if total > most {
			return errTooMany
		}
		return nil
	})
	if errors.Is(err, errTooMany) {
		err = nil
	}
	return total, err
}

// Described lists the descriptions of a kind by name, up to limit behind one.
func (db *DB) Described(ctx context.Context, ws int64, kind, after string, limit int) ([]app.Description, error) {
	const sql = `SELECT name, description, privacy FROM data_index WHERE workspace = $1 AND kind = $2 AND name > $3 ORDER BY name LIMIT $4`
	return list(ctx, db, sql, []any{ws, kind, after, int64(limit)}, func(r row) (d app.Description, err error) {
		return d, r.Scan(&d.Name, &d.Description, &d.Privacy)
	})
}

// Private lists the names of a kind that were described as sensitive. They are as many as were described at most.
func (db *DB) Private(ctx context.Context, ws int64, kind string) ([]string, error) {
	const sql = `SELECT name FROM data_index WHERE workspace = $1 AND kind = $2 AND privacy = 1 ORDER BY name`
	return list(ctx, db, sql, []any{ws, kind}, func(r row) (name string, err error) {
		err = r.Scan(&name)
		return name, err
	})
}
