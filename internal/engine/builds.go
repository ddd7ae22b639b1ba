package engine

import (
	"cmp"
	"context"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"rapport.example/internal/audience"
	"rapport.example/internal/definition"
	"rapport.example/internal/journey"
	"rapport.example/internal/person"
	"rapport.example/internal/timer"
	"rapport.example/internal/workspace"
)

// A build brings everybody to new definitions (ADR 11). From the op on that saves them, people who change are evaluated for what is
// built as well as for what answers. Everybody else is evaluated by a job that reads documents beside the owner, a range of ordinals
// at a time; the owner takes over what it found, but for those who have changed meanwhile. The last range done, what was built takes
// the old one's place in one transaction. Ranges that are done are remembered with the workspace, so a build goes on after a crash.
//
// What documents have not counted is counted in memory for that. It stays true of whoever does not change, and a document whose
// generation is below the build's has not changed since that began. Documents learn it afterwards: the sweep goes on, with no segment
// being built, and writes those that have not counted everything, so that nobody's history has to be read any more.

// building lists the segments that are being built, by number.
func (t *tenant) building() []definition.Build {
	if t.next == t.set {
		return nil
	}
	var out []definition.Build
	for _, b := range t.builds {
		if b.State != definition.Finished {
			out = append(out, b)
		}
	}
	return out
}

// buildGen is the generation from which on documents are evaluated for what is being built, 0 if nothing is.
func (t *tenant) buildGen() (gen int64) {
	for _, b := range t.building() {
		gen = max(gen, b.Gen)
	}
	return gen
}

// phase is how far the build is that the workspace's cursor is of.
func (t *tenant) phase() definition.BuildState {
	for _, b := range t.building() {
		return b.State
	}
	return definition.Finished
}

// behind reports whether documents may not have counted every event condition.
func (t *tenant) behind() bool {
	return slices.ContainsFunc(t.counted, func(c definition.Counted) bool { return c.Born > 0 })
}

// asked reports whether the build under way has written about the person, if they have not changed since.
func (t *tenant) asked(ordinal uint32) bool {
	return t.phase() == definition.AskPeople && int64(ordinal) < t.Sweep
}

// loadBuilds reads what a tenant knows of builds and compiles its definitions.
func (t *tenant) loadBuilds(ctx context.Context, tx Tx) error {
	var err error
	if t.rows, err = tx.Definitions(ctx, t.ID, true); err != nil {
		return err
	}
	if t.builds, err = tx.Builds(ctx, t.ID); err != nil {
		return err
	}
	if t.counted, err = tx.Counted(ctx, t.ID); err != nil {
		return err
	}
	if t.set, t.next, err = definition.CompileBuilding(t.rows, t.builds, t.counted); err != nil {
		return err
	}
	t.past = nil
	keys, err := tx.PieceKeys(ctx, t.ID, WaitingFrom)
	if err != nil {
		return err
	}
	t.begin, t.unsettled = map[int64][]PieceKey{}, map[uint32]bool{}
	for _, k := range keys {
		if k.Segment == toSettle {
			t.unsettled[k.Piece] = true
			continue
		}
		c := k.Segment - toBeginFrom
		t.begin[c] = append(t.begin[c], k)
	}
	return nil
}

// job looks at a range of people beside the owner. Its results are read once done is closed.
type job struct {
	workspace int64
	phase     definition.BuildState // in CountEvents it counts history, in AskPeople it evaluates, and in Finished it finds what documents have to learn
	gen       int64                 // documents of this generation or later are evaluated already
	defined   int64                 // generation of the definitions that it knows
	from, to  uint32
	end       uint32          // of the sweep
	room      int64           // bytes of history
	beside    bool            // frames come in: one processor is left to them
	touched   *roaring.Bitmap // people whom the owner has changed since the job began
	cancel    context.CancelFunc
	done      chan struct{}

	err     error
	past    *audience.Past // that it was given, or has counted because that is not for its people
	facts   []recounted
	members map[int64]*roaring.Bitmap // by segment
	packed  []int64                   // by person, from the first on: when the earliest timer fires that a build has armed
	moments []timer.Timer
}

// recounted is what a job has counted for one person.
type recounted struct {
	person uint32
	facts  []person.Fact
}

