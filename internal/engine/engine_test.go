package engine_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/app"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

func example(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("../../examples/onboarding.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestOnboarding walks the example: the welcome goes out, the nudge after three days only to who did not activate.
func TestOnboarding(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(example(t))
		for _, id := range []string{"1", "2", "3", "4"} {
			plan := "pro"
			if id == "3" {
				plan = "free"
			}
			w.identify(id, `{"email":"p`+id+`@example.com","first_name":"P","plan":"`+plan+`"}`)
		}
		w.track("1", "signed_up", `{"plan":"pro","source":"web"}`)
		w.track("2", "signed_up", `{"plan":"pro"}`)
		w.track("3", "signed_up", `{"plan":"free"}`)
		w.track("4", "signed_up", `{"plan":"pro","source":"import"}`)
		w.eventually("two welcomes", func() bool { return len(w.out.actions()) == 2 })
		w.track("2", "activated", "")
		w.advance(71 * time.Hour)
		if got := w.out.actions(); len(got) != 2 {
			t.Errorf("after 71 h: %v", got)
		}
		w.advance(time.Hour)
		w.eventually("one nudge", func() bool { return slices.Contains(w.out.actions(), "nudge") })
		if got, want := w.out.actions(), []string{"welcome", "welcome", "nudge"}; !slices.Equal(got, want) {
			t.Errorf("messages = %v, want %v", got, want)
		}
		w.out.mu.Lock()
		who := w.out.jobs[2].Person.ID
		w.out.mu.Unlock()
		if who != "1" {
			t.Errorf("the nudge went to %s, want 1", who)
		}
		if diff := cmp.Diff([]string{"campaign onboarding not started"}, w.why("4")); diff != "" {
			t.Errorf("why of 4 (-want +got):\n%s", diff)
		}
		if got := w.why("3"); len(got) < 2 || got[0] != "campaign onboarding waiting" || got[len(got)-1] != "campaign onboarding not started" {
			t.Errorf("why of 3 = %v, want a wait for the filter and then not started", got)
		}
	})
}

// TestFilterRetry lets an identify that comes after the event open the filter, for thirty minutes.
func TestFilterRetry(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(example(t))
		w.track("1", "signed_up", `{"plan":"pro"}`)
		w.track("2", "signed_up", `{"plan":"pro"}`)
		w.advance(29 * time.Minute)
		w.identify("1", `{"plan":"pro","email":"a@example.com"}`)
		w.advance(2 * time.Minute)
		w.identify("2", `{"plan":"pro","email":"b@example.com"}`)
		w.eventually("one welcome", func() bool { return len(w.out.actions()) == 1 })
		w.track("1", "noise", "")
		if got := w.out.actions(); len(got) != 1 {
			t.Errorf("messages = %v, want one welcome", got)
		}
	})
}

// TestWindowSegment enters on a purchase, leaves by time alone, and enters again.
func TestWindowSegment(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(example(t))
		w.identify("1", `{"plan":"team","email":"a@example.com"}`)
		w.track("1", "purchase", "")
		if got := w.members("paying"); got != 1 {
			t.Fatalf("after a purchase: %d members", got)
		}
		w.advance(30*24*time.Hour + time.Second)
		if got := w.members("paying"); got != 0 {
			t.Fatalf("after 30 days: %d members", got)
		}
		w.track("1", "purchase", "")
		if got := w.members("paying"); got != 1 {
			t.Fatalf("after another purchase: %d members", got)
		}
		w.identify("1", `{"plan":null}`)
		if got := w.members("paying"); got != 0 {
			t.Errorf("without a plan: %d members", got)
		}
		w.eventually("one thanks", func() bool { return len(w.out.actions()) == 1 })
		if got := w.out.actions(); !slices.Equal(got, []string{"thanks"}) {
			t.Errorf("messages = %v, want one thanks: the frequency is once", got)
		}
	})
}

