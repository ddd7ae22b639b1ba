package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/api/admin"
	"rapport.example/internal/api/app"
	"rapport.example/internal/api/pipelines"
	"rapport.example/internal/api/track"
	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

// keyring is one workspace with a key of each kind.
type keyring struct{}

func (keyring) Workspaces(context.Context) ([]workspace.Workspace, error) {
	return []workspace.Workspace{{ID: 1}}, nil
}

func (keyring) AllowedAddresses(context.Context) (map[int64][]netip.Prefix, error) { return nil, nil }

func (keyring) Credentials(context.Context) (out []workspace.Credential, err error) {
	for i, kind := range []workspace.Kind{workspace.Track, workspace.App, workspace.Write, workspace.Admin, workspace.Agent} {
		c := workspace.Credential{ID: int64(i + 1), Workspace: 1, Kind: kind, Hash: workspace.Hash(string(kind))}
		if kind == workspace.Track {
			c.SiteID = "site"
		}
		if kind == workspace.Admin {
			c.Workspace = 0
		}
		out = append(out, c)
	}
	return out, nil
}

// good are the credentials of a route; Pipelines takes them in the handler.
func good(r *http.Request, auth api.Auth) {
	switch auth {
	case api.TrackKey:
		r.SetBasicAuth("site", "track")
	case api.AppKey:
		r.Header.Set("Authorization", "Bearer app")
	case api.AdminKey:
		r.Header.Set("Authorization", "Bearer admin")
	case api.AgentKey:
		r.Header.Set("Authorization", "Bearer agent")
	default:
		r.SetBasicAuth("write", "")
	}
}

// tables are the routes of all surfaces, whose handlers are never called.
func tables(o pipelines.Options) [][]api.Route {
	secret := make([]byte, 32)
	return [][]api.Route{
		track.Routes(track.Options{}), app.Routes(app.Options{Secret: secret}), pipelines.Routes(o), admin.New(admin.Options{Secret: secret}).Routes(),
	}
}

