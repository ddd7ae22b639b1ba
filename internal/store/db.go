// Package store is the SQL for every domain package, on SQLite (embedded) and PostgreSQL.
//
// One query text in $1 style serves both; what differs is in dialect.go. Hot state is loaded and committed a set at a
// time by the engine through Transact (lease.go, tx_*.go). Surfaces read through the read pool (queryRows, queryOne,
// querySet, snapshot), which never waits for the writer. Public methods open the transaction, private ones take it.
package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"rapport.example/internal/audit"
	"rapport.example/internal/batch"
	"rapport.example/internal/fault"
)

// Options say where the state is kept. Exactly one of Dir and URL is set.
type Options struct {
	Dir         string           // existing folder for the SQLite file rapport.db
	URL         string           // postgres://…
	Now         func() time.Time // real time, for leases; required
	Log         *slog.Logger     // nil = discard
	SkipMigrate bool             // leave the schema as it is until Migrate is called; nothing else works before
}

// DB is the open state database. All methods are safe for concurrent use.
type DB struct {
	backend
	now      func() time.Time
	log      *slog.Logger
	secret   []byte
	mails    batch.Group[Mail]
	audits   batch.Group[*audit.Entry]
	archives archiver
	room     int // bytes of all caches together
	mu       sync.Mutex
	caches   map[int32]*cache // by partition
	once     sync.Once        // closes
	closed   error            // what closing said
}

// backend is one of the two databases. Errors are the driver's, wrapped with what was being done.
type backend interface {
	// write runs fn in one transaction that is synced before write returns nil. The transaction is rolled back when fn
	// fails or panics, and when a statement failed inside it that no savepoint undid.
	write(ctx context.Context, fn func(conn) error) error
	// snapshot runs fn in a read-only transaction: all its queries see the same state.
	snapshot(ctx context.Context, fn func(querier) error) error
	query(ctx context.Context, sql string, args []any, scan func(row) error) error
	// lent runs a query whose columns are n, a number, and b, a blob, and shows each row in order. The blob, nil for NULL, is not copied: it is
	// each's during the call alone.
	lent(ctx context.Context, sql string, args []any, each func(n int64, b []byte) error) error
	transient(err error) bool
	dialect() *dialect
	backup(ctx context.Context, path string) error
	close() error
}

// querier reads.
type querier interface {
	// query runs one statement and calls scan for each row. An error of scan ends it and is returned as it is.
	query(ctx context.Context, sql string, args []any, scan func(row) error) error
	// querySet runs sql with {rows} standing for the set's rows, see set. scan sees rows in no particular order.
	querySet(ctx context.Context, sql string, s set, scan func(row) error) error
	dialect() *dialect
}

// conn is an open write transaction.
type conn interface {
	querier
	// exec returns the number of rows changed.
	exec(ctx context.Context, sql string, args ...any) (int64, error)
	// execSets runs bulk statements in order, in as few round trips as the database allows.
	execSets(ctx context.Context, all []bulk) error
	// script runs the statements of a migration.
	script(ctx context.Context, sql string) error
	// savepoint runs fn and undoes what it wrote when it fails.
	savepoint(ctx context.Context, fn func() error) error
}

// row is the current row of a query. Destinations are *int64, *string, *[]byte (nil for NULL, the caller's to keep) or
// *bool; narrower types are converted by the noun's scan function, so that all three drivers take their fast path.
type row interface{ Scan(dest ...any) error }

// Open connects, brings the schema up to date and reads the installation's secret. A schema newer than this program is
// refused with a Conflict fault, an unreachable or unusable database with an Unavailable or Invalid one. Close the DB.
func Open(ctx context.Context, o Options) (*DB, error) {
	return open(ctx, o, migrations)
}