// build gives builds their turn. While frames come in it takes a fifth of the writer's time at most.
func (p *partition) build(ctx context.Context) error {
	now := p.e.o.Now()
	if p.last > 0 && now.Before(p.rest) || now.Before(p.retry) {
		return nil
	}
	t := p.sweeping()
	if p.job != nil && !p.job.fits(t) {
		p.dropJob()
	}
	switch {
	case p.job == nil && t == nil:
		p.confined(nil)
		return nil
	case p.job == nil:
		return p.startJob(ctx, t)
	case !p.job.finished():
		return nil
	}
	if err := p.job.err; err != nil {
		p.dropJob()
		p.log.Warn("a segment's build could not read, it will be tried again", "error", err)
		p.retry = now.Add(idleWait)
		return nil
	}
	err := p.transact(ctx, func(tx Tx) error { return p.takeOver(ctx, tx, t, p.job) })
	if took := p.e.o.Now().Sub(now); err == nil {
		p.rest = now.Add(5 * took)
	}
	return err
}

// sweeping is the workspace whose sweep has its turn: one with segments to build before one whose documents have something to learn,
// and one after the other, since each has its history in memory.
func (p *partition) sweeping() (first *tenant) {
	rank := func(t *tenant) (r int64) {
		if t.phase() == definition.Finished {
			r += 2
		}
		if t.past == nil && (p.job == nil || p.job.workspace != t.ID) { // it is not under way
			r++
		}
		return r
	}
	for _, t := range p.tenants {
		if t.Sweep != 0 && (first == nil || cmp.Or(cmp.Compare(rank(t), rank(first)), cmp.Compare(t.ID, first.ID)) < 0) {
			first = t
		}
	}
	return first
}

// fits reports whether a job is one for the workspace whose sweep has its turn, as that stands and its definitions are.
func (j *job) fits(t *tenant) bool {
	return t != nil && t.ID == j.workspace && t.Gen == j.defined && t.buildGen() == j.gen && t.Sweep == int64(j.from)
}

