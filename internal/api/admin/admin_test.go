package admin_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api"
	"rapport.example/internal/api/admin"
	"rapport.example/internal/api/apitest"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

const file = `schema: 1
workspace: acme
senders:
  - id: hello
    name: Acme
    email: hello@acme.example
segments:
  - id: paying
    name: Paying
    conditions:
      all:
        - attribute: plan
          is: pro
campaigns:
  - id: onboarding
    name: Onboarding
    state: running
    trigger:
      event: signed_up
    filter:
      all:
        - attribute: plan
          is: pro
    frequency: every_time
    workflow:
      - id: welcome
        email:
          from: hello
          to: "{{ customer.email }}"
          subject: Welcome
          body: <p>Hi</p>
      - id: wait
        delay: 3d
      - id: nudge
        email:
          from: hello
          to: "{{ customer.email }}"
          subject: Nudge
          body: <p>Hi again</p>
`

type server struct {
	*apitest.World
	t   testing.TB
	mux *api.Mux
}

func newServer(tb testing.TB, db *store.DB, change func(*admin.Options)) *server {
	tb.Helper()
	w := apitest.New(tb, db)
	o := admin.Options{
		Store: db, Keys: w.Keys, Log: w, Secret: db.Secret(), Now: w.Now, Logger: slog.New(slog.DiscardHandler), Applied: w.Applied, Fresh: w.Fresh,
	}
	if change != nil {
		change(&o)
	}
	s := admin.New(o)
	mux, err := api.NewMux(api.Options{Keys: w.Keys, Now: w.Now, Log: o.Logger, Fallback: s.Pages(), Session: s.Session}, s.Routes())
	if err != nil {
		tb.Fatal(err)
	}
	return &server{w, tb, mux}
}

func (s *server) request(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, strings.NewReader(body))
	for h := range slices.Chunk(headers, 2) {
		r.Header.Set(h[0], h[1])
	}
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	return w
}

// call sends a request with the admin key and decodes the answer.
func call[T any](s *server, method, path string, body any, status int) T {
	s.t.Helper()
	text := ""
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		text = string(b)
	}
	w := s.request(method, "/admin/v1/"+path, text, "Authorization", "Bearer "+apitest.AdminKey)
	var out T
	if w.Code != status {
		s.t.Fatalf("%s %s = %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
		}
	}
	return out
}

type problem struct {
	Title, Detail, Field string
	Status               int
}

// TestRoutes: every route of the JSON API asks for the admin key and answers RFC 9457.
func TestRoutes(t *testing.T) {
	t.Parallel()
	s := newServer(t, storetest.Open(t, storetest.Options(t, storetest.SQLite)), nil)
	for _, r := range s.mux.Routes() {
		path := strings.NewReplacer("{", "", "}", "").Replace(r.Path)
		for _, auth := range []string{"", "Bearer wrong", "Bearer " + apitest.AppKey, "Basic YTpi"} {
			w := s.request(r.Method, path, "", "Authorization", auth)
			var p problem
			err := json.Unmarshal(w.Body.Bytes(), &p)
			if err != nil || w.Code != 401 || p.Status != 401 || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s with %q = %d %s", r.Method, path, auth, w.Code, w.Body)
			}
		}
		if w := s.request(r.Method, path, "{", "Authorization", "Bearer "+apitest.AdminKey); w.Code >= 500 && w.Code != http.StatusNotImplemented {
			t.Errorf("%s %s = %d %s", r.Method, path, w.Code, w.Body)
		}
	}
}

