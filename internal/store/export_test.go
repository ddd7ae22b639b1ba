package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"

	"rapport.example/internal/audience"
	"rapport.example/internal/event"
	"rapport.example/internal/filter"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// What the tests reach for inside.

type (
	Row = row
	Set = set
)

func OpenWith(ctx context.Context, o Options, files fs.FS) (*DB, error) { return open(ctx, o, files) }

func (db *DB) QueryRows(ctx context.Context, sql string, args []any, scan func(Row) error) error {
	return db.queryRows(ctx, sql, args, scan)
}

func (db *DB) QuerySet(ctx context.Context, sql string, s Set, scan func(Row) error) error {
	return db.querySet(ctx, sql, s, scan)
}

func (db *DB) Exec(ctx context.Context, sql string, args ...any) error {
	return db.write(ctx, func(c conn) error {
		_, err := c.exec(ctx, sql, args...)
		return err
	})
}

// Write runs fn in a write transaction with its query and exec functions.
func (db *DB) Write(ctx context.Context, fn func(c interface {
	QueryAll(ctx context.Context, sql string, args []any, scan func(Row) error) error
}) error,
) error {
	return db.write(ctx, func(c conn) error { return fn(openWrite{c}) })
}

type openWrite struct{ c conn }

func (e openWrite) QueryAll(ctx context.Context, sql string, args []any, scan func(Row) error) error {
	return e.c.query(ctx, sql, args, scan)
}

// Migrations are the embedded ones.
func Migrations() fs.FS { return migrations }

var (
	EncodeJourney = encodeJourney
	DecodeJourney = decodeJourney
)

// Plans are SQLite's plans of all statements that the write connection has run, by statement.
func (db *DB) Plans(ctx context.Context) (map[string][]string, error) {
	q := db.backend.(*sqliteDB)
	w := <-q.free
	defer func() { q.free <- w }()
	args := make([]driver.NamedValue, 16)
	for i := range args {
		args[i].Ordinal = i + 1
	}
	out := map[string][]string{}
	for _, sql := range slices.Collect(maps.Keys(w.stmts)) {
		rows, err := w.c.(driver.QueryerContext).QueryContext(ctx, "EXPLAIN QUERY PLAN "+sql, args)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sql, err)
		}
		line := make([]driver.Value, 4)
		for rows.Next(line) == nil {
			out[sql] = append(out[sql], line[3].(string))
		}
		if err := rows.Close(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Statements is how many statements SQLite's write connection keeps prepared.
func (db *DB) Statements() int {
	q := db.backend.(*sqliteDB)
	w := <-q.free
	defer func() { q.free <- w }()
	return len(w.stmts)
}

// Caches is how many partitions something is kept of in memory.
func (db *DB) Caches() int {
	db.mu.Lock()
	defer db.mu.Unlock()
	return len(db.caches)
}

// Pragma sets something of SQLite's write connection.
func (db *DB) Pragma(ctx context.Context, text string) error {
	return db.write(ctx, func(c conn) error { return c.script(ctx, "PRAGMA "+text) })
}

// SetCacheRoom bounds the caches that are made from now on.
func (db *DB) SetCacheRoom(bytes int) { db.room = bytes }

// Forget throws a partition's cache away.
func (db *DB) Forget(partition int32, epoch int64) { db.forget(partition, epoch) }

// SearchWithin is SearchPeople with pages of at most so many people looked at, and bytes of their documents.
func (db *DB) SearchWithin(ctx context.Context, ws int64, f *filter.Filter, after uint32, limit, people, bytes int) ([]*person.Document, uint32, error) {
	return db.searchWithin(ctx, ws, f, after, limit, searchBounds{people: people, bytes: bytes, pieces: 1})
}

// SearchObjectsWithin is SearchObjects with pages of at most so many objects looked at, and bytes of their attributes.
func (db *DB) SearchObjectsWithin(ctx context.Context, ws, typ int64, f *filter.Filter, after string, limit, objects, bytes int) ([]object.Object, string, error) {
	return db.searchObjects(ctx, ws, typ, f, after, limit, searchBounds{people: objects, bytes: bytes})
}

// EncodeEvents is a piece of events, by chain in the order of the first of each.
func EncodeEvents(list []event.Activity) []byte {
	var p eventPacker
	for _, a := range list {
		p.add([]byte(event.ChainName(a.Type, a.Name)), a.Person, a.At, a.Data)
	}
	return p.encode()
}

// DecodeEvents shows the events of one chain.
func DecodeEvents(piece []byte, chain string, each func(person uint32, at int64, data value.Value) error) error {
	r := eventReader{
		places: map[string]int{chain: 0}, wanted: []audience.Wanted{{Chain: chain, After: math.MinInt64}},
		each: func(_ int, person uint32, at int64, data value.Value) error { return each(person, at, data) },
	}
	return r.read(piece)
}

// DecodeTimers is decodeTimers.
var DecodeTimers = decodeTimers
