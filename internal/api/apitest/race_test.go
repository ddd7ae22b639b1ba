package apitest_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"rapport.example/internal/api/app"
	"rapport.example/internal/event"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestRacingMerges has many connections create people under emails that they fight for, and merge whomever they know of at
// the same time. Each person brings an attribute and an event of their own: in the end each is with exactly one person.
func TestRacingMerges(t *testing.T) {
	t.Parallel()
	const connections, each = 16, 12
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newNodes(t, db)
		server := httptest.NewServer(n.node())
		t.Cleanup(server.Close)
		var all sync.WaitGroup
		for c := range connections {
			all.Go(func() {
				r := racer{t: t, url: server.URL, client: &http.Client{Transport: &http.Transport{}}, rnd: rand.New(rand.NewPCG(1, uint64(c)))}
				defer r.client.CloseIdleConnections()
				for i := range each {
					r.turn(c*each + i)
				}
			})
		}
		all.Wait()
		if n.Fresh(t.Context(), n.Workspace.ID) {
			t.Fatal("not applied")
		}
		marks, merges := n.marks()
		for i := range connections * each {
			if m := fmt.Sprint("m", i); marks["attribute "+m] != 1 || marks["event "+m] != 1 {
				t.Errorf("%s: %d people have the attribute, %d the event, want one each", m, marks["attribute "+m], marks["event "+m])
			}
		}
		if merges == 0 {
			t.Error("nobody was merged")
		}
		t.Logf("%d people came with %d merges", connections*each, merges)
	})
}

// racer is one connection.
type racer struct {
	t      *testing.T
	url    string
	client *http.Client
	rnd    *rand.Rand
}

// turn creates person i with an email that others want too, and merges two people of whom one may be on their way.
func (r *racer) turn(i int) {
	email := fmt.Sprintf("e%d@example.com", r.rnd.IntN(24))
	merge := fmt.Sprintf(`"primary":%s,"secondary":%s`, r.somebody(i), r.somebody(i))
	if r.rnd.IntN(2) == 0 { // in one frame
		r.send("POST", "/api/v2/batch", fmt.Sprintf(`{"batch":[
			{"type":"person","action":"identify","identifiers":{"id":"p%[1]d"},"attributes":{"email":%[2]q,"m%[1]d":true}},
			{"type":"person","action":"event","identifiers":{"id":"p%[1]d"},"name":"m%[1]d"},
			{"type":"person","action":"merge",%[3]s}]}`, i, email, merge))
		return
	}
	r.send("PUT", fmt.Sprintf("/api/v1/customers/p%d", i), fmt.Sprintf(`{"email":%q,"m%d":true}`, email, i))
	r.send("POST", fmt.Sprintf("/api/v1/customers/p%d/events", i), fmt.Sprintf(`{"name":"m%d"}`, i))
	r.send("POST", "/api/v1/merge_customers", "{"+merge+"}")
}

func (r *racer) somebody(upto int) string {
	if r.rnd.IntN(3) == 0 {
		return fmt.Sprintf(`{"email":"E%d@example.com"}`, r.rnd.IntN(24))
	}
	return fmt.Sprintf(`{"id":"p%d"}`, r.rnd.IntN(upto+1))
}

func (r *racer) send(method, path, body string) {
	q, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Error(err)
		return
	}
	q.SetBasicAuth(site, trackKey)
	res, err := r.client.Do(q)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer func() { _ = res.Body.Close() }()
	if told, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
		r.t.Errorf("%s %s = %d %s, %v", method, path, res.StatusCode, told, err)
	}
}

// marks counts the people with each attribute, and each event in their histories; and how many merges there were.
func (n *nodes) marks() (found map[string]int, merges int) {
	n.t.Helper()
	found = map[string]int{}
	ctx := n.t.Context()
	docs, err := n.DB.NewestPeople(ctx, n.Workspace.ID, 0, 1000)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, d := range docs {
		for _, a := range d.Attributes {
			found["attribute "+a.Name]++
		}
		history, next, err := n.DB.Timeline(ctx, n.Workspace.ID, app.ActivityQuery{From: d.LastActivity, Limit: 10_000})
		if err != nil || next != 0 {
			n.t.Fatalf("history: %v, next %d", err, next)
		}
		for _, a := range history {
			if a.Type == event.Track {
				found["event "+a.Name]++
			}
			if a.Type == event.Merged {
				merges++
			}
		}
	}
	return found, merges
}
