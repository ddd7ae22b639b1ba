package audience

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	"golang.org/x/sync/errgroup"

	"rapport.example/internal/definition"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
)

// errNoRoom says that what a query needs does not fit the room for columns.
var errNoRoom = errors.New("columns have no room")

// space is the columns of one workspace, whose partition this process owns.
type space struct {
	asking sync.Mutex // one query at a time
	blocks []*block
	used   map[columnKey]int64         // when each column was last asked for
	specs  map[uint64]segment.FactSpec // of the columns' event conditions
	large  map[columnKey]bool          // columns that had no room
	newest int64                       // when the newest query came

	mu    sync.Mutex
	dirty *roaring.Bitmap // people whose documents have changed since the columns were read
	all   bool            // everybody's may have
}

func newSpace() *space {
	return &space{used: map[columnKey]int64{}, specs: map[uint64]segment.FactSpec{}, large: map[columnKey]bool{}, dirty: roaring.New()}
}

// touch marks people's columns as old.
func (s *space) touch(people []uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.all {
		s.dirty.AddMany(people)
	}
}

func (s *space) takeDirty() (*roaring.Bitmap, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, all := s.dirty, s.all
	s.dirty, s.all = roaring.New(), false
	return d, all
}

// giveBack marks as old again what could not be read.
func (s *space) giveBack(d *roaring.Bitmap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty.Or(d)
}

