package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"rapport.example/internal/fault"
)

// fileName is the database's name in the data folder.
const fileName = "rapport.db"

// readers bounds concurrent reads; they run beside the writer in WAL mode.
const readers = 8

// sqliteDB is one write connection, used through the driver itself for speed, and a pool of readers.
type sqliteDB struct {
	path  string
	free  chan *sqliteConn // holds the write connection while nobody uses it
	reads *sql.DB
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
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the database "+path+" cannot be opened")
	}
	reads, err := sql.Open("sqlite", dsn(path, "query_only(1)", "cache_size(-16384)"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open readers: %w", err), w.c.Close())
	}
	reads.SetMaxOpenConns(readers)
	reads.SetMaxIdleConns(readers)
	db := &sqliteDB{path: path, free: make(chan *sqliteConn, 1), reads: reads, log: log}
	db.free <- w
	if err := reads.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open a reader: %w", err), db.close())
	}
	return db, nil
}

// dsn names the file with pragmas, run in order on each new connection.
func dsn(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)", "foreign_keys(0)", "temp_store(2)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// openWriter sets what the guarantees rest on: WAL, and a sync of it at each commit. The WAL is written back by the
// writer when it has grown to 16 MB, in one go, instead of at every fourth frame.
func openWriter(path string) (*sqliteConn, error) {
	c, err := (&sqlite.Driver{}).Open(dsn(path, "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-131072)",
		"wal_autocheckpoint(4000)", "journal_size_limit(67108864)"))
	if err != nil {
		return nil, err
	}
	return &sqliteConn{c: c, stmts: map[string]driver.Stmt{}}, nil
}

func (db *sqliteDB) dialect() *dialect { return &onSQLite }

func (db *sqliteDB) close() error {
	w := <-db.free
	return errors.Join(db.reads.Close(), w.close())
}

func (db *sqliteDB) write(ctx context.Context, fn func(conn) error) error {
	select {
	case w := <-db.free:
		defer func() { db.free <- w }()
		return w.transact(ctx, fn)
	case <-ctx.Done():
		return fmt.Errorf("wait for the writer: %w", ctx.Err())
	}
}

func (db *sqliteDB) query(ctx context.Context, text string, args []any, scan func(row) error) error {
	return sqliteReader{db.reads}.query(ctx, text, args, scan)
}

