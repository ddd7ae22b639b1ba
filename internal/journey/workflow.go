package journey

import (
	"strconv"

	"rapport.example/internal/fault"
	"rapport.example/internal/message"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

const none = -1 // the index that means: the workflow ends here

// workflow lays the tree of steps out flat. Every list of steps is linked back to front, so that a node knows what
// follows it, also across the end of the branch that it stands in.
func (c *Campaign) workflow(doc value.Value) error {
	steps := doc.Get("workflow")
	if steps.Kind() != value.Array || len(steps) == 2 {
		return fault.Field("workflow", "must be a list of at least one step")
	}
	ids := map[string]int64{}
	for slug, n := range doc.Get(ActionsKey).Fields() {
		id, err := strconv.ParseInt(string(n), 10, 64)
		if err != nil {
			return fault.Field(ActionsKey, "must hold whole numbers")
		}
		ids[slug] = id
	}
	p := layout{c: c, ids: ids}
	var err error
	if c.First, err = p.list(steps, "workflow", 0); err != nil {
		return err
	}
	p.link(c.First, none)
	return nil
}

// layout is the state of laying one workflow out. While it runs, Next of a list's last node is none.
type layout struct {
	c   *Campaign
	ids map[string]int64
}

// list lays one list of steps out and returns the index of its first node, none for an empty list.
func (p *layout) list(steps value.Value, path string, depth int) (int, error) {
	if steps.Kind() != value.Array {
		return none, fault.Field(path, "must be a list of steps")
	}
	if depth > MaxDepth {
		return none, fault.Field(path, "branches nest deeper than %d levels", MaxDepth)
	}
	first, last, i := none, none, 0
	for step := range steps.Elements() {
		n, err := p.step(step, index(path, i), depth)
		if err != nil {
			return none, err
		}
		if last == none {
			first = n
		} else {
			p.c.Nodes[last].Next = n
		}
		last = n
		i++
	}
	return first, nil
}

// link gives the list that starts at first its continuation, and so every arm within it.
func (p *layout) link(first, after int) {
	for i := first; i != none; {
		n := &p.c.Nodes[i]
		following := n.Next
		if following == none {
			n.Next = after
		}
		for a := range n.Arms {
			if n.Arms[a].First == none {
				n.Arms[a].First = n.Next
				continue
			}
			p.link(n.Arms[a].First, n.Next)
		}
		i = following
	}
}

var kinds = []string{"email", "delay", "branch", "exit"}

// step lays one node out.
func (p *layout) step(step value.Value, path string, depth int) (int, error) {
	if step.Kind() != value.Object {
		return none, fault.Field(path, "must be a mapping with id and one of email, delay, branch, exit")
	}
	if err := Only(step, path, "id", "email", "delay", "branch", "exit"); err != nil {
		return none, err
	}
	slug, err := CheckSlug(join(path, "id"), step.Get("id"))
	if err != nil {
		return none, err
	}
	if _, twice := p.c.byslug[slug]; twice {
		return none, fault.Field(join(path, "id"), "%s is the id of another step of this campaign", slug)
	}
	if len(p.c.Nodes) == MaxNodes {
		return none, fault.Field(path, "a workflow has at most %d steps", MaxNodes)
	}
	kind := ""
	for _, k := range kinds {
		if step.Get(k) == nil {
			continue
		}
		if kind != "" {
			return none, fault.Field(path, "must have only one of %s and %s", kind, k)
		}
		kind = k
	}
	i := len(p.c.Nodes)
	p.c.byslug[slug] = i
	p.c.Nodes = append(p.c.Nodes, Node{Slug: slug, Path: path, ActionID: p.ids[slug], Next: none})
	return i, p.body(i, kind, step.Get(kind), join(path, kind), depth)
}

// body reads what node i does.
func (p *layout) body(i int, kind string, v value.Value, path string, depth int) (err error) {
	n := Node{}
	switch kind {
	case "email":
		n.Kind = KindEmail
		n.Email, err = message.ParseEmail(v, path)
	case "delay":
		n.Kind = KindDelay
		n.Delay, err = delay(v, path)
	case "branch":
		n.Kind = KindBranch
		n.Arms, err = p.arms(v, path, depth)
	case "exit":
		n.Kind = KindExit
		if !value.Equal(v, value.True) {
			err = fault.Field(path, "must be true")
		}
	default:
		err = fault.Field(path[:len(path)-1], "must have one of email, delay, branch, exit")
	}
	to := &p.c.Nodes[i] // the slice may have moved while arms were laid out
	to.Kind, to.Email, to.Delay, to.Arms = n.Kind, n.Email, n.Delay, n.Arms
	return err
}

// arms reads the ways out of a branch: one or more if/then, and at most one else, which comes last.
func (p *layout) arms(v value.Value, path string, depth int) ([]Arm, error) {
	if v.Kind() != value.Array || len(v) == 2 {
		return nil, fault.Field(path, "must be a list of if/then, with an else last or none")
	}
	var out []Arm
	i, closed := 0, false
	for e := range v.Elements() {
		at := index(path, i)
		if closed {
			return nil, fault.Field(at, "comes after the else, which must be last")
		}
		a, err := p.arm(e, at, depth)
		if err != nil {
			return nil, err
		}
		closed = a.If == nil
		if closed && i == 0 {
			return nil, fault.Field(at, "must have if and then: an else alone decides nothing")
		}
		out = append(out, a)
		i++
	}
	return out, nil
}

func (p *layout) arm(e value.Value, path string, depth int) (a Arm, err error) {
	if e.Kind() != value.Object {
		return a, fault.Field(path, "must be a mapping with if and then, or with else")
	}
	if els := e.Get("else"); els != nil {
		if err := Only(e, path, "else"); err != nil {
			return a, fault.Field(path, "else stands alone, without if and then")
		}
		a.First, err = p.list(els, join(path, "else"), depth+1)
		return a, err
	}
	if err := Only(e, path, "if", "then", "else"); err != nil {
		return a, err
	}
	cond, then := e.Get("if"), e.Get("then")
	if cond == nil || then == nil {
		return a, fault.Field(path, "must have if and then, or else")
	}
	if a.If, err = segment.Parse(cond, join(path, "if")); err != nil {
		return a, err
	}
	a.First, err = p.list(then, join(path, "then"), depth+1)
	return a, err
}
