package mcp

import (
	"context"
	"slices"

	"rapport.example/internal/workspace"
)

// hidden stands for what the caller may not see.
const hidden = workspace.Hidden

// seen is an attribute's value as the caller may see it.
func (s *Server) seen(ctx context.Context, name, value string) string {
	if value == "" || slices.Contains(s.scopes(ctx), workspace.ReadSensitive) || !sensitive(name) {
		return clean(value)
	}
	return hidden
}

func sensitive(name string) bool { return workspace.Sensitive(name) }
