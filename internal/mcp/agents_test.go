package mcp_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/audit"
)

// record reads the whole record of what agents did, and holds its chain.
func record(t *testing.T, url string) []audit.Entry {
	t.Helper()
	var page admin.AuditAnswer
	call(t, http.MethodGet, url+"/admin/v1/audit?limit=500", nil, &page)
	var c audit.Chain
	for i := range page.Entries {
		if err := c.Add(&page.Entries[i]); err != nil {
			t.Errorf("the chain: %v", err)
		}
	}
	if c.Seq != page.Head.Seq || c.Hash != page.Head.Hash {
		t.Errorf("the chain ends at %d, the head is %d", c.Seq, page.Head.Seq)
	}
	return page.Entries
}

// TestPolicy holds what a workspace allows its agents: nothing live at first, and nothing but reading once they are stopped, from the
// very next call.
func TestPolicy(t *testing.T) {
	t.Parallel()
	url := serve(t)
	secret := key(t, url, "read", "write", "write:live")
	s := connect(t, overPath(url, "/mcp/x/all", secret))
	use(t, s, "upsert_person", m{"id": "ada", "attributes": m{"plan": "pro"}}, nil)
	live := map[string]m{
		"set_subscription": {"id": "ada", "unsubscribed": true},
		"remove_person":    {"id": "ada", "confirm_id": "ada", "action": "delete"},
		"merge_people":     {"primary": "ada", "secondary": "bob"},
		"batch_people":     {"operations": []m{{"type": "person", "action": "delete", "identifiers": m{"id": "ada"}}}},
	}
	refused := func(tool string, args m, word string) {
		t.Helper()
		if res := use(t, s, tool, args, nil); !res.IsError || !strings.HasPrefix(text(res), "forbidden_scope") || !strings.Contains(text(res), word) {
			t.Errorf("%s: %s, want it refused with %q", tool, text(res), word)
		}
	}
	for tool, args := range live {
		refused(tool, args, "rapport agents live on")
	}
	byHand := func(method, path, body string) int {
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if status := byHand(http.MethodPut, "/api/v1/customers/ada", `{"unsubscribed":true}`); status != http.StatusForbidden {
		t.Errorf("unsubscribing by hand: %d", status)
	}
	call(t, http.MethodPut, url+"/admin/v1/agents", m{"live": true}, nil)
	use(t, s, "set_subscription", live["set_subscription"], &write{})
	if status := byHand(http.MethodPut, "/api/v1/customers/ada", `{"unsubscribed":true}`); status != http.StatusOK {
		t.Errorf("unsubscribing by hand, allowed: %d", status)
	}
	call(t, http.MethodPut, url+"/admin/v1/agents", m{"stopped": true}, nil)
	live["track_event"], live["upsert_person"], live["create_segment"] = m{"id": "ada", "name": "x"}, m{"id": "ada", "attributes": m{"a": 1}}, m{"name": "x"}
	for tool, args := range live {
		refused(tool, args, "rapport agents start")
	}
	use(t, s, "get_person", m{"id": "ada"}, &item{})
	call(t, http.MethodPut, url+"/admin/v1/agents", m{"stopped": false}, nil)
	use(t, s, "track_event", live["track_event"], &write{})
}

// TestRecord holds that every call leaves an entry, whatever became of it, and that none says anything about people.
func TestRecord(t *testing.T) {
	t.Parallel()
	url := serve(t)
	s := connect(t, overPath(url, "/mcp/x/all", key(t, url, "read", "write")))
	var w struct {
		AuditID string `json:"audit_id"`
	}
	use(t, s, "upsert_person", m{"id": "zoe@example.com", "id_type": "email", "attributes": m{"plan": "secret plan"}}, &w)
	use(t, s, "upsert_person", m{"id": "ada", "attributes": m{"unsubscribed": false}}, nil)
	use(t, s, "track_event", m{"id": "ada", "name": "x", "dry_run": true}, &write{})
	use(t, s, "track_event", m{"id": "../../../admin", "name": "x"}, nil)
	use(t, s, "track_event", m{"id": "ada", "name": "x", "bcc": "eve@example.com"}, nil)
	use(t, s, "list_deliveries", m{"cursor": "AAAA"}, nil)
	use(t, s, "get_person", m{"id": "nobody"}, nil)
	use(t, s, "get_delivery", m{"delivery_id": "x/../../v1/send/email", "include_body": true}, nil)
	var got []string
	for _, e := range record(t, url) {
		line := fmt.Sprint(e.Tool, " ", e.Outcome, " ", e.Rule)
		for _, c := range e.Calls {
			line += fmt.Sprint(" ", c.Method, " ", c.Path, " ", c.Status)
		}
		got = append(got, strings.Join(strings.Fields(line), " "))
		raw, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"zoe", "eve@", "secret plan", "nobody"} {
			if bytes.Contains(raw, []byte(word)) {
				t.Errorf("an entry holds %q: %s", word, raw)
			}
		}
		if e.Tool != "http" && (e.Client != "test 1" || len(e.ID) != 26) {
			t.Errorf("entry %+v", e)
		}
		if e.Seq == 1 && e.Arguments.(map[string]any)["audit_id"] != w.AuditID {
			t.Errorf("the request names %v, the call is %s", e.Arguments, w.AuditID)
		}
	}
	want := []string{
		"http ok PUT /api/v1/customers/{identifier} 200",
		"upsert_person ok GET /v1/customers/…/attributes 404 PUT /api/v1/customers/… 200",
		"upsert_person invalid_input attributes GET /v1/customers/…/attributes 404",
		"track_event dry_run",
		"http ok POST /api/v1/customers/{identifier}/events 200",
		"track_event ok POST /api/v1/customers/…/events 200",
		"track_event invalid_input schema",
		"list_deliveries invalid_input cursor",
		"get_person not_found GET /v1/customers/…/attributes 404",
		"get_delivery not_found GET /v1/messages/x%2F..%2F..%2Fv1%2Fsend%2Femail 404",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}
