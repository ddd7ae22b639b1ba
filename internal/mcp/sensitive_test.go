package mcp_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestHiddenByHand holds that an agent key without read:sensitive learns nothing by calling the APIs itself: neither of attributes whose
// names say that they are sensitive, nor of those that the data index does.
func TestHiddenByHand(t *testing.T) {
	t.Parallel()
	url := serve(t)
	ask := func(key, method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := bearer(key).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	if status, answer := ask(appKey, "POST", "/v1/data_index/attributes", `{"attributes":[{"name":"shoe","description":"size","privacy_level":1},{"name":"home","privacy_level":1}]}`); status != 204 {
		t.Fatalf("data index: %d %s", status, answer)
	}
	s := connect(t, overHTTP(url, agentKey))
	for _, shoe := range []string{"4711", "4712"} {
		use(t, s, "upsert_person", m{"id": "ada", "attributes": m{"card_number": "4111222233334444", "shoe": shoe, "home": m{"street": "4713 Elm"}, "plan": "pro"}}, nil)
	}
	use(t, s, "track_event", m{"id": "ada", "name": "paid", "data": m{"card_number": "4111222233334444", "total": 47}}, nil)
	plain, full := key(t, url, "read"), key(t, url, "read", "read:sensitive")
	secrets := []string{"4111222233334444", "4711", "4712", "4713"}
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/v1/customers/ada/attributes", ""},
		{"POST", "/v1/customers/attributes", `{"ids":["ada"]}`},
		{"GET", "/v1/customers/ada/activities", ""},
		{"GET", "/v1/activities", ""},
		{"GET", "/v1/activities?type=attribute_change", ""},
	} {
		status, answer := ask(plain, c.method, c.path, c.body)
		for _, s := range secrets {
			if status != 200 || strings.Contains(answer, s) {
				t.Errorf("%s %s = %d, and shows %s:\n%s", c.method, c.path, status, s, answer)
			}
		}
		if !strings.Contains(answer, "[hidden]") || !strings.Contains(answer, "plan") && strings.Contains(c.path, "attributes") {
			t.Errorf("%s %s does not say what is hidden:\n%s", c.method, c.path, answer)
		}
		if _, answer := ask(full, c.method, c.path, c.body); !strings.Contains(answer, "4712") || strings.Contains(answer, "[hidden]") {
			t.Errorf("%s %s with the scope:\n%s", c.method, c.path, answer)
		}
		if _, answer := ask(appKey, c.method, c.path, c.body); !strings.Contains(answer, "4712") || strings.Contains(answer, "[hidden]") {
			t.Errorf("%s %s with an App key:\n%s", c.method, c.path, answer)
		}
	}
	for _, filter := range []string{
		`{"attribute":{"field":"card_number","operator":"eq","value":"4111222233334444"}}`,
		`{"attribute":{"field":"shoe","operator":"eq","value":"4712"}}`,
		`{"and":[{"attribute":{"field":"plan","operator":"eq","value":"pro"}},{"not":{"attribute":{"field":"home.street","operator":"eq","value":"4713 Elm"}}}]}`,
	} {
		if status, answer := ask(plain, "POST", "/v1/customers", `{"filter":`+filter+`}`); status != 403 || !strings.Contains(answer, "read:sensitive") {
			t.Errorf("asking for %s = %d %s, want 403", filter, status, answer)
		}
		if status, answer := ask(full, "POST", "/v1/customers", `{"filter":`+filter+`}`); status != 200 {
			t.Errorf("asking for %s with the scope = %d %s", filter, status, answer)
		}
	}
	if status, _ := ask(plain, "POST", "/v1/customers", `{"filter":{"attribute":{"field":"shoe","operator":"exists"}}}`); status != 200 {
		t.Errorf("asking who has an attribute = %d", status)
	}
	for _, conditions := range []string{
		`{"attribute":"card_number","is":"4111222233334444"}`,
		`{"device":true,"where":{"property":"card_number","is":"4111222233334444"}}`,
		`{"object":1,"where":{"property":"home.street","exists":true}}`,
		`{"none":[{"object":1,"relationship":{"any":[{"property":"shoe","is":"4712"}]}}]}`,
		`{"all":[{"attribute":"plan","is":"pro"},{"not":{"attribute":"home.street","exists":true}}]}`,
		`{"event":"paid","where":{"property":"card_number","is":"4111222233334444"}}`,
	} {
		if status, answer := ask(plain, "POST", "/v1/segments/preview", `{"conditions":`+conditions+`}`); status != 403 || !strings.Contains(answer, "read:sensitive") {
			t.Errorf("counting %s = %d %s, want 403", conditions, status, answer)
		}
		if status, answer := ask(full, "POST", "/v1/segments/preview", `{"conditions":`+conditions+`}`); status != 200 {
			t.Errorf("counting %s with the scope = %d %s", conditions, status, answer)
		}
	}
	var made struct {
		Segment struct {
			ID json.Number `json:"id"`
		} `json:"segment"`
	}
	call(t, "POST", url+"/admin/v1/segments", m{"id": "small", "conditions": m{"all": []m{{"attribute": "plan", "is": "pro"}, {"attribute": "shoe", "is": 4712}}}}, &made)
	path := "/v1/customers/ada/segments/" + made.Segment.ID.String()
	if status, answer := ask(plain, "GET", path, ""); status != 200 || strings.Contains(answer, `"value":"\"4712`) || !strings.Contains(answer, `"true":false,"hidden":true`) ||
		!strings.Contains(answer, `"value":"\"pro\""`) {
		t.Errorf("why ada is in a segment = %d %s", status, answer)
	}
	if status, answer := ask(full, "GET", path, ""); status != 200 || !strings.Contains(answer, `"value":"\"4712`) || strings.Contains(answer, "hidden") {
		t.Errorf("why ada is in a segment, with the scope = %d %s", status, answer)
	}
	for _, path := range []string{"/v1/messages/none/archived_message", "/v1/exports/1/download"} {
		if status, answer := ask(plain, "GET", path, ""); status != 403 {
			t.Errorf("%s = %d %s, want 403", path, status, answer)
		}
		if status, _ := ask(full, "GET", path, ""); status != 404 {
			t.Errorf("%s with the scope = %d, want 404", path, status)
		}
	}
}
