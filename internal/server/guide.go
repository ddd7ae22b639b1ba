package server

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/api/admin"
	"rapport.example/internal/api/app"
	"rapport.example/internal/api/pipelines"
	"rapport.example/internal/api/track"
	"rapport.example/internal/catalog"
	"rapport.example/internal/config"
	"rapport.example/internal/mcp"
	"rapport.example/internal/workspace"
)

// Guide is the service guide of a program that runs with these options at an address, with an entry of its own in it. Where ask
// is set the entry says what that handler serves; without one it says what the program declares.
func Guide(ctx context.Context, o config.Serve, base string, ask http.Handler, now time.Time) (*catalog.Catalog, error) {
	c, err := catalog.Embedded()
	if err != nil {
		return nil, err
	}
	facts := catalog.OwnFacts{Base: base, Version: buildVersion(), Day: now.UTC().Format(time.DateOnly), Routes: ownRoutes(), Limits: ownLimits(o), Scopes: workspace.Scopes()}
	facts.Audit = slices.ContainsFunc(admin.New(admin.Options{}).Routes(), func(r api.Route) bool { return r.Method == http.MethodGet && r.Path == "/admin/v1/audit" })
	agents, err := mcp.New(mcp.Options{Guide: func(context.Context) (*catalog.Catalog, error) { return c, nil }, Operations: Operations()})
	if err != nil {
		return nil, err
	}
	offers, err := agents.Offers(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range offers {
		facts.Tools = append(facts.Tools, catalog.OwnTool{Name: t.Name, ReadOnly: t.ReadOnly, Strict: t.Strict, Output: t.Output, DryRun: t.DryRun})
	}
	if ask != nil {
		facts.Served = map[string]bool{}
		for _, path := range catalog.OwnPaths() {
			facts.Served[path] = serves(ctx, ask, path)
		}
	}
	return c.With(catalog.Own(facts)), nil
}

// guide makes the running server's guide when it is first read: its entry of itself asks the finished handler.
type guide struct {
	s   *server
	ask http.Handler // set before anything is served
	mu  sync.Mutex
	all *catalog.Catalog
}

// read is safe for concurrent use. An error is not kept: the next call tries again.
func (g *guide) read(ctx context.Context) (*catalog.Catalog, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all != nil {
		return g.all, nil
	}
	ctx = context.WithoutCancel(ctx) // what is learnt is kept: a caller who leaves must not leave half of it behind
	all, err := Guide(ctx, g.s.o, g.s.base, g.ask, g.s.now())
	if err == nil {
		g.all = all
	}
	return all, err
}

// ownRoutes reads the tables of the surfaces that callers use.
func ownRoutes() []catalog.OwnRoute {
	var out []catalog.OwnRoute
	for _, surface := range []struct {
		name   string
		routes []api.Route
	}{{"Track", track.Routes(track.Options{})}, {"App", app.Routes(app.Options{})}, {"Pipelines", pipelines.Routes(pipelines.Options{})}} {
		for _, r := range surface.routes {
			out = append(out, catalog.OwnRoute{
				API: surface.name, Method: r.Method, Path: r.Path, Purpose: r.Doc, Shape: shapeName(r.Shape), Built: r.Doc != app.NotBuilt,
			})
		}
	}
	return out
}

func shapeName(s api.Shape) string {
	switch s {
	case api.MetaError:
		return `{"meta":{"error":"…"}}`
	case api.MetaErrors:
		return `{"meta":{"errors":["…"]}}`
	case api.ItemErrors:
		return `{"errors":[{"reason","field","message"}]}`
	case api.AppErrors:
		return `{"errors":[{"detail","status"}]}`
	case api.Problem:
		return "RFC 9457"
	case api.PipelineErrors:
		return `{"meta":{"errors":["…"]},"code","message"}`
	}
	return ""
}

func ownLimits(o config.Serve) []catalog.RateLimit {
	if o.Limits == "off" {
		return nil
	}
	var out []catalog.RateLimit
	for _, l := range []struct {
		class string
		n     float64
	}{{"Track", o.LimitTrack}, {"App", o.LimitApp}, {"Send", o.LimitSend}, {"Pipelines", o.LimitPipelines}} {
		if l.n > 0 {
			out = append(out, catalog.RateLimit{Class: l.class, Limit: strconv.FormatFloat(l.n, 'f', -1, 64) + "/s", Window: "1 s"})
		}
	}
	return out
}

// serves asks a handler of this process for a path.
func serves(ctx context.Context, h http.Handler, path string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody)
	if err != nil {
		return false
	}
	r.RemoteAddr = "127.0.0.1:0"
	w := &status{header: http.Header{}}
	h.ServeHTTP(w, r)
	return w.code == http.StatusOK
}

// status is a response of which only the status is kept.
type status struct {
	header http.Header
	code   int
}

// Header is part of http.ResponseWriter.
func (s *status) Header() http.Header { return s.header }

// WriteHeader is part of http.ResponseWriter.
func (s *status) WriteHeader(code int) {
	if s.code == 0 {
		s.code = code
	}
}

func (s *status) Write(b []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	return len(b), nil
}
