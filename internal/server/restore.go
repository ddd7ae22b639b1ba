package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"rapport.example/internal/fault"
	"rapport.example/internal/store"
)

// A restore stages the new state beside the old, in a folder restored-<time> of the data folder, and has the server start
// again within its process. A start that finds such a folder puts what is there aside, into replaced-<time>, and the new
// state in its place. Each step is a rename, and after a crash between any two the next start goes on where that one ended.
const (
	staged   = "restored-"
	replaced = "replaced-"
)

// restore stages the backup that r holds, which becomes the state as soon as the server has started again. It returns the
// folder where the present state will be. Without replace, a server that anybody has used refuses.
func (s *server) restore(ctx context.Context, r io.Reader, replace bool) (aside string, err error) {
	if !replace {
		if err := s.unused(ctx); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp(s.o.Data, passing+"*")
	if err != nil {
		return "", fmt.Errorf("make room for the state: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := s.receive(ctx, dir, r); err != nil {
		return "", err
	}
	at := s.now().UTC().Format("20060102-150405.000")
	if err := os.Rename(dir, filepath.Join(s.o.Data, staged+at)); err != nil {
		return "", fmt.Errorf("stage the state: %w", err)
	}
	if err := syncDir(s.o.Data); err != nil {
		return "", err
	}
	s.log.Info("a backup was received and takes the place of the state", "aside", replaced+at)
	select {
	case s.again <- struct{}{}:
	default: // another restore came first, and the start finds both
	}
	return filepath.Join(s.o.Data, replaced+at), nil
}

// unused refuses unless nothing but the first start has happened here.
func (s *server) unused(ctx context.Context) error {
	all, err := s.db.Workspaces(ctx)
	if err != nil {
		return err
	}
	for _, w := range all {
		n, err := s.db.Counts(ctx, w.ID)
		if err != nil {
			return err
		}
		if len(all) > 1 || w.Name != "" || n.Activities > 0 {
			return fault.New(fault.Conflict, "this server has a state of its own; with --replace it is put aside, into a folder of the data folder")
		}
	}
	return nil
}

// receive writes the backup into dir and makes it a state of this version, without a log.
func (s *server) receive(ctx context.Context, dir string, r io.Reader) error {
	f, err := os.OpenFile(filepath.Join(dir, databaseFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	_, err = io.Copy(f, r)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the backup did not arrive whole, or there is no room for it: nothing has changed")
	}
	db, err := store.Open(ctx, store.Options{Dir: dir, Now: s.now})
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "this file is no backup that this version can read")
	}
	err = db.Check(ctx)
	if err == nil {
		err = db.ForgetLog(ctx)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	// Closing writes the write-ahead log back and says nothing when there is no room for that.
	if _, err := os.Lstat(filepath.Join(dir, databaseFile+"-wal")); !errors.Is(err, os.ErrNotExist) {
		return fault.Wrap(fault.Unavailable, err, "there is no room for the backup: nothing has changed")
	}
	return syncDir(dir)
}

// takeStaged puts a staged state in its place, and removes what a crash has left of a backup or a restore. The caller holds
// the data folder's lock, and nothing of it is open.
func takeStaged(data string) error {
	entries, err := os.ReadDir(data)
	if err != nil {
		return fmt.Errorf("read the data folder: %w", err)
	}
	for _, e := range entries { // by name, so the newest comes last
		from := filepath.Join(data, e.Name())
		if strings.HasPrefix(e.Name(), passing) {
			if err := os.RemoveAll(from); err != nil {
				return fmt.Errorf("remove %s: %w", from, err)
			}
			continue
		}
		at, ok := strings.CutPrefix(e.Name(), staged)
		if !ok || !e.IsDir() {
			continue
		}
		if _, err := os.Lstat(filepath.Join(from, databaseFile)); errors.Is(err, os.ErrNotExist) {
			if err := os.RemoveAll(from); err != nil { // it was taken, and a crash came before this
				return fmt.Errorf("remove %s: %w", from, err)
			}
			continue
		}
		if err := putAside(data, filepath.Join(data, replaced+at)); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(from, databaseFile), filepath.Join(data, databaseFile)); err != nil {
			return fmt.Errorf("take the restored state: %w", err)
		}
		if err := errors.Join(syncDir(data), os.RemoveAll(from)); err != nil {
			return err
		}
	}
	return nil
}

// putAside moves the database with its write-ahead log, and the log of ops, into a folder.
func putAside(data, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return fmt.Errorf("put the state aside: %w", err)
	}
	for _, name := range []string{databaseFile + "-wal", databaseFile + "-shm", databaseFile, "log"} {
		err := os.Rename(filepath.Join(data, name), filepath.Join(to, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("put the state aside: %w", err)
		}
	}
	return errors.Join(syncDir(to), syncDir(data))
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	return errors.Join(f.Sync(), f.Close())
}
