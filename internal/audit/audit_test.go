package audit_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/audit"
)

var update = flag.Bool("update", false, "rewrite golden files")

func chain(t *testing.T, n int) []audit.Entry {
	t.Helper()
	var list []audit.Entry
	var before audit.Hash
	for i := range n {
		e := audit.Entry{
			Workspace: 1, At: 1_800_000_000_000 + int64(i), ID: "01JD", Key: 7, Client: "test 1", Tool: "upsert_person", Digest: "ab",
			Arguments: map[string]any{"id": "…", "dry_run": true}, Scopes: []string{"read"}, Outcome: "ok", Calls: []audit.Call{{Method: "PUT", Path: "/api/v1/customers/…", Status: 200}},
		}
		if err := e.Seal(int64(i+1), before); err != nil {
			t.Fatal(err)
		}
		before = e.Hash
		list = append(list, e)
	}
	return list
}

// TestChain holds that every way to touch an entry is found, and where.
func TestChain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		touch func([]audit.Entry) []audit.Entry
		seq   int64
	}{
		{"nothing", func(l []audit.Entry) []audit.Entry { return l }, 0},
		{"a changed outcome", func(l []audit.Entry) []audit.Entry { l[2].Outcome = "refused"; return l }, 3},
		{"a changed argument", func(l []audit.Entry) []audit.Entry { l[1].Arguments = map[string]any{}; return l }, 2},
		{"one taken out", func(l []audit.Entry) []audit.Entry { return slices.Delete(l, 1, 2) }, 2},
		{"the first taken out", func(l []audit.Entry) []audit.Entry { return l[1:] }, 1},
		{"two exchanged", func(l []audit.Entry) []audit.Entry { l[1], l[2] = l[2], l[1]; return l }, 2},
		{"one replaced with its hash", func(l []audit.Entry) []audit.Entry {
			l[2].Tool = "get_person"
			if err := l[2].Seal(3, l[1].Hash); err != nil {
				t.Error(err)
			}
			return l
		}, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			list := test.touch(chain(t, 5))
			raw, err := json.Marshal(list) // as it comes from the API
			if err != nil {
				t.Fatal(err)
			}
			list = nil
			if err := json.Unmarshal(raw, &list); err != nil {
				t.Fatal(err)
			}
			var c audit.Chain
			for i := range list {
				if err = c.Add(&list[i]); err != nil {
					break
				}
			}
			var b *audit.Break
			if errors.As(err, &b); (test.seq == 0) != (err == nil) || b != nil && b.Seq != test.seq {
				t.Errorf("%v, want a break at %d", err, test.seq)
			}
		})
	}
}

// TestForm pins the form that hashes are taken of: chains that were kept must hold for as long as they are kept.
func TestForm(t *testing.T) {
	t.Parallel()
	got, err := json.MarshalIndent(chain(t, 2), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/chain.json"
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("chain (-golden +got):\n%s", diff)
	}
}

// TestRedact holds that nothing about people is kept.
func TestRedact(t *testing.T) {
	t.Parallel()
	got := audit.Redact(map[string]any{
		"id": "ada@example.com", "attributes": map[string]any{"email": "ada@example.com"}, "add": []any{"1", "2"}, "dry_run": true, "kind": "campaign", "limit": 5.0,
		"filter": map[string]any{"attribute": map[string]any{}}, "name": "signed_up", "include": []any{"attributes"}, "since": string(make([]byte, 600)), "unknown": nil,
	})
	want := map[string]any{
		"id": "…", "attributes": "object of 1", "add": "list of 2", "dry_run": true, "kind": "campaign", "limit": 5.0, "filter": "object of 1", "name": "…",
		"include": []any{"attributes"}, "since": "…", "unknown": nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
