package mcp

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"rapport.example/internal/audit"
	"rapport.example/internal/catalog"
	"rapport.example/internal/workspace"
)

// backend is another end that answers everything, and notes what it was asked.
type backend struct {
	*httptest.Server
	soon atomic.Bool // a 429 says to come back at once, not in a minute
	mu   sync.Mutex
	seen []string // method and escaped path
}

func newBackend(t *testing.T, answer func(r *http.Request) (int, any)) *backend {
	t.Helper()
	b := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.seen = append(b.seen, r.Method+" "+r.URL.EscapedPath())
		b.mu.Unlock()
		_, _ = io.Copy(io.Discard, r.Body)
		status, body := answer(r)
		w.Header().Set("Content-Type", "application/json")
		if status == http.StatusTooManyRequests && !b.soon.Load() {
			w.Header().Set("Retry-After", "60")
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) asked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.seen)
}

// over is a session with all tools over a backend, as self or as the hosted service.
func over(t testing.TB, url string, hosted bool, change func(o *Options)) (*Server, *sdk.ClientSession) {
	t.Helper()
	guide, err := catalog.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		URL: url, Key: "agk_test", Scopes: workspace.Scopes(), Secret: []byte("secret"), Now: time.Now, Operations: operations(),
		Guide: func(context.Context) (*catalog.Catalog, error) { return guide, nil }, Audit: func(*audit.Entry) error { return nil },
	}
	if hosted {
		o.URL, o.Key, o.Hosted = "", "", &Hosted{Region: "us", TrackURL: url, AppURL: url, SiteID: "s", APIKey: "k", AppKey: "a"}
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s, session(t, s, everything, "")
}

// session is a client of a selection of tools in an era of the protocol, "" for the newest.
func session(t testing.TB, s *Server, sel Selection, era string) *sdk.ClientSession {
	t.Helper()
	near, far := sdk.NewInMemoryTransports()
	served, err := s.view(sel, s.o.Scopes).Connect(t.Context(), far, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = served.Close() })
	c, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), near, &sdk.ClientSessionOptions{ProtocolVersion: era})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

type m = map[string]any

