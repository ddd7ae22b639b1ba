package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/app"
	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestAnonymousTimes holds what time does to the events of an anonymous id, to the millisecond (product-semantics 1.2).
func TestAnonymousTimes(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	tests := []struct {
		name           string
		events, older  time.Duration // when the event comes, relative to the identify; how much older it says that it is
		theirs, starts bool          // whether it gets into the person's history; whether it starts a campaign
	}{
		{"30 days before", -30 * day, 0, true, false},
		{"more than 30 days before", -30*day - time.Millisecond, 0, false, false},
		{"5 minutes after", 5 * time.Minute, 0, true, true},
		{"more than 5 minutes after", 5*time.Minute + time.Millisecond, 0, false, false},
		{"72 hours before", -72 * time.Hour, 0, true, true},
		{"more than 72 hours before", -72*time.Hour - time.Millisecond, 0, true, false},
		{"just before, 72 hours old", -time.Second, 72*time.Hour - time.Second, true, true},
		{"just before, older than 72 hours", -time.Second, 72 * time.Hour, true, false},
		{"just after, older than 72 hours", time.Second, 72*time.Hour + time.Second, true, false},
		{"just before, 40 days old", -time.Second, 40 * day, true, false},
		{"from the future", -time.Second, -time.Hour, true, true},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(identityDefinitions)
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				who, visitor := fmt.Sprint("p", i), fmt.Sprint("v", i)
				identify := w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: who}, Attributes: parse(t, `{"anonymous_id":"`+visitor+`"}`)})
				identify.Received = epoch.Add(time.Duration(i+1) * 100 * day).UnixMilli() // whole seconds, as timestamps are
				pl := ingest.EventPayload{Anonymous: visitor, Type: uint8(event.Track), Name: "buy"}
				received := identify.Received + test.events.Milliseconds()
				if test.older != 0 {
					pl.Timestamp = (received - test.older.Milliseconds()) / 1000
				}
				seen := w.op(ingest.Event, pl)
				seen.Received = received
				if test.events < 0 {
					w.do(seen)
					w.do(identify)
				} else {
					w.do(identify, seen)
				}
				d := w.person(who)
				history, _, err := db.Timeline(t.Context(), w.ws, app.ActivityQuery{From: d.LastActivity, Limit: 10})
				if err != nil {
					t.Fatal(err)
				}
				theirs := slices.ContainsFunc(history, func(a event.Activity) bool { return a.Type == event.Track })
				if starts := len(d.Entries) > 0; theirs != test.theirs || starts != test.starts {
					t.Errorf("in the history: %v, starts a campaign: %v; want %v, %v", theirs, starts, test.theirs, test.starts)
				}
			})
		}
	})
}

// TestMergedPreferences holds that a person who was merged in brings consent and preferences only to somebody who has none:
// an empty map, written before the merge, keeps theirs out (product-semantics 1.6).
func TestMergedPreferences(t *testing.T) {
	t.Parallel()
	const out = `{"topics":{"topic_1":false,"topic_2":false}}`
	tests := []struct {
		name, primary, secondary string
		preferences              string
		unsubscribed             bool
	}{
		{"to somebody without any", `{}`, `{"unsubscribed":true,"cio_subscription_preferences":` + out + `}`, out, true},
		{
			"to somebody with their own", `{"unsubscribed":false,"cio_subscription_preferences":{"topics":{"topic_1":true}}}`,
			`{"unsubscribed":true,"cio_subscription_preferences":` + out + `}`, `{"topics":{"topic_1":true}}`, false,
		},
		{"to somebody with an empty map", `{"cio_subscription_preferences":{}}`, `{"cio_subscription_preferences":` + out + `}`, `{}`, false},
		{"to somebody with empty topics", `{"cio_subscription_preferences":{"topics":{}}}`, `{"cio_subscription_preferences":` + out + `}`, `{"topics":{}}`, false},
		{
			"to somebody with one topic", `{"cio_subscription_preferences.topics.topic_1":true}`, `{"cio_subscription_preferences.topics.topic_1":false}`,
			`{"topics":{"topic_1":true}}`, false,
		},
		{"to somebody who wants none", `{"unsubscribed":true}`, `{"unsubscribed":false}`, ``, true},
		{"to somebody who removed theirs", `{"cio_subscription_preferences":null}`, `{"cio_subscription_preferences":` + out + `}`, out, false},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				p, s := ingest.By{ID: fmt.Sprint("p", i)}, ingest.By{ID: fmt.Sprint("s", i)}
				w.identify(p.ID, test.primary)
				w.identify(s.ID, test.secondary)
				w.do(w.op(ingest.Merge, ingest.MergePayload{Primary: p, Secondary: s}))
				d := w.person(p.ID)
				if got := string(d.Get("cio_subscription_preferences")); got != test.preferences || d.Unsubscribed != test.unsubscribed {
					t.Errorf("preferences %s, unsubscribed %v, want %s, %v", got, d.Unsubscribed, test.preferences, test.unsubscribed)
				}
			})
		}
	})
}

