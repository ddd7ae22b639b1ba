package server_test

import (
	"testing"

	"rapport.example/internal/doctor"
	"rapport.example/internal/workspace"
)

// TestDoctor lets the doctor look at a server of ours: every row is ok, and none is skipped with a key at hand.
func TestDoctor(t *testing.T) {
	t.Parallel()
	i := started(t, "vendor")
	r, err := doctor.Run(t.Context(), doctor.Options{Key: secret(i, workspace.App)}, i.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		if row.Status != doctor.OK {
			t.Errorf("%s: %s, %s", row.ID, row.Status, row.Found)
		}
	}
}