// TestApply: the first apply names the empty workspace, a second one changes nothing, another name makes a workspace with
// keys that work at once, and a dry run only tells.
func TestApply(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := newServer(t, db, nil)
		req := admin.ApplyRequest{File: "w.yaml", YAML: file}
		dry := req
		dry.DryRun = true
		if got := call[admin.ApplyAnswer](s, "POST", "apply", dry, 200); !got.Named || !got.Changed || len(got.Plan.Add) != 3 || got.Workspace.Gen != 0 {
			t.Errorf("dry run = %+v", got)
		}
		if got := call[admin.DefinitionsAnswer](s, "GET", "definitions", nil, 200); len(got.Definitions) != 0 {
			t.Errorf("a dry run saved %d definitions", len(got.Definitions))
		}
		got := call[admin.ApplyAnswer](s, "POST", "apply", req, 200)
		if !got.Named || got.Created || got.Workspace.ID != s.Workspace.ID || got.Workspace.Name != "acme" || len(got.Plan.Add) != 3 || len(got.Credentials) != 0 {
			t.Errorf("apply = %+v", got)
		}
		if got := call[admin.ApplyAnswer](s, "POST", "apply", req, 200); got.Changed || got.Plan.Same != 3 || !got.Plan.Empty() {
			t.Errorf("apply again = %+v", got)
		}
		out := s.request("GET", "/admin/v1/export?workspace=acme", "", "Authorization", "Bearer "+apitest.AdminKey)
		if got := call[admin.ApplyAnswer](s, "POST", "apply", admin.ApplyRequest{YAML: out.Body.String(), Prune: true}, 200); got.Changed {
			t.Errorf("applying the export changes %+v", got.Plan)
		}
		req.YAML = strings.Replace(file, "workspace: acme", "workspace: other", 1)
		made := call[admin.ApplyAnswer](s, "POST", "apply", req, 200)
		if !made.Created || made.Workspace.ID == s.Workspace.ID || len(made.Credentials) != 4 {
			t.Fatalf("apply of another name = %+v", made)
		}
		for _, c := range made.Credentials {
			if _, err := s.Keys.Secret(c.Kind, c.Secret, s.Now()); c.Kind != workspace.Track && err != nil {
				t.Errorf("the new %s key does not work: %v", c.Kind, err)
			}
		}
		if got := call[admin.WorkspacesAnswer](s, "GET", "workspaces", nil, 200); len(got.Workspaces) != 2 {
			t.Errorf("workspaces = %+v", got)
		}
	})
}

// TestApplyStarts: a dry run tells whom a campaign with a current audience would begin for.
func TestApplyStarts(t *testing.T) {
	t.Parallel()
	s := newServer(t, storetest.Open(t, storetest.Options(t, storetest.SQLite)), nil)
	more := file + `  - id: payers
    name: Payers
    state: running
    trigger:
      enters_segment: paying
      audience: current_and_new
    frequency: once
    workflow:
      - id: done
        exit: true
`
	got := call[admin.ApplyAnswer](s, "POST", "apply", admin.ApplyRequest{YAML: more, DryRun: true}, 200).Starts
	if len(got) != 1 || got[0].People != nil {
		t.Errorf("before the segment is saved: starts %+v, want one with unknown people", got)
	}
	call[any](s, "POST", "apply", admin.ApplyRequest{YAML: file}, 200)
	s.Do(s.Identify("1", `{"plan":"pro"}`), s.Identify("2", `{"plan":"pro"}`), s.Identify("3", `{"plan":"free"}`))
	got = call[admin.ApplyAnswer](s, "POST", "apply", admin.ApplyRequest{YAML: more, DryRun: true}, 200).Starts
	if len(got) != 1 || got[0].Campaign != "payers" || got[0].People == nil || *got[0].People != 2 {
		t.Errorf("starts %+v, want payers for 2 people", got)
	}
}

// TestApplyBad: errors name file, line and field, and nothing is saved.
func TestApplyBad(t *testing.T) {
	t.Parallel()
	s := newServer(t, storetest.Open(t, storetest.Options(t, storetest.SQLite)), nil)
	for name, c := range map[string]struct{ yaml, detail string }{
		"syntax":            {"schema: 1\nworkspace: [", "w.yaml:"},
		"unknown key":       {strings.Replace(file, "    email: hello@acme.example", "    emial: hello@acme.example", 1), "w.yaml:6"},
		"unknown reference": {strings.Replace(file, "from: hello", "from: nobody", 1), "w.yaml:"},
		"empty":             {"", "w.yaml:"},
	} {
		got := call[problem](s, "POST", "apply", admin.ApplyRequest{File: "w.yaml", YAML: c.yaml}, 400)
		if !strings.Contains(got.Detail, c.detail) {
			t.Errorf("%s: %+v, want %q", name, got, c.detail)
		}
	}
	if n := len(s.Ops()); n != 0 {
		t.Errorf("%d ops", n)
	}
}

