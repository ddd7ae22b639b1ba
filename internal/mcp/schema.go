package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// hint is one annotation. The zero hint says nothing, and a tool that leaves one so is refused: an unset boolean would look like no.
type hint int

const (
	yes hint = iota + 1
	no
)

// hints are the four annotations; every tool states all of them.
type hints struct{ readOnly, destructive, idempotent, openWorld hint }

// The usual ones.
var (
	reads     = hints{readOnly: yes, destructive: no, idempotent: yes, openWorld: no}
	changes   = hints{readOnly: no, destructive: yes, idempotent: yes, openWorld: no} // within the workspace
	removals  = hints{readOnly: no, destructive: yes, idempotent: no, openWorld: no}
	additions = hints{readOnly: no, destructive: no, idempotent: no, openWorld: no}
	triggers  = hints{readOnly: no, destructive: no, idempotent: no, openWorld: yes} // adds, and can start campaigns
	live      = hints{readOnly: no, destructive: yes, idempotent: yes, openWorld: yes}
	anything  = hints{readOnly: no, destructive: yes, idempotent: no, openWorld: yes}
)

// annotations are the hints as clients read them. An unstated hint, and one that contradicts readOnly, is an error.
func (h hints) annotations() (*sdk.ToolAnnotations, error) {
	if slices.Contains([]hint{h.readOnly, h.destructive, h.idempotent, h.openWorld}, 0) {
		return nil, errors.New("a hint is not stated")
	}
	if h.readOnly == yes && h.destructive == yes {
		return nil, errors.New("what only reads destroys nothing")
	}
	destructive, openWorld := h.destructive == yes, h.openWorld == yes
	return &sdk.ToolAnnotations{
		ReadOnlyHint: h.readOnly == yes, DestructiveHint: &destructive, IdempotentHint: h.idempotent == yes, OpenWorldHint: &openWorld,
	}, nil
}

// handler does a tool's work with a client that has the caller's credentials. Its errors are told to the model.
type handler[In, Out any] func(ctx context.Context, c *Client, in In) (Out, error)

// declare makes a tool with schemas that every client can read: no unions with null, nothing unknown accepted.
func declare[In, Out any](s *Server, d spec, h handler[In, Out]) error {
	in, err := schemaOf[In]()
	if err != nil {
		return fmt.Errorf("tool %s: input: %w", d.name, err)
	}
	out, err := schemaOf[Out]()
	if err != nil {
		return fmt.Errorf("tool %s: output: %w", d.name, err)
	}
	slim(out, 0)
	hints, err := d.annotations()
	if err != nil {
		return fmt.Errorf("tool %s: %w", d.name, err)
	}
	fits, err := in.Resolve(nil)
	if err != nil {
		return fmt.Errorf("tool %s: input: %w", d.name, err)
	}
	// As JSON, since the protocol library writes a schema anew for each list, and over HTTP for each call.
	rawIn, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("tool %s: input: %w", d.name, err)
	}
	rawOut, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("tool %s: output: %w", d.name, err)
	}
	t := &sdk.Tool{Name: d.name, Title: d.title, Description: d.description, InputSchema: json.RawMessage(rawIn), OutputSchema: json.RawMessage(rawOut), Annotations: hints}
	if d.readOnly == yes {
		t.Title = "" // titles are for the question whether the agent may do this; reads are seldom asked about
	}
	run := func(ctx context.Context, req *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		in, err := argumentsOf[In](req.Params.Arguments, fits)
		if err != nil {
			return failed(err), nil
		}
		if req.Params.RequestState != "" || len(req.Params.InputResponses) > 0 { // no tool asks anything back
			return failed(invalid("requestState", "is not one that this server gave out")), nil
		}
		if err := s.need(ctx, d.scope); err != nil {
			return failed(err), nil
		}
		c, err := s.client(ctx)
		if err != nil {
			return failed(told(err)), nil
		}
		if p, ok := any(&in).(interface{ bind(owner string) }); ok {
			p.bind(ownerOf(ctx))
		}
		out, err := h(withProgress(ctx, req), c, in)
		if err != nil {
			return failed(told(err)), nil
		}
		return answered(out)
	}
	s.tools = append(s.tools, tool{d.set, d.name, d.scope, d.readOnly == yes, d.self, t, run})
	return nil
}

