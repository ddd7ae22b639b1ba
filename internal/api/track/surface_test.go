package track

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"rapport.example/internal/api"
)

// call is one request of the vendor's surface: its path, a body that is right and one that is wrong.
type call struct {
	route   string // as Routes has it
	path    string
	right   string
	status  int    // of the right body; 0 = 200
	answer  string // of the right body, "" = {}
	wrong   string // "" = there is no wrong body
	refusal string // of the wrong body
	open    bool   // asks for no key
}

const unauthorizedBody = `{"meta":{"error":"Unauthorized request","status":401}}`

// calls are the 18 operations of the vendor's Track API in the order of its documentation, then the older paths.
var calls = []call{
	{route: "GET /api/v1/accounts/region", path: "/api/v1/accounts/region", answer: `{"url":"https://track.example.com","region":"us","environment_id":7}`},
	{route: "PUT /api/v1/customers/{identifier}", path: "/api/v1/customers/a%2Fb@c.example", right: `{"plan":"pro"}`, wrong: `[]`, refusal: `{"meta":{"error":"the body must be a JSON object"}}`},
	{route: "DELETE /api/v1/customers/{identifier}", path: "/api/v1/customers/cio_0a0b"},
	{
		route: "PUT /api/v1/customers/{identifier}/devices", path: "/api/v1/customers/5/devices", right: `{"device":{"id":"t","platform":"ios","last_used":"1700000000"}}`,
		wrong: `{"device":{"id":"t"}}`, refusal: `{"meta":{"errors":["device.platform: is required"]}}`,
	},
	{route: "DELETE /api/v1/customers/{identifier}/devices/{device_id}", path: "/api/v1/customers/5/devices/t%2F1"},
	{route: "POST /api/v1/customers/{identifier}/suppress", path: "/api/v1/customers/5/suppress", right: `{}`},
	{route: "POST /api/v1/customers/{identifier}/unsuppress", path: "/api/v1/customers/5/unsuppress"},
	{
		route: "POST /api/v1/customers/{identifier}/events", path: "/api/v1/customers/5/events", right: `{"name":"bought","data":null}`,
		wrong: `{"data":{}}`, refusal: `{"meta":{"errors":["name: is required"]}}`,
	},
	{
		route: "POST /api/v1/events", path: "/api/v1/events", right: `{"name":"looked","anonymous_id":"a"}`,
		wrong: `{"name":7}`, refusal: `{"meta":{"errors":["name: must be a string"]}}`,
	},
	{
		route: "POST /api/v1/merge_customers", path: "/api/v1/merge_customers", right: `{"primary":{"id":"1"},"secondary":{"email":"a@b.example"}}`,
		wrong: `{"primary":{"id":"1","email":"a@b.example"},"secondary":{"id":"2"}}`, refusal: `{"meta":{"error":"primary: must have exactly one of id, email and cio_id"}}`,
	},
	{
		route: "POST /api/v1/segments/{segment_id}/add_customers", path: "/api/v1/segments/4/add_customers?id_type=email", right: `{"ids":["a@b.example"]}`,
		wrong: `{"ids":[]}`, refusal: `{"meta":{"errors":["ids: must be a list of 1 to 1000 identifiers"]}}`,
	},
	{
		route: "POST /api/v1/segments/{segment_id}/remove_customers", path: "/api/v1/segments/4/remove_customers", right: `{"ids":["1"]}`,
		wrong: `{}`, refusal: `{"meta":{"errors":["ids: must be a list of 1 to 1000 identifiers"]}}`,
	},
	{
		route: "POST /api/v1/forms/{form_id}/submit", path: "/api/v1/forms/f%2F1/submit", right: `{"data":{"email":"a@b.example"}}`, status: http.StatusNoContent, answer: "none",
		wrong: `{"data":7}`, refusal: `{"meta":{"errors":["data: must be an object with the form's fields"]}}`,
	},
	{
		route: "POST /api/v1/metrics", path: "/api/v1/metrics", right: `{"delivery_id":"d","metric":"opened"}`, open: true,
		wrong: `{"delivery_id":"d"}`, refusal: `{"meta":{"error":"metric: is required"}}`,
	},
	{
		route: "POST /api/v1/push/events", path: "/api/v1/push/events", right: `{"delivery_id":"d","event":"opened","device_id":"t"}`, open: true,
		wrong: `{"event":"opened"}`, refusal: `{"meta":{"error":"delivery_id: is required"}}`,
	},
	{
		route: "POST /unsubscribe/{delivery_id}", path: "/unsubscribe/" + known1, right: `{"unsubscribe":true}`, open: true,
		wrong: `{}`, refusal: `{"meta":{"error":"unsubscribe: is required"}}`,
	},
	{
		route: "POST /api/v2/entity", path: "/api/v2/entity", right: `{"type":"person","action":"delete","identifiers":{"id":"5"}}`,
		wrong: `{"type":"person"}`, refusal: `{"errors":[{"reason":"invalid","field":"action","message":"is required"}]}`,
	},
	{
		route: "POST /api/v2/batch", path: "/api/v2/batch", right: `{"batch":[{"type":"person","action":"delete","identifiers":{"id":"5"}}]}`,
		wrong: `{"batch":[{"type":"person"},7]}`, refusal: `{"errors":[{"batch_index":0,"reason":"invalid","field":"action","message":"is required"},` +
			`{"batch_index":1,"reason":"invalid","field":"","message":"an operation must be a JSON object"}]}`,
	},

	{
		route: "POST /push/events", path: "/push/events", right: `{"delivery_id":"d","event":"converted"}`, open: true,
		wrong: `{"delivery_id":"d","event":7}`, refusal: `{"meta":{"error":"event: must be a string"}}`,
	},
	{
		route: "POST /api/v1/cio_deliveries/events", path: "/api/v1/cio_deliveries/events", right: `{"type":"in_app","payload":{"delivery_id":"d","event":"clicked"}}`, open: true,
		wrong: `{"type":"in_app"}`, refusal: `{"meta":{"error":"payload: must be an object"}}`,
	},
}

