package store_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/store/storetest/cluster"
	"rapport.example/internal/value"
)

// TestFullDisk fills the file to a bound: the transaction is undone as a whole, also where the full disk struck inside a
// savepoint, the error is transient, and with room again all goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.Options(t, storetest.SQLite))
	l, ctx := lease(t, db), t.Context()
	big := value.Quote(string(bytes.Repeat([]byte("x"), 1<<20)))
	fill := func(tx engine.Tx) error {
		if err := tx.Advance(ctx, 0, 1, "s"); err != nil {
			return err
		}
		err := tx.Savepoint(ctx, func() error {
			return tx.Write(ctx, &engine.Changes{Activities: []event.Activity{{Workspace: 1, Seq: 1, Data: big}}})
		})
		if !db.Transient(err) {
			t.Errorf("Transient(%v) = false, want true", err)
		}
		// The engine goes on with other ops after a failed savepoint; nothing of this may be kept.
		return tx.Write(ctx, &engine.Changes{Counters: []engine.Counter{{Workspace: 1, Name: "x", Last: 1}}})
	}
	if err := db.Pragma(ctx, "max_page_count = 60"); err != nil {
		t.Fatal(err)
	}
	err := db.Transact(ctx, l, fill)
	at, cerr := db.Checkpoint(ctx, 0)
	if n := count(t, db, "counters"); cerr != nil || (err != nil) != (at == 0) || (err != nil) != (n == 0) {
		t.Errorf("Transact = %v, checkpoint %d (%v) and %d counters: neither all nor nothing", err, at, cerr, n)
	}
	if err := db.Pragma(ctx, "max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	within(t, db, l, func(tx engine.Tx) error {
		return tx.Write(ctx, &engine.Changes{Activities: []event.Activity{{Workspace: 1, Seq: 1, Data: big}}})
	})
}

// TestLostServer kills PostgreSQL inside a transaction: the error is transient, and the same DB works again when the
// server does.
func TestLostServer(t *testing.T) {
	t.Parallel()
	c, err := cluster.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	db := storetest.Open(t, store.Options{URL: c.URL("postgres"), Now: time.Now})
	l, ctx := lease(t, db), t.Context()
	within(t, db, l, func(tx engine.Tx) error { return tx.Advance(ctx, 0, 1, "s") })
	err = db.Transact(ctx, l, func(tx engine.Tx) error {
		err := tx.Advance(ctx, 1, 2, "s")
		return errors.Join(err, c.Kill(), tx.Write(ctx, &engine.Changes{Counters: []engine.Counter{{Workspace: 1, Name: "x", Last: 1}}}))
	})
	if err == nil || !db.Transient(err) {
		t.Errorf("Transact across a kill = %v, want a transient error", err)
	}
	if _, err := db.Checkpoint(ctx, 0); !db.Transient(err) {
		t.Errorf("Checkpoint with the server down = %v, want a transient error", err)
	}
	if err := db.Transact(ctx, l, func(engine.Tx) error { return nil }); !db.Transient(err) {
		t.Errorf("Transact with the server down = %v, want a transient error", err)
	}
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	// Pooled connections to the old server fail once each.
	for {
		at, err := db.Checkpoint(ctx, 0)
		if err == nil && at != 1 {
			t.Errorf("Checkpoint() = %d, want 1", at)
		}
		if err == nil {
			break
		}
		if !db.Transient(err) {
			t.Fatal(err)
		}
	}
	for {
		err := db.Transact(ctx, l, func(tx engine.Tx) error { return tx.Advance(ctx, 1, 2, "s") })
		if err == nil {
			break
		}
		if !db.Transient(err) {
			t.Fatal(err)
		}
	}
}

// TestDeadlockIsTransient makes two transactions of different partitions wait for each other.
func TestDeadlockIsTransient(t *testing.T) {
	t.Parallel()
	db, ctx := storetest.Open(t, storetest.Options(t, storetest.Postgres)), t.Context()
	if err := db.EnsurePartitions(ctx, 2); err != nil {
		t.Fatal(err)
	}
	put := func(tx engine.Tx, name string) error {
		return tx.Write(ctx, &engine.Changes{Counters: []engine.Counter{{Workspace: 1, Name: name, Last: 1}}})
	}
	held := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	results := make(chan error, 2)
	for i := range 2 {
		l, ok, err := db.Acquire(ctx, int32(i), "x", time.Hour, false)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		go func() {
			results <- db.Transact(ctx, l, func(tx engine.Tx) error {
				if err := put(tx, [...]string{"a", "b"}[i]); err != nil {
					return err
				}
				close(held[i])
				<-held[1-i]
				return put(tx, [...]string{"b", "a"}[i])
			})
		}()
	}
	first, second := <-results, <-results
	if first == nil {
		first, second = second, first
	}
	if first == nil || second != nil || !db.Transient(first) {
		t.Errorf("results = %v and %v, want one transient error", first, second)
	}
}
