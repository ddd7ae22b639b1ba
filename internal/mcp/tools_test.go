package mcp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

func names(t *testing.T, s *sdk.ClientSession) (out []string) {
	t.Helper()
	l, err := s.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range l.Tools {
		out = append(out, tool.Name)
	}
	slices.Sort(out)
	return out
}

// TestSelection holds which tools a client is offered: by path, header and the scopes of its key.
func TestSelection(t *testing.T) {
	t.Parallel()
	url := serve(t)
	all := key(t, url, "read", "read:sensitive", "write", "write:live")
	read := []string{
		"get_delivery", "get_message", "get_person", "get_segment", "get_workspace", "list_deliveries", "list_messages", "list_segments", "preview_audience", "search_people",
		"get_service_detail", "search_services",
	}
	slices.Sort(read)
	write := []string{"create_segment", "report_outcome", "track_event", "update_segment_members", "upsert_person"}
	sorted := func(lists ...[]string) []string {
		out := slices.Concat(lists...)
		slices.Sort(out)
		return out
	}
	for _, test := range []struct {
		path, key string
		want      []string
	}{
		{"/mcp", agentKey, sorted(read, write)},
		{"/mcp", all, sorted(read, write, []string{"set_subscription"})},
		{"/mcp/readonly", all, read},
		{"/mcp/x/segments", agentKey, []string{"create_segment", "get_segment", "get_workspace", "list_segments", "preview_audience", "update_segment_members"}},
		{"/mcp/x/people_admin,segments_admin", all, []string{"batch_people", "delete_segment", "explain_membership", "get_workspace", "merge_people", "remove_person"}},
		{"/mcp/x/people_admin", agentKey, []string{"get_workspace"}},
		{"/mcp/x/all", all, sorted(read, write, []string{
			"set_subscription", "batch_people", "delete_segment", "explain_membership", "merge_people", "remove_person", "list_content", "save_content", "find_operation", "call_read_operation",
			"call_write_operation",
		})},
		{"/mcp/x/admin", key(t, url, "audit"), []string{"get_workspace", "search_audit_log"}},
	} {
		for _, era := range []string{older, newer} {
			if diff := cmp.Diff(test.want, names(t, connect(t, overPath(url, test.path, test.key), era))); diff != "" {
				t.Errorf("%s in %s (-want +got):\n%s", test.path, era, diff)
			}
		}
	}
	res, err := http.Post(url+"/mcp/x/nothing", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a key: %s", res.Status)
	}
}

