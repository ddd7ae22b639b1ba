package mcp

import (
	"context"
	"encoding/json"
	"fmt"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"rapport.example/internal/workspace"
)

// Offer is a tool as clients are told of it.
type Offer struct {
	Name     string
	ReadOnly bool
	Strict   bool // refuses unknown fields
	Output   bool // has an output schema
	DryRun   bool // takes dry_run
}

// Offers asks the server for all its tools, as a client with all scopes would, and lists them in its order.
func (s *Server) Offers(ctx context.Context) ([]Offer, error) {
	near, far := sdk.NewInMemoryTransports()
	served, err := s.view(Selection{Toolsets: []string{"all"}}, workspace.Scopes()).Connect(ctx, far, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the tools: %w", err)
	}
	defer served.Close() //nolint:errcheck // both ends are in memory
	c, err := sdk.NewClient(&sdk.Implementation{Name: "rapport"}, nil).Connect(ctx, near, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the tools: %w", err)
	}
	defer c.Close() //nolint:errcheck // both ends are in memory
	list, err := c.ListTools(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the tools: %w", err)
	}
	var out []Offer
	for _, t := range list.Tools {
		raw, err := json.Marshal(t.InputSchema)
		if err != nil {
			return nil, fmt.Errorf("tool %s: %w", t.Name, err)
		}
		var in struct {
			AdditionalProperties any            `json:"additionalProperties"`
			Properties           map[string]any `json:"properties"`
		}
		if err := json.Unmarshal(raw, &in); err != nil {
			return nil, fmt.Errorf("tool %s: %w", t.Name, err)
		}
		_, dry := in.Properties["dry_run"]
		out = append(out, Offer{
			Name: t.Name, ReadOnly: t.Annotations != nil && t.Annotations.ReadOnlyHint, Strict: in.AdditionalProperties == false, Output: t.OutputSchema != nil, DryRun: dry,
		})
	}
	return out, nil
}