// argumentsOf reads the arguments of a call and refuses those that do not fit the tool's schema. The protocol library would do both for
// a typed handler, and check the answer too; but it reads each value three times, with a buffer of 32 KB for each, which was half of
// what a call cost. That answers fit their schemas is for tests to hold: schema and answer are of one Go type.
func argumentsOf[In any](raw json.RawMessage, fits *jsonschema.Resolved) (in In, err error) {
	if len(raw) == 0 {
		raw = json.RawMessage("{}")
	}
	var given map[string]any
	if err := json.Unmarshal(raw, &given); err != nil {
		return in, unfit(err)
	}
	if err := fits.Validate(given); err != nil {
		return in, unfit(err)
	}
	var wrong *json.UnmarshalTypeError
	if err = json.Unmarshal(raw, &in); errors.As(err, &wrong) { // to a schema 1.0 and 1e3 are integers
		in = *new(In)
		if raw, err = json.Marshal(given); err == nil {
			err = json.Unmarshal(raw, &in)
		}
	}
	if err != nil {
		return in, unfit(err)
	}
	return in, nil
}

// failed is the result of a call that could not be done; explain makes its text.
func failed(err error) *sdk.CallToolResult {
	var res sdk.CallToolResult
	res.SetError(err)
	return &res
}

// answered is the result of a call: JSON, the same as text for clients that know no other, and links to resources.
func answered(out any) (*sdk.CallToolResult, error) {
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	res := &sdk.CallToolResult{StructuredContent: json.RawMessage(b), Content: []sdk.Content{&sdk.TextContent{Text: string(b)}}}
	if l, ok := out.(interface{ links() []*sdk.ResourceLink }); ok {
		for _, link := range l.links() {
			res.Content = append(res.Content, link)
		}
	}
	return res, nil
}

// register declares all tools, in the order in which they are listed.
func (s *Server) register() error {
	return errors.Join(s.contextTools(), s.peopleTools(), s.segmentTools(), s.messageTools(), s.catalogTools(), s.adminTools(), s.contentTools(), s.auditTools(),
		s.rawTools())
}

func schemaOf[T any]() (*jsonschema.Schema, error) {
	s, err := jsonschema.For[T](nil)
	if err != nil {
		return nil, err
	}
	simplify(s)
	enumerate(reflect.TypeFor[T](), s)
	return s, nil
}

// enumerate puts the values that a field's enum tag lists into its schema, or into that of its items. The fields of an embedded struct
// with the tag schema:"-" are left out of an output: the schema of another tool tells them.
func enumerate(t reflect.Type, s *jsonschema.Schema) {
	for i := range t.NumField() {
		f := t.Field(i)
		p, values := s.Properties[jsonName(&f)], f.Tag.Get("enum")
		switch {
		case f.Anonymous && f.Tag.Get("schema") == "-":
			for j := range f.Type.NumField() {
				of := f.Type.Field(j)
				delete(s.Properties, jsonName(&of))
			}
		case f.Anonymous:
			enumerate(f.Type, s)
		case p == nil:
		case f.Type.Kind() == reflect.Struct:
			enumerate(f.Type, p)
		case values != "":
			if p.Items != nil {
				p = p.Items
			}
			for v := range strings.SplitSeq(values, ",") {
				p.Enum = append(p.Enum, v)
			}
		}
	}
}

func jsonName(f *reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// simplify turns ["null","array"] into "array": Go slices and maps infer the union, and some clients refuse it. A schema that holds
// for everything is left out, since it is written as true, which some clients refuse too.
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
	if simplify(s.Items); isTrue(s.Items) {
		s.Items = nil
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Not == nil {
		if simplify(s.AdditionalProperties); isTrue(s.AdditionalProperties) {
			s.AdditionalProperties = nil
		}
	}
}

// slim takes from an output schema what a model pays for and does not need: the fields of objects more than one level deep, which are
// told as objects. Nothing is required, because the structured content of a call that failed has the same schema and other fields: a
// client that checks it, as the protocol's TypeScript library does, would else throw the error away. Inputs stay whole.
func slim(s *jsonschema.Schema, depth int) {
	if s == nil {
		return
	}
	s.AdditionalProperties, s.Required = nil, nil
	if depth > 1 {
		s.Properties = nil
	}
	if s.Type == "object" {
		depth++
	}
	for _, p := range s.Properties {
		slim(p, depth)
	}
	if slim(s.Items, depth); s.Items != nil && s.Items.Type == "object" && s.Items.Properties == nil {
		s.Items = nil
	}
}

// isTrue tells whether a schema holds for everything.
func isTrue(s *jsonschema.Schema) bool {
	b, err := json.Marshal(s)
	return s != nil && err == nil && string(b) == "true"
}
