package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"rapport.example/internal/fault"
)

//go:embed migrations
var migrations embed.FS

// Migrate brings the schema forward and returns the names of the migrations that it applied, in order. Each is one
// transaction with its record, so a crash leaves the schema before or after it. Several nodes may call it at once.
func (db *DB) Migrate(ctx context.Context) ([]string, error) { return db.migrate(ctx, migrations) }

func (db *DB) migrate(ctx context.Context, files fs.FS) ([]string, error) {
	dir := path.Join("migrations", db.dialect().name)
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	var applied []string
	for _, e := range entries { // sorted by name
		name := strings.TrimSuffix(e.Name(), ".sql")
		text, err := fs.ReadFile(files, path.Join(dir, e.Name()))
		if err != nil {
			return applied, fmt.Errorf("read migration %s: %w", name, err)
		}
		done, err := db.step(ctx, name, string(text), entries)
		if err != nil {
			return applied, err
		}
		if done {
			applied = append(applied, name)
		}
	}
	return applied, db.loadSecret(ctx)
}

// step applies one migration if it is missing.
func (db *DB) step(ctx context.Context, name, text string, known []fs.DirEntry) (done bool, err error) {
	err = db.write(ctx, func(c conn) error {
		if err := db.lockAll(ctx, c); err != nil {
			return err
		}
		have, err := recorded(ctx, c)
		if err != nil {
			return err
		}
		for _, h := range have {
			if !slices.ContainsFunc(known, func(e fs.DirEntry) bool { return e.Name() == h+".sql" }) {
				return fault.New(fault.Conflict, "the database has the schema of a newer version (migration %s): run that version, or restore a backup made before it", h)
			}
		}
		if slices.Contains(have, name) {
			return nil
		}
		if err := c.script(ctx, text); err != nil {
			return fmt.Errorf("migration %s: %w", name, err)
		}
		done = true
		_, err = c.exec(ctx, `INSERT INTO migrations (name, applied) VALUES ($1, $2)`, name, db.now().UnixMilli())
		return err
	})
	return done && err == nil, err
}

// lockAll keeps other nodes out of what one must do at a time.
func (db *DB) lockAll(ctx context.Context, c conn) error {
	if db.dialect().exclusive == "" {
		return nil
	}
	_, err := c.exec(ctx, db.dialect().exclusive)
	return err
}

// recorded lists the applied migrations.
func recorded(ctx context.Context, c conn) ([]string, error) {
	if _, err := c.exec(ctx, `CREATE TABLE IF NOT EXISTS migrations (name TEXT NOT NULL PRIMARY KEY, applied BIGINT NOT NULL)`); err != nil {
		return nil, fmt.Errorf("make the table of migrations: %w", err)
	}
	var out []string
	err := c.query(ctx, `SELECT name FROM migrations ORDER BY name`, nil, func(r row) error {
		var name string
		if err := r.Scan(&name); err != nil {
			return err
		}
		out = append(out, name)
		return nil
	})
	return out, err
}
