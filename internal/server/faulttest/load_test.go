package faulttest

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	connections = 6
	perWorker   = 5 // people that one connection writes about, so that their writes have an order
)

// load sends events, each with a time of its own by which it is recognised, and identifies. People with even numbers
// purchase.
type load struct {
	base   int64 // Unix seconds of event 0
	next   atomic.Int64
	target atomic.Pointer[string] // URL of a running node, nil = none

	mu        sync.Mutex
	acked     map[int64]bool
	purchased map[int]bool  // people with an acknowledged purchase
	seen      map[int]int64 // newest acknowledged attribute
	tried     map[int]int64 // newest one that was sent
}

// begin makes the load's people and starts its connections; the function that it returns stops them.
func begin(t *testing.T, first *node, urls ...string) (*load, func()) {
	t.Helper()
	l := &load{base: time.Now().Add(-48 * time.Hour).Unix(), acked: map[int64]bool{}, purchased: map[int]bool{}, seen: map[int]int64{}, tried: map[int]int64{}}
	for who := range connections * perWorker {
		first.identify(t, fmt.Sprint(who), fmt.Sprintf(`{"email":"p%d@example.com","plan":"pro"}`, who))
	}
	l.target.Store(&first.url)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	for w := range connections {
		done.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				url := l.target.Load()
				if len(urls) > 0 { // more nodes: in turn
					url = &urls[i%len(urls)]
				}
				if url == nil || !l.send(ctx, *url, w*perWorker+i%perWorker, i) {
					pause(ctx, 5*time.Millisecond)
				}
			}
		})
	}
	stop := func() { cancel(); done.Wait() }
	t.Cleanup(stop)
	return l, stop
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// send makes one request and remembers whether it was acknowledged.
func (l *load) send(ctx context.Context, url string, who, i int) bool {
	n := l.next.Add(1)
	if i%(2*perWorker) < perWorker && i%7 == 0 {
		l.mu.Lock()
		l.tried[who] = n
		l.mu.Unlock()
		a, err := call(ctx, http.MethodPut, fmt.Sprintf("%s/api/v1/customers/%d", url, who), fmt.Sprintf(`{"seen":%d}`, n))
		if err != nil || a.status != http.StatusOK {
			return false
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.seen[who] = n
		return true
	}
	name := "tick"
	if who%2 == 0 {
		name = "purchase"
	}
	a, err := call(ctx, http.MethodPost, fmt.Sprintf("%s/api/v1/customers/%d/events", url, who), fmt.Sprintf(`{"name":%q,"timestamp":%d}`, name, l.base+n))
	if err != nil || a.status != http.StatusOK {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[n] = true
	l.purchased[who] = l.purchased[who] || name == "purchase"
	return true
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// check holds that what was acknowledged is there once, everything else once at most, and that memberships follow.
func (l *load) check(t *testing.T, n *node, db *sql.DB) {
	t.Helper()
	n.ready(t)
	applied := map[int64]int{}
	within(t, time.Minute, "every acknowledged event is applied", func() bool {
		clear(applied)
		rows, err := db.QueryContext(t.Context(), `SELECT at FROM activities WHERE type = 1`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var at int64
			if err := rows.Scan(&at); err != nil {
				t.Fatal(err)
			}
			applied[at/1000-l.base]++
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		for e := range l.acked {
			if applied[e] == 0 {
				return false
			}
		}
		return true
	})
	for e, times := range applied {
		if times > 1 {
			t.Errorf("event %d (acknowledged: %v) was applied %d times", e, l.acked[e], times)
		}
	}
	for who := range connections * perWorker {
		var got struct {
			Customer struct {
				Attributes map[string]string `json:"attributes"`
			} `json:"customer"`
		}
		if err := json.Unmarshal(n.must(t, http.MethodGet, fmt.Sprintf("/v1/customers/%d/attributes", who), ""), &got); err != nil {
			t.Fatal(err)
		}
		var seen int64
		if s := got.Customer.Attributes["seen"]; s != "" {
			if _, err := fmt.Sscan(s, &seen); err != nil {
				t.Fatal(err)
			}
		}
		if seen < l.seen[who] || seen > l.tried[who] {
			t.Errorf("seen of %d = %d, want from %d (acknowledged) to %d (sent)", who, seen, l.seen[who], l.tried[who])
		}
	}
	members := count(t, db, `SELECT COALESCE(SUM(count), 0) FROM segment_pieces`)
	least, most := int64(len(l.purchased)), int64(connections*perWorker/2)
	for _, yes := range l.purchased {
		if !yes {
			least--
		}
	}
	if members < least || members > most {
		t.Errorf("%d people are paying, want from %d to %d", members, least, most)
	}
	if n := count(t, db, `SELECT COUNT(*) FROM deliveries WHERE action = 'thanks'`); n != members {
		t.Errorf("%d messages thank %d people", n, members)
	}
	t.Logf("%d events acknowledged, %d sent, %d applied", len(l.acked), l.next.Load(), len(applied))
}

// TestReadYourWrites holds that a read of somebody's attributes, by any of their identifiers, sees what was acknowledged before it,
// while others write as fast as they can.
func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		n := p.start(t)
		n.apply(t, example(t))
		_, stop := begin(t, n)
		defer stop()
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range 40 {
					id := fmt.Sprintf("reader%d-%d", w, i/10) // each for ten rounds
					body := fmt.Sprintf(`{"n":%d,"email":"%s@example.com"}`, i, id)
					write, path := "/api/v1/customers/"+id, []string{"/v1/customers/" + id + "/attributes", "/v1/customers/" + id + "@example.com/attributes?id_type=email"}[i%2]
					if i%3 == 2 && i%10 > 0 { // by the other identifier, once there is somebody
						write, body = "/api/v1/customers/"+id+"@example.com", fmt.Sprintf(`{"n":%d}`, i)
					}
					if a, err := call(t.Context(), http.MethodPut, n.url+write, body); err != nil || a.status != http.StatusOK {
						t.Errorf("write: %d %v", a.status, err)
						return
					}
					a, err := call(t.Context(), http.MethodGet, n.url+path, "")
					var got struct {
						Customer struct{ Attributes map[string]string }
					}
					if err != nil || json.Unmarshal(a.body, &got) != nil || got.Customer.Attributes["n"] != fmt.Sprint(i) && a.header.Get("X-Rapport-Stale") == "" {
						t.Errorf("%s: %d %s %v, want n %d", path, a.status, a.body, err, i)
						return
					}
				}
			})
		}
		for i := range 20 { // people who come to be by an event
			id := fmt.Sprint("new", i)
			n.track(t, id, "looked")
			if a, err := call(t.Context(), http.MethodGet, n.url+"/v1/customers/"+id+"/attributes", ""); err != nil || a.status != http.StatusOK && a.header.Get("X-Rapport-Stale") == "" {
				t.Errorf("%s: %d %v", id, a.status, err)
			}
		}
		wg.Wait()
	})
}
