package server

import (
	"context"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	rapport "rapport.example"
	"rapport.example/internal/api"
	"rapport.example/internal/api/admin"
	"rapport.example/internal/api/app"
	"rapport.example/internal/api/discovery"
	"rapport.example/internal/api/oauth"
	"rapport.example/internal/api/pipelines"
	"rapport.example/internal/api/track"
	"rapport.example/internal/audit"
	"rapport.example/internal/center"
	"rapport.example/internal/definition"
	"rapport.example/internal/export"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/link"
	"rapport.example/internal/mcp"
	"rapport.example/internal/workspace"
)

// handler joins the surfaces on one port.
func (s *server) handler(signer *link.Signer) (http.Handler, error) {
	guide := &guide{s: s}
	limits := api.Limits{Track: s.o.LimitTrack, App: s.o.LimitApp, Send: s.o.LimitSend, Open: s.o.LimitOpen, Pipelines: s.o.LimitPipelines, Archive: s.o.LimitArchive}
	if s.o.Limits == "off" {
		limits = api.Limits{}
	}
	limiter := api.NewLimiter(limits)
	clients := oauth.New(oauth.Options{
		Store: s.db, Keys: s.keys, Secret: s.db.Secret(), Now: s.now, Log: s.log, Base: s.base, Fixed: s.o.BaseURL != "", Client: &http.Client{Transport: s.outward()},
		Allow: func(w http.ResponseWriter, r *http.Request) error {
			return limiter.AllowAddress(w.Header(), r.RemoteAddr, s.now())
		},
	})
	surface := admin.New(admin.Options{
		Store: s.db, Audience: s.people, Keys: s.keys, Log: s.writes, Secret: s.db.Secret(), Now: s.now, Logger: s.log, BaseURL: s.o.BaseURL,
		Applied: s.fresh.Applied, Fresh: s.fresh.Fresh, Backup: s.backupIfEmbedded(), Restore: s.restoreIfEmbedded(), Status: s.status, Wake: s.jobs.Wake, Guide: guide.read,
		OAuth: clients,
	})
	inside, own := newInside(), &itself{}
	agents, err := mcp.New(mcp.Options{
		Inside: http.Header{insideHeader: {inside}}, Transport: own, Audit: s.recordCall, Operations: Operations(), Docs: Pages(), Skills: Skills(),
		URL: loopback(s.listen), Secret: s.db.Secret(), Version: buildVersion(), Logger: s.log, Verify: s.verifyAgent, Stranger: s.recordStranger, Limits: s.agentLimits(), Now: s.now, Guide: guide.read,
	})
	if err != nil {
		return nil, err
	}
	tables := [][]api.Route{
		track.Routes(track.Options{Log: s.writes, Keys: s.keys, Deliveries: s.db, State: s.db, Fresh: s.fresh.Fresh, BaseURL: s.o.BaseURL, Region: s.o.Region}),
		app.Routes(app.Options{Store: s.db, Audience: s.people, Log: s.writes, Secret: s.db.Secret(), Fresh: s.fresh.Fresh, FreshFor: s.fresh.FreshFor, Applied: s.fresh.Applied, BaseURL: s.base, Wake: s.jobs.Wake, SendingAddresses: listed(s.o.SendingIPs)}),
		pipelines.Routes(pipelines.Options{Log: s.writes, Keys: s.keys, Limiter: limiter, BaseURL: s.o.BaseURL, Logger: s.log}),
		surface.Routes(),
	}
	if s.o.Bench {
		tables = append(tables, []api.Route{ceiling()})
	}
	pages := http.NewServeMux()
	pages.Handle(export.Path, export.NewHandler(s.db, export.NewSigner(s.db.Secret(), s.base), s.now, s.log))
	pages.Handle(center.Path, center.NewHandler(center.Options{
		Store: s.db, Signer: center.NewSigner(s.db.Secret(), s.base), Change: s.choose, Fresh: s.fresh.Fresh, Now: s.now, Log: s.log,
	}))
	pages.Handle("/e/", link.NewHandler(signer, s.reaction, s.now, s.log))
	for _, path := range []string{"/mcp", "/mcp/"} {
		pages.Handle(path, s.guessers(limiter, authority{clients, agents}, agents.Handler()))
	}
	clients.Routes(pages)
	pages.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	pages.HandleFunc("GET /readyz", s.ready)
	pages.HandleFunc("GET /schema/workspace-1.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/schema+json")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		_, _ = w.Write(definition.SchemaJSON) //nolint:errcheck // the caller is gone; nobody is left to tell
	})
	open, err := discovery.New(discovery.Options{Docs: Pages(), Skills: Skills(), Server: rapport.Server, Example: rapport.Onboarding, Base: strings.TrimSuffix(s.o.BaseURL, "/"), Version: buildVersion(), Contracts: contracts()})
	if err != nil {
		return nil, err
	}
	for _, path := range discovery.Paths() {
		pages.Handle(path, open)
	}
	if err := s.describe(pages); err != nil {
		return nil, err
	}
	pages.Handle("/", surface.Pages())
	all, err := api.NewMux(api.Options{
		Keys: s.keys, Limiter: limiter, Now: s.now, Log: s.log, Fallback: pages, Session: surface.Session,
		Once: api.NewOnce(s.db, s.fresh.Caught), Agents: s.db,
	}, tables...)
	if err != nil {
		return nil, err
	}
	guide.ask = all
	trusted, err := s.o.Proxies()
	if err != nil {
		return nil, err
	}
	own.handler = &callers{trusted, inside, all}
	return own.handler, nil
}

