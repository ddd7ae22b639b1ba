package segment

import (
	"strings"

	"rapport.example/internal/value"
)

// Eval answers n for one person at now (Unix ms). It allocates nothing on the common path.
//
// Next is never later than the true next change: an answer may be looked at too early, never too late.
func (n *Node) Eval(s Subject, now int64) Result {
	if n == nil {
		return Result{Match: true}
	}
	switch n.kind {
	case all:
		return n.all(s, now)
	case anyOf:
		return n.any(s, now)
	case none:
		r := n.any(s, now)
		r.Match = !r.Match
		return r
	case attribute:
		return evalTests(n.tests, s.Attribute(n.name), now)
	case property:
		return evalTests(n.tests, s.Property(n.name), now)
	case happened:
		return n.event.eval(s, now)
	default: // member; it has no moment of its own: the other segment has
		return Result{Match: s.Member(n.name) != n.not}
	}
}

// all is true until its first child turns false, and false until the last of its false children turns true.
func (n *Node) all(s Subject, now int64) Result {
	out := Result{Match: true}
	first, last, never := int64(0), int64(0), false
	for _, c := range n.children {
		r := c.Eval(s, now)
		if r.Match {
			first = soonest(first, r.Next)
			continue
		}
		out.Match = false
		never = never || r.Next == 0
		last = max(last, r.Next)
	}
	switch {
	case out.Match:
		out.Next = first
	case !never:
		out.Next = last
	}
	return out
}

// any mirrors all.
func (n *Node) any(s Subject, now int64) Result {
	var out Result
	first, last, never := int64(0), int64(0), false
	for _, c := range n.children {
		r := c.Eval(s, now)
		if !r.Match {
			first = soonest(first, r.Next)
			continue
		}
		out.Match = true
		never = never || r.Next == 0
		last = max(last, r.Next)
	}
	switch {
	case !out.Match:
		out.Next = first
	case !never:
		out.Next = last
	}
	return out
}

func soonest(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// eval answers an event condition. An event at t is within the window at now while t > now - window, so it leaves at
// exactly t + window. Events that lie in the future count: they are recorded facts.
func (c *count) eval(s Subject, now int64) Result {
	f := s.Fact(c.spec.Key)
	if c.window == 0 {
		return Result{Match: f.Count >= c.least && (c.most < 0 || f.Count <= c.most)}
	}
	edge := now - c.window
	at := func(k int64) (int64, bool) { // time of the k-th newest, and whether it is in the window
		if k < 1 || k > int64(len(f.Newest)) {
			return 0, false
		}
		t := f.Newest[k-1]
		return t, t > edge
	}
	low, enough := at(c.least)
	enough = enough || c.least == 0
	if c.most < 0 {
		if enough && c.least > 0 {
			return Result{true, low + c.window}
		}
		return Result{Match: enough}
	}
	high, tooMany := at(c.most + 1)
	young := c.most == 0 && s.Since() > edge // "not within N days" takes a profile that is N days old
	switch {
	case tooMany && young:
		return Result{false, max(high, s.Since()) + c.window}
	case tooMany:
		return Result{false, high + c.window}
	case young:
		return Result{false, s.Since() + c.window}
	case !enough:
		return Result{}
	case c.least > 0:
		return Result{true, low + c.window}
	}
	return Result{Match: true}
}

// evalTests answers all operators of a leaf for one value.
func evalTests(tests []test, v value.Value, now int64) Result {
	out := Result{Match: true}
	last, never := int64(0), false
	for i := range tests {
		r := tests[i].eval(v, now)
		if r.Match {
			if out.Match {
				out.Next = soonest(out.Next, r.Next)
			}
			continue
		}
		out.Match = false
		never = never || r.Next == 0
		last = max(last, r.Next)
	}
	if !out.Match {
		out.Next = 0
		if !never {
			out.Next = last
		}
	}
	return out
}

func (t *test) eval(v value.Value, now int64) Result {
	missing := v == nil || v.Kind() == value.Null
	switch t.op {
	case opExists:
		return Result{Match: !missing == t.want}
	case opIs:
		return Result{Match: !missing && t.each(v, (*operand).equals)}
	case opIsNot:
		return Result{Match: missing || !t.each(v, (*operand).equals)}
	case opContains:
		return Result{Match: !missing && t.each(v, (*operand).within)}
	case opNotContains:
		return Result{Match: missing || !t.each(v, (*operand).within)}
	case opBefore, opAfter:
		return t.when.eval(v, now, t.op == opBefore)
	}
	n, ok := v.Number()
	if !ok {
		return Result{}
	}
	switch t.op {
	case opGreater:
		return Result{Match: n > t.num}
	case opLess:
		return Result{Match: n < t.num}
	case opAtLeast:
		return Result{Match: n >= t.num}
	default:
		return Result{Match: n <= t.num}
	}
}

// each reports whether any operand meets the value, or any element of it if it is an array.
func (t *test) each(v value.Value, meets func(*operand, value.Value) bool) bool {
	if v.Kind() == value.Array {
		for e := range v.Elements() {
			if t.each(e, meets) {
				return true
			}
		}
		return false
	}
	for i := range t.vals {
		if meets(&t.vals[i], v) {
			return true
		}
	}
	return false
}

// equals compares as numbers if both are, else as booleans if both are, else as text, upper and lower case apart.
func (o *operand) equals(v value.Value) bool {
	if value.Equal(o.raw, v) {
		return true
	}
	if o.isNum {
		if n, ok := v.Number(); ok {
			return n == o.num
		}
	}
	if o.isBool {
		if b, ok := v.Bool(); ok {
			return b == o.truth
		}
	}
	return o.text == v.Text()
}

// within reports whether the operand occurs in the value's text, whatever the case.
func (o *operand) within(v value.Value) bool {
	return strings.Contains(strings.ToLower(v.Text()), o.lower)
}

// eval compares a timestamp with a moment; what is no timestamp is neither before nor after. A value that lies on the
// moment itself is neither.
func (m moment) eval(v value.Value, now int64, before bool) Result {
	at, ok := v.Time()
	if !ok {
		return Result{}
	}
	t := at.UnixMilli()
	if !m.relative {
		if before {
			return Result{Match: t < m.ms}
		}
		return Result{Match: t > m.ms}
	}
	edge := now + m.ms
	switch {
	case before && t < edge:
		return Result{Match: true}
	case before:
		return Result{false, t - m.ms + 1}
	case t > edge:
		return Result{true, t - m.ms}
	}
	return Result{}
}
