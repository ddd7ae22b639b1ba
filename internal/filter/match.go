package filter

import (
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// Match answers the filter for one subject. Attributes are compared as conditions of segments compare them with "is": text
// letter by letter, text with a number or a boolean as the latter, a list if one of its elements is equal. Identifiers are
// compared as they are looked up: emails folded, cio ids with or without cio_.
func (f *Filter) Match(s Subject) bool {
	if f == nil {
		return true
	}
	switch f.Kind {
	case And, Or:
		for _, p := range f.Parts {
			if p.Match(s) == (f.Kind == Or) {
				return f.Kind == Or
			}
		}
		return f.Kind == And
	case Not:
		return !f.Parts[0].Match(s)
	case Segment:
		return s.Member(f.Segment)
	case Exists:
		v := s.Attribute(f.Field)
		return v != nil && v.Kind() != value.Null
	default:
		return f.equals(s.Attribute(f.Field))
	}
}

func (f *Filter) equals(v value.Value) bool {
	if by, ok := f.Identifier(); ok {
		return v != nil && person.Identifier{Type: by.Type, Value: v.Text()}.Key(0) == by.Key(0)
	}
	return f.is.Holds(v, 0)
}

// Person is a person as a Subject.
type Person struct{ *person.Document }

// Attribute is part of Subject: as conditions see it, which is an attribute of this very name before a path into another.
func (p Person) Attribute(path string) value.Value { return lookUp(path, p.Get) }

// Member is part of Subject.
func (p Person) Member(segment int64) bool {
	_, in := p.Document.Member(segment)
	return in
}

// Attributes are an object's as a Subject.
type Attributes func(name string) value.Value

// Attribute is part of Subject.
func (a Attributes) Attribute(path string) value.Value { return lookUp(path, a) }

// Member is part of Subject: objects are in no segments.
func (Attributes) Member(int64) bool { return false }

func lookUp(path string, get func(string) value.Value) value.Value {
	if v := get(path); v != nil {
		return v
	}
	for i := 0; i < len(path); i++ {
		if path[i] == '.' {
			if v := get(path[:i]); v != nil {
				return v.Path(path[i+1:])
			}
		}
	}
	return nil
}
