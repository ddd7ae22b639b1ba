package engine_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"

	"rapport.example/internal/api/app"
	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// ulidAt is a ULID of a moment; n tells those of one moment apart.
func ulidAt(at time.Time, n byte) string {
	id := ulid.ULID{15: n}
	if err := id.SetTime(ulid.Timestamp(at)); err != nil {
		panic(err)
	}
	return id.String()
}

// happened is what the workspace's activities say, oldest first: the names of events, and the reasons of failed ones.
func (w *world) happened() []string {
	w.t.Helper()
	page, _, err := w.db.Activities(w.t.Context(), w.ws, app.ActivityQuery{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, a := range slices.Backward(page) {
		switch a.Type {
		case event.Track, event.Page, event.Screen:
			out = append(out, a.Name)
		case event.FailedEvent, event.Rejected:
			out = append(out, a.Data.Get("reason").Text())
		default:
		}
	}
	return out
}

// named makes an op of an event with an id.
func (w *world) named(by ingest.By, anonymous, name, id string) ingest.Op {
	w.t.Helper()
	return w.op(ingest.Event, ingest.EventPayload{By: by, Anonymous: anonymous, Type: 1, Name: name, ID: id})
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

const again = "an event with this id was applied in the last 30 days"

// TestRepeats sends events again, in the same frame and later, under ids whose own time is near and far, and after a
// restart. The table says after how many days of the real clock, and whether the repeat counts.
func TestRepeats(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	type send struct {
		after time.Duration // since the one before
		want  string
	}
	for name, tt := range map[string]struct {
		own   time.Duration // the id's own time, against the first receipt
		sends []send
	}{
		"now":                 {0, []send{{0, "e"}, {0, again}, {29 * day, again}, {2 * day, "e"}, {day, again}}},
		"a little behind":     {-6 * day, []send{{0, "e"}, {29 * day, again}, {2 * day, "e"}, {29 * day, again}}},
		"long ago":            {-300 * day, []send{{0, "e"}, {0, again}, {29 * day, again}, {2 * day, "e"}}},
		"at the edge":         {-7*day - time.Hour, []send{{0, "e"}, {29 * day, again}, {2 * day, "e"}}},
		"a little ahead":      {2 * day, []send{{0, "e"}, {day, again}, {28 * day, again}, {40 * day, "e"}}},
		"ahead":               {31 * day, []send{{0, "e"}, {20 * day, again}, {31 * day, "e"}, {29 * day, again}}},
		"ahead by a bit more": {32*day + time.Hour, []send{{0, "e"}, {20 * day, again}, {9 * day, again}, {20 * day, "e"}}},
		"without a time":      {ulid.Time(0).Sub(epoch), []send{{0, "e"}, {0, again}, {29 * day, again}, {2 * day, "e"}, {9 * day, again}, {20 * day, again}, {2 * day, "e"}}},
		"far ahead":           {5000 * day, []send{{0, "e"}, {29 * day, again}, {2 * day, "e"}}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				w := newWorld(t, db)
				id := ulidAt(epoch.Add(tt.own), 1)
				var want []string
				for _, s := range tt.sends {
					w.pass(s.after)
					w.do(w.named(ingest.By{ID: "u"}, "", "e", id), w.named(ingest.By{ID: "u"}, "", "other", ""))
					want = append(want, s.want, "other")
				}
				if diff := cmp.Diff(want, w.happened()); diff != "" {
					t.Errorf("activities (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestRepeatsOfAll covers who an id belongs to: the workspace, whoever the event is of; and what leaves none behind.
func TestRepeatsOfAll(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		one, two, three := ulidAt(epoch, 1), ulidAt(epoch, 2), ulidAt(epoch, 3)
		w.do(
			w.named(ingest.By{ID: "a"}, "", "first", one), w.named(ingest.By{ID: "b"}, "", "first", one), // in one frame
			w.named(ingest.By{}, "anon", "visit", two), w.named(ingest.By{}, "anon", "visit", two),
			w.named(ingest.By{CIO: "aaaaaaaaaaaaaaaa"}, "", "lost", three), w.named(ingest.By{ID: "a"}, "", "found", three),
			w.op(ingest.Suppress, ingest.PersonPayload{By: ingest.By{ID: "s"}}),
		)
		want := []string{"first", again, "visit", again, "no person has this cio_id", "found"}
		if diff := cmp.Diff(want, w.happened()); diff != "" {
			t.Errorf("activities (-want +got):\n%s", diff)
		}
		if w.person("b") != nil {
			t.Error("a repeat made a person")
		}
		w.eng.Stop()
		w.start()
		four := ulidAt(epoch, 4)
		w.do(w.named(ingest.By{ID: "a"}, "", "first", one), w.named(ingest.By{ID: "s"}, "", "blocked", four))
		w.do(w.op(ingest.Unsuppress, ingest.PersonPayload{By: ingest.By{ID: "s"}}), w.named(ingest.By{ID: "s"}, "", "free", four))
		want = append(want, again, "the identifier is suppressed", "free")
		if diff := cmp.Diff(want, w.happened()); diff != "" {
			t.Errorf("after a restart (-want +got):\n%s", diff)
		}
		w.advance(31 * 24 * time.Hour) // the workspace's clock counts, too
		w.do(w.named(ingest.By{ID: "a"}, "", "first", one))
		if got := w.happened(); got[len(got)-1] != "first" {
			t.Errorf("thirty-one days later: %v", got)
		}
	})
}

// counting counts look-ups of ids and the days that are dropped.
type counting struct {
	*store.DB
	lookups, dropped atomic.Int64
}

// Transact is part of engine.Store.
func (c *counting) Transact(ctx context.Context, lease engine.Lease, fn func(engine.Tx) error) error {
	return c.DB.Transact(ctx, lease, func(tx engine.Tx) error { return fn(countingTx{tx, c}) })
}

type countingTx struct {
	engine.Tx
	c *counting
}

// EventIDs is part of engine.Tx.
func (t countingTx) EventIDs(ctx context.Context, ids []engine.EventID) ([]engine.EventID, error) {
	t.c.lookups.Add(1)
	return t.Tx.EventIDs(ctx, ids)
}

// DropEventIDs is part of engine.Tx.
func (t countingTx) DropEventIDs(ctx context.Context, before int64) (bool, error) {
	yes, err := t.Tx.DropEventIDs(ctx, before)
	if yes {
		t.c.dropped.Add(1)
	}
	return yes, err
}

// TestEventDays looks the ids of a frame up at once, none where there are none, and drops days that nobody asks for any more.
func TestEventDays(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.eng.Stop()
		c := &counting{DB: db}
		w.store = c
		w.start()
		for d := range 3 {
			var ops, plain []ingest.Op
			for n := range 100 {
				ops = append(ops, w.named(ingest.By{ID: strconv.Itoa(n % 7)}, "", "e", ulidAt(w.clock(), byte(n))))
				plain = append(plain, w.named(ingest.By{ID: strconv.Itoa(n % 7)}, "", "e", ""))
			}
			w.do(ops...)
			w.do(plain...)
			if got := c.lookups.Load(); got != int64(d+1) {
				t.Errorf("%d look-ups after %d frames with ids, want one each", got, d+1)
			}
			w.pass(24 * time.Hour)
		}
		w.pass(38 * 24 * time.Hour)
		w.eventually("two days are dropped", func() bool { return c.dropped.Load() == 2 })
		w.pass(24 * time.Hour)
		w.eventually("all days are dropped", func() bool { return c.dropped.Load() == 3 })
		w.do(w.named(ingest.By{ID: "1"}, "", "e", ulidAt(epoch, 1)))
		if got := w.happened(); len(got) != 601 {
			t.Errorf("%d events, want 601", len(got))
		}
	})
}
