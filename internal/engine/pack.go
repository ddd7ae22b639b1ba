package engine

import (
	"context"
	"time"
)

// EventPiece is how many sequences are packed together (Tx.PackEvents).
const EventPiece = 4096

// Events are packed behind the writes: while frames come in only once packBehind of them wait for it. Afterwards the writer is left to
// others for so many times as long as it took.
const (
	packBehind = 1 << 18
	packRest   = 4
	packBusy   = 20
)

// unpacked is how many activities may be packed.
func (t *tenant) unpacked() int64 {
	if n := t.counters["activity"] + 1 - t.packed; n >= EventPiece {
		return n
	}
	return 0
}

// pack packs a piece of events, by which everybody's history is read.
func (p *partition) pack(ctx context.Context) error {
	began, least, rest := p.e.o.Now(), int64(1), time.Duration(packRest)
	if p.last > 0 {
		least, rest = packBehind, packBusy
	}
	if began.Before(p.packs) {
		return nil
	}
	for _, t := range p.tenants {
		if t.unpacked() < least {
			continue
		}
		err := p.transact(ctx, func(tx Tx) (err error) {
			t.packed, err = tx.PackEvents(ctx, t.ID, t.packed, t.counters["activity"])
			return err
		})
		now := p.e.o.Now()
		p.packs = now.Add(rest * now.Sub(began))
		return err
	}
	return nil
}
