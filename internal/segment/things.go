package segment

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rapport.example/internal/fault"
	"rapport.example/internal/object"
	"rapport.example/internal/value"
)

// things is what a condition on a person's devices, or on the objects that they are related to, asks: whether there is at least one
// that meets it. A nil Node is met by all.
type things struct {
	where        *Node // on the fields of one of them
	typ          int64 // of objects
	relationship *Node // on what the relationship with the same object has
}

// device reads {device: true} and {device: false}, each with or without where.
func (p *parser) device(doc value.Value, path string, depth int) (*Node, error) {
	if err := only(doc, path, "device", "where"); err != nil {
		return nil, err
	}
	has, err := boolean(doc.Get("device"), join(path, "device"))
	if err != nil {
		return nil, err
	}
	n := &Node{kind: device, not: !has, things: &things{}}
	if n.things.where, err = p.fields(doc, path, "where", depth, inDevice); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(n.things.where.paths(), func(p *Path) bool { return slices.Contains(p.Starts(), "token") }) {
		return nil, fault.Field(join(path, "where"), "must not look at the token: it is a secret between the device and its maker")
	}
	return n, nil
}

// related reads {object: type} with where, relationship and related: false.
func (p *parser) related(doc value.Value, path string, depth int) (*Node, error) {
	if err := only(doc, path, "object", "where", "relationship", "related"); err != nil {
		return nil, err
	}
	n := &Node{kind: related, things: &things{}}
	var err error
	if n.things.typ, err = strconv.ParseInt(doc.Get("object").Text(), 10, 64); err != nil || n.things.typ < 1 || n.things.typ > object.MaxType {
		return nil, fault.Field(join(path, "object"), "must be the number of an object type, from 1")
	}
	if v := doc.Get("related"); v != nil {
		is, err := boolean(v, join(path, "related"))
		if err != nil {
			return nil, err
		}
		n.not = !is
	}
	if n.things.where, err = p.fields(doc, path, "where", depth, inObject); err != nil {
		return nil, err
	}
	n.things.relationship, err = p.fields(doc, path, "relationship", depth, inRelationship)
	return n, err
}

// fields reads the condition on what one thing has that stands under a word, nil if none does.
func (p *parser) fields(doc value.Value, path, word string, depth int, at place) (*Node, error) {
	w := doc.Get(word)
	if w == nil {
		return nil, nil
	}
	return p.node(w, join(path, word), depth+1, at)
}

// of is Eval for a tree that has nothing but groups and properties, of one thing.
func (n *Node) of(f named, now int64) Result {
	switch {
	case n == nil:
		return Result{Match: true}
	case n.kind == property:
		return n.ofNamed(f, now)
	}
	t := tally{decides: n.kind != all}
	for _, c := range n.children {
		if t.add(c.of(f, now)) {
			break
		}
	}
	r := t.result()
	r.Match = r.Match != (n.kind == none)
	return r
}

// devices answers whether one of the person's devices meets where; it turns as an "any" over them does.
func (n *Node) devices(s Subject, now int64) Result {
	t, list := tally{decides: true}, s.Devices()
	for i := range list {
		if t.add(n.things.where.of(&list[i], now)) {
			break
		}
	}
	r := t.result()
	r.Match = r.Match != n.not
	return r
}

// links answers whether one of the person's relationships with objects of the type meets both conditions; it turns as an "any" over
// them does.
func (n *Node) links(s Subject, now int64) Result {
	t := tally{decides: true}
	for _, l := range s.Related(n.things.typ) {
		if t.add(n.things.link(l, now)) {
			break
		}
	}
	r := t.result()
	r.Match = r.Match != n.not
	return r
}

// link answers both conditions for one object and the relationship with it.
func (h *things) link(l object.Link, now int64) Result {
	both := tally{}
	if !both.add(h.where.of(l.Object, now)) {
		both.add(h.relationship.of(l.Relationship, now))
	}
	return both.result()
}

// mentions are the attributes of objects that a condition looks at, and that it looks at relationships.
func (h *things) mentions() []ObjectField {
	out := []ObjectField{{Type: h.typ}}
	for _, path := range h.where.paths() {
		for _, name := range path.Starts() {
			out = append(out, ObjectField{h.typ, name})
		}
	}
	return out
}

// paths lists where n looks, in order, each once.
func (n *Node) paths() (out []*Path) {
	n.walk(func(n *Node) {
		if n.kind == property && !slices.ContainsFunc(out, func(p *Path) bool { return *p == n.path }) {
			out = append(out, &n.path)
		}
	})
	return out
}

// have says in words what a thing has where n looks.
func (n *Node) have(f named) string {
	var parts []string
	for _, path := range n.paths() {
		parts = append(parts, word(path.name)+" "+shorten(path.Of(f)))
	}
	return strings.Join(parts, ", ")
}

// shownThings is how many of the things that meet a condition are named.
const shownThings = 3

// devicesValue says which of the person's devices meet where, by what it looks at. Their tokens are no one's business.
func (n *Node) devicesValue(s Subject, now int64) string {
	list, where := s.Devices(), n.things.where
	var meet []string
	for i := range list {
		if where.of(&list[i], now).Match {
			meet = append(meet, where.have(&list[i]))
		}
	}
	return counted(len(list), "device", meet)
}

// linksValue says which objects meet the condition, by their ids and by what it looks at.
func (n *Node) linksValue(s Subject, now int64) string {
	list := s.Related(n.things.typ)
	var meet []string
	for _, l := range list {
		if !n.things.link(l, now).Match {
			continue
		}
		said := []string{word(l.Object.ID)}
		for _, more := range []string{n.things.where.have(l.Object), n.things.relationship.have(l.Relationship)} {
			if more != "" {
				said = append(said, more)
			}
		}
		meet = append(meet, strings.Join(said, ", "))
	}
	return counted(len(list), "object", meet)
}

// counted says how many of a person's things meet a condition, and what some of those have.
func counted(all int, name string, meet []string) string {
	of := fmt.Sprintf("%d %ss", all, name)
	switch all {
	case 0:
		return "no " + name
	case 1:
		of = "1 " + name
	}
	if len(meet) < all {
		of = fmt.Sprintf("%d of %s", len(meet), of)
	}
	said := slices.DeleteFunc(meet, func(s string) bool { return s == "" })
	if more := len(said) - shownThings; more > 0 {
		said = append(said[:shownThings], fmt.Sprintf("and %d more", more))
	}
	if len(said) > 0 {
		of += ": " + strings.Join(said, "; ")
	}
	return of
}
