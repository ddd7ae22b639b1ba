package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/apitest"
	"rapport.example/internal/api/app"
	"rapport.example/internal/export"
	"rapport.example/internal/job"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// as sends a GET with another key.
func (s *surface) as(tb testing.TB, key, path string) *httptest.ResponseRecorder {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, path, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+key)
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	return w
}

// exported orders an export and waits for its end.
func (s *surface) exported(t *testing.T, path, body string) app.Export {
	t.Helper()
	var out app.ExportAnswer
	w := s.send(t, "POST", path, body)
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != http.StatusOK || out.Export.Status != "pending" {
		t.Fatalf("POST %s %s = %d %s", path, body, w.Code, w.Body)
	}
	for end := time.Now().Add(time.Minute); out.Export.Status == "pending"; {
		if time.Now().After(end) {
			t.Fatalf("%+v stays pending", out.Export)
		}
		timer := time.NewTimer(2 * time.Millisecond)
		<-timer.C
		if err := json.Unmarshal(s.send(t, "GET", fmt.Sprintf("/v1/exports/%d", out.Export.ID), "").Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
	}
	return out.Export
}

// TestExports orders exports, follows their links, and looks at them from another workspace.
func TestExports(t *testing.T) {
	t.Parallel()
	times := regexp.MustCompile(`"(created_at|updated_at)":\d+|:\d{10}"`)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		seed(t, db)
		s := newSurface(t, db, db, false)
		pending := s.send(t, "POST", "/v1/exports/customers", `{"filters":{"segment":{"id":1}}}`)
		if w := s.send(t, "GET", "/v1/exports/1/download", ""); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "not done yet") {
			t.Errorf("a link before the end: %d %s", w.Code, w.Body)
		}
		const shape = `{"export":{"id":1,"user_id":0,"user_email":"","total":0,"deduplicate_id":"1@","type":"customers","failed":false,` +
			`"description":"Customers in segment 1","downloads":0,@,@,"status":"pending"}}` + "\n"
		if diff := cmp.Diff(shape, strings.ReplaceAll(times.ReplaceAllString(pending.Body.String(), "@"), "1@,", `1@",`)); diff != "" {
			t.Errorf("the order's answer (-want +got):\n%s", diff)
		}
		r := job.NewRunner(job.Options{Store: db, Kinds: []job.Kind{export.Job(db)}, Owner: "a", Now: time.Now, Logger: quiet(), Poll: 5 * time.Millisecond})
		r.Start()
		t.Cleanup(r.Stop)

		files := export.NewHandler(db, export.NewSigner(secret, ""), func() time.Time { return apitest.Start }, quiet())
		for _, c := range []struct {
			path, body string
			total      int64
			first      []string // cells of the first column
		}{
			{"customers", `{"filters":{}}`, 2, []string{"id", "1", ""}},
			{"customers", `{"filters":{"attribute":{"field":"plan","operator":"eq","value":"pro"}}}`, 1, []string{"id", "1"}},
			{"customers", `{"filters":{"not":{"segment":{"id":1}}}}`, 1, []string{"id", ""}},
			{"deliveries", `{"campaign_id":1}`, 4, []string{"delivery_id", "d1", "d3", "d4", "d5"}},
			{"deliveries", `{"transactional_message_id":1,"attributes":["plan"],"drafts":true}`, 1, []string{"delivery_id", "d2"}},
			{"deliveries", `{"transactional_message_id":1,"start":1700000000,"end":1767312003}`, 2, []string{"delivery_id", "d2", "old"}},
			{"deliveries", `{"transactional_message_id":1,"start":0,"end":1767312001}`, 1, []string{"delivery_id", "old"}},
			{"deliveries", `{"transactional_message_id":1,"start":0,"end":1790000000}`, 1, []string{"delivery_id", "d2"}}, // twelve months
			{"deliveries", `{"action_id":7,"metric":"opened"}`, 1, []string{"delivery_id", "d1"}},
			{"deliveries", `{"newsletter_id":3}`, 0, []string{"delivery_id"}},
		} {
			e := s.exported(t, "/v1/exports/"+c.path, c.body)
			if e.Status != "done" || e.Total != c.total || e.Type != c.path || e.Failed {
				t.Errorf("%s: %+v, want %d rows", c.body, e, c.total)
			}
			path := fmt.Sprintf("/v1/exports/%d", e.ID)
			var link app.DownloadAnswer
			if err := json.Unmarshal(s.send(t, "GET", path+"/download", "").Body.Bytes(), &link); err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			files.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, link.URL, http.NoBody))
			var first []string
			for row := range strings.Lines(w.Body.String()) {
				cell, _, _ := strings.Cut(row, ",")
				first = append(first, cell)
			}
			if diff := cmp.Diff(c.first, first); diff != "" || w.Code != http.StatusOK {
				t.Errorf("%s: the file, %d (-want +got):\n%s", c.body, w.Code, diff)
			}
			if want := fmt.Sprintf(`attachment; filename="%s-%d.csv"`, c.path, e.ID); w.Header().Get("Content-Disposition") != want {
				t.Errorf("Content-Disposition: %s, want %s", w.Header().Get("Content-Disposition"), want)
			}
			if got := s.exportOf(t, e.ID); got.Downloads != 1 || got.UpdatedAt != e.UpdatedAt {
				t.Errorf("after a download: %+v", got)
			}
			for _, p := range []string{path, path + "/download"} {
				if w := s.as(t, "other", p); w.Code != http.StatusNotFound {
					t.Errorf("GET %s of another workspace: %d %s", p, w.Code, w.Body)
				}
			}
		}
		if got := s.as(t, "other", "/v1/exports").Body.String(); got != "{\"exports\":null}\n" {
			t.Errorf("another workspace's exports: %s", got)
		}
		var all app.ExportsAnswer
		if err := json.Unmarshal(s.send(t, "GET", "/v1/exports", "").Body.Bytes(), &all); err != nil || len(all.Exports) != 11 || all.Exports[0].ID != 11 {
			t.Errorf("exports: %+v, %v, want 11, the newest first", all.Exports, err)
		}
	})
}

func (s *surface) exportOf(t *testing.T, id int64) app.Export {
	t.Helper()
	var out app.ExportAnswer
	if err := json.Unmarshal(s.send(t, "GET", fmt.Sprintf("/v1/exports/%d", id), "").Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out.Export
}
