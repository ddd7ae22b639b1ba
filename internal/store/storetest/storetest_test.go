package storetest_test

import (
	"testing"

	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

func TestEach(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if err := db.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := db.Workspaces(t.Context()); err != nil || len(got) != 0 {
			t.Errorf("Workspaces() = %v, %v, want none", got, err)
		}
	})
}
