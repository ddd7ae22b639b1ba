package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rapport.example/internal/engine"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// lease takes partition 0 of a database with one partition.
func lease(tb testing.TB, db *store.DB) engine.Lease {
	tb.Helper()
	if err := db.EnsurePartitions(tb.Context(), 1); err != nil {
		tb.Fatalf("EnsurePartitions: %v", err)
	}
	l, ok, err := db.Acquire(tb.Context(), 0, "test", time.Hour, false)
	if err != nil || !ok {
		tb.Fatalf("Acquire = %v, %v", ok, err)
	}
	return l
}

// within runs fn in a transaction that must succeed.
func within(tb testing.TB, db *store.DB, l engine.Lease, fn func(tx engine.Tx) error) {
	tb.Helper()
	if err := db.Transact(tb.Context(), l, fn); err != nil {
		tb.Fatalf("Transact: %v", err)
	}
}

// write commits changes.
func write(tb testing.TB, db *store.DB, l engine.Lease, c *engine.Changes) {
	tb.Helper()
	within(tb, db, l, func(tx engine.Tx) error { return tx.Write(tb.Context(), c) })
}

// count counts the rows of a table, or of anything that can follow FROM.
func count(tb testing.TB, db *store.DB, from string, args ...any) int64 {
	tb.Helper()
	var n int64
	if err := db.QueryRows(tb.Context(), `SELECT count(*) FROM `+from, args, func(r store.Row) error { return r.Scan(&n) }); err != nil {
		tb.Fatalf("count %s: %v", from, err)
	}
	return n
}

// TestParametersByNumber pins that $n is bound by its number: a driver that binds by first appearance answers wrongly
// without an error.
func TestParametersByNumber(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const sql = `SELECT CAST($2 AS TEXT), CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT)`
		want := []string{"two", "one", "two", "three"}
		check := func(r store.Row) error {
			got := make([]string, 4)
			if err := r.Scan(&got[0], &got[1], &got[2], &got[3]); err != nil {
				return err
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("parameters (-want +got):\n%s", diff)
			}
			return nil
		}
		args := []any{"one", "two", "three"}
		if err := db.QueryRows(t.Context(), sql, args, check); err != nil {
			t.Errorf("reader: %v", err)
		}
		err := db.Write(t.Context(), func(c interface {
			QueryAll(ctx context.Context, sql string, args []any, scan func(store.Row) error) error
		},
		) error {
			return c.QueryAll(t.Context(), sql, args, check)
		})
		if err != nil {
			t.Errorf("writer: %v", err)
		}
	})
}

func TestQuerySetInPieces(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, n := range []int{0, 1, 63, 64, 65, 333} {
			want := make([]int64, n)
			texts := make([]string, n)
			for i := range want {
				want[i], texts[i] = int64(i), "x"
			}
			var got []int64
			err := db.QuerySet(t.Context(), `WITH k (n, s) AS ({rows}) SELECT n FROM k WHERE s = 'x'`, store.Set{want, texts}, func(r store.Row) error {
				var v int64
				err := r.Scan(&v)
				got = append(got, v)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.SortSlices(func(a, b int64) bool { return a < b }), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%d rows (-want +got):\n%s", n, diff)
			}
		}
	})
}

func TestSecretStays(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		first := storetest.Open(t, o).Secret()
		second := storetest.Open(t, o).Secret()
		if len(first) != 32 || !cmp.Equal(first, second) {
			t.Errorf("Secret() = %x, then %x, want the same 32 bytes", first, second)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]store.Options{
		"nothing":    {Now: time.Now},
		"both":       {Now: time.Now, Dir: t.TempDir(), URL: "postgres://localhost/x"},
		"no clock":   {Dir: t.TempDir()},
		"no folder":  {Now: time.Now, Dir: t.TempDir() + "/missing"},
		"bad url":    {Now: time.Now, URL: "postgres://user:secret@host:bad/x"},
		"no server":  {Now: time.Now, URL: "postgres:///x?host=" + t.TempDir()},
		"wrong port": {Now: time.Now, URL: "postgres://u:secret@127.0.0.1:1/x?connect_timeout=2"},
	} {
		if db, err := store.Open(t.Context(), o); err == nil {
			t.Errorf("%s: Open succeeded", name)
			_ = db.Close()
		}
	}
}

func TestPanicRollsBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := lease(t, db)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = db.Transact(t.Context(), l, func(tx engine.Tx) error {
				if err := tx.Advance(t.Context(), 0, 9, "s"); err != nil {
					t.Error(err)
				}
				panic("defect")
			})
		}()
		if at, err := db.Checkpoint(t.Context(), 0); err != nil || at != 0 {
			t.Errorf("Checkpoint() = %d, %v, want 0", at, err)
		}
		within(t, db, l, func(tx engine.Tx) error { return tx.Advance(t.Context(), 0, 1, "s") })
	})
}

func TestTransient(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if db.Transient(nil) || db.Transient(errors.New("x")) || db.Transient(engine.ErrFenced) {
			t.Error("Transient is true for what is not")
		}
		if err := db.Exec(t.Context(), `INSERT INTO nowhere VALUES (1)`); err == nil || db.Transient(err) {
			t.Errorf("Transient(%v) = true", err)
		}
	})
}

func TestCloseTwice(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for range 2 {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.EnsurePartitions(t.Context(), 1); err == nil {
			t.Error("a write succeeded after Close")
		}
		if err := db.Ping(t.Context()); err == nil {
			t.Error("a read succeeded after Close")
		}
	})
}
