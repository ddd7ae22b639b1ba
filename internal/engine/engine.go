// Package engine is the story of one operation in one transaction: load a set, decide in memory, write a set.
//
// One goroutine owns a partition while it holds the partition's lease. It reads the partition's frames strictly in
// sequence and commits their effects together with the new checkpoint, so a frame is applied once whatever crashes. Due
// timers, delivery claims and sweeps go through the same transaction: there is one way for state to change.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"rapport.example/internal/delivery"
	"rapport.example/internal/ingest"
)

// Errors of the store that the engine tells apart.
var (
	// ErrFenced says that another node holds the partition's lease by now.
	ErrFenced = errors.New("the partition's lease was lost")
	// ErrGap says that a frame does not follow the checkpoint.
	ErrGap = errors.New("frame does not follow the checkpoint")
)

// Log is what the engine reads: the frames of a partition.
type Log interface {
	// Consume opens a reader that starts at the frame with sequence from.
	Consume(ctx context.Context, partition int32, from uint64) (Reader, error)
	// Last is the sequence of the newest durable frame, 0 if there is none yet.
	Last(ctx context.Context, partition int32) (uint64, error)
	// ID identifies the partition's stream: a checkpoint means nothing in another stream.
	ID(ctx context.Context, partition int32) (string, error)
	// Trim drops frames up to and including seq.
	Trim(ctx context.Context, partition int32, seq uint64) error
}

// Reader hands out frames strictly in sequence.
type Reader interface {
	// Next returns the frames that are there, about maxOps ops of them and at least one frame, waiting for the first
	// one until ctx ends.
	Next(ctx context.Context, maxOps int) ([]ingest.Frame, error)
	Close() error
}

// Deliverer takes claimed deliveries to render and send.
type Deliverer interface {
	Free() int                // how many jobs it can take now
	Hand(jobs []delivery.Job) // takes at most Free() jobs; does not block
}

// Watcher hears of changes of people in the workspaces that this process owns. It must not block.
type Watcher interface {
	Hold(workspace int64)                   // from now on, or again after some may have been missed
	Release(workspace int64)                // no more
	Touch(workspace int64, people []uint32) // after the commit, and before anybody is told that it is applied
}

// Options says what an engine works with. All fields are required unless a default is given.
type Options struct {
	Store   Store
	Log     Log
	Deliver Deliverer
	People  Watcher // hears of every person whose document changes; nil = nobody listens
	Secret  []byte  // keys opaque ids and the hashes of suppressed identifiers
	Owner   string  // this node's name in lease rows
	Alone   bool    // this process knows that no other reads these partitions, so it may take their leases at once
	Now     func() time.Time
	Logger  *slog.Logger
	Confine func() (over func()) // bounds what this process's heap takes, until over is called; called anew, before, for each step of a sweep; nil = nothing does

	LeaseTTL    time.Duration // default 10 s: after a crash another node takes over within this time and a tenth of it
	ClaimLease  time.Duration // default 60 s: a claimed delivery without outcome by then is unknown
	MaxOps      int           // default 4,096: ops of one transaction, about
	Histories   int64         // default 64 MiB: bytes of merged people's, and of nobody's, activities that one transaction reads, about
	SweepChunk  int           // default 500: people of one sweep step
	AskRange    int           // default 65,536: people whom a build evaluates at once at most
	CountRoom   int64         // default 64 MiB: bytes of history that a build counts at once, about
	LogRetained time.Duration // default 6 h: how far trimming stays behind the checkpoint
	Retained    time.Duration // default 30 days: how long decisions and events of nobody are kept
	Archived    time.Duration // default 30 days: how long archived messages are kept
}

// Engine owns partitions and applies their frames.
type Engine struct {
	o    Options
	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	applied map[int32]uint64        // of the partitions that this process owns
	waiters map[int32]chan struct{} // closed and replaced at every commit
	ops     map[int32]int64         // applied since the start
	failing map[int32]error         // partitions that stopped with an error and are not running again
}

// New returns an engine that has not started.
func New(o Options) *Engine {
	if o.Confine == nil {
		o.Confine = func() func() { return func() {} }
	}
	o.LeaseTTL = cmpOr(o.LeaseTTL, 10*time.Second)
	o.ClaimLease = cmpOr(o.ClaimLease, time.Minute)
	o.MaxOps = cmpOr(o.MaxOps, 4096)
	o.Histories = cmpOr(o.Histories, 64<<20)
	o.SweepChunk = cmpOr(o.SweepChunk, 500)
	o.AskRange = cmpOr(o.AskRange, 1<<pieceBits)
	o.CountRoom = cmpOr(o.CountRoom, 64<<20)
	o.LogRetained = cmpOr(o.LogRetained, 6*time.Hour)
	o.Retained = cmpOr(o.Retained, 30*24*time.Hour)
	o.Archived = cmpOr(o.Archived, 30*24*time.Hour)
	return &Engine{o: o, applied: map[int32]uint64{}, waiters: map[int32]chan struct{}{}, failing: map[int32]error{}, ops: map[int32]int64{}}
}

