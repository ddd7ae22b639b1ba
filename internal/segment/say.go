package segment

import (
	"fmt"
	"strings"
	"unicode"

	"rapport.example/internal/value"
)

// Sentence says n in English: one sentence without a final period. Conditions with equal canonical forms have equal
// sentences.
func (n *Node) Sentence() string { return n.say("the event's ") }

// say names properties with whose in front of them.
func (n *Node) say(whose string) string {
	if n == nil {
		return "always"
	}
	switch n.kind {
	case all:
		return n.join(", and ", whose)
	case anyOf:
		return n.join(", or ", whose)
	case none:
		return "not (" + n.join(", or ", whose) + ")"
	case attribute, property:
		name := word(n.path.name)
		if n.kind == property {
			name = whose + name
		}
		parts := make([]string, len(n.tests))
		for i := range n.tests {
			parts[i] = n.tests[i].say()
		}
		return name + " " + strings.Join(parts, " and ")
	case happened:
		return n.event.say()
	case device:
		return n.sayDevice()
	case related:
		return n.sayRelated()
	default:
		if n.not {
			return "not in segment " + word(n.name)
		}
		return "in segment " + word(n.name)
	}
}

func (n *Node) sayDevice() string {
	what := "has a device"
	if n.not {
		what = "has no device"
	}
	return what + sayWhere(n.things.where)
}

func (n *Node) sayRelated() string {
	what := fmt.Sprintf("related to an object of type %d", n.things.typ) + sayWhere(n.things.where)
	if n.not {
		what = "not " + what
	}
	if n.things.relationship != nil {
		what += " by a relationship" + sayWhere(n.things.relationship)
	}
	return what
}

func sayWhere(n *Node) string {
	if n == nil {
		return ""
	}
	return " (where " + n.say("its ") + ")"
}

// word quotes a name that could be taken for more than one word.
func word(name string) string {
	for _, c := range name {
		if !strings.ContainsRune("_.-$[]", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return string(value.Quote(name))
		}
	}
	return name
}

func (n *Node) join(with, whose string) string {
	if len(n.children) == 1 {
		return n.children[0].say(whose)
	}
	parts := make([]string, len(n.children))
	for i, c := range n.children {
		parts[i] = c.say(whose)
		if c.several() {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	return strings.Join(parts, with)
}

// several reports whether the sentence of n has parts that a neighbour could be mistaken for.
func (n *Node) several() bool {
	for (n.kind == all || n.kind == anyOf) && len(n.children) == 1 {
		n = n.children[0]
	}
	return n.kind == all || n.kind == anyOf || len(n.tests) > 1
}

func (t *test) say() string {
	switch t.op {
	case opExists:
		if t.want {
			return "is set"
		}
		return "is not set"
	case opIs:
		return "is " + list(t.vals, " or ")
	case opIsNot:
		if len(t.vals) > 1 {
			return "is none of " + list(t.vals, ", ")
		}
		return "is not " + list(t.vals, "")
	case opContains:
		return "contains " + list(t.vals, " or ")
	case opNotContains:
		if len(t.vals) > 1 {
			return "contains none of " + list(t.vals, ", ")
		}
		return "does not contain " + list(t.vals, "")
	case opGreater:
		return "is more than " + t.num.lit
	case opLess:
		return "is less than " + t.num.lit
	case opAtLeast:
		return "is at least " + t.num.lit
	case opAtMost:
		return "is at most " + t.num.lit
	case opBefore:
		return "is before " + t.when.String()
	case opIsTimestamp:
		if t.want {
			return "is a timestamp"
		}
		return "is not a timestamp"
	case opHas:
		return "has one (where " + t.cond.say("its ") + ")"
	default:
		return "is after " + t.when.String()
	}
}

func list(vals []operand, with string) string {
	parts := make([]string, len(vals))
	for i := range vals {
		parts[i] = string(vals[i].raw)
	}
	return strings.Join(parts, with)
}

func (c *count) say() string {
	switch {
	case c.messages != nil && c.dated():
		return c.messages.say(c.spec.Name, false) + c.sayWhen(" for the first time", " for the last time")
	case c.messages != nil:
		return c.messages.say(c.spec.Name, c.most == 0) + c.often("")
	}
	what := c.spec.Type.String() + " " + string(value.Quote(c.spec.Name))
	if c.spec.Where != nil {
		what += " (where " + c.spec.Where.say("its ") + ")"
	}
	switch {
	case c.dated():
		return what + c.sayWhen(" first happened", " last happened")
	case c.most == 0:
		return what + " did not happen" + c.often("")
	}
	return what + c.often(" happened")
}

// often says how often, unless it is never, and within which window.
func (c *count) often(verb string) string {
	switch {
	case c.most == 0:
	case c.most == c.least:
		verb += " exactly " + times(c.least)
	case c.most > 0 && c.least > 0:
		verb += fmt.Sprintf(" %d to %d times", c.least, c.most)
	case c.most > 0:
		verb += " at most " + times(c.most)
	default:
		verb += " at least " + times(c.least)
	}
	if c.window != 0 {
		verb += " within the last " + strings.TrimPrefix(Duration(c.window), "1 ")
	}
	return verb
}

func (c *count) sayWhen(first, last string) string {
	var parts []string
	for _, d := range [...]struct {
		word  string
		tests []test
	}{{first, c.first}, {last, c.last}} {
		for i := range d.tests {
			how := strings.TrimPrefix(d.tests[i].say(), "is")
			if i == 0 {
				how = d.word + how
			}
			parts = append(parts, how)
		}
	}
	return strings.Join(parts, " and")
}

func times(n int64) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}
