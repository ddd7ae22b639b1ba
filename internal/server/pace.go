package server

import (
	"context"
	"time"

	"rapport.example/internal/engine"
	"rapport.example/internal/ingest"
)

const (
	paceFree  = 4000                 // ops may wait to be applied without holding anybody back: a transaction of the engine and the next
	pacePerOp = 4 * time.Microsecond // that each one beyond holds a newcomer back
	paceMost  = 100 * time.Millisecond
	paceLeast = time.Millisecond // shorter waits are not worth a timer
)

// pacer is the log as the surfaces see it: the further the engine is behind, the longer a new write is held before it is
// made durable. Without it acknowledgements outrun the engine, and under a lasting overload what was accepted is applied
// later and later. Writes are never turned away for it: with the database down each waits a tenth of a second at most.
type pacer struct {
	log    *ingest.Log
	engine *engine.Engine
}

// Append is part of api.Appender.
func (p *pacer) Append(ctx context.Context, partition int32, ops ...ingest.Op) (ingest.Position, error) {
	if wait := p.hold(partition); wait >= paceLeast {
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
	return p.log.Append(ctx, partition, ops...)
}

// hold is how long a write is held back now. A node that does not own the partition does not know and holds nothing back.
func (p *pacer) hold(partition int32) time.Duration {
	if _, owned := p.engine.Applied(partition); !owned {
		return 0
	}
	behind := p.log.Ops(partition) - p.engine.Ops(partition) - paceFree
	return min(time.Duration(max(behind, 0))*pacePerOp, paceMost)
}
