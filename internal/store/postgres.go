package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"rapport.example/internal/fault"
)

// postgresDB is a pool for the engine's transactions and one for everybody's reads.
type postgresDB struct {
	writes, reads *pgxpool.Pool
}

// openPostgres connects to a postgres:// URL.
func openPostgres(ctx context.Context, url string) (*postgresDB, error) {
	writes, err := newPool(ctx, url, map[string]string{
		// The engine's statements look rows up by key, whatever the planner thinks of a table that grows from empty to
		// millions between two ANALYZE runs: a plan made early must not scan it. Cached plans cost no planning.
		"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "plan_cache_mode": "force_generic_plan",
		// A node that hangs or is cut off must not hold a partition's row for long.
		"idle_in_transaction_session_timeout": "30000",
	})
	if err != nil {
		return nil, err
	}
	reads, err := newPool(ctx, url, nil)
	if err != nil {
		writes.Close()
		return nil, err
	}
	db := &postgresDB{writes: writes, reads: reads}
	if err := reads.Ping(ctx); err != nil {
		writes.Close()
		reads.Close()
		return nil, fault.Wrap(fault.Unavailable, err, "PostgreSQL does not answer")
	}
	return db, nil
}

func newPool(ctx context.Context, url string, params map[string]string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil { // the text would repeat the URL with its password
		return nil, fault.New(fault.Invalid, "the database URL is not a valid postgres:// URL")
	}
	if !strings.Contains(url, "pool_max_conns") {
		cfg.MaxConns = readers
	}
	// Everybody's documents and events are hundreds of megabytes, which pgx would read 8 KiB at a time.
	cfg.ConnConfig.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(bufio.NewReaderSize(r, 64<<10), w)
	}
	set := cfg.ConnConfig.RuntimeParams
	set["jit"] = "off"
	set["tcp_keepalives_idle"], set["tcp_keepalives_interval"], set["tcp_keepalives_count"] = "5", "5", "3"
	for k, v := range params {
		set[k] = v
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the PostgreSQL pool cannot be made")
	}
	return pool, nil
}

func (db *postgresDB) dialect() *dialect { return &onPostgres }

func (db *postgresDB) close() error {
	db.writes.Close()
	db.reads.Close()
	return nil
}

func (db *postgresDB) write(ctx context.Context, fn func(conn) error) error {
	return finish(ctx, db.writes, pgx.TxOptions{}, func(tx pgx.Tx) error { return fn(postgresConn{tx, &state{}}) })
}

func (db *postgresDB) snapshot(ctx context.Context, fn func(querier) error) error {
	return finish(ctx, db.reads, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly},
		func(tx pgx.Tx) error { return fn(postgresConn{tx, &state{}}) })
}

// finish commits if fn succeeds and rolls back otherwise, also when it panics.
func finish(ctx context.Context, pool *pgxpool.Pool, o pgx.TxOptions, fn func(pgx.Tx) error) error {
	tx, err := pool.BeginTx(ctx, o)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	done := false
	defer func() {
		if !done { // an error says that the connection is gone, and the transaction with it
			_ = tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // the error that led here is the one to tell
		}
	}()
	if err := fn(tx); err != nil {
		return err
	}
	done = true
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (db *postgresDB) query(ctx context.Context, sql string, args []any, scan func(row) error) error {
	return each(ctx, db.reads, sql, args, scan)
}

func (db *postgresDB) lent(ctx context.Context, sql string, args []any, each func(n int64, b []byte) error) error {
	var n int64
	var b []byte
	return db.query(ctx, sql, args, func(r row) error {
		if err := r.Scan(&n, onPostgres.lend(&b)); err != nil {
			return err
		}
		return each(n, b)
	})
}

func (db *postgresDB) backup(context.Context, string) error {
	return fault.New(fault.Unsupported, "back PostgreSQL up with pg_dump or its own tools")
}

// transient: connection lost or refused, server going down or out of room, serialization failure, deadlock, lock timeout.
func (db *postgresDB) transient(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch class := e.Code[:min(2, len(e.Code))]; class {
		case "08", "53", "57", "58":
			return true
		case "40":
			return e.Code != "40002" // an integrity violation stays one
		}
		return e.Code == "55P03" || e.Code == "25P03"
	}
	var ne net.Error
	var ce *pgconn.ConnectError
	return errors.As(err, &ce) || errors.As(err, &ne) && !errors.Is(err, context.Canceled) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err) || err != nil && strings.Contains(err.Error(), "conn closed")
}

func postgresUnique(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "23505"
}

// postgresConn is an open transaction.
type postgresConn struct {
	tx pgx.Tx
	*state
}

type state struct{ depth int }

// pgxQuerier is a pool or a transaction.
type pgxQuerier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func each(ctx context.Context, q pgxQuerier, sql string, args []any, scan func(row) error) error {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (c postgresConn) dialect() *dialect { return &onPostgres }

func (c postgresConn) query(ctx context.Context, sql string, args []any, scan func(row) error) error {
	return each(ctx, c.tx, sql, args, scan)
}

func (c postgresConn) querySet(ctx context.Context, sql string, s set, scan func(row) error) error {
	if s.len() == 0 {
		return nil
	}
	return each(ctx, c.tx, s.unnest(sql), s, scan)
}

func (c postgresConn) exec(ctx context.Context, sql string, args ...any) (int64, error) {
	tag, err := c.tx.Exec(ctx, sql, args...)
	return tag.RowsAffected(), err
}

// execSets sends all statements in one round trip.
func (c postgresConn) execSets(ctx context.Context, all []bulk) error {
	var b pgx.Batch
	var texts []string
	for _, s := range all {
		if s.rows.len() > 0 {
			b.Queue(s.rows.unnest(s.sql), s.rows...)
			texts = append(texts, s.sql)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	res := c.tx.SendBatch(ctx, &b)
	for _, text := range texts {
		if _, err := res.Exec(); err != nil {
			return errors.Join(fmt.Errorf("%.40s…: %w", text, err), ignore(res.Close(), err))
		}
	}
	return res.Close()
}

// script uses the simple protocol, which alone takes several statements at once.
func (c postgresConn) script(ctx context.Context, sql string) error {
	_, err := c.tx.Conn().PgConn().Exec(ctx, sql).ReadAll()
	return err
}

func (c postgresConn) savepoint(ctx context.Context, fn func() error) error {
	c.depth++
	defer func() { c.depth-- }()
	name := "s" + digits(c.depth)
	if _, err := c.tx.Exec(ctx, "SAVEPOINT "+name); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	done := false
	back := func() error {
		done = true
		return c.script(context.WithoutCancel(ctx), "ROLLBACK TO SAVEPOINT "+name+"; RELEASE SAVEPOINT "+name)
	}
	defer func() {
		if !done { // a panic of fn; a failure ends the transaction at its next statement
			_ = back() //nolint:errcheck // the error that led here is the one to tell
		}
	}()
	if err := fn(); err != nil {
		return errors.Join(err, back())
	}
	if _, err := c.tx.Exec(ctx, "RELEASE SAVEPOINT "+name); err != nil {
		return errors.Join(fmt.Errorf("release savepoint: %w", err), back())
	}
	done = true
	return nil
}
