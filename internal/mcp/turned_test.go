package mcp_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"rapport.example/internal/audit"
	"rapport.example/internal/config"
)

// send is a request as a program makes it that is no client of the protocol.
func send(t *testing.T, method, url, token, body string, headers ...string) int {
	t.Helper()
	head := http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	for i := 0; i < len(headers); i += 2 {
		head.Set(headers[i], headers[i+1])
	}
	res, _ := answer(t, method, url, head, body)
	return res.StatusCode
}

// answer is what comes back for a request, read to its end.
func answer(t *testing.T, method, url string, head http.Header, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = head.Clone()
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(all)
}

// TestTurnedAway: what does not come as far as a tool is refused, and what has a key of the workspace leaves its entry in the record.
func TestTurnedAway(t *testing.T) {
	t.Parallel()
	url := serve(t)
	secret := key(t, url, "read", "write", "write:live")
	long := `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":"` + strings.Repeat("x", 4<<20) + `"}}`
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	for _, test := range []struct {
		name, method, path, token, body string
		headers                         []string
		want                            int
		row                             string // tool, outcome and rule; "" where nobody is known who tried
	}{
		{"no key", http.MethodPost, "/mcp", "", list, nil, http.StatusUnauthorized, ""},
		{"an unknown key", http.MethodPost, "/mcp", "agk_unknown", list, nil, http.StatusUnauthorized, ""},
		{"an App API key", http.MethodPost, "/mcp", appKey, list, nil, http.StatusUnauthorized, "mcp unauthorized audience"},
		{"an admin key", http.MethodPost, "/mcp", adminKey, list, nil, http.StatusUnauthorized, ""},
		{"another origin", http.MethodPost, "/mcp", secret, list, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, http.StatusForbidden, "mcp refused origin"},
		{"a long body", http.MethodPost, "/mcp", secret, long, nil, http.StatusRequestEntityTooLarge, "mcp payload_too_large body"},
		{"a long body without sessions", http.MethodPost, "/mcp", secret, long, []string{"Mcp-Protocol-Version", newer}, http.StatusRequestEntityTooLarge, "mcp payload_too_large body"},
		{"a send by hand", http.MethodPost, "/v1/send/email", secret, `{}`, nil, http.StatusForbidden, "http forbidden_scope scope"},
		{"a trigger by hand", http.MethodPost, "/v1/campaigns/1/triggers", secret, `{}`, nil, http.StatusForbidden, "http forbidden_scope scope"},
		{"an operator's path", http.MethodGet, "/admin/v1/keys", secret, "", nil, http.StatusUnauthorized, ""},
		{"another recipient by hand", http.MethodPost, "/api/v1/customers/ada/events", secret, `{"name":"x","data":{"recipient":"eve@example.com"}}`, nil, http.StatusForbidden, "http forbidden_scope scope"},
		{"deleting by hand without leave", http.MethodDelete, "/api/v1/customers/ada", secret, "", nil, http.StatusForbidden, "http forbidden_scope scope"},
	} {
		before := len(record(t, url))
		if got := send(t, test.method, url+test.path, test.token, test.body, test.headers...); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
		var rows []string
		for _, e := range record(t, url)[before:] {
			rows = append(rows, e.Tool+" "+e.Outcome+" "+e.Rule)
		}
		if got := strings.Join(rows, ", "); got != test.row {
			t.Errorf("%s: the record says %q, want %q", test.name, got, test.row)
		}
	}
}

