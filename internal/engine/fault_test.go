package engine_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rapport.example/internal/api/app"
	"rapport.example/internal/definition"
	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

var errLost = errors.New("connection lost")

// flaky loses the connection in three of ten transactions: before it begins, or after it was committed.
type flaky struct {
	*store.DB
	mu  sync.Mutex
	rnd *rand.Rand
}

// Transact is part of engine.Store.
func (f *flaky) Transact(ctx context.Context, lease engine.Lease, fn func(engine.Tx) error) error {
	f.mu.Lock()
	n := f.rnd.IntN(10)
	f.mu.Unlock()
	if n < 2 {
		return errLost
	}
	err := f.DB.Transact(ctx, lease, fn)
	if err == nil && n == 2 {
		return errLost
	}
	return err
}

// Transient is part of engine.Store.
func (f *flaky) Transient(err error) bool { return flakyTransient(f.DB, err) }

func flakyTransient(db *store.DB, err error) bool {
	return errors.Is(err, errLost) || db.Transient(err)
}

// TestFlakyDatabase applies every op once although transactions fail around them, those of claims and timers included.
func TestFlakyDatabase(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(example(t))
		w.identify("1", `{"email":"a@example.com","plan":"pro"}`)
		w.eng.Stop()
		w.store = &flaky{DB: db, rnd: rand.New(rand.NewPCG(1, 2))}
		w.start()
		const events = 20
		for range events {
			w.track("1", "signed_up", `{"plan":"pro"}`)
		}
		w.advance(73 * time.Hour)
		count := func(action string) (n int) {
			for _, a := range w.out.actions() {
				if a == action {
					n++
				}
			}
			return n
		}
		page, _, err := db.Activities(t.Context(), w.ws, app.ActivityQuery{Limit: 1000, Type: event.Track})
		if err != nil || len(page) != events {
			t.Errorf("%d events are applied, %v, want %d", len(page), err, events)
		}
		// A claim whose answer was lost is not handed over: it will be unknown. None is handed over twice.
		sent := map[string]bool{}
		w.out.mu.Lock()
		for _, j := range w.out.jobs {
			if sent[j.Delivery.Public] {
				t.Errorf("%s was handed over twice", j.Delivery.Public)
			}
			sent[j.Delivery.Public] = true
		}
		w.out.mu.Unlock()
		if count("welcome") > events || count("nudge") > events {
			t.Errorf("messages = %v", w.out.actions())
		}
	})
}

// TestStoppedWhileRetrying lets nobody into a campaign that was stopped or deleted while they waited for its filter.
func TestStoppedWhileRetrying(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"stopped", "deleted"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				w := newWorld(t, db)
				w.apply(example(t))
				w.identify("1", `{"email":"a@example.com","plan":"free"}`)
				w.track("1", "signed_up", `{"plan":"pro"}`)
				if end == "stopped" {
					w.apply(strings.Replace(example(t), "state: running", "state: stopped", 1))
				} else {
					w.do(w.op(ingest.Define, ingest.DefinePayload{Delete: []ingest.Definition{{Kind: definition.Campaigns, Slug: "onboarding"}}}))
				}
				w.identify("1", `{"plan":"pro"}`)
				if got := w.why("1"); !slices.Contains(got, "campaign onboarding exited") || slices.Contains(got, "campaign onboarding started") {
					t.Errorf("why = %v, want an exit", got)
				}
				w.advance(time.Hour)
				if got := w.out.actions(); len(got) != 0 {
					t.Errorf("messages = %v, want none", got)
				}
			})
		})
	}
}
