package store_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/app"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestDataIndex keeps descriptions by workspace and kind, describes anew what was described, and keeps nothing beyond the bound.
func TestDataIndex(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		describe := func(ws int64, kind string, most int64, list ...app.Description) int64 {
			t.Helper()
			n, err := db.Describe(t.Context(), ws, kind, list, most)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		many := make([]app.Description, 100)
		for i := range many {
			many[i] = app.Description{Name: fmt.Sprintf("a%03d", i), Description: "d", Privacy: int64(i % 2)}
		}
		if n := describe(1, "attribute", 100, many...); n != 100 {
			t.Errorf("%d", n)
		}
		if n := describe(1, "attribute", 100, app.Description{Name: "one more"}, app.Description{Name: "a000", Description: "changed"}); n != 101 {
			t.Errorf("beyond the bound: %d", n)
		}
		describe(1, "attribute", 100, app.Description{Name: "a001", Description: "new"})
		describe(1, "event", 100, app.Description{Name: "a001"})
		describe(2, "attribute", 100, app.Description{Name: "theirs"})
		got, err := db.Described(t.Context(), 1, "attribute", "", 3)
		if err != nil {
			t.Fatal(err)
		}
		want := []app.Description{{Name: "a000", Description: "d"}, {Name: "a001", Description: "new"}, {Name: "a002", Description: "d"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if rest, err := db.Described(t.Context(), 1, "attribute", "a002", 1000); err != nil || len(rest) != 97 || rest[0].Name != "a003" {
			t.Errorf("%d, %v", len(rest), err)
		}
	})
}