// known1 is the id of the one delivery that there is.
const known1 = "dgOne"

// TestOperations walks the surface: each route answers a right call, a wrong one and one without a key as the vendor does,
// whatever host and region the client believes to talk to.
func TestOperations(t *testing.T) {
	t.Parallel()
	if n := len(calls); n != 18+2 {
		t.Errorf("%d calls, want the vendor's 18 operations and two older paths", n)
	}
	var served, walked []string
	for _, r := range Routes(Options{}) {
		served = append(served, r.Method+" "+r.Path)
	}
	for _, c := range calls {
		walked = append(walked, c.route)
	}
	slices.Sort(served)
	slices.Sort(walked)
	if !slices.Equal(served, walked) {
		t.Errorf("routes %v, walked %v", served, walked)
	}
	for _, c := range calls {
		t.Run(c.route, func(t *testing.T) {
			t.Parallel()
			for _, host := range []string{"track.customer.io", "track-eu.customer.io", "track-sdk.customer.io", "localhost:8080"} {
				c.walk(t, host)
			}
		})
	}
}

func (c call) walk(t *testing.T, host string) {
	t.Helper()
	method, _, _ := strings.Cut(c.route, " ")
	ask := func(body, authorization string) (int, string) {
		mux := muxOf(t, &memory{}, one{}, api.Limits{})
		w := send(t, mux, method, "http://"+host+c.path, body, "Authorization", authorization, "Content-Type", "application/json")
		return w.Code, strings.TrimSuffix(w.Body.String(), "\n")
	}
	check := func(what string, status int, body string, wantStatus int, want string) {
		t.Helper()
		if status != wantStatus || body != want {
			t.Errorf("%s at %s: %d %s, want %d %s", what, host, status, body, wantStatus, want)
		}
	}
	status, answer := http.StatusOK, "{}"
	if c.status != 0 {
		status = c.status
	}
	if c.answer != "" {
		answer = strings.TrimPrefix(c.answer, "none")
	}
	got, body := ask(c.right, basic)
	check("right", got, body, status, answer)
	if c.wrong != "" {
		got, body = ask(c.wrong, basic)
		check("wrong", got, body, http.StatusBadRequest, c.refusal)
	}
	for _, authorization := range []string{"", "Basic d3Jvbmc6a2V5", "Bearer app"} {
		got, body = ask(c.right, authorization)
		if c.open {
			check("without a key", got, body, status, answer)
		} else {
			check("without a key", got, body, http.StatusUnauthorized, unauthorizedBody)
		}
	}
}

