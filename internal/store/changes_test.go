package store_test

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rapport.example/internal/definition"
	"rapport.example/internal/delivery"
	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/journey"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/timer"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

func doc(ws int64, n uint32) *person.Document {
	return &person.Document{
		Ref: person.Ref{Workspace: ws, Ordinal: n}, CIO: fmt.Sprintf("cio%d", n), Email: fmt.Sprintf("p%d@example.com", n),
		Attributes: []person.Attribute{{Name: "n", Value: value.Int(int64(n)), At: 5}}, Created: 7,
	}
}

func fullDelivery(id int64) delivery.Delivery {
	return delivery.Delivery{
		Workspace: 1, ID: id, Public: fmt.Sprintf("pub%d", id), Person: 4, Campaign: 5, Journey: 6 + id, Action: "welcome", ActionID: 7, Visit: 8,
		Transactional: 9, Version: 10, State: delivery.Queued, Epoch: 11, Due: 12, Lease: 13, Attempts: 14, Created: 15,
		Recipient: "a@example.com", Subject: "Hi\x00 \xff", Reason: "r", Metrics: value.Value(`{"created":1}`), Data: value.Value(`{"event":"\u0000"}`),
	}
}

// same compares what was read, in any order.
func same[T any](t *testing.T, what string, want, got []T, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	byText := cmpopts.SortSlices(func(a, b T) bool { return fmt.Sprintf("%+v", a) < fmt.Sprintf("%+v", b) })
	if diff := gocmp.Diff(want, got, byText, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestChangesRoundTrip writes each field of Changes with every column set to a value of its own and reads it back.
func TestChangesRoundTrip(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, ctx := lease(t, db), t.Context()
		w, err := db.CreateWorkspace(ctx, "", -1)
		if err != nil {
			t.Fatal(err)
		}
		w.Name, w.Clock, w.Gen, w.Sweep, w.SweepEnd = "Acme", 1, 2, 3, 4
		people := []*person.Document{doc(1, 2), doc(1, 1), doc(2, 1)}
		keys := []engine.KeyRow{
			{Key: person.Key{Workspace: 1, Type: person.ByEmail, Value: "a@example.com"}, Person: 1},
			{Key: person.Key{Workspace: 1, Type: person.ByID, Value: "a@example.com"}, Person: 2},
			{Key: person.Key{Workspace: 2, Type: person.ByID, Value: "ü'\"\\"}, Person: 1},
		}
		activities := []event.Activity{
			{Workspace: 1, Seq: 1, Person: 2, Type: event.Track, Name: "a", At: 3, Received: 4, ID: "u", Anonymous: "an", Data: value.Value(`{"x":1e400000}`), Prev: 0, PrevNamed: 0},
			{Workspace: 1, Seq: 2, Person: 2, Type: event.Track, Name: "a", At: 1, Received: 5, Prev: 1, PrevNamed: 1},
			{Workspace: 1, Seq: 3, Person: 2, Type: event.Page, Name: "a", Prev: 2, PrevNamed: 0},
			{Workspace: 1, Seq: 4, Person: 2, Type: event.Track, Name: "a", Prev: 3, PrevNamed: 2},
		}
		decisions := []engine.Decision{{Workspace: 1, Seq: 1, Person: 2, At: 3, Kind: "step", Subject: "s", Version: 4, Outcome: "sent", Reason: "r", Detail: value.Value(`[1]`), Campaign: 5, Prev: 0}}
		journeys := []journey.Journey{
			{Workspace: 1, ID: 5, Person: 2, Campaign: 3, Version: 4, Status: journey.Waiting, Node: "n", Due: 5, Entered: 6, Visits: []journey.Visit{{Node: "n", Times: 2}}, Event: value.Value(`{"name":"x"}`)},
			{Workspace: 1, ID: 6, Person: 2, Campaign: 3, Version: 4, Status: journey.Retrying},
		}
		timers := []timer.Timer{{Workspace: 1, Person: 2, Kind: timer.Journey, Ref: 5, Due: 50}, {Workspace: 1, Person: 2, Kind: timer.Segment, Due: 50}, {Workspace: 1, Person: 1, Kind: timer.Segment, Due: 60}}
		deliveries := []delivery.Delivery{fullDelivery(1), fullDelivery(2)}
		pieces := []engine.Piece{{PieceKey: engine.PieceKey{Workspace: 1, Segment: 2, Piece: 3}, Count: 1, Bits: []byte{1, 0}}, {PieceKey: engine.PieceKey{Workspace: 1, Segment: 2, Piece: 4}, Count: 2, Bits: []byte{2}}}
		hash := func(b byte) []byte { return []byte{b, 0, 0xff} }
		write(t, db, l, &engine.Changes{
			Workspaces: []workspace.Workspace{w}, Counters: []engine.Counter{{Workspace: 1, Name: "people", Last: 2}, {Workspace: 1, Name: "a", Last: 1}},
			PutKeys: keys, PutPeople: people, Activities: activities, Decisions: decisions, PutJourneys: journeys, PutTimers: timers,
			NewDeliveries: deliveries, Pieces: pieces, Suppress: []engine.Suppression{{Workspace: 1, Hash: hash(1), Created: 5}, {Workspace: 1, Hash: hash(2), Created: 6}},
		})
		for i := range deliveries {
			deliveries[i].Subject = "Hi\uFFFD \uFFFD"
		}
		within(t, db, l, func(tx engine.Tx) error {
			ws, err := tx.Workspaces(ctx)
			same(t, "workspaces", []workspace.Workspace{w}, ws, err)
			counters, err := tx.Counters(ctx, 1)
			if diff := gocmp.Diff(map[string]int64{"people": 2, "a": 1}, counters); err != nil || diff != "" {
				t.Errorf("counters %v:\n%s", err, diff)
			}
			wanted := map[person.Key]uint32{}
			ask := []person.Key{{Workspace: 1, Type: person.ByID, Value: "nobody"}, {Workspace: 1, Type: person.ByID, Value: "a\x00"}, {Workspace: 1, Type: person.ByID, Value: "\xff"}}
			for _, k := range keys {
				wanted[k.Key] = k.Person
				ask = append(ask, k.Key)
			}
			found, err := tx.Resolve(ctx, ask)
			if diff := gocmp.Diff(wanted, found); err != nil || diff != "" {
				t.Errorf("keys %v:\n%s", err, diff)
			}
			docs, err := tx.People(ctx, []person.Ref{{Workspace: 1, Ordinal: 1}, {Workspace: 2, Ordinal: 1}, {Workspace: 1, Ordinal: 2}, {Workspace: 2, Ordinal: 2}})
			same(t, "people", people, docs, err)
			docs, err = tx.PeopleFrom(ctx, 1, 0, 2, 10)
			same(t, "people from 0 to 2", []*person.Document{doc(1, 1)}, docs, err)
			docs, err = tx.PeopleFrom(ctx, 1, 1, 9, 1)
			same(t, "one person from 1", []*person.Document{doc(1, 1)}, docs, err)
			chain, err := tx.History(ctx, 1, []int64{4})
			same(t, "history", []event.Activity{activities[3], activities[1], activities[0]}, chain, err)
			if !slices.IsSortedFunc(chain, func(a, b event.Activity) int { return cmp.Compare(b.Seq, a.Seq) }) {
				t.Error("history is not newest first")
			}
			js, err := tx.Journeys(ctx, []person.Ref{{Workspace: 1, Ordinal: 2}, {Workspace: 1, Ordinal: 1}})
			same(t, "journeys", journeys, js, err)
			ts, err := tx.Timers(ctx, 1, 50, 10)
			if diff := gocmp.Diff([]timer.Timer{timers[1], timers[0]}, ts); err != nil || diff != "" {
				t.Errorf("timers %v:\n%s", err, diff)
			}
			if ts, err = tx.Timers(ctx, 1, 99, 1); err != nil || len(ts) != 1 {
				t.Errorf("one timer = %v, %v", ts, err)
			}
			if next, err := tx.NextTimer(ctx, 1); err != nil || next != 50 {
				t.Errorf("NextTimer = %d, %v, want 50", next, err)
			}
			if next, err := tx.NextTimer(ctx, 2); err != nil || next != 0 {
				t.Errorf("NextTimer of nothing = %d, %v, want 0", next, err)
			}
			ds, err := tx.Deliveries(ctx, []engine.DeliveryRef{{Workspace: 1, ID: 1}, {Workspace: 1, ID: 2}, {Workspace: 2, ID: 1}})
			same(t, "deliveries", deliveries, ds, err)
			got, err := tx.Pieces(ctx, []engine.PieceKey{pieces[0].PieceKey, pieces[1].PieceKey, {Workspace: 9}})
			if diff := gocmp.Diff(map[engine.PieceKey][]byte{pieces[0].PieceKey: {1, 0}, pieces[1].PieceKey: {2}}, got); err != nil || diff != "" {
				t.Errorf("pieces %v:\n%s", err, diff)
			}
			sup, err := tx.Suppressed(ctx, 1, [][]byte{hash(1), hash(2), hash(3)})
			if diff := gocmp.Diff(map[string]bool{string(hash(1)): true, string(hash(2)): true}, sup); err != nil || diff != "" {
				t.Errorf("suppressed %v:\n%s", err, diff)
			}
			return nil
		})
		if got := count(t, db, `decisions WHERE workspace = 1 AND seq = 1 AND person = 2 AND at = 3 AND kind = 'step' AND subject = 's' AND version = 4
			AND outcome = 'sent' AND reason = 'r' AND detail IS NOT NULL AND campaign = 5 AND prev = 0`); got != 1 {
			t.Errorf("%d decisions as written, want 1", got)
		}

		// A second transaction drops, replaces and adds.
		people[1].Email = "new@example.com"
		deliveries[0].State, deliveries[0].Recipient, deliveries[0].Data = delivery.Sent, "b@example.com", nil
		repeated := fullDelivery(3)
		repeated.Journey = deliveries[1].Journey // the same (journey, action, visit) again
		unknown := fullDelivery(77)
		journeys[1].Node = "later"
		write(t, db, l, &engine.Changes{
			Counters: []engine.Counter{{Workspace: 1, Name: "people", Last: 3}},
			DropKeys: []person.Key{keys[0].Key, keys[1].Key}, PutKeys: []engine.KeyRow{{Key: keys[1].Key, Person: 1}},
			PutPeople: people[1:2], DropJourneys: []engine.JourneyRef{{Workspace: 1, Person: 2, ID: 5}}, PutJourneys: journeys[1:],
			DropTimers: append(timers[:2:2], timer.Timer{Workspace: 1, Person: 1, Kind: timer.Segment, Due: 61}), PutTimers: []timer.Timer{timers[2], {Workspace: 1, Person: 1, Kind: timer.Segment, Due: 70}},
			NewDeliveries: []delivery.Delivery{repeated}, PutDeliveries: []delivery.Delivery{deliveries[0], unknown},
			Pieces:     []engine.Piece{{PieceKey: pieces[0].PieceKey}, {PieceKey: pieces[1].PieceKey, Count: 3, Bits: []byte{3}}},
			Unsuppress: []engine.Suppression{{Workspace: 1, Hash: hash(1)}}, Suppress: []engine.Suppression{{Workspace: 1, Hash: hash(2), Created: 9}},
		})
		within(t, db, l, func(tx engine.Tx) error {
			found, err := tx.Resolve(ctx, []person.Key{keys[0].Key, keys[1].Key})
			if diff := gocmp.Diff(map[person.Key]uint32{keys[1].Key: 1}, found); err != nil || diff != "" {
				t.Errorf("keys %v:\n%s", err, diff)
			}
			docs, err := tx.People(ctx, []person.Ref{{Workspace: 1, Ordinal: 1}})
			same(t, "person replaced", people[1:2], docs, err)
			js, err := tx.Journeys(ctx, []person.Ref{{Workspace: 1, Ordinal: 2}})
			same(t, "journeys left", journeys[1:], js, err)
			ts, err := tx.Timers(ctx, 1, 99, 10)
			same(t, "timers left", []timer.Timer{timers[2], {Workspace: 1, Person: 1, Kind: timer.Segment, Due: 70}}, ts, err)
			ds, err := tx.Deliveries(ctx, []engine.DeliveryRef{{Workspace: 1, ID: 1}, {Workspace: 1, ID: 2}, {Workspace: 1, ID: 3}, {Workspace: 1, ID: 77}})
			same(t, "deliveries", deliveries, ds, err)
			got, err := tx.Pieces(ctx, []engine.PieceKey{pieces[0].PieceKey, pieces[1].PieceKey})
			if diff := gocmp.Diff(map[engine.PieceKey][]byte{pieces[1].PieceKey: {3}}, got); err != nil || diff != "" {
				t.Errorf("pieces %v:\n%s", err, diff)
			}
			sup, err := tx.Suppressed(ctx, 1, [][]byte{hash(1), hash(2)})
			if diff := gocmp.Diff(map[string]bool{string(hash(2)): true}, sup); err != nil || diff != "" {
				t.Errorf("suppressed %v:\n%s", err, diff)
			}
			return tx.Write(ctx, &engine.Changes{})
		})
	})
}

