package app_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestImports orders imports, also again under the same key, and looks at them from another workspace. What becomes of their files is
// tested with package imports.
func TestImports(t *testing.T) {
	t.Parallel()
	times := regexp.MustCompile(`"(created_at|updated_at)":\d+`)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		seed(t, db)
		s := newSurface(t, db, db, false)
		order := func(key, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/imports", strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer app")
			if key != "" {
				r.Header.Set("Idempotency-Key", key)
			}
			w := httptest.NewRecorder()
			s.mux.ServeHTTP(w, r)
			return w
		}
		const first = `{"import":{"name":"May","data_file_url":"https://files.example/a?secret=1","type":"people","identifier":"email","data_to_process":"only_new","description":"of May"}}`
		const things = `{"import":{"name":"things","data_file_url":"http://files.example/b","type":"object","identifier":"id","object_type_id":"2"}}`
		for _, c := range []struct {
			key, body, want string
			replayed        bool
		}{
			{"", first, `{"import":{"id":1,@,@,"name":"May","description":"of May","rows_to_import":0,"rows_imported":0,"state":"preprocessing","type":"people",` +
				`"identifier":"email","data_to_process":"only_new","people_to_process":"all","object_type_id":null,"error":""}}`, false},
			{"k", things, `{"import":{"id":2,@,@,"name":"things","description":"","rows_to_import":0,"rows_imported":0,"state":"preprocessing","type":"object",` +
				`"identifier":"id","data_to_process":"all","people_to_process":"all","object_type_id":2,"error":""}}`, false},
			{"k", things, `{"import":{"id":2,@,@,"name":"things","description":"","rows_to_import":0,"rows_imported":0,"state":"preprocessing","type":"object",` +
				`"identifier":"id","data_to_process":"all","people_to_process":"all","object_type_id":2,"error":""}}`, true},
			{"k", first, `{"errors":[{"detail":"the Idempotency-Key was used for another request in the last 24 hours","status":"422"}]}`, false},
		} {
			w := order(c.key, c.body)
			if diff := cmp.Diff(c.want, strings.TrimSpace(times.ReplaceAllString(w.Body.String(), "@"))); diff != "" || (w.Header().Get("Idempotent-Replayed") == "true") != c.replayed {
				t.Errorf("%s %s: %d, %v (-want +got):\n%s", c.key, c.body, w.Code, w.Header(), diff)
			}
		}
		if w := s.send(t, "GET", "/v1/imports/1", ""); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "secret") || !strings.Contains(w.Body.String(), `"name":"May"`) {
			t.Errorf("GET /v1/imports/1: %d %s", w.Code, w.Body)
		}
		for key, path := range map[string]string{"other": "/v1/imports/1", "app": "/v1/imports/3"} {
			if w := s.as(t, key, path); w.Code != http.StatusNotFound {
				t.Errorf("GET %s as %s: %d %s", path, key, w.Code, w.Body)
			}
		}
	})
}
