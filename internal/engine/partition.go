package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"time"

	"rapport.example/internal/audience"
	"rapport.example/internal/definition"
	"rapport.example/internal/ingest"
	"rapport.example/internal/workspace"
)

// partition is one held partition: the caches that its single reader may keep, since nobody else writes.
type partition struct {
	e      *Engine
	lease  Lease
	log    *slog.Logger
	at     uint64 // sequence of the last applied frame
	stream string
	loaded bool // whether tenants and pieces reflect the database

	tenants map[int64]*tenant
	pieces  pieceCache
	touched map[int64][]uint32 // people whom the transaction under way changes, by workspace
	job     *job               // of a build; nil = none runs
	over    func()             // ends the bound on the heap; nil = there is none
	rest    time.Time          // until then builds leave the writer to frames
	pause   time.Time          // until then so does settling
	retry   time.Time          // until then no build is tried, because one could not read
	trims   []trimMark
	packs   time.Time // until then no events are packed
	expires time.Time // when old rows are looked at next
	last    int       // ops of the last transaction of frames
}

// tenant is what the reader keeps in memory of one workspace.
type tenant struct {
	workspace.Workspace
	set     *definition.Set // by which memberships answer
	next    *definition.Set // as definitions are now; set itself unless segments are being built
	rows    []definition.Row
	builds  []definition.Build
	counted []definition.Counted
	past    *audience.Past       // history that was counted for the sweep under way and these definitions; nil = none
	begin   map[int64][]PieceKey // who is still to begin a campaign, by its number

	unsettled map[uint32]bool // pieces of those who are still to be looked at because of objects

	counters map[string]int64
	saved    map[string]int64 // counters as the database has them
	logNow   int64            // newest moment that was decided upon, workspace clock; never goes back
	timer    int64            // no timer is due before this, workspace clock; 0 = there is none
	tallied  int64            // the hour at which segments were counted last, workspace clock; 0 = not known
	packed   int64            // activities below this sequence are packed, but for those whose people have gone
	queued   int64            // no delivery is due before this, real time; 0 = none is queued
}

// trimMark remembers what was applied when, so that trimming can stay some hours behind.
type trimMark struct {
	at  time.Time
	seq uint64
}

const (
	idleWait  = time.Second // how long the reader waits for a frame when nothing is due
	timerStep = 2000        // timers of one transaction
	claimStep = 512         // deliveries of one claim
	trimEvery = 10 * time.Minute

	busyOps    = 100                   // of a transaction: from here on more is on its way
	gatherOps  = 1000                  // that are enough for the next one
	gatherWait = 20 * time.Millisecond // how long they may gather
)

func newPartition(e *Engine, lease Lease, log *slog.Logger) *partition {
	return &partition{e: e, lease: lease, log: log, at: lease.Checkpoint}
}

// run reads the partition until ctx ends or the lease is lost. Between frames it gives the other lanes their turn: due
// timers once everything acknowledged is applied, claims, one sweep step.
func (p *partition) run(ctx context.Context) error {
	if err := p.adopt(ctx); err != nil {
		return err
	}
	reader, err := p.e.o.Log.Consume(ctx, p.lease.Partition, p.at+1)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	defer p.release()
	defer p.confined(nil)
	defer p.dropJob()
	defer func() {
		if err := reader.Close(); err != nil {
			p.log.Debug("close log reader", "error", err)
		}
	}()
	wait := newBackoff(20*time.Millisecond, 2*time.Second)
	var frames []ingest.Frame
	for ctx.Err() == nil {
		if len(frames) == 0 {
			if frames, err = p.next(ctx, reader); err != nil {
				return err
			}
		}
		frames, err = p.turn(ctx, frames)
		switch {
		case err == nil:
			wait.reset()
		case errors.Is(err, ErrFenced) || errors.Is(err, ErrGap) || ctx.Err() != nil:
			return err
		case p.e.o.Store.Transient(err):
			p.loaded = false
			p.log.Warn("database not ready, it will be tried again", "error", err)
			wait.sleep(ctx)
		default:
			return err
		}
	}
	return nil
}

// adopt checks that the checkpoint belongs to this stream and publishes where the partition stands.
func (p *partition) adopt(ctx context.Context) error {
	id, err := p.e.o.Log.ID(ctx, p.lease.Partition)
	if err != nil {
		return fmt.Errorf("identify the log: %w", err)
	}
	if p.lease.Stream != "" && p.lease.Stream != id {
		return fmt.Errorf("partition %d was read from another log (%s) than the one that is here (%s): the data folder or database was restored without its log; restore both together, or make a new data folder with rapport restore", p.lease.Partition, p.lease.Stream, id)
	}
	p.stream = id
	last, err := p.e.o.Log.Last(ctx, p.lease.Partition)
	if err != nil {
		return fmt.Errorf("find the end of the log: %w", err)
	}
	if last < p.at {
		return fmt.Errorf("partition %d: the database has applied frame %d, but the log ends at %d: acknowledged frames are missing from the log", p.lease.Partition, p.at, last)
	}
	p.e.committed(p.lease.Partition, p.at)
	return nil
}

