package mcp_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"rapport.example/internal/audit"
)

// rows is a list of anything.
type rows struct {
	Items      []map[string]any
	Item       map[string]any
	NextCursor string `json:"next_cursor"`
	Truncated  bool
}

// TestContent: what messages are made with is listed, and what one says is changed, with the words before for an undo; nothing else
// about it can be.
func TestContent(t *testing.T) {
	t.Parallel()
	url := serve(t)
	call(t, http.MethodPut, url+"/admin/v1/agents", m{"live": true}, nil)
	secret := key(t, url, "read", "write", "write:live")
	s := connect(t, overPath(url, "/mcp/x/all", secret))
	for _, kind := range []string{"senders", "topics", "channels", "object_types"} {
		var l rows
		use(t, s, "list_content", m{"type": kind}, &l)
		if kind == "channels" && len(l.Items) == 0 {
			t.Error("no channels")
		}
	}
	var l, campaign rows
	use(t, s, "list_messages", m{"kind": "campaign"}, &l)
	id := l.Items[0]["id"]
	use(t, s, "get_message", m{"kind": "campaign", "id": id, "include": []string{"actions"}}, &campaign)
	actions := campaign.Item["actions"].([]any)
	action := actions[0].(map[string]any)
	args := m{"kind": "campaign", "id": id, "content_id": action["id"], "subject": "Hello, {{customer.first_name}}"}
	var w write
	use(t, s, "save_content", m{"kind": "campaign", "id": id, "content_id": action["id"], "subject": "x", "dry_run": true}, &w)
	if w.Status != "dry_run" || w.Request["method"] != http.MethodPut {
		t.Errorf("dry run = %+v", w)
	}
	use(t, s, "save_content", args, &w)
	if w.Status != "accepted" || len(w.Changes) != 1 || w.Changes[0]["before"] != action["subject"] || action["subject"] == "" {
		t.Errorf("save_content = %+v, it was %q", w, action["subject"])
	}
	use(t, s, "get_message", m{"kind": "campaign", "id": id, "include": []string{"actions"}}, &campaign)
	if got := campaign.Item["actions"].([]any)[0].(map[string]any)["subject"]; got != args["subject"] {
		t.Errorf("the subject is %q", got)
	}
	for _, body := range []string{`{"bcc":"eve@example.com"}`, `{"recipient":"eve@example.com"}`, `{"headers":"[]"}`, `{"from":"eve@example.com"}`} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/v1/campaigns/"+id.(string)+"/actions/"+action["id"].(string), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("an agent's key put %s by hand: %s", body, res.Status)
		}
	}
}

// TestOperations: what no tool does is found and done by the general ones, within what the key may see.
func TestOperations(t *testing.T) {
	t.Parallel()
	url := serve(t)
	plain := connect(t, overPath(url, "/mcp/x/raw,people", key(t, url, "read", "write")))
	full := connect(t, overPath(url, "/mcp/x/raw", key(t, url, "read", "read:sensitive")))
	use(t, plain, "upsert_person", m{"id": "ada", "attributes": m{"email": "ada+1@example.com", "card_number": "4111"}}, nil)
	var found rows
	use(t, plain, "find_operation", m{"query": "read the attributes of a person", "limit": 3}, &found)
	if len(found.Items) != 3 || found.NextCursor == "" {
		t.Fatalf("found %+v", found)
	}
	args := m{"operation_id": "get_customers_by_customer_id_attributes", "path": m{"customer_id": "ada+1@example.com"}, "query": m{"id_type": "email"}}
	for s, want := range map[*sdk.ClientSession]string{plain: "[hidden]", full: "4111"} {
		var out rows
		use(t, s, "call_read_operation", args, &out)
		if got := out.Item["customer"].(map[string]any)["attributes"].(map[string]any)["card_number"]; got != want {
			t.Errorf("card_number is %v, want %s", got, want)
		}
	}
	for i := range 5 {
		use(t, plain, "track_event", m{"id": "ada", "name": "visited", "data": m{"n": i}}, nil)
	}
	seen, cursor := 0, ""
	for range 20 {
		args := m{"operation_id": "get_activities", "query": m{"type": "event"}, "fields": []string{"name"}, "limit": 2}
		if cursor != "" {
			args["cursor"] = cursor
		}
		var out rows
		use(t, plain, "call_read_operation", args, &out)
		for _, a := range out.Items {
			if len(a) != 1 || a["name"] != "visited" {
				t.Errorf("activity %v", a)
			}
			seen++
		}
		if cursor = out.NextCursor; cursor == "" {
			break
		}
	}
	if seen != 5 {
		t.Errorf("paged over %d events, want 5", seen)
	}
	var w write
	describer := connect(t, overPath(url, "/mcp/x/raw", key(t, url, "read", "write", "configure")))
	use(t, describer, "call_write_operation", m{"operation_id": "post_data_index_events", "body": m{"events": []m{{"name": "visited", "description": "came by"}}}}, &w)
	if w.Status != "accepted" {
		t.Errorf("write = %+v", w)
	}
	if res := use(t, plain, "call_read_operation", m{"operation_id": "get_messages_by_message_id_archived_message", "path": m{"message_id": "x"}}, nil); !strings.HasPrefix(text(res), "forbidden_scope") {
		t.Errorf("a body without read:sensitive: %s", text(res))
	}
	if res := use(t, plain, "call_write_operation", m{"operation_id": "delete_segments_by_segment_id", "path": m{"segment_id": "1"}}, nil); !strings.HasPrefix(text(res), "policy_blocked") ||
		!strings.Contains(text(res), "delete_segment") {
		t.Errorf("a deletion: %s", text(res))
	}
}

