package server_test

import (
	"testing"

	"rapport.example/internal/doctor"
	"rapport.example/internal/workspace"
)

// signIn are the rows of OAuth, which are held to account where that is served.
var signIn = map[string]bool{"resource-metadata": true, "server-metadata": true, "challenge": true}

// TestDoctor lets the doctor look at a server of ours: all other rows are ok, and none is skipped with a key at hand.
func TestDoctor(t *testing.T) {
	t.Parallel()
	i := started(t, "vendor")
	r, err := doctor.Run(t.Context(), doctor.Options{Key: secret(i, workspace.App)}, i.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		if row.Status != doctor.OK && !signIn[row.ID] {
			t.Errorf("%s: %s, %s", row.ID, row.Status, row.Found)
		}
	}
}
