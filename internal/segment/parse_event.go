package segment

import (
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

func (p *parser) happened(doc value.Value, path string, depth int) (*Node, error) {
	if err := only(doc, path, strings.Fields(eventWords)...); err != nil {
		return nil, err
	}
	name := doc.Get("event")
	if name.Kind() != value.String || strings.TrimSpace(name.Text()) == "" {
		return nil, fault.Field(join(path, "event"), "must be the name of an event")
	}
	c := &count{spec: FactSpec{Type: event.Track, Name: strings.TrimSpace(name.Text())}, most: -1}
	if t := doc.Get("type"); t != nil {
		typ, ok := event.TypeOf(t.Text())
		if !ok || typ > event.Screen {
			return nil, fault.Field(join(path, "type"), "must be event, page or screen")
		}
		c.spec.Type = typ
	}
	if err := c.bounds(doc, path); err != nil {
		return nil, err
	}
	if w := doc.Get("where"); w != nil {
		n, err := p.node(w, join(path, "where"), depth+1, inWhere)
		if err != nil {
			return nil, err
		}
		c.spec.Where = n
	}
	c.spec.Key = c.spec.key()
	return &Node{kind: happened, name: c.spec.Name, event: c}, nil
}

// dates reads first and last, which stand beside no word about how often.
func (c *count) dates(doc value.Value, path string) (err error) {
	for _, d := range [...]struct {
		word string
		into *[]test
	}{{"first", &c.first}, {"last", &c.last}} {
		v := doc.Get(d.word)
		if v == nil {
			continue
		}
		if *d.into, err = parseDates(v, join(path, d.word)); err != nil {
			return err
		}
		for _, word := range strings.Fields(eventWords) {
			switch word {
			case "event", "type", "first", "last", "where":
			default:
				if doc.Get(word) != nil {
					return fault.Field(join(path, word), "cannot stand beside %s, which asks of all these events: make each a condition of its own in all", d.word)
				}
			}
		}
	}
	if len(c.last) > 0 {
		c.spec.Keep = 1
	}
	return nil
}

func parseDates(v value.Value, path string) ([]test, error) {
	if v.Kind() != value.Object || string(v) == "{}" {
		return nil, fault.Field(path, "must say when: {before: 30d ago}, {after: 30d ago}, or both")
	}
	if err := only(v, path, "before", "after"); err != nil {
		return nil, err
	}
	var out []test
	for _, word := range [...]string{"after", "before"} { // in the order of their operators
		m := v.Get(word)
		if m == nil {
			continue
		}
		when, err := parseMoment(m, join(path, word))
		if err != nil {
			return nil, err
		}
		out = append(out, test{op: operator(word), when: when})
	}
	return out, conflict(out, path)
}

// key must never change for conditions that are in use: documents hold what was counted under it (docs/segments.md).
func (f *FactSpec) key() uint64 {
	return xxhash.Sum64String(event.ChainName(f.Type, f.Name) + "\x00" + string(f.Where.Canonical()))
}

// bounds reads when for the first and the last time, or else how often, which without a word is at least once, and within which window.
func (c *count) bounds(doc value.Value, path string) error {
	if err := c.dates(doc, path); err != nil || c.dated() {
		return err
	}
	if w := doc.Get("within"); w != nil {
		d, err := ParseDuration(w.Text())
		if err != nil {
			return fault.Field(join(path, "within"), "%s", err.Error())
		}
		c.window = d
	}
	if err := c.times(doc, path); err != nil {
		return err
	}
	if c.window != 0 { // the K-th newest says when "at least K" ends, the one behind when "at most K" begins
		c.spec.Keep = int(max(c.least, c.most+1))
	}
	return nil
}

func (c *count) times(doc value.Value, path string) error {
	words := 0
	for _, key := range [...]string{"at_least", "at_most", "exactly", "performed", "not_performed"} {
		v := doc.Get(key)
		if v == nil {
			continue
		}
		words++
		if key == "performed" || key == "not_performed" {
			b, err := boolean(v, join(path, key))
			if err != nil {
				return err
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
			return fault.Field(join(path, key), "must be a whole number from 0 to %d", maxCount)
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
	case words == 1 && c.least == 0 && c.most < 0:
		return fault.Field(join(path, "at_least"), "of 0 is always true: ask for 1 or more, or for not_performed: true")
	case words == 2 && doc.Get("at_least") != nil && doc.Get("at_most") != nil:
		if c.least > c.most {
			return fault.Field(path, "can never be true: at_least is more than at_most")
		}
	case words > 1:
		return fault.Field(path, "says how often more than once")
	}
	return nil
}

func parseMember(doc value.Value, path, head string) (*Node, error) {
	if err := only(doc, path, "segment", "not_segment", "in"); err != nil {
		return nil, err
	}
	slug := doc.Get(head)
	if slug.Kind() != value.String || slug.Text() == "" {
		return nil, fault.Field(join(path, head), "must be the id of a segment")
	}
	n := &Node{kind: member, name: slug.Text(), not: head == "not_segment"}
	in := doc.Get("in")
	switch {
	case in == nil:
		return n, nil
	case n.not:
		return nil, fault.Field(join(path, "in"), "stands with segment only; not_segment has said it already")
	}
	is, err := boolean(in, join(path, "in"))
	n.not = !is
	return n, err
}