// TestBackfill defines the segment after the events: the sweep finds them, and "new only" does not thank anybody.
func TestBackfill(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.identify("1", `{"plan":"team","email":"a@example.com"}`)
		w.track("1", "purchase", "")
		w.identify("2", `{"plan":"team"}`)
		w.apply(example(t))
		w.eventually("the sweep", func() bool { return w.members("paying") == 1 })
		w.track("1", "noise", "")
		if got := w.out.actions(); len(got) != 0 {
			t.Errorf("messages = %v, want none for backfilled members", got)
		}
		w.advance(31 * 24 * time.Hour)
		if got := w.members("paying"); got != 0 {
			t.Errorf("after 31 days: %d members", got)
		}
	})
}

// TestIdentity holds the rules of identify: conflicts leave identifiers where they are and an activity behind.
func TestIdentity(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.identify("1", `{"email":"A@example.com","x":1}`)
		w.identify("2", `{"email":"a@EXAMPLE.com","y":2}`) // belongs to 1
		if d := w.person("1"); d.Email != "A@example.com" {
			t.Errorf("email of 1 = %q", d.Email)
		}
		if d := w.person("2"); d == nil || d.Email != "" || string(d.Get("y")) != "2" {
			t.Errorf("2 = %+v, want a person with y and without the email", d)
		}
		w.identify("1", `{"email":"new@example.com"}`) // set already
		if d := w.person("1"); d.Email != "A@example.com" {
			t.Errorf("email of 1 changed to %q without cio_ in the path", d.Email)
		}
		cio := w.person("1").CIO
		w.do(w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{CIO: cio}, Attributes: parse(t, `{"email":"new@example.com"}`)}))
		if d := w.person("1"); d.Email != "new@example.com" {
			t.Errorf("email of 1 = %q, want the one set through its cio_id", d.Email)
		}
		w.do(w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{Email: "lone@example.com"}, Attributes: parse(t, `{"z":1}`)}))
		w.identify("3", `{"email":"lone@example.com"}`)
		if d := w.person("3"); d == nil || string(d.Get("z")) != "1" {
			t.Errorf("3 = %+v, want the person who had the email", d)
		}
		w.do(w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: "9"}, UpdateOnly: true, Attributes: parse(t, `{"z":1}`)}))
		if d := w.person("9"); d != nil {
			t.Errorf("_update created %+v", d)
		}
	})
}

// TestRemoval deletes and suppresses: what is gone is gone, and a suppressed identifier stays without effect.
func TestRemoval(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(example(t))
		w.identify("1", `{"email":"a@example.com","plan":"pro"}`)
		w.track("1", "signed_up", `{"plan":"pro"}`)
		w.track("1", "purchase", "")
		w.do(w.op(ingest.Delete, ingest.PersonPayload{By: ingest.By{ID: "1"}}))
		if d := w.person("1"); d != nil {
			t.Errorf("deleted person is still there: %+v", d)
		}
		if got := w.members("paying"); got != 0 {
			t.Errorf("%d members after a deletion", got)
		}
		w.identify("1", `{"email":"a@example.com"}`)
		if d := w.person("1"); d == nil || len(d.Facts) != 0 || len(d.Entries) != 0 {
			t.Errorf("person made again = %+v, want one without history", d)
		}
		w.do(w.op(ingest.Suppress, ingest.PersonPayload{By: ingest.By{Email: "a@example.com"}}))
		w.identify("1", `{"plan":"pro"}`)
		w.track("1", "signed_up", "")
		if d := w.person("1"); d != nil {
			t.Errorf("suppressed identifier made a person: %+v", d)
		}
		w.do(w.op(ingest.Unsuppress, ingest.PersonPayload{By: ingest.By{ID: "1"}}))
		w.identify("1", `{"plan":"pro"}`)
		if d := w.person("1"); d == nil {
			t.Error("unsuppressed identifier makes no person")
		}
		// everything in one frame
		w.do(
			w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: "7"}, Attributes: parse(t, `{"plan":"pro"}`)}),
			w.op(ingest.Event, ingest.EventPayload{By: ingest.By{ID: "7"}, Type: 1, Name: "signed_up"}),
			w.op(ingest.Delete, ingest.PersonPayload{By: ingest.By{ID: "7"}}),
			w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: "7"}, Attributes: parse(t, `{"plan":"free"}`)}),
		)
		if d := w.person("7"); d == nil || d.Get("plan").Text() != "free" || len(d.Entries) != 0 {
			t.Errorf("7 = %+v, want a new person", d)
		}
	})
}

