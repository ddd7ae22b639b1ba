//go:build conformance

package mcp

import (
	"context"
	"net/http"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// Fixture serves what add puts on an MCP server through the very stack and middleware of Handler, for the protocol's conformance suite,
// which asks for tools of its own.
func (s *Server) Fixture(o *sdk.ServerOptions, add func(*sdk.Server)) http.Handler {
	o.Logger = theirs(s.o.Logger)
	o.SetCacheable = func(_ context.Context, _ sdk.Request, c *sdk.Cacheable) { c.TTLMs, c.CacheScope = 300_000, "private" }
	m := sdk.NewServer(&sdk.Implementation{Name: "rapport-conformance", Version: "1"}, o)
	m.AddReceivingMiddleware(s.audited, explain)
	add(m)
	return s.stack(func(*http.Request) *sdk.Server { return m })
}
