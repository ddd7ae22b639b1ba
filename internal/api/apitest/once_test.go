package apitest_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api"
	"rapport.example/internal/api/admin"
	"rapport.example/internal/api/apitest"
	"rapport.example/internal/api/app"
	"rapport.example/internal/api/pipelines"
	"rapport.example/internal/api/track"
	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/workspace"
)

const site, trackKey, otherKey, writeKey = "site", "track-key-of-the-tests", "another-track-key", "write-key-of-the-tests"

// nodes are servers before one engine and database.
type nodes struct {
	*apitest.World
	t    *testing.T
	mu   sync.Mutex
	fail error
}

func newNodes(t *testing.T, db *store.DB) *nodes {
	t.Helper()
	n := &nodes{World: apitest.New(t, db), t: t}
	for _, c := range []workspace.Credential{
		{Kind: workspace.Track, SiteID: site, Hash: workspace.Hash(trackKey)},
		{Kind: workspace.Track, SiteID: site, Hash: workspace.Hash(otherKey)},
		{Kind: workspace.Write, Hash: workspace.Hash(writeKey)},
	} {
		c.Workspace, c.Name = n.Workspace.ID, "test"
		if _, err := db.CreateCredential(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

// Append is part of api.Appender.
func (n *nodes) Append(ctx context.Context, partition int32, ops ...ingest.Op) (ingest.Position, error) {
	n.mu.Lock()
	fail := n.fail
	n.mu.Unlock()
	if fail != nil {
		return ingest.Position{}, fail
	}
	return n.World.Append(ctx, partition, ops...)
}

// node is a server that remembers nothing.
func (n *nodes) node() *api.Mux {
	n.t.Helper()
	log, secret := slog.New(slog.DiscardHandler), n.DB.Secret()
	surface := admin.New(admin.Options{Store: n.DB, Keys: n.Keys, Log: n, Secret: secret, Now: n.Now, Logger: log, Applied: n.Applied, Fresh: n.Fresh})
	mux, err := api.NewMux(
		api.Options{
			Keys: n.Keys, Now: n.Now, Log: log, Session: surface.Session,
			Once: api.NewOnce(n.DB, func(ctx context.Context, ws int64) { n.Fresh(ctx, ws) }),
		},
		track.Routes(track.Options{Log: n, Keys: n.Keys, Deliveries: n.DB, State: n.DB, Fresh: n.Fresh}),
		app.Routes(app.Options{Store: n.DB, Log: n, Secret: secret, Fresh: n.Fresh, Applied: n.Applied}),
		pipelines.Routes(pipelines.Options{Log: n, Keys: n.Keys}),
		surface.Routes(),
	)
	if err != nil {
		n.t.Fatal(err)
	}
	return mux
}

type request struct{ key, method, path, body, auth string }

type answered struct {
	Status   int
	Body     string
	Replayed string
}

func (n *nodes) send(mux http.Handler, r request) answered {
	n.t.Helper()
	q := httptest.NewRequestWithContext(n.t.Context(), r.method, r.path, strings.NewReader(r.body))
	switch {
	case r.auth == writeKey:
		q.SetBasicAuth(writeKey, "")
	case r.auth == trackKey || r.auth == otherKey:
		q.SetBasicAuth(site, r.auth)
	case r.auth != "":
		q.Header.Set("Authorization", "Bearer "+r.auth)
	}
	if r.key != "" {
		q.Header.Set("Idempotency-Key", r.key)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, q)
	return answered{w.Code, w.Body.String(), w.Header().Get("Idempotent-Replayed")}
}

func (n *nodes) count(types ...event.Type) (found int) {
	n.t.Helper()
	if n.Fresh(n.t.Context(), n.Workspace.ID) {
		n.t.Fatal("not applied")
	}
	for _, t := range types {
		page, _, err := n.DB.Activities(n.t.Context(), n.Workspace.ID, app.ActivityQuery{Type: t, Limit: 1000})
		if err != nil {
			n.t.Fatal(err)
		}
		found += len(page)
	}
	return found
}

const sendBody = `{"identifiers":{"id":"1"},"to":"a@example.com","from":"b@example.com","subject":"s","body":"b"}`

var writes = map[string]request{
	"event":     {"k", "POST", "/api/v1/customers/1/events", `{"name":"bought"}`, trackKey},
	"identify":  {"k", "PUT", "/api/v1/customers/1", `{"plan":"pro"}`, trackKey},
	"delete":    {"k", "DELETE", "/api/v1/customers/1", ``, trackKey},
	"batch":     {"k", "POST", "/api/v2/batch", `{"batch":[{"type":"person","action":"event","identifiers":{"id":"1"},"name":"a"},{},{"type":"person","action":"event","identifiers":{"id":"2"},"name":"b"}]}`, trackKey},
	"form":      {"k", "POST", "/api/v1/forms/f/submit", `{"data":{"id":"1"}}`, trackKey},
	"pipelines": {"k", "POST", "/v1/batch", `{"batch":[{"type":"track","userId":"1","event":"a"},{"type":"track","userId":"1","event":"b"}]}`, writeKey},
	"in body":   {"k", "POST", "/v1/track", `{"userId":"1","event":"a","writeKey":"` + writeKey + `"}`, ""},
	"send":      {"k", "POST", "/v1/send/email", sendBody, apitest.AppKey},
	"segment":   {"k", "POST", "/v1/segments", `{"segment":{"name":"By hand"}}`, apitest.AppKey},
	"clock":     {"k", "POST", "/admin/v1/clock", `{"advance":"1h"}`, apitest.AdminKey},
}

// TestOnce sends each write four times under its key: to one server, to it again, to one that remembers nothing, and to that
// one with another path, which is another request.
func TestOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newNodes(t, db)
		one := n.node()
		for name, r := range writes {
			r.key += name
			first := n.send(one, r)
			if name == "send" {
				n.Sent(1)
			}
			frames, err := n.Last(t.Context(), 0)
			if err != nil || first.Status >= 300 || first.Replayed != "" {
				t.Fatalf("%s: %+v, %v", name, first, err)
			}
			want := first
			want.Replayed = "true"
			two := n.node()
			for place, mux := range map[string]http.Handler{"the same server": one, "another": two} {
				got := n.send(mux, r)
				if name == "clock" { // it goes on
					got.Body, want.Body = "", ""
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s again, %s (-want +got):\n%s", name, place, diff)
				}
			}
			r.path += "?" // the body of a delete is not read
			for place, mux := range map[string]http.Handler{"the same server": one, "another": n.node()} {
				if got := n.send(mux, r); got.Status != http.StatusUnprocessableEntity || !strings.Contains(got.Body, "Idempotency-Key was used") {
					t.Errorf("another %s, %s: %+v", name, place, got)
				}
			}
			if now, _ := n.Last(t.Context(), 0); now != frames {
				t.Errorf("%s: %d frames, want %d", name, now, frames)
			}
		}
		if got, err := db.CountSent(t.Context(), n.Workspace.ID); err != nil || got != 1 {
			t.Errorf("%d mails, want 1: %v", got, err)
		}
		w, err := db.Workspaces(t.Context())
		if err != nil || w[0].Clock != time.Hour.Milliseconds() {
			t.Errorf("the clock is %d ms ahead, want an hour: %v", w[0].Clock, err)
		}
	})
}

