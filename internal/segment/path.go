package segment

import (
	"strconv"
	"strings"

	"rapport.example/internal/value"
)

// Path is the name of an attribute or a property, or a way into one: a.b is member b of object a, a[0] the first element of
// list a and a[-1] its last, a[] each of its elements, and a[].b[0] all of that. What has the whole path as its own name goes
// before, at every object on the way. A path that leads nowhere leads to no value.
type Path struct {
	name string
	deep bool // has dots or brackets
	many bool // has [], and so leads to any number of values
}

// ParsePath reads a name. Every text is one: what is no way into anything is a name alone.
func ParsePath(name string) Path {
	return Path{name: name, deep: strings.ContainsAny(name, ".["), many: strings.Contains(name, "[]")}
}

// named has values by name: a person, a device, an object, a relationship.
type named interface {
	Attribute(name string) value.Value // of this very name; nil if there is none
}

// Of is what a person, or what else has values by name, has where the path leads, nil if nothing; of a path with [] it is a list of all
// that it leads to.
func (p *Path) Of(s named) value.Value {
	if !p.deep {
		return s.Attribute(p.name)
	}
	return p.seek(s)
}

// seek is apart so that names alone, which most paths are, cost no call.
func (p *Path) seek(s named) value.Value {
	var out value.Value
	p.attribute(s, p.gather(&out))
	return p.closed(out)
}

// in is Of for an object.
func (p *Path) in(data value.Value) value.Value {
	if !p.deep {
		return data.Get(p.name)
	}
	return p.seekIn(data)
}

func (p *Path) seekIn(data value.Value) value.Value {
	var out value.Value
	p.property(data, p.gather(&out))
	return p.closed(out)
}

func (p *Path) gather(into *value.Value) func(value.Value) {
	return func(v value.Value) {
		switch {
		case !p.many:
			*into = v
		case *into == nil:
			*into = append(append(*into, '['), v...)
		default:
			*into = append(append(*into, ','), v...)
		}
	}
}

func (p *Path) closed(v value.Value) value.Value {
	if p.many && v != nil {
		v = append(v, ']')
	}
	return v
}

// attribute visits what the path leads to among what s has by name, null too.
func (p *Path) attribute(s named, visit func(value.Value)) {
	if v := s.Attribute(p.name); v != nil {
		visit(v)
		return
	}
	for i := 0; p.deep && i < len(p.name); i++ {
		if c := p.name[i]; c == '.' || c == '[' {
			if v := s.Attribute(p.name[:i]); v != nil && after(v, p.name[i:], visit) {
				return
			}
		}
	}
}

// property visits what the path leads to in an object.
func (p *Path) property(data value.Value, visit func(value.Value)) { reach(data, p.name, visit) }

// reach visits what a path leads to from an object, and reports whether that is anything.
func reach(v value.Value, path string, visit func(value.Value)) bool {
	if f := v.Get(path); f != nil {
		visit(f)
		return true
	}
	for i := 0; i < len(path); i++ {
		if c := path[i]; c == '.' || c == '[' {
			if f := v.Get(path[:i]); f != nil && after(f, path[i:], visit) {
				return true
			}
		}
	}
	return false
}

// after goes on from v with the rest of a path: nothing, or what begins with a dot or a bracket.
func after(v value.Value, rest string, visit func(value.Value)) bool {
	if rest == "" {
		visit(v)
		return true
	}
	if rest[0] == '.' {
		return reach(v, rest[1:], visit)
	}
	place, rest, closed := strings.Cut(rest[1:], "]")
	if !closed || rest != "" && rest[0] != '.' && rest[0] != '[' || v.Kind() != value.Array {
		return false
	}
	if place == "" {
		found := false
		for e := range v.Elements() {
			found = after(e, rest, visit) || found
		}
		return found
	}
	i, err := strconv.Atoi(place)
	if err != nil {
		return false
	}
	e := v.At(i)
	return e != nil && after(e, rest, visit)
}

// Starts lists the names that what the path begins in may have: the path itself, and what stands before each of its dots and brackets.
func (p *Path) Starts() []string {
	out := []string{p.name}
	for i := 0; i < len(p.name); i++ {
		if c := p.name[i]; c == '.' || c == '[' {
			out = append(out, p.name[:i])
		}
	}
	return out
}
