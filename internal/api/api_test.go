package api

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Unix(1767312000, 0)

func echo(c *Call) error {
	var b strings.Builder
	b.WriteString(c.Route.Path)
	for _, n := range c.names {
		b.WriteString(" " + n + "=" + c.Param(n))
	}
	return c.JSON(http.StatusOK, b.String())
}

func route(method, path string, shape Shape, h Handler) Route {
	return Route{Method: method, Path: path, Shape: shape, MaxBody: 100, Handler: h}
}

func newMux(t *testing.T, o Options, routes ...Route) *Mux {
	t.Helper()
	o.Now = func() time.Time { return start }
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m, err := NewMux(o, routes)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func do(t *testing.T, h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestMatch(t *testing.T) {
	t.Parallel()
	m := newMux(t, Options{},
		route("GET", "/v1/customers/{id}/messages", AppErrors, echo),
		route("GET", "/v1/customers/attributes", AppErrors, echo),
		route("POST", "/v1/customers/{id}/messages", AppErrors, echo),
		route("GET", "/v1/customers/{id}/{kind}/last", AppErrors, echo),
		route("GET", "/v1/customers/{id}", AppErrors, echo),
		route("GET", "/", MetaError, echo),
	)
	for _, tt := range []struct{ method, path, want string }{
		{"GET", "/", `"/"`},
		{"GET", "/v1/customers/attributes", `"/v1/customers/attributes"`},
		{"GET", "/v1/customers/attributes/messages", `"/v1/customers/{id}/messages id=attributes"`}, // the literal leads nowhere
		{"GET", "/v1/customers/a%2Fb%20c+d/messages", `"/v1/customers/{id}/messages id=a/b c+d"`},
		{"GET", "/v1/customers/%61ttributes", `"/v1/customers/attributes"`}, // an escape that was not needed
		{"GET", "/v1/customers/messages/messages/last", `"/v1/customers/{id}/{kind}/last id=messages kind=messages"`},
		{"GET", "/v1/customers//messages", `"/v1/customers/{id}/messages id="`},
		{"GET", "/v1/customers/../messages", `"/v1/customers/{id}/messages id=.."`},
		{"HEAD", "/v1/customers/5", `"/v1/customers/{id} id=5"`},
		{"GET", "/v1/customers", `{"errors":[{"detail":"there is no such path","status":"404"}]}`},
		{"GET", "/v1/customers/5/messages/", `{"errors":[{"detail":"there is no such path","status":"404"}]}`},
		{"PUT", "/v1/customers/5/messages", `{"errors":[{"detail":"method PUT is not allowed here","status":"405"}]}`},
		{"GET", "/admin/v1/x", `{"type":"about:blank","title":"Not Found","status":404,"detail":"there is no such path","request_id":"r"}`},
		{"GET", "/elsewhere", `{"meta":{"error":"there is no such path"}}`},
	} {
		w := do(t, m, tt.method, tt.path, "", "X-Request-Id", "r")
		if got := strings.TrimSpace(w.Body.String()); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.method, tt.path, got, tt.want)
		}
	}
	if got := do(t, m, "PUT", "/v1/customers/5/messages", "").Header().Get("Allow"); got != "GET, HEAD, OPTIONS, POST" {
		t.Errorf("Allow: %s", got)
	}
}

func TestBadTables(t *testing.T) {
	t.Parallel()
	r := route("GET", "/a/{b}", MetaError, echo)
	other := r
	other.Path = "/a/{c}"
	for _, table := range [][]Route{{r, other}, {{Method: "GET", Path: "/x"}}, {route("GET", "x", MetaError, echo)}, {route("GET", "/{a}/{b}/{c}/{d}/{e}", MetaError, echo)}} {
		if _, err := NewMux(Options{}, table); err == nil {
			t.Errorf("NewMux accepted %v", table)
		}
	}
}

