package audience

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"rapport.example/internal/event"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// What documents have not counted is in people's history. It is found in two ways: by following a person's chains from event to event,
// each in another place of the table, or by reading everybody's events in the order of the table. Few people are quicker followed,
// many are quicker read; a sample of them tells which.

// Wanted are events of one chain (event.ChainName) whose own time is later than After, Unix ms.
type Wanted struct {
	Chain string
	After int64
}

const (
	historyRoom = 96 << 20 // about how many bytes a question counts at once
	eventStep   = 1 << 17  // sequences that are read in one go
	walkCost    = 16       // events that are read in order while one is found by a chain
	spots       = 32       // places of which people are looked at for a choice
	spotPeople  = 32       // people of one place
	spotChains  = 64       // of their chains, how many are followed, and
	spotEvents  = 4096     // how many events of these at most
)

// history is what documents have not counted, counted from the events of everybody with ordinals in [from, to).
type history struct {
	from, to uint32
	tables   map[uint64]*table // by segment.FactSpec.Key
	wanted   []Wanted
	counting [][]*table          // by place in wanted
	gate     *semaphore.Weighted // that it came through, if any
	room     int64
	bytes    atomic.Int64
	stripes  [64]stripe
}

// table has the facts of one condition by ordinal.
type table struct {
	counted
	after int64
	pages []*page
}

// page is people who lie together. Its stripe guards it.
type page [1 << pageBits]tally

// tally is what was counted for one person. The newest times lie at a place of the stripe, with room for as many as roomFor says.
type tally struct {
	first     int64
	count, at uint32
}

const (
	pageBits = 4
	pageSize = 16 << pageBits
	slabSize = 4096 // times, unless somebody needs more
	slabBits = 14   // of a place within a slab: nobody needs more times than that
)

// stripe is every 64th page, and room for the times in them.
type stripe struct {
	mu    sync.Mutex
	slabs [][]int64 // each as long as it is full
}

var (
	errRoom   = errors.New("the history takes too much memory at once")
	errEnough = errors.New("enough was seen")
)

// release says that the history is done with. That of nil is nothing.
func (h *history) release() {
	if h != nil && h.gate != nil {
		h.gate.Release(1)
	}
}

// readHistory counts what documents of people with ordinals in [from, to) have not counted, from everybody's events if that is quicker
// than following chains; else it answers nil. It ends before to, where about room bytes would not do. after says from when on a
// condition's events matter; one that it does not know needs all. A gate, if there is one, lets through one history at a time: release it.
func readHistory(
	ctx context.Context, src Source, gate *semaphore.Weighted, room, workspace int64, specs []counted, after map[uint64]int64, from, to uint32,
) (*history, error) {
	last, err := src.LastEvent(ctx, workspace)
	if err != nil {
		return nil, err
	}
	use, err := worthwhile(ctx, src, workspace, specs, from, to, last)
	if err != nil || len(use) == 0 {
		return nil, err
	}
	if gate != nil {
		if err := gate.Acquire(ctx, 1); err != nil {
			return nil, err
		}
	}
	for {
		h := newHistory(use, after, from, to, room)
		h.gate = gate
		err := h.read(ctx, src, workspace, last)
		if err == nil {
			return h, nil
		}
		if !errors.Is(err, errRoom) || to-from <= 1 {
			h.release()
			return nil, err
		}
		to = from + (to-from)/2
	}
}

// piecesHistory is readHistory for everybody from piece i on, and says before which piece it ends.
func piecesHistory(
	ctx context.Context, src Source, gate *semaphore.Weighted, workspace int64, specs []counted, after map[uint64]int64, i, pieces int,
) (past *history, end int, err error) {
	past, err = readHistory(ctx, src, gate, historyRoom, workspace, specs, after, uint32(i)<<pieceBits, uint32(pieces)<<pieceBits) //nolint:gosec // ordinals
	if err != nil || past == nil {
		return nil, pieces, err
	}
	return past, max(i+1, int(past.to>>pieceBits)), nil
}

