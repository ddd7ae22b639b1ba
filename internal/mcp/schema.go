package mcp

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// hints are the four annotations; every tool states all of them.
type hints struct{ readOnly, destructive, idempotent, openWorld bool }

var (
	reads     = hints{readOnly: true, idempotent: true}
	changes   = hints{destructive: true, idempotent: true} // within the workspace
	live      = hints{destructive: true, idempotent: true, openWorld: true}
	additions = hints{}
)

// handler does a tool's work with a client that has the caller's credentials. Its errors are told to the model.
type handler[In, Out any] func(ctx context.Context, c *Client, in In) (Out, error)

// declare makes a tool with schemas that every client can read: no unions with null, nothing unknown accepted. The zero
// value of Out is not seen: a handler that fails answers its error.
func declare[In, Out any](s *Server, d spec, h handler[In, Out]) error {
	in, err := schemaOf[In]()
	if err != nil {
		return fmt.Errorf("tool %s: input: %w", d.name, err)
	}
	out, err := schemaOf[Out]()
	if err != nil {
		return fmt.Errorf("tool %s: output: %w", d.name, err)
	}
	t := &sdk.Tool{
		Name: d.name, Title: d.title, Description: d.description, InputSchema: in, OutputSchema: out,
		Annotations: &sdk.ToolAnnotations{
			Title: d.title, ReadOnlyHint: d.readOnly, DestructiveHint: &d.destructive, IdempotentHint: d.idempotent, OpenWorldHint: &d.openWorld,
		},
	}
	run := func(ctx context.Context, _ *sdk.CallToolRequest, in In) (*sdk.CallToolResult, Out, error) {
		var zero Out
		if err := s.need(ctx, d.scope); err != nil {
			return nil, zero, err
		}
		c, err := s.client(ctx)
		if err != nil {
			return nil, zero, told(err)
		}
		out, err := h(ctx, c, in)
		if err != nil {
			return nil, zero, told(err)
		}
		return nil, out, nil
	}
	s.tools = append(s.tools, tool{d.set, d.name, d.scope, d.readOnly, d.self, func(m *sdk.Server) { sdk.AddTool(m, t, run) }})
	return nil
}

// register declares all tools, in the order in which they are listed.
func (s *Server) register() error {
	return errors.Join(s.contextTools(), s.peopleTools(), s.segmentTools(), s.messageTools(), s.catalogTools(), s.adminTools())
}

func schemaOf[T any]() (*jsonschema.Schema, error) {
	s, err := jsonschema.For[T](nil)
	if err != nil {
		return nil, err
	}
	simplify(s)
	return s, nil
}

// simplify turns ["null","array"] into "array": Go slices and maps infer the union, and some clients refuse it.
func simplify(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if len(s.Types) > 0 {
		types := slices.DeleteFunc(slices.Clone(s.Types), func(t string) bool { return t == "null" })
		if len(types) == 1 {
			s.Type, s.Types = types[0], nil
		}
	}
	for _, p := range s.Properties {
		simplify(p)
	}
	simplify(s.Items)
	if s.AdditionalProperties != nil && s.AdditionalProperties.Not == nil {
		simplify(s.AdditionalProperties)
	}
}
