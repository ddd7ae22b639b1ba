package admin_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"rapport.example/internal/api/apitest"
	"rapport.example/internal/store/storetest"
)

// FuzzAdmin sends made-up bodies, ids and parameters to the operators' API and pages: never a 500, always JSON where
// JSON is promised.
func FuzzAdmin(f *testing.F) {
	s := newServer(f, storetest.Open(f, storetest.Options(f, storetest.SQLite)), nil)
	for _, body := range []string{
		`{"file":"w.yaml","yaml":"schema: 1\nworkspace: acme\n","dry_run":true}`, `{"kind":"agent","name":"x","workspace":"1","expires":1}`,
		`{"advance":"1h"}`, `{"advance":-1}`, `{"to":1e400000}`, `[[[[`, `{"yaml":"\ud800"}`, "{\"name\":\"\x00\"}",
	} {
		f.Add(body, "1", "limit=5&workspace=acme&start=AAAA")
	}
	f.Add(`{}`, "%00/\xff", "campaign=x&id_type=email&kind=segments&to=%00&start=%ff&limit=-1")
	f.Fuzz(func(t *testing.T, body, id, query string) {
		s := &server{s.World, t, s.mux}
		if values, err := url.ParseQuery(query); err == nil {
			query = values.Encode()
		} else {
			query = "workspace=" + url.QueryEscape(query)
		}
		seg := url.PathEscape(id)
		if seg == "" || seg == "." || seg == ".." {
			seg = "1"
		}
		bearer := []string{"Authorization", "Bearer " + apitest.AdminKey}
		for _, c := range []struct{ method, path string }{
			{http.MethodPost, "/admin/v1/apply"},
			{http.MethodPost, "/admin/v1/keys"},
			{http.MethodDelete, "/admin/v1/keys/" + seg},
			{http.MethodGet, "/admin/v1/people/" + seg + "/why"},
			{http.MethodGet, "/admin/v1/people/" + seg + "/segments/" + seg},
			{http.MethodGet, "/admin/v1/mailbox"},
			{http.MethodGet, "/admin/v1/mailbox/" + seg},
			{http.MethodGet, "/admin/v1/definitions"},
			{http.MethodGet, "/admin/v1/export"},
			{http.MethodGet, "/admin/v1/clock"},
		} {
			if c.method == http.MethodDelete && (seg == "1" || seg == "2") {
				continue // it would revoke the key of the test
			}
			send := body
			if c.method != http.MethodPost {
				send = ""
			} else if c.path == "/admin/v1/apply" {
				var m map[string]any
				if json.Unmarshal([]byte(body), &m) == nil && m != nil {
					m["dry_run"] = true
					b, err := json.Marshal(m)
					if err != nil {
						t.Fatal(err)
					}
					send = string(b)
				}
			}
			w := s.request(c.method, c.path+"?"+query, send, bearer...)
			if w.Code >= 500 {
				t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
			}
			if w.Code >= 400 && !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s %s: %q", c.method, c.path, w.Body)
			}
		}
		if w := s.request(http.MethodPost, "/admin/v1/clock?dry=1&"+query, `{"advance":`+body+`}`, bearer...); w.Code >= 500 {
			t.Errorf("clock: %d %s", w.Code, w.Body)
		}
		if w := s.request(http.MethodPost, "/login?"+query, body, "Content-Type", "application/x-www-form-urlencoded"); w.Code >= 500 {
			t.Errorf("login: %d %s", w.Code, w.Body)
		}
	})
}