func TestDefinitions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, ctx := lease(t, db), t.Context()
		row := func(kind string, id, version int64, current, deleted bool) definition.Row {
			return definition.Row{Workspace: 1, Kind: kind, ID: id, Version: version, Slug: "s", Body: value.Value(`{"id":"s"}`), Gen: 3, Current: current, Deleted: deleted, Created: 4, Updated: 5}
		}
		write(t, db, l, &engine.Changes{Definitions: []definition.Row{row(definition.Campaigns, 1, 1, false, false), row(definition.Segments, 1, 1, true, false), row(definition.Segments, 2, 1, true, false)}})
		// Two versions in one transaction, and a deletion.
		write(t, db, l, &engine.Changes{Definitions: []definition.Row{row(definition.Campaigns, 1, 3, true, false), row(definition.Campaigns, 1, 2, true, false), row(definition.Segments, 2, 2, true, true)}})
		within(t, db, l, func(tx engine.Tx) error {
			got, err := tx.Definitions(ctx, 1, false)
			same(t, "current", []definition.Row{row(definition.Campaigns, 1, 3, true, false), row(definition.Segments, 1, 1, true, false)}, got, err)
			got, err = tx.Definitions(ctx, 1, true)
			same(t, "with old", []definition.Row{
				row(definition.Campaigns, 1, 1, false, false), row(definition.Campaigns, 1, 2, false, false),
				row(definition.Campaigns, 1, 3, true, false), row(definition.Segments, 1, 1, true, false),
			}, got, err)
			got, err = tx.Definitions(ctx, 2, true)
			same(t, "of another workspace", nil, got, err)
			return nil
		})
	})
}

