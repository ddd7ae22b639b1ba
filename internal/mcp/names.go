package mcp

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// sampled is how many people, or events, names are gathered from: a page of what the API lists.
const sampled = 100

// named is an attribute or an event that was seen.
type named struct {
	Name      string            `json:"name"`
	Type      string            `json:"type,omitempty"`
	Seen      int               `json:"seen"` // how often in the sample
	Fields    map[string]string `json:"fields,omitempty"`
	Sensitive bool              `json:"sensitive,omitempty"`
	Campaigns []string          `json:"campaigns,omitempty"`
}

type names struct {
	Items   []named `json:"items"`
	Sampled int     `json:"sampled"`
	Note    string  `json:"note"`
}

// readAttributes gathers the names of attributes, and what their values look like, from some people.
func (s *Server) readAttributes(ctx context.Context, _ []string) (string, error) {
	return encoded(s.attributeNames(ctx))
}

func (s *Server) attributeNames(ctx context.Context) (names, error) {
	out := names{Items: []named{}, Note: "names of a sample of people; values as text, typed by their look"}
	c, err := s.client(ctx)
	if err != nil {
		return out, err
	}
	var l struct {
		Identifiers []map[string]text `json:"identifiers"`
	}
	known := map[string]any{"attribute": map[string]any{"field": "email", "operator": "exists"}}
	everybody := map[string]any{"or": []any{known, map[string]any{"not": known}}}
	if err := c.ask(ctx, "/v1/customers", url.Values{"limit": {strconv.Itoa(sampled)}}, map[string]any{"filter": everybody}, &l); err != nil {
		return out, err
	}
	ids := make([]string, 0, len(l.Identifiers))
	for _, p := range l.Identifiers {
		if v := string(p["cio_id"]); v != "" {
			ids = append(ids, "cio_"+strings.TrimPrefix(v, "cio_"))
		}
	}
	if out.Sampled = len(ids); len(ids) == 0 {
		return out, nil
	}
	var a struct {
		Customers []struct {
			Customer customer `json:"customer"`
		} `json:"customers"`
	}
	if err := c.ask(ctx, "/v1/customers/attributes", url.Values{"id_type": {"cio_id"}}, map[string]any{"ids": ids}, &a); err != nil {
		return out, err
	}
	found := map[string]*named{}
	for i := range a.Customers {
		for k, v := range a.Customers[i].Customer.Attributes {
			see(found, clean(k), look(string(v))).Sensitive = sensitive(k)
		}
	}
	out.Items = ordered(found)
	return out, nil
}

// readEvents gathers the names of events from recent ones, and from what campaigns listen to.
func (s *Server) readEvents(ctx context.Context, _ []string) (string, error) {
	return encoded(s.eventNames(ctx))
}

func (s *Server) eventNames(ctx context.Context) (names, error) {
	out := names{Items: []named{}, Note: "names of recent events, and of those that campaigns listen to"}
	c, err := s.client(ctx)
	if err != nil {
		return out, err
	}
	var l struct {
		Activities []entry `json:"activities"`
	}
	if err := c.read(ctx, "/v1/activities", url.Values{"type": {"event"}, "limit": {strconv.Itoa(sampled)}}, &l); err != nil {
		return out, err
	}
	found := map[string]*named{}
	for _, e := range l.Activities {
		n := see(found, string(e.Name), "")
		for k, v := range e.Data {
			if n.Fields == nil {
				n.Fields = map[string]string{}
			}
			n.Fields[clean(k)] = kindOf(v)
		}
	}
	out.Sampled = len(l.Activities)
	var all struct {
		Campaigns []wireMessage `json:"campaigns"`
	}
	if err := c.read(ctx, kinds["campaign"].path, nil, &all); err != nil {
		return out, err
	}
	for _, m := range all.Campaigns {
		if m.Event == "" {
			continue
		}
		n := see(found, string(m.Event), "")
		n.Seen--
		n.Campaigns = append(n.Campaigns, string(m.ID))
	}
	out.Items = ordered(found)
	return out, nil
}

func (s *Server) readAttribute(ctx context.Context, params []string) (string, error) {
	l, err := s.attributeNames(ctx)
	return encoded(l.one(params, err))
}

func (s *Server) readEvent(ctx context.Context, params []string) (string, error) {
	l, err := s.eventNames(ctx)
	return encoded(l.one(params, err))
}

// one is the entry that the last part of a URI names.
func (l *names) one(params []string, err error) (*named, error) {
	if err != nil {
		return nil, err
	}
	for i := range l.Items {
		if l.Items[i].Name == params[len(params)-1] {
			return &l.Items[i], nil
		}
	}
	return nil, &toolError{Code: "not_found", Message: "nobody in the sample has it", Hint: "cio://schema lists what was seen"}
}

// see counts a name; of two different types it keeps none.
func see(found map[string]*named, name, kind string) *named {
	n := found[name]
	if n == nil {
		n = &named{Name: name, Type: kind}
		found[name] = n
	}
	if n.Seen++; n.Type != kind {
		n.Type = "mixed"
	}
	return n
}

// mostNames bounds how many names one answer has.
const mostNames = 300

// ordered are the names seen most often, by name.
func ordered(found map[string]*named) []named {
	out := make([]named, 0, len(found))
	for _, k := range sortedKeys(found) {
		out = append(out, *found[k])
	}
	slices.SortStableFunc(out, func(a, b named) int { return b.Seen - a.Seen })
	out = out[:min(len(out), mostNames)]
	slices.SortFunc(out, func(a, b named) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// look tells the type of a value from its text.
func look(v string) string {
	var x any
	if json.Unmarshal([]byte(v), &x) == nil {
		return kindOf(x)
	}
	return "text"
}

func kindOf(v any) string {
	switch v.(type) {
	case bool:
		return "boolean"
	case float64, json.Number:
		return "number"
	case []any:
		return "list"
	case map[string]any:
		return "object"
	}
	return "text"
}
