package app

import (
	"slices"
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/filter"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

// sight is what a caller does not see of people: attributes by name. nil sees all.
type sight func(attribute string) (hidden bool)

// sight is that of who calls: agents without read:sensitive see no attribute that the data index says to be sensitive, or whose name does.
func (s *surface) sight(c *api.Call) (sight, error) {
	if !c.ByAgent() || slices.Contains(c.Credential.AgentScopes(), workspace.ReadSensitive) {
		return nil, nil
	}
	private, err := s.o.Store.Private(c.R.Context(), c.Workspace, "attribute")
	if err != nil {
		return nil, err
	}
	return func(name string) bool {
		top, _, _ := strings.Cut(name, ".")
		return workspace.Sensitive(name) || slices.Contains(private, name) || slices.Contains(private, top)
	}, nil
}

// hides tells whether an attribute is hidden. Identifiers are not: they are how people are named.
func (h sight) hides(name string) bool {
	return h != nil && !slices.Contains([]string{"id", "email", "cio_id", "phone", "anonymous_id", "unsubscribed"}, name) && h(name)
}

// data is an activity's: what is hidden is not shown, however deep it stands. A value has at most as many levels as were taken in.
func (h sight) data(v value.Value) value.Value {
	if h == nil {
		return v
	}
	switch v.Kind() {
	case value.Object:
		var out value.Builder
		for k, in := range v.Fields() {
			if in = h.data(in); h.hides(k) {
				in = value.Quote(workspace.Hidden)
			}
			out.Set(k, in)
		}
		return out.Value()
	case value.Array:
		out := value.Value{'['}
		for e := range v.Elements() {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, h.data(e)...)
		}
		return append(out, ']')
	default:
		return v
	}
}

// asks refuses a filter by which somebody would learn what they may not see.
func (h sight) asks(f *filter.Filter) error {
	for _, l := range f.Leaves() {
		if l.Kind == filter.Equals && h.hides(l.Field) {
			return fault.New(fault.Forbidden, "%s: this agent key lacks the scope %s, which asking for the value of a sensitive attribute takes", l.Path+".field", workspace.ReadSensitive)
		}
	}
	return nil
}
