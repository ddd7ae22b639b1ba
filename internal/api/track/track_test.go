package track

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"rapport.example/internal/api"
	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
}

func attributes(n int) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(`"a%d":%d`, i, i)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func list(n int) string {
	return `{"ids":[` + strings.TrimSuffix(strings.Repeat(`"1",`, n), ",") + `]}`
}

func batchOf(n int, item string) string {
	return `{"batch":[` + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + `]}`
}

// TestBounds is the matrix of sizes and bytes that text archives cannot show well: each bound from both sides.
func TestBounds(t *testing.T) {
	t.Parallel()
	const customer, events, entity, batch = "/api/v1/customers/5", "/api/v1/customers/5/events", "/api/v2/entity", "/api/v2/batch"
	ev := func(data string) string { return `{"name":"x","data":` + data + `}` }
	data := func(n int) string { return `{"d":"` + strings.Repeat("x", n-len(`{"d":""}`)) + `"}` }
	op := func(pad int) string {
		return `{"type":"person","action":"identify","identifiers":{"id":"5"},"attributes":{"p":"` + strings.Repeat("x", pad) + `"}}`
	}
	over := len(op(0)) // bytes of an operation beside its padding
	for _, tt := range []struct {
		name, method, path, body string
		status, ops              int
	}{
		{"identify 300 attributes", "PUT", customer, attributes(person.MaxAttributes), 200, 1},
		{"identify 301 attributes", "PUT", customer, attributes(person.MaxAttributes + 1), 400, 0},
		{"identify body too large", "PUT", customer, `{"a":"` + strings.Repeat("x", MaxIdentify) + `"}`, 413, 0},
		{"identify id of 150 bytes", "PUT", "/api/v1/customers/" + strings.Repeat("x", person.MaxID), `{}`, 200, 1},
		{"identify raw NUL", "PUT", customer, "{\"a\":\"\x00\"}", 400, 0},
		{"identify escaped backslash before u0000", "PUT", customer, `{"a":"\\u0000"}`, 200, 1},
		{"identify NUL after escaped backslash", "PUT", customer, `{"a":"\\\u0000"}`, 400, 0},
		{"identify NUL in a name", "PUT", customer, `{"a\u0000":1}`, 400, 0},
		{"identify invalid UTF-8", "PUT", customer, "{\"a\":\"\xff\"}", 400, 0},
		{"identify overlong UTF-8", "PUT", customer, "{\"a\":\"\xc0\x80\"}", 400, 0},
		{"identify lone low surrogate", "PUT", customer, `{"a":"\udc00"}`, 400, 0},
		{"identify swapped surrogates", "PUT", customer, `{"a":"\ude00\ud83d"}`, 400, 0},
		{"identify byte order mark", "PUT", customer, "\xef\xbb\xbf{}", 400, 0},
		{"identify trailing bytes", "PUT", customer, `{} {}`, 400, 0},
		{"identify huge number", "PUT", customer, `{"a":1e400000}`, 200, 1},
		{"identify deepest", "PUT", customer, nested(value.MaxDepth), 200, 1},
		{"identify too deep", "PUT", customer, nested(value.MaxDepth + 1), 400, 0},
		{"identify far too deep", "PUT", customer, strings.Repeat("[", 100_000), 400, 0},
		{"event data at bound", "POST", events, ev(data(event.MaxData)), 200, 1},
		{"event data over bound", "POST", events, ev(data(event.MaxData + 1)), 400, 0},
		{"event body too large", "POST", events, ev(data(MaxEvent)), 413, 0},
		{"event name of 100 bytes", "POST", events, `{"name":" ` + strings.Repeat("x", event.MaxName) + ` "}`, 200, 1},
		{"event name of 101 bytes", "POST", events, `{"name":"` + strings.Repeat("x", event.MaxName+1) + `"}`, 400, 0},
		{"event white space name", "POST", events, `{"name":"\t\n\u00a0"}`, 400, 0},
		{"event earliest", "POST", events, `{"name":"x","timestamp":-62135596800}`, 200, 1},
		{"event too early", "POST", events, `{"name":"x","timestamp":-62135596801}`, 400, 0},
		{"event microseconds", "POST", events, `{"name":"x","timestamp":1700000000000000}`, 400, 0},
		{"event hex timestamp", "POST", events, `{"name":"x","timestamp":"0x10"}`, 400, 0},
		{"event NaN timestamp", "POST", events, `{"name":"x","timestamp":"NaN"}`, 400, 0},
		{"device token at bound", "PUT", customer + "/devices", `{"device":{"id":"` + strings.Repeat("x", MaxToken) + `","platform":"ios"}}`, 200, 1},
		{"device token over bound", "PUT", customer + "/devices", `{"device":{"id":"` + strings.Repeat("x", MaxToken+1) + `","platform":"ios"}}`, 400, 0},
		{"device token over bound in path", "DELETE", customer + "/devices/" + strings.Repeat("x", MaxToken+1), "", 400, 0},
		{"segment of 1000", "POST", "/api/v1/segments/1/add_customers", list(MaxMembers), 200, 1},
		{"segment of 1001", "POST", "/api/v1/segments/1/add_customers", list(MaxMembers + 1), 400, 0},
		{"segment id over int64", "POST", "/api/v1/segments/99999999999999999999/add_customers", list(1), 400, 0},
		{"entity at bound", "POST", entity, op(MaxEntity - over), 200, 1},
		{"entity over bound", "POST", entity, op(MaxEntity - over + 1), 413, 0},
		{"item at bound", "POST", batch, batchOf(1, op(MaxEntity-over)), 200, 1},
		{"item over bound", "POST", batch, batchOf(1, op(MaxEntity-over+1)), 400, 0},
		{"one item over bound", "POST", batch, `{"batch":[` + op(MaxEntity-over+1) + `,` + op(1) + `]}`, 207, 1},
		{"batch of many", "POST", batch, batchOf(3000, op(0)), 200, 3000},
		{"batch over bound", "POST", batch, batchOf(1, op(MaxBatch)), 413, 0},
		{"batch invalid UTF-8 in one item", "POST", batch, "{\"batch\":[" + op(1) + ",\"\xff\"]}", 400, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, chunked := range []bool{false, true} {
				log := &memory{}
				w := sendBody(t, newMux(t, log, api.Limits{}), tt.method, tt.path, tt.body, chunked)
				if w.Code != tt.status || len(log.ops) != tt.ops {
					t.Errorf("chunked %v: status %d, %d ops, want %d, %d: %.300s", chunked, w.Code, len(log.ops), tt.status, tt.ops, w.Body)
				}
				if !json.Valid(w.Body.Bytes()) || !strings.HasSuffix(w.Body.String(), "\n") {
					t.Errorf("chunked %v: body %q", chunked, w.Body)
				}
				if log.calls > 1 {
					t.Errorf("%d appends for one request", log.calls)
				}
			}
		})
	}
}