// next waits for frames, but no longer than until something else falls due.
func (p *partition) next(ctx context.Context, reader Reader) ([]ingest.Frame, error) {
	wait, busy := p.idle(), p.last >= busyOps
	p.last = 0
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	frames, err := reader.Next(bounded, p.e.o.MaxOps)
	if err != nil && bounded.Err() != nil && errors.Is(err, bounded.Err()) {
		return nil, nil // a reader hands out nothing together with an error, so no frame is skipped
	}
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	if len(frames) > 0 && frames[0].Seq != p.at+1 {
		return nil, fmt.Errorf("%w: applied up to %d, the log hands out %d", ErrGap, p.at, frames[0].Seq)
	}
	if busy {
		frames = p.gather(ctx, reader, frames)
	}
	return frames, nil
}

// gather lets more frames come in while writes are many: a transaction has costs of its own, and fewer, larger ones leave
// more of the machine to those who wait for an answer. A lone write never waits, nor does anybody who waits to read their
// own. What is wrong with the log shows at the next read.
func (p *partition) gather(ctx context.Context, reader Reader, frames []ingest.Frame) []ingest.Frame {
	bounded, cancel := context.WithTimeout(ctx, gatherWait)
	defer cancel()
	ops := 0
	for _, f := range frames {
		ops += len(f.Ops)
	}
	for ops < min(gatherOps, p.e.o.MaxOps) && !p.e.awaited(p.lease.Partition) {
		more, err := reader.Next(bounded, gatherOps-ops)
		if err != nil {
			return frames
		}
		for _, f := range more {
			ops += len(f.Ops)
		}
		frames = append(frames, more...)
	}
	return frames
}

// idle is how long the reader may wait for frames.
func (p *partition) idle() time.Duration {
	if !p.loaded {
		return time.Millisecond
	}
	now, wait := p.e.o.Now(), idleWait
	for _, t := range p.tenants {
		if t.timer != 0 {
			wait = min(wait, time.Duration(t.timer-t.Now(now))*time.Millisecond)
		}
		if t.queued != 0 && p.e.o.Deliver.Free() > 0 {
			wait = min(wait, time.Duration(t.queued-now.UnixMilli())*time.Millisecond)
		} else if t.queued != 0 {
			wait = min(wait, 5*time.Millisecond) // all senders are busy: look again soon
		}
		switch {
		case len(t.begin) > 0 || len(t.unsettled) > 0 || p.job.finished():
			wait = 0
		case t.Sweep != 0:
			wait = min(wait, 2*time.Millisecond)
		}
		if t.unpacked() > 0 {
			wait = min(wait, p.packs.Sub(now))
		}
	}
	return max(wait, 100*time.Microsecond)
}