// TestPeopleAndSegments walks what an agent does with people and segments, and sees the effects.
func TestPeopleAndSegments(t *testing.T) {
	t.Parallel()
	url := serve(t)
	call(t, http.MethodPut, url+"/admin/v1/agents", m{"live": true}, nil)
	s := connect(t, overPath(url, "/mcp/x/all", key(t, url, "read", "write", "write:live")))
	var w write
	for i := range 30 {
		who := fmt.Sprintf("p%02d", i)
		attributes := m{"plan": "pro", "card_number": "4111"}
		if i%3 > 0 {
			attributes["email"] = who + "@example.com"
		}
		use(t, s, "upsert_person", m{"id": who, "attributes": attributes}, &w)
	}
	use(t, s, "set_subscription", m{"id": "p01", "unsubscribed": true}, &w)

	var made struct{ ID string }
	arguments := m{"name": "Early", "description": "who came first", "idempotency_key": "early-1"}
	use(t, s, "create_segment", arguments, &made)
	first := made.ID
	if use(t, s, "create_segment", arguments, &made); made.ID != first || first == "" {
		t.Errorf("the same key made %q and %q", first, made.ID)
	}
	ids := make([]string, 25)
	for i := range ids {
		ids[i] = fmt.Sprintf("p%02d", i)
	}
	use(t, s, "update_segment_members", m{"segment_id": first, "add": ids}, &w)
	if res := use(t, s, "update_segment_members", m{"segment_id": first, "add": make([]string, 1001)}, nil); !strings.HasPrefix(text(res), "invalid_input: add and remove") {
		t.Errorf("1,001 people: %s", text(res))
	}

	var seg struct {
		Item struct {
			Name, Type string
			Count      int
			Members    []struct{ Identifiers map[string]string }
		}
		NextCursor string `json:"next_cursor"`
	}
	var members []string
	for args := (m{"segment_id": first, "include": []string{"count", "members"}, "limit": 10}); ; args["cursor"] = seg.NextCursor {
		seg.NextCursor, seg.Item.Members = "", nil
		use(t, s, "get_segment", args, &seg)
		for _, p := range seg.Item.Members {
			members = append(members, p.Identifiers["id"])
		}
		if seg.NextCursor == "" {
			break
		}
	}
	slices.Sort(members)
	if diff := cmp.Diff(ids, members); diff != "" || seg.Item.Count != 25 || seg.Item.Name != "Early" || seg.Item.Type != "manual" {
		t.Errorf("segment %+v (-want +got):\n%s", seg.Item, diff)
	}

	var found struct {
		Items []struct {
			Identifiers, Attributes map[string]string
		}
		NextCursor string `json:"next_cursor"`
	}
	var pros []string
	for args := (m{"filter": m{"attribute": m{"field": "plan", "operator": "eq", "value": "pro"}}, "attributes": []string{"plan", "card_number"}, "limit": 7}); ; args["cursor"] = found.NextCursor {
		found.Items, found.NextCursor = nil, ""
		use(t, s, "search_people", args, &found)
		for _, p := range found.Items {
			pros = append(pros, p.Identifiers["id"])
			if diff := cmp.Diff(map[string]string{"plan": "pro", "card_number": "[hidden]"}, p.Attributes); diff != "" {
				t.Errorf("%v: %s", p.Identifiers, diff)
			}
		}
		if found.NextCursor == "" {
			break
		}
	}
	if slices.Sort(pros); len(pros) != 30 || len(slices.Compact(pros)) != 30 {
		t.Errorf("found %q", pros)
	}
	if use(t, s, "search_people", m{"email": "P01@example.com"}, &found); len(found.Items) != 1 || found.Items[0].Identifiers["id"] != "p01" {
		t.Errorf("by email: %+v", found.Items)
	}
	var preview struct {
		Size, Reachable int
		Exact           bool
		Excluded        map[string]int
		Sample          []m
	}
	use(t, s, "preview_audience", m{"segment_id": first, "sample": 3}, &preview)
	var byCondition struct {
		Size, Reachable int
		Excluded        map[string]int
	}
	use(t, s, "preview_audience", m{"conditions": m{"segment": "early"}, "sample": 3}, &byCondition)
	if byCondition.Size != preview.Size || byCondition.Reachable != preview.Reachable || !cmp.Equal(byCondition.Excluded, preview.Excluded) {
		t.Errorf("the audience of the segment is %+v, of the condition to be in it %+v", preview, byCondition)
	}
	if preview.Size != 25 || !preview.Exact || preview.Reachable != 15 || preview.Excluded["unsubscribed"] != 1 || preview.Excluded["no_email"] != 9 || len(preview.Sample) != 3 {
		t.Errorf("preview %+v", preview)
	}

	var odd struct{ Warnings []string }
	use(t, s, "preview_audience", m{"conditions": m{"attribute": "plam", "is": "pro"}}, &odd)
	if diff := cmp.Diff([]string{"conditions.attribute: nobody was seen with an attribute plam; did you mean plan?"}, odd.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}

	if res := use(t, s, "delete_segment", m{"segment_id": first, "confirm_name": "Late"}, nil); !strings.HasPrefix(text(res), "invalid_input: confirm_name") {
		t.Errorf("another name: %s", text(res))
	}
	use(t, s, "delete_segment", m{"segment_id": first, "confirm_name": "Early"}, &w)
	if res := use(t, s, "get_segment", m{"segment_id": first}, nil); !strings.HasPrefix(text(res), "not_found") {
		t.Errorf("the deleted segment: %s", text(res))
	}
}

// TestSubscriptions holds that agents subscribe nobody without a consent, and change nothing that they do not name.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	url := serve(t)
	call(t, http.MethodPut, url+"/admin/v1/agents", m{"live": true}, nil)
	s := connect(t, overHTTP(url, key(t, url, "read", "write", "write:live")))
	use(t, s, "upsert_person", m{"id": "ada", "attributes": m{"plan": "pro"}}, nil)
	for _, args := range []m{{"id": "ada", "unsubscribed": false}, {"id": "ada", "topics": m{"4": true}}, {"id": "ada", "topics": m{"4": true}, "consent_source": " "}} {
		if res := use(t, s, "set_subscription", args, nil); !strings.HasPrefix(text(res), "policy_blocked") {
			t.Errorf("%v: %s", args, text(res))
		}
	}
	for _, args := range []m{{"unsubscribed": false}, {"cio_subscription_preferences": m{}}, {"cio_subscription_preferences.topics.topic_1": true}, {"_update": false}, {"cio_id": "x"}} {
		if res := use(t, s, "upsert_person", m{"id": "ada", "attributes": args}, nil); !strings.HasPrefix(text(res), "invalid_input: attributes do not set") {
			t.Errorf("%v: %s", args, text(res))
		}
	}
	var w write
	use(t, s, "set_subscription", m{"id": "ada", "unsubscribed": true, "topics": m{"4": false, "topic_5": false}}, &w)
	use(t, s, "set_subscription", m{"id": "ada", "topics": m{"4": true}, "consent_source": "asked on the phone"}, &w)
	var p struct {
		Item struct {
			Unsubscribed bool
			Attributes   map[string]string
		}
	}
	use(t, s, "get_person", m{"id": "ada"}, &p)
	if !p.Item.Unsubscribed || p.Item.Attributes["cio_subscription_preferences"] != `{"topics":{"topic_4":true,"topic_5":false}}` || p.Item.Attributes["consent_source"] == "" {
		t.Errorf("%+v", p.Item)
	}
	if res := use(t, s, "set_subscription", m{"id": "nobody", "unsubscribed": true}, nil); !strings.HasPrefix(text(res), "not_found") {
		t.Errorf("nobody: %s", text(res))
	}
}