func (db *sqliteDB) snapshot(ctx context.Context, fn func(querier) error) error {
	tx, err := db.reads.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
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

// sqliteReader reads through database/sql.
type sqliteReader struct {
	q interface {
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
}

func (s sqliteReader) query(ctx context.Context, text string, args []any, scan func(row) error) error {
	rows, err := s.q.QueryContext(ctx, text, args...)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	for rows.Next() {
		if err := scan(rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

func (s sqliteReader) querySet(ctx context.Context, text string, rows set, scan func(row) error) error {
	return pieces(text, rows, func(sql string, args []driver.NamedValue) error {
		all := make([]any, len(args))
		for i := range args {
			all[i] = args[i].Value
		}
		return s.query(ctx, sql, all, scan)
	})
}

// pieces calls run for each piece of rows, with the same args slice.
func pieces(text string, rows set, run func(sql string, args []driver.NamedValue) error) error {
	args := make([]driver.NamedValue, 0, min(maxParams, rows.len()*len(rows)))
	size, sql := 0, ""
	for at := 0; at < rows.len(); at += size {
		if n := rows.piece(rows.len() - at); n != size {
			size, sql = n, rows.values(text, n)
		}
		args = args[:0]
		for i := range size {
			for c := range rows {
				args = append(args, driver.NamedValue{Ordinal: len(args) + 1, Value: rows.value(c, at+i)})
			}
		}
		if err := run(sql, args); err != nil {
			return err
		}
	}
	return nil
}

// sqliteConn is the write connection with its prepared statements. Statements run under a context without end: the
// driver would start a goroutine for each that watches one, and a transaction of ours is short. Between statements the
// caller's context is looked at.
type sqliteConn struct {
	c      driver.Conn
	stmts  map[string]driver.Stmt
	failed error // of a statement that no savepoint has undone yet
	depth  int   // of savepoints
}

func (w *sqliteConn) close() error {
	var errs []error
	for _, s := range w.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, w.c.Close())...)
}

func (w *sqliteConn) transact(ctx context.Context, fn func(conn) error) (err error) {
	w.failed, w.depth = nil, 0
	if err := w.run(ctx, `BEGIN IMMEDIATE`); err != nil {
		w.rollback() // should one have been left open, the next attempt finds it gone
		return fmt.Errorf("begin: %w", err)
	}
	done := false
	defer func() {
		if !done { // also on a panic of fn
			w.rollback()
		}
	}()
	if err := fn(w); err != nil {
		return err
	}
	if w.failed != nil {
		return fmt.Errorf("transaction with a failed statement: %w", w.failed)
	}
	if err := w.run(context.Background(), `COMMIT`); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	done = true
	return nil
}

// rollback ends the transaction. SQLite may have done so itself (full disk): the error then says nothing new.
func (w *sqliteConn) rollback() {
	w.failed = nil
	if err := w.run(context.Background(), `ROLLBACK`); err != nil {
		w.failed = err
	}
}

func (w *sqliteConn) savepoint(ctx context.Context, fn func() error) error {
	if w.failed != nil {
		return fmt.Errorf("savepoint after a failed statement: %w", w.failed)
	}
	w.depth++
	name := "s" + strconv.Itoa(w.depth)
	defer func() { w.depth-- }()
	if err := w.run(ctx, `SAVEPOINT `+name); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	done := false
	back := func() error {
		done = true
		cause := w.failed
		w.failed = nil
		err := w.run(context.Background(), `ROLLBACK TO `+name)
		if err == nil {
			return w.run(context.Background(), `RELEASE `+name)
		}
		if cause != nil { // SQLite has rolled the whole transaction back by itself, on a full disk for one
			w.failed = cause
		}
		return err
	}
	defer func() {
		if !done { // a panic of fn
			_ = back() // a failure is kept in w.failed
		}
	}()
	if err := fn(); err != nil {
		return errors.Join(err, back())
	}
	if w.failed != nil {
		return errors.Join(w.failed, back())
	}
	done = true
	return w.run(ctx, `RELEASE `+name)
}

// usable refuses statements after a failed one: SQLite may have ended the transaction, and would commit them one by one.
func (w *sqliteConn) usable(ctx context.Context) error {
	if w.failed != nil {
		return fmt.Errorf("after a failed statement: %w", w.failed)
	}
	return ctx.Err()
}

func (w *sqliteConn) prepare(text string) (driver.Stmt, error) {
	if s, ok := w.stmts[text]; ok {
		return s, nil
	}
	s, err := w.c.Prepare(text)
	if err != nil {
		w.failed = fmt.Errorf("prepare: %w", err)
		return nil, w.failed
	}
	w.stmts[text] = s
	return s, nil
}

// run executes one prepared statement and returns its error, which also marks the transaction as failed.
func (w *sqliteConn) run(ctx context.Context, text string, args ...driver.NamedValue) error {
	_, err := w.changed(ctx, text, args)
	return err
}

func (w *sqliteConn) changed(ctx context.Context, text string, args []driver.NamedValue) (int64, error) {
	if err := w.usable(ctx); err != nil {
		return 0, err
	}
	s, err := w.prepare(text)
	if err != nil {
		return 0, err
	}
	res, err := s.(driver.StmtExecContext).ExecContext(context.Background(), args)
	if err != nil {
		w.failed = err
		return 0, err
	}
	return res.RowsAffected()
}

func (w *sqliteConn) exec(ctx context.Context, text string, args ...any) (int64, error) {
	vals, err := named(args)
	if err != nil {
		return 0, err
	}
	return w.changed(ctx, text, vals)
}

func (w *sqliteConn) script(ctx context.Context, text string) error {
	if err := w.usable(ctx); err != nil {
		return err
	}
	if _, err := w.c.(driver.ExecerContext).ExecContext(context.Background(), text, nil); err != nil {
		w.failed = err
		return err
	}
	return nil
}

func (w *sqliteConn) execSets(ctx context.Context, all []bulk) error {
	for _, b := range all {
		if err := pieces(b.sql, b.rows, func(text string, args []driver.NamedValue) error { return w.run(ctx, text, args...) }); err != nil {
			return fmt.Errorf("%.40s…: %w", b.sql, err)
		}
	}
	return nil
}

func (w *sqliteConn) query(ctx context.Context, text string, args []any, scan func(row) error) error {
	vals, err := named(args)
	if err != nil {
		return err
	}
	return w.rows(ctx, text, vals, scan)
}

func (w *sqliteConn) querySet(ctx context.Context, text string, rows set, scan func(row) error) error {
	return pieces(text, rows, func(sql string, args []driver.NamedValue) error { return w.rows(ctx, sql, args, scan) })
}

func (w *sqliteConn) rows(ctx context.Context, text string, args []driver.NamedValue, scan func(row) error) error {
	if err := w.usable(ctx); err != nil {
		return err
	}
	s, err := w.prepare(text)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), args)
	if err != nil {
		w.failed = err
		return err
	}
	vals := make(driverRow, len(rows.Columns()))
	for {
		err := rows.Next(vals)
		if errors.Is(err, io.EOF) {
			return rows.Close()
		}
		if err != nil {
			w.failed = err
		} else {
			err = scan(vals)
		}
		if err != nil {
			return errors.Join(err, rows.Close())
		}
	}
}

func named(args []any) ([]driver.NamedValue, error) {
	out := make([]driver.NamedValue, len(args))
	for i, a := range args {
		v, err := driver.DefaultParameterConverter.ConvertValue(a)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return out, nil
}

// driverRow is a row as the driver gives it. Its blobs are copies already.
type driverRow []driver.Value

// Scan stores the row's values; a value of another type than its destination is a defect of the statement.
func (r driverRow) Scan(dest ...any) error {
	if len(dest) != len(r) {
		return fmt.Errorf("scan %d columns into %d destinations", len(r), len(dest))
	}
	for i, d := range dest {
		ok := false
		switch d := d.(type) {
		case *int64:
			*d, ok = r[i].(int64)
		case *string:
			*d, ok = r[i].(string)
		case *[]byte:
			if *d, ok = r[i].([]byte); !ok && r[i] == nil {
				*d, ok = nil, true
			}
		case *bool:
			var n int64
			n, ok = r[i].(int64)
			*d = n != 0
		}
		if !ok {
			return fmt.Errorf("scan column %d: a %T does not go into a %T", i+1, r[i], d)
		}
	}
	return nil
}