func open(ctx context.Context, o Options, files fs.FS) (*DB, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	b, err := connect(ctx, o)
	if err != nil {
		return nil, err
	}
	db := &DB{backend: b, now: o.Now, log: o.Log, room: cacheRoom, caches: map[int32]*cache{}}
	db.mails.Flush, db.audits.Flush = db.saveMails, db.saveAudits
	db.archives.Flush, db.archives.room = db.saveArchives, semaphore.NewWeighted(archiveRoom)
	if o.SkipMigrate {
		return db, nil
	}
	if _, err := db.migrate(ctx, files); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return db, nil
}

func connect(ctx context.Context, o Options) (backend, error) {
	switch {
	case o.Now == nil:
		return nil, errors.New("store: Options.Now is not set")
	case (o.Dir == "") == (o.URL == ""):
		return nil, fault.New(fault.Invalid, "either a data folder or a database URL is needed")
	case o.URL != "":
		return openPostgres(ctx, o.URL)
	default:
		return openSQLite(ctx, o.Dir, o.Log)
	}
}

// Close waits for running transactions and closes all connections; methods fail from then on. Doing it again is harmless.
func (db *DB) Close() error {
	db.once.Do(func() {
		db.mails.Wait()
		db.audits.Wait()
		db.archives.Wait()
		db.archives.writing.Wait()
		db.closed = db.close()
	})
	return db.closed
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	_, err := db.queryOne(ctx, `SELECT 1`, nil, new(int64))
	return err
}

// Backend names the database for logs and pages: sqlite or postgres.
func (db *DB) Backend() string { return db.dialect().name }

// Transient reports whether err is worth repeating the same transaction: lost connection, serialization failure, busy
// database, full disk.
func (db *DB) Transient(err error) bool { return err != nil && db.transient(err) }

// Secret returns the installation's 32 random bytes, made at the first opening and never changed: ids and links are
// derived from it. The caller must not change them.
func (db *DB) Secret() []byte { return db.secret }

func (db *DB) loadSecret(ctx context.Context) error {
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return fmt.Errorf("make the installation's secret: %w", err)
	}
	return db.write(ctx, func(c conn) error {
		if _, err := c.exec(ctx, `INSERT INTO meta (name, value) VALUES ('secret', $1) ON CONFLICT DO NOTHING`, fresh); err != nil {
			return err
		}
		return c.query(ctx, `SELECT value FROM meta WHERE name = 'secret'`, nil, func(r row) error { return r.Scan(&db.secret) })
	})
}

// queryRows runs one reading statement on the read pool and calls scan for each row. Arguments are int64 (or narrower),
// string, []byte and bool. An error of scan ends the query and is returned as it is.
//
//	err := db.queryRows(ctx, `SELECT id, name FROM workspaces WHERE id > $1 ORDER BY id`, []any{after}, func(r row) error {
//		var w Named
//		if err := r.Scan(&w.ID, &w.Name); err != nil { return err }
//		out = append(out, w)
//		return nil
//	})
func (db *DB) queryRows(ctx context.Context, sql string, args []any, scan func(row) error) error {
	return db.query(ctx, sql, args, scan)
}

// queryOne scans the first row into dest; found is false if there is none.
func (db *DB) queryOne(ctx context.Context, sql string, args []any, dest ...any) (found bool, err error) {
	err = db.query(ctx, sql, args, func(r row) error {
		if found {
			return nil
		}
		found = true
		return r.Scan(dest...)
	})
	return found, err
}

// querySet reads by a list of keys of any length on the read pool, for example
//
//	db.querySet(ctx, `WITH k (workspace, person) AS ({rows})
//		SELECT o.person, o.sender FROM k CROSS JOIN optouts o WHERE o.workspace = k.workspace AND o.person = k.person`,
//		set{repeat(workspace, len(people)), people}, scan)
//
// The statement takes no other arguments, and rows come in no particular order: see set. An empty set runs nothing.
func (db *DB) querySet(ctx context.Context, sql string, s set, scan func(row) error) error {
	return db.snapshot(ctx, func(q querier) error { return q.querySet(ctx, sql, s, scan) })
}
