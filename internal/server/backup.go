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
	"rapport.example/internal/store"
)

// databaseFile is the name of the SQLite file in a data folder.
const databaseFile = "rapport.db"

// passing begins the names of folders in which a backup or a restore is made. They hold everything about everybody: a start
// removes those that a crash has left.
const passing = "unfinished-"

// backup streams a consistent copy of the database. It holds everything that was applied when it began; what was
// acknowledged and not applied by then is in the log only.
func (s *server) backup(ctx context.Context, w io.Writer) (err error) {
	dir, err := os.MkdirTemp(s.o.Data, passing+"*")
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
