package definition

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"rapport.example/internal/ingest"
	"rapport.example/internal/value"
)

// Change is one definition that applying a document would add, change or remove.
type Change struct {
	Kind   string      `json:"kind"`
	Slug   string      `json:"id"`
	Name   string      `json:"name,omitempty"`
	Fields []string    `json:"fields,omitempty"` // Change: dotted paths of what differs, sorted, at most MaxFields
	Before value.Value `json:"-"`                // nil for an added one
	After  value.Value `json:"-"`                // nil for a removed one
}

// MaxFields bounds Change.Fields.
const MaxFields = 50

// Plan is what applying a document would do. Add and Change are in the document's order, Remove in that of Kinds reversed,
// so that what refers goes before what it refers to.
type Plan struct {
	Add    []Change `json:"add"`
	Change []Change `json:"change"`
	Remove []Change `json:"remove"`
	Same   int      `json:"same"` // definitions of the document that are there already
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Add)+len(p.Change)+len(p.Remove) == 0 }

// Payload is the op that carries the plan out, without a workspace name.
func (p *Plan) Payload() ingest.DefinePayload {
	var out ingest.DefinePayload
	for _, list := range [][]Change{p.Add, p.Change} {
		for _, c := range list {
			out.Put = append(out.Put, ingest.Definition{Kind: c.Kind, Slug: c.Slug, Body: c.After})
		}
	}
	for _, c := range p.Remove {
		out.Delete = append(out.Delete, ingest.Definition{Kind: c.Kind, Slug: c.Slug})
	}
	return out
}

// Diff compares the current definitions with a document. Two definitions are the same when their JSON is, the order of
// keys aside; a default that is spelled out differs from one that is not. With prune, definitions that the document
// leaves out are removed, manual segments that were made through an API among them.
func Diff(current []Row, doc *Document, prune bool) Plan {
	there := index(current)
	plan := Plan{Add: []Change{}, Change: []Change{}, Remove: []Change{}}
	named := map[key]bool{}
	for _, d := range doc.Definitions {
		k := key{d.Kind, d.Slug}
		named[k] = true
		c := Change{Kind: d.Kind, Slug: d.Slug, Name: d.Body.Get("name").Text(), After: d.Body}
		old := there[k]
		switch {
		case old == nil:
			plan.Add = append(plan.Add, c)
		case same(old.Body, d.Body):
			plan.Same++
		default:
			c.Before = old.Document()
			c.Fields = fields(c.Before, c.After)
			plan.Change = append(plan.Change, c)
		}
	}
	if !prune {
		return plan
	}
	for k, old := range there {
		if !named[k] {
			plan.Remove = append(plan.Remove, Change{Kind: k.kind, Slug: k.slug, Name: old.Body.Get("name").Text(), Before: old.Document()})
		}
	}
	slices.SortFunc(plan.Remove, func(a, b Change) int {
		return cmp.Or(cmp.Compare(rank(b.Kind), rank(a.Kind)), strings.Compare(a.Slug, b.Slug))
	})
	return plan
}

func rank(kind string) int { return slices.Index(Kinds(), kind) }

// same reports whether two bodies are one document: equal JSON but for the order of keys and private keys.
func same(a, b value.Value) bool {
	return bytes.Equal(normal(public(a)), normal(public(b)))
}

// normal sorts the keys of all objects in v.
func normal(v value.Value) value.Value {
	switch v.Kind() {
	case value.Object:
		type member struct {
			name string
			v    value.Value
		}
		var members []member
		for k, f := range v.Fields() {
			members = append(members, member{k, normal(f)})
		}
		slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
		var out value.Builder
		for _, m := range members {
			out.Set(m.name, m.v)
		}
		return out.Value()
	case value.Array:
		out := []byte{'['}
		for e := range v.Elements() {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, normal(e)...)
		}
		return append(out, ']')
	default:
		return v
	}
}

// fields lists the paths at which a and b differ. Lists are compared as wholes unless their elements carry ids.
func fields(a, b value.Value) []string {
	set := map[string]bool{}
	differ("", a, b, set)
	out := make([]string, 0, len(set))
	for f := range set {
		out = append(out, f)
	}
	slices.Sort(out)
	return out[:min(len(out), MaxFields)]
}

func differ(path string, a, b value.Value, set map[string]bool) {
	switch {
	case bytes.Equal(normal(a), normal(b)):
	case a.Kind() == value.Object && b.Kind() == value.Object:
		for k, f := range a.Fields() {
			differ(dotted(path, k), f, b.Get(k), set)
		}
		for k, f := range b.Fields() {
			if a.Get(k) == nil {
				differ(dotted(path, k), nil, f, set)
			}
		}
	case identified(a) && identified(b):
		differ(path, byID(a), byID(b), set)
		if len(set) == 0 { // the same elements in another order
			set[path] = true
		}
	default:
		set[path] = true
	}
}

// identified reports whether v is a list whose elements all have an id, as the steps of a workflow do.
func identified(v value.Value) bool {
	if v.Kind() != value.Array || len(v) == 2 {
		return false
	}
	for e := range v.Elements() {
		if e.Get("id").Kind() != value.String {
			return false
		}
	}
	return true
}

// byID turns such a list into an object by id.
func byID(list value.Value) value.Value {
	var out value.Builder
	for e := range list.Elements() {
		out.Set(e.Get("id").Text(), e)
	}
	return out.Value()
}

func dotted(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
