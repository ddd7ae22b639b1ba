package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

// Options is what a Mux works with.
type Options struct {
	Keys    *Keys
	Limiter *Limiter // nil = no limits
	Now     func() time.Time
	Log     *slog.Logger
	// Fallback answers paths that are neither routes nor under a prefix of an API; nil = 404.
	Fallback http.Handler
	// BodyWait is how long the body of a request without a key may take to come; 0 = one minute.
	BodyWait time.Duration
	// Once lets requests with an Idempotency-Key have one effect; nil = the header is not looked at.
	Once *Once
	// Agents holds agents to what their workspace allows, and records what they do; nil = their keys alone say what they may.
	Agents Agents
	// Session returns the admin key of a request's session, nil if there is none; it refuses requests of other sites. Routes
	// with AdminKey take it where no Authorization is sent. nil = there are no sessions.
	Session func(*http.Request) *workspace.Credential
	// Observe is told about every answer, for metrics; nil = nobody is. route is nil where none matched.
	Observe func(route *Route, status int, took time.Duration)
}

// Mux serves the route tables of all surfaces.
type Mux struct {
	o      Options
	root   node
	routes []Route
	bodies sync.Pool
}

// NewMux builds a mux from tables. It fails if a route is incomplete or declared twice.
func NewMux(o Options, tables ...[]Route) (*Mux, error) {
	m := &Mux{o: o}
	if m.o.BodyWait == 0 {
		m.o.BodyWait = time.Minute
	}
	m.bodies.New = func() any { return new([]byte) }
	for _, table := range tables {
		for _, r := range table {
			if err := m.root.add(r); err != nil {
				return nil, err
			}
			m.routes = append(m.routes, r)
		}
	}
	return m, nil
}

// Routes is the whole table, in the order declared.
func (m *Mux) Routes() []Route { return m.routes }

// prefixes says in which shape an unknown path is answered. The first match counts.
var prefixes = []struct {
	prefix string
	shape  Shape
}{
	{"/admin/v1/", Problem},
	{"/v1/send/", MetaError},
	{"/v1/", AppErrors},
	{"/api/v2/", ItemErrors},
	{"/api/", MetaError},
	{"/push/", MetaError},
	{"/unsubscribe/", MetaError},
}

// ServeHTTP finds the route, authenticates, counts, reads the body and calls the handler.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := m.o.Now()
	c := &Call{R: r, Now: start, rw: response{ResponseWriter: w}}
	c.W = &c.rw
	n := m.root.lookup(r.URL, &c.vals)
	shape, known := MetaError, n != nil
	if !known {
		for _, p := range prefixes {
			if known = strings.HasPrefix(r.URL.Path, p.prefix); known {
				shape = p.shape
				break
			}
		}
	}
	c.RequestID = requestID(r, start)
	w.Header()["X-Request-Id"] = []string{c.RequestID}
	if !known && m.o.Fallback != nil {
		m.o.Fallback.ServeHTTP(w, r)
		return
	}
	if m.o.Observe != nil {
		defer func() { m.o.Observe(c.Route, c.rw.status, m.o.Now().Sub(start)) }()
	}
	h := w.Header()
	h["Cache-Control"] = cacheHeader
	h["X-Content-Type-Options"] = sniffHeader
	if n == nil {
		m.fail(c, shape, m.refuse(c, fault.New(fault.NotFound, "there is no such path"))) // answers the request that the call holds
		return
	}
	if shape = n.routes[0].Shape; shape != Problem {
		h["Access-Control-Allow-Origin"] = starHeader
	}
	route := n.find(r.Method)
	if route == nil {
		m.noMethod(c, n, shape) // answers the request that the call holds
		return
	}
	c.Route, c.names = &route.Route, route.names
	m.serve(c) // answers the request that the call holds
}

// noMethod answers preflights, and 405 to other methods that the path does not have.
func (m *Mux) noMethod(c *Call, n *node, shape Shape) {
	h := c.W.Header()
	h.Set("Allow", n.allow())
	if c.R.Method != http.MethodOptions {
		err := WithStatus(http.StatusMethodNotAllowed, fault.New(fault.Invalid, "method %s is not allowed here", clean(c.R.Method)))
		m.fail(c, shape, m.refuse(c, err)) // answers the request that the call holds
		return
	}
	if shape != Problem { // the operators' API is not for other origins
		h.Set("Access-Control-Allow-Methods", n.allow())
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, X-Request-Id, X-Strict-Mode")
		h.Set("Access-Control-Max-Age", "600")
	}
	c.W.WriteHeader(http.StatusNoContent)
}