func TestShapes(t *testing.T) {
	t.Parallel()
	two := errors.Join(fault.Field("a.b", "is wrong"), fault.New(fault.Invalid, "and so is this"))
	boom := errors.New("password=hunter2")
	for _, tt := range []struct {
		shape  Shape
		err    error
		status int
		want   string
	}{
		{MetaError, two, 400, `{"meta":{"error":"a.b: is wrong; and so is this"}}`},
		{MetaErrors, two, 400, `{"meta":{"errors":["a.b: is wrong","and so is this"]}}`},
		{ItemErrors, two, 400, `{"errors":[{"reason":"invalid","field":"a.b","message":"is wrong"},{"reason":"invalid","field":"","message":"and so is this"}]}`},
		{AppErrors, two, 400, `{"errors":[{"detail":"a.b: is wrong","status":"400"},{"detail":"and so is this","status":"400"}]}`},
		{AppErrors, WithStatus(422, two), 422, `{"errors":[{"detail":"a.b: is wrong","status":"422","source":{"pointer":"/a/b"}},{"detail":"and so is this","status":"422"}]}`},
		{Problem, two, 400, `{"type":"about:blank","title":"Bad Request","status":400,"detail":"a.b: is wrong; and so is this","field":"a.b","request_id":"r"}`},
		{MetaError, unauthorized(), 401, `{"meta":{"error":"Unauthorized request","status":401}}`},
		{MetaErrors, unauthorized(), 401, `{"meta":{"error":"Unauthorized request","status":401}}`},
		{ItemErrors, unauthorized(), 401, `{"meta":{"error":"Unauthorized request","status":401}}`},
		{AppErrors, unauthorized(), 401, `{"errors":[{"detail":"Unauthorized request","status":"401"}],"meta":{"error":"Unauthorized request","status":401}}`},
		{AppErrors, fault.New(fault.RateLimited, "slow down"), 429, `{"errors":[{"detail":"slow down","status":"429"}]}`},
		{MetaError, boom, 500, `{"meta":{"error":"internal error"}}`},
		{ItemErrors, boom, 500, `{"errors":[{"reason":"internal","field":"","message":"internal error"}]}`},
		{AppErrors, boom, 500, `{"errors":[{"detail":"internal error","status":"500"}]}`},
		{Problem, fault.Wrap(fault.Unavailable, boom, "down"), 503, `{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"down","request_id":"r"}`},
	} {
		m := newMux(t, Options{}, route("GET", "/x", tt.shape, func(*Call) error { return tt.err }))
		w := do(t, m, "GET", "/x", "", "X-Request-Id", "r")
		if got := strings.TrimSpace(w.Body.String()); got != tt.want || w.Code != tt.status {
			t.Errorf("%v in shape %d: %d %s, want %d %s", tt.err, tt.shape, w.Code, got, tt.status, tt.want)
		}
	}
}

// TestEveryKindHasAStatus guards the two tables against a new kind of fault.
func TestEveryKindHasAStatus(t *testing.T) {
	t.Parallel()
	for k := fault.Internal; k.String() != "unknown"; k++ {
		if statuses[k] == 0 || reasons[k] == "" {
			t.Errorf("no status or reason for %s", k)
		}
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	m := newMux(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))},
		route("POST", "/x", MetaError, func(*Call) error { panic("oh no") }))
	w := do(t, m, "POST", "/x", "{}", "X-Request-Id", "req-9")
	if w.Code != 500 || strings.Contains(w.Body.String(), "oh no") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if s := log.String(); !strings.Contains(s, "oh no") || !strings.Contains(s, "req-9") {
		t.Errorf("log: %s", s)
	}
}

