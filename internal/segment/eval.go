package segment

import (
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// Eval answers n for one person at now (Unix ms). It allocates nothing but for arrays and text that is not ASCII.
//
// Next is never later than the true next change, so an answer may be looked at again too early, never too late; for a
// single event condition or operator it is exact. Evaluating at Next gives the new answer, one ms before still the old.
func (n *Node) Eval(s Subject, now int64) Result {
	if n == nil {
		return Result{Match: true}
	}
	switch n.kind {
	case all:
		return n.group(s, now, false)
	case anyOf:
		return n.group(s, now, true)
	case none:
		r := n.group(s, now, true)
		r.Match = !r.Match
		return r
	case attribute:
		if n.path.deep {
			return n.ofNamed(s, now)
		}
		return evalTests(n.tests, s.Attribute(n.path.name), now)
	case property:
		return n.ofData(s.Data(), now)
	case happened:
		return n.event.eval(s, now)
	case device:
		return n.devices(s, now)
	case related:
		return n.links(s, now)
	default: // member; it has no moment of its own: the other segment has
		return Result{Match: s.Member(n.name) != n.not}
	}
}

// ofNamed answers a leaf of operators for what has values by name.
func (n *Node) ofNamed(s named, now int64) Result {
	if n.path.many {
		m := several{tests: n.tests, now: now, found: tally{decides: true}}
		n.path.attribute(s, m.add)
		return m.result()
	}
	return evalTests(n.tests, n.path.Of(s), now)
}

// group answers "any" and, with decides = false, "all". One child that is as decides says is enough to make the group
// so; it stays so until the last of these children turns, and otherwise until the first of the others does.
func (n *Node) group(s Subject, now int64, decides bool) Result {
	t := tally{decides: decides}
	for _, c := range n.children {
		if t.add(c.Eval(s, now)) {
			break
		}
	}
	return t.result()
}

// on is Eval for a tree that has nothing but groups and properties, of an object.
func (n *Node) on(data value.Value, now int64) Result {
	if n == nil {
		return Result{Match: true}
	}
	if n.kind == property {
		return n.ofData(data, now)
	}
	t := tally{decides: n.kind != all}
	for _, c := range n.children {
		if t.add(c.on(data, now)) {
			break
		}
	}
	r := t.result()
	r.Match = r.Match != (n.kind == none)
	return r
}

func (n *Node) ofData(data value.Value, now int64) Result {
	if n.path.many {
		m := several{tests: n.tests, now: now, found: tally{decides: true}}
		n.path.property(data, m.add)
		return m.result()
	}
	return evalTests(n.tests, n.path.in(data), now)
}

// several answers the operators of a leaf whose path leads to any number of values: one of them has to meet all that ask for
// something, and none may be what the others ask it not to be.
type several struct {
	tests  []test
	now    int64
	found  tally // what each value came to
	enough bool  // no further value can change that
	denied bool
}

func (m *several) add(v value.Value) {
	t, done := tally{}, m.enough
	for i := range m.tests {
		switch one := &m.tests[i]; {
		case one.negative():
			m.denied = m.denied || !one.eval(v, m.now).Match
		case !done:
			done = t.add(one.eval(v, m.now))
		}
	}
	m.enough = m.enough || m.found.add(t.result())
}

func (m *several) result() Result {
	if m.denied {
		return Result{}
	}
	for i := range m.tests {
		if !m.tests[i].negative() {
			return m.found.result()
		}
	}
	return Result{Match: true}
}

// tally combines the answers of a group's children or of a leaf's operators.
type tally struct {
	decides bool  // what one child must be to decide: true for any, false for all
	decided bool  // one was
	never   bool  // and it never turns by itself
	last    int64 // when the last of those that were turns
	first   int64 // when the first of the others turns
}

// add reports that no further child can change anything.
func (t *tally) add(r Result) bool {
	if r.Match != t.decides {
		if t.first == 0 || r.Next != 0 && r.Next < t.first {
			t.first = r.Next
		}
		return false
	}
	t.decided = true
	t.never = r.Next == 0
	t.last = max(t.last, r.Next)
	return t.never
}

func (t *tally) result() Result {
	switch {
	case !t.decided:
		return Result{!t.decides, t.first}
	case t.never:
		return Result{Match: t.decides}
	default:
		return Result{t.decides, t.last}
	}
}

// eval answers an event condition. The window at now is (now - window, ∞): an event at t leaves it at exactly t + window,
// and one whose own time lies ahead of now is in it already. Leaving such events out until their time has come would take
// more than the newest times: they could push out the ones that count now.
func (c *count) eval(s Subject, now int64) Result {
	f := s.Fact(c.spec.Key)
	if c.dated() {
		return c.evalDates(&f, now)
	}
	if c.window == 0 {
		return Result{Match: f.Count >= c.least && (c.most < 0 || f.Count <= c.most)}
	}
	edge := now - c.window
	low, enough := int64(0), c.least == 0
	if k := c.least; k > 0 && k <= int64(len(f.Newest)) {
		low = f.Newest[k-1]
		enough = low > edge
	}
	if k := c.most; k >= 0 && k < int64(len(f.Newest)) && f.Newest[k] > edge { // one too many
		high := f.Newest[k]
		switch {
		case c.aged():
			return Result{false, max(high, s.Since()) + c.window}
		case c.least > 0 && low == high: // when this one leaves, those needed leave with it
			return Result{}
		}
		return Result{false, high + c.window}
	}
	switch {
	case c.aged() && s.Since() > edge:
		return Result{false, s.Since() + c.window}
	case enough && c.least > 0:
		return Result{true, low + c.window}
	default:
		return Result{Match: enough}
	}
}

// dated reports whether the condition asks when, rather than how often.
func (c *count) dated() bool { return len(c.first)+len(c.last) > 0 }

// evalDates answers first and last, which ask of every event that was counted, also those whose own time lies ahead.
func (c *count) evalDates(f *person.Fact, now int64) Result {
	if f.Count == 0 || len(c.last) > 0 && len(f.Newest) == 0 {
		return Result{}
	}
	t := tally{}
	for i := range c.first {
		if one := &c.first[i]; t.add(one.when.eval(f.First, now, one.op == opBefore)) {
			return t.result()
		}
	}
	for i := range c.last {
		if one := &c.last[i]; t.add(one.when.eval(f.Newest[0], now, one.op == opBefore)) {
			break
		}
	}
	return t.result()
}
