package apitest_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rapport.example/internal/api"
	"rapport.example/internal/api/apitest"
	"rapport.example/internal/api/app"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestPhoneShown: a phone that identifies is among the attributes that the App API shows, and finds its person, unless the workspace
// does not identify by it.
func TestPhoneShown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := apitest.New(t, db)
		mux, err := api.NewMux(api.Options{Keys: w.Keys, Now: w.Now, Log: slog.New(slog.DiscardHandler)}, app.Routes(app.Options{Store: db, Log: w}))
		if err != nil {
			t.Fatal(err)
		}
		get := func(want int, part string) {
			t.Helper()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/customers/+1%20555-010-0001/attributes?id_type=phone", nil)
			r.Header.Set("Authorization", "Bearer "+apitest.AppKey)
			a := httptest.NewRecorder()
			mux.ServeHTTP(a, r)
			if a.Code != want || !strings.Contains(a.Body.String(), part) {
				t.Errorf("got %d %s, want %d with %s", a.Code, a.Body, want, part)
			}
		}
		get(http.StatusBadRequest, "phone is not an identifier")
		w.Define("schema: 1\nworkspace: w\nidentifiers: [id, email, phone]\n")
		get(http.StatusNotFound, "")
		w.Do(w.Op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{Phone: "+15550100001"}}))
		get(http.StatusOK, `"phone":"+15550100001"`)
	})
}
