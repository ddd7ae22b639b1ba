package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"sync"

	"modernc.org/sqlite"

	"rapport.example/internal/store/walvfs"
)

// Bounds of the write-ahead log, in bytes. A page that many transactions touch is written back once, and pages that lie side by side at
// less cost, so it is let grow.
const (
	logMuch    = 192 << 20 // from here on it is written back beside the writer
	logLittle  = 16 << 20  // so much of it the writer writes back itself
	mostPasses = 3         // one behind the other, until so little has come meanwhile
)

// checkpoints writes the write-ahead log back into the database while the writer goes on, which would else stand still for the
// tenths of a second that it takes to write hundreds of megabytes and to sync them. The log begins anew only when all of it is written
// back, and more of it comes all the time; so the last, little part is left to the writer.
type checkpoints struct {
	log    string // its path
	c      driver.Conn
	much   int64
	little int64
	logger *slog.Logger

	mu   sync.Mutex
	busy bool
	rest bool // is left to the writer
	runs sync.WaitGroup
}

// newCheckpoints opens a connection to the database at path, which the writer has opened.
func newCheckpoints(path string, logger *slog.Logger) (*checkpoints, error) {
	resolved, err := filepath.EvalSymlinks(path) // as SQLite names its files
	if err != nil {
		return nil, err
	}
	c, err := (&sqlite.Driver{}).Open(dsn(path, "synchronous(FULL)") + "&vfs=" + walvfs.Name)
	if err != nil {
		return nil, err
	}
	return &checkpoints{log: resolved + "-wal", c: c, much: logMuch, little: logLittle, logger: logger}, nil
}

// committed is called by the writer behind each transaction, and starts to write the log back when it has become long. It reports
// whether the writer is to write back what is left.
func (k *checkpoints) committed() (rest bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rest {
		k.rest = false
		return true
	}
	if !k.busy && walvfs.Length(k.log) > k.much {
		k.busy = true
		k.runs.Go(k.run)
	}
	return false
}

func (k *checkpoints) run() {
	var err error
	for range mostPasses {
		before := walvfs.Length(k.log)
		if err = checkpoint(k.c); err != nil || walvfs.Length(k.log)-before < k.little {
			break
		}
	}
	if err != nil {
		k.logger.Warn("the database's write-ahead log could not be written back, it will be tried again", "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.busy, k.rest = false, true
}

// checkpoint writes back what no reader needs as it was. It waits for nobody: while another does the same it does nothing.
func checkpoint(c driver.Conn) error {
	rows, err := c.(driver.QueryerContext).QueryContext(context.Background(), `PRAGMA wal_checkpoint(PASSIVE)`, nil) // not cut short, see sqliteConn
	if err != nil {
		return err
	}
	err = rows.Next(make([]driver.Value, len(rows.Columns())))
	return errors.Join(ignore(err, io.EOF), rows.Close())
}

// close waits for what runs. The writer must have ended.
func (k *checkpoints) close() error {
	k.runs.Wait()
	return k.c.Close()
}
