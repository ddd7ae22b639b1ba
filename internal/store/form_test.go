package store_test

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"rapport.example/internal/engine"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestForms writes forms, changes one and reads them as the engine and as a page do, in the same order on both databases.
func TestForms(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		l, ctx := lease(t, db), t.Context()
		form := func(ws int64, id string, fields ...string) engine.Form {
			return engine.Form{Workspace: ws, ID: id, Fields: append([]string{}, fields...), Submissions: 1, Refused: 2, Created: 3, Updated: 4}
		}
		upper, lower, other := form(1, "Z", "ü\"\\", "b"), form(1, "a"), form(2, "a", "x")
		write(t, db, l, &engine.Changes{PutForms: []engine.Form{lower, other, upper}})
		lower.Fields, lower.Submissions, lower.Refused, lower.Updated = []string{"c"}, 5, 6, 7
		write(t, db, l, &engine.Changes{PutForms: []engine.Form{lower}})
		within(t, db, l, func(tx engine.Tx) error {
			got, err := tx.Forms(ctx, []engine.FormRef{{Workspace: 1, ID: "a"}, {Workspace: 1, ID: "A"}, {Workspace: 2, ID: "a"}})
			same(t, "forms", []engine.Form{lower, other}, got, err)
			return nil
		})
		for after, want := range map[string][]engine.Form{"": {upper, lower}, "Z": {lower}, "a": nil} {
			got, err := db.Forms(ctx, 1, after, 5)
			if diff := gocmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("Forms after %q, %v (-want +got):\n%s", after, err, diff)
			}
		}
		if got, err := db.Forms(ctx, 1, "", 1); err != nil || len(got) != 1 {
			t.Errorf("one form = %v, %v", got, err)
		}
	})
}
