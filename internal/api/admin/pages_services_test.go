package admin_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/catalog"
	"rapport.example/internal/store/storetest"
)

// TestServices: the guide is open to everybody, as pages, Markdown and JSON, and its pages run no script but their own.
func TestServices(t *testing.T) {
	t.Parallel()
	all, err := catalog.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	best := catalog.Service{ID: "best", Name: "Best <b>", Category: "email-delivery", Homepage: "https://best.example", UpdatedAt: "2026-01-02"}
	for _, c := range catalog.Checks() {
		if c.Instead == "" {
			best.Facts = append(best.Facts, catalog.Fact{Key: c.ID, Value: "it is", Source: "javascript:alert(1)", CheckedAt: "2026-01-02", Evidence: catalog.Executed, Passes: []string{c.ID}})
		}
	}
	all = all.With(best)
	db := storetest.Open(t, storetest.Options(t, storetest.SQLite))
	s := newServer(t, db, func(o *admin.Options) { o.Guide = func(context.Context) (*catalog.Catalog, error) { return all, nil } })
	for _, tt := range []struct {
		path, accept, kind string
		want               []string
	}{
		{"/services", "text/html", "text/html; charset=utf-8", []string{`href="/services/customer-io"`, "Recipes", `name="category"`}},
		{"/services?q=customer.io", "text/html", "text/html; charset=utf-8", []string{`href="/services/customer-io"`}},
		{"/services?q=zzz", "text/html", "text/html; charset=utf-8", []string{"No service fits."}},
		{"/services?category=marketing-automation&access=connectable", "", "text/html; charset=utf-8", []string{`href="/services/customer-io"`}},
		{"/services.md", "text/html", "text/markdown; charset=utf-8", []string{"| [Customer.io](/services/customer-io.md) |"}},
		{"/services", "text/markdown", "text/markdown; charset=utf-8", []string{"## Marketing automation"}},
		{"/services", "application/json", "application/json", []string{`"id":"customer-io"`, `"aeo_score"`}},
		{"/services/customer-io", "text/html,*/*", "text/html; charset=utf-8", []string{
			"How to connect Customer.io", `data-tab="Python"`, `href="#fact-1"`, `id="fact-1"`, "<del>100 requests a second</del>", "KanseiLink published 0.70, A", "not verified",
			"best in class", `<span class="grade good">AAA</span> 0.90`, `uses <wbr><span class="whole">track-eu</span> and <wbr><span class="whole">api-eu.</span>`,
			`href="https://docs.customer.io/api/track/" title="https://docs.customer.io/api/track/"`, `docs.customer.io/<wbr>…/<wbr>track</a>`, `data-label="Source"`,
		}},
		{"/services", "text/html", "text/html; charset=utf-8", []string{"would be AAA, held by fewer than 5 executed runs", "Best &lt;b&gt;"}},
		{"/services/best", "text/html", "text/html; charset=utf-8", []string{"would be AAA, held by fewer than 5 executed runs", "place 1 of "}},
		{"/services/customer-io.md", "", "text/markdown; charset=utf-8", []string{"# How to connect Customer.io", "## Facts"}},
		{"/services/customer-io", "text/markdown", "text/markdown; charset=utf-8", []string{"# How to connect Customer.io"}},
		{"/services/customer-io.json", "", "application/json", []string{`"as_published"`, `"place"`}},
		{"/schema/service-1.json", "", "application/schema+json", []string{"checked_at"}},
		{"/static/services.js", "", "text/javascript; charset=utf-8", []string{"clipboard"}},
	} {
		w := s.request("GET", tt.path, "", "Accept", tt.accept)
		if w.Code != 200 || w.Header().Get("Content-Type") != tt.kind {
			t.Errorf("%s as %q: %d %s, want %s", tt.path, tt.accept, w.Code, w.Header().Get("Content-Type"), tt.kind)
		}
		body := w.Body.String()
		for _, want := range tt.want {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q", tt.path, want)
			}
		}
		if tt.kind == "application/json" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s is no JSON", tt.path)
		}
		if policy := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", tt.path, policy)
		}
	}
	for path, code := range map[string]int{
		"/services/nowhere": 404, "/services/nowhere.md": 404, "/services/%2e%2e": 404, "/services?category=tea": 400, "/services?access=x": 400,
		"/services?q=" + strings.Repeat("x", 501): 400, "/services/customer-io/reports": 401, "/people": 303,
	} {
		if w := s.request("GET", path, "", "Accept", "text/html"); w.Code != code {
			t.Errorf("%s: %d, want %d", path, w.Code, code)
		}
	}
	if strings.Contains(s.request("GET", "/services?q=email", "", "Accept", "text/html").Body.String(), `class="place"`) {
		t.Error("what was found by its words has places of the ranking")
	}
	if strings.Contains(s.request("GET", "/services/best", "", "Accept", "text/html").Body.String(), `href="javascript`) {
		t.Error("a source that is no address became a link")
	}
	if body := s.request("GET", "/services?q=%3Cscript%3Ealert(1)%3C/script%3E", "", "Accept", "text/html").Body.String(); strings.Contains(body, "<script>alert") {
		t.Error("a query is not escaped")
	}
}