// TestKeys: a key is shown once, works at once, and stops at once.
func TestKeys(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := newServer(t, db, nil)
		for _, kind := range []workspace.Kind{workspace.Track, workspace.App, workspace.Write, workspace.Agent, workspace.Admin} {
			got := call[map[string]any](s, "POST", "keys", map[string]any{"kind": kind, "name": "n"}, 201)
			secret, _ := got["secret"].(string)
			find := func() error {
				if kind == workspace.Track {
					_, err := s.Keys.Authenticate("Basic "+basic(got["site_id"].(string), secret), api.TrackKey, s.Now())
					return err
				}
				_, err := s.Keys.Secret(kind, secret, s.Now())
				return err
			}
			if err := find(); err != nil {
				t.Errorf("new %s key: %v", kind, err)
			}
			list := s.request("GET", "/admin/v1/keys", "", "Authorization", "Bearer "+apitest.AdminKey).Body.String()
			if strings.Contains(list, secret) {
				t.Errorf("the list holds the secret of the %s key", kind)
			}
			call[any](s, "DELETE", fmt.Sprintf("keys/%.0f", got["id"]), nil, 204)
			if find() == nil {
				t.Errorf("the revoked %s key still works", kind)
			}
		}
		for _, bad := range []string{`{"kind":"x"}`, `{}`, `{"kind":"app","workspace":"nowhere"}`, `{"kind":"track","scopes":["read"]}`, `{"kind":"app","scopes":["read:sensitive"]}`, `{"kind":"app","scopes":["read","read"]}`, `{"kind":"agent","scopes":["all"]}`, `{"kind":"app","expires_in":"-1h"}`, `{"kind":"app","nme":"x"}`} {
			if w := s.request("POST", "/admin/v1/keys", bad, "Authorization", "Bearer "+apitest.AdminKey); w.Code != 400 && w.Code != 404 {
				t.Errorf("%s = %d %s", bad, w.Code, w.Body)
			}
		}
		call[any](s, "DELETE", "keys/99", nil, 404)
	})
}

// TestClockAndWhy: a campaign's decisions can be read by every identifier, and the clock makes its delay pass.
func TestClockAndWhy(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := newServer(t, db, nil)
		call[any](s, "POST", "apply", admin.ApplyRequest{YAML: file}, 200)
		s.Do(s.Identify("7", `{"email":"ada@example.com","plan":"pro"}`), s.Event("7", "signed_up", `{}`))
		before := call[admin.ClockAnswer](s, "GET", "clock", nil, 200)
		after := call[admin.ClockAnswer](s, "POST", "clock", admin.ClockRequest{Advance: "72h"}, 200)
		if d := after.Now - before.Now; d < 72*3600 || d > 72*3600+60 || after.Offset != 72*3600 {
			t.Errorf("clock went from %+v to %+v", before, after)
		}
		s.Sent(2) // the welcome and, three days later, the nudge: behind them nothing more is decided
		cio := ""
		for _, who := range []string{"7", "ada@example.com", "ADA%40example.com"} {
			got := call[admin.WhyAnswer](s, "GET", "people/"+who+"/why?campaign=onboarding", nil, 200)
			cio = got.Person.CIO
			if !slices.ContainsFunc(got.Decisions, func(d admin.Decision) bool { return d.Outcome == "started" && d.Version == 1 }) {
				t.Errorf("why %s = %+v, want that the campaign started", who, got)
			}
		}
		want := call[admin.WhyAnswer](s, "GET", "people/"+cio+"/why", nil, 200).Decisions
		var paged []admin.Decision
		for next := ""; ; {
			page := call[admin.WhyAnswer](s, "GET", "people/7/why?limit=2&start="+next, nil, 200)
			paged = append(paged, page.Decisions...)
			if next = page.Next; next == "" {
				break
			}
		}
		if diff := cmp.Diff(want, paged); diff != "" || len(want) < 4 {
			t.Errorf("%d decisions, in pages (-want +got):\n%s", len(want), diff)
		}
		for path, status := range map[string]int{"people/8/why": 404, "people/%00/why": 400, "people/7/why?campaign=none": 400, "people/7/why?start=x": 400, "people/7/why?workspace=none": 404} {
			call[problem](s, "GET", path, nil, status)
		}
		for _, bad := range []string{`{}`, `{"advance":"-1h"}`, `{"advance":"soon"}`, `{"set":"2020-01-01T00:00:00Z"}`, `{"set":true}`, `{"advance":"1h","set":5}`, `{"advance":"99999d"}`, `{"set":253402300799}`} {
			if w := s.request("POST", "/admin/v1/clock", bad, "Authorization", "Bearer "+apitest.AdminKey); w.Code != 400 {
				t.Errorf("%s = %d %s", bad, w.Code, w.Body)
			}
		}
	})
}