// TestPreferences holds that topics are written one by one, in any order of their times, that the history shows the whole, and
// that what cannot be written is told.
func TestPreferences(t *testing.T) {
	t.Parallel()
	const topic = `"cio_subscription_preferences.topics.topic_`
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.identify("ada", `{`+topic+`1":true,`+topic+`2":"false"}`)
		w.do(w.op(ingest.Identify, ingest.IdentifyPayload{
			By: ingest.By{ID: "ada"}, Timestamp: w.clock().Unix() - 60, Attributes: parse(t, `{`+topic+`3":false,`+topic+`1":false}`),
		}))
		w.identify("ada", `{`+topic+`4":"perhaps","cio_subscription_preferences.languages":"en"}`)
		const want = `{"topics":{"topic_1":true,"topic_2":false,"topic_3":false}}`
		if got := string(w.person("ada").Get(person.Preferences)); got != want {
			t.Errorf("preferences %s, want %s", got, want)
		}
		history, _, err := db.Timeline(t.Context(), w.ws, app.ActivityQuery{From: w.person("ada").LastActivity, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range slices.Backward(history) {
			got = append(got, a.Type.String()+" "+string(a.Data.Get(person.Preferences).Get("to"))+a.Data.Get("reason").Text())
		}
		first, second := want[:strings.Index(want, `,"topic_3`)]+"}}", want
		if diff := cmp.Diff([]string{
			"profile_create " + first,
			"failed_attribute_change attribute cio_subscription_preferences.topics.topic_1 was set later by another write",
			"attribute_change " + second,
			"failed_attribute_change attribute cio_subscription_preferences.topics.topic_4 must be true or false",
			"failed_attribute_change attribute cio_subscription_preferences.languages is not one of the members that are set alone, " +
				"as cio_subscription_preferences.topics.topic_1 is",
		}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// TestChainOfMerges holds that merges which pass one identifier on from person to person ask the database no more often than
// a few of them, and lose nothing.
func TestChainOfMerges(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.eng.Stop()
		c := &tally{DB: db, calls: map[string]int{}}
		w.store = c
		w.start()
		chain := func(n int) map[string]int {
			email := func(i int) string { return fmt.Sprintf("e%d-%d@example.com", n, i) }
			var people, merges []ingest.Op
			for i := range n + 1 {
				people = append(people, w.op(ingest.Event, ingest.EventPayload{By: ingest.By{Email: email(i)}, Type: uint8(event.Track), Name: fmt.Sprint("e", i)}))
			}
			passed := ingest.By{ID: fmt.Sprint("passed", n)}
			people = append(people, w.op(ingest.Identify, ingest.IdentifyPayload{By: passed, Attributes: parse(t, `{"email":"`+email(0)+`"}`)}))
			for i := range n {
				merges = append(merges, w.op(ingest.Merge, ingest.MergePayload{Primary: ingest.By{Email: email(i + 1)}, Secondary: passed}))
			}
			w.do(people...)
			c.reset()
			w.do(merges...)
			calls := c.reset()
			d := w.person(passed.ID)
			if d == nil || d.Email != email(n) {
				t.Fatalf("%d merges end in %+v", n, d)
			}
			history, _, err := db.Timeline(t.Context(), w.ws, app.ActivityQuery{From: d.LastActivity, Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			events := slices.DeleteFunc(history, func(a event.Activity) bool { return a.Type != event.Track })
			if len(events) != n+1 {
				t.Errorf("%d events are in the history, want %d", len(events), n+1)
			}
			return calls
		}
		if diff := cmp.Diff(chain(3), chain(60)); diff != "" {
			t.Errorf("calls of a chain of few merges and of a long one (-few +long):\n%s", diff)
		}
	})
}

// TestMergedRemovals holds that what was removed of a merged person stays removed: an older write does not bring it back.
func TestMergedRemovals(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		p, s, now := ingest.By{ID: "p"}, ingest.By{ID: "s"}, epoch.Unix()
		set := func(by ingest.By, attributes string, at int64) ingest.Op {
			return w.op(ingest.Identify, ingest.IdentifyPayload{By: by, Attributes: parse(t, attributes), Timestamp: at})
		}
		w.do(
			set(p, `{"kept":1}`, now-50), set(s, `{"a":1,"b":1,"kept":2}`, now-100), set(s, `{"a":null,"b":null,"kept":null}`, now-10),
			w.op(ingest.Merge, ingest.MergePayload{Primary: p, Secondary: s}),
			set(p, `{"a":2}`, now-20), set(p, `{"b":2,"kept":3}`, now-5),
		)
		d := w.person("p")
		if a, b, kept := d.Get("a"), string(d.Get("b")), string(d.Get("kept")); a != nil || b != "2" || kept != "3" {
			t.Errorf("a is %s, b is %s, kept is %s; want none, 2 and 3", a, b, kept)
		}
	})
}

// TestLargeHistories holds that merges and anonymous ids whose events are too much for one transaction are spread over several
// and lose nothing, and that of one which is too much by itself the newest events come along.
func TestLargeHistories(t *testing.T) {
	t.Parallel()
	data := parse(t, `{"text":"`+strings.Repeat("x", 1000)+`"}`)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.eng.Stop()
		w.histories = 4000 // three events, or those of one person
		w.start()
		const n = 8
		who := func(kind string, i int) string { return fmt.Sprint(kind, i) }
		var events, joins []ingest.Op
		for i := range n {
			for e := range 2 {
				at := ingest.EventPayload{Type: uint8(event.Track), Name: fmt.Sprint("e", e), Data: data}
				at.By = ingest.By{ID: who("secondary", i)}
				events = append(events, w.op(ingest.Event, at))
				at.By, at.Anonymous = ingest.By{}, who("visitor", i)
				events = append(events, w.op(ingest.Event, at))
			}
			merge := ingest.MergePayload{Primary: ingest.By{ID: who("primary", i)}, Secondary: ingest.By{ID: who("secondary", i)}}
			events = append(events, w.op(ingest.Identify, ingest.IdentifyPayload{By: merge.Primary}))
			visitor := parse(t, `{"anonymous_id":"`+who("visitor", i)+`"}`)
			joins = append(joins, w.op(ingest.Merge, merge), w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: who("known", i)}, Attributes: visitor}))
		}
		w.do(events...)
		w.do(joins...)
		for i := range n {
			for _, kind := range []string{"primary", "known"} {
				if got := w.events(who(kind, i)); !slices.Equal(got, []string{"e1", "e0"}) {
					t.Errorf("%s %d has events %q, want two", kind, i, got)
				}
			}
		}
		for e := range 5 {
			w.do(w.op(ingest.Event, ingest.EventPayload{By: ingest.By{ID: "much"}, Type: uint8(event.Track), Name: fmt.Sprint("m", e), Data: data}))
		}
		w.identify("more", `{}`)
		w.do(w.op(ingest.Merge, ingest.MergePayload{Primary: ingest.By{ID: "more"}, Secondary: ingest.By{ID: "much"}}))
		if got := w.events("more"); !slices.Equal(got, []string{"m4", "m3", "m2"}) {
			t.Errorf("of the large history %q came along, want the newest three", got)
		}
	})
}

// events names the person's events, newest first.
func (w *world) events(by string) (names []string) {
	w.t.Helper()
	history, _, err := w.db.Timeline(w.t.Context(), w.ws, app.ActivityQuery{From: w.person(by).LastActivity, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range history {
		if a.Type == event.Track {
			names = append(names, a.Name)
		}
	}
	return names
}