func TestDueDeliveries(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, ctx := lease(t, db), t.Context()
		var all []delivery.Delivery
		for i, d := range []delivery.Delivery{
			{State: delivery.Queued, Due: 30},
			{State: delivery.Queued, Due: 10},
			{State: delivery.Queued, Due: 50},
			{State: delivery.InFlight, Lease: 20},
			{State: delivery.InFlight, Lease: 40},
			{State: delivery.Sent, Due: 1, Lease: 1},
			{State: delivery.Queued, Due: 40},
			{State: delivery.InFlight, Lease: 39},
		} {
			d.Workspace, d.ID, d.Public = 1, int64(i+1), fmt.Sprint(i)
			all = append(all, d)
		}
		within(t, db, l, func(tx engine.Tx) error {
			if next, err := tx.NextDelivery(ctx, 1); err != nil || next != 0 {
				t.Errorf("NextDelivery of nothing = %d, %v, want 0", next, err)
			}
			return tx.Write(ctx, &engine.Changes{NewDeliveries: all})
		})
		within(t, db, l, func(tx engine.Tx) error {
			for _, tt := range []struct {
				now   int64
				limit int
				want  []int64
			}{{40, 10, []int64{2, 1, 7, 4, 8}}, {40, 1, []int64{2, 4}}, {9, 10, nil}, {39, 10, []int64{2, 1, 4}}} {
				got, err := tx.DueDeliveries(ctx, 1, tt.now, tt.limit)
				var ids []int64
				for _, d := range got {
					ids = append(ids, d.ID)
				}
				if diff := gocmp.Diff(tt.want, ids); err != nil || diff != "" {
					t.Errorf("DueDeliveries at %d: %v (-want +got):\n%s", tt.now, err, diff)
				}
			}
			if next, err := tx.NextDelivery(ctx, 1); err != nil || next != 10 {
				t.Errorf("NextDelivery = %d, %v, want 10", next, err)
			}
			return nil
		})
	})
}

