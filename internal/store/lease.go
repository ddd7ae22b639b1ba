package store

import (
	"context"
	"fmt"
	"time"

	"rapport.example/internal/engine"
	"rapport.example/internal/fault"
)

// EnsurePartitions makes the rows of the partitions 0 to n-1 that are missing. Rows beyond stay.
func (db *DB) EnsurePartitions(ctx context.Context, n int) error {
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(i)
	}
	return db.write(ctx, func(c conn) error {
		return c.execSets(ctx, []bulk{{
			`INSERT INTO partitions (id, owner, epoch, lease_until, checkpoint, stream_id) {rows} ON CONFLICT DO NOTHING`,
			set{ids, repeat("", n), repeat(int64(0), n), repeat(int64(0), n), repeat(int64(0), n), repeat("", n)},
		}})
	})
}

// Partitions lists all partitions' ids, ascending.
func (db *DB) Partitions(ctx context.Context) ([]int32, error) {
	var out []int32
	err := db.queryRows(ctx, `SELECT id FROM partitions ORDER BY id`, nil, func(r row) error {
		var id int64
		if err := r.Scan(&id); err != nil {
			return err
		}
		out = append(out, int32(id))
		return nil
	})
	return out, err
}

// Checkpoint is the sequence of the last applied frame of a partition; NotFound if there is no such partition.
func (db *DB) Checkpoint(ctx context.Context, partition int32) (uint64, error) {
	var at int64
	found, err := db.queryOne(ctx, `SELECT checkpoint FROM partitions WHERE id = $1`, []any{partition}, &at)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "there is no partition %d", partition)
	}
	return uint64(at), err
}

const acquireSQL = `
	UPDATE partitions SET owner = $2, epoch = epoch + 1, lease_until = $3
	WHERE id = $1 AND (owner = '' OR owner = $2 OR lease_until <= $4 OR $5)
	RETURNING epoch, checkpoint, stream_id`

// Acquire takes the partition's lease for owner until now+ttl, if it is free, run out, already owner's, or steal is set.
// Each success raises the epoch. ok is false if another holds it. It waits for a transaction that runs under the lease.
func (db *DB) Acquire(ctx context.Context, partition int32, owner string, ttl time.Duration, steal bool) (lease engine.Lease, ok bool, err error) {
	now := db.now()
	lease = engine.Lease{Partition: partition, Owner: owner}
	err = db.write(ctx, func(c conn) error {
		ok = false
		args := []any{int64(partition), owner, now.Add(ttl).UnixMilli(), now.UnixMilli(), steal}
		return c.query(ctx, acquireSQL, args, func(r row) error {
			var checkpoint int64
			err := r.Scan(&lease.Epoch, &checkpoint, &lease.Stream)
			lease.Checkpoint, ok = uint64(checkpoint), err == nil
			return err
		})
	})
	if err != nil {
		return engine.Lease{}, false, fmt.Errorf("acquire partition %d: %w", partition, err)
	}
	return lease, ok, nil
}

// Renew prolongs the lease to now+ttl; ErrFenced if the epoch is no longer the lease's. A lease that has run out but that
// nobody took is renewed.
func (db *DB) Renew(ctx context.Context, lease engine.Lease, ttl time.Duration) error {
	const sql = `UPDATE partitions SET lease_until = $3 WHERE id = $1 AND epoch = $2`
	lock := `SELECT epoch FROM partitions WHERE id = $1` + db.dialect().forUpdate
	err := db.write(ctx, func(c conn) error {
		// Locking the row may wait for a transaction under this very lease. The time counts from when that has ended, else a
		// long transaction would come out of it with a lease that has run out again.
		epoch := int64(-1)
		if err := c.query(ctx, lock, []any{int64(lease.Partition)}, func(r row) error { return r.Scan(&epoch) }); err != nil {
			return err
		}
		n, err := c.exec(ctx, sql, int64(lease.Partition), lease.Epoch, db.now().Add(ttl).UnixMilli())
		if err == nil && n == 0 {
			return engine.ErrFenced
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("renew partition %d: %w", lease.Partition, err)
	}
	return nil
}

// Release gives the lease back, so that another may take it at once. Losing it before is no error. What was kept in memory
// under it goes.
func (db *DB) Release(ctx context.Context, lease engine.Lease) error {
	const sql = `UPDATE partitions SET owner = '', lease_until = 0 WHERE id = $1 AND epoch = $2`
	defer db.forget(lease.Partition, lease.Epoch)
	err := db.write(ctx, func(c conn) error {
		_, err := c.exec(ctx, sql, int64(lease.Partition), lease.Epoch)
		return err
	})
	if err != nil {
		return fmt.Errorf("release partition %d: %w", lease.Partition, err)
	}
	return nil
}

// Transact runs fn in one synced transaction that locks the partition's row and has checked that lease.Epoch is still
// its epoch (ErrFenced otherwise). It commits when fn returns nil, else rolls back and returns fn's error. A failed
// statement fails the whole transaction, unless it failed inside a Savepoint: so behaves PostgreSQL, and SQLite is made
// to. When the commit itself fails on a lost connection, whether it took place shows in the checkpoint.
func (db *DB) Transact(ctx context.Context, lease engine.Lease, fn func(engine.Tx) error) error {
	lock := `SELECT epoch FROM partitions WHERE id = $1` + db.dialect().forUpdate
	err := db.write(ctx, func(c conn) error {
		epoch := int64(-1)
		err := c.query(ctx, lock, []any{int64(lease.Partition)}, func(r row) error { return r.Scan(&epoch) })
		switch {
		case err != nil:
			return fmt.Errorf("lock partition %d: %w", lease.Partition, err)
		case epoch != lease.Epoch:
			return fmt.Errorf("partition %d: %w", lease.Partition, engine.ErrFenced)
		}
		return fn(&tx{c: c, partition: int64(lease.Partition), cache: db.cacheOf(lease), dialect: db.dialect()})
	})
	if err != nil {
		db.forget(lease.Partition, lease.Epoch)
	}
	return err
}
