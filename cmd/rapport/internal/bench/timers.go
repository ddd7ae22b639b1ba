package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"rapport.example/internal/engine"
	"rapport.example/internal/timer"
)

const (
	waiting     = 1_000_000
	timersPerTx = 50_000
)

// timers measures what a server does that has nothing to do but a million waits.
func (x *run) timers(ctx context.Context) (err error) {
	db, err := x.database(ctx, "timers")
	if err != nil {
		return err
	}
	dir := filepath.Join(x.dir, "timers")
	if err := x.writeTimers(ctx, dir, db.url); err != nil {
		return fmt.Errorf("write a million timers: %w", err)
	}
	c, err := x.spawn(ctx, dir, db.url, "127.0.0.1:1")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if err := pause(ctx, 2*time.Second); err != nil { // it has just started
		return err
	}
	before, err := c.usage()
	if err != nil {
		return err
	}
	if err := pause(ctx, x.o.Load); err != nil {
		return err
	}
	after, err := c.usage()
	if err != nil {
		return err
	}
	x.r.add(key{"CPU with a million waiting timers", 0, "% of a core"}, 100*float64(after.server-before.server)/float64(after.at.Sub(before.at)))
	return nil
}

// writeTimers fills a store with waits that begin to end in a month.
func (x *run) writeTimers(ctx context.Context, dir, url string) (err error) {
	db, err := openStore(ctx, dir, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	lease, ok, err := db.Acquire(ctx, 0, "bench", time.Minute, true)
	if err != nil || !ok {
		return errors.Join(err, errors.New("the lease is not free"))
	}
	due := time.Now().Add(30 * 24 * time.Hour).UnixMilli()
	for n := 0; n < waiting; n += timersPerTx {
		x.progress("timers", n, waiting)
		c := engine.Changes{PutTimers: make([]timer.Timer, timersPerTx)}
		for i := range c.PutTimers {
			c.PutTimers[i] = timer.Timer{Workspace: 1, Person: uint32(n + i + 1), Kind: timer.Journey, Ref: int64(n + i + 1), Due: due + int64(mix(int64(n+i))%(1<<32))}
		}
		if err := db.Transact(ctx, lease, func(tx engine.Tx) error { return tx.Write(ctx, &c) }); err != nil {
			return err
		}
	}
	x.progress("timers", waiting, waiting)
	return db.Release(ctx, lease)
}