// TestOnceIndex: transactional deliveries have no journey and never meet in the once-index, but in their public id.
func TestOnceIndex(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, ctx := lease(t, db), t.Context()
		d := delivery.Delivery{Workspace: 1, ID: 1, Public: "a", Action: "x", Visit: 1}
		e := d
		e.ID, e.Public = 2, "b"
		write(t, db, l, &engine.Changes{NewDeliveries: []delivery.Delivery{d, e}})
		e.ID = 3
		err := db.Transact(ctx, l, func(tx engine.Tx) error {
			return tx.Write(ctx, &engine.Changes{NewDeliveries: []delivery.Delivery{e}})
		})
		if err == nil || db.Transient(err) {
			t.Errorf("a public id twice = %v, want a lasting error", err)
		}
		// One journey step again, with the public id that it had: left as it is on both databases.
		j := delivery.Delivery{Workspace: 1, ID: 4, Public: "j", Action: "x", Visit: 1, Journey: 9, Recipient: "first"}
		write(t, db, l, &engine.Changes{NewDeliveries: []delivery.Delivery{j}})
		j.ID, j.Recipient = 5, "second"
		write(t, db, l, &engine.Changes{NewDeliveries: []delivery.Delivery{j}})
		if n := count(t, db, `deliveries WHERE journey = 9 AND id = 4 AND recipient = 'first'`); n != 1 || count(t, db, `deliveries`) != 3 {
			t.Errorf("%d deliveries as first written, %d in all, want 1 and 3", n, count(t, db, `deliveries`))
		}
	})
}

