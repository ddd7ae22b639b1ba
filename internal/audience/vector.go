package audience

import (
	"math"
	"math/bits"

	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// slots is how many people a block holds: those whose ordinals share all but the last 16 bits.
const slots = 1 << pieceBits

// words is a set of slots.
type words [slots / 64]uint64

func (w *words) put(slot uint16, in bool) {
	if in {
		w[slot>>6] |= 1 << (slot & 63)
	} else {
		w[slot>>6] &^= 1 << (slot & 63)
	}
}

func (w *words) has(slot uint16) bool { return w[slot>>6]>>(slot&63)&1 != 0 }

func (w *words) count() (n int64) {
	for _, x := range w {
		n += int64(bits.OnesCount64(x))
	}
	return n
}

// fill sets every slot for which holds is true.
func (w *words) fill(holds func(slot int) bool) {
	for i := range w {
		x := uint64(0)
		for j := range 64 {
			if holds(i<<6 | j) {
				x |= 1 << j
			}
		}
		w[i] = x
	}
}

// vector is what one column knows of a block's people.
type vector interface {
	set(slot uint16, p *Person)
	clear(slot uint16)
	bytes() int64
}

// never stands for a time that there is not: it lies before every window.
const never = math.MinInt64

// times is a column of moments: the n-th newest of a fact, or the start of the profile's age.
type times struct {
	of func(p *Person) int64
	at []int64
}

func newTimes(of func(p *Person) int64) *times {
	t := &times{of: of, at: make([]int64, slots)}
	for i := range t.at {
		t.at[i] = never
	}
	return t
}

func (t *times) set(slot uint16, p *Person) { t.at[slot] = t.of(p) }
func (t *times) clear(slot uint16)          { t.at[slot] = never }
func (t *times) bytes() int64               { return int64(8 * cap(t.at)) }

// counts is a column of how often something ever happened.
type counts struct {
	fact uint64
	n    []uint32
}

func newCounts(fact uint64) *counts { return &counts{fact, make([]uint32, slots)} }

func (c *counts) set(slot uint16, p *Person) {
	c.n[slot] = uint32(min(p.Fact(c.fact).Count, math.MaxUint32)) //nolint:gosec // bounded, and a count is never negative
}
func (c *counts) clear(slot uint16) { c.n[slot] = 0 }
func (c *counts) bytes() int64      { return int64(4 * cap(c.n)) }

// attributes is a column of what a path leads to. As long as there are few different ones they are kept once each, and a
// person has the number of theirs; from then on everybody's is kept by itself.
type attributes struct {
	path  segment.Path
	arena []byte
	where []span // of the different values, from 1 on; or of each slot's
	dead  int    // bytes of the arena that no slot has any more
	wide  bool   // somebody's value does not fit: the column cannot answer

	codes []uint16          // nil once everybody's value is kept by itself
	index map[string]uint16 // of the values while codes are in use

	at []int64 // the values as timestamps, made when first asked for; never where it is none
}

// span is where a value lies in the arena; of no length, there is none.
type span struct {
	from uint32
	size uint16
}

// Bounds of a column's block. An attribute is at most 1,000 bytes of JSON text before escapes.
const (
	maxCodes = 4096
	maxSize  = math.MaxUint16 // so 65,536 of them fit an offset of 32 bits
)

func newAttributes(path string) *attributes {
	return &attributes{path: segment.ParsePath(path), where: make([]span, 1), codes: make([]uint16, slots), index: map[string]uint16{}}
}

func (a *attributes) bytes() int64 {
	return int64(cap(a.arena)+8*cap(a.where)+2*cap(a.codes)+8*cap(a.at)) + int64(len(a.index))*48
}

func (a *attributes) value(s span) value.Value {
	if s.size == 0 {
		return nil
	}
	return value.Value(a.arena[s.from : s.from+uint32(s.size)])
}

func (a *attributes) append(v value.Value) span {
	from := len(a.arena)
	a.arena = append(a.arena, v...)
	return span{uint32(from), uint16(len(v))} //nolint:gosec // maxSize
}

func (a *attributes) set(slot uint16, p *Person) {
	v := a.path.Of(p)
	if len(v) > maxSize {
		a.wide, v = true, nil
	}
	if a.codes == nil {
		a.replace(slot, v)
		return
	}
	if len(v) == 0 {
		a.codes[slot] = 0
		return
	}
	code, ok := a.index[string(v)]
	if !ok {
		if len(a.where) > maxCodes {
			a.spread()
			a.replace(slot, v)
			return
		}
		code = uint16(len(a.where)) //nolint:gosec // maxCodes
		a.index[string(v)] = code
		a.where = append(a.where, a.append(v))
		if a.at != nil {
			a.at = append(a.at, timestamp(v))
		}
	}
	a.codes[slot] = code
}

// spread gives every slot a value of its own.
func (a *attributes) spread() {
	old := *a
	a.arena, a.where, a.codes, a.index, a.at, a.dead = nil, make([]span, slots), nil, nil, nil, 0
	for slot, code := range old.codes {
		a.where[slot] = a.append(old.value(old.where[code]))
	}
}

func (a *attributes) replace(slot uint16, v value.Value) {
	a.dead += int(a.where[slot].size)
	a.where[slot] = a.append(v)
	if a.at != nil {
		a.at[slot] = timestamp(v)
	}
	if a.dead > 64<<10 && a.dead > len(a.arena)/2 {
		old := *a
		a.arena, a.where, a.dead = make([]byte, 0, len(old.arena)-old.dead), make([]span, slots), 0
		for i := range a.where {
			a.where[i] = a.append(old.value(old.where[i]))
		}
	}
}

func (a *attributes) clear(slot uint16) {
	if a.codes != nil {
		a.codes[slot] = 0
		return
	}
	a.replace(slot, nil)
}

func timestamp(v value.Value) int64 {
	if len(v) == 0 {
		return never
	}
	if ms, ok := segment.Timestamp(v); ok {
		return ms
	}
	return never
}

// holds answers an attribute leaf for everybody of the block.
func (a *attributes) holds(n *segment.Node, now int64, out *words) {
	one := func(i int) bool { return n.Holds(a.value(a.where[i]), now) }
	if n.Timed() {
		if a.at == nil {
			a.at = make([]int64, len(a.where))
			for i := range a.where {
				a.at[i] = timestamp(a.value(a.where[i]))
			}
		}
		one = func(i int) bool { return a.at[i] != never && n.HoldsAt(a.at[i], now) }
	}
	if a.codes == nil {
		out.fill(one)
		return
	}
	truth := make([]bool, len(a.where))
	for i := range truth {
		truth[i] = one(i)
	}
	out.fill(func(slot int) bool { return truth[a.codes[slot]] })
}
