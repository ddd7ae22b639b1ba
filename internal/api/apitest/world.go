// Package apitest runs one workspace with a real engine and database behind a log in memory, for tests of the surfaces.
package apitest

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/definition"
	"rapport.example/internal/delivery"
	"rapport.example/internal/engine"
	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

// Keys of the workspace, and of the operator.
const (
	AppKey   = "app-key-of-the-tests"
	AdminKey = "admin-key-of-the-tests"
)

// Start is the moment that a World's clock starts at.
var Start = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

// World is a workspace, the first of its database.
type World struct {
	DB        *store.DB
	Keys      *api.Keys
	Workspace workspace.Workspace

	tb  testing.TB
	eng *engine.Engine

	mu     sync.Mutex
	now    time.Time
	frames []ingest.Frame
	more   chan struct{}
	jobs   []delivery.Job
	handed chan struct{} // closed and made anew when jobs have grown
}

// New starts an engine on db. It is stopped at the end of the test.
func New(tb testing.TB, db *store.DB) *World {
	tb.Helper()
	w := &World{DB: db, tb: tb, now: Start, more: make(chan struct{}), handed: make(chan struct{})}
	ctx := tb.Context()
	w.must(db.EnsurePartitions(ctx, 1))
	var err error
	w.Workspace, err = db.CreateWorkspace(ctx, "", 0)
	w.must(err)
	w.Keys = api.NewKeys(api.KeyOptions{Store: db, Log: slog.New(slog.DiscardHandler)})
	for _, c := range []workspace.Credential{
		{Workspace: w.Workspace.ID, Kind: workspace.App, Name: "app", Hash: workspace.Hash(AppKey)},
		{Kind: workspace.Admin, Name: "admin", Hash: workspace.Hash(AdminKey)},
	} {
		_, err := db.CreateCredential(ctx, c)
		w.must(err)
	}
	w.must(w.Keys.Refresh(ctx))
	w.eng = engine.New(engine.Options{
		Store: db, Log: w, Deliver: w, Secret: db.Secret(), Owner: "test", Alone: true, Now: w.Now, Logger: slog.New(slog.DiscardHandler),
	})
	w.must(w.eng.Start(ctx))
	tb.Cleanup(w.eng.Stop)
	return w
}

func (w *World) must(err error) {
	w.tb.Helper()
	if err != nil {
		w.tb.Fatal(err)
	}
}

// Now is the real time of the World. It never stands still.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(time.Millisecond)
	return w.now
}

// Advance lets real time pass at once.
func (w *World) Advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// Append is part of api.Appender.
func (w *World) Append(_ context.Context, partition int32, ops ...ingest.Op) (ingest.Position, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seq := uint64(len(w.frames) + 1)
	w.frames = append(w.frames, ingest.Frame{Partition: partition, Seq: seq, ID: id.New(w.now), Ops: ops})
	close(w.more)
	w.more = make(chan struct{})
	return ingest.Position{Partition: partition, Seq: seq}, nil
}

// Applied waits until a position is applied.
func (w *World) Applied(ctx context.Context, pos ingest.Position) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if done, _ := w.eng.Wait(ctx, pos.Partition, pos.Seq); done {
			return nil
		}
	}
	return fault.Wrap(fault.Unavailable, ctx.Err(), "not applied")
}

// Fresh waits until everything appended is applied.
func (w *World) Fresh(ctx context.Context, _ int64) (stale bool) {
	w.mu.Lock()
	seq := uint64(len(w.frames))
	w.mu.Unlock()
	return w.Applied(ctx, ingest.Position{Seq: seq}) != nil
}

// Op makes an op that is received now.
func (w *World) Op(kind ingest.Kind, payload any) ingest.Op {
	w.tb.Helper()
	v, err := ingest.Encode(payload)
	w.must(err)
	now := w.Now()
	return ingest.Op{Version: ingest.OpVersion, Workspace: w.Workspace.ID, Received: now.UnixMilli(), ID: id.New(now), Kind: kind, Payload: v}
}