// TestAnswersWhole: without sessions an answer is one JSON document, unless the caller asks for more than the answer, in whichever way that is written.
func TestAnswersWhole(t *testing.T) {
	t.Parallel()
	url := serve(t)
	secret := key(t, url, "read")
	const doc, stream = "application/json", "text/event-stream"
	for _, test := range []struct{ name, era, method, params, meta, want string }{
		{"a call", newer, "tools/call", `"name":"get_workspace","arguments":{}`, "", doc},
		{"a list", newer, "tools/list", "", "", doc},
		{"a call that tells how far it is", newer, "tools/call", `"name":"get_workspace","arguments":{}`, `,"progressToken":1`, stream},
		{"the same, escaped", newer, "tools/call", `"name":"get_workspace","arguments":{}`, `,"progress\u0054oken":1`, stream},
		{"a call in a session", older, "tools/call", `"name":"get_workspace","arguments":{}`, "", stream},
	} {
		meta := ""
		if test.era == newer {
			meta = `"io.modelcontextprotocol/protocolVersion":"` + newer + `","io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}`
		}
		head := http.Header{
			"Authorization": {"Bearer " + secret}, "Content-Type": {"application/json"}, "Accept": {doc + ", " + stream},
			"Mcp-Protocol-Version": {test.era}, "Mcp-Method": {test.method},
		}
		if test.method == "tools/call" {
			head.Set("Mcp-Name", "get_workspace")
		}
		if test.era == older {
			open := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + older + `","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`
			res, _ := answer(t, http.MethodPost, url+"/mcp", head, open)
			head.Set("Mcp-Session-Id", res.Header.Get("Mcp-Session-Id"))
			answer(t, http.MethodPost, url+"/mcp", head, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
		}
		params := strings.Trim(test.params+`,"_meta":{`+meta+test.meta+`}`, ",")
		res, body := answer(t, http.MethodPost, url+"/mcp", head, `{"jsonrpc":"2.0","id":2,"method":"`+test.method+`","params":{`+params+`}}`)
		if got := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || got != test.want || !strings.Contains(body, `"id":2`) || strings.Contains(body, `"error"`) {
			t.Errorf("%s: %s, %s, want %s: %s", test.name, res.Status, got, test.want, body)
		}
	}
}

// TestSwitches: the workspace's switches hold from the next call on, also of sessions that are open, and what they refuse is recorded.
func TestSwitches(t *testing.T) {
	t.Parallel()
	url := serve(t)
	s := connect(t, overPath(url, "/mcp/x/all", key(t, url, "read", "write", "write:live")), older)
	refused := func(what, tool string, args m) {
		t.Helper()
		res := use(t, s, tool, args, nil)
		all := record(t, url)
		last := slices.IndexFunc(all, func(e audit.Entry) bool { return e.Tool == tool && e.Seq > int64(len(all)-3) })
		if !res.IsError || !strings.HasPrefix(text(res), "forbidden_scope") || last < 0 || all[last].Outcome != "forbidden_scope" {
			t.Errorf("%s: %s; the record %+v", what, text(res), all[len(all)-1])
		}
	}
	use(t, s, "upsert_person", m{"id": "ada", "attributes": m{"a": 1}}, &write{})
	refused("nothing live", "remove_person", m{"id": "ada", "action": "delete", "confirm_id": "ada"})
	call(t, http.MethodPut, url+"/admin/v1/agents", m{"stopped": true}, nil)
	refused("stopped", "upsert_person", m{"id": "ada", "attributes": m{"a": 2}})
	refused("stopped", "track_event", m{"id": "ada", "name": "x"})
	use(t, s, "get_person", m{"id": "ada"}, &item{})
}

// TestForeignCursors: a cursor is of one list of one workspace, to the last bit.
func TestForeignCursors(t *testing.T) {
	t.Parallel()
	url := serve(t)
	call(t, http.MethodPost, url+"/admin/v1/apply", m{"file": "other.yaml", "yaml": "schema: 1\nworkspace: other\nsegments: [{id: a, name: a, manual: true}, {id: b, name: b, manual: true}]\n"}, nil)
	var other struct{ Secret string }
	call(t, http.MethodPost, url+"/admin/v1/keys", m{"kind": "agent", "name": "x", "scopes": []string{"read"}, "workspace": "other"}, &other)
	ours, theirs := connect(t, overHTTP(url, agentKey)), connect(t, overHTTP(url, other.Secret))
	var l list
	use(t, ours, "list_segments", m{"limit": 1}, &l)
	if l.NextCursor == "" {
		t.Fatal("the list has one page")
	}
	use(t, ours, "list_segments", m{"limit": 1, "cursor": l.NextCursor}, &list{})
	for i := 0; i < len(l.NextCursor); i += 7 {
		b := []byte(l.NextCursor)
		if b[i]++; i == len(b)-1 {
			continue // bits behind the last byte say nothing
		}
		if res := use(t, ours, "list_segments", m{"limit": 1, "cursor": string(b)}, nil); !res.IsError {
			t.Errorf("a cursor changed at %d was taken", i)
		}
	}
	for name, test := range map[string]struct {
		who  any
		tool string
		args m
	}{
		"another workspace": {theirs, "list_segments", m{}}, "another tool": {ours, "list_messages", m{"kind": "campaign"}}, "another question": {ours, "list_segments", m{"query": "a"}},
	} {
		s := ours
		if test.who == theirs {
			s = theirs
		}
		test.args["cursor"], test.args["limit"] = l.NextCursor, 1
		if res := use(t, s, test.tool, test.args, nil); !strings.HasPrefix(text(res), "invalid_input: cursor") {
			t.Errorf("%s: %s", name, text(res))
		}
	}
}

// TestTricksInIds: an identifier is that person's name and never a path, whatever it holds.
func TestTricksInIds(t *testing.T) {
	t.Parallel()
	url := serve(t)
	s := connect(t, overHTTP(url, agentKey))
	for i, id := range []string{
		"../../v1/send/email", "a/b", "a%2fb", "%2e%2e%2fsegments", "a?b=c", "a#b", "a+b", "a b", "a&b=c", `a\b`, "a;b", "ä/ö", "a%", "a%00b", "attributes", "..;/x", "x/../../admin",
	} {
		use(t, s, "upsert_person", m{"id": id, "attributes": m{"n": fmt.Sprint(i)}}, &write{})
		var p item
		use(t, s, "get_person", m{"id": id}, &p)
		if p.Item.Identifiers["id"] != id || p.Item.Attributes["n"] != fmt.Sprint(i) {
			t.Errorf("%q is kept as %+v", id, p)
		}
	}
	for _, id := range []string{".", "..", "", " ", strings.Repeat("x", 151), "a\x00b", "a\r\nb"} {
		if res := use(t, s, "get_person", m{"id": id}, nil); !res.IsError {
			t.Errorf("%q is somebody: %s", id, text(res))
		}
	}
}

// TestCrowd: fifty agents who ask at once are within the limits of the workspace, all of them, and nobody is told to come back.
func TestCrowd(t *testing.T) {
	t.Parallel()
	url := serve(t, func(o *config.Serve) { o.Limits, o.LimitTrack, o.LimitApp = "vendor", 100, 25 })
	cmd := exec.Command(program(t), "mcp") // which learns the limits from the server
	cmd.Env = append(os.Environ(), "RAPPORT_SERVER="+url, "RAPPORT_AGENT_KEY="+agentKey)
	for name, s := range map[string]*sdk.ClientSession{"http": connect(t, overHTTP(url, agentKey)), "stdio": connect(t, &sdk.CommandTransport{Command: cmd})} {
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				if res := use(t, s, "list_segments", m{}, nil); res.IsError {
					t.Errorf("%s, call %d: %s", name, i, text(res))
				}
			})
		}
		wg.Wait()
		if err := s.Close(); err != nil { // over stdio, the newest reads are told by the end of the program
			t.Error(err)
		}
	}
	for _, e := range record(t, url) {
		for _, c := range e.Calls {
			if c.Status == http.StatusTooManyRequests {
				t.Errorf("the server refused %s %s", c.Method, c.Path)
			}
		}
	}
}
