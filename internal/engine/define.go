package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"rapport.example/internal/definition"
	"rapport.example/internal/ingest"
	"rapport.example/internal/journey"
)

// define saves definitions as a new generation. Where memberships change with them, a build begins (builds.go); people who fit one
// step are brought to the new definitions at once.
func (p *partition) define(ctx context.Context, tx Tx, op *ingest.Op) error {
	t, err := p.tenant(ctx, tx, op.Workspace)
	if err != nil || t == nil {
		return err
	}
	pl, err := ingest.Decode[ingest.DefinePayload](op)
	if err != nil {
		return err
	}
	now := op.Received + t.Clock
	b := p.newBatch()
	changed, err := definition.Apply(t.rows, pl, t.Gen+1, now, func(kind string) int64 { return b.next(t, "id/"+kind) })
	if err != nil {
		return fmt.Errorf("definitions: %w", err)
	}
	if pl.Name != "" {
		t.Name = pl.Name
	}
	t.logNow = max(t.logNow, now)
	if len(changed) == 0 {
		b.c.Workspaces = append(b.c.Workspaces, t.Workspace)
		return b.write(ctx, tx)
	}
	for i := range changed {
		changed[i].Workspace = t.ID
	}
	t.Gen++
	b.c.Definitions = changed
	few := t.counters["person"] <= int64(p.e.o.SweepChunk)
	numbers, err := b.rebuild(t, definition.Replace(t.rows, changed), now, few)
	if err != nil {
		return fmt.Errorf("definitions: %w", err)
	}
	b.c.Workspaces = append(b.c.Workspaces, t.Workspace)
	if err := b.write(ctx, tx); err != nil {
		return err
	}
	p.pieces.forget(t.ID, numbers...)
	t.tallied = 0
	if err := t.loadBuilds(ctx, tx); err != nil {
		return fmt.Errorf("definitions: %w", err)
	}
	if few {
		return p.buildFew(ctx, tx, t)
	}
	return p.beginStarted(ctx, tx, t)
}

// rebuild notes which segments are to be built and since when events are counted, as rows will be. It answers the numbers of bitmaps
// that are gone.
func (b *batch) rebuild(t *tenant, rows []definition.Row, now int64, few bool) (gone []int64, err error) {
	_, next, err := definition.CompileBuilding(rows, nil, nil)
	if err != nil {
		return nil, err
	}
	gone = b.dropBuilds(t, next)
	builds, phase, began := map[int64]definition.Build{}, t.phase(), false
	for _, x := range t.builds {
		if seg := next.Segment(x.Segment); seg != nil && seg.Manual && x.State != definition.Finished { // it stands still from now on
			x.State, x.Live, x.Gen = definition.Finished, 0, t.Gen
			gone = append(gone, nextOf(x.Segment), enteredOf(x.Segment))
			b.c.DropPieces = append(b.c.DropPieces, SegmentRef{t.ID, nextOf(x.Segment)}, SegmentRef{t.ID, enteredOf(x.Segment)})
		}
		builds[x.Segment] = x
	}
	for _, seg := range definition.Rebuild(t.next, next) {
		x, known := builds[seg.ID]
		if !known || x.State == definition.Finished {
			x = definition.Build{Workspace: t.ID, Segment: seg.ID, Began: t.Gen, Built: x.Built, Since: x.Since}
			if old := t.next.Segment(seg.ID); old != nil {
				x.Live = old.Version
			}
		} else { // what it has come to does not hold any more; who has entered meanwhile is remembered
			gone = append(gone, nextOf(seg.ID))
			b.c.DropPieces = append(b.c.DropPieces, SegmentRef{t.ID, nextOf(seg.ID)})
		}
		x.Gen, x.State, began = t.Gen, definition.PeopleQueued, true
		if few {
			x.State, x.Live, x.Built, x.Since = definition.Finished, 0, t.Gen, now
		}
		builds[seg.ID] = x
	}
	list := make([]definition.Build, 0, len(builds))
	for _, id := range slices.Sorted(maps.Keys(builds)) {
		if next.Segment(id) != nil {
			list = append(list, builds[id])
		}
	}
	fresh, behind, err := b.countedSince(t, rows, list)
	if err != nil {
		return nil, err
	}
	going := false
	for i := range list {
		x := &list[i]
		if x.State == definition.PeopleQueued && x.Gen == t.Gen && behind {
			x.State = definition.EventsQueued
		}
		if x.Gen == t.Gen {
			b.c.Builds = append(b.c.Builds, *x)
		}
		going = going || x.State != definition.Finished
	}
	if ended := phase != definition.Finished && !going; !few && (began || ended || fresh && !going) {
		t.beginSweep()
	}
	return gone, nil
}

