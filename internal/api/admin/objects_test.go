package admin_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/ingest"
	"rapport.example/internal/object"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

// TestObjects reads what was written about objects, from both ends of their relationships, in pages of any size.
func TestObjects(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newServer(t, db, nil)
		role := func(r string) value.Value { return value.Value(`{"role":"` + r + `"}`) }
		here := func(id string) object.Key { return object.Key{Type: 3, ID: id} }
		put := func(id, attributes string, people ...string) ingest.Op {
			p := ingest.ObjectPayload{Object: here(id), Attributes: value.Value(attributes)}
			for _, who := range people {
				p.Relations = append(p.Relations, ingest.Relation{By: ingest.By{ID: who}, Attributes: role(who)})
			}
			return s.Op(ingest.Object, p)
		}
		s.Do(s.Identify("ada", `{"email":"ada@example.com"}`), put("acme", `{"name":"Acme","old":1}`, "ada", "bob", "eve"), put("a/b ü", `{}`, "ada"),
			s.Op(ingest.Object, ingest.ObjectPayload{Object: object.Key{Type: 12, ID: "go"}, Relations: []ingest.Relation{{By: ingest.By{ID: "ada"}}}}))
		s.Do(put("acme", `{"old":null}`), s.Op(ingest.Delete, ingest.PersonPayload{By: ingest.By{ID: "eve"}}))

		if diff := cmp.Diff([]int64{3, 12}, call[admin.ObjectTypesAnswer](s, "GET", "object_types", nil, 200).Types); diff != "" {
			t.Errorf("types (-want +got):\n%s", diff)
		}
		acme := call[admin.Object](s, "GET", "objects/3/acme", nil, 200)
		if string(acme.Attributes) != `{"name":"Acme"}` || acme.Timestamps.Get("name") == nil || acme.Timestamps.Get("old") != nil || acme.CIO == "" || acme.Created == 0 {
			t.Errorf("acme = %+v", acme)
		}
		walk := func(path string, limit int, page func(start string) (items []string, next string)) (out []string) {
			for next := ""; ; {
				items, more := page(fmt.Sprintf("%s?limit=%d&start=%s", path, limit, url.QueryEscape(next)))
				out = append(out, items...)
				if next = more; next == "" {
					return out
				}
			}
		}
		for limit := 1; limit <= 4; limit++ {
			objects := walk("objects/3", limit, func(path string) (out []string, next string) {
				got := call[admin.ObjectsAnswer](s, "GET", path, nil, 200)
				for _, o := range got.Objects {
					out = append(out, o.ID)
				}
				return out, got.Next
			})
			related := func(path string) (out []string, next string) {
				got := call[admin.RelationshipsAnswer](s, "GET", path, nil, 200)
				for _, r := range got.Relationships {
					if r.Person != nil {
						out = append(out, r.Person.ID+" "+string(r.Attributes))
					} else {
						out = append(out, fmt.Sprint(r.Type, " ", r.ID, " ", string(r.Attributes)))
					}
				}
				return out, got.Next
			}
			got := [][]string{objects, walk("objects/3/acme/people", limit, related), walk("people/ada@example.com/relationships", limit, related)}
			want := [][]string{
				{"a/b ü", "acme"},
				{`ada {"role":"ada"}`, `bob {"role":"bob"}`},
				{`3 acme {"role":"ada"}`, `3 a/b ü {"role":"ada"}`, `12 go {}`},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
			}
		}
		if got := call[admin.Object](s, "GET", "objects/3/a%2Fb%20%C3%BC", nil, 200); got.ID != "a/b ü" {
			t.Errorf("a/b ü = %+v", got)
		}
		next := call[admin.ObjectsAnswer](s, "GET", "objects/3?limit=1", nil, 200).Next
		for path, status := range map[string]int{
			"objects/3/nothing": 404, "objects/4/acme": 404, "objects/4/acme/people": 404, "people/eve/relationships": 404, "objects/3?workspace=none": 404,
			"objects/x": 400, "objects/0/acme": 400, "objects/3/%00": 400, "objects/3?limit=0": 400, "objects/3?start=x": 400, "objects/12?start=" + next: 400,
			"people/ada/relationships?start=" + next: 400, "people/%00/relationships": 400, "objects/4": 200,
		} {
			call[any](s, "GET", path, nil, status)
		}
	})
}
