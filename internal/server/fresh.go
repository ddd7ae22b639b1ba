package server

import (
	"context"
	"sync"
	"time"

	"rapport.example/internal/engine"
	"rapport.example/internal/ingest"
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