// dropBuilds forgets the bitmaps of segments that are no longer there.
func (b *batch) dropBuilds(t *tenant, next *definition.Set) (gone []int64) {
	for _, seg := range t.next.Segments() {
		if next.Segment(seg.ID) != nil {
			continue
		}
		b.c.DropBuilds = append(b.c.DropBuilds, SegmentRef{t.ID, seg.ID})
		for _, n := range []int64{seg.ID, nextOf(seg.ID), enteredOf(seg.ID)} {
			b.c.DropPieces = append(b.c.DropPieces, SegmentRef{t.ID, n})
			gone = append(gone, n)
		}
	}
	return gone
}

// countedSince notes since when documents count each event condition, and reports whether there are new ones, and whether there are any
// that not every document has counted.
func (b *batch) countedSince(t *tenant, rows []definition.Row, builds []definition.Build) (fresh, behind bool, err error) {
	_, next, err := definition.CompileBuilding(rows, builds, nil)
	if err != nil {
		return false, false, err
	}
	stored := map[uint64]definition.Counted{}
	for _, c := range t.counted {
		stored[c.Key] = c
		if next.Facts()[c.Key] == nil {
			b.c.DropCounted = append(b.c.DropCounted, CountedRow{t.ID, c})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(next.Facts())) {
		f, old := next.Facts()[key], t.next.Facts()[key]
		c := definition.Counted{Key: key, Keep: f.Keep, Born: t.Gen}
		if old != nil && old.Keep >= f.Keep {
			c.Born = old.Born
		} else {
			fresh = true
		}
		behind = behind || c.Born > 0
		if stored[key] != c {
			b.c.PutCounted = append(b.c.PutCounted, CountedRow{t.ID, c})
		}
	}
	return fresh, behind, nil
}

// buildFew brings everybody to new definitions within the op that saves them.
func (p *partition) buildFew(ctx context.Context, tx Tx, t *tenant) error {
	docs, err := tx.PeopleFrom(ctx, t.ID, 1, uint32(t.counters["person"])+1, p.e.o.SweepChunk) //nolint:gosec // ordinals
	if err != nil {
		return err
	}
	b := p.newBatch()
	b.backfill = true
	if err := b.adopt(ctx, tx, docs); err != nil {
		return err
	}
	b.allCounted(t)
	if err := b.write(ctx, tx); err != nil || !t.behind() {
		return err
	}
	return t.loadBuilds(ctx, tx)
}

// beginStarted notes who is to begin campaigns that were started now and want the people who are in their segment already. Those of
// segments that are being built begin when that is done.
func (p *partition) beginStarted(ctx context.Context, tx Tx, t *tenant) error {
	b := p.newBatch()
	for _, c := range t.next.Campaigns() {
		seg := t.next.SegmentBySlug(c.Trigger.Segment)
		if c.State != journey.Running || !c.Trigger.Current || c.Started != t.Gen || seg == nil || seg.Building {
			continue
		}
		err := p.eachPiece(ctx, tx, t, []int64{seg.ID}, func(n uint32, bits []*roaring.Bitmap) {
			if !bits[0].IsEmpty() {
				k := PieceKey{t.ID, toBegin(c.ID), n}
				p.pieces.put(k, bits[0].Clone())
				t.begin[c.ID] = append(t.begin[c.ID], k)
			}
		})
		if err != nil {
			return err
		}
	}
	return b.write(ctx, tx)
}

// moveClock moves the workspace's clock forward and runs every timer due by then, with what they set off, before the op
// counts as applied.
func (p *partition) moveClock(ctx context.Context, tx Tx, op *ingest.Op) error {
	t, err := p.tenant(ctx, tx, op.Workspace)
	if err != nil || t == nil {
		return err
	}
	pl, err := ingest.Decode[ingest.ClockPayload](op)
	if err != nil {
		return err
	}
	if pl.Advance <= 0 {
		return nil // forwards only: the surfaces refuse it, an old log may hold one
	}
	t.Clock += pl.Advance
	b := p.newBatch()
	b.c.Workspaces = append(b.c.Workspaces, t.Workspace)
	if err := b.write(ctx, tx); err != nil {
		return err
	}
	until := op.Received + t.Clock
	for more := true; more; {
		if more, err = p.fire(ctx, tx, t, until); err != nil {
			return err
		}
	}
	t.logNow = max(t.logNow, until)
	return nil
}
