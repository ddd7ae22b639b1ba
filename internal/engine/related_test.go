package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/ingest"
	"rapport.example/internal/object"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// objectsFile is a workspace file with segments of objects of type 1, and a campaign for those who enter one of them.
const objectsFile = `schema: 1
workspace: objects
segments:
  - {id: teams, conditions: {object: 1, where: {property: plan, is: team}}}
  - {id: admins, conditions: {object: 1, relationship: {property: role, is: admin}}}
  - {id: alone, conditions: {object: 1, related: false}}
  - {id: due, conditions: {object: 1, where: {property: renews, before: in 1h}}}
campaigns:
  - {id: welcome, name: Welcome, state: running, trigger: {enters_segment: teams}, frequency: every_time, workflow: [{id: wait, delay: 30d}]}
`

// company is an op on an object of type 1: what it has from now on, and whom it is related to.
func (w *world) company(id, attributes, relationship string, people ...string) ingest.Op {
	w.t.Helper()
	pl := ingest.ObjectPayload{Object: object.Key{Type: 1, ID: id}, Attributes: parse(w.t, attributes)}
	for _, who := range people {
		pl.Relations = append(pl.Relations, ingest.Relation{By: ingest.By{ID: who}, Attributes: parse(w.t, relationship)})
	}
	return w.op(ingest.Object, pl)
}

// TestObjectSegments holds that segments of objects follow whatever changes an object or who is related to it: of people in hand at
// once, of all others within the step if they are few, and else one after the other.
func TestObjectSegments(t *testing.T) {
	t.Parallel()
	for _, chunk := range []int{0, 1} {
		t.Run(fmt.Sprintf("chunk=%d", chunk), func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				objectSegments(t, newWorld(t, db, func(w *world) { w.chunk = chunk }))
			})
		})
	}
}

func objectSegments(t *testing.T, w *world) {
	t.Helper()
	w.apply(objectsFile)
	want := func(what string, segments map[string][]string) {
		t.Helper()
		w.quiet(what)
		for slug, people := range segments {
			if diff := cmp.Diff(people, w.in(slug)); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", what, slug, diff)
			}
		}
	}
	acme := object.Key{Type: 1, ID: "acme"}
	for _, id := range []string{"a", "b", "c", "d"} {
		w.identify(id, "")
	}
	want("nobody is related", map[string][]string{"alone": {"a", "b", "c", "d"}, "teams": nil})
	w.do(w.company("acme", `{"plan":"free"}`, `{"role":"admin"}`, "a"), w.company("acme", "", "", "b", "c", "e"))
	want("related", map[string][]string{"alone": {"d"}, "teams": nil, "admins": {"a"}})
	w.do(w.company("acme", `{"plan":"team"}`, ""))
	want("the object has changed", map[string][]string{"teams": {"a", "b", "c", "e"}})
	w.do(w.company("acme", `{"name":"Acme","plan":"team"}`, ""), w.op(ingest.Unrelate, ingest.RelatePayload{By: ingest.By{ID: "c"}, Relations: []ingest.Relation{{Object: acme}}}))
	want("one has left", map[string][]string{"teams": {"a", "b", "e"}, "alone": {"c", "d"}})
	w.do(w.company("acme", `{"renews":`+fmt.Sprint(epoch.Add(10*time.Hour).Unix())+`}`, ""))
	w.advance(8 * time.Hour)
	want("two hours before a moment of the object", map[string][]string{"due": nil})
	w.advance(2 * time.Hour)
	want("at that moment", map[string][]string{"due": {"a", "b", "e"}})
	w.do(w.op(ingest.Merge, ingest.MergePayload{Primary: ingest.By{ID: "d"}, Secondary: ingest.By{ID: "a"}}))
	want("merged", map[string][]string{"teams": {"b", "d", "e"}, "admins": {"d"}, "alone": {"c"}})
	w.do(w.company("acme", `{"plan":""}`, ""), w.event("b", "seen"), w.company("acme", `{"plan":"team"}`, ""), w.company("acme", `{"plan":"free"}`, ""))
	want("changed back and forth", map[string][]string{"teams": nil})
	for id, times := range map[string]int{"b": 2, "e": 1, "c": 1} { // b was in hand between
		if got := w.begun(id)["welcome"]; got != times {
			t.Errorf("%s has begun the campaign %d times, want %d", id, got, times)
		}
	}
	w.do(w.op(ingest.DeleteObject, ingest.ObjectPayload{Object: acme}))
	want("the object is gone", map[string][]string{"admins": nil, "due": nil, "alone": {"b", "c", "d", "e"}})
	w.do(w.company("acme", `{"plan":"team"}`, ""), w.op(ingest.Relate, ingest.RelatePayload{
		By: ingest.By{ID: "new"}, Relations: []ingest.Relation{{Object: acme}, {Object: object.Key{Type: 2, ID: "acme"}}},
	}))
	want("another of the same id", map[string][]string{"teams": {"new"}, "alone": {"b", "c", "d", "e"}})
	w.do(w.op(ingest.Object, ingest.ObjectPayload{Object: acme, Relations: []ingest.Relation{{Anonymous: "visitor", Attributes: parse(t, `{"role":"admin"}`)}}}))
	w.identify("c", `{"anonymous_id":"visitor"}`)
	want("a visitor has become a person", map[string][]string{"teams": {"c", "new"}, "admins": {"c"}, "alone": {"b", "d", "e"}})
	w.sameAsScan("in the end")
}