const source = "From: Acme <hello@acme.example>\r\nTo: ada@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nList-Unsubscribe: <https://acme.example/u>\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHallo Ada\r\n" +
	"--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<!doctype html><html><head><title>x</title></head><body><p style=3D\"color:red\">Hallo</p><script>alert(1)</script></body></html>\r\n--b--\r\n"

func (s *server) mail(n int, text string) {
	s.t.Helper()
	for i := range n {
		m := store.Mail{Workspace: s.Workspace.ID, Person: 1, Sender: "Acme <hello@acme.example>", Recipient: fmt.Sprintf("ada+%d_x@example.com", i), Subject: "Grüße", Source: []byte(text), Created: apitest.Start.UnixMilli()}
		if err := s.DB.SaveMail(s.t.Context(), m); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestMailbox: mails are taken apart, paged and filtered.
func TestMailbox(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := newServer(t, db, nil)
		s.Do(s.Identify("7", `{}`))
		s.mail(7, source)
		seen := map[int64]bool{}
		for next := ""; ; {
			page := call[admin.MailboxAnswer](s, "GET", "mailbox?limit=3&start="+next, nil, 200)
			for _, m := range page.Messages {
				seen[m.ID] = true
			}
			if next = page.Next; next == "" {
				break
			}
		}
		if len(seen) != 7 {
			t.Errorf("%d mails in pages, want 7", len(seen))
		}
		got := call[admin.MailboxAnswer](s, "GET", "mailbox?to=ADA%2B3_", nil, 200).Messages
		if len(got) != 1 || got[0].To != "ada+3_x@example.com" || got[0].Subject != "Grüße" || !strings.Contains(got[0].HTML, `color:red`) ||
			strings.TrimSpace(got[0].Text) != "Hallo Ada" || got[0].Headers["Subject"] != "Grüße" || got[0].Headers["List-Unsubscribe"] == "" || got[0].CreatedAt != apitest.Start.Unix() {
			t.Errorf("mailbox = %+v", got)
		}
		if len(call[admin.MailboxAnswer](s, "GET", "mailbox?to=%25", nil, 200).Messages) != 0 {
			t.Error("a % in the filter is taken for a wild card")
		}
		s.mail(1, "no mail at all \xff\x00")
		call[admin.MailMessage](s, "GET", fmt.Sprintf("mailbox/%d", call[admin.MailboxAnswer](s, "GET", "mailbox", nil, 200).Messages[0].ID), nil, 200)
		call[problem](s, "GET", "mailbox/999999", nil, 404)
	})
}

// TestForms: forms are listed by id, with what was sent and counted.
func TestForms(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := newServer(t, db, nil)
		for _, id := range []string{"b", "ä", "B", "a/1"} {
			s.Do(s.Op(ingest.Form, ingest.FormPayload{Form: id, By: ingest.By{ID: "7"}, Fields: value.Value(`{"id":"7","plan":"pro"}`)}))
		}
		s.Do(s.Op(ingest.Form, ingest.FormPayload{Form: "b", Fields: value.Value(`{"colour":""}`)}))
		var got []admin.Form
		for next := ""; ; {
			page := call[admin.FormsAnswer](s, "GET", "forms?limit=3&start="+url.QueryEscape(next), nil, 200)
			got = append(got, page.Forms...)
			if next = page.Next; next == "" {
				break
			}
		}
		at := apitest.Start.Unix()
		one := func(id string) admin.Form {
			return admin.Form{ID: id, Fields: []string{"id", "plan"}, Submissions: 1, Created: at, Updated: at}
		}
		b := admin.Form{ID: "b", Fields: []string{"id", "plan", "colour"}, Submissions: 1, Refused: 1, Created: at, Updated: at}
		if diff := cmp.Diff([]admin.Form{one("B"), one("a/1"), b, one("ä")}, got); diff != "" {
			t.Errorf("forms (-want +got):\n%s", diff)
		}
		call[problem](s, "GET", "forms?start=x", nil, 400)
	})
}

