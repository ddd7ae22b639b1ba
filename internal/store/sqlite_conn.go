package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"

	"rapport.example/internal/store/rowset"
)

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

// mostStatements is how many statements are kept prepared. A day's table of event ids has statements of its own, so that they
// become more day by day.
const mostStatements = 1024

// tidy closes all prepared statements when they have become too many. None may be in use.
func (w *sqliteConn) tidy() error {
	if len(w.stmts) <= mostStatements {
		return nil
	}
	var errs []error
	for _, s := range w.stmts {
		errs = append(errs, s.Close())
	}
	clear(w.stmts)
	return errors.Join(errs...)
}

func (w *sqliteConn) transact(ctx context.Context, fn func(conn) error) (err error) {
	w.failed, w.depth = nil, 0
	if err := w.tidy(); err != nil {
		return fmt.Errorf("close statements: %w", err)
	}
	if err := w.run(ctx, `BEGIN IMMEDIATE`); err != nil {
		w.rollback() // should one have been left open, the next attempt finds it gone
		return fmt.Errorf("begin: %w", err)
	}
	done := false
	defer func() { // an undo must run though the caller has gone
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
	if err := w.run(context.Background(), `COMMIT`); err != nil { // an undo must run though the caller has gone
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
	back := func() error { // an undo must run though the caller has gone
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
			_ = back() //nolint:errcheck // a failure is kept in w.failed
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
	res, err := s.(driver.StmtExecContext).ExecContext(context.Background(), args) // an undo must run though the caller has gone
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
	if _, err := w.c.(driver.ExecerContext).ExecContext(context.Background(), text, nil); err != nil { // an undo must run though the caller has gone
		w.failed = err
		return err
	}
	return nil
}

// maxRows is how many rows one statement writes. Some must be able to undo what they wrote so far (those that name a row by its number, which
// might be none), and for that SQLite keeps each page as it was in memory, which it had better use again.
const maxRows = 128

func (w *sqliteConn) execSets(ctx context.Context, all []bulk) error {
	for _, b := range all {
		text := b.rows.lent(b.sql)
		for from, n := 0, b.rows.len(); from < n; from += maxRows {
			err := rowset.Lend(b.rows.part(from, min(from+maxRows, n)), func(loan int64) error {
				return w.run(ctx, text, driver.NamedValue{Ordinal: 1, Value: loan})
			})
			if err != nil {
				return fmt.Errorf("%.40s…: %w", b.sql, err)
			}
		}
	}
	return nil
}

func (w *sqliteConn) dialect() *dialect { return &onSQLite }

func (w *sqliteConn) query(ctx context.Context, text string, args []any, scan func(row) error) error {
	vals, err := named(args)
	if err != nil {
		return err
	}
	return w.rows(ctx, text, vals, scan)
}

func (w *sqliteConn) querySet(ctx context.Context, text string, rows set, scan func(row) error) error {
	if rows.len() == 0 {
		return nil
	}
	return rowset.Lend(rows, func(loan int64) error {
		return w.rows(ctx, rows.lent(text), []driver.NamedValue{{Ordinal: 1, Value: loan}}, scan)
	})
}

func (w *sqliteConn) rows(ctx context.Context, text string, args []driver.NamedValue, scan func(row) error) error {
	if err := w.usable(ctx); err != nil {
		return err
	}
	s, err := w.prepare(text)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), args) // a statement is not cut short: the transaction is
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
