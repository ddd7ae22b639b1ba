package segment

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

// compared parses a leaf of operators.
func (p *parser) compared(doc value.Value, path, head string, k kind, depth int, at place) (*Node, error) {
	name := doc.Get(head)
	if name.Kind() != value.String || name.Text() == "" {
		return nil, fault.Field(join(path, head), "must be a name")
	}
	n := &Node{kind: k, path: ParsePath(name.Text())}
	for f, v := range doc.Fields() {
		if f == head {
			continue
		}
		t, err := p.test(f, v, path, depth, at)
		if err != nil {
			return nil, err
		}
		if at == inWhere && t.when.relative {
			return nil, fault.Field(join(path, f), "must be a fixed moment: an event is counted once, when it comes in, so nothing relative to now can be asked of it")
		}
		n.tests = append(n.tests, t)
	}
	if len(n.tests) == 0 {
		return nil, fault.Field(path, "says nothing about %s: add is, is_not, exists, greater, less, contains, before or after", head)
	}
	slices.SortStableFunc(n.tests, func(a, b test) int { return int(a.op) - int(b.op) })
	return n, conflict(n.tests, path)
}

func operator(word string) op {
	switch word {
	case "is", "one_of":
		return opIs
	case "is_not":
		return opIsNot
	case "contains":
		return opContains
	case "not_contains":
		return opNotContains
	case "greater":
		return opGreater
	case "less":
		return opLess
	case "at_least":
		return opAtLeast
	case "at_most":
		return opAtMost
	case "before":
		return opBefore
	case "after":
		return opAfter
	case "exists":
		return opExists
	case "is_timestamp":
		return opIsTimestamp
	case "has":
		return opHas
	}
	return 0
}

func (p *parser) test(word string, v value.Value, path string, depth int, at place) (t test, err error) {
	if t.op = operator(word); t.op == 0 {
		return t, unknown(path, word, strings.Fields("attribute property "+leafWords))
	}
	path = join(path, word)
	switch t.op {
	case opExists, opIsTimestamp:
		t.want, err = boolean(v, path)
	case opHas:
		if at == anywhere {
			at = inHas
		}
		t.cond, err = p.node(v, path, depth+1, at)
	case opIs, opIsNot, opContains, opNotContains:
		t.vals, err = operands(v, path, t.op)
	case opBefore, opAfter:
		t.when, err = parseMoment(v, path)
	default:
		t.num, err = bound(v, path)
	}
	return t, err
}

func boolean(v value.Value, path string) (bool, error) {
	if v.Kind() != value.Bool {
		return false, fault.Field(path, "must be true or false")
	}
	return v[0] == 't', nil
}

func operands(v value.Value, path string, o op) ([]operand, error) {
	list := []value.Value{v}
	if v.Kind() == value.Array {
		list = slices.Collect(v.Elements())
	}
	if len(list) == 0 || len(list) > maxValues {
		return nil, fault.Field(path, "must have 1 to %d values", maxValues)
	}
	out := make([]operand, 0, len(list))
	for _, e := range list {
		switch e.Kind() {
		case value.String, value.Number, value.Bool:
		case value.Null:
			return nil, fault.Field(path, "must not be null: ask exists: true or false")
		default:
			return nil, fault.Field(path, "must be text, a number, true or false, or a list of these")
		}
		if o != opIs && o != opIsNot && e.Text() == "" {
			return nil, fault.Field(path, "must not be empty: everything contains it; ask exists: true")
		}
		out = append(out, literal(e))
	}
	return out, nil
}

func literal(v value.Value) operand {
	o := operand{raw: slices.Clone(v), kind: v.Kind(), lower: strings.ToLower(v.Text())}
	o.truth, o.isBool = readBool(v)
	if n, ok := readNumber(v); ok && !math.IsInf(n.f, 0) {
		o.num, o.isNum = n, true
	}
	return o
}

// bound reads the number that greater, less, at_least and at_most compare with, also from text.
func bound(v value.Value, path string) (number, error) {
	n, ok := readNumber(v)
	switch {
	case !ok:
		return n, fault.Field(path, "must be a number")
	case math.IsInf(n.f, 0):
		return n, fault.Field(path, "is too large a number")
	case v.Kind() == value.Number:
		n.lit = string(v)
		return n, nil
	}
	n.lit = strconv.FormatFloat(n.f, 'g', -1, 64)
	if d, ok := digits(strings.TrimSpace(v.Text())); ok && d != "" {
		n.lit = d
		if n.f < 0 {
			n.lit = "-" + d
		}
	}
	return n, nil
}

// conflict refuses operators that say the same thing twice, or that no value can meet together. tests are sorted.
func conflict(tests []test, path string) error {
	by := map[op]*test{}
	for i := range tests {
		t := &tests[i]
		if by[t.op] != nil {
			return fault.Field(path, "has both is and one_of: put all values into one of them")
		}
		by[t.op] = t
	}
	if e := by[opExists]; e != nil && !e.want && len(tests) > 1 {
		return fault.Field(path, "asks for more than exists: false, but nothing can be said of what is not there")
	}
	low, high := cmp.Or(by[opGreater], by[opAtLeast]), cmp.Or(by[opLess], by[opAtMost])
	switch {
	case by[opGreater] != nil && by[opAtLeast] != nil:
		return fault.Field(path, "has two lower bounds, greater and at_least")
	case by[opLess] != nil && by[opAtMost] != nil:
		return fault.Field(path, "has two upper bounds, less and at_most")
	case low != nil && high != nil && crossed(low, high):
		return fault.Field(path, "can never be true: no number lies between %s and %s", low.num.lit, high.num.lit)
	}
	before, after := by[opBefore], by[opAfter]
	if e := by[opIsTimestamp]; e != nil && !e.want && (before != nil || after != nil) {
		return fault.Field(path, "can never be true: what is no timestamp is neither before nor after a moment")
	}
	if before != nil && after != nil && before.when.relative == after.when.relative && before.when.ms-after.when.ms < 2 {
		return fault.Field(path, "can never be true: no moment lies after %s and before %s", after.when, before.when)
	}
	return nil
}

func crossed(low, high *test) bool {
	c := low.num.compare(high.num)
	return c > 0 || c == 0 && (low.op == opGreater || high.op == opLess)
}
