package app_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api"
	"rapport.example/internal/api/apitest"
	"rapport.example/internal/api/app"
	"rapport.example/internal/fault"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/workspace"
)

// scopes are what keys are tried with: each scope alone, all by not naming any, and none that counts.
var scopes = map[string][]string{"read": {"read"}, "write": {"write"}, "send": {"send"}, "all": nil}

// TestScopes tries every route with keys of every scope: it lets in the one scope that it names, and tells the others which.
func TestScopes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		seed(t, db)
		for name, list := range scopes {
			c := workspace.Credential{Workspace: 1, Kind: workspace.App, Hash: workspace.Hash("scope-" + name), Scopes: list}
			if _, err := db.CreateCredential(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		routes := app.Routes(app.Options{Store: db, Secret: secret})
		for i := range routes { // only who gets in is looked at here
			routes[i].Handler = func(c *api.Call) error { return fault.New(fault.Conflict, "let in") }
		}
		k := api.NewKeys(api.KeyOptions{Store: db, Log: quiet()})
		if err := k.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		mux, err := api.NewMux(api.Options{Keys: k, Now: func() time.Time { return apitest.Start }, Log: slog.New(slog.DiscardHandler)}, routes)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range routes {
			for name := range scopes {
				req := httptest.NewRequestWithContext(t.Context(), r.Method, r.Path, strings.NewReader("{}"))
				req.Header.Set("Authorization", "Bearer scope-"+name)
				w := httptest.NewRecorder()
				mux.ServeHTTP(w, req)
				in, need := name == "all" || name == r.AppScope(), "lacks the scope "+r.AppScope()
				if in && w.Code != http.StatusConflict || !in && (w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), need)) {
					t.Errorf("%s %s, which needs %q, with %s: %d %s", r.Method, r.Path, r.AppScope(), name, w.Code, w.Body)
				}
				if meta := strings.HasPrefix(w.Body.String(), `{"meta":{"error":`); meta != (r.Shape == api.MetaError) {
					t.Errorf("%s %s answers %s, which is not its shape", r.Method, r.Path, w.Body)
				}
			}
		}
	})
}

// TestScopesByMethod lists the routes whose scope does not follow from the method: reads that are POSTs, and what sends.
func TestScopesByMethod(t *testing.T) {
	t.Parallel()
	var got []string
	for _, r := range app.Routes(app.Options{Secret: secret}) {
		byMethod := workspace.WriteScope
		if r.Method == http.MethodGet {
			byMethod = workspace.Read
		}
		if s := r.AppScope(); s != byMethod {
			got = append(got, s+" "+r.Method+" "+r.Path)
		}
	}
	slices.Sort(got)
	want := []string{
		"read POST /v1/customers",
		"read POST /v1/customers/attributes",
		"read POST /v1/exports/customers",
		"read POST /v1/exports/deliveries",
		"read POST /v1/objects",
		"read POST /v1/segments/preview",
		"send POST /v1/api/campaigns/{campaign_id}/triggers",
		"send POST /v1/campaigns/{campaign_id}/triggers",
		"send POST /v1/newsletters/{newsletter_id}/schedule",
		"send POST /v1/newsletters/{newsletter_id}/send",
		"send POST /v1/send/email",
		"send POST /v1/send/in_app",
		"send POST /v1/send/inbox_message",
		"send POST /v1/send/push",
		"send POST /v1/send/sms",
		"send POST /v1/send/whatsapp",
		"write GET /v1/subscription_center/{customer_id}/token",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("scopes that do not follow from the method (-want +got):\n%s", diff)
	}
}
