package engine

import (
	"context"
	"time"

	"rapport.example/internal/ingest"
)

const (
	expireEvery = 10 * time.Minute // between two looks at old rows
	expireStep  = 2000             // rows of one transaction
	archiveStep = 200              // archived messages of one transaction; they are large
)

// expire deletes decisions and events of nobody that are older than Options.Retained, archived messages older than
// Options.Archived, the ids of events and the keys of requests, a bounded
// step at a time; while there is more, the next turn goes on.
func (p *partition) expire(ctx context.Context) error {
	now := p.e.o.Now()
	if now.Before(p.expires) {
		return nil
	}
	more := false
	err := p.transact(ctx, func(tx Tx) error {
		for _, t := range p.tenants {
			n, err := tx.Expire(ctx, t.ID, t.Now(now)-p.e.o.Retained.Milliseconds(), expireStep)
			if err != nil {
				return err
			}
			keys, err := tx.ExpireRequests(ctx, t.ID, now.Add(-ingest.OnceFor).UnixMilli(), expireStep)
			if err != nil {
				return err
			}
			said, err := tx.ExpireArchives(ctx, t.ID, t.Now(now)-p.e.o.Archived.Milliseconds(), archiveStep)
			if err != nil {
				return err
			}
			more = more || n >= expireStep || keys == expireStep || said == archiveStep
		}
		dropped, err := tx.DropEventIDs(ctx, dayOf(now.UnixMilli())-idDaysKept)
		more = more || dropped
		return err
	})
	if err == nil && !more {
		p.expires = now.Add(expireEvery)
	}
	return err
}
