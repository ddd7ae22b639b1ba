package probe_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/catalog"
	"rapport.example/internal/catalog/probe"
)

func options() probe.Options {
	return probe.Options{
		Now:   func() time.Time { return time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC) },
		Pause: func(ctx context.Context) error { return ctx.Err() },
	}
}

// TestRun: what a host serves becomes facts at E2; a page for everything fools nobody; no request leaves the host or changes anything.
func TestRun(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request left the host") }))
	defer elsewhere.Close()
	asked := 0
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Method != http.MethodGet || r.Header.Get("Authorization") != "" {
			t.Errorf("%s with credentials %q", r.Method, r.Header.Get("Authorization"))
		}
		w.Header().Set("RateLimit", `"app";r=7;t=1`)
		switch r.URL.Path {
		case "/llms.txt":
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = w.Write([]byte("# Service\n"))
		case "/openapi.json":
			_, _ = w.Write([]byte(`{"openapi":"3.1.0",` + strings.Repeat(" ", 300<<10) + `"paths":{}}`))
		case "/.well-known/api-catalog":
			http.Redirect(w, r, elsewhere.URL+"/catalog", http.StatusFound)
		case "/.well-known/agent-skills/index.json":
			_, _ = w.Write([]byte(`{"skills":[`)) // broken
		default: // what a single-page site answers to everything
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>resource</html>"))
		}
	}))
	defer h.Close()
	got, err := probe.Run(t.Context(), options(), h.URL)
	if err != nil {
		t.Fatal(err)
	}
	fact := func(key, value, path, check string) catalog.Fact {
		return catalog.Fact{Key: key, Value: value, Source: h.URL + path, CheckedAt: "2026-01-02", Evidence: catalog.Probed, Passes: []string{check}}
	}
	want := []catalog.Fact{
		fact("probe.llms", "llms.txt is served.", "/llms.txt", "discovery.llms"),
		fact("probe.limit_headers", "Answers carry rate limit headers.", "/llms.txt", "runtime.limit_headers"),
		fact("probe.openapi", "An OpenAPI document is served.", "/openapi.json", "contract.openapi"),
	}
	if diff := cmp.Diff(want, got.Facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if got.Requests > probe.MaxRequests || asked != got.Requests || !slices.Contains(got.Missing, "discovery.api_catalog") {
		t.Errorf("%d requests, %d arrived, missing %v", got.Requests, asked, got.Missing)
	}
}

// TestRunRefuses addresses that are no origin of a host, and ends when it is told to.
func TestRunRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "http://example.com", "https://user:pw@example.com", "https://example.com/path", "https://example.com?x=1", "ftp://example.com", "https://"} {
		if _, err := probe.Run(t.Context(), options(), bad); err == nil {
			t.Errorf("%q was probed", bad)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := probe.Run(ctx, options(), "http://127.0.0.1:1"); err == nil || r.Requests > 1 {
		t.Errorf("a cancelled run sent %d requests: %v", r.Requests, err)
	}
}
