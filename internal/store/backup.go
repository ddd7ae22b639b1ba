package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"modernc.org/sqlite"

	"rapport.example/internal/fault"
)

// BackupTo writes a consistent copy of the database to a new file while everything goes on, as of one moment: the copy's
// checkpoint says which frame it ends with. It is on disk when BackupTo returns nil. A file of that name is a Conflict;
// on PostgreSQL BackupTo is Unsupported. Opened again, the copy is an ordinary database.
func (db *DB) BackupTo(ctx context.Context, path string) error { return db.backup(ctx, path) }

func (db *sqliteDB) backup(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fault.New(fault.Conflict, "%s exists already", path)
	}
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the rest of an earlier backup: %w", err)
	}
	if err := db.vacuumInto(ctx, part); err != nil {
		return errors.Join(fmt.Errorf("copy the database: %w", err), ignore(os.Remove(part), os.ErrNotExist))
	}
	if err := syncFile(part); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("name the backup: %w", err)
	}
	return syncFile(filepath.Dir(path))
}

// vacuumInto uses a connection of its own: readers are query_only, and the writer has better things to do.
func (db *sqliteDB) vacuumInto(ctx context.Context, path string) error {
	c, err := (&sqlite.Driver{}).Open(dsn(db.path))
	if err != nil {
		return err
	}
	_, err = c.(driver.ExecerContext).ExecContext(ctx, `VACUUM INTO $1`, []driver.NamedValue{{Ordinal: 1, Value: path}})
	return errors.Join(err, c.Close())
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the backup: %w", err)
	}
	if err := f.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync the backup: %w", err), f.Close())
	}
	return f.Close()
}
