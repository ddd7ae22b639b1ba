package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"rapport.example/internal/engine"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// logs are one log in memory for each partition.
type logs []*memLog

func (l logs) Last(ctx context.Context, p int32) (uint64, error) { return l[p].Last(ctx, p) }

func (l logs) ID(ctx context.Context, p int32) (string, error) { return l[p].ID(ctx, p) }

func (l logs) Trim(ctx context.Context, p int32, upto uint64) error { return l[p].Trim(ctx, p, upto) }

func (l logs) Consume(ctx context.Context, p int32, from uint64) (engine.Reader, error) {
	return l[p].Consume(ctx, p, from)
}

// node is a process of its own: a store with its own cache and an engine.
type node struct {
	*store.DB
	name string
	w    *world // clock, outbox and test; the same for all
	log  logs

	eng *engine.Engine

	mu   sync.Mutex
	took int // leases
}

// seen fails the test if transactions got into each other's way.
func (n *node) seen(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && (e.Code == "40P01" || e.Code == "40001") {
		n.w.t.Errorf("%s: %v", n.name, err)
	}
	return err
}

// Acquire is part of engine.Store.
func (n *node) Acquire(ctx context.Context, partition int32, owner string, ttl time.Duration, steal bool) (engine.Lease, bool, error) {
	lease, ok, err := n.DB.Acquire(ctx, partition, owner, ttl, steal)
	if ok {
		n.mu.Lock()
		n.took++
		n.mu.Unlock()
	}
	return lease, ok, n.seen(err)
}

// Renew is part of engine.Store.
func (n *node) Renew(ctx context.Context, lease engine.Lease, ttl time.Duration) error {
	return n.seen(n.DB.Renew(ctx, lease, ttl))
}

// Release is part of engine.Store.
func (n *node) Release(ctx context.Context, lease engine.Lease) error {
	return n.seen(n.DB.Release(ctx, lease))
}

// Transact is part of engine.Store.
func (n *node) Transact(ctx context.Context, lease engine.Lease, fn func(engine.Tx) error) error {
	return n.seen(n.DB.Transact(ctx, lease, fn))
}

func (n *node) start() error {
	n.eng = engine.New(engine.Options{
		Store: n, Log: n.log, Deliver: n.w.out, Secret: n.Secret(), Owner: n.name, Now: n.w.clock, LeaseTTL: time.Second,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	return n.eng.Start(n.w.t.Context())
}

// contested is a workspace that many connections write to.
type contested struct {
	*identities
	mu        sync.Mutex
	partition int32
}

// send writes one frame, in the order in which the model is told.
func (c *contested) send(p pick) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.append(c.frame(p)...)
}

// applied waits until whichever node has the partition has committed the frame.
func (c *contested) applied(ctx context.Context, seq uint64) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		at, err := c.db.Checkpoint(ctx, c.partition)
		if err != nil || at >= seq {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("partition %d stands at %d, not at %d: %w", c.partition, at, seq, ctx.Err())
		}
	}
}

// TestFourNodesFight has four nodes take the leases of three partitions from each other, lose them and restart, while many
// connections identify and merge the same few people. Nothing may be lost or doubled, and no transactions may deadlock.
func TestFourNodesFight(t *testing.T) {
	t.Parallel()
	const nodes, partitions, connections, frames = 4, 3, 4, 45
	o := storetest.Options(t, storetest.Postgres)
	w := &world{t: t, db: storetest.Open(t, o), out: &outbox{}, now: epoch}
	if err := w.db.EnsurePartitions(t.Context(), partitions); err != nil {
		t.Fatal(err)
	}
	log := logs{newMemLog(), newMemLog(), newMemLog()}
	spaces := make([]*contested, partitions)
	for i := range spaces {
		spaces[i] = &contested{identities: newIdentities(w, log[i], int32(i)), partition: int32(i)}
	}
	fighters := make([]*node, nodes)
	for i := range fighters {
		n := &node{DB: storetest.Open(t, o), name: fmt.Sprintf("node %d", i), w: w, log: log}
		if err := n.start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.eng.Stop() })
		fighters[i] = n
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var all sync.WaitGroup
	var down sync.Mutex
	for i := range partitions * connections {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			p := func(_ string, n int) int { return rnd.IntN(n) }
			c := spaces[i%partitions]
			for f := range frames {
				seq := c.send(p)
				if f%3 != 0 {
					continue
				}
				if err := c.disturb(ctx, p, fighters, &down, seq); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	for _, c := range spaces {
		c.check(t.Fatalf, func(ops ...ingest.Op) {
			t.Helper()
			if err := c.applied(ctx, c.log.append(ops...)); err != nil {
				t.Fatal(err)
			}
		})
	}
	handed := map[string]bool{}
	w.out.mu.Lock()
	defer w.out.mu.Unlock()
	for _, j := range w.out.jobs {
		if handed[j.Delivery.Public] {
			t.Errorf("%s was handed over twice", j.Delivery.Public)
		}
		handed[j.Delivery.Public] = true
	}
	for _, n := range fighters {
		n.mu.Lock()
		t.Logf("%s took %d leases", n.name, n.took)
		n.mu.Unlock()
	}
}

// disturb takes the partition's lease from whoever has it, in the middle of their work, or has a node down until the others
// have applied the frame: only one at a time is.
func (c *contested) disturb(ctx context.Context, p pick, nodes []*node, down *sync.Mutex, seq uint64) error {
	n := of(p, "node", nodes...)
	if of(p, "what", "steal", "restart") == "steal" {
		lease, _, err := n.DB.Acquire(ctx, c.partition, "thief", time.Minute, true)
		if err == nil {
			err = n.DB.Release(ctx, lease)
		}
		if err != nil {
			return n.seen(err)
		}
		return c.applied(ctx, seq)
	}
	down.Lock()
	defer down.Unlock()
	n.eng.Stop()
	return errors.Join(c.applied(ctx, seq), n.start())
}
