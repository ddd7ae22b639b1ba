package segment

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
		return evalTests(n.tests, s.Attribute(n.name), now)
	case property:
		return evalTests(n.tests, s.Property(n.name), now)
	case happened:
		return n.event.eval(s, now)
	default: // member; it has no moment of its own: the other segment has
		return Result{Match: s.Member(n.name) != n.not}
	}
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
