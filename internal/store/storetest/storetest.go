// Package storetest gives each test a fresh database on every backend. PostgreSQL is one cluster a test process, or the one
// that RAPPORT_TEST_POSTGRES_URL names (see the command pgserver beside), with a database a test. A missing PostgreSQL
// fails the test.
package storetest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rapport.example/internal/id"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest/cluster"
)

// The backends' names, as subtests and benchmarks carry them.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Backends lists all backends.
func Backends() []string { return []string{SQLite, Postgres} }

// Each runs fn on a fresh database of every backend, in parallel subtests named backend=….
func Each(t *testing.T, fn func(t *testing.T, db *store.DB)) {
	t.Helper()
	EachOptions(t, func(t *testing.T, o store.Options) { fn(t, Open(t, o)) })
}

// EachOptions is Each for tests that open the database themselves: to change an option, twice, or after a crash.
func EachOptions(t *testing.T, fn func(t *testing.T, o store.Options)) {
	t.Helper()
	for _, backend := range Backends() {
		t.Run("backend="+backend, func(t *testing.T) {
			t.Parallel()
			fn(t, Options(t, backend))
		})
	}
}

// Open opens the database and closes it at the end of the test.
func Open(tb testing.TB, o store.Options) *store.DB {
	tb.Helper()
	db, err := store.Open(tb.Context(), o)
	if err != nil {
		tb.Fatalf("open the database: %v", err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close the database: %v", err)
		}
	})
	return db
}

// Options name a fresh database that is gone at the end of the test, with the real clock.
func Options(tb testing.TB, backend string) store.Options {
	tb.Helper()
	o := store.Options{Now: time.Now}
	if backend == SQLite {
		o.Dir = tb.TempDir()
		return o
	}
	pg, err := shared()
	if err != nil {
		tb.Fatalf("PostgreSQL for the tests: %v", err)
	}
	name := "t_" + strings.ToLower(id.New(time.Now()))
	if err := admin(tb.Context(), pg.base, fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", name, template)); err != nil {
		tb.Fatalf("create a database: %v", err)
	}
	tb.Cleanup(func() {
		if err := admin(context.Background(), pg.base, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("drop the database: %v", err)
		}
	})
	o.URL = database(pg.base, name)
	return o
}

// template is the migrated database that the tests' databases are copies of.
const template = "rapport_template"

// server is the cluster that the tests use. It holds on to one of its own, whose keeper would else see its input closed by
// the garbage collector.
type server struct {
	own  *cluster.Cluster // nil if it is somebody else's
	base string           // URL of its first database
}

// shared is one for the whole test process, which only a package variable can say. The cluster ends with the process.
var shared = sync.OnceValues(func() (server, error) {
	s := server{base: os.Getenv(cluster.EnvURL)}
	if s.base == "" {
		c, err := cluster.Start()
		if err != nil {
			return s, err
		}
		s.own, s.base = c, c.URL("postgres")
	}
	return s, makeTemplate(context.Background(), s.base)
})

// makeTemplate makes the template once for all processes that share the cluster. It gets its name when it is finished and
// nobody is connected to it any more, as copying it demands. Migrations that are newer than it are applied to the copies.
func makeTemplate(ctx context.Context, base string) error {
	c, err := pgx.Connect(ctx, base)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }() //nolint:errcheck // releases the lock
	if _, err := c.Exec(ctx, `SELECT pg_advisory_lock(7810772)`); err != nil {
		return err
	}
	var exists bool
	if err := c.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`, template).Scan(&exists); err != nil || exists {
		return err
	}
	for _, sql := range [...]string{"DROP DATABASE IF EXISTS " + template + "_new", "CREATE DATABASE " + template + "_new"} {
		if _, err := c.Exec(ctx, sql); err != nil {
			return err
		}
	}
	db, err := store.Open(ctx, store.Options{URL: database(base, template+"_new"), Now: time.Now})
	if err != nil {
		return fmt.Errorf("migrate the template: %w", err)
	}
	if err := db.Close(); err != nil {
		return err
	}
	_, err = c.Exec(ctx, "ALTER DATABASE "+template+"_new RENAME TO "+template)
	return err
}

// admin runs one statement in the cluster's first database.
func admin(ctx context.Context, base, sql string) error {
	c, err := pgx.Connect(ctx, base)
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, sql)
	if closed := c.Close(ctx); err == nil {
		err = closed
	}
	return err
}

// database is base with another database's name.
func database(base, name string) string {
	u, err := url.Parse(base)
	if err != nil { // pgx has connected to it before
		return base
	}
	u.Path = "/" + name
	return u.String()
}
