package segment

import (
	"time"

	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// Line is one line of a condition with what it came to for a person.
type Line struct {
	Depth    int
	Sentence string // "all of", "any of" and "none of" for groups
	Value    string // what the person has, in words; "" for groups
	Match    bool
	Next     int64 // Unix ms of the next moment at which this line could change by itself, 0 = never
}

// Explain evaluates n line by line, parents before children. The nil Node has no lines.
func (n *Node) Explain(s Subject, now int64) []Line { return n.explain(nil, s, now, 0) }

func (n *Node) explain(out []Line, s Subject, now int64, depth int) []Line {
	if n == nil {
		return out
	}
	r := n.Eval(s, now)
	out = append(out, Line{Depth: depth, Sentence: n.Heading(), Match: r.Match, Next: r.Next, Value: n.value(s, now)})
	for _, c := range n.children {
		out = c.explain(out, s, now, depth+1)
	}
	return out
}

// value says what the person has where the line looks.
func (n *Node) value(s Subject, now int64) string {
	switch n.kind {
	case attribute:
		return shorten(n.path.Of(s))
	case property:
		return shorten(n.path.in(s.Data()))
	case happened:
		return n.event.value(s, now)
	case device:
		return n.devicesValue(s, now)
	case related:
		return n.linksValue(s, now)
	case member:
		if s.Member(n.name) {
			return "is a member"
		}
		return "is not a member"
	default:
		return ""
	}
}

func shorten(v value.Value) string {
	if v == nil {
		return "not set"
	}
	const most = 80
	if len(v) <= most {
		return string(v)
	}
	if t := []rune(string(v)); len(t) > most {
		return string(t[:most]) + "…"
	}
	return string(v)
}

// value says how often the event happened, as far as the condition's facts know.
func (c *count) value(s Subject, now int64) string {
	f, young := s.Fact(c.spec.Key), ""
	if c.aged() && s.Since() > now-c.window {
		young = ", but the profile is younger than " + Duration(c.window)
	}
	switch {
	case f.Count == 0:
		return "never" + young
	case c.dated():
		return c.sayDates(&f)
	case c.window == 0:
		return times(f.Count)
	case len(f.Newest) == 0: // not counted for this condition yet
		return times(f.Count) + " in all"
	}
	in := int64(0)
	for _, t := range f.Newest {
		if t > now-c.window {
			in++
		}
	}
	last := "last " + stamped(f.Newest[0])
	switch {
	case in == 0:
		return "not in the window, " + last + young
	case in == int64(len(f.Newest)) && f.Count > in:
		return "at least " + times(in) + " in the window, " + last
	default:
		return times(in) + " in the window, " + last
	}
}

func stamped(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05 UTC") }

// sayDates says when the event happened, of what the condition asks.
func (c *count) sayDates(f *person.Fact) string {
	switch {
	case len(c.last) == 0:
		return "first " + stamped(f.First)
	case len(f.Newest) == 0: // not counted for this condition yet
		return times(f.Count) + " in all"
	case len(c.first) == 0:
		return "last " + stamped(f.Newest[0])
	default:
		return "first " + stamped(f.First) + ", last " + stamped(f.Newest[0])
	}
}
