package mcp_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/tiktoken-go/tokenizer"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/audit"
	"rapport.example/internal/config"
)

// built is the program, once for all tests, in builtIn.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rapport-mcp-")
	if err != nil {
		return "", err
	}
	builtIn.Store(&dir)
	path := filepath.Join(dir, "rapport")
	if out, err := exec.Command("go", "build", "-o", path, "rapport.example/cmd/rapport").CombinedOutput(); err != nil {
		return path, fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

var builtIn atomic.Pointer[string]

func TestMain(m *testing.M) {
	code := m.Run()
	if dir := builtIn.Load(); dir != nil {
		_ = os.RemoveAll(*dir)
	}
	os.Exit(code)
}

func program(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// onTasks is the workspace of the tasks.
const onTasks = `schema: 1
workspace: %s
senders: [{id: hello, name: Acme, email: hello@acme.example}]
topics: [{id: news, name: News}]
segments:
  - {id: paying, name: Paying customers, conditions: {attribute: plan, is: pro}}
  - {id: vip, name: VIP, manual: true}
  - {id: launch, name: Launch, manual: true}
campaigns:
  - id: onboarding
    name: Onboarding
    state: running
    trigger: {event: signed_up}
    frequency: every_time
    workflow: [{id: welcome, email: {from: hello, to: "{{ customer.email }}", subject: "Welcome, {{ customer.first_name }}", body: "<p>Hello from Acme</p>"}}]
  - id: launch
    name: Launch
    state: draft
    trigger: {enters_segment: launch}
    workflow: [{id: mail, email: {from: hello, to: "{{ customer.email }}", subject: Launch, body: "<p>Soon</p>"}}]
`

// cell is one way to do the tasks: a connection, an era of the protocol and a transport, on a workspace of its own.
type cell struct {
	*testing.T
	name, url         string // of the server itself
	site, secret, app string
	hosted            bool
	full, modest      *sdk.ClientSession // with all scopes, and with read and write
	codec             tokenizer.Codec
	mu                sync.Mutex
	calls             []string // tool and outcome, as the record must have them
	audits            []string // the ids that writes answered
	most              int      // tokens of the longest result
	checks            []func()
	crowd, after      func() // before and after many calls at once
	segments          map[string]string
}

// seed makes the workspace and its people, and has its mails sent.
func (c *cell) seed() {
	c.Helper()
	var a admin.ApplyAnswer
	call(c.T, http.MethodPost, c.url+"/admin/v1/apply", m{"file": "tasks.yaml", "yaml": fmt.Sprintf(onTasks, c.name)}, &a)
	for _, k := range a.Credentials {
		if k.Kind == "track" {
			c.site, c.secret = k.SiteID, k.Secret
		}
		if k.Kind == "app" {
			c.app = k.Secret
		}
	}
	call(c.T, http.MethodPut, c.url+"/admin/v1/agents?workspace="+c.name, m{"live": true}, nil)
	person := func(id string, attributes m) m {
		return m{"type": "person", "action": "identify", "identifiers": m{"id": id}, "attributes": attributes}
	}
	signedUp := func(id string) m {
		return m{"type": "person", "action": "event", "identifiers": m{"id": id}, "name": "signed_up"}
	}
	ops := []m{
		person("ada", m{"email": "ada+1@example.com", "first_name": "Ada", "plan": "pro", "card_number": "4111"}), person("bob", m{"email": "bob@example.com", "plan": "pro", "unsubscribed": true}),
		person("cleo", m{"first_name": "Cleo", "plan": "pro"}), person("nameless", m{"email": "nameless@example.com"}), person("gone", m{"plan": "none"}),
		person("one", m{"plan": "none"}), person("two", m{"colour": "red"}), person("bounce", m{"email": "bounce@example.com", "first_name": "B"}),
	}
	for i := range 45 {
		ops = append(ops, person(fmt.Sprintf("free%02d", i), m{"plan": "free", "n": i}))
	}
	ops = append(ops, signedUp("ada"), signedUp("nameless"), signedUp("bounce"))
	c.track("/api/v2/batch", m{"batch": ops})
	var sent struct {
		Messages []struct {
			ID      string
			Metrics map[string]int64
			Person  string `json:"customer_id"`
		}
	}
	until(c.T, "two mails are sent and one fails", func() bool {
		c.look("/v1/messages", &sent)
		done := 0
		for _, d := range sent.Messages {
			if d.Metrics["sent"]+d.Metrics["failed"] > 0 {
				done++
			}
		}
		return done == 3
	})
	for _, d := range sent.Messages {
		if d.Person == "bounce" {
			c.track("/api/v1/metrics", m{"delivery_id": d.ID, "metric": "bounced", "timestamp": time.Now().Unix()})
		}
	}
}

// until waits for a condition, for at most a minute.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick, end := time.NewTicker(50*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("did not happen: %s", what)
		}
	}
}

// track writes to the server itself.
func (c *cell) track(path string, body any) {
	c.Helper()
	c.ask(http.MethodPost, path, body, nil, func(r *http.Request) { r.SetBasicAuth(c.site, c.secret) })
}

