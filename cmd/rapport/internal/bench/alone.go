package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"rapport.example/internal/definition"
	"rapport.example/internal/delivery"
	"rapport.example/internal/engine"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
)

// alone is engine and store in this process, with a log in memory: what is left without HTTP and without a durable log.
type alone struct {
	db  *store.DB
	log *memory
	eng *engine.Engine
}

const opsPerFrame = 4 * eventsPerRequest // as much as fits of the batch requests into one frame

// newAlone makes a second installation with the same definitions and people.
func (x *run) newAlone(ctx context.Context) (a *alone, err error) {
	db, err := x.database(ctx, "alone")
	if err != nil {
		return nil, err
	}
	a = &alone{log: newMemory()}
	made := a
	defer func() {
		if err != nil {
			err = errors.Join(err, made.close())
		}
	}()
	if a.db, err = openStore(ctx, filepath.Join(x.dir, "alone"), db.url); err != nil {
		return nil, err
	}
	a.eng = engine.New(engine.Options{
		Store: a.db, Log: a.log, Deliver: nobody{}, Secret: a.db.Secret(), Owner: "bench", Alone: true,
		Now: time.Now, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err := a.eng.Start(ctx); err != nil {
		return nil, err
	}
	doc, err := definition.ParseFile("bench.yaml", []byte(definitions()))
	if err != nil {
		return nil, err
	}
	plan := definition.Diff(nil, doc, false)
	payload, err := ingest.Encode(plan.Payload())
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if err := a.apply(ctx, [][]ingest.Op{{{Version: ingest.OpVersion, Workspace: 1, Received: now.UnixMilli(), ID: id.New(now), Surface: ingest.FromAdmin, Kind: ingest.Define, Payload: payload}}}); err != nil {
		return nil, err
	}
	const step = 5 * opsPerFrame
	for first := int64(0); first < x.seed.people; first += step {
		x.progress("people once more, for the store alone", int(first), x.o.People)
		frames, err := framesOf(first, min(step, x.seed.people-first), x.seed.identify)
		if err == nil {
			err = a.apply(ctx, frames)
		}
		if err != nil {
			return nil, err
		}
	}
	x.progress("people once more, for the store alone", x.o.People, x.o.People)
	return a, nil
}

// openStore opens an empty store with one workspace.
func openStore(ctx context.Context, dir, url string) (*store.DB, error) {
	o := store.Options{Dir: dir, Now: time.Now}
	if url != "" {
		o.Dir, o.URL = "", url
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err = db.EnsurePartitions(ctx, 1); err == nil {
		_, err = db.CreateWorkspace(ctx, "", 0)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (a *alone) close() error {
	if a.eng != nil {
		a.eng.Stop()
	}
	if a.db != nil {
		return a.db.Close()
	}
	return nil
}

func framesOf(first, count int64, make func(int64, time.Time, string) (ingest.Op, error)) ([][]ingest.Op, error) {
	var frames [][]ingest.Op
	for n := first; n < first+count; n++ {
		if (n-first)%opsPerFrame == 0 {
			frames = append(frames, nil)
		}
		now := time.Now()
		op, err := make(n, now, id.New(now))
		if err != nil {
			return nil, err
		}
		last := &frames[len(frames)-1]
		*last = append(*last, op)
	}
	return frames, nil
}

// apply puts frames into the log at once and waits until they are applied.
func (a *alone) apply(ctx context.Context, frames [][]ingest.Op) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	last := a.log.append(frames)
	for {
		done, owned := a.eng.Wait(ctx, 0, last)
		if done {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("the store alone does not get on: %w", err)
		}
		if !owned {
			if err := pause(ctx, 5*time.Millisecond); err != nil {
				return err
			}
		}
	}
}

// storeAlone measures the frames of the row batch without HTTP.
func (x *run) storeAlone(ctx context.Context) error {
	const trial = 10 * opsPerFrame
	rate, cpu, n := 0.0, 0.0, int64(trial)
	for range 2 { // first a short one, to know how many fit into the time
		frames, err := framesOf(0, n, x.seed.op)
		if err != nil {
			return err
		}
		before, err := own()
		if err != nil {
			return err
		}
		began := time.Now()
		if err := x.alone.apply(ctx, frames); err != nil {
			return err
		}
		rate = float64(n) / time.Since(began).Seconds()
		after, err := own()
		if err != nil {
			return err
		}
		cpu = float64((after - before).Microseconds()) / float64(n)
		x.seed.offset += n
		n = max(trial, int64(rate*x.o.Load.Seconds()))
	}
	x.r.add(key{"store alone: applied events", 0, "events/s"}, rate)
	x.r.add(key{"store alone: CPU per event", 0, "µs"}, cpu)
	if x.batched > 0 {
		x.r.add(key{"batch ÷ store alone", 0, ""}, x.batched/rate)
	}
	return nil
}

// nobody has no room for deliveries.
type nobody struct{}

// Free is part of engine.Deliverer.
func (nobody) Free() int { return 0 }

// Hand is part of engine.Deliverer.
func (nobody) Hand([]delivery.Job) {}

// memory is a log in memory.
type memory struct {
	mu     sync.Mutex
	frames []ingest.Frame // those that were appended last; earlier ones are read and forgotten
	more   chan struct{}
}

func newMemory() *memory { return &memory{more: make(chan struct{})} }

// append adds frames behind those that were read, and returns the last one's sequence.
func (l *memory) append(all [][]ingest.Op) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq := l.last()
	l.frames = nil
	for _, ops := range all {
		seq++
		l.frames = append(l.frames, ingest.Frame{Seq: seq, Ops: ops})
	}
	close(l.more)
	l.more = make(chan struct{})
	return seq
}

func (l *memory) last() uint64 {
	if len(l.frames) == 0 {
		return 0
	}
	return l.frames[len(l.frames)-1].Seq
}

// Last is part of engine.Log.
func (l *memory) Last(context.Context, int32) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last(), nil
}

// ID is part of engine.Log.
func (l *memory) ID(context.Context, int32) (string, error) { return "memory", nil }

// Trim is part of engine.Log.
func (l *memory) Trim(context.Context, int32, uint64) error { return nil }

// Consume is part of engine.Log.
func (l *memory) Consume(_ context.Context, _ int32, from uint64) (engine.Reader, error) {
	return &cursor{l, from}, nil
}

type cursor struct {
	l    *memory
	next uint64
}

// Close is part of engine.Reader.
func (c *cursor) Close() error { return nil }

// Next is part of engine.Reader.
func (c *cursor) Next(ctx context.Context, maxOps int) ([]ingest.Frame, error) {
	for {
		c.l.mu.Lock()
		var out []ingest.Frame
		ops := 0
		for _, f := range c.l.frames {
			if f.Seq == c.next && ops < maxOps {
				out = append(out, f)
				ops += len(f.Ops)
				c.next++
			}
		}
		more := c.l.more
		c.l.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
