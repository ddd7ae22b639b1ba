package segment

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

// Bounds of a condition.
const (
	MaxDepth  = 32
	MaxLeaves = 500
	maxCount  = 10_000                // of at_least, at_most, exactly: so many times are kept per person
	maxWindow = 10 * 366 * 86_400_000 // ms
)

// Parse reads a condition as it stands in a workspace file, as JSON. path leads its error messages to the place: they are
// of kind Invalid and name the field.
func Parse(doc value.Value, path string) (*Node, error) {
	p := parser{}
	return p.node(doc, path, 0, false)
}

type parser struct{ leaves int }

var (
	attributeKeys = []string{"attribute", "property", "is", "is_not", "one_of", "exists", "greater", "less", "at_least", "at_most", "contains", "not_contains", "before", "after"}
	eventKeys     = []string{"event", "type", "at_least", "at_most", "exactly", "performed", "not_performed", "within", "where"}
	groupKeys     = []string{"all", "any", "none", "not"}
)

// node parses a group or a leaf. where says that only properties of an event make sense here.
func (p *parser) node(doc value.Value, path string, depth int, where bool) (*Node, error) {
	if depth > MaxDepth {
		return nil, fault.Field(path, "is nested deeper than %d groups", MaxDepth)
	}
	if doc.Kind() != value.Object {
		return nil, fault.Field(path, "must be a condition: an object with all, any, none, attribute, event or segment")
	}
	for _, key := range groupKeys {
		if v := doc.Get(key); v != nil {
			if err := only(doc, path, []string{key}); err != nil {
				return nil, err
			}
			return p.group(key, v, path+"."+key, depth, where)
		}
	}
	if p.leaves++; p.leaves > MaxLeaves {
		return nil, fault.Field(path, "has more than %d conditions", MaxLeaves)
	}
	has := func(k string) bool { return doc.Get(k) != nil }
	switch {
	case has("property"):
		return p.leaf(doc, path, property, "property")
	case where:
		return nil, fault.Field(path, "must look at a property of the event: {property: name, is: value}")
	case has("attribute"):
		return p.leaf(doc, path, attribute, "attribute")
	case has("event"):
		return p.happened(doc, path, depth)
	case has("segment"), has("not_segment"):
		return parseMember(doc, path)
	}
	for k := range doc.Fields() {
		return nil, unknown(path, k, append(append([]string{"segment", "not_segment", "event"}, groupKeys...), attributeKeys...))
	}
	return nil, fault.Field(path, "is empty: write all, any, none, attribute, event or segment")
}

func (p *parser) group(key string, v value.Value, path string, depth int, where bool) (*Node, error) {
	n := &Node{kind: map[string]kind{"all": all, "any": anyOf, "none": none, "not": none}[key]}
	if key == "not" && v.Kind() == value.Object {
		c, err := p.node(v, path, depth+1, where)
		if err != nil {
			return nil, err
		}
		n.children = []*Node{c}
		return n, nil
	}
	if v.Kind() != value.Array {
		return nil, fault.Field(path, "must be a list of conditions")
	}
	i := 0
	for e := range v.Elements() {
		c, err := p.node(e, path+"["+strconv.Itoa(i)+"]", depth+1, where)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, c)
		i++
	}
	if i == 0 {
		return nil, fault.Field(path, "must have at least one condition")
	}
	return n, nil
}

func (p *parser) leaf(doc value.Value, path string, k kind, key string) (*Node, error) {
	name := doc.Get(key)
	if name.Kind() != value.String || name.Text() == "" {
		return nil, fault.Field(path+"."+key, "must be a name")
	}
	n := &Node{kind: k, name: name.Text()}
	for f, v := range doc.Fields() {
		if f == key {
			continue
		}
		t, err := parseTest(f, v, path)
		if err != nil {
			return nil, err
		}
		n.tests = append(n.tests, t)
	}
	if len(n.tests) == 0 {
		return nil, fault.Field(path, "says nothing about %s: add is, is_not, exists, greater, less, contains, before or after", key)
	}
	return n, nil
}