// TestStatusAndBackup: counts are there, and a backup streams or says why not.
func TestStatusAndBackup(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		var fail error
		s := newServer(t, db, func(o *admin.Options) {
			o.Status = func(context.Context) map[string]any { return map[string]any{"version": "x"} }
			o.Backup = func(_ context.Context, w io.Writer) error {
				if fail != nil {
					return fail
				}
				_, err := w.Write([]byte("copy"))
				return err
			}
		})
		s.Do(s.Identify("7", `{}`), s.Event("7", "e", `{}`))
		got := call[admin.StatusAnswer](s, "GET", "status", nil, 200)
		if len(got.Partitions) != 1 || got.Partitions[0].Checkpoint != 1 || got.Workspaces[0].People != 1 || got.Workspaces[0].Activities < 2 || got.Server["version"] != "x" {
			t.Errorf("status = %+v", got)
		}
		w := s.request("POST", "/admin/v1/backup", "", "Authorization", "Bearer "+apitest.AdminKey)
		if w.Code != 200 || w.Body.String() != "copy" || w.Header().Get("Content-Type") != "application/octet-stream" {
			t.Errorf("backup = %d %s", w.Code, w.Body)
		}
		fail = errors.New("disk full at /secret/path")
		if w := s.request("POST", "/admin/v1/backup", "", "Authorization", "Bearer "+apitest.AdminKey); w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("failing backup = %d %s", w.Code, w.Body)
		}
	})
}

func (s *server) login(key string, headers ...string) *httptest.ResponseRecorder {
	return s.request("POST", "/login", url.Values{"key": {key}, "next": {"/people"}}.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
}

func (s *server) cookie() string {
	s.t.Helper()
	w := s.login(apitest.AdminKey)
	cookies := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || len(cookies) != 1 {
		s.t.Fatalf("login = %d %s", w.Code, w.Body)
	}
	c := cookies[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || w.Header().Get("Location") != "/people" {
		s.t.Errorf("cookie %+v, Location %q", c, w.Header().Get("Location"))
	}
	return c.Name + "=" + c.Value
}

// TestSession: pages and the JSON API open with the cookie, from the same site only, and no longer when the key is gone.
func TestSession(t *testing.T) {
	t.Parallel()
	s := newServer(t, storetest.Open(t, storetest.Options(t, storetest.SQLite)), nil)
	for _, path := range []string{"/", "/people", "/people/7", "/mail/1", "/mail/1/body", "/mail/1/source"} {
		if w := s.request("GET", path, ""); w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/login?next=") {
			t.Errorf("GET %s without a session = %d %s", path, w.Code, w.Header().Get("Location"))
		}
	}
	cookie := s.cookie()
	for path, want := range map[string]int{"/": 200, "/people": 200, "/admin/v1/workspaces": 200, "/nowhere": 404, "/people/7": 404, "/mail/x": 404, "/login": 303} {
		if w := s.request("GET", path, "", "Cookie", cookie); w.Code != want {
			t.Errorf("GET %s = %d, want %d", path, w.Code, want)
		}
	}
	const create = `{"kind":"app"}`
	if w := s.request("POST", "/admin/v1/keys", create, "Cookie", cookie, "Sec-Fetch-Site", "same-origin"); w.Code != 201 {
		t.Errorf("same-origin POST = %d %s", w.Code, w.Body)
	}
	for _, cross := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
		if w := s.request("POST", "/admin/v1/keys", create, append(cross, "Cookie", cookie)...); w.Code != 401 {
			t.Errorf("%v POST of the API = %d", cross, w.Code)
		}
		for _, path := range []string{"/login", "/logout"} {
			if w := s.request("POST", path, "key="+apitest.AdminKey, append(cross, "Content-Type", "application/x-www-form-urlencoded")...); w.Code != 403 {
				t.Errorf("%v POST %s = %d, want 403", cross, path, w.Code)
			}
		}
	}
	flipped := []byte(cookie)
	flipped[len("rapport_session=")+9] ^= 1
	for _, bad := range []string{string(flipped), "rapport_session=", "rapport_session=AAAA", cookie + "A"} {
		if w := s.request("GET", "/", "", "Cookie", bad); w.Code != http.StatusSeeOther {
			t.Errorf("cookie %q opens the mailbox", bad)
		}
	}
	s.Advance(13 * time.Hour)
	if w := s.request("GET", "/", "", "Cookie", cookie); w.Code != http.StatusSeeOther {
		t.Error("the session outlives its end")
	}
	cookie = s.cookie()
	keys := call[admin.KeysAnswer](s, "GET", "keys", nil, 200).Keys
	i := slices.IndexFunc(keys, func(k admin.Key) bool { return k.Kind == workspace.Admin })
	call[any](s, "DELETE", fmt.Sprintf("keys/%d", keys[i].ID), nil, 204)
	if w := s.request("GET", "/", "", "Cookie", cookie); w.Code != http.StatusSeeOther {
		t.Error("the session outlives its key")
	}
}

