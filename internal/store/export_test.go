package store

import (
	"context"
	"io/fs"
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
}) error) error {
	return db.write(ctx, func(c conn) error { return fn(exported{c}) })
}

type exported struct{ c conn }

func (e exported) QueryAll(ctx context.Context, sql string, args []any, scan func(Row) error) error {
	return e.c.query(ctx, sql, args, scan)
}

// Migrations are the embedded ones.
func Migrations() fs.FS { return migrations }

var (
	EncodeJourney = encodeJourney
	DecodeJourney = decodeJourney
)

// Statements are those of the engine that the tests ask the planners about.
func Statements() map[string]string {
	return map[string]string{
		"history": historySQL, "queued": queuedSQL, "lost": lostSQL, "replace": replaceDelivery, "blank": blankDeliveries,
		"activities": dropActivities, "decisions": dropDecisions,
	}
}