// Do appends ops as one frame and waits until it is applied.
func (w *World) Do(ops ...ingest.Op) {
	w.tb.Helper()
	pos, err := w.Append(w.tb.Context(), 0, ops...)
	w.must(err)
	w.must(w.Applied(w.tb.Context(), pos))
}

// Identify creates or updates a person. attributes is JSON.
func (w *World) Identify(by, attributes string) ingest.Op {
	w.tb.Helper()
	v, err := value.Parse([]byte(attributes))
	w.must(err)
	return w.Op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: by}, Attributes: v})
}

// Event tracks an event. data is JSON.
func (w *World) Event(by, name, data string) ingest.Op {
	w.tb.Helper()
	v, err := value.Parse([]byte(data))
	w.must(err)
	return w.Op(ingest.Event, ingest.EventPayload{By: ingest.By{ID: by}, Type: 1, Name: name, Data: v})
}

// Define adds the definitions of a workspace file.
func (w *World) Define(yaml string) {
	w.tb.Helper()
	doc, err := definition.ParseFile("test.yaml", []byte(yaml))
	w.must(err)
	plan := definition.Diff(nil, doc, false)
	w.Do(w.Op(ingest.Define, plan.Payload()))
}

// Free is part of engine.Deliverer.
func (w *World) Free() int { return 1000 }

// Hand is part of engine.Deliverer: every claimed delivery is sent at once.
func (w *World) Hand(jobs []delivery.Job) {
	for _, j := range jobs {
		op := w.Op(ingest.Outcome, ingest.OutcomePayload{
			Delivery: j.Delivery.ID, Epoch: j.Delivery.Epoch, State: uint8(delivery.Sent), Recipient: j.Person.Email,
			Subject: "subject of " + j.Delivery.Action, At: w.Now().UnixMilli(),
		})
		if _, err := w.Append(context.Background(), 0, op); err != nil {
			w.tb.Error(err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.jobs = append(w.jobs, jobs...)
	close(w.handed)
	w.handed = make(chan struct{})
}

// Sent waits until n deliveries have been handed over since the start and their outcomes are applied.
func (w *World) Sent(n int) {
	w.tb.Helper()
	ctx, cancel := context.WithTimeout(w.tb.Context(), 30*time.Second)
	defer cancel()
	for {
		w.mu.Lock()
		have, more := len(w.jobs), w.handed
		w.mu.Unlock()
		if have >= n {
			break
		}
		select {
		case <-more:
		case <-ctx.Done():
			w.tb.Fatalf("%d deliveries were handed over, want %d", have, n)
		}
	}
	if w.Fresh(ctx, w.Workspace.ID) {
		w.tb.Fatal("the outcomes are not applied")
	}
}

// Jobs are the deliveries that were sent so far, in the order in which they were handed over.
func (w *World) Jobs() []delivery.Job {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.jobs)
}

// Last is part of engine.Log.
func (w *World) Last(context.Context, int32) (uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return uint64(len(w.frames)), nil
}

// ID is part of engine.Log.
func (w *World) ID(context.Context, int32) (string, error) { return "memory", nil }

// Trim is part of engine.Log.
func (w *World) Trim(context.Context, int32, uint64) error { return nil }

// Consume is part of engine.Log.
func (w *World) Consume(_ context.Context, _ int32, from uint64) (engine.Reader, error) {
	return &reader{w, from}, nil
}

type reader struct {
	w    *World
	next uint64
}

func (r *reader) Next(ctx context.Context, maxOps int) ([]ingest.Frame, error) {
	for {
		r.w.mu.Lock()
		var out []ingest.Frame
		for ops := 0; int(r.next) <= len(r.w.frames) && ops < maxOps; r.next++ {
			f := r.w.frames[r.next-1]
			out, ops = append(out, f), ops+len(f.Ops)
		}
		more := r.w.more
		r.w.mu.Unlock()
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

func (r *reader) Close() error { return nil }

// Ops are all ops appended so far.
func (w *World) Ops() []ingest.Op {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []ingest.Op
	for _, f := range w.frames {
		out = append(out, f.Ops...)
	}
	return out
}
