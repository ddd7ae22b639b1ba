package segment

import (
	"bytes"
	"math"
	"strings"

	"rapport.example/internal/value"
)

// evalTests answers all operators of a leaf for one value; nil and null mean missing.
func evalTests(tests []test, v value.Value, now int64) Result {
	if len(tests) == 1 {
		return tests[0].eval(v, now)
	}
	t := tally{}
	for i := range tests {
		if t.add(tests[i].eval(v, now)) {
			break
		}
	}
	return t.result()
}

func (t *test) eval(v value.Value, now int64) Result {
	missing := len(v) == 0 || v.Kind() == value.Null
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
	case opIsTimestamp:
		_, is := readTime(v)
		return Result{Match: is == t.want}
	case opHas:
		return t.has(v, now)
	case opBefore, opAfter:
		if at, ok := readTime(v); ok {
			return t.when.eval(at, now, t.op == opBefore)
		}
		return Result{}
	default: // the ones that compare numbers
	}
	n, ok := readNumber(v)
	if !ok {
		return Result{}
	}
	c := n.compare(t.num)
	switch t.op {
	case opGreater:
		return Result{Match: c > 0}
	case opLess:
		return Result{Match: c < 0}
	case opAtLeast:
		return Result{Match: c >= 0}
	default:
		return Result{Match: c <= 0}
	}
}

// each reports whether any operand meets the value or, if that is an array, any of its elements, at any depth.
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

// has answers whether the value, or if that is an array any of its elements, at any depth, is an object that meets the condition.
func (t *test) has(v value.Value, now int64) Result {
	switch v.Kind() {
	case value.Object:
		return t.cond.on(v, now)
	case value.Array:
		one := tally{decides: true}
		for e := range v.Elements() {
			if one.add(t.has(e, now)) {
				break
			}
		}
		return one.result()
	default:
		return Result{}
	}
}

// equals compares text with text letter by letter, and otherwise as the one of the two that is not text: as numbers or as
// booleans. Canonical strings are equal when their bytes are.
func (o *operand) equals(v value.Value) bool {
	if value.Equal(o.raw, v) {
		return true
	}
	switch v.Kind() {
	case value.String:
		if o.kind == value.String {
			return false
		}
		if o.kind == value.Bool {
			b, ok := readBool(v)
			return ok && b == o.truth
		}
	case value.Bool:
		return o.isBool && o.truth == (v[0] == 't')
	case value.Number:
	default:
		return false
	}
	if !o.isNum {
		return false
	}
	n, ok := readNumber(v)
	return ok && !math.IsInf(n.f, 0) && n.compare(o.num) == 0
}

// within reports whether the operand occurs in the value's text, upper and lower case alike.
func (o *operand) within(v value.Value) bool {
	switch v.Kind() {
	case value.Object, value.Null:
		return false
	case value.String:
		v = v[1 : len(v)-1]
	default:
	}
	for i, c := range v {
		if c >= 0x80 || c == '\\' {
			return strings.Contains(strings.ToLower(text(v, i)), o.lower)
		}
	}
	for i := 0; i+len(o.lower) <= len(v); i++ {
		if prefixFold(v[i:], o.lower) {
			return true
		}
	}
	return false
}

// text is the content of a JSON string without its quotes, of which the first i bytes are plain.
func text(inner value.Value, i int) string {
	if bytes.IndexByte(inner[i:], '\\') < 0 {
		return string(inner)
	}
	quoted := make(value.Value, 0, len(inner)+2)
	quoted = append(append(append(quoted, '"'), inner...), '"')
	return quoted.Text()
}

// prefixFold reports whether ASCII text begins with lower, whatever its case.
func prefixFold(v []byte, lower string) bool {
	for i := 0; i < len(lower); i++ {
		c := v[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// eval compares a timestamp at t (Unix ms) with a moment. A timestamp on the moment itself is neither before nor after.
func (m moment) eval(t, now int64, before bool) Result {
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