// finished reports whether a job's results are there. The job may be nil.
func (j *job) finished() bool {
	if j == nil {
		return false
	}
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// dropJob ends the job under way and waits for it.
func (p *partition) dropJob() {
	if p.job != nil {
		p.job.cancel()
		<-p.job.done
		p.job = nil
	}
}

// confined takes how the bound on the heap ends that has just begun, nil if none has, and ends the one before it. A step's begins before that
// of the last step ends, so from a sweep's first step to its last the heap is never without.
func (p *partition) confined(over func()) {
	if p.over != nil {
		p.over()
	}
	p.over = over
}

// startJob begins with the next range. The first of a phase says so, so that everybody can see it.
func (p *partition) startJob(ctx context.Context, t *tenant) error {
	phase := t.phase()
	if phase == definition.Finished && !t.behind() { // the segments that were built are gone
		return p.transact(ctx, func(tx Tx) error {
			t.Sweep, t.SweepEnd = 0, 0
			b := p.newBatch()
			b.c.Workspaces = []workspace.Workspace{t.Workspace}
			return b.write(ctx, tx)
		})
	}
	if phase == definition.EventsQueued || phase == definition.PeopleQueued {
		return p.transact(ctx, func(tx Tx) error { return p.setPhase(ctx, tx, t, phase+1) })
	}
	for _, other := range p.tenants { // one history is in memory at a time
		if other != t || !t.past.Covers(uint32(t.Sweep)) { //nolint:gosec // ordinals
			other.past = nil
		}
	}
	j := &job{
		workspace: t.ID, phase: phase, gen: t.buildGen(), defined: t.Gen, from: uint32(t.Sweep), end: uint32(t.SweepEnd), //nolint:gosec // ordinals
		room: p.e.o.CountRoom, beside: p.last > 0, past: t.past, touched: roaring.New(), done: make(chan struct{}), members: map[int64]*roaring.Bitmap{},
	}
	j.to = min(j.end, (j.from/uint32(p.e.o.AskRange)+1)*uint32(p.e.o.AskRange)) //nolint:gosec // some ten thousand
	if phase == definition.Finished {
		j.to = min(j.end, j.from+uint32(p.e.o.SweepChunk)) //nolint:gosec // few
		j.room /= 4                                        // this has time, and takes long: better to count more often
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	j.cancel = cancel
	p.job = j
	p.confined(p.e.o.Confine())
	next, now := t.next, max(t.logNow, t.Now(p.e.o.Now()), t.past.Now())
	go func() {
		defer close(j.done)
		j.err = guard(func() error { return j.run(run, p.e.o.Store, next, now) })
	}()
	return nil
}

// beginSweep begins anew with everybody there is.
func (t *tenant) beginSweep() { t.Sweep, t.SweepEnd = 1, t.counters["person"]+1 }

func (p *partition) setPhase(ctx context.Context, tx Tx, t *tenant, to definition.BuildState) error {
	b := p.newBatch()
	for i := range t.builds {
		if x := &t.builds[i]; x.State != definition.Finished {
			x.State = to
			b.c.Builds = append(b.c.Builds, *x)
		}
	}
	b.c.Workspaces = []workspace.Workspace{t.Workspace}
	return b.write(ctx, tx)
}

// takeOver writes what a job has found.
func (p *partition) takeOver(ctx context.Context, tx Tx, t *tenant, j *job) error {
	if j.phase == definition.Finished {
		return p.takeFacts(ctx, tx, t, j)
	}
	b := p.newBatch()
	if j.phase == definition.AskPeople {
		b.armAll(t, slices.DeleteFunc(j.moments, func(m timer.Timer) bool { return j.touched.Contains(m.Person) }))
		if err := p.takeMembers(ctx, tx, t, j); err != nil {
			return err
		}
	}
	t.past, p.job = j.past, nil
	if j.phase == definition.CountEvents {
		t.Sweep = 1
		return p.setPhase(ctx, tx, t, definition.PeopleQueued)
	}
	if t.Sweep = int64(j.to); t.Sweep >= t.SweepEnd {
		return p.flip(ctx, tx, b, t)
	}
	b.c.Workspaces = []workspace.Workspace{t.Workspace}
	return b.write(ctx, tx)
}

// blockTimers is how many timers of a build lie in one block at most.
const blockTimers = 512

// armAll arms a build's timers, which are in order, packed.
func (b *batch) armAll(t *tenant, list []timer.Timer) {
	for part := range slices.Chunk(list, blockTimers) {
		b.c.TimerBlocks = append(b.c.TimerBlocks, TimerBlock{Workspace: t.ID, ID: b.next(t, "timer_block"), Timers: part})
		t.timer = earlier(t.timer, part[0].Due)
	}
}

// takeFacts writes documents with what was counted of their history, and brings them to what was built. With the last of them the sweep ends.
func (p *partition) takeFacts(ctx context.Context, tx Tx, t *tenant, j *job) error {
	b := p.newBatch()
	b.recounted = map[person.Ref][]person.Fact{}
	for _, r := range j.facts {
		if !j.touched.Contains(r.person) {
			ref := person.Ref{Workspace: t.ID, Ordinal: r.person}
			b.recounted[ref] = r.facts
			b.c.Passed = append(b.c.Passed, ref)
		}
	}
	if len(b.recounted) > 0 {
		docs, err := tx.PeopleFrom(ctx, t.ID, j.from, j.to, int(j.to-j.from))
		if err != nil {
			return err
		}
		docs = slices.DeleteFunc(docs, func(d *person.Document) bool { return b.recounted[d.Ref] == nil })
		if err := b.adopt(ctx, tx, docs); err != nil {
			return err
		}
	}
	t.past, p.job = j.past, nil
	t.Sweep = int64(j.to)
	ends := t.Sweep >= t.SweepEnd
	if ends {
		t.Sweep, t.SweepEnd = 0, 0
		b.allCounted(t)
	}
	b.c.Workspaces = []workspace.Workspace{t.Workspace}
	if err := b.write(ctx, tx); err != nil || !ends {
		return err
	}
	return t.loadBuilds(ctx, tx)
}

// allCounted notes that every document has counted every event condition.
func (b *batch) allCounted(t *tenant) {
	for _, c := range t.counted {
		if c.Born > 0 {
			c.Born = 0
			b.c.PutCounted = append(b.c.PutCounted, CountedRow{t.ID, c})
		}
	}
}

// takeMembers joins what the job has found to the bitmaps that are being built.
func (p *partition) takeMembers(ctx context.Context, tx Tx, t *tenant, j *job) error {
	if err := p.pieces.want(ctx, tx, t, j.from, j.to-1); err != nil {
		return err
	}
	for _, x := range t.building() {
		if m := j.members[x.Segment]; m != nil {
			m.AndNot(j.touched)
			for it := m.Iterator(); it.HasNext(); {
				p.pieces.add(t, nextOf(x.Segment), it.Next())
			}
		}
	}
	return nil
}

// flip makes what was built the membership that answers. Where documents have not counted everything, the sweep begins anew for that.
func (p *partition) flip(ctx context.Context, tx Tx, b *batch, t *tenant) error {
	now := max(t.logNow, b.real+t.Clock)
	t.Gen++
	t.Sweep, t.SweepEnd = 0, 0
	if t.behind() {
		t.beginSweep()
	}
	if err := b.write(ctx, tx); err != nil { // the last pieces, before they change their names
		return err
	}
	b = p.newBatch()
	var numbers []int64
	for i := range t.builds {
		x := &t.builds[i]
		if x.State == definition.Finished {
			continue
		}
		if err := p.entrants(ctx, tx, t, x); err != nil {
			return err
		}
		x.State, x.Live, x.Built, x.Since = definition.Finished, 0, t.Gen, now
		b.c.Builds = append(b.c.Builds, *x)
		b.c.DropPieces = append(b.c.DropPieces, SegmentRef{t.ID, x.Segment}, SegmentRef{t.ID, enteredOf(x.Segment)})
		b.c.MovePieces = append(b.c.MovePieces, MovePieces{SegmentRef{t.ID, nextOf(x.Segment)}, x.Segment})
		numbers = append(numbers, x.Segment, nextOf(x.Segment), enteredOf(x.Segment))
	}
	b.c.Workspaces = []workspace.Workspace{t.Workspace}
	if err := b.write(ctx, tx); err != nil {
		return err
	}
	p.pieces.forget(t.ID, numbers...)
	t.tallied = 0
	return t.loadBuilds(ctx, tx)
}

// entrants notes who is to begin campaigns of a segment that was built: those who are in it and were not before, if the campaign
// wants people who are there already, and else of them those who have entered since the build began. A campaign that was started
// meanwhile and wants them has everybody.
func (p *partition) entrants(ctx context.Context, tx Tx, t *tenant, x *definition.Build) error {
	for _, c := range t.next.Campaigns() {
		seg := t.next.SegmentBySlug(c.Trigger.Segment)
		if c.State != journey.Running || seg == nil || seg.ID != x.Segment {
			continue
		}
		err := p.eachPiece(ctx, tx, t, []int64{x.Segment, nextOf(x.Segment), enteredOf(x.Segment)}, func(n uint32, bits []*roaring.Bitmap) {
			who := bits[1].Clone()
			if !c.Trigger.Current {
				who.And(bits[2])
			}
			if !c.Trigger.Current || c.Started < x.Began {
				who.AndNot(bits[0])
			}
			p.pieces.put(PieceKey{t.ID, toBegin(c.ID), n}, who)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachPiece shows the pieces of some bitmaps, one range of ordinals after the other.
func (p *partition) eachPiece(ctx context.Context, tx Tx, t *tenant, numbers []int64, each func(n uint32, bits []*roaring.Bitmap)) error {
	for n := range uint32(t.counters["person"]>>pieceBits) + 1 { //nolint:gosec // ordinals
		keys := make([]PieceKey, len(numbers))
		for i, number := range numbers {
			keys[i] = PieceKey{t.ID, number, n}
		}
		if err := p.pieces.read(ctx, tx, slices.Clone(keys)); err != nil {
			return err
		}
		bits := make([]*roaring.Bitmap, len(keys))
		for i, k := range keys {
			bits[i] = p.pieces.bits[k]
		}
		each(n, bits)
	}
	return nil
}

// beginStep is how many people begin a campaign in one transaction.
const beginStep = 200

// beginning begins campaigns for those who are in their segment without having entered it lately.
func (p *partition) beginning(ctx context.Context) error {
	if p.last > 0 && p.e.o.Now().Before(p.rest) {
		return nil
	}
	for _, t := range p.tenants {
		for id, keys := range t.begin {
			return p.transact(ctx, func(tx Tx) error { return p.beginSome(ctx, tx, t, id, keys[0]) })
		}
	}
	return nil
}

func (p *partition) beginSome(ctx context.Context, tx Tx, t *tenant, campaign int64, k PieceKey) error {
	if err := p.pieces.read(ctx, tx, []PieceKey{k}); err != nil {
		return err
	}
	var refs []person.Ref
	for it := p.pieces.bits[k].Iterator(); it.HasNext() && len(refs) < beginStep; {
		refs = append(refs, person.Ref{Workspace: t.ID, Ordinal: k.Piece<<pieceBits | it.Next()})
	}
	b := p.newBatch()
	docs, err := tx.People(ctx, refs)
	if err != nil {
		return err
	}
	if err := b.adopt(ctx, tx, docs); err != nil {
		return err
	}
	c := t.set.Campaign(campaign, 0)
	now := max(t.logNow, b.real+t.Clock)
	for _, ref := range refs {
		p.pieces.remove(t, k.Segment, ref.Ordinal)
		s := b.people[ref]
		if s == nil || c == nil || c.State != journey.Running || !(facts{s: s}).Member(c.Trigger.Segment) {
			continue
		}
		if err := b.begin(s, c, nil, now); err != nil {
			return err
		}
	}
	if p.pieces.bits[k].IsEmpty() {
		if t.begin[campaign] = t.begin[campaign][1:]; len(t.begin[campaign]) == 0 {
			delete(t.begin, campaign)
		}
	}
	return b.write(ctx, tx)
}
