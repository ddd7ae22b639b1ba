package store_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rapport.example/internal/engine"
	"rapport.example/internal/store/storetest"
)

// TestRenewBehindLongTransaction holds a lease through a transaction that takes longer than the lease lasts: the renewal
// that waits for its row counts from the transaction's end, so nobody takes the lease then.
func TestRenewBehindLongTransaction(t *testing.T) {
	t.Parallel()
	const ttl = 10 * time.Second
	o := storetest.Options(t, storetest.Postgres)
	var now atomic.Int64
	now.Store(1_000_000)
	o.Now = func() time.Time { return time.UnixMilli(now.Load()) }
	db, ctx := storetest.Open(t, o), t.Context()
	if err := db.EnsurePartitions(ctx, 1); err != nil {
		t.Fatal(err)
	}
	lease, ok, err := db.Acquire(ctx, 0, "a", ttl, false)
	if err != nil || !ok {
		t.Fatalf("Acquire: %v, %v", ok, err)
	}
	renewed := make(chan error, 1)
	err = db.Transact(ctx, lease, func(engine.Tx) error {
		go func() { renewed <- db.Renew(ctx, lease, ttl) }()
		c, err := pgx.Connect(ctx, o.URL)
		if err != nil {
			return err
		}
		defer c.Close(ctx)
		for waits, tick := 0, time.NewTicker(5*time.Millisecond); waits == 0; <-tick.C {
			const sql = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
			if err := c.QueryRow(ctx, sql).Scan(&waits); err != nil {
				return err
			}
		}
		now.Add((3 * ttl).Milliseconds()) // the transaction takes that long
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-renewed; err != nil {
		t.Fatal(err)
	}
	if _, ok, err := db.Acquire(ctx, 0, "b", ttl, false); err != nil || ok {
		t.Errorf("another node takes the lease after the long transaction: %v, %v", ok, err)
	}
}
