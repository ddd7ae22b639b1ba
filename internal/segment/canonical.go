package segment

import (
	"rapport.example/internal/event"
	"rapport.example/internal/value"
)

// Canonical writes n back as JSON that Parse reads as the same condition, always in one form: operators in a fixed order,
// moments and durations spelled one way, groups of one condition left out. The nil Node is nil. Keys of facts depend on
// the form: it must not change for conditions that are in use.
func (n *Node) Canonical() value.Value {
	if n == nil {
		return nil
	}
	var b value.Builder
	switch n.kind {
	case all, anyOf:
		if len(n.children) == 1 {
			return n.children[0].Canonical()
		}
		b.Set(map[kind]string{all: "all", anyOf: "any"}[n.kind], n.list())
	case none:
		if len(n.children) == 1 {
			b.Set("not", n.children[0].Canonical())
		} else {
			b.Set("none", n.list())
		}
	case attribute, property:
		b.Set(map[kind]string{attribute: "attribute", property: "property"}[n.kind], value.Quote(n.path.name))
		for i := range n.tests {
			n.tests[i].canonical(&b)
		}
	case happened:
		n.event.canonical(&b)
	case device:
		b.Set("device", value.OfBool(!n.not)).Set("where", n.things.where.Canonical())
	case related:
		b.Set("object", value.Int(n.things.typ)).Set("where", n.things.where.Canonical()).Set("relationship", n.things.relationship.Canonical())
		if n.not {
			b.Set("related", value.False)
		}
	default:
		word := "segment"
		if n.not {
			word = "not_segment"
		}
		b.Set(word, value.Quote(n.name))
	}
	return b.Value()
}

func (n *Node) list() value.Value {
	out := value.Value{'['}
	for i, c := range n.children {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, c.Canonical()...)
	}
	return append(out, ']')
}

func (t *test) canonical(b *value.Builder) {
	switch t.op {
	case opExists:
		b.Set("exists", value.OfBool(t.want))
	case opIs:
		b.Set("is", literals(t.vals))
	case opIsNot:
		b.Set("is_not", literals(t.vals))
	case opContains:
		b.Set("contains", literals(t.vals))
	case opNotContains:
		b.Set("not_contains", literals(t.vals))
	case opGreater:
		b.Set("greater", value.Value(t.num.lit))
	case opLess:
		b.Set("less", value.Value(t.num.lit))
	case opAtLeast:
		b.Set("at_least", value.Value(t.num.lit))
	case opAtMost:
		b.Set("at_most", value.Value(t.num.lit))
	case opAfter:
		b.Set("after", t.when.literal())
	case opBefore:
		b.Set("before", t.when.literal())
	case opIsTimestamp:
		b.Set("is_timestamp", value.OfBool(t.want))
	case opHas:
		b.Set("has", t.cond.Canonical())
	}
}

func literals(vals []operand) value.Value {
	if len(vals) == 1 {
		return vals[0].raw
	}
	out := value.Value{'['}
	for i := range vals {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, vals[i].raw...)
	}
	return append(out, ']')
}

func (c *count) canonical(b *value.Builder) {
	switch {
	case c.messages != nil:
		c.messages.canonical(b, c.spec.Name)
	default:
		b.Set("event", value.Quote(c.spec.Name))
		if c.spec.Type != event.Track {
			b.Set("type", value.Quote(c.spec.Type.String()))
		}
	}
	switch {
	case c.dated():
		dates(b, "first", c.first)
		dates(b, "last", c.last)
	case c.least == c.most:
		b.Set("exactly", value.Int(c.least))
	default:
		if c.least > 0 {
			b.Set("at_least", value.Int(c.least))
		}
		if c.most >= 0 {
			b.Set("at_most", value.Int(c.most))
		}
	}
	if c.window != 0 {
		b.Set("within", value.Quote(durationLiteral(c.window)))
	}
	if c.messages == nil {
		b.Set("where", c.spec.Where.Canonical())
	}
}

func dates(b *value.Builder, word string, tests []test) {
	if len(tests) == 0 {
		return
	}
	var d value.Builder
	for i := range tests {
		tests[i].canonical(&d)
	}
	b.Set(word, d.Value())
}
