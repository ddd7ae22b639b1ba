// Package segment is the condition language: parse, evaluate, explain. The tree knows neither JSON nor SQL; README.md
// shows the language.
package segment

import (
	"slices"

	"rapport.example/internal/event"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// kind says what a node is.
type kind uint8

const (
	all kind = iota + 1
	anyOf
	none
	attribute
	property
	happened
	member
	device
	related
)

// Node is one node of a condition. It is immutable once parsed and safe for concurrent use. The nil Node is always true.
type Node struct {
	kind     kind
	children []*Node // of all, anyOf, none
	at       string  // of leaves: the field of the document that says what it looks at, as Parse names fields
	name     string  // event name or segment slug
	path     Path    // of attribute and property
	tests    []test  // of attribute and property: all must hold
	event    *count  // of happened
	not      bool    // of member: not in the segment; of device and related: there is none
	things   *things // of device and related
	heading  string  // see Heading
}

// test is one operator with its operand.
type test struct {
	op   op
	vals []operand // is, is_not, contains, not_contains: any of them
	num  number    // greater, less, at_least, at_most
	when moment    // before, after
	want bool      // exists, is_timestamp
	cond *Node     // has: groups and properties, of the object that the value is
}

// op is an operator. A leaf keeps its tests in this order, so that equal conditions have equal canonical forms.
type op uint8

const (
	opIs op = iota + 1
	opIsNot
	opContains
	opNotContains
	opGreater
	opLess
	opAtLeast
	opAtMost
	opAfter
	opBefore
	opExists
	opIsTimestamp
	opHas
)

// negative reports whether the test is true of what is missing: it asks that a value is not so.
func (t *test) negative() bool {
	return t.op == opIsNot || t.op == opNotContains || (t.op == opExists || t.op == opIsTimestamp) && !t.want
}

// operand is a literal, read once all the ways it can be compared.
type operand struct {
	raw    value.Value
	kind   value.Kind // String, Number or Bool
	lower  string     // its text in lower case, for contains
	num    number     // if isNum
	isNum  bool
	truth  bool // if isBool
	isBool bool
}

// number is a JSON number: its nearest float64, and its literal for what a float64 cannot tell apart. A bound is finite.
type number struct {
	f   float64
	lit string
}

// moment is a point in time: absolute, or relative to now.
type moment struct {
	relative bool
	ms       int64 // Unix ms, or offset to now
}

// count is what an event condition asks: how often, within which window, or when for the first and the last time.
type count struct {
	spec   FactSpec
	first  []test // before and after
	last   []test
	least  int64 // at least this often; 0 = no lower bound
	most   int64 // at most this often; -1 = no upper bound
	window int64 // ms; 0 = ever

	messages *messages // of a message condition: which messages
}

// aged says that the answer depends on the profile's age: "not within the last 30 days" is false until it is that old.
func (c *count) aged() bool { return c.window != 0 && c.most == 0 }

// FactSpec is what must be kept about a person's events so that one event condition can be answered.
type FactSpec struct {
	Key   uint64 // xxhash of type, name and canonical property filter: equal ones share it. Stored in people's documents.
	Type  event.Type
	Name  string
	Where *Node // on the event's data; nil matches every event of the name
	Keep  int   // how many of the newest times are needed
}

// Subject is one person as conditions see them.
type Subject interface {
	Attribute(name string) value.Value // of this very name; nil if it is not set
	Data() value.Value                 // of the triggering event, an object; nil if there is none
	Fact(key uint64) person.Fact       // the zero Fact if it never happened
	Member(slug string) bool           // whether the person is in the segment now
	Since() int64                      // start of the profile's age, Unix ms
	Devices() []person.Device          // tokens may be missing
	Related(typ int64) []object.Link   // the person's relationships with objects of a type, by object
}

// Result is an answer with its shelf life.
type Result struct {
	Match bool
	Next  int64 // Unix ms of the earliest moment at which the answer could differ with no new data; 0 = never
}

// Mentions are all things whose change can change a condition's answer.
type Mentions struct {
	Attributes []string // names that a person's attribute may have: of a path, all in which it may start
	Chains     []string // event.ChainName of events
	Segments   []string // slugs
	Devices    bool     // the person's devices
	Objects    []ObjectField
	Age        bool // the start of the profile's age, Subject.Since: it moves when an event older than all before comes in
}

// ObjectField is an attribute of the objects of a type, by its name; with "" it is which objects people are related to, and what their
// relationships have.
type ObjectField struct {
	Type int64
	Name string
}

// walk visits n and everything under it, parents first.
func (n *Node) walk(visit func(*Node)) {
	if n == nil {
		return
	}
	visit(n)
	for _, c := range n.children {
		c.walk(visit)
	}
}

// Specs lists what the event conditions in n need kept. A condition that occurs twice is listed twice.
func (n *Node) Specs() []FactSpec {
	var out []FactSpec
	n.walk(func(n *Node) {
		if n.kind == happened {
			out = append(out, n.event.spec)
		}
	})
	return out
}

// Name is a name in a condition, with the field where it stands as Parse names fields. One of the others is set.
type Name struct {
	At        string
	Attribute Path
	Event     string // of the type
	Type      event.Type
	Segment   string // slug
}

// Names lists the attributes, events and segments that n looks at by name, in the document's order.
func (n *Node) Names() []Name {
	var out []Name
	n.walk(func(n *Node) {
		switch n.kind {
		case attribute:
			out = append(out, Name{At: n.at, Attribute: n.path})
		case happened:
			if n.event.messages == nil {
				out = append(out, Name{At: n.at, Event: n.event.spec.Name, Type: n.event.spec.Type})
			}
		case member:
			out = append(out, Name{At: n.at, Segment: n.name})
		default:
		}
	})
	return out
}

// Mentions collects what n looks at, each once.
func (n *Node) Mentions() Mentions {
	var m Mentions
	n.walk(func(n *Node) {
		switch n.kind {
		case attribute:
			for _, name := range n.path.Starts() {
				m.Attributes = once(m.Attributes, name)
			}
		case happened:
			m.Chains = once(m.Chains, event.ChainName(n.event.spec.Type, n.event.spec.Name))
			m.Age = m.Age || n.event.aged()
		case member:
			m.Segments = once(m.Segments, n.name)
		case device:
			m.Devices = true
		case related:
			for _, f := range n.things.mentions() {
				m.Objects = once(m.Objects, f)
			}
		default:
		}
	})
	return m
}

// once appends to a list what is not in it.
func once[T comparable](list []T, x T) []T {
	if slices.Contains(list, x) {
		return list
	}
	return append(list, x)
}