func cmpOr[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Start begins to own what partitions it can get and returns at once; ctx bounds the listing of partitions only.
func (e *Engine) Start(ctx context.Context) error {
	ids, err := e.o.Store.Partitions(ctx)
	if err != nil {
		return err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e.stop = cancel
	for _, id := range ids {
		e.done.Go(func() { e.own(run, id) })
	}
	return nil
}

// Stop finishes the transactions under way, gives the leases back and waits. Calling it again does nothing.
func (e *Engine) Stop() {
	if e.stop != nil {
		e.stop()
	}
	e.done.Wait()
}

// own takes the partition's lease whenever it is free and runs the partition until the lease is lost.
func (e *Engine) own(ctx context.Context, id int32) {
	log := e.o.Logger.With("partition", id)
	wait := newBackoff(50*time.Millisecond, e.o.LeaseTTL/2)
	look := newBackoff(e.o.LeaseTTL/10, e.o.LeaseTTL/10)
	seen := uint64(0)
	for ctx.Err() == nil {
		lease, ok, err := e.o.Store.Acquire(ctx, id, e.o.Owner, e.o.LeaseTTL, e.o.Alone)
		if err == nil && !ok { // another node runs it
			e.recovered(id)
			look.sleep(ctx)
			continue
		}
		if err == nil {
			began := e.o.Now()
			if lease.Checkpoint > seen { // it got something done last time
				wait.reset()
				seen = lease.Checkpoint
			}
			log.Debug("partition acquired", "epoch", lease.Epoch, "checkpoint", lease.Checkpoint)
			err = e.hold(ctx, lease, log)
			if e.o.Now().Sub(began) > e.o.LeaseTTL {
				wait.reset()
			}
		}
		switch {
		case ctx.Err() != nil:
		case err != nil && !errors.Is(err, ErrFenced):
			log.Error("partition stopped, will be tried again", "error", err)
			e.mu.Lock()
			e.failing[id] = err
			e.mu.Unlock()
		}
		wait.sleep(ctx)
	}
}

// hold renews the lease while the partition runs and releases it in the end.
func (e *Engine) hold(ctx context.Context, lease Lease, log *slog.Logger) error {
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var renewals sync.WaitGroup
	renewals.Go(func() {
		tick := time.NewTicker(e.o.LeaseTTL / 3)
		defer tick.Stop()
		for {
			select {
			case <-run.Done():
				return
			case <-tick.C:
				if err := e.o.Store.Renew(run, lease, e.o.LeaseTTL); errors.Is(err, ErrFenced) {
					cancel(err)
					return
				}
			}
		}
	})
	err := newPartition(e, lease, log).run(run)
	if cause := context.Cause(run); errors.Is(cause, ErrFenced) {
		err = cause
	}
	cancel(nil)
	renewals.Wait()
	e.mu.Lock()
	delete(e.applied, lease.Partition)
	e.mu.Unlock()
	release, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer done()
	if rerr := e.o.Store.Release(release, lease); rerr != nil {
		log.Warn("lease not released, it will run out", "error", rerr)
	}
	return err
}

// committed publishes that everything up to seq is applied.
func (e *Engine) committed(partition int32, seq uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.applied[partition] = seq
	delete(e.failing, partition)
	if ch := e.waiters[partition]; ch != nil {
		close(ch)
		delete(e.waiters, partition)
	}
}

func (e *Engine) counted(partition int32, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ops[partition] += int64(n)
}

// awaited reports whether somebody waits for a commit of the partition.
func (e *Engine) awaited(partition int32) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.waiters[partition] != nil
}

// Ops is how many ops of a partition this process has applied since it started.
func (e *Engine) Ops(partition int32) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ops[partition]
}

// recovered forgets that the partition stopped here: it runs on another node.
func (e *Engine) recovered(partition int32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.failing, partition)
}

// Failing tells whether a partition stopped with an error here and is not running again yet, and with which.
func (e *Engine) Failing() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, err := range e.failing {
		return fmt.Errorf("partition %d does not run: %w", id, err)
	}
	return nil
}

// Applied is the newest applied sequence of a partition that this process owns; ok is false if it owns it not.
func (e *Engine) Applied(partition int32) (seq uint64, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	seq, ok = e.applied[partition]
	return seq, ok
}

// Wait returns when the partition's frames up to seq are applied (done) or ctx ends. owned is false if this process does
// not own the partition; then it returns at once.
func (e *Engine) Wait(ctx context.Context, partition int32, seq uint64) (done, owned bool) {
	for {
		e.mu.Lock()
		at, own := e.applied[partition]
		if !own || at >= seq {
			e.mu.Unlock()
			return at >= seq, own
		}
		ch := e.waiters[partition]
		if ch == nil {
			ch = make(chan struct{})
			e.waiters[partition] = ch
		}
		e.mu.Unlock()
		select {
		case <-ch:
		case <-ctx.Done():
			return false, true
		}
	}
}
