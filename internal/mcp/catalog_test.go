package mcp_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

type services struct {
	Items []struct {
		ID, Readiness string
		Aeo           string `json:"aeo_score"`
		Ready         string `json:"agent_ready"`
	}
	NextCursor string `json:"next_cursor"`
	Next       string
}

// TestCatalogTools: an agent finds a service, reads how to connect it, and reports; the report stays in its workspace and out of
// every score.
func TestCatalogTools(t *testing.T) {
	t.Parallel()
	url := serve(t)
	s := connect(t, overHTTP(url, agentKey))
	var found services
	use(t, s, "search_services", m{"intent": "Customer.io"}, &found)
	if len(found.Items) == 0 || found.Items[0].ID != "customer-io" || found.Items[0].Aeo != "0.90, AAA" || !strings.Contains(found.Next, "customer-io") {
		t.Fatalf("search_services = %+v", found)
	}
	seen, cursor := map[string]bool{}, ""
	for range 60 {
		var page services
		args := m{"intent": "send messages to people", "limit": 1, "compact": true}
		if cursor != "" {
			args["cursor"] = cursor
		}
		use(t, s, "search_services", args, &page)
		for _, x := range page.Items {
			if seen[x.ID] {
				t.Errorf("%s is there twice", x.ID)
			}
			seen[x.ID] = true
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if !seen["customer-io"] || !seen["rapport"] {
		t.Errorf("pages hold %v", seen)
	}
	for _, ready := range []string{"verified", "connectable", "info_only"} {
		var list services
		use(t, s, "search_services", m{"intent": "send messages to people", "agent_ready": ready, "limit": 50}, &list)
		for _, x := range list.Items {
			if x.Ready != ready {
				t.Errorf("%s is %s, asked for %s", x.ID, x.Ready, ready)
			}
		}
	}

	var detail struct {
		Item      map[string]json.RawMessage
		Truncated bool
	}
	for _, id := range []string{"customer-io", "rapport"} {
		res := use(t, s, "get_service_detail", m{"service_id": id}, &detail)
		if n := len(text(res)); n > 32_000 {
			t.Errorf("%s: %d bytes, more than a result may have", id, n)
		}
		if !strings.Contains(string(detail.Item["guide"]), "/customers/") {
			t.Errorf("guide of %s = %s", id, detail.Item["guide"])
		}
	}
	if !detail.Truncated {
		t.Error("the many endpoints of rapport were not cut, or not said to be")
	}
	use(t, s, "get_service_detail", m{"service_id": "customer-io", "sections": []string{"score", "recipes", "facts"}}, &detail)
	if !strings.Contains(string(detail.Item["score"]), `"as_published"`) || !strings.Contains(string(detail.Item["recipes"]), "customer-io-welcome") {
		t.Errorf("score = %.300s", detail.Item["score"])
	}
	before := string(detail.Item["score"])
	res := use(t, s, "get_service_detail", m{"service_id": "customer-io", "sections": []string{"guide", "facts", "score", "recipes"}}, &detail)
	if n := len(text(res)); n > 32_000 || !detail.Truncated || string(detail.Item["left_out"]) == "" {
		t.Errorf("everything at once: %d bytes, truncated %v, left out %s", n, detail.Truncated, detail.Item["left_out"])
	}

	report := m{"service_id": "customer-io", "task": "identify ada@example.com", "success": true, "latency_ms": 80, "idempotency_key": "one"}
	var out struct {
		Status string
		Report m
	}
	use(t, s, "report_outcome", m{"service_id": "customer-io", "task": "x", "success": true, "dry_run": true}, &out)
	if out.Status != "dry_run" {
		t.Errorf("dry run = %+v", out)
	}
	for range 2 { // the second has the key of the first
		use(t, s, "report_outcome", report, &out)
	}
	if out.Status != "recorded" || out.Report["task"] != "identify [email]" || out.Report["provenance"] != "agent" {
		t.Errorf("report_outcome = %+v", out)
	}
	use(t, s, "get_service_detail", m{"service_id": "customer-io", "sections": []string{"reports", "score"}}, &detail)
	if got := string(detail.Item["reports"]); !strings.Contains(got, `"reports":1`) || strings.Contains(got, "success_rate") {
		t.Errorf("reports = %s, want one and no rate of so few", got)
	}
	if string(detail.Item["score"]) != before {
		t.Error("a report of an agent changed a score")
	}

	for _, bad := range []struct {
		tool string
		args m
		want string
	}{
		{"search_services", m{"intent": "mail", "category": "tea"}, "invalid_input: category"},
		{"search_services", m{"intent": "mail", "agent_ready": "soon"}, "invalid_input: agent_ready"},
		{"search_services", m{"intent": "mail", "limit": 101}, "invalid_input: limit"},
		{"search_services", m{"intent": "mail", "cursor": "AAAA"}, "invalid_input: cursor"},
		{"get_service_detail", m{"service_id": "../secrets"}, "not_found"},
		{"get_service_detail", m{"service_id": "customer-io", "sections": []string{"secrets"}}, "invalid_input: sections"},
		{"report_outcome", m{"service_id": "nowhere", "task": "x", "success": true}, "invalid_input: service_id"},
		{"report_outcome", m{"service_id": "customer-io", "task": "", "success": true}, "invalid_input: task"},
	} {
		if res := use(t, s, bad.tool, bad.args, nil); !res.IsError || !strings.HasPrefix(text(res), bad.want) {
			t.Errorf("%s %v = %q, want %s…", bad.tool, bad.args, text(res), bad.want)
		}
	}
	var key struct{ Secret string }
	call(t, http.MethodPost, url+"/admin/v1/keys", m{"kind": "agent", "name": "reader", "scopes": []string{"read"}}, &key)
	reader := connect(t, overHTTP(url, key.Secret))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/services/customer-io/reports", strings.NewReader(`{"task":"x","success":true}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key.Secret)
	refused, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	refused.Body.Close()
	if refused.StatusCode != http.StatusForbidden {
		t.Errorf("a read key reported: %s", refused.Status)
	}
	use(t, reader, "get_service_detail", m{"service_id": "customer-io", "sections": []string{"reports"}}, &detail)

	tools, err := s.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"search_services", "get_service_detail", "report_outcome"} {
		if !slices.ContainsFunc(tools.Tools, func(x *sdk.Tool) bool { return x.Name == name }) {
			t.Errorf("there is no tool %s", name)
		}
	}
}