// TestLoginLimit: a sixth try in a row is refused, even with the right key; the refusal passes.
func TestLoginLimit(t *testing.T) {
	t.Parallel()
	s := newServer(t, storetest.Open(t, storetest.Options(t, storetest.SQLite)), nil)
	for i := range 5 {
		if w := s.login("wrong"); w.Code != http.StatusUnauthorized || len(w.Result().Cookies()) != 0 {
			t.Errorf("try %d = %d", i, w.Code)
		}
	}
	if w := s.login(apitest.AdminKey); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("sixth try = %d", w.Code)
	}
	s.Advance(time.Minute)
	s.cookie()
}

// TestLoginRedirect: the login leads to this server's own pages only.
func TestLoginRedirect(t *testing.T) {
	t.Parallel()
	s := newServer(t, storetest.Open(t, storetest.Options(t, storetest.SQLite)), nil)
	for _, next := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "evil", "", "javascript:alert(1)", "/\tevil"} {
		s.Advance(time.Minute)
		w := s.request("POST", "/login", url.Values{"key": {apitest.AdminKey}, "next": {next}}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
		if got := w.Header().Get("Location"); got != "/" {
			t.Errorf("next %q leads to %q", next, got)
		}
	}
}

// TestPages: what strangers wrote is shown as text, a mail's HTML is caged, and every page forbids scripts.
func TestPages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := newServer(t, db, nil)
		call[any](s, "POST", "apply", admin.ApplyRequest{YAML: file}, 200)
		const evil = `<script>alert(1)</script>`
		s.Do(s.Identify("7", `{"email":"ada@example.com","plan":"pro","first_name":"`+evil+`","list":[1,{"a":null}]}`),
			s.Event("7", "signed_up", `{"x":"`+evil+`"}`), s.Op(ingest.SegmentAdd, ingest.SegmentPayload{Segment: 99}))
		s.mail(60, source)
		cookie := s.cookie()
		get := func(path string) string {
			w := s.request("GET", path, "", "Cookie", cookie)
			if w.Code != 200 {
				t.Errorf("GET %s = %d %s", path, w.Code, w.Body)
			}
			if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "script-src") {
				t.Errorf("GET %s: policy %q", path, csp)
			}
			return w.Body.String()
		}
		box := get("/")
		if !strings.Contains(box, "Older mail") || !strings.Contains(box, "ada&#43;59_x@example.com") {
			t.Errorf("mailbox = %s", box)
		}
		person := get("/people/7")
		for _, want := range []string{"&lt;script&gt;", "Paying", "started", "signed_up", "sent"} {
			if !strings.Contains(person, want) {
				t.Errorf("the person's page lacks %q", want)
			}
		}
		if strings.Contains(person, evil) {
			t.Error("the person's page runs a stranger's script")
		}
		delivered := ingest.MetricPayload{Delivery: 1, Metric: "delivered"} // of the campaign's first message
		s.Do(s.Op(ingest.Metric, delivered), s.Op(ingest.Metric, delivered))
		if again := get("/people/7"); strings.Contains(again, "repeated") || strings.Count(again, "<strong>delivered</strong>") != 2 {
			t.Errorf("a report that came twice is shown as %s", again)
		}
		get("/people")
		if w := s.request("GET", "/people?q=ada@example.com", "", "Cookie", cookie); w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), "/people/cio_") {
			t.Errorf("search = %d %s", w.Code, w.Header().Get("Location"))
		}
		if !strings.Contains(get("/people?q=nobody"), "Nobody has the identifier") {
			t.Error("the search for nobody finds somebody")
		}
		page := get("/mail/1")
		if !strings.Contains(page, `sandbox="allow-popups allow-popups-to-escape-sandbox"`) || strings.Contains(page, evil) {
			t.Errorf("mail = %s", page)
		}
		for _, view := range []string{"text", "headers", "source"} {
			if get("/mail/1?view="+view) == page {
				t.Errorf("view %s is the HTML view", view)
			}
		}
		w := s.request("GET", "/mail/1/body", "", "Cookie", cookie)
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "sandbox ") || strings.Contains(csp, "https:") || !strings.Contains(w.Body.String(), `<head><base target="_blank"><title>`) {
			t.Errorf("body: policy %q, %s", csp, w.Body)
		}
		if w := s.request("GET", "/mail/1/source", "", "Cookie", cookie); w.Body.String() != source {
			t.Errorf("source = %q", w.Body)
		}
	})
}

func basic(user, pass string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + pass))
}
