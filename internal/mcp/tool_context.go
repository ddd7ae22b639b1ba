package mcp

import (
	"context"
	"net/http"
	"slices"

	"rapport.example/internal/workspace"
)

type (
	none struct{}

	workspaceOut struct {
		Connection  string         `json:"connection"`
		Mode        string         `json:"mode"`
		Workspace   workspaceInfo  `json:"workspace"`
		Region      string         `json:"region,omitempty"`
		Scopes      []string       `json:"scopes"`
		RateBudget  map[string]int `json:"rate_budget" jsonschema:"requests left now, by API"`
		Unsupported []string       `json:"unsupported" jsonschema:"tools not offered here"`
	}
	workspaceInfo struct {
		ID   text `json:"id"`
		Name text `json:"name"`
		// TestClock is the workspace's time where that runs ahead of real time.
		TestClock text `json:"test_clock,omitempty" jsonschema:"what time it is there, if it runs ahead"`
	}
)

func (s *Server) contextTools() error {
	return declare(s, spec{
		setContext, "get_workspace", "Where am I", "Which workspace this connection is for, what you are allowed to do here, and how much of the rate limit is left. Call it first.",
		workspace.Read, reads, false,
	}, s.getWorkspace)
}

func (s *Server) getWorkspace(ctx context.Context, c *Client, _ none) (out workspaceOut, err error) {
	var l struct {
		Workspaces []workspaceInfo `json:"workspaces"`
	}
	if _, err := c.do(ctx, call{class: appClass, method: http.MethodGet, path: "/v1/workspaces", again: true}, &l); err != nil {
		return out, err
	}
	out = workspaceOut{Connection: "rapport", Mode: "self", Scopes: s.scopes(ctx), RateBudget: c.gov.left(), Unsupported: []string{}}
	if s.o.Hosted != nil {
		out.Connection, out.Mode, out.Region = "customerio", "customerio", s.o.Hosted.Region
	}
	offered := s.offered(Selection{Toolsets: []string{"all"}}, out.Scopes)
	for i := range s.tools {
		if !slices.Contains(offered, &s.tools[i]) {
			out.Unsupported = append(out.Unsupported, s.tools[i].name)
		}
	}
	if len(l.Workspaces) > 0 {
		out.Workspace = l.Workspaces[0]
	}
	return out, nil
}