// surfaces is a mux with all routes, which are answered by handle.
func surfaces(t *testing.T, l api.Limits, handle api.Handler) *api.Mux {
	t.Helper()
	keys := api.NewKeys(api.KeyOptions{Store: keyring{}, Log: slog.New(slog.DiscardHandler)})
	if err := keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	limiter := api.NewLimiter(l)
	all := tables(pipelines.Options{Keys: keys, Limiter: limiter, Logger: slog.New(slog.DiscardHandler)})
	for _, table := range all {
		for i := range table {
			if handle != nil {
				table[i].Handler, table[i].Fail = handle, nil
			}
		}
	}
	now := time.Unix(1767312000, 0)
	m, err := api.NewMux(api.Options{Keys: keys, Limiter: limiter, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}, all...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// ask makes a request of a client address.
func ask(m http.Handler, method, path, body, from string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	r.RemoteAddr = from + ":1"
	r.Header.Set("X-Strict-Mode", "1")
	change(r)
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	return w
}

// inShape says what of an answer is not as errors of a shape are; "" if all is.
func inShape(shape api.Shape, status int, body []byte) string {
	var v struct {
		Meta struct {
			Error  *string
			Errors []string
			Status int
		}
		Errors []struct {
			Detail, Status, Reason, Message string
			Field                           *string
		}
		Type, Title, Detail, Code, Message string
		Status                             int
		ID                                 string `json:"request_id"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return "no JSON of any shape: " + err.Error()
	}
	ok := false
	switch {
	case shape == api.Problem:
		ok = v.Type == "about:blank" && v.Title != "" && v.Status == status && v.Detail != "" && v.ID != ""
	case shape == api.PipelineErrors:
		ok = len(v.Meta.Errors) > 0 && v.Code != "" && v.Message != ""
	case shape == api.AppErrors:
		ok = len(v.Errors) > 0 && v.Errors[0].Detail != "" && v.Errors[0].Status == strconv.Itoa(status)
	case status == http.StatusUnauthorized:
		ok = v.Meta.Error != nil && v.Meta.Status == status
	case shape == api.ItemErrors:
		ok = len(v.Errors) > 0 && v.Errors[0].Reason != "" && v.Errors[0].Message != "" && v.Errors[0].Field != nil
	case shape == api.MetaErrors:
		ok = len(v.Meta.Errors) > 0
	default:
		ok = v.Meta.Error != nil && *v.Meta.Error != ""
	}
	if !ok {
		return "not in the shape of the route"
	}
	return ""
}

// TestErrorsOfEveryRoute lets every route of every surface fail in every way that needs no handler, and by its handler: the
// answer is in the route's shape, has X-Request-Id, the RateLimit fields and, where it says to come back, Retry-After.
func TestErrorsOfEveryRoute(t *testing.T) {
	t.Parallel()
	const many = 1e6
	plenty := api.Limits{Track: many, App: many, Send: many, Open: many, Pipelines: many, Archive: many}
	failing := func(err error) *api.Mux { return surfaces(t, plenty, func(*api.Call) error { return err }) }
	broken := failing(errors.New("a secret of ours"))
	down := failing(fault.New(fault.Unavailable, "down"))
	panics := surfaces(t, plenty, func(*api.Call) error { panic("a secret of ours") })
	tight := surfaces(t, api.Limits{Track: 0.5, App: 0.5, Send: 0.5, Open: 0.5, Pipelines: 0.5, Archive: 1}, (*api.Call).Empty)
	for i, r := range broken.Routes() {
		from := fmt.Sprintf("10.%d.%d.1", i/250, i%250) // one of its own, so that routes do not use up each other's limit
		path := strings.NewReplacer("{", "", "}", "").Replace(r.Path)
		with := func(req *http.Request) { good(req, r.Auth) }
		limited := r.Limit != api.Unlimited
		for _, tt := range []struct {
			name    string
			mux     *api.Mux
			method  string
			path    string
			body    string
			change  func(*http.Request)
			status  int // 0 = the case is not for this route
			limited bool
		}{
			{"no key", broken, r.Method, path, "", func(*http.Request) {}, unless(r.Auth == api.Open, 401), true},
			{"another key", broken, r.Method, path, "", func(req *http.Request) { req.Header.Set("Authorization", "Bearer agk_x") }, unless(r.Auth == api.Open, 401), true},
			{"an unknown method", broken, "TRACE", path, "", with, 405, true},
			{"an unknown path", broken, r.Method, path + "/x/x/x/x/x", "", with, 404, true},
			{"too large", broken, r.Method, path, strings.Repeat("x", int(r.MaxBody)+1), with, unless(r.MaxBody == 0, 413), limited},
			{"an encoding", broken, r.Method, path, "x", func(req *http.Request) { with(req); req.Header.Set("Content-Encoding", "br") }, unless(r.MaxBody == 0, 415), limited},
			{"a defect", broken, r.Method, path, "", with, 500, limited},
			{"a panic", panics, r.Method, path, "", with, 500, limited},
			{"an outage", down, r.Method, path, "", with, 503, limited},
		} {
			if tt.status != 0 {
				w := ask(tt.mux, tt.method, tt.path, tt.body, from, tt.change)
				checkError(t, fmt.Sprintf("%s %s, %s", r.Method, r.Path, tt.name), r.Shape, w, tt.status, tt.limited)
			}
		}
		if !limited {
			continue
		}
		w := ask(tight, r.Method, path, "", from, with)
		for n := 0; n < 2 && w.Code != 429; n++ {
			w = ask(tight, r.Method, path, "", from, with)
		}
		checkError(t, r.Method+" "+r.Path+", too many", r.Shape, w, 429, true)
	}
}

func unless(not bool, status int) int {
	if not {
		return 0
	}
	return status
}

func checkError(t *testing.T, name string, shape api.Shape, w *httptest.ResponseRecorder, status int, limited bool) {
	t.Helper()
	if w.Code != status {
		t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, status)
		return
	}
	h := w.Header()
	if len(h.Get("X-Request-Id")) != 26 {
		t.Errorf("%s: X-Request-Id %q", name, h.Get("X-Request-Id"))
	}
	if strings.Contains(w.Body.String(), "secret of ours") {
		t.Errorf("%s: %s", name, w.Body)
	}
	if status != 404 { // paths that do not exist have the shape of their prefix
		if wrong := inShape(shape, status, w.Body.Bytes()); wrong != "" {
			t.Errorf("%s: %s: %s", name, wrong, w.Body)
		}
	}
	for _, field := range []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"} {
		if _, err := strconv.Atoi(h.Get(field)); err == nil != limited {
			t.Errorf("%s: %s %q", name, field, h.Get(field))
		}
	}
	daily := h.Get("RateLimit-Reset") != "" && len(h.Get("RateLimit-Reset")) > 2
	if back := h.Get("Retry-After"); (status == 503 || status == 429 && !daily) != (back != "") {
		t.Errorf("%s: Retry-After %q", name, back)
	}
}

// TestWrongKeysAreCounted: whoever guesses keys, in a header, a body or a path, is turned away by their address, while good keys
// and other addresses go on.
func TestWrongKeysAreCounted(t *testing.T) {
	t.Parallel()
	m := surfaces(t, api.Limits{Track: 100, App: 100, Send: 100, Open: 3, Pipelines: 100}, nil)
	guess := func(r *http.Request) { r.SetBasicAuth("wrong", "wrong") }
	for i, tt := range []struct {
		method, path, body string
		change             func(*http.Request)
		status             int
	}{
		{"PUT", "/api/v1/customers/1", "{}", guess, 401},
		{"GET", "/v1/campaigns", "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer wrong") }, 401},
		{"GET", "/admin/v1/keys", "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer wrong") }, 401},
		{"POST", "/v1/track", "{}", guess, 401},
		{"POST", "/v1/batch", `{"writeKey":"wrong","batch":[]}`, func(*http.Request) {}, 401},
		{"POST", "/v1/track", "{}", func(r *http.Request) { guess(r); r.Header.Del("X-Strict-Mode") }, 200},
		{"POST", "/v1/track", "no JSON", func(r *http.Request) { guess(r); r.Header.Del("X-Strict-Mode") }, 200},
		{"GET", "/v1/projects/wrong/settings", "", func(*http.Request) {}, 404},
		{"GET", "/v1/nothing", "", guess, 404},
	} {
		from := fmt.Sprintf("192.0.2.%d", i+1)
		for n := range 4 {
			w := ask(m, tt.method, tt.path, tt.body, from, tt.change)
			want := tt.status
			if n == 3 {
				want = 429
			}
			if w.Code != want || w.Header().Get("RateLimit-Remaining") != strconv.Itoa(max(0, 2-n)) || (w.Header().Get("Retry-After") != "") != (n == 3) {
				t.Errorf("%s %s, try %d: %d %s %v, want %d", tt.method, tt.path, n+1, w.Code, w.Body, w.Header(), want)
			}
		}
		if w := ask(m, "GET", "/v1/nothing", "", "198.51.100.1", guess); i < 3 && w.Code != 404 {
			t.Errorf("another address is answered %d", w.Code)
		}
		if w := ask(m, "GET", "/v1/projects/write/settings", "", from, func(*http.Request) {}); w.Code != 200 {
			t.Errorf("a good key from the same address is answered %d", w.Code)
		}
	}
}
