package engine_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/app"
	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// keyed gives ops of one request its key.
func keyed(hash, print, nonce byte, ops ...ingest.Op) []ingest.Op {
	for i := range ops {
		ops[i].Version = ingest.KeyedVersion
		ops[i].Once = &ingest.Once{Hash: [16]byte{hash}, Print: [16]byte{print}, Nonce: [8]byte{nonce}}
	}
	return ops
}

// failures counts the ops that were left out, by reason. A frame that is cut for a broken op has several activities of one.
func (w *world) failures() map[string]int {
	w.t.Helper()
	page, _, err := w.db.Activities(w.t.Context(), w.ws, app.ActivityQuery{Type: event.FailedChange, Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]int{}
	for _, a := range page {
		n, err := strconv.Atoi(a.Data.Get("count").Text())
		if err != nil {
			w.t.Fatal(err)
		}
		out[a.Data.Get("reason").Text()] += n
	}
	return out
}

// TestOnce lets several servers take the same request: the ops of the first in the log are applied, all of them, and what is
// left out says why. An op that breaks does not take its request's others along.
func TestOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		track := func(name string) ingest.Op { return w.named(ingest.By{ID: "u"}, "", name, "") }
		broken := w.op(ingest.Event, ingest.EventPayload{})
		broken.Kind = 250
		var frame []ingest.Op
		frame = append(frame, keyed(1, 1, 1, track("a"), track("b"))...)
		frame = append(frame, keyed(1, 1, 2, track("a"), track("b"))...)
		frame = append(frame, keyed(1, 2, 3, track("c"))...)
		frame = append(frame, keyed(2, 1, 4, broken, track("d"), track("e"))...)
		frame = append(frame, keyed(2, 1, 5, track("d"), track("e"))...)
		frame = append(frame, keyed(3, 1, 6, w.op(ingest.Clock, ingest.ClockPayload{Advance: 1000}))...)
		frame = append(frame, keyed(3, 1, 7, w.op(ingest.Clock, ingest.ClockPayload{Advance: 1000}))...)
		w.do(frame...)
		w.do(keyed(1, 1, 8, track("a"), track("b"))...)
		w.eng.Stop()
		w.start()
		w.pass(ingest.OnceFor - time.Minute)
		w.do(keyed(1, 1, 9, track("late"))...)
		w.pass(time.Minute)
		w.do(keyed(1, 5, 10, track("new"))...)
		if diff := cmp.Diff([]string{"a", "b", "internal", "d", "e", "new"}, w.happened()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		const same, other = "the same request was applied under its Idempotency-Key already", "the Idempotency-Key was used for another request in the last 24 hours"
		want := map[string]int{same: 8, other: 1}
		got := w.failures()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("reasons (-want +got):\n%s", diff)
		}
		spaces, err := db.Workspaces(t.Context())
		if err != nil || spaces[0].Clock != 1000 {
			t.Errorf("the clock is %d ms ahead, want 1000: %v", spaces[0].Clock, err)
		}
	})
}

// TestOnceExpires lets the engine forget keys after a day.
func TestOnceExpires(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.do(keyed(1, 1, 1, w.named(ingest.By{ID: "u"}, "", "a", ""))...)
		find := func() bool {
			o, received, found, err := db.FindRequest(t.Context(), w.ws, [16]byte{1}, 0)
			if err != nil || found && (o.Nonce != [8]byte{1} || received == 0) {
				t.Fatalf("FindRequest = %v, %d, %v", o, received, err)
			}
			return found
		}
		if !find() {
			t.Fatal("the request is not known")
		}
		w.pass(ingest.OnceFor + time.Hour)
		w.eventually("the key is forgotten", func() bool { return !find() })
	})
}
