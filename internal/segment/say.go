package segment

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"rapport.example/internal/event"
	"rapport.example/internal/value"
)

// Line is one line of a condition with what it came to for a person.
type Line struct {
	Depth    int
	Sentence string
	Value    string // what the person has, in words; "" for groups
	Match    bool
	Next     int64 // Unix ms of the next moment at which this line could change by itself, 0 = never
}

// Sentence says n in English. Equal conditions have equal sentences, and different ones different sentences.
func (n *Node) Sentence() string {
	if n == nil {
		return "always"
	}
	switch n.kind {
	case all, anyOf, none:
		words := map[kind][2]string{all: {" and ", ""}, anyOf: {" or ", ""}, none: {" or ", "not "}}[n.kind]
		parts := make([]string, len(n.children))
		for i, c := range n.children {
			parts[i] = c.Sentence()
			if len(c.children) > 1 {
				parts[i] = "(" + parts[i] + ")"
			}
		}
		s := strings.Join(parts, words[0])
		if n.kind == none {
			return "not (" + s + ")"
		}
		return s
	case attribute, property:
		name := n.name
		if n.kind == property {
			name = "the event's " + name
		}
		parts := make([]string, len(n.tests))
		for i := range n.tests {
			parts[i] = name + " " + n.tests[i].sentence()
		}
		return strings.Join(parts, " and ")
	case happened:
		return n.event.sentence()
	default:
		if n.not {
			return "not in segment " + n.name
		}
		return "in segment " + n.name
	}
}

func (t *test) sentence() string {
	switch t.op {
	case opExists:
		if t.want {
			return "is set"
		}
		return "is not set"
	case opIs:
		return "is " + list(t.vals)
	case opIsNot:
		return "is not " + list(t.vals)
	case opContains:
		return "contains " + list(t.vals)
	case opNotContains:
		return "does not contain " + list(t.vals)
	case opBefore:
		return "is before " + t.when.text
	case opAfter:
		return "is after " + t.when.text
	}
	word := map[op]string{opGreater: "more than", opLess: "less than", opAtLeast: "at least", opAtMost: "at most"}[t.op]
	return "is " + word + " " + strconv.FormatFloat(t.num, 'f', -1, 64)
}

func list(vals []operand) string {
	parts := make([]string, len(vals))
	for i := range vals {
		parts[i] = string(vals[i].raw)
	}
	return strings.Join(parts, " or ")
}

func (c *count) sentence() string {
	what := map[event.Type]string{event.Track: "event ", event.Page: "page ", event.Screen: "screen "}[c.spec.Type] + string(value.Quote(c.spec.Name))
	if c.spec.Where != nil {
		what += " with " + c.spec.Where.Sentence()
	}
	how := ""
	switch {
	case c.most == 0:
		how = " did not happen"
	case c.most == c.least:
		how = " happened exactly " + times(c.least)
	case c.most > 0 && c.least > 0:
		how = fmt.Sprintf(" happened %d to %s", c.least, times(c.most))
	case c.most > 0:
		how = " happened at most " + times(c.most)
	default:
		how = " happened at least " + times(c.least)
	}
	if c.window != 0 {
		how += " within the last " + Duration(c.window)
	}
	return what + how
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

// Duration says milliseconds in the largest whole unit: 72 hours are 3 days.
func Duration(ms int64) string {
	for _, u := range []struct {
		ms   int64
		name string
	}{{86_400_000, "day"}, {3_600_000, "hour"}, {60_000, "minute"}, {1000, "second"}} {
		switch {
		case ms%u.ms != 0:
		case ms == u.ms:
			return "1 " + u.name
		default:
			return fmt.Sprintf("%d %ss", ms/u.ms, u.name)
		}
	}
	return fmt.Sprintf("%d ms", ms)
}

// Explain evaluates n line by line, parents before children.
func (n *Node) Explain(s Subject, now int64) []Line { return n.explain(nil, s, now, 0) }

func (n *Node) explain(out []Line, s Subject, now int64, depth int) []Line {
	if n == nil {
		return out
	}
	r := n.Eval(s, now)
	l := Line{Depth: depth, Match: r.Match, Next: r.Next, Value: n.value(s, now)}
	switch n.kind {
	case all:
		l.Sentence = "all of"
	case anyOf:
		l.Sentence = "any of"
	case none:
		l.Sentence = "none of"
	default:
		l.Sentence = n.Sentence()
	}
	out = append(out, l)
	for _, c := range n.children {
		out = c.explain(out, s, now, depth+1)
	}
	return out
}

// value says what the person has where the line looks.
func (n *Node) value(s Subject, now int64) string {
	var v value.Value
	switch n.kind {
	case attribute:
		v = s.Attribute(n.name)
	case property:
		v = s.Property(n.name)
	case happened:
		f := s.Fact(n.event.spec.Key)
		if f.Count == 0 {
			return "never"
		}
		if n.event.window == 0 {
			return times(f.Count)
		}
		in := int64(0)
		for _, t := range f.Newest {
			if t > now-n.event.window {
				in++
			}
		}
		last := "last " + time.UnixMilli(f.Newest[0]).UTC().Format("2006-01-02 15:04:05 UTC")
		if in == 0 {
			return "not in the window, " + last
		}
		if in == int64(len(f.Newest)) && f.Count > in {
			return "at least " + times(in) + " in the window, " + last
		}
		return times(in) + " in the window, " + last
	case member:
		if s.Member(n.name) {
			return "is a member"
		}
		return "is not a member"
	default:
		return ""
	}
	if v == nil {
		return "not set"
	}
	const most = 80
	if t := []rune(string(v)); len(t) > most {
		return string(t[:most]) + "…"
	}
	return string(v)
}
