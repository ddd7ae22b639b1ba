package store_test

import (
	"context"
	"fmt"
	"testing"

	"rapport.example/internal/engine"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestStatementsAreBounded: each day has statements of its own, and a server that runs for years does not keep them all.
func TestStatementsAreBounded(t *testing.T) {
	t.Parallel()
	db, ctx := storetest.Open(t, storetest.Options(t, storetest.SQLite)), t.Context()
	for range 2 {
		err := db.Write(ctx, func(c interface {
			QueryAll(ctx context.Context, sql string, args []any, scan func(store.Row) error) error
		},
		) error {
			for n := range 1500 {
				if err := c.QueryAll(ctx, fmt.Sprintf(`SELECT %d`, n), nil, func(store.Row) error { return nil }); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Exec(ctx, `DELETE FROM mailbox WHERE id = $1`, int64(1)); err != nil {
		t.Fatal(err)
	}
	if n := db.Statements(); n > 100 {
		t.Errorf("%d statements are kept after a transaction that begins with 1,500", n)
	}
}

// TestReleaseForgets: what was kept of a partition's people goes with its lease.
func TestReleaseForgets(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := lease(t, db)
		if err := db.Transact(t.Context(), l, func(engine.Tx) error { return nil }); err != nil || db.Caches() != 1 {
			t.Fatalf("%d caches, %v; want 1", db.Caches(), err)
		}
		if err := db.Release(t.Context(), l); err != nil || db.Caches() != 0 {
			t.Errorf("%d caches are left after the release, %v", db.Caches(), err)
		}
	})
}
