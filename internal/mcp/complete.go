package mcp

import (
	"context"
	"slices"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"rapport.example/internal/workspace"
)

// mostValues is how many values the protocol has in a completion.
const mostValues = 100

// complete proposes values for an argument of a prompt, or a part of a resource's URI: kinds and ids of messages, ids of segments and
// services, of what begins like the value so far or has it in its name. Where nothing is known, or the tool that would list it is not
// offered, it proposes nothing.
func (s *Server) complete(ctx context.Context, req *sdk.CompleteRequest, tools []string) (*sdk.CompleteResult, error) {
	p := req.Params
	out := &sdk.CompleteResult{Completion: sdk.CompletionResultDetails{Values: []string{}}}
	if p.Ref == nil || !slices.Contains(s.scopes(ctx), workspace.Read) || len(p.Argument.Value) > 200 {
		return out, nil
	}
	given := map[string]string{}
	if p.Context != nil {
		given = p.Context.Arguments
	}
	values, err := s.proposals(ctx, p.Ref, p.Argument.Name, given, tools)
	if err != nil {
		return nil, refusal("completion", err)
	}
	for _, v := range values {
		if v.fits(p.Argument.Value) {
			out.Completion.Values = append(out.Completion.Values, v.value)
		}
	}
	out.Completion.Total = len(out.Completion.Values)
	if out.Completion.Total > mostValues {
		out.Completion.Values, out.Completion.HasMore = out.Completion.Values[:mostValues], true
	}
	return out, nil
}

// proposal is a value, with the name of what it stands for.
type proposal struct{ value, name string }

func (p proposal) fits(begun string) bool {
	return strings.HasPrefix(strings.ToLower(p.value), strings.ToLower(begun)) || p.name != "" && contains(p.name, begun)
}

// proposals are the values that an argument can have.
func (s *Server) proposals(ctx context.Context, ref *sdk.CompleteReference, argument string, given map[string]string, tools []string) (out []proposal, err error) {
	has := func(tool string) bool { return slices.Contains(tools, tool) }
	of := ref.Name
	if ref.Type == "ref/resource" {
		of, _, _ = strings.Cut(strings.TrimPrefix(ref.URI, "cio://"), "/")
	}
	switch {
	case argument == "kind":
		for _, k := range sortedKeys(kinds) {
			out = append(out, proposal{k, ""})
		}
	case argument == "id" && (of == "messages" || of == "review_campaign") && has("list_messages"):
		return s.messageIDs(ctx, given["kind"])
	case argument == "segment_id" && has("list_segments"):
		return s.segmentIDs(ctx)
	case (argument == "service_id" || argument == "id" && of == "services:") && has("search_services"):
		return s.serviceIDs(ctx)
	case argument == "attribute" && has("get_person"):
		l, err := s.attributeNames(ctx)
		return l.proposals(), err
	case argument == "event" && has("get_person"):
		l, err := s.eventNames(ctx)
		return l.proposals(), err
	}
	return out, nil
}

func (l *names) proposals() (out []proposal) {
	for _, n := range l.Items {
		out = append(out, proposal{n.Name, ""})
	}
	return out
}

func (s *Server) messageIDs(ctx context.Context, kind string) (out []proposal, err error) {
	k, ok := kinds[kind]
	if !ok {
		return nil, nil
	}
	c, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	rows, _, err := readList(ctx, c, k.path, nil, k.many, 100, "", func(m wireMessage) wireMessage { return m })
	for i := range rows {
		out = append(out, proposal{string(rows[i].ID), string(rows[i].Name)})
	}
	return out, err
}

func (s *Server) segmentIDs(ctx context.Context) (out []proposal, err error) {
	c, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	var l struct {
		Segments []segmentRow `json:"segments"`
	}
	err = c.read(ctx, "/v1/segments", nil, &l)
	for _, r := range l.Segments {
		out = append(out, proposal{string(r.ID), string(r.Name)})
	}
	return out, err
}

func (s *Server) serviceIDs(ctx context.Context) (out []proposal, err error) {
	if s.o.Guide == nil {
		return nil, nil
	}
	guide, err := s.o.Guide(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range guide.Rank("") {
		out = append(out, proposal{r.ID, r.Name})
	}
	slices.SortFunc(out, func(a, b proposal) int { return strings.Compare(a.value, b.value) })
	return out, nil
}