// pairs are the 18 pairs of type and action of version 2, with the rest of an operation as the vendor documents it.
var pairs = []struct{ kind, action, rest string }{
	{"person", "identify", `"identifiers":{"email":"a@b.example"},"attributes":{"plan":"pro","cio_subscription_preferences":{"topics":{"topic_1":true}}},"timestamp":1700000000`},
	{"person", "delete", `"identifiers":{"id":"1"}`},
	{"person", "suppress", `"identifiers":{"id":"1"}`},
	{"person", "unsuppress", `"identifiers":{"cio_id":"0a0b"}`},
	{"person", "event", `"identifiers":{"id":"1"},"name":"bought","id":"01H8XGJ5W0ABCDEFGHJKMNPQRS","timestamp":1700000000,"attributes":{"recipient":"a@b.example"}`},
	{"person", "screen", `"identifiers":{"id":"1"},"name":"home"`},
	{"person", "page", `"identifiers":{"id":"1"},"name":"https://acme.example/","attributes":{"path":"/"}`},
	{"person", "add_relationships", `"identifiers":{"id":"1"},"cio_relationships":[{"identifiers":{"object_type_id":"1","object_id":"x"}}]`},
	{"person", "delete_relationships", `"identifiers":{"id":"1"},"cio_relationships":[{"identifiers":{"object_type_id":"1","object_id":"x"}}]`},
	{"person", "add_device", `"identifiers":{"id":"1"},"device":{"token":"t","platform":"android","last_used":1700000000,"attributes":{}}`},
	{"person", "delete_device", `"identifiers":{"id":"1"},"device":{"token":"t"}`},
	{"person", "merge", `"primary":{"id":"1"},"secondary":{"email":"a@b.example"}`},
	{"object", "identify", `"identifiers":{"object_type_id":"1","object_id":"x"},"attributes":{"name":"Acme"},"cio_relationships":[{"identifiers":{"id":"1"}}]`},
	{"object", "identify_anonymous", `"identifiers":{"object_type_id":"1","object_id":"x"},"attributes":{"name":"Acme"},"cio_relationships":[{"identifiers":{"anonymous_id":"a"}}]`},
	{"object", "delete", `"identifiers":{"object_type_id":"1","object_id":"x"}`},
	{"object", "add_relationships", `"identifiers":{"object_type_id":"1","object_id":"x"},"cio_relationships":[{"identifiers":{"email":"a@b.example"}}]`},
	{"object", "delete_relationships", `"identifiers":{"object_type_id":"1","object_id":"x"},"cio_relationships":[{"identifiers":{"id":"1"}}]`},
	{"delivery", "event", `"identifiers":{"id":"d"},"name":"opened","timestamp":1700000000,"attributes":{"device_token":"t"}`},
}

// TestPairs walks the pairs of version 2, alone and all in one batch: what is built is taken as one op, all else answers 501.
func TestPairs(t *testing.T) {
	t.Parallel()
	if n := len(pairs); n != 18 {
		t.Errorf("%d pairs, want 18", n)
	}
	var ops []string
	var taken int
	for _, p := range pairs {
		op := fmt.Sprintf(`{"type":%q,"action":%q,%s}`, p.kind, p.action, p.rest)
		ops = append(ops, op)
		log := &memory{}
		w := send(t, newMux(t, log, api.Limits{}), http.MethodPost, "/api/v2/entity", op)
		status, n, body := http.StatusOK, 1, "{}\n"
		if operations[pair{p.kind, p.action}] == nil {
			status, n = http.StatusNotImplemented, 0
			body = fmt.Sprintf(`{"errors":[{"reason":"unsupported","field":"action","message":"%s %s is not supported yet"}]}`+"\n", p.kind, p.action)
		}
		if w.Code != status || len(log.ops) != n || w.Body.String() != body {
			t.Errorf("%s %s: %d with %d ops, %s, want %d with %d", p.kind, p.action, w.Code, len(log.ops), w.Body, status, n)
		}
		for i := range log.ops {
			checkOp(t, &log.ops[i])
		}
		taken += n
	}
	log := &memory{}
	w := send(t, newMux(t, log, api.Limits{}), http.MethodPost, "/api/v2/batch", `{"batch":[`+strings.Join(ops, ",")+`]}`)
	if refused := strings.Count(w.Body.String(), `"batch_index"`); len(log.ops) != taken || refused != len(pairs)-taken || log.calls != 1 {
		t.Errorf("batch: %d with %d ops in %d appends, %d refused, want %d ops: %s", w.Code, len(log.ops), log.calls, refused, taken, w.Body)
	}
}

// one finds one delivery.
type one struct{}

func (one) FindDelivery(_ context.Context, public string) (workspace int64, partition int32, number int64, err error) {
	if public != known1 {
		return 0, 0, 0, nil
	}
	return 7, 3, 1, nil
}