// turn applies the frames, then gives each other lane one turn. It returns the frames that are still to be applied: none
// once they are, whatever fails behind them.
func (p *partition) turn(ctx context.Context, frames []ingest.Frame) ([]ingest.Frame, error) {
	if !p.loaded {
		if err := p.load(ctx); err != nil {
			return frames, err
		}
	}
	if len(frames) > 0 {
		if err := p.apply(ctx, frames); err != nil {
			return frames, err
		}
	}
	for _, lane := range [...]func(context.Context) error{p.claim, p.runTimers, p.settling, p.build, p.beginning, p.tally, p.pack, p.expire, p.trim} {
		if err := lane(ctx); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// transact runs fn in a transaction and forgets the caches if it fails, since fn may have changed them.
func (p *partition) transact(ctx context.Context, fn func(Tx) error) error {
	// A stop must not cut a commit in half: the transaction has its own bounded time.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Minute)
	defer cancel()
	err := p.e.o.Store.Transact(ctx, p.lease, func(tx Tx) error { return guard(func() error { return fn(tx) }) })
	if err != nil {
		p.loaded = false
	}
	p.tell(err == nil)
	return err
}

// guard turns a panic into an error, so that a defect stops one op or one partition and not the process.
func guard(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return fn()
}

// apply commits the effects of the frames together with the new checkpoint.
func (p *partition) apply(ctx context.Context, frames []ingest.Frame) error {
	ops := make([]*ingest.Op, 0, 256)
	for i := range frames {
		for j := range frames[i].Ops {
			ops = append(ops, &frames[i].Ops[j])
		}
	}
	to := frames[len(frames)-1].Seq
	commit := func(apply func(context.Context, Tx, []*ingest.Op) error) error {
		return p.transact(ctx, func(tx Tx) error {
			if err := tx.Advance(ctx, p.at, to, p.stream); err != nil {
				return err
			}
			if err := apply(ctx, tx, ops); err != nil {
				return err
			}
			return p.settleFew(ctx, tx)
		})
	}
	// Almost always everything can be applied, so the first try goes without savepoints, which cost SQLite a quarter of
	// the work. If the data is at fault, the second one finds the op.
	err := commit(p.runOps)
	if err != nil && !errors.Is(err, ErrFenced) && !errors.Is(err, ErrGap) && !p.e.o.Store.Transient(err) {
		p.log.Warn("frames are applied again, op by op where it must be", "error", err)
		if err = p.load(ctx); err == nil {
			err = commit(p.applyOps)
		}
	}
	if err != nil {
		return err
	}
	p.at = to
	p.e.committed(p.lease.Partition, to)
	p.e.counted(p.lease.Partition, len(ops))
	p.last = len(ops)
	return nil
}

// load reads the tenants of the partition anew.
func (p *partition) load(ctx context.Context) error {
	p.dropJob() // it may have missed changes
	err := p.e.o.Store.Transact(ctx, p.lease, func(tx Tx) error { return p.reload(ctx, tx) })
	if err != nil {
		return fmt.Errorf("load workspaces: %w", err)
	}
	p.loaded = true
	p.hold()
	return nil
}

// reload makes the caches reflect what tx sees.
func (p *partition) reload(ctx context.Context, tx Tx) error {
	list, err := tx.Workspaces(ctx)
	if err != nil {
		return err
	}
	old := p.tenants
	p.tenants = make(map[int64]*tenant, len(list))
	p.pieces = pieceCache{}
	for _, w := range list {
		t, err := loadTenant(ctx, tx, w)
		if err != nil {
			return err
		}
		if was := old[w.ID]; was != nil {
			t.logNow = was.logNow
		}
		t.queued = 1 // unknown: look
		p.tenants[w.ID] = t
	}
	return nil
}

func loadTenant(ctx context.Context, tx Tx, w workspace.Workspace) (*tenant, error) {
	t := &tenant{Workspace: w}
	var err error
	if t.counters, err = tx.Counters(ctx, w.ID); err != nil {
		return nil, err
	}
	t.saved = maps.Clone(t.counters)
	if err = t.loadBuilds(ctx, tx); err != nil {
		return nil, fmt.Errorf("workspace %d: %w", w.ID, err)
	}
	if t.timer, err = tx.NextTimer(ctx, w.ID); err != nil {
		return nil, err
	}
	return t, nil
}

// tenant finds a workspace of the partition, reading it if it was created after load.
func (p *partition) tenant(ctx context.Context, tx Tx, id int64) (*tenant, error) {
	if t := p.tenants[id]; t != nil {
		return t, nil
	}
	list, err := tx.Workspaces(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range list {
		if w.ID == id {
			t, err := loadTenant(ctx, tx, w)
			if err != nil {
				return nil, err
			}
			p.tenants[id] = t
			p.hold(id)
			return t, nil
		}
	}
	return nil, nil
}

// runTimers fires what is due by the wall clock, but only once every acknowledged frame is applied: a reminder must not
// overtake an acknowledged "activated".
func (p *partition) runTimers(ctx context.Context) error {
	now := p.e.o.Now()
	due := false
	for _, t := range p.tenants {
		due = due || t.timer != 0 && t.timer <= t.Now(now)
	}
	if !due {
		return nil
	}
	last, err := p.e.o.Log.Last(ctx, p.lease.Partition) // after now was read: what was acknowledged before is in it
	if err != nil {
		p.log.Warn("timers wait for the log", "error", err)
		return nil
	}
	if last != p.at {
		return nil
	}
	return p.transact(ctx, func(tx Tx) error {
		for _, t := range p.tenants {
			if t.timer != 0 && t.timer <= t.Now(now) {
				if _, err := p.fire(ctx, tx, t, t.Now(now)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// trim lets the log forget what was applied some hours ago.
func (p *partition) trim(ctx context.Context) error {
	now := p.e.o.Now()
	if n := len(p.trims); n > 0 && now.Sub(p.trims[n-1].at) < trimEvery {
		return nil
	}
	p.trims = append(p.trims, trimMark{now, p.at})
	upto := uint64(0)
	for len(p.trims) > 1 && now.Sub(p.trims[0].at) > p.e.o.LogRetained {
		upto = p.trims[0].seq
		p.trims = p.trims[1:]
	}
	if upto == 0 {
		return nil
	}
	if err := p.e.o.Log.Trim(ctx, p.lease.Partition, upto); err != nil {
		p.log.Warn("log not trimmed, it will be tried again", "error", err)
	}
	return nil
}
