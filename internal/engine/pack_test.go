package engine_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"rapport.example/internal/engine"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// packing counts the pieces of events that are packed.
type packing struct {
	*store.DB
	packed atomic.Int64
}

type packingTx struct {
	engine.Tx
	s *packing
}

// Transact is part of engine.Store.
func (s *packing) Transact(ctx context.Context, lease engine.Lease, fn func(engine.Tx) error) error {
	return s.DB.Transact(ctx, lease, func(tx engine.Tx) error { return fn(packingTx{tx, s}) })
}

// PackEvents is part of engine.Tx.
func (t packingTx) PackEvents(ctx context.Context, ws, from, last int64) (int64, error) {
	next, err := t.Tx.PackEvents(ctx, ws, from, last)
	if next > from {
		t.s.packed.Add(1)
	}
	return next, err
}

// TestEventsArePacked: events are packed behind the writes, and again when a person of theirs has gone. What is asked of everybody's
// history is the same before and after.
func TestEventsArePacked(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := &packing{DB: db}
		w := newWorld(t, db, func(w *world) { w.store = s })
		w.apply("schema: 1\nworkspace: packs\nsegments:\n  - {id: two, conditions: {event: seen, at_least: 2}}\n")
		const people = 1100
		for range 5 {
			var ops []ingest.Op
			for i := range people {
				ops = append(ops, w.event(fmt.Sprint(i), "seen"))
			}
			w.do(ops...)
		}
		w.eventually("the first piece", func() bool { return s.packed.Load() >= 1 })
		w.sameAsScan("packed")
		before := s.packed.Load()
		w.do(w.op(ingest.Delete, ingest.PersonPayload{By: ingest.By{ID: "7"}}))
		w.pass(time.Hour) // beyond the rest after the first
		w.eventually("the first piece again", func() bool { return s.packed.Load() > before })
		w.sameAsScan("packed again")
	})
}