// loopback is the address under which this process reaches itself.
func loopback(listen string) string {
	for _, any := range []string{"0.0.0.0:", "[::]:"} {
		if port, ok := strings.CutPrefix(listen, any); ok {
			return "http://127.0.0.1:" + port
		}
	}
	return "http://" + listen
}

// ceiling is what the server's own HTTP stack can do at best: authenticate, read the body, answer.
func ceiling() api.Route {
	return api.Route{
		Method: http.MethodPost, Path: "/bench/ceiling", Auth: api.TrackKey, Limit: api.LimitTrack, Shape: api.MetaError, MaxBody: 1 << 20,
		Handler: (*api.Call).Empty, Doc: "Does nothing; only with --bench.",
	}
}

// reaction makes an op of an open, a click or an unsubscribe.
func (s *server) reaction(ctx context.Context, ws int64, m ingest.MetricPayload) error {
	return s.append(ctx, ws, ingest.FromLink, ingest.Metric, m)
}

// choose carries out what somebody chose in the subscription center.
func (s *server) choose(ctx context.Context, ws int64, p ingest.IdentifyPayload) error {
	if err := s.append(ctx, ws, ingest.FromLink, ingest.Identify, p); err != nil {
		return err
	}
	s.fresh.Fresh(ctx, ws) // the page shows it; should it take longer, then a moment later
	return nil
}

func (s *server) verifyAgent(ctx context.Context, key, from string) (mcp.Caller, error) {
	a, err := s.agent(ctx, key, from)
	if err != nil {
		return mcp.Caller{}, err
	}
	return mcp.Caller{
		ID: strconv.FormatInt(a.Credential.ID, 10), Workspace: strconv.FormatInt(a.Workspace.ID, 10), Scopes: a.Credential.AgentScopes(),
	}, nil
}

// recordIn bounds how long an agent's call may take to be recorded.
const recordIn = 30 * time.Second

// recordCall records a tool call of an agent over HTTP.
func (s *server) recordCall(e *audit.Entry) error {
	ctx, cancel := context.WithTimeout(context.Background(), recordIn)
	defer cancel()
	if c := s.keys.Credential(e.Key, s.now()); c != nil && c.Client != "" { // by what it proved, before what it calls itself
		e.Client = api.ClientName(c, e.Client)
	}
	return s.db.AppendAudit(ctx, e)
}

// recordStranger records in a workspace that a key of it which is for something else was tried as an agent's.
func (s *server) recordStranger(ctx context.Context, token string) {
	now := s.now()
	for _, kind := range []workspace.Kind{workspace.App, workspace.Write} {
		a, err := s.keys.Secret(kind, token, now)
		if err != nil {
			continue
		}
		e := audit.Entry{
			Workspace: a.Workspace.ID, At: now.UnixMilli(), ID: id.New(now), Key: a.Credential.ID, Tool: "mcp", Outcome: "unauthorized", Rule: "audience",
			Arguments: map[string]any{}, Scopes: []string{},
		}
		if err := s.db.AppendAudit(ctx, &e); err != nil {
			s.log.Error("a refused key could not be recorded", "error", err)
		}
		return
	}
}

// agentLimits are the limits that tools keep to, which are those of this server.
func (s *server) agentLimits() mcp.Limits {
	if s.o.Limits == "off" {
		return mcp.Limits{}
	}
	return mcp.Limits{Track: s.o.LimitTrack, App: s.o.LimitApp, Archive: s.o.LimitArchive}
}

// ready is 200 while the database answers and no partition of this node has stopped. Without them the node still
// accepts writes, so it is a hint for reads.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := s.db.Ping(ctx); err != nil {
		answer(w, http.StatusServiceUnavailable, "the database does not answer")
		return
	}
	if err := s.engine.Failing(); err != nil {
		answer(w, http.StatusServiceUnavailable, "a partition has stopped; the log says why")
		return
	}
	w.Header().Set("X-Rapport-Started", s.started.UTC().Format(time.RFC3339Nano))
	answer(w, http.StatusOK, "ready")
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) //nolint:errcheck // the caller is gone; nobody is left to tell
}

// status is the server's part of /admin/v1/status.
func (s *server) status(ctx context.Context) map[string]any {
	out := map[string]any{"version": buildVersion(), "database": s.db.Backend(), "development_mailbox": s.o.SMTPURL == ""}
	log := map[string]uint64{}
	if ids, err := s.db.Partitions(ctx); err == nil {
		for _, id := range ids {
			if last, err := s.stream.Last(ctx, id); err == nil {
				log[strconv.Itoa(int(id))] = last
			}
		}
	}
	out["log_last"] = log
	return out
}

func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "development"
}

// backupIfEmbedded is nil on PostgreSQL, which has tools of its own for it.
func (s *server) backupIfEmbedded() func(context.Context, io.Writer) error {
	if s.o.DatabaseURL != "" {
		return nil
	}
	return s.backup
}

// restoreIfEmbedded is nil where the state or its log are in other hands.
func (s *server) restoreIfEmbedded() func(context.Context, io.Reader, bool) (string, error) {
	if s.o.DatabaseURL != "" || s.o.NATSURL != "" {
		return nil
	}
	return s.restore
}

// listed are the words of a flag with commas between them.
func listed(s string) (out []string) {
	for word := range strings.SplitSeq(s, ",") {
		if word = strings.TrimSpace(word); word != "" {
			out = append(out, word)
		}
	}
	return out
}
