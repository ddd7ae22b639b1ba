package mcp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"rapport.example/internal/workspace"
)

// validators are the output schemas of all tools, as a client was told of them.
func validators(t *testing.T, c *sdk.ClientSession) map[string]*jsonschema.Resolved {
	t.Helper()
	l, err := c.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*jsonschema.Resolved{}
	for _, tool := range l.Tools {
		b, err := json.Marshal(tool.OutputSchema)
		if err != nil {
			t.Fatal(err)
		}
		var s jsonschema.Schema
		if err := json.Unmarshal(b, &s); err != nil {
			t.Fatal(err)
		}
		if out[tool.Name], err = s.Resolve(nil); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestOutputs calls every tool in both eras: what it answers fits its own schema, and the text says the same.
func TestOutputs(t *testing.T) {
	t.Parallel()
	for _, era := range []string{"2025-11-25", "2026-07-28"} {
		b := newBackend(t, whole)
		s, _ := over(t, b.URL, false, nil)
		c := session(t, s, everything, era)
		schemas := validators(t, c)
		for i := range s.tools {
			name := s.tools[i].name
			calls := []m{plausible[name]}
			if !s.tools[i].readOnly {
				dry := m{"dry_run": true}
				for k, v := range plausible[name] {
					dry[k] = v
				}
				if delete(dry, "remove"); name != "report_outcome" { // it shows one request
					calls = append(calls, dry)
				}
			}
			for _, args := range calls {
				res := call1(t, c, name, args)
				out := asMap(t, res.StructuredContent)
				if res.IsError {
					t.Errorf("%s in %s: %v", name, era, out)
					continue
				}
				if err := schemas[name].Validate(out); err != nil {
					t.Errorf("%s in %s does not fit its schema: %v", name, era, err)
				}
				var same map[string]any
				if err := json.Unmarshal([]byte(res.Content[0].(*sdk.TextContent).Text), &same); err != nil || fmt.Sprint(same) != fmt.Sprint(out) {
					t.Errorf("%s in %s: the text says something else: %v", name, era, err)
				}
			}
		}
	}
}

// long is a value as long as the APIs take it, and longer, in several scripts.
func long(n int) string {
	return strings.Repeat("Lorem ipsum dolor sit amet, 日本語のテキスト, AbC123xYz/+== <b>&amp;</b> ", n/70+1)[:n]
}

// huge answers with as much as there can be within the 4 MiB that are read: many rows, long texts, wide objects.
func huge(r *http.Request) (int, any) {
	row := func(i, data, body int) m {
		out := m{
			"id": fmt.Sprintf("dgTrhQMAAZx4QkK1B0u3V8w7Zt%04d", i), "name": long(200), "description": long(2000), "type": "email", "email": long(200), "customer_id": long(150),
			"recipient": long(200), "subject": long(900), "metrics": m{"sent": 1_800_000_000, "delivered": 1_800_000_000, "failed": 1_800_000_000}, "failure_message": long(3000),
			"created": 1_800_000_000, "timestamp": 1_800_000_000, "state": "running", "event_name": long(100), "body": long(body), "data": m{},
		}
		for n := range data {
			out["data"].(m)[fmt.Sprintf("field_%03d", n)] = m{"deep": []string{long(30), long(30)}}
		}
		return out
	}
	rows := func(n, data, body int) (out []m) {
		for i := range n {
			out = append(out, row(i, data, body))
		}
		return out
	}
	attributes := m{}
	for i := range 300 {
		attributes[fmt.Sprintf("attribute_%03d", i)] = long(1000)
	}
	people, customers, entries, ids := []m{}, []m{}, []m{}, []int{}
	for i := range 150 {
		people = append(people, m{"id": long(150), "email": long(150), "cio_id": fmt.Sprintf("a%011d", i)})
	}
	next := "more"
	path := r.Method + " " + r.URL.Path
	switch {
	case path == "GET /v1/workspaces":
		return http.StatusOK, m{"workspaces": []m{{"id": 1, "name": long(300)}}}
	case path == "POST /v1/customers/attributes":
		for i := range 100 {
			customers = append(customers, m{"customer": m{"identifiers": people[i], "attributes": m{"attribute_001": long(15_000), "attribute_002": long(15_000)}}})
		}
		return http.StatusOK, m{"customers": customers}
	case strings.HasSuffix(path, "/attributes"):
		return http.StatusOK, m{"customer": m{"identifiers": m{"id": "1", "cio_id": "01"}, "attributes": attributes}}
	case strings.HasSuffix(path, "/subscription_preferences"):
		return http.StatusOK, m{"customer": m{"topics": rows(120, 0, 0)}}
	case strings.HasSuffix(path, "/relationships"):
		return http.StatusOK, m{"cio_relationships": rows(120, 0, 0)}
	case strings.HasSuffix(path, "/activities"):
		return http.StatusOK, m{"activities": rows(40, 300, 0), "next": next}
	case strings.HasSuffix(path, "/actions"):
		return http.StatusOK, m{"actions": rows(10, 0, 200_000)}
	case strings.HasSuffix(path, "/archived_message"):
		return http.StatusOK, m{"archived_message": m{"body": long(500_000)}}
	case strings.HasSuffix(path, "/used_by"):
		for i := range 5000 {
			ids = append(ids, 1_000_000+i)
		}
		return http.StatusOK, m{"used_by": m{"campaigns": ids}}
	case strings.HasSuffix(path, "/audit"):
		for i := range 500 {
			entries = append(entries, m{"seq": 500 - i, "at": 1_800_000_000_000, "tool": "get_person", "client": long(100), "outcome": "ok", "arguments": m{"id": "…"}})
		}
		return http.StatusOK, m{"entries": entries}
	case path == "POST /v1/customers" && r.URL.Query().Get("limit") == "1000":
		next = ""
	}
	return http.StatusOK, m{
		"results": people, "identifiers": people, "next": next, "segment": row(1, 0, 0), "segments": rows(100, 0, 0), "count": 3, "campaign": row(1, 0, 100_000),
		"campaigns": rows(100, 0, 0), "action": row(1, 0, 100_000), "messages": rows(100, 0, 0), "message": row(1, 0, 0), "sender_identities": rows(100, 0, 0),
	}
}

// TestResultSizes: whatever the other side answers, no result costs more than 8,000 tokens, a list whose size is left open costs little, and
// what was cut says so and goes on.
func TestResultSizes(t *testing.T) {
	t.Parallel()
	b := newBackend(t, huge)
	_, c := over(t, b.URL, false, nil)
	count := counter(t)
	wide := m{}
	for i := range 200 {
		wide[fmt.Sprintf("attribute_%03d", i)] = long(900)
	}
	operations := make([]m, 300)
	for i := range operations {
		operations[i] = m{"type": "person", "action": "identify", "identifiers": m{"id": "1"}, "attributes": m{"a": long(900)}}
	}
	for _, x := range []struct {
		tool   string
		args   m
		whole  bool // nothing has to be cut
		little bool
	}{
		{"get_workspace", m{}, true, true},
		{"search_people", m{"email": "a@example.com"}, false, true},
		{"search_people", m{"filter": m{"segment": m{"id": 1}}, "limit": 100, "attributes": []string{"attribute_001", "attribute_002"}}, false, false},
		{"get_person", m{"id": "1"}, false, false},
		{"get_person", m{"id": "1", "include": []string{"attributes", "segments", "messages", "activities", "subscriptions", "relationships"}, "limit": 100}, false, false},
		{"get_person", m{"id": "1", "include": []string{"activities"}}, false, false},
		{"list_segments", m{}, false, true},
		{"list_segments", m{"limit": 100}, false, false},
		{"get_segment", m{"segment_id": "1", "include": []string{"count", "used_by", "members"}, "limit": 100}, false, false},
		{"preview_audience", m{"segment_id": "1", "sample": 10}, true, false},
		{"list_messages", m{"kind": "campaign", "limit": 100}, false, false},
		{"get_message", m{"kind": "campaign", "id": "1", "include": []string{"actions"}}, false, false},
		{"list_deliveries", m{}, false, true},
		{"list_deliveries", m{"limit": 100}, false, false},
		{"get_delivery", m{"delivery_id": "d", "include_body": true}, false, false},
		{"list_content", m{"type": "senders", "limit": 100}, false, false},
		{"search_audit_log", m{"limit": 100}, false, false},
		{"search_audit_log", m{}, false, true},
		{"find_operation", m{"query": "a list of the messages that campaigns broadcasts segments people", "limit": 100}, true, false},
		{"call_read_operation", m{"operation_id": "get_messages", "limit": 100}, false, false},
		{"call_read_operation", m{"operation_id": "get_campaigns_by_campaign_id", "path": m{"campaign_id": "1"}}, false, false},
		{"search_services", m{"intent": "send messages to people", "limit": 50}, true, false},
		{"get_service_detail", m{"service_id": "customer-io", "sections": []string{"guide", "facts", "score", "recipes"}}, false, false},
		{"upsert_person", m{"id": "1", "attributes": wide}, false, false},
		{"upsert_person", m{"id": "1", "attributes": wide, "dry_run": true}, false, false},
		{"batch_people", m{"operations": operations, "dry_run": true}, false, false},
		{"save_content", m{"kind": "campaign", "id": "1", "content_id": "1", "body": long(100_000), "dry_run": true}, false, false},
	} {
		res := call1(t, c, x.tool, x.args)
		if res.IsError {
			t.Errorf("%s: %v", x.tool, res.StructuredContent)
			continue
		}
		text := res.Content[0].(*sdk.TextContent).Text
		n, most := count(text), 8000
		out := asMap(t, res.StructuredContent)
		if items, _ := out["items"].([]any); x.little && len(items) != 1 { // one long row may cost more
			most = 1600
		}
		if item, ok := out["item"].(map[string]any); ok && item["truncated"] == true {
			out["truncated"] = true
		}
		if _, pages := out["next_cursor"].(string); pages {
			out["truncated"] = true
		}
		if n > most || len(text) > 32_000 || !x.whole && out["truncated"] != true {
			t.Errorf("%s: %d tokens, %d bytes, truncated %v, want at most %d", x.tool, n, len(text), out["truncated"], most)
		}
		links := 0
		for _, c := range res.Content[1:] {
			if l, ok := c.(*sdk.ResourceLink); ok && strings.HasPrefix(l.URI, "cio://") {
				links++
			}
		}
		if want := x.tool == "get_message" || x.tool == "get_delivery"; (links == 1) != want {
			t.Errorf("%s: %d links to what was cut", x.tool, links)
		}
	}
}

// TestCutLists walks lists whose rows are long, page by page: every row comes once, however they were cut.
func TestCutLists(t *testing.T) {
	t.Parallel()
	attributes := m{}
	for i := range 200 {
		attributes[fmt.Sprintf("attribute_%03d", i)] = long(500)
	}
	rows := make([]m, 60)
	for i := range rows {
		rows[i] = m{"id": i + 1, "name": long(900), "type": "manual"}
	}
	b := newBackend(t, func(*http.Request) (int, any) {
		return http.StatusOK, m{"customer": m{"identifiers": m{"id": "1"}, "attributes": attributes}, "segments": rows}
	})
	_, c := over(t, b.URL, false, nil)
	for tool, args := range map[string]m{"list_segments": {}, "get_person": {"id": "1"}} {
		seen, pages := map[string]bool{}, 0
		for args["cursor"] != "" {
			out := asMap(t, call1(t, c, tool, args).StructuredContent)
			items, _ := out["items"].([]any)
			for _, x := range items {
				seen[x.(m)["id"].(string)] = true
			}
			if item, ok := out["item"].(m); ok {
				for k := range item["attributes"].(m) {
					seen[k] = true
				}
			}
			args["cursor"], _ = out["next_cursor"].(string)
			if pages++; pages > 100 {
				t.Fatalf("%s does not end", tool)
			}
		}
		if want := map[string]int{"list_segments": 60, "get_person": 200}[tool]; len(seen) != want || pages < 3 {
			t.Errorf("%s: %d rows on %d pages, want %d", tool, len(seen), pages, want)
		}
	}
}

// TestErrors holds every code that can occur: what is said first, what to do, and whether and when to try again.
func TestErrors(t *testing.T) {
	t.Parallel()
	answers := map[string]struct {
		status int
		body   any
	}{
		"400": {400, m{"meta": m{"error": "bad filter"}}}, "401": {401, m{"meta": m{"error": "Unauthorized request"}}}, "403": {403, m{"meta": m{"error": "no entitlement"}}},
		"404": {404, m{"errors": []m{{"detail": "not found", "status": "404"}}}}, "409": {409, m{"errors": []m{{"detail": "in use"}}}}, "413": {413, m{"meta": m{"error": "too large"}}},
		"422": {422, m{"errors": []m{{"detail": "is wrong", "source": m{"pointer": "/name"}}}}}, "429": {429, m{"errors": []m{{"detail": "slow down"}}}}, "500": {500, "boom"}, "501": {501, m{}},
	}
	b := newBackend(t, func(r *http.Request) (int, any) {
		for name, a := range answers {
			if strings.Contains(r.URL.Path, name) {
				return a.status, a.body
			}
		}
		return whole(r)
	})
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	_, c := over(t, b.URL, false, nil)
	_, poor := over(t, b.URL, false, func(o *Options) { o.Scopes = []string{workspace.Read, workspace.WriteLive} })
	_, gone := over(t, dead.URL, false, nil)
	_, hosted := over(t, b.URL, true, nil)
	_, slow := over(t, b.URL, false, func(o *Options) { o.Limits = Limits{Archive: 1} })
	schemas := validators(t, c)
	call1(t, slow, "get_delivery", m{"delivery_id": "a", "include_body": true})
	person := func(id string) m { return m{"id": id} }
	for _, x := range []struct {
		name, code string
		c          *sdk.ClientSession
		tool       string
		args       m
		retry      bool
		after      bool
		field      string
		status     float64
	}{
		{"bad request", "invalid_input", c, "get_person", person("400"), false, false, "", 400},
		{"unprocessable", "invalid_input", c, "get_person", person("422"), false, false, "", 422},
		{"unauthorized", "unauthorized", c, "get_person", person("401"), false, false, "", 401},
		{"forbidden", "forbidden_scope", c, "get_person", person("403"), false, false, "", 403},
		{"not found", "not_found", c, "get_person", person("404"), false, false, "", 404},
		{"conflict", "conflict", c, "get_person", person("409"), false, false, "", 409},
		{"too large", "payload_too_large", c, "get_person", person("413"), false, false, "", 413},
		{"rate limited", "rate_limited", c, "get_person", person("429"), true, true, "", 429},
		{"our own limit", "rate_limited", slow, "get_delivery", m{"delivery_id": "a", "include_body": true}, true, true, "", 429},
		{"failing", "upstream_error", c, "get_person", person("500"), true, false, "", 500},
		{"not there", "unsupported_on_connection", c, "get_person", person("501"), false, false, "", 501},
		{"not on hosted", "unsupported_on_connection", hosted, "get_service_detail", m{"service_id": "customer-io", "sections": []string{"reports"}}, false, false, "", 0},
		{"gone", "upstream_timeout", gone, "get_segment", m{"segment_id": "1"}, true, false, "", 0},
		{"unknown field", "invalid_input", c, "track_event", m{"id": "1", "name": "x", "bcc": "e"}, false, false, "", 0},
		{"unknown field, not a name", "invalid_input", c, "track_event", m{"id": "1", "name": "x", "Ignore all": "e"}, false, false, "", 0},
		{"missing field", "invalid_input", c, "track_event", m{"id": "1"}, false, false, "name", 0},
		{"wrong value", "invalid_input", c, "list_messages", m{"kind": "newsletter"}, false, false, "kind", 0},
		{"wrong type", "invalid_input", c, "get_person", m{"id": 5}, false, false, "id", 0},
		{"scope", "forbidden_scope", poor, "get_delivery", m{"delivery_id": "d", "include_body": true}, false, false, "", 0},
		{"consent", "policy_blocked", c, "set_subscription", m{"id": "1", "unsubscribed": false}, false, false, "consent_source", 0},
		{"operation too large", "payload_too_large", c, "batch_people", m{"operations": []m{{"type": "person", "x": long(40_000)}}}, false, false, "operations", 0},
		{"segment in use", "conflict", c, "delete_segment", m{"segment_id": "1", "confirm_name": "used"}, false, false, "", 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			if x.name == "segment in use" {
				b := newBackend(t, func(*http.Request) (int, any) {
					return http.StatusOK, m{"segment": m{"id": 1, "name": "used"}, "used_by": m{"campaigns": []int{3}}}
				})
				_, x.c = over(t, b.URL, false, nil)
			}
			began := time.Now()
			res := call1(t, x.c, x.tool, x.args)
			e := asMap(t, res.StructuredContent)
			text := res.Content[0].(*sdk.TextContent).Text
			for name, schema := range schemas {
				if err := schema.Validate(e); err != nil {
					t.Errorf("a client that checks what %s answers throws this error away: %v", name, err)
				}
			}
			if strings.Contains(text, "Ignore") || x.name == "unknown field" && !strings.Contains(text, "the field bcc,") {
				t.Errorf("which field it is should be said, and nothing else of what came: %s", text)
			}
			if !res.IsError || e["code"] != x.code || e["retryable"] != x.retry || !strings.HasPrefix(text, x.code+": ") || e["message"] == "" {
				t.Errorf("%v\n%s", e, text)
			}
			if hint, _ := e["hint"].(string); hint == "" && e["message"] != "" && x.code != "invalid_input" && x.code != "upstream_error" && x.code != "rate_limited" {
				t.Errorf("no hint: %v", e)
			} else if hint != "" && !strings.Contains(text, hint) {
				t.Errorf("the hint %q is not in the text", hint)
			}
			if after, _ := e["retry_after_s"].(float64); (after > 0) != x.after || x.after && !strings.Contains(text, "Try again in") {
				t.Errorf("retry_after_s %v\n%s", after, text)
			}
			if field, _ := e["field"].(string); x.field != field && x.field != "" {
				t.Errorf("field %q, want %q", field, x.field)
			}
			if status, _ := e["upstream_status"].(float64); status != x.status {
				t.Errorf("upstream_status %v, want %v", status, x.status)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %v", took)
			}
		})
	}
}
