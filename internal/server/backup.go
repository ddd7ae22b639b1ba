package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"rapport.example/internal/config"
	"rapport.example/internal/fault"
	"rapport.example/internal/store"
)

// databaseFile is the name of the SQLite file in a data folder.
const databaseFile = "rapport.db"

// backup streams a consistent copy of the database. It holds everything that was applied when it began; what was
// acknowledged and not applied by then is in the log only.
func (s *server) backup(ctx context.Context, w io.Writer) (err error) {
	dir, err := os.MkdirTemp(s.o.Data, "backup-")
	if err != nil {
		return fmt.Errorf("make room for the backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, databaseFile)
	if err := s.db.BackupTo(ctx, path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.Copy(w, f); err != nil {
		return fmt.Errorf("send the backup: %w", err)
	}
	return nil
}

// Restore makes the data folder dir from a backup file. The folder must be empty or absent. Its log starts anew.
func Restore(from, dir string) error {
	if names, err := os.ReadDir(dir); err == nil && len(names) > 0 {
		return fault.New(fault.Invalid, "the folder %s is not empty; restore into a new one", dir)
	}
	release, err := lock(dir)
	if err != nil {
		return err
	}
	defer release()
	if err := copyFile(filepath.Join(dir, databaseFile), from); err != nil {
		return err
	}
	ctx := context.Background()
	db, err := store.Open(ctx, store.Options{Dir: dir, Now: time.Now})
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "this file is no backup that this version can read")
	}
	return errors.Join(db.ForgetLog(ctx), db.Close())
}

func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "cannot read the backup")
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the database: %w", err)
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// Migrate brings the database to this program's schema and returns the names of the migrations that it applied.
func Migrate(ctx context.Context, o config.Serve) ([]string, error) {
	so := store.Options{Dir: o.Data, Now: time.Now, SkipMigrate: true}
	if o.DatabaseURL != "" {
		so.Dir, so.URL = "", o.DatabaseURL
	} else {
		release, err := lock(o.Data)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	db, err := store.Open(ctx, so)
	if err != nil {
		return nil, err
	}
	done, err := db.Migrate(ctx)
	return done, errors.Join(err, db.Close())
}
