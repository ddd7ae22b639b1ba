package mcp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	rapport "rapport.example"
	"rapport.example/internal/config"
	"rapport.example/internal/server"
)

const agentKey, adminKey, appKey = "agk_test_read_and_write", "test-admin-key", "test-app-key"

// serve runs a real server with the example workspace and the development mailbox.
func serve(t *testing.T, change ...func(*config.Serve)) string {
	t.Helper()
	o := config.Serve{
		Data: t.TempDir(), Listen: "127.0.0.1:0", Limits: "off", Region: "us", ArchiveDays: 30,
		Keys: config.Keys{SiteID: "s", APIKey: "k", AppKey: appKey, AgentKey: agentKey, AdminKey: adminKey},
	}
	for _, c := range change {
		c(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan server.Info, 1), make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, o, slog.New(slog.DiscardHandler), func(i server.Info) { ready <- i })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("server: %v", err)
		}
	})
	select {
	case i := <-ready:
		call(t, http.MethodPost, i.URL+"/admin/v1/apply", map[string]any{"file": "onboarding.yaml", "yaml": rapport.Onboarding}, nil)
		return i.URL
	case err := <-ended:
		ended <- err
		t.Fatal(err)
		return ""
	}
}

// call is an operator's request.
func call(t *testing.T, method, url string, body, into any) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminKey)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s", method, url, res.Status)
	}
	if into != nil {
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}

// bearer adds a key to every request of an MCP client.
type bearer string