// TestSearchAudit: the record is read by tool, outcome and time, page by page, by keys that have the scope.
func TestSearchAudit(t *testing.T) {
	t.Parallel()
	url := serve(t)
	s := connect(t, overPath(url, "/mcp/x/all", key(t, url, "read", "write", "audit")))
	for range 5 {
		use(t, s, "upsert_person", m{"id": "zoe", "attributes": m{"a": 1}}, nil)
		use(t, s, "get_person", m{"id": "nobody"}, nil)
	}
	seen, cursor := 0, ""
	for range 10 {
		args := m{"tool": "get_person", "outcome": "not_found", "limit": 2}
		if cursor != "" {
			args["cursor"] = cursor
		}
		var l rows
		use(t, s, "search_audit_log", args, &l)
		for _, e := range l.Items {
			if e["tool"] != "get_person" || e["client"] != "test 1" {
				t.Errorf("entry %v", e)
			}
			seen++
		}
		if cursor = l.NextCursor; cursor == "" {
			break
		}
	}
	if seen != 5 {
		t.Errorf("%d entries, want 5", seen)
	}
	var l rows
	if use(t, s, "search_audit_log", m{"since": "2099-01-01T00:00:00Z"}, &l); len(l.Items) != 0 {
		t.Errorf("entries of the future: %v", l.Items)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/agents/v1/audit", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+agentKey)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.Body.Close(); res.StatusCode != http.StatusForbidden {
		t.Errorf("a key without audit: %s", res.Status)
	}
}

// TestHostedRecord: on the hosted connection a file keeps the record, and the program verifies it.
func TestHostedRecord(t *testing.T) {
	t.Parallel()
	url, dir := serve(t), t.TempDir()
	bin := program(t)
	file := filepath.Join(dir, "audit.jsonl")
	cmd := exec.Command(bin, "mcp", "--connection", "customerio", "--scopes", "read,write,audit", "--toolsets", "all", "--track-url", url, "--app-url", url, "--audit-file", file)
	cmd.Env = append(os.Environ(), "RAPPORT_SITE_ID=s", "RAPPORT_API_KEY=k", "RAPPORT_APP_KEY="+appKey)
	s := connect(t, &sdk.CommandTransport{Command: cmd})
	use(t, s, "upsert_person", m{"id": "zoe@example.com", "id_type": "email", "attributes": m{"a": "secret plan"}}, &write{})
	use(t, s, "get_person", m{"id": "nobody"}, nil)
	var l rows
	if use(t, s, "search_audit_log", m{}, &l); len(l.Items) != 2 || l.Items[0]["outcome"] != "not_found" || l.Items[1]["tool"] != "upsert_person" {
		t.Errorf("record %v", l.Items)
	}
	raw, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(raw), "zoe") || strings.Contains(string(raw), "secret plan") {
		t.Errorf("the file: %v\n%s", err, raw)
	}
	var chain audit.Chain
	if err := audit.Verify(file, &chain); err != nil || chain.Seq != 3 {
		t.Errorf("%d entries: %v", chain.Seq, err)
	}
	out, err := exec.CommandContext(t.Context(), bin, "audit", "verify", "--file", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "the record holds: 3 entries") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(raw), "not_found", "ok", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), bin, "audit", "verify", "--file", file).CombinedOutput(); err == nil || !strings.Contains(string(out), "entry 2") {
		t.Errorf("verify of a changed file: %v\n%s", err, out)
	}
}

// TestReadResources reads resources of a real server, as its keys may.
func TestReadResources(t *testing.T) {
	t.Parallel()
	url := serve(t)
	s := connect(t, overHTTP(url, key(t, url, "read", "write", "read:sensitive")))
	mainJob(t, connect(t, overHTTP(url, agentKey)), "res1", "self")
	var l list
	use(t, s, "list_deliveries", m{"person": "res1"}, &l)
	for uri, want := range map[string]string{
		"cio://workspace": `"acme"`, "cio://people/res1": `"first_name":"Agent"`, "cio://people/res1%40example.com": `"id":"res1"`, "cio://messages/campaign/1": `"actions":[`,
		"cio://deliveries/" + l.Items[0].ID + "/body": "Agent", "cio://schema/attributes": `"name":"plan","type":"text"`, "cio://schema/events/signed_up": `"campaigns":["1"]`,
		"cio://docs/agents": "# Agents", "services://rapport": `"readiness"`,
	} {
		res, err := s.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri})
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		if !strings.Contains(res.Contents[0].Text, want) {
			t.Errorf("%s = %.300s, want %s", uri, res.Contents[0].Text, want)
		}
	}
	read := connect(t, overHTTP(url, key(t, url, "read")))
	if _, err := read.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "cio://deliveries/" + l.Items[0].ID + "/body"}); err == nil {
		t.Error("a key without read:sensitive read a body")
	}
	res, err := s.Complete(t.Context(), &sdk.CompleteParams{
		Ref: &sdk.CompleteReference{Type: "ref/prompt", Name: "review_campaign"}, Argument: sdk.CompleteParamsArgument{Name: "id", Value: "onb"},
		Context: &sdk.CompleteContext{Arguments: map[string]string{"kind": "campaign"}},
	})
	if err != nil || len(res.Completion.Values) == 0 {
		t.Errorf("completion: %v, %v", res, err)
	}
}
