package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"rapport.example/internal/audience"
	"rapport.example/internal/definition"
	"rapport.example/internal/delivery"
	"rapport.example/internal/engine"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/value"
)

// memLog is a log in memory, for tests of what the engine does with frames; the real one has tests of its own and runs
// in those of package server.
type memLog struct {
	mu      sync.Mutex
	frames  []ingest.Frame
	more    chan struct{}
	stopped bool // nothing is handed out
}

// stop lets frames be acknowledged without being handed out, until run.
func (l *memLog) stop() { l.mu.Lock(); l.stopped = true; l.mu.Unlock() }

func (l *memLog) run() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = false
	close(l.more)
	l.more = make(chan struct{})
}

func newMemLog() *memLog { return &memLog{more: make(chan struct{})} }

func (l *memLog) append(ops ...ingest.Op) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq := uint64(len(l.frames) + 1)
	l.frames = append(l.frames, ingest.Frame{Seq: seq, ID: id.New(time.Now()), Ops: ops})
	close(l.more)
	l.more = make(chan struct{})
	return seq
}

func (l *memLog) Last(context.Context, int32) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.frames)), nil
}
func (l *memLog) ID(context.Context, int32) (string, error) { return "mem", nil }
func (l *memLog) Trim(context.Context, int32, uint64) error { return nil }
func (l *memLog) Consume(_ context.Context, _ int32, from uint64) (engine.Reader, error) {
	return &memReader{l, from}, nil
}

type memReader struct {
	l    *memLog
	next uint64
}

func (r *memReader) Close() error { return nil }

