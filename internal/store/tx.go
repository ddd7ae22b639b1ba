package store

import (
	"context"
	"fmt"

	"rapport.example/internal/engine"
)

// tx is the engine's open transaction: what it loads is in tx_load.go and tx_people.go, what it writes in tx_write.go.
type tx struct {
	c         conn
	partition int64
	cache     *cache // of the partition: what this transaction writes is in it at once

	dialect *dialect
}

var (
	_ engine.Store = (*DB)(nil)
	_ engine.Tx    = (*tx)(nil)
)

// Advance moves the partition's checkpoint; ErrGap unless it stands at from.
func (t *tx) Advance(ctx context.Context, from, to uint64, stream string) error {
	const sql = `UPDATE partitions SET checkpoint = $3, stream_id = $4 WHERE id = $1 AND checkpoint = $2`
	n, err := t.c.exec(ctx, sql, t.partition, int64(from), int64(to), stream)
	switch {
	case err != nil:
		return fmt.Errorf("advance the checkpoint: %w", err)
	case n == 0:
		return fmt.Errorf("partition %d is not at %d: %w", t.partition, from, engine.ErrGap)
	}
	return nil
}

// Savepoint runs fn so that its writes are undone when it fails or panics; the transaction stays usable. Savepoints nest.
func (t *tx) Savepoint(ctx context.Context, fn func() error) error {
	whole := false
	defer func() {
		if !whole { // also on a panic
			t.cache.reset()
		}
	}()
	err := t.c.savepoint(ctx, fn)
	whole = err == nil
	return err
}

// collect reads all rows of a query through a noun's scan function.
func collect[T any](run func(scan func(row) error) error, scan func(row) (T, error)) ([]T, error) {
	var out []T
	err := run(func(r row) error {
		v, err := scan(r)
		if err == nil {
			out = append(out, v)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// list is collect over one statement.
func list[T any](ctx context.Context, q querier, sql string, args []any, scan func(row) (T, error)) ([]T, error) {
	return collect(func(s func(row) error) error { return q.query(ctx, sql, args, s) }, scan)
}

// lookUp is collect over a set of keys.
func lookUp[T any](ctx context.Context, q querier, sql string, keys set, scan func(row) (T, error)) ([]T, error) {
	return collect(func(s func(row) error) error { return q.querySet(ctx, sql, keys, s) }, scan)
}
