// Package filter is the vendor's filter grammar, by which its App API finds people and objects and says who is in an export
// (app-api.md §5 and §12): and, or, not, segment, attribute and object_attribute. Package segment has a language of its own,
// for what is defined; this one is what callers of the API write.
package filter

import (
	"strings"

	"rapport.example/internal/person"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// Bounds of a filter; ours, the vendor tells none.
const (
	MaxDepth  = 32   // and, or and not within each other
	MaxLeaves = 100  // segments and attributes
	MaxField  = 1000 // bytes of an attribute's name or path
	MaxValue  = 2000 // bytes of what it is compared with, as JSON
)

// Kind says what a filter is.
type Kind uint8

// The kinds.
const (
	And     Kind = iota + 1 // all Parts hold
	Or                      // one of Parts holds
	Not                     // the one of Parts does not hold
	Segment                 // the person is in Segment
	Equals                  // the attribute Field is Value
	Exists                  // the attribute Field is set
)

// Filter is one node. It is immutable once parsed and safe for concurrent use. The nil Filter holds for everybody.
type Filter struct {
	Kind    Kind
	Parts   []*Filter   // of And and Or at least one, of Not one
	Segment int64       // of Segment: its number, from 1; whether there is one is not known here
	Field   string      // of Equals and Exists: an attribute, or a dotted path into one
	Value   value.Value // of Equals: text, a number, true or false; never empty
	Type    int64       // of an object_attribute: its type_id, 0 = not said
	Path    string      // where it stood in the JSON, for messages

	objects bool          // the attribute is an object's
	is      *segment.Node // of Equals, but for identifiers
}

// Subject is what a filter looks at.
type Subject interface {
	Attribute(path string) value.Value // an attribute, or a dotted path into one; nil if it is not set
	Member(segment int64) bool         // whether it is a person in the segment
}

// Leaves lists the filters that have no parts, in the order written.
func (f *Filter) Leaves() []*Filter {
	switch {
	case f == nil:
		return nil
	case len(f.Parts) == 0:
		return []*Filter{f}
	}
	var out []*Filter
	for _, p := range f.Parts {
		out = append(out, p.Leaves()...)
	}
	return out
}

// Identifier is the one identifier that people must have for the filter to hold: nobody else needs to be looked at, and
// whoever it finds meets the filter. ok is false for all but Equals of id, email and cio_id.
func (f *Filter) Identifier() (by person.Identifier, ok bool) {
	if f == nil || f.Kind != Equals || f.objects {
		return by, false
	}
	switch by.Value = f.Value.Text(); f.Field {
	case "id":
		by.Type = person.ByID
	case "email":
		by.Type = person.ByEmail
	case "cio_id":
		by.Type, by.Value = person.ByCIO, strings.TrimPrefix(by.Value, "cio_")
	default:
		return by, false
	}
	return by, true
}

// JSON is the filter with all its leaves wrapped: equal filters have equal JSON, and Parse reads it again. It is null for nil.
func (f *Filter) JSON() value.Value {
	if f == nil {
		return value.NullValue
	}
	var b, leaf value.Builder
	switch f.Kind {
	case And, Or:
		word, list := "and", []byte{'['}
		if f.Kind == Or {
			word = "or"
		}
		for i, p := range f.Parts {
			if i > 0 {
				list = append(list, ',')
			}
			list = append(list, p.JSON()...)
		}
		return b.Set(word, append(list, ']')).Value()
	case Not:
		return b.Set("not", f.Parts[0].JSON()).Value()
	case Segment:
		return b.Set("segment", leaf.Set("id", value.Int(f.Segment)).Value()).Value()
	case Equals:
		leaf.Set("field", value.Quote(f.Field)).Set("operator", value.Quote("eq")).Set("value", f.Value)
	default:
		leaf.Set("field", value.Quote(f.Field)).Set("operator", value.Quote("exists"))
	}
	if !f.objects {
		return b.Set("attribute", leaf.Value()).Value()
	}
	if f.Type != 0 {
		leaf.Set("type_id", value.Quote(string(value.Int(f.Type))))
	}
	return b.Set("object_attribute", leaf.Value()).Value()
}