// look reads from the server itself; into is nil for what must not be there.
func (c *cell) look(path string, into any) {
	c.Helper()
	status := 0
	until(c.T, "an answer within the limits", func() bool {
		status = c.ask(http.MethodGet, path, nil, into, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+c.app) })
		return status != http.StatusTooManyRequests
	})
	if (into == nil) != (status == http.StatusNotFound) {
		c.Errorf("GET %s: %d", path, status)
	}
}

func (c *cell) ask(method, path string, body, into any, auth func(*http.Request)) int {
	c.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		c.Fatal(err)
	}
	r, err := http.NewRequestWithContext(c.Context(), method, c.url+path, strings.NewReader(string(b)))
	if err != nil {
		c.Fatal(err)
	}
	auth(r)
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		c.Fatal(err)
	}
	defer res.Body.Close()
	if method == http.MethodPost && res.StatusCode/100 != 2 {
		c.Fatalf("%s %s: %s", method, path, res.Status)
	}
	if into != nil && res.StatusCode == http.StatusOK {
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			c.Fatal(err)
		}
	}
	return res.StatusCode
}

// do has a tool do something, and try has one refused with a code; both answer what it said.
func (c *cell) do(tool string, args m) m { c.Helper(); return c.by(c.full, tool, args, "ok") }

func (c *cell) try(tool string, args m, outcome string) m {
	c.Helper()
	return c.by(c.full, tool, args, outcome)
}

func (c *cell) by(s *sdk.ClientSession, tool string, args m, outcome string) m {
	c.Helper()
	res, err := s.CallTool(c.Context(), &sdk.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		c.Fatalf("%s: %v", tool, err)
	}
	b, err := json.Marshal(res.StructuredContent)
	if err != nil {
		c.Fatal(err)
	}
	out := m{}
	if err := json.Unmarshal(b, &out); err != nil {
		c.Fatalf("%s: %v", tool, err)
	}
	got := "ok"
	if out["status"] == "dry_run" {
		got = "dry_run"
	}
	if res.IsError {
		got, _ = out["code"].(string)
	}
	if got != outcome {
		c.Errorf("%s %v: %s, want %s: %s", tool, args, got, outcome, text(res))
	}
	tokens, err := c.codec.Count(text(res))
	if err != nil {
		c.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls = append(c.calls, tool+" "+got); out["audit_id"] != nil {
		c.audits = append(c.audits, out["audit_id"].(string))
	}
	limit := map[string]int{"get_service_detail": 2500}[tool] // the guide of a service is long
	if c.most = max(c.most, tokens); tokens > max(limit, 1500) {
		c.Errorf("%s %v answers %d tokens", tool, args, tokens)
	}
	return out
}

// at is a value within an answer: names and indices with dots between them.
func at(v any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// is compares what is at a path of an answer.
func (c *cell) is(v any, path string, want any) {
	c.Helper()
	if got := at(v, path); fmt.Sprint(got) != fmt.Sprint(want) {
		c.Errorf("%s is %v, want %v", path, got, want)
	}
}

// finally checks the back end itself after all tasks, so that the reads of the check do not use up what the agent may read.
func (c *cell) finally(check func()) { c.checks = append(c.checks, check) }

// TestTasks plays what agents are asked to do, each by the shortest way through the tools, on every kind of connection: against this
// server and against the hosted service, whose place a server with its limits and faults takes; in both eras of the protocol; over stdio
// and HTTP. It holds the state that is left behind, what the record says and how long the answers are.
func TestTasks(t *testing.T) {
	t.Parallel()
	codec, err := tokenizer.Get(tokenizer.O200kBase)
	if err != nil {
		t.Fatal(err)
	}
	self, vendor := serve(t), serve(t, func(o *config.Serve) { o.Limits, o.LimitTrack, o.LimitApp, o.LimitArchive = "vendor", 100, 10, 100 })
	var cells sync.WaitGroup // they wait more than they work: for what the vendor allows in a second
	defer cells.Wait()
	for _, hosted := range []bool{true, false} {
		for _, era := range []string{older, newer} {
			for _, transport := range []string{"stdio", "http"} {
				name := map[bool]string{true: "hosted", false: "self"}[hosted] + "-" + era + "-" + transport
				cells.Go(func() {
					t.Run(name, func(t *testing.T) {
						c := &cell{T: t, crowd: func() {}, after: func() {}, segments: map[string]string{}, name: name, url: self, hosted: hosted, codec: codec}
						if hosted {
							c.url = vendor
						}
						c.seed()
						if hosted {
							c.onHosted(era, transport)
						} else {
							c.onSelf(era, transport)
						}
					})
				})
			}
		}
	}
}

// everyScope is what tasks need.
var everyScope = []string{"read", "read:sensitive", "write", "write:live", "audit"}

func (c *cell) session(tr sdk.Transport, era, who string) *sdk.ClientSession {
	c.Helper()
	client := sdk.NewClient(&sdk.Implementation{Name: c.name, Version: who}, nil)
	s, err := client.Connect(c.Context(), tr, &sdk.ClientSessionOptions{ProtocolVersion: era})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { _ = s.Close() })
	return s
}

func (c *cell) onSelf(era, transport string) {
	over := func(scopes ...string) sdk.Transport {
		var key struct{ Secret string }
		call(c.T, http.MethodPost, c.url+"/admin/v1/keys", m{"kind": "agent", "name": "tasks", "scopes": scopes, "workspace": c.name}, &key)
		if transport == "http" {
			return overPath(c.url, "/mcp/x/all", key.Secret)
		}
		cmd := exec.Command(program(c.T), "mcp", "--toolsets", "all")
		cmd.Env = append(os.Environ(), "RAPPORT_SERVER="+c.url, "RAPPORT_AGENT_KEY="+key.Secret)
		return &sdk.CommandTransport{Command: cmd}
	}
	c.full, c.modest = c.session(over(everyScope...), era, "full"), c.session(over("read", "write"), era, "modest")
	c.play()
	c.held(func(visit func(*audit.Entry) error) error {
		for seq := int64(0); ; {
			var page admin.AuditAnswer
			call(c.T, http.MethodGet, fmt.Sprintf("%s/admin/v1/audit?workspace=%s&limit=500&seq=%d", c.url, c.name, seq), nil, &page)
			for i := range page.Entries {
				if err := visit(&page.Entries[i]); err != nil {
					return err
				}
				seq = page.Entries[i].Seq
			}
			if len(page.Entries) < 500 {
				return nil
			}
		}
	})
}

func (c *cell) onHosted(era, transport string) {
	e := newEmulator(c.T, c.url)
	file := filepath.Join(c.TempDir(), "audit.jsonl")
	over := func(scopes ...string) sdk.Transport {
		args := []string{"mcp", "--connection", "customerio", "--region", "eu", "--toolsets", "all", "--track-url", e.URL, "--app-url", e.URL, "--audit-file", file, "--scopes", strings.Join(scopes, ",")}
		if transport == "http" {
			args = append(args, "--listen", "127.0.0.1:0")
		}
		cmd := exec.Command(program(c.T), args...)
		cmd.Env = append(os.Environ(), "RAPPORT_SITE_ID="+c.site, "RAPPORT_API_KEY="+c.secret, "RAPPORT_APP_KEY="+c.app, "RAPPORT_AGENT_KEY=agk_made_up")
		if transport == "stdio" {
			return &sdk.CommandTransport{Command: cmd}
		}
		return overPath(listening(c.T, cmd), "/mcp/x/all", "agk_made_up")
	}
	c.full, c.modest = c.session(over(everyScope...), era, "full"), c.session(over("read", "write"), era, "modest")
	c.finally(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.refused != 0 || len(e.outside) > 0 {
			c.Errorf("the limits refused %d requests, and these were not the vendor's: %v", e.refused, e.outside)
		}
		if missing := slices.DeleteFunc([]string{"429", "500", "503", "reset", "time-out"}, func(f string) bool { return e.faults[f] > 0 }); len(missing) > 0 {
			c.Errorf("no task met %v", missing)
		}
	})
	c.crowd, c.after = func() { e.slow.Store(5) }, func() { e.busy.Store(3) }
	c.play()
	c.held(func(visit func(*audit.Entry) error) error {
		f, err := audit.Open(file)
		return errors.Join(err, f.Each(visit))
	})
}

