package faulttest

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // driver pgx
	_ "modernc.org/sqlite"             // driver sqlite

	"rapport.example/internal/store/storetest"
)

// The first workspace's credentials.
const (
	siteID   = "fault-site"
	apiKey   = "fault-track-key"
	appKey   = "fault-app-key"
	adminKey = "fault-admin-key"
)

// place is where one installation keeps what it has.
type place struct {
	data, database, nats, smtp string
}

// each runs fn in an empty place of every backend, in parallel.
func each(t *testing.T, fn func(t *testing.T, p place)) {
	t.Helper()
	for _, backend := range storetest.Backends() {
		t.Run("backend="+backend, func(t *testing.T) {
			t.Parallel()
			fn(t, newPlace(t, backend))
		})
	}
}

func newPlace(t *testing.T, backend string) place {
	t.Helper()
	o := storetest.Options(t, backend)
	p := place{data: o.Dir, database: o.URL}
	if p.data == "" {
		p.data = t.TempDir()
	}
	return p
}

// sql opens the place's database beside the server.
func (p place) sql(t *testing.T) *sql.DB {
	t.Helper()
	driver, dsn := "sqlite", "file:"+filepath.Join(p.data, "rapport.db")+"?_pragma=busy_timeout(10000)&_txlock=immediate"
	if p.database != "" {
		driver, dsn = "pgx", p.database
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

// count runs a query that gives one number.
func count(t *testing.T, db *sql.DB, query string) (n int64) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", oneLine(query), err)
	}
	return n
}

// node is one process.
type node struct {
	cmd  *exec.Cmd
	url  string
	done chan struct{} // closed when it has ended

	mu  sync.Mutex
	log []string
}

// command is the program with the place's settings.
func (p place) command(more ...string) *exec.Cmd {
	cmd := exec.Command(binary, append([]string{"serve", "--limits", "off"}, more...)...) // ended by its pid
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.data, "TMPDIR=" + os.TempDir(),
		"RAPPORT_DATA=" + p.data, "RAPPORT_DATABASE_URL=" + p.database, "RAPPORT_NATS_URL=" + p.nats, "RAPPORT_SMTP_URL=" + p.smtp,
		"RAPPORT_SITE_ID=" + siteID, "RAPPORT_API_KEY=" + apiKey, "RAPPORT_APP_KEY=" + appKey, "RAPPORT_ADMIN_KEY=" + adminKey,
		"RAPPORT_WRITE_KEY=fault-write-key", "RAPPORT_AGENT_KEY=agk_fault", "RAPPORT_IMPORT_HOSTS=127.0.0.1",
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// start runs a process and waits until it serves.
func (p place) start(t *testing.T) *node {
	t.Helper()
	n := &node{cmd: p.command("--listen", "127.0.0.1:0"), done: make(chan struct{})}
	out, err := n.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	serving := make(chan string, 1)
	go func() {
		defer close(n.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, rest, ok := strings.Cut(lines.Text(), "msg=serving url="); ok {
				serving <- strings.Fields(rest)[0]
			}
			n.mu.Lock()
			n.log = append(n.log, lines.Text())
			n.mu.Unlock()
		}
		_ = n.cmd.Wait() // the tests look at ProcessState
	}()
	t.Cleanup(func() {
		n.kill()
		if t.Failed() {
			t.Logf("log of process %d:\n%s", n.cmd.Process.Pid, n.tail())
		}
	})
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	select {
	case n.url = <-serving:
	case <-n.done:
		t.Fatalf("the server ended at once:\n%s", n.tail())
	case <-late.C:
		t.Fatalf("the server does not serve:\n%s", n.tail())
	}
	return n
}

func (n *node) tail() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.log[max(0, len(n.log)-40):], "\n")
}

// kill is kill -9. Twice is harmless.
func (n *node) kill() {
	_ = n.cmd.Process.Kill() // it may have ended
	<-n.done
}

// crash is kill -9. On PostgreSQL it also says that the dead process's lease has run out, so that the next one need not
// wait for that; TestCluster does.
func (n *node) crash(t *testing.T, p place, db *sql.DB) {
	t.Helper()
	n.kill()
	if p.database == "" {
		return
	}
	if _, err := db.ExecContext(t.Context(), `UPDATE partitions SET lease_until = 0`); err != nil {
		t.Fatal(err)
	}
}

// terminate asks for a stop and returns the exit code and how long it took.
func (n *node) terminate(t *testing.T) (code int, took time.Duration) {
	t.Helper()
	began := time.Now()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	select {
	case <-n.done:
	case <-late.C:
		t.Fatal("the server does not stop")
	}
	return n.cmd.ProcessState.ExitCode(), time.Since(began)
}

// answer is what a request came to.
type answer struct {
	status int
	header http.Header
	body   []byte
}

var client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// call makes one request; body is JSON or empty.
func call(ctx context.Context, method, url, body string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	switch {
	case strings.Contains(url, "/api/"):
		r.SetBasicAuth(siteID, apiKey)
	case strings.Contains(url, "/admin/"):
		r.Header.Set("Authorization", "Bearer "+adminKey)
	default:
		r.Header.Set("Authorization", "Bearer "+appKey)
	}
	resp, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	b, err := io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	return answer{resp.StatusCode, resp.Header, b}, err
}

// must makes a request that succeeds.
func (n *node) must(t *testing.T, method, path, body string) []byte {
	t.Helper()
	a, err := call(t.Context(), method, n.url+path, body)
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("%s %s: %d %s %v", method, path, a.status, bytes.TrimSpace(a.body), err)
	}
	return a.body
}

func (n *node) identify(t *testing.T, id, attributes string) {
	t.Helper()
	n.must(t, http.MethodPut, "/api/v1/customers/"+id, attributes)
}

func (n *node) track(t *testing.T, id, event string) {
	t.Helper()
	n.must(t, http.MethodPost, "/api/v1/customers/"+id+"/events", fmt.Sprintf(`{"name":%q,"data":{"plan":"pro"}}`, event))
}

func (n *node) apply(t *testing.T, yaml string) {
	t.Helper()
	b, err := json.Marshal(map[string]string{"file": "w.yaml", "yaml": yaml})
	if err != nil {
		t.Fatal(err)
	}
	n.must(t, http.MethodPost, "/admin/v1/apply", string(b))
}

// ready waits until the node says that it is.
func (n *node) ready(t *testing.T) {
	t.Helper()
	within(t, time.Minute, "ready", func() bool {
		a, err := call(t.Context(), http.MethodGet, n.url+"/readyz", "")
		return err == nil && a.status == http.StatusOK
	})
}
