package admin_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/api/app"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

// TestEditSegments: a segment is made, changed, archived and deleted; a dry run only tells, and what is in use stays.
func TestEditSegments(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := seeded(t, db)
		send := func(method, path, body string, status int) admin.SegmentChange {
			return call[admin.SegmentChange](s, method, "segments"+path, value.Value(body), status)
		}
		const team = `{"id":"team","conditions":{"attribute":"seats","at_least":5}}`
		if got := send("POST", "?dry_run=true", team, 200); !got.DryRun || got.Change != "create" || got.Segment.Sentence != "seats is at least 5" {
			t.Errorf("dry run = %+v", got)
		}
		call[problem](s, "GET", "segments/team", nil, 404)
		if got := send("POST", "", team, 200); got.DryRun || got.Change != "create" || got.Segment.Count != 1 {
			t.Errorf("create = %+v", got.Segment)
		}
		call[problem](s, "POST", "segments", value.Value(team), 409)
		got := send("PUT", "/team", `{"name":"Team","conditions":{"attribute":"seats","at_least":4}}`, 200)
		if got.Change != "update" || strings.Join(got.Fields, " ") != "conditions.at_least name" || got.Segment.Count != 2 {
			t.Errorf("update = %+v %+v", got, got.Segment)
		}
		if len(got.Warnings) != 0 {
			t.Errorf("warnings of known names = %+v", got.Warnings)
		}
		odd := []app.Warning{{Field: "conditions.any[1].attribute", Message: "nobody was seen with an attribute seat; did you mean seats?"}}
		got = send("PUT", "/team?dry_run=true", `{"conditions":{"any":[{"attribute":"seats","is":1},{"attribute":"seat","is":1}]}}`, 200)
		if diff := cmp.Diff(odd, got.Warnings); diff != "" {
			t.Errorf("warnings (-want +got):\n%s", diff)
		}
		if got := send("PUT", "/team", `{"id":"team","name":"Team","conditions":{"attribute":"seats","at_least":4}}`, 200); got.Change != "none" {
			t.Errorf("the same again = %+v", got)
		}
		if got := send("POST", "/team/archive", `{"archived":true}`, 200); !got.Segment.Archived || got.Segment.Sentence != "seats is at least 4" {
			t.Errorf("archive = %+v", got.Segment)
		}
		if got := send("POST", "/team/archive", `{"archived":false}`, 200); got.Segment.Archived {
			t.Errorf("unarchive = %+v", got.Segment)
		}
		for _, path := range []string{"/paying?dry_run=true", "/paying"} {
			p := call[problem](s, "DELETE", "segments"+path, nil, 409)
			if !strings.Contains(p.Detail, "campaign onboarding") {
				t.Errorf("delete what is in use: %+v", p)
			}
		}
		if p := call[problem](s, "POST", "segments/paying/archive", value.Value(`{"archived":true}`), 409); !strings.Contains(p.Detail, "campaign onboarding") {
			t.Errorf("archive what is in use: %+v", p)
		}
		if p := call[problem](s, "DELETE", "segments/staff", nil, 409); !strings.Contains(p.Detail, "segment paying") {
			t.Errorf("delete what a segment refers to: %+v", p)
		}
		call[admin.SegmentChange](s, "DELETE", "segments/team?dry_run=true", nil, 200)
		call[admin.SegmentChange](s, "DELETE", "segments/team", nil, 200)
		call[problem](s, "GET", "segments/team", nil, 404)
		call[problem](s, "DELETE", "segments/team", nil, 404)
		for body, field := range map[string]string{
			`{"conditions":{"attribute":"a","is":1}}`: "id",
			`{"id":"x"}`: "conditions",
			`{"id":"x","conditions":{"all":[{"attribute":"a"}]}}`: "conditions.all[0]",
			`{"id":"x","conditions":{"segment":"payin"}}`:         "conditions.segment",
			`{"id":"x","manual":true,"colour":"red"}`:             "colour",
			`{"id":"x","conditions":{"segment":"x"}}`:             "conditions.segment",
		} {
			if p := call[problem](s, "POST", "segments", value.Value(body), 400); p.Field != field {
				t.Errorf("%s: %+v, want the field %s", body, p, field)
			}
		}
		if p := call[problem](s, "PUT", "segments/paying", value.Value(`{"id":"payers","manual":true}`), 400); p.Field != "id" {
			t.Errorf("another id: %+v", p)
		}
	})
}

// TestSegmentPages: the pages show counts, lines, people and a chart, and no script of a stranger's.
func TestSegmentPages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := seeded(t, db)
		const evil = `<script>alert(1)</script>`
		call[any](s, "POST", "segments", admin.SegmentRequest{ID: "evil", Name: evil, Conditions: value.Value(`{"attribute":"` + evil + `","is":"` + evil + `"}`)}, 200)
		call[any](s, "POST", "clock", admin.ClockRequest{Advance: "7h"}, 200)
		cookie := s.cookie()
		for path, want := range map[string][]string{
			"/segments":        {"Paying", "filled by hand", "plan is &#34;pro&#34;", "&lt;script&gt;"},
			"/segments/paying": {"4 ", "<polyline", "in segment staff", "/people/cio_", "campaign onboarding"},
			"/segments/staff":  {"It is filled by hand"},
			"/segments/evil":   {"&lt;script&gt;", "nobody was seen with an attribute"},
		} {
			w := s.request("GET", path, "", "Cookie", cookie)
			for _, text := range want {
				if w.Code != 200 || !strings.Contains(w.Body.String(), text) {
					t.Errorf("GET %s = %d, without %q:\n%s", path, w.Code, text, w.Body)
				}
			}
			if strings.Contains(w.Body.String(), evil) {
				t.Errorf("GET %s runs a stranger's script", path)
			}
		}
		if w := s.request("GET", "/segments/none", "", "Cookie", cookie); w.Code != 404 {
			t.Errorf("no such segment: %d", w.Code)
		}
		if w := s.request("GET", "/segments", ""); w.Code != 303 {
			t.Errorf("without a session: %d", w.Code)
		}
	})
}
