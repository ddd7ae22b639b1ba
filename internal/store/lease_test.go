package store_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

func TestPartitions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, n := range []int{2, 3, 1} {
			if err := db.EnsurePartitions(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		got, err := db.Partitions(t.Context())
		if diff := cmp.Diff([]int32{0, 1, 2}, got); err != nil || diff != "" {
			t.Errorf("Partitions: %v (-want +got):\n%s", err, diff)
		}
		if _, err := db.Checkpoint(t.Context(), 7); !fault.Is(err, fault.NotFound) {
			t.Errorf("Checkpoint(7) = %v, want not found", err)
		}
	})
}

func TestLease(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		var now atomic.Int64
		now.Store(1_000_000)
		o.Now = func() time.Time { return time.UnixMilli(now.Load()) }
		db, ctx := storetest.Open(t, o), t.Context()
		if err := db.EnsurePartitions(ctx, 1); err != nil {
			t.Fatal(err)
		}
		acquire := func(owner string, steal, want bool, epoch int64) engine.Lease {
			t.Helper()
			l, ok, err := db.Acquire(ctx, 0, owner, 10*time.Second, steal)
			if err != nil || ok != want || ok && l.Epoch != epoch {
				t.Fatalf("Acquire(%s, %v) = %+v, %v, %v, want %v with epoch %d", owner, steal, l, ok, err, want, epoch)
			}
			return l
		}
		acquire("a", false, true, 1)
		acquire("b", false, false, 0)
		a := acquire("a", false, true, 2)
		within(t, db, a, func(tx engine.Tx) error { return tx.Advance(ctx, 0, 12, "stream") })
		now.Add(9_000)
		if err := db.Renew(ctx, a, 10*time.Second); err != nil {
			t.Fatalf("Renew: %v", err)
		}
		now.Add(9_000)
		acquire("b", false, false, 0)
		now.Add(1_000)
		b := acquire("b", false, true, 3)
		if want := (engine.Lease{Owner: "b", Epoch: 3, Checkpoint: 12, Stream: "stream"}); b != want {
			t.Errorf("Acquire(b) = %+v, want %+v", b, want)
		}
		if err := db.Renew(ctx, a, time.Second); !errors.Is(err, engine.ErrFenced) {
			t.Errorf("Renew of a lost lease = %v, want ErrFenced", err)
		}
		if err := db.Transact(ctx, a, func(engine.Tx) error { t.Error("ran"); return nil }); !errors.Is(err, engine.ErrFenced) {
			t.Errorf("Transact of a lost lease = %v, want ErrFenced", err)
		}
		if err := db.Release(ctx, a); err != nil {
			t.Errorf("Release of a lost lease = %v", err)
		}
		acquire("a", false, false, 0)
		acquire("a", true, true, 4)
		if err := db.Release(ctx, engine.Lease{Epoch: 4}); err != nil {
			t.Fatal(err)
		}
		acquire("c", false, true, 5)
		if _, ok, err := db.Acquire(ctx, 9, "c", time.Second, true); ok || err != nil {
			t.Errorf("Acquire of an unknown partition = %v, %v", ok, err)
		}
	})
}

func TestAdvanceRefusesGap(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := lease(t, db)
		within(t, db, l, func(tx engine.Tx) error { return tx.Advance(t.Context(), 0, 5, "s") })
		for _, from := range []uint64{0, 4, 6} {
			err := db.Transact(t.Context(), l, func(tx engine.Tx) error { return tx.Advance(t.Context(), from, 7, "s") })
			if !errors.Is(err, engine.ErrGap) {
				t.Errorf("Advance from %d = %v, want ErrGap", from, err)
			}
		}
		if at, err := db.Checkpoint(t.Context(), 0); err != nil || at != 5 {
			t.Errorf("Checkpoint() = %d, %v, want 5", at, err)
		}
	})
}

// TestTransactFencesRunning takes the lease while a transaction runs under it: the taker waits, and the transaction's
// commit counts.
func TestTransactFencesRunning(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := lease(t, db)
		taken := make(chan engine.Lease, 1)
		within(t, db, l, func(tx engine.Tx) error {
			go func() {
				n, _, err := db.Acquire(context.WithoutCancel(t.Context()), 0, "other", time.Hour, true)
				if err != nil {
					t.Error(err)
				}
				taken <- n
			}()
			select {
			case <-taken:
				t.Error("the lease was taken inside a transaction that runs under it")
			case <-time.After(50 * time.Millisecond):
			}
			return tx.Advance(t.Context(), 0, 3, "s")
		})
		if n := <-taken; n.Checkpoint != 3 || n.Epoch != l.Epoch+1 {
			t.Errorf("lease taken after = %+v, want checkpoint 3 and epoch %d", n, l.Epoch+1)
		}
		if err := db.Transact(t.Context(), l, func(engine.Tx) error { return nil }); !errors.Is(err, engine.ErrFenced) {
			t.Errorf("Transact = %v, want ErrFenced", err)
		}
	})
}

func TestSavepoint(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, ctx, bad := lease(t, db), t.Context(), errors.New("bad op")
		put := func(tx engine.Tx, name string, last int64) error {
			return tx.Write(ctx, &engine.Changes{Counters: []engine.Counter{{Workspace: 1, Name: name, Last: last}}})
		}
		within(t, db, l, func(tx engine.Tx) error {
			if err := put(tx, "before", 1); err != nil {
				return err
			}
			err := tx.Savepoint(ctx, func() error {
				if err := tx.Savepoint(ctx, func() error { return put(tx, "inner", 1) }); err != nil {
					return err
				}
				return errors.Join(put(tx, "before", 2), bad)
			})
			if !errors.Is(err, bad) {
				t.Errorf("Savepoint = %v, want the op's error", err)
			}
			// A statement that the database refuses: the transaction must stay usable on both.
			err = tx.Savepoint(ctx, func() error { return refused(ctx, tx) })
			if err == nil {
				t.Error("a refused statement succeeded")
			}
			func() {
				defer func() { _ = recover() }()
				_ = tx.Savepoint(ctx, func() error {
					if err := put(tx, "panicked", 1); err != nil {
						t.Error(err)
					}
					panic("defect")
				})
			}()
			return tx.Savepoint(ctx, func() error { return put(tx, "after", 3) })
		})
		within(t, db, l, func(tx engine.Tx) error {
			got, err := tx.Counters(ctx, 1)
			if diff := cmp.Diff(map[string]int64{"before": 1, "after": 3}, got); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
			return err
		})
		// Outside a savepoint a refused statement fails the transaction, even when fn hides the error.
		err := db.Transact(ctx, l, func(tx engine.Tx) error {
			if err := put(tx, "lost", 1); err != nil {
				return err
			}
			_ = refused(ctx, tx)
			return nil
		})
		if err == nil || count(t, db, `counters WHERE name = 'lost'`) != 0 {
			t.Errorf("Transact with a refused statement = %v, want an error and no rows", err)
		}
	})
}

// refused writes an activity's number twice.
func refused(ctx context.Context, tx engine.Tx) error {
	a := event.Activity{Workspace: 1, Seq: 1, Name: "x"}
	return tx.Write(ctx, &engine.Changes{Activities: []event.Activity{a, a}})
}