// TestOnceScopes covers whose a key is, and for how long.
func TestOnceScopes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newNodes(t, db)
		mux := n.node()
		r := writes["event"]
		steps := []struct {
			what   string
			change func()
			status int
			events int
		}{
			{"first", func() {}, 200, 1},
			{"again", func() {}, 200, 1},
			{"another credential", func() { r.auth = otherKey }, 200, 2},
			{"another path", func() { r.path = "/api/v1/customers/2/events" }, 422, 2},
			{"another key", func() { r.key = "K" }, 200, 3},
			{"no key", func() { r.key = "" }, 200, 4},
			{"a key that is too long", func() { r.key = strings.Repeat("k", 256) }, 400, 4},
			{"a key that is no text", func() { r.key = "k\x7f" }, 400, 4},
			{"the longest key", func() { r.key = strings.Repeat("k", 255) }, 200, 5},
			{"a day later less a minute", func() { n.Advance(24*time.Hour - time.Minute) }, 200, 5},
			{"a day later", func() { n.Advance(time.Minute) }, 200, 6},
			{"by another server", func() { mux = n.node() }, 200, 6},
			{"a refused body", func() { r.key, r.body = "bad", `{}` }, 400, 6},
			{"put right", func() { r.body = `{"name":"bought"}` }, 200, 7},
		}
		for _, s := range steps {
			s.change()
			if got := n.send(mux, r); got.Status != s.status {
				t.Errorf("%s: %+v, want %d", s.what, got, s.status)
			}
			if got := n.count(event.Track); got != s.events {
				t.Errorf("%s: %d events, want %d", s.what, got, s.events)
			}
		}
	})
}

// TestOnceTrouble sends a request at the same time from many, and again after the log was down.
func TestOnceTrouble(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newNodes(t, db)
		n.fail = errors.New("the disk is gone")
		one, two := n.node(), n.node()
		r := request{"k", "POST", "/v1/send/email", sendBody, apitest.AppKey}
		if got := n.send(one, r); got.Status != http.StatusServiceUnavailable {
			t.Fatalf("without a log: %+v", got)
		}
		n.mu.Lock()
		n.fail = nil
		n.mu.Unlock()
		var all sync.WaitGroup
		bodies := make([]string, 40)
		for i := range bodies {
			all.Go(func() {
				if got := n.send(map[bool]http.Handler{true: one, false: two}[i%2 == 0], r); got.Status == http.StatusOK {
					bodies[i] = got.Body
				}
			})
		}
		all.Wait()
		for i := range bodies {
			if bodies[i] == "" || bodies[i] != bodies[i%2] {
				t.Errorf("answer %d: %q, want %q", i, bodies[i], bodies[i%2])
			}
		}
		n.Sent(1)
		if got, err := db.CountSent(t.Context(), n.Workspace.ID); err != nil || got != 1 {
			t.Errorf("%d mails, want 1: %v", got, err)
		}
	})
}

// TestOnceStrict holds that what a request has done is no reason to refuse it when it is sent again to a server that remembers
// nothing: in strict mode a second deletion would find nobody.
func TestOnceStrict(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newNodes(t, db)
		n.Do(n.Identify("ada", `{}`))
		for _, want := range []struct {
			key      string
			status   int
			replayed string
		}{{"k", 200, ""}, {"k", 200, "true"}, {"other", 404, ""}} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/api/v1/customers/ada", nil)
			r.SetBasicAuth(site, trackKey)
			r.Header.Set("X-Strict-Mode", "1")
			r.Header.Set("Idempotency-Key", want.key)
			w := httptest.NewRecorder()
			n.node().ServeHTTP(w, r)
			if got := w.Header().Get("Idempotent-Replayed"); w.Code != want.status || got != want.replayed {
				t.Errorf("with key %q: %d %s, replayed %q, want %d, %q", want.key, w.Code, w.Body, got, want.status, want.replayed)
			}
		}
	})
}
