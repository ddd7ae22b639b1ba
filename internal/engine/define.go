package engine

import (
	"context"
	"fmt"

	"rapport.example/internal/definition"
	"rapport.example/internal/ingest"
)

// define saves definitions as a new generation and starts the sweep that brings documents to it.
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
	if len(changed) > 0 {
		for i := range changed {
			changed[i].Workspace = t.ID
		}
		t.Gen++
		t.Sweep, t.SweepEnd = 1, t.counters["person"]+1
		if t.SweepEnd == 1 {
			t.Sweep, t.SweepEnd = 0, 0
		}
	}
	b.c.Definitions = changed
	b.c.Workspaces = append(b.c.Workspaces, t.Workspace)
	if err := b.write(ctx, tx); err != nil {
		return err
	}
	if t.rows, err = tx.Definitions(ctx, t.ID, true); err != nil {
		return err
	}
	if t.set, err = definition.Compile(t.rows); err != nil {
		return fmt.Errorf("definitions: %w", err)
	}
	t.logNow = max(t.logNow, now)
	return nil
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
