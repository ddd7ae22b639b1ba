package segment

import "rapport.example/internal/value"

// Shape is a node as evaluators over many people see it: what it looks at, but not how values are compared. Exactly one of the
// pointers is set, or Group is; Other nodes can be evaluated for one Subject at a time only.
type Shape struct {
	Group     Group
	Children  []*Node // of a group
	At        string  // of leaves: the field that says what it looks at, as Parse names fields
	Attribute string  // name of or path to what it looks at
	Event     *Count
	Segment   string // slug
	Not       bool   // of Segment: not in it
	Other     bool
}

// Group says how a group joins its children.
type Group uint8

// The groups. NoGroup is a leaf.
const (
	NoGroup Group = iota
	All
	Any
	None
)

// Count is what an event condition asks. At a moment now it is met by a person whose fact F of Key has, without a Window,
// Least ≤ F.Count ≤ Most; with one, so many of F.Newest above now - Window; and if Aged, whose profile's age began at or before that.
// With First or Last that is not asked, but whether F.First and F.Newest[0] are there and meet them.
type Count struct {
	Spec   FactSpec
	First  Dates
	Last   Dates
	Least  int64 // 0 = no lower bound
	Most   int64 // -1 = no upper bound
	Window int64 // ms; 0 = ever
	Aged   bool
}

// Shape tells what the node is. The nil Node is an All without children.
func (n *Node) Shape() Shape {
	if n == nil {
		return Shape{Group: All}
	}
	switch n.kind {
	case all:
		return Shape{Group: All, Children: n.children}
	case anyOf:
		return Shape{Group: Any, Children: n.children}
	case none:
		return Shape{Group: None, Children: n.children}
	case attribute:
		return Shape{At: n.at, Attribute: n.path.name}
	case happened:
		c := n.event
		return Shape{At: n.at, Event: &Count{Spec: c.spec, First: c.first, Last: c.last, Least: c.least, Most: c.most, Window: c.window, Aged: c.aged()}}
	case member:
		return Shape{At: n.at, Segment: n.name, Not: n.not}
	default:
		return Shape{At: n.at, Other: true}
	}
}

// Holds answers an attribute leaf for what Path.Of found; nil is no value.
func (n *Node) Holds(v value.Value, now int64) bool {
	if !n.path.many {
		return evalTests(n.tests, v, now).Match
	}
	m := several{tests: n.tests, now: now, found: tally{decides: true}}
	for e := range v.Elements() {
		m.add(e)
	}
	return m.result().Match
}

// Timed reports whether an attribute leaf asks one value for moments alone: then HoldsAt answers as Holds does for every value that
// is a timestamp, and no other value meets it.
func (n *Node) Timed() bool {
	if n.path.many {
		return false
	}
	for i := range n.tests {
		if op := n.tests[i].op; op != opBefore && op != opAfter {
			return false
		}
	}
	return len(n.tests) > 0
}

// HoldsAt answers a timed leaf for a timestamp in Unix ms.
func (n *Node) HoldsAt(ms, now int64) bool { return Dates(n.tests).Hold(ms, now) }

// Dates are befores and afters that all have to hold.
type Dates []test

// Hold answers them for a moment in Unix ms.
func (d Dates) Hold(ms, now int64) bool {
	for i := range d {
		if t := &d[i]; !t.when.eval(ms, now, t.op == opBefore).Match {
			return false
		}
	}
	return true
}

// Timestamp reads a value as before and after do.
func Timestamp(v value.Value) (ms int64, ok bool) { return readTime(v) }