// TestLargeSets writes and reads sets of many parts, of more values than a driver allows as parameters of one statement.
func TestLargeSets(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const n = 5_000
		l, ctx := lease(t, db), t.Context()
		var c engine.Changes
		var refs []person.Ref
		var keys []person.Key
		for i := uint32(n); i >= 1; i-- {
			d := doc(1, i)
			k := person.Key{Workspace: 1, Type: person.ByEmail, Value: d.Email}
			refs, keys = append(refs, d.Ref), append(keys, k)
			c.PutPeople = append(c.PutPeople, d)
			c.PutKeys = append(c.PutKeys, engine.KeyRow{Key: k, Person: i})
			c.Activities = append(c.Activities, event.Activity{Workspace: 1, Seq: int64(i), Person: 1, Type: event.Track, Name: "x", Prev: int64(i) - 1, PrevNamed: int64(i) - 1, Data: value.Value(`{"a":1}`)})
			c.Decisions = append(c.Decisions, engine.Decision{Workspace: 1, Seq: int64(i), Person: 1, Prev: int64(i) - 1})
			c.PutJourneys = append(c.PutJourneys, journey.Journey{Workspace: 1, ID: int64(i), Person: i, Campaign: 1, Version: 1, Status: journey.Waiting})
			c.PutTimers = append(c.PutTimers, timer.Timer{Workspace: 1, Person: i, Kind: timer.Journey, Ref: int64(i), Due: int64(i % 7)})
			dl := fullDelivery(int64(i))
			dl.Person = i
			c.NewDeliveries = append(c.NewDeliveries, dl)
		}
		write(t, db, l, &c)
		write(t, db, l, &engine.Changes{PutPeople: c.PutPeople, PutKeys: c.PutKeys, PutTimers: c.PutTimers, PutJourneys: c.PutJourneys, PutDeliveries: c.NewDeliveries})
		within(t, db, l, func(tx engine.Tx) error {
			docs, err := tx.People(ctx, refs)
			if err != nil || len(docs) != n {
				t.Errorf("%d people, %v, want %d", len(docs), err, n)
			}
			found, err := tx.Resolve(ctx, keys)
			if err != nil || len(found) != n || found[keys[0]] != n {
				t.Errorf("%d keys, %v, want %d", len(found), err, n)
			}
			js, err := tx.Journeys(ctx, refs)
			if err != nil || len(js) != n {
				t.Errorf("%d journeys, %v, want %d", len(js), err, n)
			}
			chain, err := tx.History(ctx, 1, []int64{n})
			if err != nil || len(chain) != n || chain[0].Seq != n {
				t.Errorf("%d activities, %v, want %d", len(chain), err, n)
			}
			ts, err := tx.Timers(ctx, 1, 100, n)
			if err != nil || len(ts) != n || !slices.IsSortedFunc(ts, func(a, b timer.Timer) int { return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Person, b.Person)) }) {
				t.Errorf("%d timers, %v, want %d in order", len(ts), err, n)
			}
			return nil
		})
		// Everybody goes, the person with the long chains included.
		var drop engine.Changes
		for _, r := range refs {
			p := engine.DropPerson{Ref: r}
			if r.Ordinal == 1 {
				p.LastActivity, p.LastDecision = n, n
			}
			drop.DropPeople = append(drop.DropPeople, p)
		}
		drop.DropKeys, drop.DropTimers = keys, c.PutTimers
		write(t, db, l, &drop)
		for _, table := range []string{"people", "identifiers", "activities", "decisions", "journeys", "timers", "deliveries WHERE person <> 0"} {
			if left := count(t, db, table); left != 0 {
				t.Errorf("%d rows left in %s", left, table)
			}
		}
	})
}

