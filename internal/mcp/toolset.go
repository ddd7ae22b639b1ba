package mcp

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/auth"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"rapport.example/internal/workspace"
)

// The toolsets, in the order in which tools are listed. The first ones are on by default; context cannot be taken off.
const (
	setContext       = "context"
	setPeople        = "people"
	setSegments      = "segments"
	setMessages      = "messages"
	setCatalog       = "catalog"
	setPeopleAdmin   = "people_admin"
	setSegmentsAdmin = "segments_admin"
	setContent       = "content"
	setAdmin         = "admin"
	setRaw           = "raw"
)

// Selection is which tools a client is offered. The zero Selection is the default toolsets.
type Selection struct {
	Toolsets []string // instead of the default ones; "all" means all
	Tools    []string // besides
	Exclude  []string // beats Toolsets and Tools
	ReadOnly bool     // beats everything
}

// tool is one tool with what decides who is offered it.
type tool struct {
	set, name, scope string
	readOnly         bool
	self             bool // needs a Rapport server behind it
	def              *sdk.Tool
	run              sdk.ToolHandler
}

// spec declares a tool. Scope is what a key needs for it; Self that only a Rapport server can do it.
type spec struct {
	set, name, title, description string
	scope                         string
	hints
	self bool
}

// Toolsets are the names that Selection.Toolsets may hold, the default ones first.
func (s *Server) Toolsets() (names []string) {
	for i := range s.tools {
		if !slices.Contains(names, s.tools[i].set) {
			names = append(names, s.tools[i].set)
		}
	}
	return names
}

func byDefault(set string) bool {
	return slices.Contains([]string{setContext, setPeople, setSegments, setMessages, setCatalog}, set)
}

// Check refuses names that are no toolset's or tool's.
func (s *Server) Check(sel Selection) error {
	for _, name := range sel.Toolsets {
		if name != "all" && !slices.Contains(s.Toolsets(), name) {
			return fmt.Errorf("there is no toolset %q: there are %s, and all", name, strings.Join(s.Toolsets(), ", "))
		}
	}
	for _, name := range slices.Concat(sel.Tools, sel.Exclude) {
		if !slices.ContainsFunc(s.tools, func(t tool) bool { return t.name == name }) {
			return fmt.Errorf("there is no tool %q", name)
		}
	}
	return nil
}

// offered are the tools of a selection that the scopes allow, and that the back end, of which a process has one, can do.
func (s *Server) offered(sel Selection, scopes []string) (out []*tool) {
	for i := range s.tools {
		t := &s.tools[i]
		in := slices.Contains(sel.Toolsets, t.set) || slices.Contains(sel.Toolsets, "all") || slices.Contains(sel.Tools, t.name) ||
			len(sel.Toolsets) == 0 && byDefault(t.set)
		in = in && !(t.self && s.o.Hosted != nil) && !slices.Contains(sel.Exclude, t.name) && (t.readOnly || !sel.ReadOnly) && slices.Contains(scopes, t.scope)
		if in || t.set == setContext {
			out = append(out, t)
		}
	}
	return out
}

// mostViews bounds how many different tool lists are kept ready; one more than that is made for each request.
const mostViews = 64

// view is an MCP server with the tools of a selection that the scopes allow.
func (s *Server) view(sel Selection, scopes []string) *sdk.Server {
	tools := s.offered(sel, scopes)
	names := make([]string, len(tools))
	for i, t := range tools {
		names[i] = t.name
	}
	key := strings.Join(append(names, scopes...), " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.views[key]; m != nil {
		return m
	}
	m := sdk.NewServer(&sdk.Implementation{Name: "rapport", Title: "Rapport", Version: s.o.Version}, &sdk.ServerOptions{
		Instructions: instructions, Logger: theirs(s.o.Logger), SetCacheable: cacheable,
		CompletionHandler: func(ctx context.Context, req *sdk.CompleteRequest) (*sdk.CompleteResult, error) {
			return s.complete(ctx, req, names)
		},
		Capabilities: &sdk.ServerCapabilities{Tools: &sdk.ToolCapabilities{}, Resources: &sdk.ResourceCapabilities{}, Prompts: &sdk.PromptCapabilities{}},
	})
	m.AddReceivingMiddleware(s.audited, explain)
	for _, t := range tools {
		m.AddTool(t.def, t.run)
	}
	s.addResources(m, scopes, names)
	s.addPrompts(m, names)
	if len(s.views) < mostViews {
		s.views[key] = m
	}
	return m
}

// selection reads which tools a request wants: from its path, /mcp/readonly or /mcp/x/people,segments, and its X-MCP-… headers,
// which narrow what the path says.
func selection(r *http.Request) Selection {
	sel := Selection{
		Toolsets: list(r.Header.Get("X-MCP-Toolsets")), Tools: list(r.Header.Get("X-MCP-Tools")), Exclude: list(r.Header.Get("X-MCP-Exclude-Tools")),
		ReadOnly: strings.EqualFold(r.Header.Get("X-MCP-Readonly"), "true") || r.Header.Get("X-MCP-Readonly") == "1",
	}
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, "/mcp"), "/")
	if sets, ok := strings.CutPrefix(path, "x/"); ok {
		sel.Toolsets = list(sets)
	}
	if path == "readonly" {
		sel.ReadOnly = true
	}
	return sel
}

func list(s string) (out []string) {
	for name := range strings.SplitSeq(s, ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// scopes are those of the caller: of the HTTP request's key, or of the process.
func (s *Server) scopes(ctx context.Context) []string {
	if info := auth.TokenInfoFromContext(ctx); info != nil {
		return info.Scopes
	}
	return s.o.Scopes
}

// need refuses what the caller's scopes do not allow.
func (s *Server) need(ctx context.Context, scope string) error {
	if slices.Contains(s.scopes(ctx), scope) {
		return nil
	}
	return &toolError{Code: "forbidden_scope", Message: "this agent key lacks the scope " + scope, Hint: "An operator gives scopes: rapport keys create --kind agent --scopes " + scope}
}

// ScopeOf is the scope that a tool takes, of those that a request over HTTP may choose from; "" if there is no such tool.
func (s *Server) ScopeOf(r *http.Request, tool string) string {
	for _, t := range s.offered(selection(r), workspace.Scopes()) {
		if t.name == tool {
			return t.scope
		}
	}
	return ""
}
