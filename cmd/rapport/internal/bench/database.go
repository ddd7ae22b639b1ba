package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx

	"rapport.example/internal/id"
)

// scratch is a database for one part of the benchmark: a folder for SQLite, or a new database beside the one named.
type scratch struct{ url string }

// database makes a scratch database.
func (x *run) database(ctx context.Context, part string) (scratch, error) {
	if x.o.DatabaseURL == "" {
		return scratch{}, nil
	}
	name := strings.ToLower("rapport_bench_" + part + "_" + id.Secret(8))
	if err := execute(ctx, x.o.DatabaseURL, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return scratch{}, fmt.Errorf("make a scratch database: %w", err)
	}
	x.made = append(x.made, name)
	u, err := url.Parse(x.o.DatabaseURL)
	if err != nil {
		return scratch{}, errors.New("the database URL cannot be read")
	}
	u.Path = "/" + name
	if u.Host == "" { // a socket is named by the parameter host, which wins; the server wants a host in its place all the same
		u.Host = "localhost"
	}
	return scratch{u.String()}, nil
}

func (x *run) dropDatabases() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var errs []error
	for _, name := range x.made {
		errs = append(errs, execute(ctx, x.o.DatabaseURL, "DROP DATABASE "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"))
	}
	return errors.Join(errs...)
}

// settle does what PostgreSQL does by itself within the minutes after much was written: until then each row that is read is looked up among the
// transactions first, and its own processes do that beside whatever is measured.
func (s scratch) settle(ctx context.Context) error {
	if s.url == "" {
		return nil
	}
	if err := execute(ctx, s.url, "VACUUM (ANALYZE)"); err != nil {
		return fmt.Errorf("vacuum the scratch database: %w", err)
	}
	return nil
}

// execute has PostgreSQL do one thing, outside of any transaction.
func execute(ctx context.Context, databaseURL, statement string) (err error) {
	c, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	_, err = c.Exec(ctx, statement)
	return err
}

// watcher looks at the server's database from outside: what it sees is committed.
type watcher struct{ db *sql.DB }

func watch(ctx context.Context, dir, databaseURL string) (*watcher, error) {
	driver, source := "sqlite", "file:"+filepath.Join(dir, "rapport.db")+"?mode=ro&_pragma=busy_timeout(5000)"
	if databaseURL != "" {
		driver, source = "pgx", databaseURL
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &watcher{db}, db.PingContext(ctx)
}

func (w *watcher) close() error { return w.db.Close() }

func (w *watcher) number(ctx context.Context, query string, args ...any) (n int64, err error) {
	if err := w.db.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("look at the database: %w", err)
	}
	return n, nil
}

// last is the number of the newest activity.
func (w *watcher) last(ctx context.Context) (int64, error) {
	return w.number(ctx, `SELECT coalesce(max(seq), 0) FROM activities WHERE workspace = 1`)
}

// rows counts the activities behind number from.
func (w *watcher) rows(ctx context.Context, from int64) (int64, error) {
	return w.number(ctx, `SELECT count(*) FROM activities WHERE workspace = 1 AND seq > $1`, from)
}

// sample says that so many activities were committed by then.
type sample struct {
	at time.Time
	n  int64
}

const sampleEvery = 20 * time.Millisecond

// follow samples until stop is closed and n more than from activities are there.
func (w *watcher) follow(ctx context.Context, from int64, want <-chan int64) ([]sample, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("not everything that was acknowledged was applied"))
	defer cancel()
	var all []sample
	until := int64(-1)
	for {
		n, err := w.last(ctx)
		if err != nil {
			return nil, errors.Join(context.Cause(ctx), err)
		}
		if len(all) == 0 || all[len(all)-1].n != n-from {
			all = append(all, sample{time.Now(), n - from})
		}
		if until >= 0 && n-from >= until {
			return all, nil
		}
		t := time.NewTimer(sampleEvery)
		select {
		case until = <-want:
			want = nil
		case <-t.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		t.Stop()
	}
}