// TestPlans runs every statement of the engine and asks SQLite how: a plan that walks a whole table would be right on the
// small tables of the other tests, and stop a partition in production.
func TestPlans(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.Options(t, storetest.SQLite))
	l, ctx, ref := lease(t, db), t.Context(), person.Ref{Workspace: 1, Ordinal: 1}
	key, piece := person.Key{Workspace: 1, Type: person.ByID, Value: "x"}, engine.PieceKey{Workspace: 1}
	tm, dl, sup := timer.Timer{Workspace: 1, Person: 1}, fullDelivery(1), engine.Suppression{Workspace: 1, Hash: []byte{1}}
	within(t, db, l, func(tx engine.Tx) error {
		err := tx.Write(ctx, &engine.Changes{
			Workspaces: []workspace.Workspace{{ID: 1}}, Counters: []engine.Counter{{Workspace: 1}}, DropKeys: []person.Key{key},
			PutKeys: []engine.KeyRow{{Key: key}}, DropPeople: []engine.DropPerson{{Ref: ref}}, PutPeople: []*person.Document{doc(1, 1)},
			Activities: []event.Activity{{Workspace: 1}}, Decisions: []engine.Decision{{Workspace: 1}},
			DropJourneys: []engine.JourneyRef{{Workspace: 1}}, PutJourneys: []journey.Journey{{Workspace: 1}}, DropTimers: []timer.Timer{tm}, TimerBlocks: []engine.TimerBlock{{Workspace: 1, ID: 1, Timers: []timer.Timer{tm}}},
			PutTimers: []timer.Timer{tm}, NewDeliveries: []delivery.Delivery{dl}, PutDeliveries: []delivery.Delivery{dl},
			Pieces: []engine.Piece{{PieceKey: piece}, {PieceKey: engine.PieceKey{Workspace: 2}, Count: 1, Bits: []byte{1}}}, Definitions: []definition.Row{{Workspace: 1}},
			Suppress: []engine.Suppression{sup}, Unsuppress: []engine.Suppression{sup}, PutForms: []engine.Form{{Workspace: 1, ID: "f"}},
			EventIDs: []engine.EventID{{Workspace: 1, Day: 7}}, Requests: []engine.Request{{Workspace: 1}},
		})
		for _, read := range []func() error{
			func() error { _, err := tx.Counters(ctx, 1); return err },
			func() error { _, err := tx.Definitions(ctx, 1, true); return err },
			func() error { _, err := tx.Resolve(ctx, []person.Key{key}); return err },
			func() error { _, err := tx.People(ctx, []person.Ref{ref}); return err },
			func() error { _, err := tx.PeopleFrom(ctx, 1, 0, 9, 9); return err },
			func() error { _, err := tx.Journeys(ctx, []person.Ref{ref}); return err },
			func() error { _, err := tx.History(ctx, 1, []int64{1}); return err },
			func() error { _, err := tx.Timers(ctx, 1, 9, 9); return err },
			func() error { _, err := tx.NextTimer(ctx, 1); return err },
			func() error { _, err := tx.Deliveries(ctx, []engine.DeliveryRef{{Workspace: 1, ID: 1}}); return err },
			func() error { _, err := tx.DueDeliveries(ctx, 1, 9, 9); return err },
			func() error { _, err := tx.NextDelivery(ctx, 1); return err },
			func() error { _, err := tx.Suppressed(ctx, 1, [][]byte{{1}}); return err },
			func() error { _, err := tx.Pieces(ctx, []engine.PieceKey{piece}); return err },
			func() error {
				_, err := tx.PublicDeliveries(ctx, []engine.DeliveryKey{{Workspace: 1, Public: "p"}})
				return err
			},
			func() error { _, _, _, err := db.FindDelivery(ctx, "p"); return err },
			func() error { _, err := tx.Forms(ctx, []engine.FormRef{{Workspace: 1, ID: "f"}}); return err },
			func() error { _, err := db.Forms(ctx, 1, "", 9); return err },
			func() error { _, err := db.Rejections(ctx, 1, 0, 9); return err },
			func() error { _, _, _, err := db.FindRequest(ctx, 1, [16]byte{1}, 0); return err },
			func() error { _, err := tx.Requests(ctx, []engine.RequestKey{{Workspace: 1}}); return err },
			func() error { _, err := tx.ExpireRequests(ctx, 1, 9, 9); return err },
			func() error { _, err := tx.ExpireArchives(ctx, 1, 9, 9); return err },
			func() error { _, err := tx.EventIDs(ctx, []engine.EventID{{Workspace: 1, Day: 7}}); return err },
		} {
			err = errors.Join(err, read())
		}
		return err
	})
	if err := db.SaveMail(ctx, store.Mail{Workspace: 1, Person: 1, Source: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	db.Archive(ctx, delivery.Archive{Workspace: 1, Delivery: 1, Doc: []byte("{}")})
	if _, err := db.ArchivedMessage(ctx, 1, 1); err != nil {
		t.Fatal(err)
	}
	plans, err := db.Plans(ctx)
	if err != nil || len(plans) < 30 {
		t.Fatalf("%d plans, %v", len(plans), err)
	}
	// What may be scanned: the set itself, a walk's queue, and tables that are small for good.
	small := regexp.MustCompile(`^SCAN (k|w|q|\d+.*|\(.*|CONSTANT ROW|rapport_rows VIRTUAL TABLE INDEX.*|migrations|meta|partitions|workspaces)( |$)`)
	for sql, lines := range plans {
		for _, line := range lines {
			if strings.HasPrefix(line, "SCAN ") && !small.MatchString(line) || strings.Contains(line, "TEMP B-TREE") && !strings.Contains(sql, "RECURSIVE") {
				t.Errorf("%s\n\t%s", sql, strings.Join(lines, "\n\t"))
			}
		}
	}
}
