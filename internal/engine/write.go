package engine

import (
	"cmp"
	"context"
	"slices"

	"rapport.example/internal/person"
	"rapport.example/internal/timer"
)

// write gathers what was decided and carries it out in bulk.
func (b *batch) write(ctx context.Context, tx Tx) error {
	if err := b.spreadOut(ctx, tx); err != nil {
		return err
	}
	for k := range b.drops {
		b.c.DropKeys = append(b.c.DropKeys, k)
	}
	slices.SortFunc(b.c.DropKeys, compareKeys)
	for k, who := range b.puts {
		b.c.PutKeys = append(b.c.PutKeys, KeyRow{k, who})
	}
	slices.SortFunc(b.c.PutKeys, func(x, y KeyRow) int { return compareKeys(x.Key, y.Key) })
	for _, s := range b.people {
		if s.gone {
			continue
		}
		if s.dirty {
			b.c.PutPeople = append(b.c.PutPeople, s.doc)
		}
		for _, l := range s.journeys {
			if l.dirty {
				b.c.PutJourneys = append(b.c.PutJourneys, l.Journey)
			}
		}
	}
	slices.SortFunc(b.c.PutPeople, func(x, y *person.Document) int { return compareRefs(x.Ref, y.Ref) })
	for d, a := range b.timers {
		if a.stored && !a.stands {
			b.c.DropTimers = append(b.c.DropTimers, d)
		} else if a.stands && !a.stored {
			b.c.PutTimers = append(b.c.PutTimers, d)
		}
	}
	slices.SortFunc(b.c.DropTimers, timer.Timer.Compare)
	slices.SortFunc(b.c.PutTimers, timer.Timer.Compare)
	for _, d := range b.touched {
		b.c.PutDeliveries = append(b.c.PutDeliveries, *d)
	}
	b.c.PutForms = b.formsOf()
	b.thingsOf()
	b.optoutsOf()
	b.countersOf()
	pieces, err := b.p.pieces.changed()
	if err != nil {
		return err
	}
	b.c.Pieces = pieces
	if b.c.empty() {
		return nil
	}
	b.p.touch(&b.c)
	return tx.Write(ctx, &b.c)
}

// countersOf writes the counters that this batch has moved.
func (b *batch) countersOf() {
	for _, t := range b.p.tenants {
		for name, last := range t.counters {
			if t.saved[name] != last {
				b.c.Counters = append(b.c.Counters, Counter{t.ID, name, last})
				t.saved[name] = last
			}
		}
	}
	slices.SortFunc(b.c.Counters, func(x, y Counter) int {
		return cmp.Or(cmp.Compare(x.Workspace, y.Workspace), cmp.Compare(x.Name, y.Name))
	})
}

func compareKeys(x, y person.Key) int {
	return cmp.Or(cmp.Compare(x.Workspace, y.Workspace), cmp.Compare(x.Type, y.Type), cmp.Compare(x.Value, y.Value))
}

// empty reports whether there is nothing to write.
func (c *Changes) empty() bool {
	return len(c.Workspaces) == 0 && len(c.Counters) == 0 && len(c.DropKeys) == 0 && len(c.PutKeys) == 0 && len(c.DropPeople) == 0 &&
		len(c.PutPeople) == 0 && len(c.Activities) == 0 && len(c.Decisions) == 0 && len(c.DropJourneys) == 0 && len(c.PutJourneys) == 0 &&
		len(c.DropTimers) == 0 && len(c.PutTimers) == 0 && len(c.TimerBlocks) == 0 && len(c.NewDeliveries) == 0 && len(c.PutDeliveries) == 0 && len(c.Pieces) == 0 &&
		len(c.Definitions) == 0 && len(c.PutForms) == 0 && len(c.PutObjects) == 0 && len(c.DropObjects) == 0 && len(c.PutRelations) == 0 && len(c.DropRelations) == 0 &&
		len(c.DropVisits) == 0 && len(c.EventIDs) == 0 && len(c.Requests) == 0 && len(c.Suppress) == 0 && len(c.Unmailable) == 0 && len(c.Unsuppress) == 0 &&
		len(c.DropPieces) == 0 && len(c.MovePieces) == 0 && len(c.DropBuilds) == 0 && len(c.Builds) == 0 &&
		len(c.DropCounted) == 0 && len(c.PutCounted) == 0 && len(c.EarlyOptouts) == 0 && len(c.DropOptouts) == 0 && len(c.PutOptouts) == 0
}
