package mcp

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestAgain: a write is sent again only where it has one effect nevertheless, and a deletion whose answer was lost is no failure.
func TestAgain(t *testing.T) {
	t.Parallel()
	lost := func(r *http.Request) (int, any) {
		if r.Method == http.MethodGet {
			return whole(r)
		}
		return http.StatusInternalServerError, m{}
	}
	person := m{"id": "1", "attributes": m{"a": "b"}}
	for _, test := range []struct {
		name   string
		hosted bool
		tool   string
		args   m
		want   int // requests that write
	}{
		{"a new segment", true, "create_segment", m{"name": "x"}, 1},
		{"a new segment with a key that nobody knows", true, "create_segment", m{"name": "x", "idempotency_key": "k"}, 1},
		{"a new segment with a key", false, "create_segment", m{"name": "x", "idempotency_key": "k"}, 4},
		{"a merge with a key that nobody knows", true, "merge_people", m{"primary": "1", "secondary": "2", "idempotency_key": "k"}, 1},
		{"a batch", true, "batch_people", m{"operations": []m{{"type": "person", "action": "event", "name": "x", "identifiers": m{"id": "1"}}}}, 1},
		{"attributes", true, "upsert_person", person, 4},
		{"an event, which has an id", true, "track_event", m{"id": "1", "name": "x"}, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t, lost)
			_, c := over(t, b.URL, test.hosted, nil)
			if code := codeOf(t, call1(t, c, test.tool, test.args)); code != "upstream_error" {
				t.Errorf("%q, want upstream_error", code)
			}
			writes := 0
			for _, request := range b.asked() {
				if !strings.HasPrefix(request, http.MethodGet) {
					writes++
				}
			}
			if writes != test.want {
				t.Errorf("%d requests, want %d: %v", writes, test.want, b.asked())
			}
		})
	}
	for first, want := range map[int]string{http.StatusBadGateway: "", http.StatusTooManyRequests: "not_found"} {
		var n atomic.Int32
		b := newBackend(t, func(r *http.Request) (int, any) {
			switch {
			case r.Method == http.MethodGet:
				return whole(r)
			case n.Add(1) == 1:
				return first, m{}
			}
			return http.StatusNotFound, m{}
		})
		_, c := over(t, b.URL, true, nil)
		if first == http.StatusTooManyRequests {
			b.soon.Store(true)
		}
		if code := codeOf(t, call1(t, c, "delete_segment", m{"segment_id": "1", "confirm_name": "x"})); code != want {
			t.Errorf("a deletion after %d: %q, want %q", first, code, want)
		}
	}
}

// TestLearn: a process that nobody told the limits takes them from the first answer.
func TestLearn(t *testing.T) {
	t.Parallel()
	g := newGovernor(Limits{}, time.Now)
	if len(g.left()) != 0 {
		t.Errorf("left %v", g.left())
	}
	for _, limit := range []string{"", "many", "-1", "10", "1000"} {
		g.learn(appClass, http.Header{"Ratelimit-Limit": {limit}})
		g.learn(auditClass, http.Header{"Ratelimit-Limit": {limit}})
	}
	if got := g.left(); len(got) != 1 || got["app"] != 5 {
		t.Errorf("left %v, want a burst of 5", got)
	}
}
