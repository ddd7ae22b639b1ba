package engine_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/definition"
	"rapport.example/internal/engine"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// arming holds back the first transaction that arms timers and writes nobody: that of a build.
type arming struct {
	held
	began, freed chan struct{}
}

// Transact is part of engine.Store.
func (a *arming) Transact(ctx context.Context, lease engine.Lease, fn func(engine.Tx) error) error {
	return a.held.Transact(ctx, lease, func(tx engine.Tx) error { return fn(armingTx{tx, a}) })
}

type armingTx struct {
	engine.Tx
	a *arming
}

// Write is part of engine.Tx.
func (t armingTx) Write(ctx context.Context, c *engine.Changes) error {
	if len(c.PutTimers) > 0 && len(c.PutPeople) == 0 {
		select {
		case <-t.a.began:
		default:
			close(t.a.began)
			<-t.a.freed
		}
	}
	return t.Tx.Write(ctx, c)
}

// TestBuildLooksAhead changes people whom a build has read already while what it found of those before them is still being written.
func TestBuildLooksAhead(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		a := &arming{held: held{DB: db}, began: make(chan struct{}), freed: make(chan struct{})}
		w := newWorld(t, db, func(w *world) { w.chunk, w.store = 2, a })
		for n := range 9 {
			by := fmt.Sprint(n + 1)
			w.identify(by, `{"plan":"pro"}`)
			if n != 6 {
				w.track(by, "purchase", `{}`)
			}
		}
		a.hold(definition.AskPeople, 4, true) // ranges are 1 to 3, 4 to 7, 8 and 9
		w.apply("schema: 1\nworkspace: ahead\nsegments:\n  - {id: buyers, conditions: {all: [{event: purchase, within: 30d}, {attribute: plan, is: pro}]}}\n")
		<-a.began
		w.eventually("both halves of the second range are read", func() bool { return a.waiting.Load() == 2 })
		seq := w.log.append(
			w.op(ingest.Delete, ingest.PersonPayload{By: ingest.By{ID: "5"}}),
			w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: "6"}, Attributes: parse(t, `{"plan":"free"}`)}),
			w.event("7", "purchase"),
		)
		close(a.freed)
		w.wait(seq)
		a.open()
		w.quiet("the build")
		if diff := cmp.Diff([]string{"1", "2", "3", "4", "7", "8", "9"}, w.in("buyers")); diff != "" {
			t.Errorf("buyers (-want +got):\n%s", diff)
		}
		w.advance(31 * 24 * time.Hour)
		if got := w.members("buyers"); got != 0 {
			t.Errorf("%d are buyers after a month", got)
		}
	})
}
