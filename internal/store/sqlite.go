package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"rapport.example/internal/fault"
	"rapport.example/internal/store/pagemem"
	"rapport.example/internal/store/rowset"
	"rapport.example/internal/store/walvfs"
)

// fileName is the database's name in the data folder.
const fileName = "rapport.db"

// readers bounds concurrent reads; they run beside the writer in WAL mode.
const readers = 8

var errClosed = errors.New("the database is closed")

// sqliteDB is one write connection, used through the driver itself for speed, and a pool of readers.
type sqliteDB struct {
	path  string
	free  chan *sqliteConn // holds the write connection while nobody uses it
	done  chan struct{}    // closed when the write connection is
	reads *prepared
	back  *checkpoints
	log   *slog.Logger
}

// openSQLite opens or creates the file in dir, which must exist.
func openSQLite(ctx context.Context, dir string, log *slog.Logger) (*sqliteDB, error) {
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil, fault.Wrap(fault.Invalid, err, "the data folder "+dir+" does not exist")
	}
	path, err := filepath.Abs(filepath.Join(dir, fileName))
	if err != nil {
		return nil, fmt.Errorf("resolve the data folder: %w", err)
	}
	w, err := openWriter(path)
	for tries := 0; tries < 50 && busy(err); tries++ { // another is turning the WAL on: SQLite does not wait for that by itself
		t := time.NewTimer(100 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		}
		w, err = openWriter(path)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the database "+path+" cannot be opened")
	}
	back, err := newCheckpoints(path, log)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a connection for checkpoints: %w", err), w.c.Close())
	}
	reads, err := sql.Open("sqlite", dsn(path, "query_only(1)", "cache_size(-16384)"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open readers: %w", err), back.close(), w.c.Close())
	}
	reads.SetMaxOpenConns(readers)
	reads.SetMaxIdleConns(readers)
	db := &sqliteDB{path: path, free: make(chan *sqliteConn, 1), done: make(chan struct{}), reads: &prepared{db: reads, stmts: map[string]*sql.Stmt{}}, back: back, log: log}
	db.free <- w
	if err := reads.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open a reader: %w", err), db.close())
	}
	return db, nil
}

func busy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == lib.SQLITE_BUSY
}

// dsn names the file with pragmas, run in order on each new connection.
func dsn(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)", "foreign_keys(0)", "temp_store(2)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// openWriter sets what the guarantees rest on: WAL, and a sync of it at each commit, on which walvfs relies as well. The WAL
// is written back beside the writer (see checkpoints), by the writer alone only when it has grown to 384 MB all the same. What
// is deleted is overwritten: pages that fall free would else keep a deleted person's data in the file for long.
func openWriter(path string) (*sqliteConn, error) {
	if err := errors.Join(pagemem.Register(), walvfs.Register(), rowset.Register()); err != nil {
		return nil, err
	}
	c, err := (&sqlite.Driver{}).Open(dsn(path, "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-131072)", "secure_delete(1)",
		"wal_autocheckpoint(96000)", "journal_size_limit(268435456)") + "&vfs=" + walvfs.Name)
	if err != nil {
		return nil, err
	}
	return &sqliteConn{c: c, stmts: map[string]driver.Stmt{}}, nil
}

func (db *sqliteDB) dialect() *dialect { return &onSQLite }

func (db *sqliteDB) close() error {
	w := <-db.free
	close(db.done)
	return errors.Join(db.reads.close(), db.back.close(), w.close())
}

func (db *sqliteDB) write(ctx context.Context, fn func(conn) error) error {
	select {
	case w := <-db.free:
		defer func() { db.free <- w }()
		if err := w.transact(ctx, fn); err != nil {
			return err
		}
		if db.back.committed() {
			if err := checkpoint(w.c); err != nil {
				db.log.Warn("the rest of the database's write-ahead log could not be written back, it will be tried again", "error", err)
			}
		}
		return nil
	case <-db.done:
		return errClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for the writer: %w", ctx.Err())
	}
}

func (db *sqliteDB) query(ctx context.Context, text string, args []any, scan func(row) error) error {
	return sqliteReader{db.reads}.query(ctx, text, args, scan)
}

func (db *sqliteDB) lent(ctx context.Context, text string, args []any, each func(n int64, b []byte) error) error {
	return rowset.Each(each, func(number int64) error {
		return db.query(ctx, rowset.EachOf(text, len(args)+1), append(slices.Clone(args), number), func(row) error { return nil })
	})
}

func (db *sqliteDB) snapshot(ctx context.Context, fn func(querier) error) error {
	tx, err := db.reads.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("begin reading: %w", err)
	}
	return errors.Join(fn(sqliteReader{tx}), ignore(tx.Rollback(), sql.ErrTxDone))
}

func ignore(err, harmless error) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}

// transient: somebody else holds the file, or the disk is full or failing, which the operator can mend.
func (db *sqliteDB) transient(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return errors.Is(err, driver.ErrBadConn)
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_NOMEM, lib.SQLITE_PROTOCOL, lib.SQLITE_CANTOPEN:
		return true
	}
	return false
}

func sqliteUnique(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code() == lib.SQLITE_CONSTRAINT_UNIQUE || e.Code() == lib.SQLITE_CONSTRAINT_PRIMARYKEY)
}
