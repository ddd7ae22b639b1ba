package store_test

import (
	"fmt"
	"testing"

	"rapport.example/internal/catalog"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestReports: reports are kept by workspace and service, once each, and the oldest go.
func TestReports(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		ctx := t.Context()
		save := func(ws int64, service string, n int) {
			t.Helper()
			r := catalog.Report{ID: fmt.Sprintf("%05d", n), Service: service, Task: "t", Created: int64(n), Provenance: "agent"}
			if err := db.SaveReport(ctx, ws, r); err != nil {
				t.Fatal(err)
			}
		}
		for n := 1; n <= catalog.KeepReports+5; n++ {
			save(1, "a", n)
		}
		save(1, "a", catalog.KeepReports+5)
		save(1, "b", 1)
		save(2, "a", 1)
		got, err := db.Reports(ctx, 1, "a")
		if err != nil || len(got) != catalog.KeepReports || got[0].Created != catalog.KeepReports+5 || got[len(got)-1].Created != 6 {
			t.Errorf("%d reports, %v, want the newest %d", len(got), err, catalog.KeepReports)
		}
		for ws, service := range map[int64]string{1: "b", 2: "a"} {
			if got, err := db.Reports(ctx, ws, service); err != nil || len(got) != 1 {
				t.Errorf("workspace %d, %s: %v, %v, want one", ws, service, got, err)
			}
		}
	})
}
