package engine

import (
	"context"
	"time"
)

// How often segments' people are counted, and how long these counts are kept, on the workspace's clock.
const (
	tallyEvery = int64(time.Hour / time.Millisecond)
	tallyKept  = 90 * 24 * tallyEvery
)

// tally notes once an hour how many people are in each segment, and again when definitions have changed or a build is finished.
func (p *partition) tally(ctx context.Context) error {
	now := p.e.o.Now()
	due := map[*tenant]int64{}
	for _, t := range p.tenants {
		if hour := t.Now(now) / tallyEvery * tallyEvery; hour != t.tallied {
			due[t] = hour
		}
	}
	if len(due) == 0 {
		return nil
	}
	return p.transact(ctx, func(tx Tx) error {
		for t, hour := range due {
			if err := tx.Tally(ctx, t.ID, hour, hour-tallyKept); err != nil {
				return err
			}
			t.tallied = hour
		}
		return nil
	})
}
