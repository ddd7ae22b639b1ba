package filter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rapport.example/internal/fault"
	"rapport.example/internal/object"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// People reads a filter of people. path is where doc stands in the caller's JSON and leads the messages of errors, which are
// Invalid faults of the field that is wrong. Leaves may stand without the word segment or attribute around them, as in the
// vendor's older documents.
func People(doc value.Value, path string) (*Filter, error) {
	return (&parser{leaf: "attribute"}).filter(doc, path, 0)
}

// Objects reads a filter of objects, whose leaves are object_attribute alone; else as People.
func Objects(doc value.Value, path string) (*Filter, error) {
	return (&parser{leaf: "object_attribute"}).filter(doc, path, 0)
}

type parser struct {
	leaf   string // the word for an attribute
	leaves int
}

func (p *parser) objects() bool { return p.leaf == "object_attribute" }

// words are what a filter can begin with.
func (p *parser) words() []string {
	if p.objects() {
		return []string{"and", "or", "not", p.leaf}
	}
	return []string{"and", "or", "not", "segment", p.leaf}
}

func (p *parser) filter(doc value.Value, path string, depth int) (*Filter, error) {
	switch {
	case doc.Kind() == value.Absent || doc.Kind() == value.Null:
		return nil, fault.Field(path, "is required: a filter is an object with one of %s", strings.Join(p.words(), ", "))
	case doc.Kind() != value.Object:
		return nil, fault.Field(path, "must be an object with one of %s", strings.Join(p.words(), ", "))
	case depth > MaxDepth:
		return nil, fault.Field(path, "is nested deeper than %d levels", MaxDepth)
	}
	word, err := p.word(doc, path)
	if err != nil {
		return nil, err
	}
	switch under := join(path, word); word {
	case "and", "or":
		return p.group(word, doc.Get(word), under, path, depth)
	case "not":
		part, err := p.filter(doc.Get(word), under, depth+1)
		if err != nil {
			return nil, err
		}
		return &Filter{Kind: Not, Parts: []*Filter{part}, Path: path}, nil
	case "segment":
		return p.segment(doc.Get(word), under)
	case "id":
		return p.segment(doc, path)
	case "field", "operator":
		return p.attribute(doc, path)
	default:
		return p.attribute(doc.Get(word), under)
	}
}

// word is the one member that says what a filter is. A bare leaf has some of its own.
func (p *parser) word(doc value.Value, path string) (word string, err error) {
	for _, bare := range []string{"field", "operator", "id"} {
		if doc.Get(bare) != nil && (bare != "id" || !p.objects()) {
			return bare, nil // what else there is, the leaf looks at
		}
	}
	for k := range doc.Fields() {
		switch {
		case !slices.Contains(p.words(), k):
			if near := fault.Nearest(k, p.words()); near != "" {
				return "", fault.Field(join(path, k), "is not known here; did you mean %s?", near)
			}
			return "", fault.Field(join(path, k), "is not known here; known are %s", strings.Join(p.words(), ", "))
		case word != "":
			return "", fault.Field(join(path, k), "cannot stand beside %s: make each a filter of its own in and or or", word)
		}
		word = k
	}
	if word == "" {
		return "", fault.Field(path, "is empty: write one of %s", strings.Join(p.words(), ", "))
	}
	return word, nil
}

func (p *parser) group(word string, list value.Value, at, path string, depth int) (*Filter, error) {
	f := &Filter{Kind: And, Path: path}
	if word == "or" {
		f.Kind = Or
	}
	if list.Kind() != value.Array {
		return nil, fault.Field(at, "must be a list of filters")
	}
	for e := range list.Elements() {
		part, err := p.filter(e, fmt.Sprintf("%s[%d]", at, len(f.Parts)), depth+1)
		if err != nil {
			return nil, err
		}
		f.Parts = append(f.Parts, part)
	}
	if len(f.Parts) == 0 {
		return nil, fault.Field(at, "must have at least one filter")
	}
	return f, nil
}

func (p *parser) count(path string) error {
	if p.leaves++; p.leaves > MaxLeaves {
		return fault.Field(path, "is one too many: a filter has at most %d segments and attributes", MaxLeaves)
	}
	return nil
}

func (p *parser) segment(doc value.Value, path string) (*Filter, error) {
	if err := p.leafOf(doc, path, "id"); err != nil {
		return nil, err
	}
	id, ok := whole(doc.Get("id"))
	if !ok {
		return nil, fault.Field(join(path, "id"), "must be a segment's number")
	}
	return &Filter{Kind: Segment, Segment: id, Path: path}, nil
}

// leafOf counts a leaf and looks at the names of its members.
func (p *parser) leafOf(doc value.Value, path string, known ...string) error {
	if err := p.count(path); err != nil {
		return err
	}
	if doc.Kind() != value.Object {
		return fault.Field(path, "must be an object with %s", strings.Join(known, ", "))
	}
	for k := range doc.Fields() {
		if !slices.Contains(known, k) {
			return fault.Field(join(path, k), "is not known here; known are %s", strings.Join(known, ", "))
		}
	}
	return nil
}

// whole reads a number from 1 that JSON holds as a number or as text.
func whole(v value.Value) (int64, bool) {
	if v.Kind() != value.Number && v.Kind() != value.String {
		return 0, false
	}
	n, err := strconv.ParseInt(v.Text(), 10, 64)
	return n, err == nil && n > 0
}

func (p *parser) attribute(doc value.Value, path string) (*Filter, error) {
	known := []string{"field", "operator", "value"}
	if p.objects() {
		known = append(known, "type_id")
	}
	if err := p.leafOf(doc, path, known...); err != nil {
		return nil, err
	}
	f := &Filter{Field: doc.Get("field").Text(), Value: doc.Get("value"), Path: path, objects: p.objects()}
	if doc.Get("field").Kind() != value.String || f.Field == "" || len(f.Field) > MaxField {
		return nil, fault.Field(join(path, "field"), "must be the name of an attribute, of 1 to %d bytes", MaxField)
	}
	if t := doc.Get("type_id"); t != nil {
		ok := false
		if f.Type, ok = whole(t); !ok || f.Type > object.MaxType {
			return nil, fault.Field(join(path, "type_id"), "must be the number of a type of objects")
		}
	}
	switch op := doc.Get("operator"); {
	case op == nil:
		return nil, fault.Field(join(path, "operator"), "is required: eq or exists")
	case op.Text() == "exists":
		f.Kind = Exists
	case op.Text() == "eq":
		f.Kind = Equals
	default:
		return nil, fault.Field(join(path, "operator"), "must be eq or exists")
	}
	return f, f.operand()
}

// operand looks at the value. An attribute is never null or empty: writing these removes it.
func (f *Filter) operand() (err error) {
	at := join(f.Path, "value")
	if f.Kind == Exists {
		if yes, _ := f.Value.Bool(); !f.Value.Empty() && !yes {
			return fault.Field(at, "must be left out with exists; put the filter into not for what does not exist")
		}
		f.Value = nil
		return nil
	}
	switch k := f.Value.Kind(); {
	case f.Value.Empty():
		return fault.Field(at, "is required with eq, and must not be empty: ask exists, within not, for what is not set")
	case k != value.String && k != value.Number && k != value.Bool:
		return fault.Field(at, "must be text, a number, true or false")
	case len(f.Value) > MaxValue:
		return fault.Field(at, "is longer than %d bytes", MaxValue)
	}
	if _, ok := f.Identifier(); ok {
		return nil
	}
	var b value.Builder
	f.is, err = segment.Parse(b.Set("attribute", value.Quote(f.Field)).Set("is", f.Value).Value(), at)
	return err
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
