package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	example "rapport.example"
	appapi "rapport.example/internal/api/app"
	"rapport.example/internal/config"
	"rapport.example/internal/server"
)

const adminKey = "the-admin-key"

// serve runs a server on a data folder until the test or stop ends it.
func serve(t *testing.T, data string) (url string, stop func()) {
	t.Helper()
	return serveOn(t, data, "")
}

// serveOn is serve on a PostgreSQL database, or with "" on SQLite.
func serveOn(t *testing.T, data, database string) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	o := config.Serve{Data: data, DatabaseURL: database, Listen: "127.0.0.1:0", Limits: "off", Region: "us", Keys: config.Keys{SiteID: "site", APIKey: "key", AdminKey: adminKey}}
	ready, ended := make(chan server.Info, 1), make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, o, slog.New(slog.NewTextHandler(t.Output(), nil)), func(i server.Info) { ready <- i })
	}()
	stopped := false
	stop = func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	}
	select {
	case info := <-ready:
		t.Cleanup(stop)
		return info.URL, stop
	case err := <-ended:
		cancel()
		t.Fatalf("the server did not start: %v", err)
		return "", nil
	}
}

// client runs commands against a server and wants them to work.
type client struct {
	t   *testing.T
	url string
}

func (c client) do(args ...string) string {
	c.t.Helper()
	code, out, errs := command(c.t, append(args, "--server", c.url, "--admin-key", adminKey)...)
	if code != exitOK || errs != "" {
		c.t.Fatalf("%v: exit code %d\n%s%s", args, code, out, errs)
	}
	return out
}

// wants looks for texts in what a command prints.
func (c client) wants(args []string, texts ...string) string {
	c.t.Helper()
	out := c.do(args...)
	for _, want := range texts {
		if !strings.Contains(out, want) {
			c.t.Errorf("%v printed\n%s\nwant %q in it", args, out, want)
		}
	}
	return out
}

func (c client) json(into any, args ...string) {
	c.t.Helper()
	if out := c.do(append(args, "--json")...); json.Unmarshal([]byte(out), into) != nil {
		c.t.Fatalf("%v printed no JSON:\n%s", args, out)
	}
}

func exampleFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "onboarding.yaml")
	if err := os.WriteFile(file, []byte(example.Onboarding), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestApplyAndExport(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, t.TempDir())
	c, file := client{t, url}, exampleFile(t)
	c.wants([]string{"apply", "-f", file, "--dry-run"}, "would get this name", "+ campaigns onboarding", "dry run: nothing was done")
	c.wants([]string{"apply", "-f", file}, "workspace acme: the unnamed workspace got this name", "7 added, 0 changed, 0 removed")
	c.wants([]string{"apply", "-f", file}, "no change (7 definitions are as in the file)")
	exported := filepath.Join(t.TempDir(), "exported.yaml")
	if err := os.WriteFile(exported, []byte(c.do("export", "--workspace", "acme")), 0o600); err != nil {
		t.Fatal(err)
	}
	c.wants([]string{"apply", "-f", exported, "--prune"}, "no change")

	var plan struct{ Changed bool }
	c.json(&plan, "apply", "-f", file)
	if plan.Changed {
		t.Error("a second apply says that it changed something")
	}

	broken := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(broken, []byte(strings.Replace(example.Onboarding, "frequency: every_time", "frequency: often", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs := command(t, "apply", "-f", broken, "--server", url, "--admin-key", adminKey)
	if code != exitUsage || !strings.Contains(errs, "broken.yaml:") || !strings.Contains(errs, "frequency") {
		t.Errorf("a broken file: exit code %d, %q, want 2 with file, line and field", code, errs)
	}

	other := strings.Replace(example.Onboarding, "workspace: acme", "workspace: other", 1)
	if err := os.WriteFile(broken, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	c.wants([]string{"apply", "-f", broken}, "workspace other: created", "track", "(shown once)")
}

func TestKeys(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, t.TempDir())
	c := client{t, url}
	var made struct {
		ID     int64
		Secret string
	}
	c.json(&made, "keys", "create", "--kind", "agent", "--name", "assistant", "--scopes", "read", "--expires-in", "90d")
	if made.ID == 0 || !strings.HasPrefix(made.Secret, "agk_") {
		t.Fatalf("keys create = %+v, want an id and a secret", made)
	}
	list := c.wants([]string{"keys", "list", "--kind", "agent"}, "assistant", "until ")
	if strings.Contains(list, made.Secret) || strings.Contains(list, "track") {
		t.Errorf("keys list --kind agent printed\n%s", list)
	}
	c.wants([]string{"keys", "create", "--kind", "track"}, "site id")
	c.wants([]string{"keys", "create", "--kind", "app", "--read-only", "--name", "looker"}, "(shown once)")
	c.wants([]string{"keys", "create", "--kind", "app", "--scope", "read", "--scope", "send"}, "(shown once)")
	if list := c.wants([]string{"keys", "list", "--kind", "app"}, "read write send", "read send"); !regexp.MustCompile(`looker +\S+… +read +2`).MatchString(list) {
		t.Errorf("the read-only key is not listed as such:\n%s", list)
	}
	c.wants([]string{"keys", "rotate", strconv.FormatInt(made.ID, 10), "--overlap", "1h"}, "agk_", "takes the place of key "+strconv.FormatInt(made.ID, 10))
	c.wants([]string{"keys", "revoke", strconv.FormatInt(made.ID, 10)}, "is revoked")
	c.wants([]string{"keys", "list"}, "revoked ")
	c.wants([]string{"keys", "allow"}, "from everywhere")
	c.wants([]string{"keys", "allow", "10.1.2.3/8", "192.0.2.7"}, "10.0.0.0/8\n192.0.2.7/32")
	c.wants([]string{"keys", "allow", "--anywhere"}, "from everywhere")
	code, _, errs := command(t, "keys", "list", "--server", url, "--admin-key", made.Secret)
	if code != exitFailed || !strings.Contains(errs, "does not know this admin key") {
		t.Errorf("with an agent key: exit code %d, %q", code, errs)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, t.TempDir())
	c := client{t, url}
	var made struct{ Secret string }
	c.json(&made, "keys", "create", "--kind", "app")
	says := func() string { // how a client of the App API, as the agents' tools are, learns of it
		t.Helper()
		status, answer := c.tell(http.MethodGet, "/v1/workspaces", "", "Authorization", "Bearer "+made.Secret)
		var out appapi.WorkspacesAnswer
		if err := json.Unmarshal([]byte(answer), &out); err != nil || len(out.Workspaces) != 1 {
			t.Fatalf("%d %s, %v", status, answer, err)
		}
		return out.Workspaces[0].TestClock
	}
	if at := says(); at != "" {
		t.Errorf("a clock that was never moved is called a test clock: %s", at)
	}
	c.wants([]string{"clock", "advance", "72h"}, "(72h0m0s ahead of real time)")
	if at, err := time.Parse(time.RFC3339, says()); err != nil || at.Before(time.Now().Add(71*time.Hour)) {
		t.Errorf("the App API says %s, %v; want three days from now", at, err)
	}
	c.wants([]string{"clock", "set", "2030-01-01T00:00:00Z"}, "2030-01-01T00:00:0")
	c.wants([]string{"clock", "show"}, "2030-01-01T00:00:")
	code, _, errs := command(t, "clock", "set", "2020-01-01T00:00:00Z", "--server", url, "--admin-key", adminKey)
	if code != exitUsage || !strings.Contains(errs, "forwards") {
		t.Errorf("back in time: exit code %d, %q", code, errs)
	}
}

// TestBackup restores what an online backup wrote, and finds everything again.
func TestBackup(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	url, stop := serve(t, data)
	c := client{t, url}
	c.do("apply", "-f", exampleFile(t))
	file := filepath.Join(t.TempDir(), "a.backup")
	c.wants([]string{"backup", file}, "bytes")
	exported := c.do("export")
	code, _, errs := command(t, "serve", "--data", data, "--listen", "127.0.0.1:0")
	if code != exitFailed || !strings.Contains(errs, "is served by another rapport already") {
		t.Errorf("a second server on the folder: exit code %d, %q", code, errs)
	}
	code, _, errs = command(t, "serve", "--data", t.TempDir(), "--listen", strings.TrimPrefix(url, "http://"))
	if code != exitFailed || !strings.Contains(errs, "is in use") {
		t.Errorf("a second server on the port: exit code %d, %q", code, errs)
	}
	c.wants([]string{"keys", "create", "--kind", "app"}, "")
	code, _, errs = command(t, "restore", file, "--server", url, "--admin-key", adminKey)
	if code != exitFailed || !strings.Contains(errs, "--replace") {
		t.Errorf("restore into a server with a state: exit code %d, %q", code, errs)
	}
	broken := filepath.Join(t.TempDir(), "broken.backup")
	if err := os.WriteFile(broken, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs = command(t, "restore", "--replace", broken, "--server", url, "--admin-key", adminKey)
	if code != exitUsage || !strings.Contains(errs, "no backup") {
		t.Errorf("restore of what is no backup: exit code %d, %q", code, errs)
	}
	other := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(other, []byte("schema: 1\nworkspace: acme\nsegments: [{id: extra, manual: true}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.do("apply", "-f", other)
	c.wants([]string{"restore", "--replace", file}, filepath.Join(data, "replaced-"))
	if got := c.do("export"); got != exported {
		t.Errorf("export after a restore in place =\n%s\nwant\n%s", got, exported)
	}
	stop()
	asides, err := filepath.Glob(filepath.Join(data, "replaced-*", "rapport.db"))
	if err != nil || len(asides) != 1 {
		t.Errorf("what was replaced: %v, %v", asides, err)
	}

	// Another server, that nobody has used.
	url, stop = serve(t, t.TempDir())
	c = client{t, url}
	c.wants([]string{"restore", file}, "restored")
	if got := c.do("export"); got != exported {
		t.Errorf("export after restore =\n%s\nwant\n%s", got, exported)
	}
	stop()
}