// listening starts the program and answers where it serves.
func listening(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, url, _ := strings.Cut(strings.TrimSpace(line), "at ")
	return strings.TrimSuffix(url, "/mcp")
}

// play does the tasks one after the other, and then looks at what they left behind.
func (c *cell) play() {
	for _, task := range tasks {
		before := len(c.calls)
		task.run(c)
		if c.Failed() {
			c.Fatalf("task %q: %v", task.name, c.calls[before:])
		}
	}
	for _, check := range c.checks {
		check()
	}
	c.Logf("%d tasks, %d calls, the longest result has %d tokens", len(tasks), len(c.calls), c.most)
}

// held compares the record with what was done.
func (c *cell) held(each func(visit func(*audit.Entry) error) error) {
	c.Helper()
	for _, client := range []*sdk.ClientSession{c.full, c.modest} { // over stdio, the newest reads are told by the end of the program
		if err := client.Close(); err != nil {
			c.Error(err)
		}
	}
	got, want, ids := map[string]int{}, map[string]int{}, map[string]bool{}
	if err := each(func(e *audit.Entry) error {
		if strings.HasPrefix(e.Client, c.name+" ") && e.Tool != "http" {
			got[e.Tool+" "+e.Outcome]++
			ids[e.ID] = true
		}
		return nil
	}); err != nil {
		c.Error(err)
	}
	for _, one := range c.calls {
		want[one]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.Errorf("the record (-want +got):\n%s", diff)
	}
	for _, id := range c.audits {
		if !ids[id] {
			c.Errorf("the record has no entry %s", id)
		}
	}
}