// afterOf says for conditions that the lines ask for within windows alone since when events matter at now.
func afterOf(lines []line, now int64) map[uint64]int64 {
	after := map[uint64]int64{}
	for _, l := range lines {
		if c := l.shape.Event; c != nil {
			edge := int64(never)
			if c.Window != 0 {
				edge = now - c.Window
			}
			if have, ok := after[c.Spec.Key]; !ok || edge < have {
				after[c.Spec.Key] = edge
			}
		}
	}
	return after
}

// worthwhile lists the conditions that are to be counted from everybody's events up to the last one.
func worthwhile(ctx context.Context, src Source, workspace int64, specs []counted, from, to uint32, last int64) ([]counted, error) {
	if to-from < spots*spotPeople {
		return nil, nil
	}
	var heads []int64
	var use []counted
	var v person.View
	seen := int64(0)
	for i := range uint32(spots) {
		start := from + uint32(uint64(to-from)*uint64(i)/spots)
		err := src.Documents(ctx, workspace, start, min(start+spotPeople, to), func(ordinal uint32, doc []byte) error {
			if err := v.Reset(person.Ref{Workspace: workspace, Ordinal: ordinal}, doc); err != nil {
				return err
			}
			seen++
			for j := range specs {
				if c := &specs[j]; c.missing(&v) {
					heads = append(heads, v.Head(c.chain))
					if !slices.ContainsFunc(use, func(u counted) bool { return u.Key == c.Key }) {
						use = append(use, *c)
					}
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(heads) == 0 {
		return nil, nil
	}
	slices.Sort(heads)
	heads = slices.Compact(heads)
	followed := make([]int64, 0, spotChains)
	for i := range min(spotChains, len(heads)) {
		followed = append(followed, heads[i*len(heads)/min(spotChains, len(heads))])
	}
	events := int64(0)
	err := src.Walk(ctx, workspace, followed, func(event.Activity) error {
		if events++; events == spotEvents {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	all := events * int64(len(heads)) / int64(len(followed)) * int64(to-from) / seen // events of the chains of all people
	if all*walkCost < last {
		return nil, nil
	}
	return use, nil
}

func newHistory(specs []counted, after map[uint64]int64, from, to uint32, room int64) *history {
	h := &history{from: from, to: to, tables: map[uint64]*table{}, room: room}
	for _, c := range specs {
		t := &table{counted: c, after: never, pages: make([]*page, (to-from)>>pageBits+1)}
		if a, ok := after[c.Key]; ok {
			t.after = a
		}
		h.tables[c.Key] = t
		h.bytes.Add(int64(len(t.pages)) * 8)
		i := slices.IndexFunc(h.wanted, func(w Wanted) bool { return w.Chain == c.chain })
		if i < 0 {
			i = len(h.wanted)
			h.wanted, h.counting = append(h.wanted, Wanted{c.chain, t.after}), append(h.counting, nil)
		}
		h.wanted[i].After = min(h.wanted[i].After, t.after)
		h.counting[i] = append(h.counting[i], t)
	}
	return h
}

// read counts all events up to the last one.
func (h *history) read(ctx context.Context, src Source, workspace, last int64) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(min(scanners, runtime.GOMAXPROCS(0)))
	for from := int64(0); from <= last && ctx.Err() == nil; from += eventStep {
		g.Go(func() error {
			return src.Events(ctx, workspace, from, min(from+eventStep, last+1), h.wanted, h.count)
		})
	}
	return g.Wait()
}

// count counts an event of the i-th of what is wanted.
func (h *history) count(i int, who uint32, at int64, data value.Value) error {
	if who < h.from || who >= h.to {
		return nil
	}
	for _, t := range h.counting[i] {
		if at > t.after && t.Matches(data) {
			h.observe(t, who-h.from, at)
		}
	}
	if h.bytes.Load() > h.room {
		return errRoom
	}
	return nil
}

func (h *history) observe(t *table, who uint32, at int64) {
	n := who >> pageBits
	s := &h.stripes[n%uint32(len(h.stripes))]
	s.mu.Lock()
	defer s.mu.Unlock()
	p := t.pages[n]
	if p == nil {
		p = &page{}
		t.pages[n] = p
		h.bytes.Add(pageSize)
	}
	c := &p[who&(1<<pageBits-1)]
	f := s.fact(c, t.Keep)
	if have := len(f.Newest); have < t.Keep && (have == 0 || roomFor(have, t.Keep) == have) {
		c.at = s.take(h, roomFor(have+1, t.Keep))
		f.Newest = append(s.times(c.at), f.Newest...)
	}
	segment.Observe(&f, at, t.Keep)
	c.first, c.count = f.First, uint32(f.Count) //nolint:gosec // a person's events
}

// roomFor is for how many times there is room where somebody has n of at most keep.
func roomFor(n, keep int) int {
	room := 4
	for room < n {
		room *= 2
	}
	return min(room, keep)
}

// take gives a place with room for n times.
func (s *stripe) take(h *history, n int) uint32 {
	last := len(s.slabs) - 1
	if last < 0 || cap(s.slabs[last])-len(s.slabs[last]) < n {
		s.slabs = append(s.slabs, make([]int64, 0, max(n, slabSize)))
		last++
		h.bytes.Add(int64(8 * cap(s.slabs[last])))
	}
	at := len(s.slabs[last])
	s.slabs[last] = s.slabs[last][:at+n]
	return uint32(last<<slabBits | at) //nolint:gosec // history has room for fewer
}

// times is what lies behind a place, without anything in it.
func (s *stripe) times(at uint32) []int64 {
	return s.slabs[at>>slabBits][at&(1<<slabBits-1):][:0]
}

func (s *stripe) fact(c *tally, keep int) (f person.Fact) {
	f.First, f.Count = c.first, int64(c.count)
	if n := min(int(c.count), keep); n > 0 {
		f.Newest = s.times(c.at)[:n:roomFor(n, keep)]
	}
	return f
}

// fact is what was counted for a person; ok is false if the condition was not, or not for them. The fact is not to be changed.
func (h *history) fact(key uint64, ordinal uint32) (f person.Fact, ok bool) {
	if h == nil || ordinal < h.from || ordinal >= h.to {
		return f, false
	}
	t := h.tables[key]
	if t == nil {
		return f, false
	}
	return h.of(t, ordinal), true
}

// of is what was counted of a condition for a person with an ordinal in [from, to).
func (h *history) of(t *table, ordinal uint32) (f person.Fact) {
	n := (ordinal - h.from) >> pageBits
	if p := t.pages[n]; p != nil {
		f = h.stripes[n%uint32(len(h.stripes))].fact(&p[(ordinal-h.from)&(1<<pageBits-1)], t.Keep)
	}
	f.Key = t.Key
	return f
}

// tells reports whether what was counted is all there is to know of a condition for ordinals in [from, to): it was counted for all of
// them, and no document has counted it.
func (h *history) tells(key uint64, from, to uint32) bool {
	if h == nil || from < h.from || to > h.to {
		return false
	}
	t := h.tables[key]
	return t != nil && t.born < 0
}

// fill sets those columns of a block, whose ordinals are [from, to), that the history tells, for the people who are there.
func (h *history) fill(columns map[columnKey]vector, there *words, from, to uint32) {
	p := Person{rebuilt: map[uint64]person.Fact{}}
	var told []vector
	for k, v := range columns {
		if h.tells(k.fact, from, to) {
			p.rebuilt[k.fact], told = person.Fact{}, append(told, v)
		}
	}
	if len(told) == 0 {
		return
	}
	for ordinal := from; ordinal < to; ordinal++ {
		slot := uint16(ordinal & (slots - 1)) //nolint:gosec // masked
		if !there.has(slot) {
			continue
		}
		for key := range p.rebuilt {
			p.rebuilt[key] = h.of(h.tables[key], ordinal)
		}
		for _, v := range told {
			v.set(slot, &p)
		}
	}
}