var operators = map[string]op{
	"is": opIs, "one_of": opIs, "is_not": opIsNot, "exists": opExists, "greater": opGreater, "less": opLess, "at_least": opAtLeast,
	"at_most": opAtMost, "contains": opContains, "not_contains": opNotContains, "before": opBefore, "after": opAfter,
}

func parseTest(name string, v value.Value, path string) (test, error) {
	o, ok := operators[name]
	if !ok {
		return test{}, unknown(path, name, attributeKeys)
	}
	path += "." + name
	t := test{op: o}
	switch o {
	case opExists:
		b, ok := v.Bool()
		if !ok || v.Kind() != value.Bool {
			return t, fault.Field(path, "must be true or false")
		}
		t.want = b
	case opIs, opIsNot, opContains, opNotContains:
		var err error
		if t.vals, err = operands(v, path); err != nil {
			return t, err
		}
	case opBefore, opAfter:
		var err error
		if t.when, err = parseMoment(v, path); err != nil {
			return t, err
		}
	default:
		n, ok := v.Number()
		if !ok {
			return t, fault.Field(path, "must be a number")
		}
		t.num = n
	}
	return t, nil
}

func operands(v value.Value, path string) ([]operand, error) {
	list := []value.Value{v}
	if v.Kind() == value.Array {
		list = list[:0]
		for e := range v.Elements() {
			list = append(list, e)
		}
	}
	if len(list) == 0 || len(list) > 1000 {
		return nil, fault.Field(path, "must have 1 to 1000 values")
	}
	out := make([]operand, len(list))
	for i, e := range list {
		if k := e.Kind(); k != value.String && k != value.Number && k != value.Bool {
			return nil, fault.Field(path, "must be text, a number, true or false, or a list of these")
		}
		o := operand{raw: e, text: e.Text()}
		o.lower = strings.ToLower(o.text)
		o.num, o.isNum = e.Number()
		o.truth, o.isBool = e.Bool()
		out[i] = o
	}
	return out, nil
}

// parseMoment reads "now", "30d ago", "in 3d", "+3d", "-30d", Unix seconds or ISO 8601.
func parseMoment(v value.Value, path string) (moment, error) {
	text := strings.TrimSpace(v.Text())
	m := moment{relative: true, text: text}
	rel, sign := "", int64(0)
	switch {
	case strings.EqualFold(text, "now"):
		m.text = "now"
		return m, nil
	case strings.HasSuffix(text, " ago"):
		rel, sign = strings.TrimSuffix(text, " ago"), -1
	case strings.HasPrefix(text, "in "):
		rel, sign = strings.TrimPrefix(text, "in "), 1
	case v.Kind() == value.String && strings.HasPrefix(text, "-"):
		rel, sign = text[1:], -1
	case v.Kind() == value.String && strings.HasPrefix(text, "+"):
		rel, sign = text[1:], 1
	}
	if sign != 0 {
		if d, err := ParseDuration(rel); err == nil {
			m.ms = sign * d
			return m, nil
		}
	}
	if at, ok := v.Time(); ok && v.Kind() != value.Bool {
		return moment{ms: at.UnixMilli(), text: at.Format(time.RFC3339)}, nil
	}
	return m, fault.Field(path, "must be now, like 30d ago, like in 3d, Unix seconds, or a date like 2026-01-31")
}

// ParseDuration reads durations as workspace files write them: 90s, 15m, 2h, 30d, 3w and sums such as 1d12h. The result
// is in milliseconds, above 0 and at most ten years.
func ParseDuration(s string) (int64, error) {
	units := map[byte]int64{'s': 1000, 'm': 60_000, 'h': 3_600_000, 'd': 86_400_000, 'w': 7 * 86_400_000}
	rest, total := strings.TrimSpace(s), int64(0)
	for rest != "" {
		i := 0
		for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
			i++
		}
		if i == 0 || i > 9 || i == len(rest) || units[rest[i]] == 0 {
			return 0, fmt.Errorf("%q is no duration; write 90s, 15m, 2h, 30d, 3w or 1d12h", s)
		}
		n, err := strconv.ParseInt(rest[:i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%q is no duration: %w", s, err)
		}
		total += n * units[rest[i]]
		rest = rest[i+1:]
	}
	if total <= 0 || total > maxWindow {
		return 0, fmt.Errorf("%q is no duration between one second and ten years", s)
	}
	return total, nil
}

