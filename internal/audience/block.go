package audience

import (
	"math/bits"

	"github.com/RoaringBitmap/roaring/v2"

	"rapport.example/internal/segment"
)

// columnKey names a column.
type columnKey struct {
	kind  columnKind
	name  string // of an attribute, or a path into one
	fact  uint64
	place int // of a newest time, from 0 for the newest
}

type columnKind uint8

const (
	attributeColumn columnKind = iota + 1
	countColumn
	newestColumn
	firstColumn
	sinceColumn
)

// make is a column's vector for a block of nobody.
func (k columnKey) make() vector {
	switch k.kind {
	case attributeColumn:
		return newAttributes(k.name)
	case countColumn:
		return newCounts(k.fact)
	case newestColumn:
		return newTimes(func(p *Person) int64 {
			if f := p.Fact(k.fact); k.place < len(f.Newest) {
				return f.Newest[k.place]
			}
			return never
		})
	case firstColumn:
		return newTimes(func(p *Person) int64 {
			if f := p.Fact(k.fact); f.Count > 0 {
				return f.First
			}
			return never
		})
	default:
		return newTimes((*Person).Since)
	}
}

// columnsOf lists the columns that the lines look at, each once, with the event conditions behind them; ok is false if there is a
// line that columns cannot answer.
func columnsOf(lines []line) (keys []columnKey, specs []segment.FactSpec, ok bool) {
	seen := map[columnKey]bool{}
	add := func(k columnKey) {
		if !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	for _, l := range lines {
		s := &l.shape
		switch {
		case s.Other:
			return nil, nil, false
		case s.Attribute != "":
			add(columnKey{kind: attributeColumn, name: s.Attribute})
		case s.Event != nil:
			specs = append(specs, s.Event.Spec)
			for _, k := range eventColumns(s.Event) {
				add(k)
			}
		}
	}
	return keys, specs, true
}

func eventColumns(c *segment.Count) (keys []columnKey) {
	if len(c.First) > 0 {
		keys = append(keys, columnKey{kind: firstColumn, fact: c.Spec.Key})
	}
	if len(c.Last) > 0 {
		keys = append(keys, columnKey{kind: newestColumn, fact: c.Spec.Key})
	}
	if len(keys) > 0 {
		return keys
	}
	if c.Window == 0 {
		return []columnKey{{kind: countColumn, fact: c.Spec.Key}}
	}
	if c.Least > 0 {
		keys = append(keys, columnKey{kind: newestColumn, fact: c.Spec.Key, place: int(c.Least - 1)})
	}
	if c.Most >= 0 {
		keys = append(keys, columnKey{kind: newestColumn, fact: c.Spec.Key, place: int(c.Most)})
	}
	if c.Aged {
		keys = append(keys, columnKey{kind: sinceColumn})
	}
	return keys
}

// block is a piece of a workspace's people.
type block struct {
	people  words // who there is
	columns map[columnKey]vector
}

func newBlock() *block { return &block{columns: map[columnKey]vector{}} }

// ask answers all lines for the block's people. members are the segments that are mentioned, and first is the block's first ordinal.
func (b *block) ask(lines []line, now int64, members map[string]*roaring.Bitmap, first uint32) part {
	truth := make([]words, max(len(lines), 1))
	p := part{people: b.people.count(), lines: make([]Line, len(lines))}
	if len(lines) == 0 {
		truth[0] = b.people
	}
	for i := len(lines) - 1; i >= 0; i-- { // children before parents
		b.line(lines, i, now, members, first, truth)
		p.lines[i].Count = truth[i].count()
	}
	b.alone(lines, truth, p.lines)
	p.members = roaring.AddOffset(roaring.FromDense(truth[0][:], true), first)
	return p
}

func (b *block) line(lines []line, i int, now int64, members map[string]*roaring.Bitmap, first uint32, truth []words) {
	s, out := &lines[i].shape, &truth[i]
	switch {
	case s.Group != segment.NoGroup:
		join(s.Group, lines[i].under, truth, out)
	case s.Attribute != "":
		if a, ok := b.columns[columnKey{kind: attributeColumn, name: s.Attribute}].(*attributes); ok {
			a.holds(lines[i].node, now, out)
		}
	case s.Event != nil:
		b.event(s.Event, now, out)
	default:
		spreadMembers(members[s.Segment], first, out)
		if s.Not {
			for w := range out {
				out[w] = ^out[w]
			}
		}
	}
	for w := range out {
		out[w] &= b.people[w]
	}
}

func join(g segment.Group, under []int, truth []words, out *words) {
	for w := range out {
		all, one := ^uint64(0), uint64(0)
		for _, c := range under {
			all, one = all&truth[c][w], one|truth[c][w]
		}
		switch g {
		case segment.Any:
			out[w] = one
		case segment.None:
			out[w] = ^one
		default:
			out[w] = all
		}
	}
}

// event answers an event condition as segment.Node.Eval does.
func (b *block) event(c *segment.Count, now int64, out *words) {
	if len(c.First)+len(c.Last) > 0 {
		b.dates(c, now, out)
		return
	}
	if c.Window == 0 {
		if n, ok := b.columns[columnKey{kind: countColumn, fact: c.Spec.Key}].(*counts); ok {
			out.fill(func(i int) bool { x := int64(n.n[i]); return x >= c.Least && (c.Most < 0 || x <= c.Most) })
		}
		return
	}
	edge := now - c.Window
	for w := range out {
		out[w] = ^uint64(0)
	}
	for _, k := range eventColumns(c) {
		t, ok := b.columns[k].(*times)
		if !ok {
			continue
		}
		inside := k.kind == newestColumn && k.place == int(c.Least-1)
		var met words
		met.fill(func(i int) bool { return t.at[i] > edge == inside })
		for w := range out {
			out[w] &= met[w]
		}
	}
}

// dates answers an event condition that asks when.
func (b *block) dates(c *segment.Count, now int64, out *words) {
	for w := range out {
		out[w] = ^uint64(0)
	}
	for _, k := range eventColumns(c) {
		t, ok := b.columns[k].(*times)
		if !ok {
			continue
		}
		asked := c.Last
		if k.kind == firstColumn {
			asked = c.First
		}
		var met words
		met.fill(func(i int) bool { return t.at[i] != never && asked.Hold(t.at[i], now) })
		for w := range out {
			out[w] &= met[w]
		}
	}
}

// spreadMembers sets the slots of a block's people who are in a segment; nil is nobody.
func spreadMembers(m *roaring.Bitmap, first uint32, out *words) {
	*out = words{}
	if m == nil {
		return
	}
	it := m.Iterator()
	for it.AdvanceIfNeeded(first); it.HasNext() && it.PeekNext()-first < slots; {
		out.put(uint16(it.Next()-first), true) //nolint:gosec // below slots
	}
}

// alone counts whom one line alone keeps out.
func (b *block) alone(lines []line, truth []words, into []Line) {
	if len(lines) == 0 || lines[0].shape.Group != segment.All {
		return
	}
	under := lines[0].under
	for w := range b.people {
		one, two := uint64(0), uint64(0)
		for _, c := range under {
			f := ^truth[c][w] & b.people[w]
			one, two = one|f, two|one&f
		}
		for _, c := range under {
			into[c].Alone += int64(bits.OnesCount64(^truth[c][w] & b.people[w] &^ two))
		}
	}
}