// TestObjectsSurviveCrashes kills the process at every transaction of what an object's change and another's deletion set off, before it
// and after its commit: after the restart everybody is looked at, and nobody has begun a campaign twice.
func TestObjectsSurviveCrashes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, func(w *world) { w.chunk = 1 })
		for n, done := 0, false; !done; n++ {
			for _, committed := range []bool{false, true} {
				if w.objectsCrash(n, committed) {
					done = true
				}
			}
			if n > 50 {
				t.Fatal("it does not end")
			}
		}
	})
}

// objectsCrash crashes at the n-th transaction, and reports whether it was over before.
func (w *world) objectsCrash(n int, committed bool) (over bool) {
	w.t.Helper()
	ws, err := w.db.CreateWorkspace(w.t.Context(), "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	w.ws = ws.ID
	w.apply(objectsFile)
	people := []string{"a", "b", "c"}
	w.do(w.company("acme", "", "", people...), w.company("globex", "", "", "x", "y"))
	w.eng.Stop()
	c := &dying{DB: w.db, left: -1}
	w.store = c
	w.start()
	w.do(w.event("x", "seen"))
	c.crashAt(n, committed)
	w.log.append(w.company("acme", `{"plan":"team"}`, ""))
	last := w.log.append(w.op(ingest.DeleteObject, ingest.ObjectPayload{Object: object.Key{Type: 1, ID: "globex"}}), w.event("b", "seen"))
	w.eventually("a crash, or the end", func() bool {
		at, ok := w.eng.Applied(0)
		return c.crashed() || ok && at >= last && w.settled()
	})
	over = !c.crashed()
	w.eng.Stop()
	w.store = w.db
	w.start()
	w.wait(last)
	w.quiet("what the restart goes on with")
	where := fmt.Sprintf("crash at transaction %d, committed %v", n, committed)
	for slug, want := range map[string][]string{"teams": people, "alone": {"x", "y"}} {
		if diff := cmp.Diff(want, w.in(slug)); diff != "" {
			w.t.Errorf("%s: %s (-want +got):\n%s", where, slug, diff)
		}
	}
	for _, id := range people {
		if got := w.begun(id)["welcome"]; got != 1 {
			w.t.Errorf("%s: %s has begun the campaign %d times", where, id, got)
		}
	}
	w.sameAsScan(where)
	return over
}