func (p *parser) happened(doc value.Value, path string, depth int) (*Node, error) {
	if err := only(doc, path, eventKeys); err != nil {
		return nil, err
	}
	name := doc.Get("event")
	if name.Kind() != value.String || strings.TrimSpace(name.Text()) == "" {
		return nil, fault.Field(path+".event", "must be the name of an event")
	}
	c := &count{spec: FactSpec{Type: event.Track, Name: strings.TrimSpace(name.Text())}, most: -1}
	if t := doc.Get("type"); t != nil {
		typ, ok := event.TypeOf(t.Text())
		if !ok || typ > event.Screen {
			return nil, fault.Field(path+".type", "must be event, page or screen")
		}
		c.spec.Type = typ
	}
	if w := doc.Get("within"); w != nil {
		d, err := ParseDuration(w.Text())
		if err != nil {
			return nil, fault.Field(path+".within", "%s", err.Error())
		}
		c.window = d
	}
	if err := c.bounds(doc, path); err != nil {
		return nil, err
	}
	if w := doc.Get("where"); w != nil {
		n, err := p.node(w, path+".where", depth+1, true)
		if err != nil {
			return nil, err
		}
		c.spec.Where = n
	}
	if c.window != 0 {
		c.spec.Keep = int(max(c.least, c.most+1))
	}
	c.spec.Key = xxhash.Sum64String(event.ChainName(c.spec.Type, c.spec.Name) + "\x00" + c.spec.Where.Sentence())
	return &Node{kind: happened, name: c.spec.Name, event: c}, nil
}

// bounds reads how often: without a word, at least once.
func (c *count) bounds(doc value.Value, path string) error {
	words := 0
	for _, key := range [...]string{"at_least", "at_most", "exactly", "performed", "not_performed"} {
		v := doc.Get(key)
		if v == nil {
			continue
		}
		words++
		if key == "performed" || key == "not_performed" {
			b, ok := v.Bool()
			if !ok {
				return fault.Field(path+"."+key, "must be true or false")
			}
			if b == (key == "performed") {
				c.least = 1
			} else {
				c.most = 0
			}
			continue
		}
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil || n < 0 || n > maxCount {
			return fault.Field(path+"."+key, "must be a whole number from 0 to %d", maxCount)
		}
		if key != "at_most" {
			c.least = n
		}
		if key != "at_least" {
			c.most = n
		}
	}
	switch {
	case words == 0:
		c.least = 1
	case words == 2 && doc.Get("at_least") != nil && doc.Get("at_most") != nil:
		if c.least > c.most {
			return fault.Field(path, "at_least is more than at_most")
		}
	case words > 1:
		return fault.Field(path, "says how often more than once")
	}
	return nil
}

func parseMember(doc value.Value, path string) (*Node, error) {
	if err := only(doc, path, []string{"segment", "not_segment", "in"}); err != nil {
		return nil, err
	}
	key := "segment"
	if doc.Get("not_segment") != nil {
		key = "not_segment"
	}
	slug := doc.Get(key)
	if slug.Kind() != value.String || slug.Text() == "" {
		return nil, fault.Field(path+"."+key, "must be the id of a segment")
	}
	n := &Node{kind: member, name: slug.Text(), not: key == "not_segment"}
	if in := doc.Get("in"); in != nil {
		b, ok := in.Bool()
		if !ok || key == "not_segment" {
			return nil, fault.Field(path+".in", "must be true or false, and stands with segment only")
		}
		n.not = !b
	}
	return n, nil
}

// only refuses members that a node does not know.
func only(doc value.Value, path string, known []string) error {
	for k := range doc.Fields() {
		ok := false
		for _, have := range known {
			ok = ok || have == k
		}
		if !ok {
			return unknown(path, k, known)
		}
	}
	return nil
}

func unknown(path, key string, known []string) error {
	if near := fault.Nearest(key, known); near != "" {
		return fault.Field(path+"."+key, "is not known here; did you mean %s?", near)
	}
	return fault.Field(path+"."+key, "is not known here; known are %s", strings.Join(known, ", "))
}