func (m *Mux) serve(c *Call) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http's own sentinel, compared as it does
				panic(p)
			}
			m.fail(c, c.Route.Shape, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	defer m.record(c)
	if err := m.admit(c); err != nil {
		m.failed(c, err)
		return
	}
	if c.Route.Auth == AppKey {
		if err := c.plainQuery(); err != nil {
			m.failed(c, err)
			return
		}
	}
	if err := c.checkParams(); err != nil {
		m.failed(c, err)
		return
	}
	if c.Route.MaxBody > 0 {
		buf := m.bodies.Get().(*[]byte)
		defer func() {
			c.Body = nil
			m.bodies.Put(buf)
		}()
		stop := func() {}
		if c.Credential == nil {
			stop = c.hurry(m.o.BodyWait)
		}
		err := c.read(buf)
		if stop(); err != nil {
			m.failed(c, err)
			return
		}
	}
	if m.o.Once != nil && c.R.Header[onceHeader] != nil {
		m.serveOnce(c)
		return
	}
	if err := c.Route.Handler(c); err != nil {
		m.failed(c, err)
	}
}

// serveOnce calls the handler of a request with an Idempotency-Key, unless it was answered before.
func (m *Mux) serveOnce(c *Call) {
	c.rw.keep = true
	defer c.end()
	answered, err := c.begin(m.o.Once)
	if !answered && err == nil {
		err = c.Route.Handler(c)
	}
	if err != nil {
		m.failed(c, err)
	}
}

// failed answers an error as the route wants it.
func (m *Mux) failed(c *Call, err error) {
	if c.Route.Fail != nil && c.rw.status == 0 {
		err = c.Route.Fail(c, err)
	}
	if err != nil {
		m.fail(c, c.Route.Shape, err)
	}
}

// admit authenticates and counts.
func (m *Mux) admit(c *Call) error {
	if c.Route.Auth == AdminKey && m.o.Session != nil && c.R.Header.Get("Authorization") == "" {
		c.Credential = m.o.Session(c.R)
	}
	if c.Route.Auth != Open && c.Credential == nil {
		if err := m.authenticate(c); err != nil {
			return m.refuse(c, err)
		}
	}
	if m.o.Limiter == nil || c.Route.Limit == Unlimited {
		return nil
	}
	if c.Route.Limit == LimitOpen {
		return m.o.Limiter.AllowAddress(c.W.Header(), c.R.RemoteAddr, c.Now)
	}
	return m.o.Limiter.Allow(c.W.Header(), c.Workspace, c.Route.Limit, c.Now)
}

type insideKey struct{}

// Inside marks the request of a tool of this process: it may bring the access token that the tool's caller brought.
func Inside(ctx context.Context) context.Context { return context.WithValue(ctx, insideKey{}, true) }

func isInside(ctx context.Context) bool { return ctx.Value(insideKey{}) != nil }

// authenticate finds who calls, and whether their key is good for this route and from here.
func (m *Mux) authenticate(c *Call) error {
	a, err := m.o.Keys.Authenticate(c.R.Header.Get("Authorization"), c.Route.Auth, c.Now)
	if err != nil {
		return err
	}
	c.Credential, c.Workspace, c.Partition = a.Credential, a.Workspace.ID, a.Workspace.Partition
	if a.Credential.Audience != "" && !isInside(c.R.Context()) { // the tools may hand a client's token on; nobody else may
		return unauthorized()
	}
	if err := a.From(c.R.RemoteAddr); err != nil {
		return err
	}
	if m.o.Limiter != nil && !isInside(c.R.Context()) { // a tool's call was counted when it came
		if err := m.o.Limiter.AllowKey(a.Credential, c.Now); err != nil {
			return err
		}
	}
	return m.scoped(c)
}

// refuse counts a request that is refused with err, which it returns unless there were too many.
func (m *Mux) refuse(c *Call, err error) error {
	if m.o.Limiter == nil {
		return err
	}
	if many := m.o.Limiter.Refuse(c.W.Header(), c.R.RemoteAddr, c.Now); many != nil {
		return many
	}
	return err
}
