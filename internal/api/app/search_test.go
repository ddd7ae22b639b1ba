package app_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api"
	"rapport.example/internal/api/apitest"
	"rapport.example/internal/api/app"
	"rapport.example/internal/ingest"
	"rapport.example/internal/object"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

// found is what the lists of people and objects answer.
type found struct {
	IDs           []string `json:"ids"`
	Relationships []struct {
		Identifiers struct {
			ID       string `json:"id"`
			ObjectID string `json:"object_id"`
		}
	} `json:"cio_relationships"`
	Next string
}

// TestListsUnderWriters walks searches and relationships while others come, change and go: whoever stays is listed once.
func TestListsUnderWriters(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := apitest.New(t, db)
		w.Define("schema: 1\nworkspace: acme\nsegments:\n  - {id: pro, name: Pro, conditions: {attribute: plan, is: pro}}\n")
		mux, err := api.NewMux(api.Options{Keys: w.Keys, Limiter: api.NewLimiter(api.Limits{}), Now: w.Now, Log: quiet()}, app.Routes(app.Options{
			Store: db, Log: w, Secret: db.Secret(), Applied: w.Applied,
		}))
		if err != nil {
			t.Fatal(err)
		}
		key := func(id string) object.Key { return object.Key{Type: 1, ID: id} }
		person := func(id, plan string) ingest.Op { return w.Identify(id, `{"plan":"`+plan+`"}`) }
		relate := func(who, what string) ingest.Op {
			return w.Op(ingest.Object, ingest.ObjectPayload{Object: key(what), Attributes: value.Value(`{"kind":"x"}`), Relations: []ingest.Relation{{By: ingest.By{ID: who}}}})
		}
		var stay []string
		var first []ingest.Op
		for i := range 30 { // those who stay have those who do not between them
			id := fmt.Sprintf("s%02d", i)
			stay = append(stay, id)
			first = append(first, person(id, "pro"), relate(id, "hub"), relate("ada", id), person(fmt.Sprint("x", i), "pro"), relate(fmt.Sprint("x", i), "hub"), relate("ada", fmt.Sprint("x", i)))
		}
		w.Do(first...)
		stop, written := make(chan struct{}), atomic.Int64{}
		var writer sync.WaitGroup
		writer.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				written.Add(1)
				x, y := fmt.Sprint("x", n%30), fmt.Sprint("x", (n+11)%30)
				w.Do(person(x, []string{"free", "pro"}[n%2]), w.Op(ingest.Delete, ingest.PersonPayload{By: ingest.By{ID: y}}),
					w.Op(ingest.DeleteObject, ingest.ObjectPayload{Object: key(y)}), relate(x, "hub"), relate("ada", x), person(stay[n%30], "pro"))
			}
		})
		defer writer.Wait() // also when a walk fails
		defer close(stop)

		sizes := []int{3, 7, 16, 1}
		for round := 0; round < len(sizes) || written.Load() < 30; round++ {
			size := sizes[round%len(sizes)]
			for name, list := range map[string]struct{ method, path, body string }{
				"by segment":               {"POST", "/v1/customers", `{"filter":{"segment":{"id":1}}}`},
				"by attribute":             {"POST", "/v1/customers", `{"filter":{"attribute":{"field":"plan","operator":"eq","value":"pro"}}}`},
				"by both":                  {"POST", "/v1/customers", `{"filter":{"and":[{"segment":{"id":1}},{"attribute":{"field":"plan","operator":"exists"}}]}}`},
				"objects":                  {"POST", "/v1/objects", `{"object_type_id":"1","filter":{"object_attribute":{"field":"kind","operator":"exists"}}}`},
				"relationships of ada":     {"GET", "/v1/customers/ada/relationships", ""},
				"relationships of the hub": {"GET", "/v1/objects/1/hub/relationships", ""},
			} {
				var got []string
				for next := ""; ; {
					r := httptest.NewRequestWithContext(t.Context(), list.method, fmt.Sprintf("%s?limit=%d&start=%s", list.path, size, url.QueryEscape(next)), strings.NewReader(list.body))
					r.Header.Set("Authorization", "Bearer "+apitest.AppKey)
					a := httptest.NewRecorder()
					mux.ServeHTTP(a, r)
					var page found
					if err := json.Unmarshal(a.Body.Bytes(), &page); err != nil || a.Code != 200 {
						t.Fatalf("%s: %d %s", name, a.Code, a.Body)
					}
					for _, rel := range page.Relationships {
						page.IDs = append(page.IDs, rel.Identifiers.ID+rel.Identifiers.ObjectID)
					}
					got = append(got, page.IDs...)
					if next = page.Next; next == "" {
						break
					}
				}
				got = slices.DeleteFunc(got, func(id string) bool { return !strings.HasPrefix(id, "s") })
				if diff := cmp.Diff(stay, got); diff != "" {
					t.Errorf("%s, in pages of %d (-want +got):\n%s", name, size, diff)
				}
			}
		}
	})
}
