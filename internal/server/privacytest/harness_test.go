// Package privacytest runs the server in this process and looks for what must not be there: one workspace's data in
// another, people's data in the program's log, a deleted person in the database.
package privacytest

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // driver pgx
	_ "modernc.org/sqlite"             // driver sqlite

	"rapport.example/internal/config"
	"rapport.example/internal/server"
	"rapport.example/internal/store/storetest"
)

// tenant is a workspace with its keys.
type tenant struct {
	name                                string
	site, track, app, agent, write, adm string
}

// first are the keys that the first workspace starts with.
var first = tenant{
	name: "alpha", site: "site-of-alpha", track: "track-secret-alpha", app: "app-secret-alpha", agent: "agk_secretalpha",
	write: "write-secret-alpha", adm: "admin-secret-of-all",
}

// running is a server in this process.
type running struct {
	url  string
	o    config.Serve
	stop func()
	log  *logged
}

// logged keeps every record of the program's log as text.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write is part of io.Writer.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func each(t *testing.T, fn func(t *testing.T, o config.Serve)) {
	t.Helper()
	for _, backend := range storetest.Backends() {
		t.Run("backend="+backend, func(t *testing.T) {
			t.Parallel()
			so := storetest.Options(t, backend)
			o := config.Serve{
				Data: so.Dir, DatabaseURL: so.URL, Listen: "127.0.0.1:0", Limits: "off", Region: "us", ArchiveDays: 30,
				Keys: config.Keys{SiteID: first.site, APIKey: first.track, AppKey: first.app, AgentKey: first.agent, WriteKey: first.write, AdminKey: first.adm},
			}
			if o.Data == "" {
				o.Data = t.TempDir()
			}
			fn(t, o)
		})
	}
}

// run starts a server that is stopped at the end of the test, or before by stop.
func run(t *testing.T, o config.Serve) *running {
	t.Helper()
	l := &logged{}
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() {
		log := slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelInfo}))
		done <- server.Run(ctx, o, log, func(i server.Info) { ready <- i.URL })
	}()
	r := &running{o: o, log: l}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	select {
	case r.url = <-ready:
	case err := <-done:
		t.Fatalf("the server did not start: %v", err)
	}
	t.Cleanup(r.stop)
	return r
}

var client = &http.Client{
	Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// call makes a request with an Authorization header, or none.
func (r *running) call(t *testing.T, auth, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if user, pass, ok := strings.Cut(auth, ":"); ok {
		req.SetBasicAuth(user, pass)
	} else if auth != "" {
		req.Header.Set("Authorization", "Bearer "+auth)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	return resp.StatusCode, string(b)
}

func (r *running) must(t *testing.T, auth, method, path, body string) string {
	t.Helper()
	status, answer := r.call(t, auth, method, path, body)
	if status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	return answer
}

// basic is the Track authorization.
func (w tenant) basic() string { return w.site + ":" + w.track }

func (r *running) identify(t *testing.T, w tenant, id, attributes string) {
	t.Helper()
	r.must(t, w.basic(), http.MethodPut, "/api/v1/customers/"+id, attributes)
}

func (r *running) track(t *testing.T, w tenant, id, name, data string) {
	t.Helper()
	r.must(t, w.basic(), http.MethodPost, "/api/v1/customers/"+id+"/events", fmt.Sprintf(`{"name":%q,"data":%s}`, name, data))
}

// apply applies a workspace file and returns the keys of the workspace if that made one.
func (r *running) apply(t *testing.T, yaml string) map[string]string {
	t.Helper()
	b, err := json.Marshal(map[string]string{"file": "w.yaml", "yaml": yaml})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Credentials []struct {
			Kind   string `json:"kind"`
			SiteID string `json:"site_id"`
			Secret string `json:"secret"`
		} `json:"credentials"`
	}
	decode(t, r.must(t, first.adm, http.MethodPost, "/admin/v1/apply", string(b)), &answer)
	keys := map[string]string{}
	for _, c := range answer.Credentials {
		keys[c.Kind] = c.Secret
		if c.SiteID != "" {
			keys["site"] = c.SiteID
		}
	}
	return keys
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// database opens the server's database beside it.
func (r *running) database(t *testing.T) *sql.DB {
	t.Helper()
	driver, dsn := "sqlite", "file:"+filepath.Join(r.o.Data, "rapport.db")+"?_pragma=busy_timeout(10000)"
	if r.o.DatabaseURL != "" {
		driver, dsn = "pgx", r.o.DatabaseURL
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// within looks until ok holds.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, late := time.NewTicker(10*time.Millisecond), time.NewTimer(30*time.Second)
	defer tick.Stop()
	defer late.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// file is a workspace file with mails, a manual segment and one of each kind that the tests look at.
func file(name string) string {
	return strings.ReplaceAll(`schema: 1
workspace: NAME
identifiers: [id, email, phone]
senders:
  - {id: hello, name: NAME, email: hello@NAME.example}
segments:
  - id: paying
    name: paying of NAME
    conditions: {attribute: plan, is: pro}
  - id: vip
    name: vip of NAME
    manual: true
campaigns:
  - id: welcome
    name: welcome of NAME
    state: running
    trigger: {event: signed_up}
    frequency: every_time
    workflow:
      - id: mail
        email:
          from: hello
          to: "{{ customer.email }}"
          subject: "Welcome {{ customer.first_name }}"
          body: '<p>{{ event.token }} {{ customer.first_name }} <a href="https://NAME.example/start?who={{ customer.email }}">go</a> <a href="{% unsubscribe_url %}">no more</a></p>'
      - id: wait
        delay: 10d
      - id: again
        email: {from: hello, to: "{{ customer.email }}", subject: Again, body: "<p>Hi</p>"}
transactional:
  - {id: receipt, name: receipt of NAME, from: hello, subject: "Receipt {{ trigger.number }}", body: "<p>{{ trigger.number }} {{ customer.first_name }}</p>"}
  - {id: broken, name: broken, from: hello, subject: "{{ trigger.number | divided_by: 0 }}", body: "<p>{{ customer.first_name | divided_by: 0 }}</p>"}
`, "NAME", name)
}