func (r *memReader) Next(ctx context.Context, maxOps int) ([]ingest.Frame, error) {
	for {
		r.l.mu.Lock()
		var out []ingest.Frame
		ops := 0
		for int(r.next) <= len(r.l.frames) && ops < maxOps && !r.l.stopped {
			f := r.l.frames[r.next-1]
			out = append(out, f)
			ops += len(f.Ops)
			r.next++
		}
		more := r.l.more
		r.l.mu.Unlock()
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

// outbox takes every claimed delivery and says that it was sent.
type outbox struct {
	mu   sync.Mutex
	jobs []delivery.Job
	sent func(delivery.Job)
}

func (o *outbox) Free() int { return 1000 }
func (o *outbox) Hand(jobs []delivery.Job) {
	o.mu.Lock()
	o.jobs = append(o.jobs, jobs...)
	o.mu.Unlock()
	for _, j := range jobs {
		if o.sent != nil {
			o.sent(j)
		}
	}
}

func (o *outbox) actions() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for _, j := range o.jobs {
		out = append(out, j.Delivery.Action)
	}
	return out
}

// world is one workspace with a running engine whose real clock the test moves.
type world struct {
	t   testing.TB
	db  *store.DB
	log *memLog
	out *outbox
	eng *engine.Engine
	ws  int64

	store     engine.Store // what the engine sees; db unless a test sets another before start
	histories int64        // of engine.Options
	chunk     int          // of engine.Options: SweepChunk, and half of AskRange
	room      int64        // of engine.Options: CountRoom
	confine   func() (over func())
	people    *audience.Audiences

	mu  sync.Mutex
	now time.Time
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// newWorld starts an engine on the database. with may set what it starts with.
func newWorld(t testing.TB, db *store.DB, with ...func(*world)) *world {
	t.Helper()
	if err := db.EnsurePartitions(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	w, err := db.CreateWorkspace(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	x := &world{t: t, db: db, log: newMemLog(), out: &outbox{}, ws: w.ID, now: epoch, store: db, people: audience.New(db, 64<<20)}
	for _, f := range with {
		f(x)
	}
	x.start()
	t.Cleanup(func() { x.eng.Stop() })
	return x
}

func (w *world) start() {
	w.t.Helper()
	w.eng = engine.New(engine.Options{
		Store: w.store, People: w.people, Log: w.log, Deliver: w.out, Secret: w.db.Secret(), Owner: "test", Alone: true,
		Now: w.clock, Histories: w.histories, SweepChunk: w.chunk, AskRange: 2 * w.chunk, CountRoom: w.room, Confine: w.confine, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err := w.eng.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(time.Millisecond) // real time never stands still
	return w.now
}

// later moves the real time.
func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// op makes an op that is received now.
func (w *world) op(kind ingest.Kind, payload any) ingest.Op {
	w.t.Helper()
	v, err := ingest.Encode(payload)
	if err != nil {
		w.t.Fatal(err)
	}
	now := w.clock()
	return ingest.Op{Version: 1, Workspace: w.ws, Received: now.UnixMilli(), ID: id.New(now), Kind: kind, Payload: v}
}

// do appends ops as one frame and waits until it is applied.
func (w *world) do(ops ...ingest.Op) {
	w.t.Helper()
	w.wait(w.log.append(ops...))
}

func (w *world) wait(seq uint64) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for {
		if at, ok := w.eng.Applied(0); ok && at >= seq {
			return
		}
		w.eng.Wait(ctx, 0, seq)
		if ctx.Err() != nil {
			w.t.Fatalf("frame %d was not applied", seq)
		}
	}
}

func (w *world) identify(by string, attributes string) {
	w.t.Helper()
	w.do(w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: by}, Attributes: parse(w.t, attributes)}))
}

func (w *world) track(by, name, data string) {
	w.t.Helper()
	w.do(w.op(ingest.Event, ingest.EventPayload{By: ingest.By{ID: by}, Type: 1, Name: name, Data: parse(w.t, data)}))
}

func (w *world) advance(d time.Duration) {
	w.t.Helper()
	w.do(w.op(ingest.Clock, ingest.ClockPayload{Advance: d.Milliseconds()}))
}

func (w *world) apply(yaml string) {
	w.t.Helper()
	doc, err := definition.ParseFile("test.yaml", []byte(yaml))
	if err != nil {
		w.t.Fatal(err)
	}
	plan := definition.Diff(nil, doc, false)
	w.do(w.op(ingest.Define, plan.Payload()))
}

func (w *world) person(by string) *person.Document {
	w.t.Helper()
	d, err := w.db.FindPerson(w.t.Context(), w.ws, person.Identifier{Type: person.ByID, Value: by})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// timersBeside is how many timers a workspace has beside one for each live journey and one for each person whose conditions are looked
// at again by themselves. docs are all its people.
func (w *world) timersBeside(ws int64, docs []*person.Document) int64 {
	w.t.Helper()
	c, err := w.db.Counts(w.t.Context(), ws)
	if err != nil {
		w.t.Fatal(err)
	}
	n := c.Timers - c.Journeys
	for _, d := range docs {
		if d.Due != 0 {
			n--
		}
	}
	return n
}

func (w *world) members(slug string) int64 {
	w.t.Helper()
	rows, err := w.db.CurrentDefinitions(w.t.Context(), w.ws, definition.Segments)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range rows {
		if r.Slug == slug {
			n, err := w.db.CountMembers(w.t.Context(), w.ws, r.ID)
			if err != nil {
				w.t.Fatal(err)
			}
			return n
		}
	}
	w.t.Fatalf("no segment %s", slug)
	return 0
}

// why is the person's trace, oldest first, as kind subject outcome.
func (w *world) why(by string) []string {
	w.t.Helper()
	d := w.person(by)
	if d == nil {
		w.t.Fatalf("nobody is %s", by)
	}
	page, _, err := w.db.Decisions(w.t.Context(), w.ws, d.LastDecision, 0, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	out := make([]string, 0, len(page))
	for i := len(page) - 1; i >= 0; i-- {
		out = append(out, fmt.Sprintf("%s %s %s", page[i].Kind, page[i].Subject, page[i].Outcome))
	}
	return out
}

// eventually looks until ok holds; it is for what the engine does on its own after an op is applied.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeoutCause(w.t.Context(), time.Minute, errors.New(what))
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.t.Fatalf("did not happen: %s", what)
		}
	}
}

func parse(t testing.TB, s string) value.Value {
	t.Helper()
	if s == "" {
		return nil
	}
	v, err := value.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
