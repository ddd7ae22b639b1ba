package server

import (
	"context"
	"sync"
	"time"

	"rapport.example/internal/engine"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
)

const (
	freshWait = 2 * time.Second      // how long a read waits for what was acknowledged before it
	poll      = 5 * time.Millisecond // between looks at another node's checkpoint
	applyWait = 60 * time.Second     // how long an operator's write waits to be applied
)

// freshness lets reads see this workspace's acknowledged writes.
type freshness struct {
	engine *engine.Engine
	log    *ingest.Log
	last   func(ctx context.Context, partition int32) (uint64, error) // end of the stream
	alone  bool                                                       // this process is the only one that writes
	check  func(ctx context.Context, partition int32) (uint64, error) // checkpoint in the database
	route  func(workspace int64) (partition int32, ok bool)
	began  sync.Map // int32 → uint64: an end of the stream after this process began
}

// Fresh waits, for at most two seconds, until everything that the workspace had acknowledged before is applied. stale
// says that it was not.
func (f *freshness) Fresh(ctx context.Context, workspace int64) (stale bool) {
	partition, ok := f.route(workspace)
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, freshWait)
	defer cancel()
	seq := f.log.Acked(partition, workspace)
	if !f.alone {
		last, err := f.last(ctx, partition)
		if err != nil {
			return true
		}
		seq = last
	}
	return f.until(ctx, partition, seq) != nil
}

// FreshFor is Fresh for reads of the attributes of one person, by identifiers: it waits only for what may change them, not for
// events by which somebody may come to be. since is the at of the call before, 0 for the first; again says that something changed
// since then, so that what was read in between is to be read again. at is what a read that begins now sees.
func (f *freshness) FreshFor(ctx context.Context, workspace int64, since uint64, who ...person.Identifier) (at uint64, again, stale bool) {
	partition, ok := f.route(workspace)
	if !ok {
		return 0, false, false
	}
	if !f.alone { // what other nodes took is not known one by one
		return 0, false, since == 0 && f.Fresh(ctx, workspace)
	}
	seq := f.log.Touched(partition, workspace, who...)
	at, owned := f.engine.Applied(partition)
	if owned && at >= seq {
		return at, seq > since, false
	}
	ctx, cancel := context.WithTimeout(ctx, freshWait)
	defer cancel()
	if f.until(ctx, partition, seq) != nil {
		return at, seq > since, true
	}
	return seq, seq > since, false
}

// Caught waits, for at most two seconds, until what others than this process took for the workspace is applied: other
// nodes, or the one that ran before.
func (f *freshness) Caught(ctx context.Context, workspace int64) {
	if !f.alone {
		_ = f.Fresh(ctx, workspace)
		return
	}
	partition, ok := f.route(workspace)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, freshWait)
	defer cancel()
	seq, ok := f.began.Load(partition)
	if !ok { // what came since the start is in it, too: this once the wait is longer than it has to be
		last, err := f.last(ctx, partition)
		if err != nil {
			return
		}
		seq, _ = f.began.LoadOrStore(partition, last)
	}
	_ = f.until(ctx, partition, seq.(uint64)) //nolint:errcheck // bounded: what is not applied by then is told by the engine
}

// Applied waits until the op at this position is applied.
func (f *freshness) Applied(ctx context.Context, pos ingest.Position) error {
	ctx, cancel := context.WithTimeout(ctx, applyWait)
	defer cancel()
	return f.until(ctx, pos.Partition, pos.Seq)
}

func (f *freshness) until(ctx context.Context, partition int32, seq uint64) error {
	for {
		done, owned := f.engine.Wait(ctx, partition, seq)
		if done {
			return nil
		}
		if !owned {
			at, err := f.check(ctx, partition)
			if err == nil && at >= seq {
				return nil
			}
		}
		t := time.NewTimer(poll)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}