// RoundTrip is part of http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func connect(t *testing.T, tr sdk.Transport, era ...string) *sdk.ClientSession {
	t.Helper()
	c := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil)
	s, err := c.Connect(t.Context(), tr, &sdk.ClientSessionOptions{ProtocolVersion: strings.Join(era, "")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func overHTTP(url, key string) sdk.Transport { return overPath(url, "/mcp", key) }

func overPath(url, path, key string) sdk.Transport {
	return &sdk.StreamableClientTransport{Endpoint: url + path, HTTPClient: &http.Client{Transport: bearer(key), Timeout: 30 * time.Second}, DisableStandaloneSSE: true}
}

// use calls a tool and decodes its structured content.
func use(t *testing.T, s *sdk.ClientSession, tool string, args any, into any) *sdk.CallToolResult {
	t.Helper()
	res, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	if into != nil {
		if res.IsError {
			t.Fatalf("%s: %s", tool, text(res))
		}
		b, err := json.Marshal(res.StructuredContent)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, into); err != nil {
			t.Fatal(err)
		}
	}
	return res
}

func text(res *sdk.CallToolResult) string {
	var out []string
	for _, c := range res.Content {
		if x, ok := c.(*sdk.TextContent); ok {
			out = append(out, x.Text)
		}
	}
	return strings.Join(out, "\n")
}

type (
	m    = map[string]any
	item struct {
		Item struct {
			Identifiers map[string]string
			Attributes  map[string]string
		}
	}
	list struct {
		Items []struct {
			ID, Subject, Recipient, Type string
			Metrics                      map[string]string
		}
		NextCursor string `json:"next_cursor"`
	}
	write struct {
		Status  string
		Changes []m
		Request m
	}
)

// mainJob is what an agent does first: look around, create a person, record the event, see the mail.
func mainJob(t *testing.T, s *sdk.ClientSession, who, mode string) {
	t.Helper()
	var ws struct {
		Workspace struct{ ID, Name string }
		Mode      string
		Scopes    []string
	}
	use(t, s, "get_workspace", m{}, &ws)
	if ws.Workspace.Name != "acme" || ws.Mode != mode || !slices.Equal(ws.Scopes, []string{"read", "write"}) {
		t.Errorf("get_workspace = %+v", ws)
	}
	attributes := m{"email": who + "@example.com", "first_name": "Agent", "plan": "pro"}
	var w write
	use(t, s, "upsert_person", m{"id": who, "attributes": attributes, "dry_run": true}, &w)
	if w.Status != "dry_run" || len(w.Changes) != 3 || w.Request["path"] != "/api/v1/customers/"+who {
		t.Errorf("dry run = %+v", w)
	}
	if res := use(t, s, "get_person", m{"id": who}, nil); !res.IsError || !strings.HasPrefix(text(res), "not_found: ") {
		t.Errorf("a dry run wrote: %s", text(res))
	}
	use(t, s, "upsert_person", m{"id": who, "attributes": attributes}, &w)
	use(t, s, "track_event", m{"id": who, "name": "signed_up", "data": m{"plan": "pro"}}, &w)
	var p item
	use(t, s, "get_person", m{"id": who, "include": []string{"attributes", "segments", "messages", "activities"}}, &p)
	if p.Item.Attributes["plan"] != "pro" || p.Item.Identifiers["id"] != who {
		t.Errorf("get_person = %+v", p)
	}
	var l list
	tick, end := time.NewTicker(10*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for waiting := true; waiting && len(l.Items) == 0; {
		select {
		case <-tick.C:
			use(t, s, "list_deliveries", m{"person": who, "metric": "sent"}, &l)
		case <-end:
			waiting = false
		}
	}
	if len(l.Items) != 1 || l.Items[0].Subject != "Welcome, Agent" || l.Items[0].Type != "email" {
		t.Errorf("list_deliveries = %+v", l)
	}
}

// TestMainJobHTTP does the main job over Streamable HTTP, and meets what a key may not do.
func TestMainJobHTTP(t *testing.T) {
	t.Parallel()
	url := serve(t)
	s := connect(t, overHTTP(url, agentKey))
	mainJob(t, s, "h1", "self")
	for _, bad := range []struct {
		tool string
		args m
		want string
	}{
		{"upsert_person", m{"id": "h1", "attributes": m{}}, "invalid_input: attributes"},
		{"track_event", m{"id": "h1", "name": ""}, "invalid_input: name"},
		{"track_event", m{"id": "..", "name": "x"}, "invalid_input: id"},
		{"get_person", m{"id": "h1", "id_type": "phone"}, "invalid_input: id_type"},
		{"get_person", m{"id": "h1", "include": []string{"secrets"}}, "invalid_input: include"},
		{"list_deliveries", m{"limit": 101}, "invalid_input: limit"},
		{"list_deliveries", m{"cursor": "AAAA"}, "invalid_input: cursor"},
	} {
		if res := use(t, s, bad.tool, bad.args, nil); !res.IsError || !strings.HasPrefix(text(res), bad.want) {
			t.Errorf("%s %v = %q, want %s…", bad.tool, bad.args, text(res), bad.want)
		}
	}
	if res := use(t, s, "get_workspace", m{"surprise": true}, nil); !res.IsError {
		t.Error("an unknown field was taken")
	}

	for range 3 { // three more deliveries to page over
		use(t, s, "track_event", m{"id": "h1", "name": "signed_up", "data": m{"plan": "pro"}}, nil)
	}
	seen, cursor := 0, ""
	for range 10 {
		args := m{"person": "h1", "limit": 1}
		if cursor != "" {
			args["cursor"] = cursor
		}
		var l list
		use(t, s, "list_deliveries", args, &l)
		seen += len(l.Items)
		if cursor != "" {
			if res := use(t, s, "list_deliveries", m{"limit": 1, "cursor": cursor}, nil); !res.IsError {
				t.Error("a cursor of another list was taken")
			}
		}
		if cursor = l.NextCursor; cursor == "" {
			break
		}
	}
	if seen != 4 {
		t.Errorf("paged over %d deliveries, want 4", seen)
	}

	reader := connect(t, overHTTP(url, key(t, url, "read")))
	use(t, reader, "get_person", m{"id": "h1"}, &item{})
	for _, tool := range []string{"track_event", "upsert_person", "set_subscription", "remove_person"} {
		if _, err := reader.CallTool(t.Context(), &sdk.CallToolParams{Name: tool, Arguments: m{"id": "h1", "name": "x"}}); err == nil || !strings.Contains(err.Error(), "unknown tool") {
			t.Errorf("a read key is offered %s: %v", tool, err)
		}
	}
}

// key mints an agent key with scopes.
func key(t *testing.T, url string, scopes ...string) string {
	t.Helper()
	var key struct{ Secret string }
	call(t, http.MethodPost, url+"/admin/v1/keys", m{"kind": "agent", "name": "test", "scopes": scopes}, &key)
	return key.Secret
}

const older, newer = "2025-11-25", "2026-07-28"

// TestConnections does the main job on every way to get here: against this server and against the hosted service, for which another
// server with the vendor's limits stands in; over stdio and HTTP; in both eras of the protocol.
func TestConnections(t *testing.T) {
	t.Parallel()
	url, hosted := serve(t), serve(t)
	bin := program(t)
	stdio := func(env ...string) sdk.Transport {
		cmd := exec.Command(bin, "mcp")
		cmd.Env = append(os.Environ(), env...)
		return &sdk.CommandTransport{Command: cmd}
	}
	for _, era := range []string{older, newer} {
		for _, way := range []struct {
			name, mode string
			over       func() sdk.Transport
		}{
			{"http", "self", func() sdk.Transport { return overHTTP(url, agentKey) }},
			{"stdio", "self", func() sdk.Transport { return stdio("RAPPORT_SERVER="+url, "RAPPORT_AGENT_KEY="+agentKey) }},
			{"hosted", "customerio", func() sdk.Transport {
				cmd := exec.Command(bin, "mcp", "--connection", "customerio", "--region", "eu", "--scopes", "read,write", "--track-url", hosted, "--app-url", hosted)
				cmd.Env = append(os.Environ(), "RAPPORT_SITE_ID=s", "RAPPORT_API_KEY=k", "RAPPORT_APP_KEY="+appKey, "RAPPORT_AUDIT_FILE="+filepath.Join(t.TempDir(), "audit.jsonl"))
				return &sdk.CommandTransport{Command: cmd}
			}},
		} {
			t.Run(way.name+" "+era, func(t *testing.T) {
				t.Parallel()
				mainJob(t, connect(t, way.over(), era), way.name+era, way.mode)
			})
		}
	}
}

// TestStdioTellsAtTheEnd has a program that is closed right after a read tell of it.
func TestStdioTellsAtTheEnd(t *testing.T) {
	t.Parallel()
	url := serve(t)
	cmd := exec.Command(program(t), "mcp")
	cmd.Env = append(cmd.Environ(), "RAPPORT_SERVER="+url, "RAPPORT_AGENT_KEY="+agentKey)
	c := connect(t, &sdk.CommandTransport{Command: cmd}, newer)
	for range 10 {
		use(t, c, "list_segments", m{}, nil)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	n := 0
	for _, e := range record(t, url) {
		if e.Tool == "list_segments" {
			n++
		}
	}
	if n != 10 {
		t.Errorf("%d reads are recorded, want 10", n)
	}
}

// TestWrongKeys refuses everything that is no agent key, App keys too, and other origins.
func TestWrongKeys(t *testing.T) {
	t.Parallel()
	url := serve(t)
	for _, key := range []string{"", appKey, adminKey, "agk_unknown"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("key %q: %s, want 401", key, res.Status)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/mcp", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+agentKey)
	req.Header.Set("Origin", "https://evil.example")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("cross-site request: %s, want 403", res.Status)
	}
	for path, want := range map[string]int{
		"POST /v1/send/email": 403, "DELETE /v1/segments/1": 403, "DELETE /api/v1/customers/1": 403, "POST /api/v1/customers/1/suppress": 403, "POST /api/v2/batch": 403,
	} {
		method, path, _ := strings.Cut(path, " ")
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+agentKey)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s %s with an agent key: %s, want %d", method, path, res.Status, want)
		}
	}
}