// TestHidden holds that sensitive attributes are hidden wherever they show, unless the key has the scope.
func TestHidden(t *testing.T) {
	t.Parallel()
	url := serve(t)
	s := connect(t, overHTTP(url, agentKey))
	use(t, s, "upsert_person", m{"id": "ada", "attributes": m{"card_number": "4111222233334444", "plan": "pro", "note": "\u202etxet\x07"}}, nil)
	var p item
	res := use(t, s, "get_person", m{"id": "ada", "include": []string{"attributes", "activities"}}, &p)
	if strings.Contains(text(res), "4111") || p.Item.Attributes["card_number"] != "[hidden]" || p.Item.Attributes["plan"] != "pro" || p.Item.Attributes["note"] != "txet" {
		t.Errorf("%s", text(res))
	}
	if res := use(t, s, "upsert_person", m{"id": "ada", "attributes": m{"card_number": "5"}, "dry_run": true}, nil); strings.Contains(text(res), "4111") {
		t.Errorf("a dry run shows it: %s", text(res))
	}
	if use(t, connect(t, overHTTP(url, key(t, url, "read", "read:sensitive"))), "get_person", m{"id": "ada"}, &p); p.Item.Attributes["card_number"] != "4111222233334444" {
		t.Errorf("with the scope: %v", p.Item.Attributes)
	}
}

// TestMessages reads campaigns and deliveries with what they said.
func TestMessages(t *testing.T) {
	t.Parallel()
	url := serve(t)
	s := connect(t, overHTTP(url, agentKey))
	var l struct{ Items []m }
	use(t, s, "list_messages", m{"kind": "campaign", "query": "onb"}, &l)
	if len(l.Items) != 1 || l.Items[0]["state"] != "running" {
		t.Fatalf("campaigns %v", l.Items)
	}
	var one struct{ Item m }
	use(t, s, "get_message", m{"kind": "campaign", "id": l.Items[0]["id"]}, &one)
	if one.Item["name"] != l.Items[0]["name"] {
		t.Errorf("get_message %v", one.Item)
	}
	mainJob(t, s, "reader", "self")
	var sent list
	use(t, s, "list_deliveries", m{"campaign_id": l.Items[0]["id"], "since": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)}, &sent)
	if len(sent.Items) != 1 || sent.Items[0].ID == "" {
		t.Fatalf("deliveries %+v", sent)
	}
	use(t, s, "get_delivery", m{"delivery_id": sent.Items[0].ID}, &one)
	if one.Item["subject"] != "Welcome, Agent" {
		t.Errorf("delivery %v", one.Item)
	}
	if res := use(t, s, "get_delivery", m{"delivery_id": sent.Items[0].ID, "include_body": true}, nil); !strings.HasPrefix(text(res), "forbidden_scope") {
		t.Errorf("the body without the scope: %s", text(res))
	}
	sensitive := connect(t, overHTTP(url, key(t, url, "read", "read:sensitive")))
	if use(t, sensitive, "get_delivery", m{"delivery_id": sent.Items[0].ID, "include_body": true}, &one); !strings.Contains(fmt.Sprint(one.Item["body"]), "Agent") {
		t.Errorf("body %v", one.Item)
	}
}

// TestBudget holds that an answer is cut between rows when it becomes long, and that nothing is lost by it.
func TestBudget(t *testing.T) {
	t.Parallel()
	url := serve(t)
	s := connect(t, overHTTP(url, agentKey))
	data := m{"text": strings.Repeat("x", 4000)}
	for i := range 20 {
		use(t, s, "track_event", m{"id": "ada", "name": "e" + strconv.Itoa(i), "data": data}, nil)
	}
	var p struct {
		Item       struct{ Activities []struct{ Name string } }
		NextCursor string `json:"next_cursor"`
	}
	var got []string
	for args := (m{"id": "ada", "include": []string{"activities"}, "limit": 15}); ; args["cursor"] = p.NextCursor {
		p.Item.Activities, p.NextCursor = nil, ""
		res := use(t, s, "get_person", args, &p)
		if n := len(text(res)); n > 33_000 {
			t.Errorf("an answer of %d bytes", n)
		}
		for _, a := range p.Item.Activities {
			if a.Name != "" {
				got = append(got, a.Name)
			}
		}
		if p.NextCursor == "" {
			break
		}
	}
	var want []string
	for i := range 20 {
		want = append(want, "e"+strconv.Itoa(19-i))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestNoSend holds that no tool, by name, schema or description, leads to a send.
func TestNoSend(t *testing.T) {
	t.Parallel()
	url := serve(t)
	s := connect(t, overPath(url, "/mcp/x/all", key(t, url, "read", "read:sensitive", "write", "write:live")))
	l, err := s.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range l.Tools {
		b, err := json.Marshal(tool.InputSchema)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"bcc", `"url"`, "/v1/send", "trigger", "newsletter", "send_to_unsubscribed", "headers"} {
			if strings.Contains(string(b), word) || strings.Contains(tool.Name, word) {
				t.Errorf("%s takes %s", tool.Name, word)
			}
		}
	}
}