func TestLogDown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ method, path, body, want string }{
		{"PUT", "/api/v1/customers/5", `{}`, `{"meta":{"error":"the log is full"}}`},
		{"POST", "/api/v1/customers/5/events", `{"name":"x"}`, `{"meta":{"errors":["the log is full"]}}`},
		{"POST", "/api/v2/batch", batchOf(1, `{"type":"person","action":"delete","identifiers":{"id":"5"}}`), `{"errors":[{"reason":"unavailable","field":"","message":"the log is full"}]}`},
	} {
		w := send(t, newMux(t, &memory{fail: errFull}, api.Limits{}), tt.method, tt.path, tt.body)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || strings.TrimSpace(w.Body.String()) != tt.want {
			t.Errorf("%s: %d, Retry-After %q, %s", tt.path, w.Code, w.Header().Get("Retry-After"), w.Body)
		}
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	log := &memory{}
	mux := newMux(t, log, api.Limits{Track: 100})
	for range 100 {
		if w := send(t, mux, "POST", "/api/v1/customers/5/events", `{"name":"x"}`); w.Code != http.StatusOK {
			t.Fatalf("status %d within the limit", w.Code)
		}
	}
	w := send(t, mux, "POST", "/api/v1/customers/5/events", `{"name":"x"}`)
	if w.Code != http.StatusTooManyRequests || len(log.ops) != 100 {
		t.Fatalf("status %d with %d ops after 101 requests", w.Code, len(log.ops))
	}
	for name, want := range map[string]string{"Retry-After": "1", "RateLimit-Limit": "100", "RateLimit-Remaining": "0", "RateLimit-Reset": "1"} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got, want := w.Body.String(), `{"meta":{"errors":["rate limited to 100 requests per second"]}}`+"\n"; got != want {
		t.Errorf("body %s", got)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	log := &memory{}
	w := send(t, newMux(t, log, api.Limits{}), "PUT", "/api/v1/customers/5", `{}`, "X-Request-Id", "mine-1")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache, no-store, must-revalidate, max-age=0",
		"Content-Length": "3", "X-Request-Id": "mine-1",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if log.ops[0].Request != "mine-1" || log.ops[0].Credential != 11 {
		t.Errorf("op %+v", log.ops[0])
	}
}

// TestOpIDs guards that ops of one batch have ids of their own.
func TestOpIDs(t *testing.T) {
	t.Parallel()
	log := &memory{}
	send(t, newMux(t, log, api.Limits{}), "POST", "/api/v2/batch", batchOf(50, `{"type":"person","action":"delete","identifiers":{"id":"5"}}`))
	seen := map[string]bool{}
	for _, o := range log.ops {
		seen[o.ID] = true
	}
	if len(seen) != 50 {
		t.Errorf("%d ids for 50 ops", len(seen))
	}
}

// FuzzTrackV1 sends strangers' bytes to every v1 route: no 5xx but 501, no panic, and every op decodes.
func FuzzTrackV1(f *testing.F) {
	routes := append((&surface{}).v1(), (&surface{}).reports()...)
	for i, body := range []string{
		`{"email":"a@b.c","_timestamp":1,"_update":"true"}`, `{"name":"x","data":{"a":[1e400000]},"timestamp":"1.5","id":"01H8XGJ5W0ABCDEFGHJKMNPQRS"}`,
		`{"device":{"id":"t","platform":"ios","last_used":"1","x":{}}}`, `{"ids":["1",2]}`, `{"a":"\ud800"}`, "{\"a\":\"\x00\xff\"}", `[[[[`, `{"a":1,"a":2}`,
		`{"data":{"email":"a@b.c","x":"1"}}`, `{"delivery_id":"d","metric":"bounced","event":"opened","recipient":"t","reason":"\ud83d\ude00","timestamp":"1e9"}`,
		`{"type":"in_app","payload":{"delivery_id":"d","event":"clicked","metadata":{"a":[]}}}`, `{"unsubscribe":"1"}`,
	} {
		for n := range routes {
			f.Add(uint8(n), "a/b@c+%", body, i%2 == 0)
		}
	}
	for _, c := range full {
		route, _, _ := strings.Cut(given.ReplaceAllString(c.path, "}"), "?")
		f.Add(uint8(slices.IndexFunc(routes, func(r api.Route) bool { return r.Method == c.method && r.Path == route })), known1, c.body, false)
	}
	log := &memory{}
	mux := muxOf(f, log, one{}, api.Limits{})
	f.Fuzz(func(t *testing.T, n uint8, id, body string, strict bool) {
		r := routes[int(n)%len(routes)]
		if strings.HasPrefix(r.Path, "/api/v2") {
			r = routes[1]
		}
		fuzzOne(t, mux, log, r, id, body, strict)
	})
}

// FuzzTrackV2 does the same to entity and batch.
func FuzzTrackV2(f *testing.F) {
	for _, p := range []string{
		`{"type":"person","action":"identify","identifiers":{"id":5},"attributes":{"_update":1}}`,
		`{"type":"person","action":"event","identifiers":{"email":"a@b.c"},"name":" x ","attributes":{"d":[]}}`,
		`{"type":"person","action":"add_device","identifiers":{"cio_id":"cio_a"},"device":{"token":"t","platform":"android","last_used":1e9}}`,
		`{"type":"object","action":"delete"}`, `{"type":{},"action":[]}`, `7`,
	} {
		f.Add(p, false)
		f.Add(p, true)
	}
	for _, p := range fullPairs {
		f.Add(p, false)
	}
	log := &memory{}
	mux := newMux(f, log, api.Limits{})
	f.Fuzz(func(t *testing.T, body string, strict bool) {
		for _, r := range (&surface{}).v1() {
			switch r.Path {
			case "/api/v2/entity":
				fuzzOne(t, mux, log, r, "", body, strict)
			case "/api/v2/batch":
				fuzzOne(t, mux, log, r, "", `{"batch":[`+body+`,{"type":"person","action":"delete","identifiers":{"id":"5"}}]}`, strict)
			}
		}
	})
}

func fuzzOne(t *testing.T, mux *api.Mux, log *memory, r api.Route, id, body string, strict bool) {
	t.Helper()
	log.ops, log.calls = nil, 0
	var headers []string
	if strict {
		headers = []string{"X-Strict-Mode", "1"}
	}
	w := sendRoute(t, mux, r, id, body, headers)
	if w.Code >= 500 && w.Code != http.StatusNotImplemented {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	form := len(log.ops) > 0 && log.ops[0].Kind == ingest.Form // it comes to be also where the submission is refused
	if w.Code != http.StatusOK && w.Code != http.StatusMultiStatus && len(log.ops) > 0 && !form {
		t.Fatalf("status %d with %d ops", w.Code, len(log.ops))
	}
	if w.Code != http.StatusNoContent && !json.Valid(w.Body.Bytes()) {
		t.Fatalf("body %q", w.Body)
	}
	for i := range log.ops {
		checkOp(t, &log.ops[i])
		if log.ops[i].Kind == ingest.Event {
			if p := ingest.ReadEvent(log.ops[i].Payload); p.Name == "" || len(p.Name) > event.MaxName {
				t.Fatalf("event name %q", p.Name)
			}
		}
	}
}