// TestBadOp gives the engine an op that it cannot decode between two good ones: the good ones are applied.
func TestBadOp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		bad := w.op(ingest.Send, ingest.SendPayload{})
		bad.Payload = parse(t, `{"send_at":"not a number"}`)
		odd := w.op(ingest.Delete, ingest.PersonPayload{})
		odd.Kind = 200
		w.do(
			w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: "1"}, Attributes: parse(t, `{"a":1}`)}),
			bad, odd,
			w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: "2"}, Attributes: parse(t, `{"a":"nul \u0000 inside"}`)}),
		)
		if w.person("1") == nil || w.person("2") == nil {
			t.Error("the good ops were not applied")
		}
	})
}

// TestRestart applies nothing twice and loses nothing when the engine stops between frames.
func TestRestart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(example(t))
		w.identify("1", `{"email":"a@example.com","plan":"pro"}`)
		w.eng.Stop()
		for range 5 {
			w.log.append(w.op(ingest.Event, ingest.EventPayload{By: ingest.By{ID: "1"}, Type: 1, Name: "purchase"}))
		}
		w.start()
		w.track("1", "signed_up", `{"plan":"pro"}`)
		d := w.person("1")
		if len(d.Facts) != 1 || d.Facts[0].Count != 5 {
			t.Errorf("facts = %+v, want five purchases", d.Facts)
		}
		w.eventually("welcome and thanks", func() bool { return len(w.out.actions()) == 2 })
	})
}

// TestAge lets a back-dated event of any name make the profile old enough for "not within 30 days".
func TestAge(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply("schema: 1\nworkspace: w\nsegments:\n  - id: idle\n    conditions: {event: purchase, not_performed: true, within: 30d}\n")
		w.identify("1", `{"plan":"team"}`)
		if got := w.members("idle"); got != 0 {
			t.Fatalf("a young profile: %d members", got)
		}
		at := w.clock().Add(-40 * 24 * time.Hour).Unix()
		w.do(w.op(ingest.Event, ingest.EventPayload{By: ingest.By{ID: "1"}, Type: 1, Name: "other", Timestamp: at}))
		if got := w.members("idle"); got != 1 {
			t.Errorf("aged by a back-dated event: %d members, want 1", got)
		}
	})
}

// TestExpire lets decisions and events of nobody go after thirty days, and keeps a person's own events.
func TestExpire(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(example(t))
		w.identify("1", `{"plan":"pro","email":"a@example.com"}`)
		w.track("1", "signed_up", `{"plan":"pro"}`)
		w.do(w.op(ingest.Event, ingest.EventPayload{Anonymous: "anon", Type: 1, Name: "looked"}))
		if got := w.why("1"); len(got) == 0 {
			t.Fatal("no decisions")
		}
		w.advance(31 * 24 * time.Hour)
		w.eng.Stop()
		w.start() // looks at old rows at once
		w.eventually("old decisions are gone", func() bool {
			return !slices.Contains(w.why("1"), "campaign onboarding started")
		})
		page, _, err := db.Activities(t.Context(), w.ws, app.ActivityQuery{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page {
			if a.Anonymous != "" {
				t.Errorf("an anonymous event of 31 days ago is still there: %+v", a)
			}
		}
		if d := w.person("1"); d == nil {
			t.Error("the person is gone")
		}
	})
}
