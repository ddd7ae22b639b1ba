package mcp

import (
	"fmt"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// hints are the four annotations; every tool states all of them.
type hints struct{ readOnly, destructive, idempotent, openWorld bool }

// add registers a tool with schemas that every client can read: no unions with null, nothing unknown accepted.
func add[In, Out any](s *sdk.Server, name, title, description string, h hints, handler sdk.ToolHandlerFor[In, Out]) error {
	in, err := schemaOf[In]()
	if err != nil {
		return fmt.Errorf("tool %s: input: %w", name, err)
	}
	out, err := schemaOf[Out]()
	if err != nil {
		return fmt.Errorf("tool %s: output: %w", name, err)
	}
	sdk.AddTool(s, &sdk.Tool{
		Name: name, Title: title, Description: description, InputSchema: in, OutputSchema: out,
		Annotations: &sdk.ToolAnnotations{
			Title: title, ReadOnlyHint: h.readOnly, DestructiveHint: &h.destructive, IdempotentHint: h.idempotent, OpenWorldHint: &h.openWorld,
		},
	}, handler)
	return nil
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