func call1(t *testing.T, c *sdk.ClientSession, tool string, args m) *sdk.CallToolResult {
	t.Helper()
	res, err := c.CallTool(t.Context(), &sdk.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	return res
}

// codeOf is the code of a call that failed, "" of one that did not.
func codeOf(t *testing.T, res *sdk.CallToolResult) string {
	t.Helper()
	if !res.IsError {
		return ""
	}
	code, _ := asMap(t, res.StructuredContent)["code"].(string)
	return code
}

// plausible are arguments with which each tool does its work.
var plausible = map[string]m{
	"get_workspace": {}, "search_people": {"email": "a@example.com"}, "get_person": {"id": "1", "include": []string{"attributes", "segments", "messages"}},
	"upsert_person": {"id": "1", "attributes": m{"a": "b"}}, "track_event": {"id": "1", "name": "x"}, "set_subscription": {"id": "1", "unsubscribed": true},
	"list_segments": {}, "get_segment": {"segment_id": "1", "include": []string{"count", "used_by", "members"}}, "preview_audience": {"segment_id": "1"},
	"create_segment": {"name": "x"}, "update_segment_members": {"segment_id": "1", "add": []string{"1"}, "remove": []string{"2"}},
	"list_messages": {"kind": "campaign"}, "get_message": {"kind": "campaign", "id": "1", "include": []string{"actions"}},
	"list_deliveries": {"campaign_id": "1"}, "get_delivery": {"delivery_id": "d", "include_body": true},
	"search_services": {"intent": "mail"}, "get_service_detail": {"service_id": "customer-io"}, "report_outcome": {"service_id": "customer-io", "task": "x", "success": true},
	"remove_person": {"id": "1", "confirm_id": "1", "action": "delete"}, "merge_people": {"primary": "1", "secondary": "2"},
	"batch_people":       {"operations": []m{{"type": "person", "action": "identify", "identifiers": m{"id": "1"}}}},
	"explain_membership": {"id": "1", "segment_id": "1"},
	"delete_segment":     {"segment_id": "1", "confirm_name": "x"}, "list_content": {"type": "senders"},
	"save_content":     {"kind": "transactional", "id": "1", "content_id": "1", "subject": "x"},
	"search_audit_log": {}, "find_operation": {"query": "send a newsletter to everybody, trigger a broadcast"},
	readTool: {"operation_id": "get_segments"}, writeTool: {"operation_id": "post_data_index_events", "body": m{"events": []m{{"name": "x", "description": "y"}}}},
}

// whole is an answer in which every tool finds what it looks for.
func whole(r *http.Request) (int, any) {
	return http.StatusOK, m{
		"workspaces": []m{{"id": 1, "name": "acme"}}, "customer": m{"identifiers": m{"id": "1", "cio_id": "01"}, "attributes": m{"a": "c"}}, "results": []m{{"id": "1", "cio_id": "01"}},
		"segment": m{"id": 1, "name": "x", "type": "manual"}, "segments": []m{{"id": 1, "name": "x", "type": "manual"}}, "count": 3, "used_by": m{}, "identifiers": []m{{"id": "1", "cio_id": "01"}},
		"campaign": m{"id": 1, "name": "c"}, "campaigns": []m{{"id": 1, "name": "c"}}, "actions": []m{{"id": 1}}, "action": m{"subject": "s"}, "content": m{"subject": "s"},
		"messages": []m{}, "message": m{"id": "d"}, "archived_message": m{"body": "b"}, "sender_identities": []m{{"id": 1, "name": "n"}}, "entries": []m{}, "report": m{},
	}
}

// TestNoWayToSend walks every tool, and every operation of both APIs through the general tools, on both connections: no request
// reaches what sends, triggers or concerns newsletters, what deletes, or what has a tool of its own.
func TestNoWayToSend(t *testing.T) {
	t.Parallel()
	for _, hosted := range []bool{false, true} {
		b := newBackend(t, whole)
		s, c := over(t, b.URL, hosted, nil)
		for i := range s.tools {
			name := s.tools[i].name
			args, ok := plausible[name]
			if !ok {
				t.Errorf("%s is not walked", name)
			}
			if hosted && s.tools[i].self {
				if _, err := c.CallTool(t.Context(), &sdk.CallToolParams{Name: name, Arguments: args}); err == nil {
					t.Errorf("%s is there on the hosted service", name)
				}
				continue
			}
			if res := call1(t, c, name, args); codeOf(t, res) != "" {
				t.Errorf("%s: %v", name, res.StructuredContent)
			}
		}
		typed := b.asked()
		carried := map[string]bool{}
		for i := range s.o.Operations {
			o := &s.o.Operations[i]
			params := m{}
			for part := range strings.SplitSeq(o.Path, "/") {
				if name, ok := strings.CutPrefix(part, "{"); ok {
					params[strings.TrimSuffix(name, "}")] = "7"
				}
			}
			for _, tool := range []string{readTool, writeTool} {
				before := len(b.asked())
				res := call1(t, c, tool, m{"operation_id": o.ID(), "path": params})
				if use, _ := o.use(); len(b.asked()) > before {
					carried[o.Method+" "+o.Path] = true
					if use != tool {
						t.Errorf("%s carried out %s, which is for %s", tool, o.ID(), use)
					}
				} else if code := codeOf(t, res); code != "policy_blocked" && code != "not_found" {
					t.Errorf("%s %s: %q, want it refused", tool, o.ID(), code)
				}
			}
		}
		for _, request := range b.asked() {
			_, path, _ := strings.Cut(request, " ")
			if sends(path) || strings.Contains(path, "newsletter") || strings.Contains(path, "trigger") || strings.Contains(path, "/schedule") {
				t.Errorf("hosted %v: %s was reached", hosted, request)
			}
		}
		for _, request := range b.asked()[len(typed):] {
			if strings.HasPrefix(request, "DELETE") || strings.Contains(request, "merge") || strings.Contains(request, "suppress ") || strings.Contains(request, "/imports") && strings.HasPrefix(request, "POST") {
				t.Errorf("hosted %v: %s was reached through a general tool", hosted, request)
			}
		}
		if want := map[bool]int{false: 40, true: 60}[hosted]; len(carried) < want {
			t.Errorf("hosted %v: only %d operations are carried out: %v", hosted, len(carried), sortedKeys(carried))
		}
	}
}

// TestRawInput: what an agent puts into an operation stays in its place, and subscribes nobody.
func TestRawInput(t *testing.T) {
	t.Parallel()
	b := newBackend(t, whole)
	_, c := over(t, b.URL, true, nil)
	for _, bad := range []struct {
		tool, code string
		args       m
	}{
		{readTool, "invalid_input", m{"operation_id": "get_segments_by_segment_id", "path": m{"segment_id": "../campaigns"}}},
		{readTool, "invalid_input", m{"operation_id": "get_segments_by_segment_id", "path": m{"segment_id": ".."}}},
		{readTool, "invalid_input", m{"operation_id": "get_segments_by_segment_id", "path": m{"segment_id": `..\..\send`}}},
		{readTool, "invalid_input", m{"operation_id": "get_segments_by_segment_id", "path": m{"segment_id": "1\r\nX: y"}}},
		{readTool, "invalid_input", m{"operation_id": "get_segments_by_segment_id", "path": m{"segment_id": ""}}},
		{readTool, "invalid_input", m{"operation_id": "get_segments_by_segment_id", "path": m{"segment_id": "1", "other": "2"}}},
		{readTool, "invalid_input", m{"operation_id": "get_segments", "body": m{"a": 1}}},
		{readTool, "not_found", m{"operation_id": "post_send_everything"}},
		{readTool, "policy_blocked", m{"operation_id": "post_send_email"}},
		{writeTool, "policy_blocked", m{"operation_id": "post_send_email", "body": m{"to": "eve@example.com"}}},
		{writeTool, "policy_blocked", m{"operation_id": "put_customers_by_customer_id_optouts", "path": m{"customer_id": "1"}, "body": m{"optouts": []m{{"from": "1", "optout": false}}}}},
		{writeTool, "policy_blocked", m{"operation_id": "post_snippets", "body": m{"content": m{"url": "http://169.254.169.254/"}}}},
		{writeTool, "policy_blocked", m{"operation_id": "post_track_events", "body": m{"name": "x", "data": m{"unsubscribed": false}}}},
	} {
		before := len(b.asked())
		if code := codeOf(t, call1(t, c, bad.tool, bad.args)); code != bad.code || len(b.asked()) > before {
			t.Errorf("%s %v: %q, want %s and no request", bad.tool, bad.args, code, bad.code)
		}
	}
	if res := call1(t, c, readTool, m{"operation_id": "get_customers_by_customer_id_attributes", "path": m{"customer_id": "a+b@example.com/x?y#z"}}); res.IsError {
		t.Error(res.StructuredContent)
	}
	if seen := b.asked(); seen[len(seen)-1] != "GET /v1/customers/a%2Bb%40example.com%2Fx%3Fy%23z/attributes" {
		t.Errorf("asked %s", seen[len(seen)-1])
	}
	res := call1(t, c, writeTool, m{"operation_id": "post_data_index_events", "body": m{"events": []m{}}, "dry_run": true})
	if out := asMap(t, res.StructuredContent); out["status"] != "dry_run" || len(b.asked()) != 1 {
		t.Errorf("dry run: %v, %v", out, b.asked())
	}
}

// TestFindOperation: what the search should find comes first.
func TestFindOperation(t *testing.T) {
	t.Parallel()
	b := newBackend(t, whole)
	_, c := over(t, b.URL, true, nil)
	for query, want := range map[string]string{
		"which objects is a person related to": "get_customers_by_customer_id_relationships", "links of a campaign's metrics": "get_campaigns_by_campaign_id_metrics_links",
		"the suppression list": "get_esp_suppression_by_type", "change a snippet": "put_snippets", "opt-outs of a person": "get_customers_by_customer_id_optouts",
		"add a push device": "put_track_customers_by_identifier_devices", "list collections": "get_collections", "people in a segment": "get_segments_by_segment_id_membership",
		"get_exports": "get_exports", "IP addresses that mail is sent from": "get_info_ip_addresses",
	} {
		out := asMap(t, call1(t, c, "find_operation", m{"query": query, "limit": 3}).StructuredContent)
		var got []string
		items, _ := out["items"].([]any)
		for _, x := range items {
			got = append(got, x.(m)["operation_id"].(string))
		}
		if !slices.Contains(got, want) {
			t.Errorf("%q finds %v, want %s among them", query, got, want)
		}
	}
}