func TestBody(t *testing.T) {
	t.Parallel()
	m := newMux(t, Options{}, route("POST", "/x", MetaError, func(c *Call) error { return c.JSON(200, len(c.Body)) }))
	for _, tt := range []struct {
		size    int
		headers []string
		status  int
	}{{0, nil, 200}, {100, nil, 200}, {101, nil, 413}, {10, []string{"Content-Encoding", "gzip"}, 415}, {10, []string{"Content-Encoding", "identity"}, 200}} {
		if w := do(t, m, "POST", "/x", strings.Repeat("x", tt.size), tt.headers...); w.Code != tt.status {
			t.Errorf("%d bytes %v: %d, want %d", tt.size, tt.headers, w.Code, tt.status)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/x", strings.NewReader("short"))
	r.ContentLength = 50
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	if w.Code != 400 {
		t.Errorf("a body cut short: %d", w.Code)
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	m := newMux(t, Options{}, route("GET", "/x", MetaError, echo))
	for _, given := range []string{"", "has space", "quote\"", "tab\t", strings.Repeat("x", 65), "ünicode"} {
		if got := do(t, m, "GET", "/x", "", "X-Request-Id", given).Header().Get("X-Request-Id"); len(got) != 26 {
			t.Errorf("X-Request-Id %q answered with %q", given, got)
		}
	}
}

func TestFallbackAndPreflight(t *testing.T) {
	t.Parallel()
	pages := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	m := newMux(t, Options{Fallback: pages}, route("POST", "/v1/x", AppErrors, echo), route("POST", "/admin/v1/x", Problem, echo))
	if w := do(t, m, "GET", "/mailbox", ""); w.Code != http.StatusTeapot || len(w.Header().Get("X-Request-Id")) != 26 {
		t.Errorf("page: %d %v", w.Code, w.Header())
	}
	if w := do(t, m, "GET", "/v1/nothing", ""); w.Code != http.StatusNotFound {
		t.Errorf("unknown path of an API: %d", w.Code)
	}
	if w := do(t, m, "OPTIONS", "/v1/x", ""); w.Code != 204 || w.Header().Get("Access-Control-Allow-Methods") == "" {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
	for _, method := range []string{"OPTIONS", "POST"} {
		for name := range do(t, m, method, "/admin/v1/x", "").Header() {
			if strings.HasPrefix(name, "Access-Control") {
				t.Errorf("%s of the admin API answers %s", method, name)
			}
		}
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	m := newMux(t, Options{}, route("GET", "/x/{n}", AppErrors, func(c *Call) error {
		limit, err := c.Limit()
		n, err2 := c.ParamID("n")
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		return c.JSON(200, []any{limit, n, c.QueryBool("deleted"), c.Query("id_type"), c.Query("to"), c.QueryInt("since")})
	}).Paged(50, 100).With(Bool("deleted", ""), Word("id_type", "id", []string{"id", "email"}, ""), Text("to", 3, ""), Number("since", 5, 10, "")),
		route("GET", "/other", AppErrors, func(c *Call) error { return c.JSON(200, c.Query("to")) }))
	for path, want := range map[string]string{
		"/x/7": `[50,7,false,"id","",0]`, "/x/7?limit=10&deleted=true&id_type=email&to=%C3%A4bc&since=10": `[10,7,true,"email","äbc",10]`,
		"/x/7?limit=5000&deleted=True&since=5&unknown=x": `[100,7,true,"id","",5]`, "/x/7?limit=&deleted=&id_type=&to=&since=": `[50,7,false,"id","",0]`,
		"/x/7?limit=0": "", "/x/7?limit=x": "", "/x/7?deleted=maybe": "", "/x/7?id_type=phone": "", "/x/-7": "", "/x/7.0": "",
		"/x/7?to=abcd": "", "/x/7?since=4": "", "/x/7?since=11": "", "/x/7?since=x": "",
	} {
		w := do(t, m, "GET", path, "")
		if got := strings.TrimSpace(w.Body.String()); want != "" && got != want || want == "" && w.Code != 400 {
			t.Errorf("%s: %d %s, want %s", path, w.Code, got, want)
		}
	}
	if w := do(t, m, "GET", "/other?to=x", ""); w.Code != 500 {
		t.Errorf("a parameter that the route does not declare: %d %s", w.Code, w.Body)
	}
}

// TestPlainQuery: text that no database of ours holds is refused on the App API before a handler sees it.
func TestPlainQuery(t *testing.T) {
	t.Parallel()
	r := route("GET", "/v1/x", AppErrors, echo)
	r.Auth = AppKey
	m := newMux(t, Options{Keys: newKeys(t, tenants())}, r)
	for query, want := range map[string]string{
		"?a=b&a=c": "", "": "", "?a=%C3%BC": "", "?a=%00": "a: must be UTF-8 without NUL", "?z=%00&b=ok&b=%ff": "b: must be UTF-8 without NUL", "?a=\xff": "a: must be UTF-8 without NUL",
	} {
		w := do(t, m, "GET", "/v1/x"+query, "", "Authorization", "Bearer app")
		if body := w.Body.String(); want == "" && w.Code != 200 || want != "" && (w.Code != 400 || !strings.Contains(body, want)) {
			t.Errorf("%q: %d %s, want %q", query, w.Code, body, want)
		}
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"a":5}`: "", `{"a":"x"}`: "a: must not be a JSON string", `{"b":1}`: `the body does not fit: unknown field "b"`, `[]`: "the body must be a JSON object",
	} {
		c := &Call{Body: []byte(body)}
		var dst struct {
			A int `json:"a"`
		}
		got := ""
		if err := c.Decode(&dst, true); err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	l := NewLimiter(Limits{App: 10, Send: 0.5})
	now := start
	allowed := func(ws int64, class Class, n int) (ok int) {
		for range n {
			if l.Allow(http.Header{}, ws, class, now) == nil {
				ok++
			}
		}
		return ok
	}
	if got := []int{allowed(1, LimitApp, 20), allowed(2, LimitApp, 5), allowed(1, LimitTrack, 1000), allowed(1, Unlimited, 1000), allowed(1, LimitSend, 2)}; !cmp.Equal(got, []int{10, 5, 1000, 1000, 1}) {
		t.Errorf("allowed %v", got)
	}
	err := l.Allow(http.Header{}, 1, LimitSend, now)
	var e *fault.Error
	if !errors.As(err, &e) || e.Kind != fault.RateLimited || e.RetryAfter != 2*time.Second {
		t.Errorf("error %#v", err)
	}
	now = now.Add(300 * time.Millisecond)
	if got := allowed(1, LimitApp, 20); got != 3 {
		t.Errorf("allowed %d after 300 ms", got)
	}
}

// TestDailyLimit: so many a day and workspace, anew with the next day of UTC; its error does not say when to come back.
func TestDailyLimit(t *testing.T) {
	t.Parallel()
	l := NewLimiter(Limits{Archive: 3})
	now := time.Date(2026, 3, 4, 23, 59, 30, 0, time.UTC)
	look := func(ws int64, ok bool, left, reset string) {
		t.Helper()
		h := http.Header{}
		err := l.Allow(h, ws, LimitArchive, now)
		if got := []string{h.Get("RateLimit-Limit"), h.Get("RateLimit-Remaining"), h.Get("RateLimit-Reset")}; (err == nil) != ok || !cmp.Equal(got, []string{"3", left, reset}) ||
			h.Get("RateLimit-Policy") != `"archive";q=3;w=86400` || h.Get("RateLimit") != `"archive";r=`+left+";t="+reset {
			t.Errorf("%v, %v, want %v, %s left, %s s", err, got, ok, left, reset)
		}
		var e *fault.Error
		if !ok && (!errors.As(err, &e) || e.Kind != fault.RateLimited || e.RetryAfter >= 0) {
			t.Errorf("error %#v", err)
		}
	}
	look(1, true, "2", "30")
	look(1, true, "1", "30")
	look(1, true, "0", "30")
	look(1, false, "0", "30")
	look(2, true, "2", "30")
	now = now.Add(30 * time.Second)
	look(1, true, "2", "86400")
}

func TestCursor(t *testing.T) {
	t.Parallel()
	c := NewCursor([]byte("secret"))
	l := List{Name: "people", Workspace: 1, Filter: "a=1"}
	for _, at := range []string{"1", "1:ünicode\x00", strings.Repeat("x", 500)} {
		if got, err := c.Decode(l, c.Encode(l, at)); got != at || err != nil {
			t.Errorf("Decode(Encode(%q)) = %q, %v", at, got, err)
		}
	}
	if got, err := c.Decode(l, ""); got != "" || err != nil {
		t.Errorf("empty token: %q, %v", got, err)
	}
	token := c.Encode(l, "17")
	for name, bad := range map[string]List{"list": {"peopl", 1, "ea=1"}, "workspace": {"people", 11, "a=1"}, "filter": {"people", 1, "a=2"}} {
		if _, err := c.Decode(bad, token); !fault.Is(err, fault.Invalid) {
			t.Errorf("token of another %s: %v", name, err)
		}
	}
	for i := range token {
		changed := []byte(token)
		changed[i] ^= 1
		if at, err := c.Decode(l, string(changed)); err == nil && at != "17" {
			t.Errorf("changed token %s read as %q", changed, at)
		}
	}
	if _, err := NewCursor([]byte("other")).Decode(l, token); err == nil {
		t.Error("a token of another installation was read")
	}
}

func TestNoKeyStoreYet(t *testing.T) {
	t.Parallel()
	k := NewKeys(KeyOptions{Store: &keyStore{err: errors.New("down")}, Log: slog.New(slog.DiscardHandler)})
	if err := k.Start(t.Context()); err == nil {
		t.Error("Start without a first reading succeeded")
	}
	k.Stop()
	if _, err := k.Authenticate("Bearer x", AppKey, start); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("Authenticate: %v", err)
	}
}

type keyStore struct {
	creds  []workspace.Credential
	spaces []workspace.Workspace
	from   map[int64][]netip.Prefix
	err    error
	reads  chan struct{}
}

func (s *keyStore) Credentials(context.Context) ([]workspace.Credential, error) {
	if s.reads != nil {
		s.reads <- struct{}{}
	}
	return append([]workspace.Credential(nil), s.creds...), s.err
}

func (s *keyStore) Workspaces(context.Context) ([]workspace.Workspace, error) {
	return s.spaces, s.err
}

func (s *keyStore) AllowedAddresses(context.Context) (map[int64][]netip.Prefix, error) {
	return s.from, s.err
}
