package store_test

import (
	"fmt"
	"testing"

	"rapport.example/internal/delivery"
	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/journey"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/timer"
	"rapport.example/internal/value"
)

// typical is a document as a workspace with 20 segments and 5 campaigns makes it, about 1 kB.
func typical(n uint32) *person.Document {
	d := doc(1, n)
	d.ID = fmt.Sprintf("user-%d", n)
	for i := range 12 {
		d.Attributes = append(d.Attributes, person.Attribute{Name: fmt.Sprintf("attribute_%d", i), Value: value.Quote(fmt.Sprintf("value %d of %d", i, n)), At: 1_700_000_000})
	}
	for i := range 8 {
		d.Segments = append(d.Segments, person.Membership{Segment: int64(i), Since: 1_700_000_000_000})
		d.Facts = append(d.Facts, person.Fact{Key: uint64(i) << 50, First: 1_700_000_000_000, Count: 9, Newest: []int64{1_700_000_000_000, 1_699_000_000_000, 1_698_000_000_000}})
		d.Named = append(d.Named, person.Named{Name: fmt.Sprintf("\x01event_%d", i), Seq: int64(n) * 10})
	}
	return d
}

// frame is one frame's work: load people by key with their journeys, then write them with an activity each, and every
// fifth with a decision, a timer and a journey, every tenth with a delivery.
type frame struct {
	people int // in the frame
	all    int // in the database
	seq    int64
}

func (f *frame) apply(tb testing.TB, db *store.DB, l engine.Lease, n int) {
	tb.Helper()
	ctx := tb.Context()
	keys := make([]person.Key, f.people)
	for i := range keys {
		who := (n*f.people+i*7919)%f.all + 1
		keys[i] = person.Key{Workspace: 1, Type: person.ByEmail, Value: fmt.Sprintf("p%d@example.com", who)}
	}
	err := db.Transact(ctx, l, func(tx engine.Tx) error {
		found, err := tx.Resolve(ctx, keys)
		if err != nil {
			return err
		}
		refs := make([]person.Ref, 0, len(found))
		for _, who := range found {
			refs = append(refs, person.Ref{Workspace: 1, Ordinal: who})
		}
		docs, err := tx.People(ctx, refs)
		if err != nil {
			return err
		}
		if _, err := tx.Journeys(ctx, refs); err != nil {
			return err
		}
		if err := tx.Advance(ctx, uint64(n), uint64(n)+1, "s"); err != nil {
			return err
		}
		return tx.Write(ctx, f.changes(docs))
	})
	if err != nil {
		tb.Fatal(err)
	}
}

func (f *frame) changes(docs []*person.Document) *engine.Changes {
	c := &engine.Changes{PutPeople: docs, Counters: []engine.Counter{{Workspace: 1, Name: "activities", Last: f.seq}}}
	data := value.Value(`{"plan":"pro","amount":12.50,"items":[{"sku":"A-1","n":2},{"sku":"B-2","n":1}],"source":"web","ok":true}`)
	for i, d := range docs {
		f.seq++
		c.Activities = append(c.Activities, event.Activity{Workspace: 1, Seq: f.seq, Person: d.Ordinal, Type: event.Track, Name: "order_placed", At: f.seq, Received: f.seq, Data: data, Prev: d.LastActivity})
		d.LastActivity = f.seq
		if i%5 == 0 {
			c.Decisions = append(c.Decisions, engine.Decision{Workspace: 1, Seq: f.seq, Person: d.Ordinal, Kind: "segment", Subject: "active", Outcome: "entered", Reason: "performed order_placed at least 3 times", Prev: d.LastDecision})
			c.PutTimers = append(c.PutTimers, timer.Timer{Workspace: 1, Person: d.Ordinal, Kind: timer.Segment, Due: f.seq})
			c.PutJourneys = append(c.PutJourneys, journey.Journey{Workspace: 1, ID: int64(d.Ordinal), Person: d.Ordinal, Campaign: 1, Version: 1, Status: journey.Waiting, Node: "wait", Event: data})
		}
		if i%10 == 0 {
			c.NewDeliveries = append(c.NewDeliveries, delivery.Delivery{Workspace: 1, ID: f.seq, Public: fmt.Sprint(f.seq), Person: d.Ordinal, Campaign: 1, Journey: f.seq, Action: "welcome", Visit: 1, State: delivery.Queued, Due: f.seq, Data: data})
		}
	}
	return c
}

func BenchmarkTransact(b *testing.B) {
	const all = 20_000
	for _, backend := range storetest.Backends() {
		for _, n := range []int{1, 50, 500} {
			b.Run(fmt.Sprintf("backend=%s/people=%d", backend, n), func(b *testing.B) {
				db := storetest.Open(b, storetest.Options(b, backend))
				l := lease(b, db)
				var c engine.Changes
				for i := uint32(1); i <= all; i++ {
					d := typical(i)
					c.PutPeople = append(c.PutPeople, d)
					c.PutKeys = append(c.PutKeys, engine.KeyRow{Key: person.Key{Workspace: 1, Type: person.ByEmail, Value: d.Email}, Person: i})
				}
				write(b, db, l, &c)
				f, i := frame{people: n, all: all}, 0
				b.ReportAllocs()
				for b.Loop() {
					f.apply(b, db, l, i)
					i++
				}
				b.ReportMetric(float64(i*n)/b.Elapsed().Seconds(), "people/s")
			})
		}
	}
}
