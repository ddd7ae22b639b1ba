package admin_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/api/app"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestMembership: the answer is the tree of the condition with the person's values, and only of the workspace that is asked.
func TestMembership(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := newServer(t, db, nil)
		call[any](s, "POST", "apply", admin.ApplyRequest{YAML: file}, 200)
		s.Do(s.Identify("7", `{"email":"ada@example.com","plan":"pro"}`), s.Identify("8", `{"plan":"free"}`))
		got := call[admin.MembershipAnswer](s, "GET", "people/7/segments/paying", nil, 200)
		line := admin.Reason{Condition: `plan is "pro"`, Value: `"pro"`, True: true}
		want := &admin.Reason{Condition: "all of", True: true, Parts: []admin.Reason{line}}
		if diff := cmp.Diff(want, got.Why); diff != "" || !got.Member || got.Since == 0 || got.State != "ready" {
			t.Errorf("7 in paying = %+v (-want +got):\n%s", got, diff)
		}
		got = call[admin.MembershipAnswer](s, "GET", "people/8/segments/paying", nil, 200)
		if got.Member || got.Since != 0 || got.Why.True || got.Why.Parts[0].Value != `"free"` {
			t.Errorf("8 in paying = %+v", got)
		}
		for path, status := range map[string]int{
			"people/9/segments/paying": 404, "people/7/segments/none": 404, "people/7/segments/99999": 404,
			"people/%00/segments/paying": 400, "people/7/segments/paying?workspace=none": 404,
		} {
			call[problem](s, "GET", path, nil, status)
		}
	})
}

// TestApplyWarns: names that nobody was seen with are warned of, with their place in the file, and applied.
func TestApplyWarns(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := newServer(t, db, nil)
		const odd = "schema: 1\nworkspace: acme\nsegments:\n  - id: odd\n    conditions: {any: [{attribute: plan, is: x}, {attribute: plam.b, is: x}]}\n"
		if got := call[admin.ApplyAnswer](s, "POST", "apply", admin.ApplyRequest{YAML: odd, DryRun: true}, 200); got.Warnings != nil {
			t.Errorf("warnings of an empty workspace = %+v", got.Warnings)
		}
		call[any](s, "POST", "apply", admin.ApplyRequest{YAML: file}, 200)
		s.Do(s.Identify("7", `{"email":"ada@example.com","plan":"pro"}`))
		want := []admin.Warning{{
			Warning: app.Warning{Field: "segments.odd.conditions.any[1].attribute", Message: "nobody was seen with an attribute plam; did you mean plan?"}, Line: 5, Column: 51,
		}}
		for _, dry := range []bool{true, false} {
			got := call[admin.ApplyAnswer](s, "POST", "apply", admin.ApplyRequest{YAML: odd, DryRun: dry}, 200)
			if diff := cmp.Diff(want, got.Warnings); diff != "" || !got.Changed {
				t.Errorf("apply, dry run %t: changed %t, warnings (-want +got):\n%s", dry, got.Changed, diff)
			}
		}
		// What does not change is not looked at again.
		if got := call[admin.ApplyAnswer](s, "POST", "apply", admin.ApplyRequest{YAML: odd}, 200); got.Warnings != nil {
			t.Errorf("warnings of no change = %+v", got.Warnings)
		}
	})
}