// ask answers from columns, reading those that are not there yet.
func (s *space) ask(ctx context.Context, a *Audiences, q Query) (*Answer, error) {
	lines := lay(q.Tree)
	keys, specs, ok := columnsOf(lines)
	if !ok {
		return nil, errNoRoom
	}
	members, err := membersOf(ctx, a.src, q.Workspace, q.Set, []*segment.Node{q.Tree})
	if err != nil {
		return nil, err
	}
	s.asking.Lock()
	defer s.asking.Unlock()
	for _, spec := range specs {
		if spec.Keep >= s.specs[spec.Key].Keep {
			s.specs[spec.Key] = spec
		}
	}
	if err := s.refresh(ctx, a, q.Workspace, q.Set); err != nil {
		return nil, err
	}
	if err := s.load(ctx, a, q.Workspace, q.Set, keys); err != nil {
		return nil, err
	}
	if len(s.blocks) == 0 || !s.fits(keys) { // all may have changed again
		return nil, errNoRoom
	}
	parts := make([]part, len(s.blocks))
	g := errgroup.Group{}
	g.SetLimit(min(scanners, runtime.GOMAXPROCS(0)))
	for i, b := range s.blocks {
		g.Go(func() error {
			parts[i] = b.ask(lines, q.Now, members, uint32(i)<<pieceBits)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := gather(parts, q.Samples)
	out.Columns = true
	return out, nil
}

// refresh reads the documents that have changed. If they are many, the columns go and are read anew.
func (s *space) refresh(ctx context.Context, a *Audiences, workspace int64, set *definition.Set) error {
	dirty, all := s.takeDirty()
	people := int64(0)
	for _, b := range s.blocks {
		people += b.people.count()
	}
	if all || int64(dirty.GetCardinality()) > people/4+1000 {
		s.drop()
		return nil
	}
	if dirty.IsEmpty() || len(s.blocks) == 0 {
		return nil
	}
	for len(s.blocks) <= int(dirty.Maximum()>>pieceBits) {
		s.blocks = append(s.blocks, s.empty())
	}
	for it := dirty.Iterator(); it.HasNext(); {
		o := it.Next()
		b, slot := s.blocks[o>>pieceBits], uint16(o&(slots-1)) //nolint:gosec // masked
		if !b.people.has(slot) {
			continue
		}
		b.people.put(slot, false)
		for _, v := range b.columns {
			v.clear(slot)
		}
	}
	err := pick(ctx, a.src, workspace, countedIn(set, s.specs), dirty.ToArray(), func(p *Person) error {
		b, slot := s.blocks[p.Ordinal()>>pieceBits], uint16(p.Ordinal()&(slots-1)) //nolint:gosec // masked
		b.people.put(slot, true)
		for _, v := range b.columns {
			v.set(slot, p)
		}
		return nil
	})
	if err != nil {
		s.giveBack(dirty)
	}
	return err
}

func (s *space) empty() *block {
	b := newBlock()
	for k := range s.used {
		b.columns[k] = k.make()
	}
	return b
}

// load reads the columns that are not there. Others that were not asked for lately make room.
func (s *space) load(ctx context.Context, a *Audiences, workspace int64, set *definition.Set, keys []columnKey) error {
	if slices.ContainsFunc(keys, func(k columnKey) bool { return s.large[k] }) {
		return errNoRoom
	}
	now := a.clock.Add(1)
	s.newest = now
	var fresh []columnKey
	for _, k := range keys {
		if _, there := s.used[k]; !there {
			fresh = append(fresh, k)
		}
		s.used[k] = now
	}
	if len(fresh) == 0 && len(s.blocks) > 0 {
		return nil
	}
	known := len(s.blocks) > 0
	err := s.read(ctx, a, workspace, set, fresh, known)
	if err != nil {
		if !known {
			s.blocks = nil
		}
		for _, k := range fresh {
			s.remove(k)
		}
		if errors.Is(err, errNoRoom) && len(fresh) == 1 {
			s.large[fresh[0]] = true
		}
		return err
	}
	return s.refresh(ctx, a, workspace, set) // of what has changed meanwhile, the fresh columns know more than the others
}

// read reads fresh columns: a first block to see how large they are, then the others beside each other.
func (s *space) read(ctx context.Context, a *Audiences, workspace int64, set *definition.Set, fresh []columnKey, known bool) error {
	last, err := a.src.LastPerson(ctx, workspace)
	if err != nil {
		return err
	}
	for len(s.blocks) <= int(last>>pieceBits) {
		s.blocks = append(s.blocks, s.empty())
	}
	specs := slices.DeleteFunc(countedIn(set, s.specs), func(c counted) bool { // those of other columns are known
		return !slices.ContainsFunc(fresh, func(k columnKey) bool { return k.fact == c.Key })
	})
	for i := 0; i < len(s.blocks); {
		past, end, err := piecesHistory(ctx, a.src, a.gate, workspace, specs, nil, i, len(s.blocks))
		if err != nil {
			return err
		}
		err = s.readBlocks(ctx, a, i, end, fresh, func(ctx context.Context, i int) error {
			return s.readBlock(ctx, a, workspace, specs, past, fresh, i, known)
		})
		past.release()
		if err != nil {
			return err
		}
		i = end
	}
	if !a.makeRoom(s, 0) {
		return errNoRoom
	}
	return nil
}

// readBlocks reads fresh columns of some blocks: the very first by itself, to see whether there is room for the others.
func (s *space) readBlocks(ctx context.Context, a *Audiences, from, to int, fresh []columnKey, block func(ctx context.Context, i int) error) error {
	if from == 0 {
		if err := block(ctx, 0); err != nil {
			return err
		}
		if !a.makeRoom(s, s.blocks[0].bytes(fresh)*int64(len(s.blocks)-1)) {
			return errNoRoom
		}
		from = 1
	}
	return eachPiece(ctx, from, to, block)
}

// readBlock reads fresh columns of a block, and who there is unless that is known. What the history alone tells takes no documents.
func (s *space) readBlock(ctx context.Context, a *Audiences, workspace int64, specs []counted, past *history, fresh []columnKey, i int, known bool) error {
	b, from, to := s.blocks[i], uint32(i)<<pieceBits, uint32(i+1)<<pieceBits //nolint:gosec // ordinals
	columns, read, there := map[columnKey]vector{}, []vector{}, b.people
	for _, k := range fresh {
		columns[k] = k.make()
		if !past.tells(k.fact, from, to) {
			read = append(read, columns[k])
		}
	}
	put := func(ordinal uint32) (slot uint16) {
		slot = uint16(ordinal & (slots - 1)) //nolint:gosec // masked
		if !known {                          // else who is new comes with the next refresh: the other columns do not know them
			there.put(slot, true)
		}
		return slot
	}
	var err error
	n := 0
	switch {
	case len(read) > 0:
		specs = slices.DeleteFunc(slices.Clone(specs), func(c counted) bool { return past.tells(c.Key, from, to) })
		err = scanRange(ctx, a.src, workspace, specs, nil, past, nil, from, to, func(p *Person) error {
			slot := put(p.Ordinal())
			for _, v := range read {
				v.set(slot, p)
			}
			if n++; n%4096 == 0 && size(read) > a.room {
				return errNoRoom
			}
			return nil
		})
	case !known:
		err = a.src.People(ctx, workspace, from, to, func(ordinal uint32) error {
			put(ordinal)
			return ctx.Err()
		})
	}
	if err != nil {
		return err
	}
	past.fill(columns, &there, from, to)
	b.people = there
	maps.Copy(b.columns, columns)
	return nil
}

func size(vectors []vector) (n int64) {
	for _, v := range vectors {
		n += v.bytes()
	}
	return n
}

// bytes is how much room these columns of the block take.
func (b *block) bytes(keys []columnKey) (n int64) {
	for _, k := range keys {
		if v := b.columns[k]; v != nil {
			n += v.bytes()
		}
	}
	return n
}

// fits tells that every value of these columns could be kept.
func (s *space) fits(keys []columnKey) bool {
	for _, b := range s.blocks {
		for _, k := range keys {
			if v, ok := b.columns[k].(*attributes); ok && v.wide {
				return false
			}
		}
	}
	return true
}

// bytes is how much room the space takes.
func (s *space) bytes() (n int64) {
	for _, b := range s.blocks {
		for _, v := range b.columns {
			n += v.bytes()
		}
		n += int64(len(b.people) * 8)
	}
	return n
}

// remove takes a column out.
func (s *space) remove(k columnKey) {
	delete(s.used, k)
	for _, b := range s.blocks {
		delete(b.columns, k)
	}
	for other := range s.used {
		if other.fact == k.fact {
			return
		}
	}
	delete(s.specs, k.fact)
}

// oldest is the column that was not asked for longest, but for those of the query under way; at is 0 if there is none.
func (s *space) oldest(asking bool) (k columnKey, at int64) {
	for key, used := range s.used {
		if (!asking || used != s.newest) && (at == 0 || used < at) {
			k, at = key, used
		}
	}
	return k, at
}

func (s *space) drop() {
	s.blocks = nil
	clear(s.used)
	clear(s.large)
}

// pick is Scan for single people.
func pick(ctx context.Context, src Source, workspace int64, specs []counted, people []uint32, each func(*Person) error) error {
	for chunk := range slices.Chunk(people, lateStep) {
		s := scan{src: src, workspace: workspace, specs: specs, facts: map[uint64]person.Fact{}, each: each}
		if err := src.Pick(ctx, workspace, chunk, s.document); err != nil {
			return err
		}
		if err := s.catchUp(ctx); err != nil {
			return err
		}
	}
	return nil
}

// touchAll marks everybody's columns as old.
func (s *space) touchAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = true
	s.dirty = roaring.New()
}
