package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/delivery"
	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/journey"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// tally counts what the transactions that apply frames ask of the database; claims and sweeps have transactions of their own.
// Each call is a fixed number of statements, see package store.
type tally struct {
	*store.DB
	mu    sync.Mutex
	calls map[string]int
}

// Transact is part of engine.Store.
func (c *tally) Transact(ctx context.Context, lease engine.Lease, fn func(engine.Tx) error) error {
	mine := map[string]int{}
	err := c.DB.Transact(ctx, lease, func(tx engine.Tx) error { return fn(talliedTx{tx, mine}) })
	c.mu.Lock()
	defer c.mu.Unlock()
	if mine["Advance"] > 0 {
		for name, n := range mine {
			c.calls[name] += n
		}
	}
	return err
}

// reset returns the counts so far, and begins anew.
func (c *tally) reset() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.calls
	c.calls = map[string]int{}
	return out
}

type talliedTx struct {
	engine.Tx
	calls map[string]int
}

func (t talliedTx) Advance(ctx context.Context, from, to uint64, stream string) error {
	t.calls["Advance"]++
	return t.Tx.Advance(ctx, from, to, stream)
}

func (t talliedTx) Savepoint(ctx context.Context, fn func() error) error {
	t.calls["Savepoint"]++
	return t.Tx.Savepoint(ctx, fn)
}

func (t talliedTx) Write(ctx context.Context, c *engine.Changes) error {
	t.calls["Write"]++
	return t.Tx.Write(ctx, c)
}

func (t talliedTx) Resolve(ctx context.Context, keys []person.Key) (map[person.Key]uint32, error) {
	t.calls["Resolve"]++
	return t.Tx.Resolve(ctx, keys)
}

func (t talliedTx) People(ctx context.Context, refs []person.Ref) ([]*person.Document, error) {
	t.calls["People"]++
	return t.Tx.People(ctx, refs)
}

func (t talliedTx) Journeys(ctx context.Context, refs []person.Ref) ([]journey.Journey, error) {
	t.calls["Journeys"]++
	return t.Tx.Journeys(ctx, refs)
}

func (t talliedTx) History(ctx context.Context, workspace int64, heads []int64) ([]event.Activity, error) {
	t.calls["History"]++
	return t.Tx.History(ctx, workspace, heads)
}

func (t talliedTx) Past(ctx context.Context, heads []engine.Head, bytes int64) ([]event.Activity, int, error) {
	t.calls["Past"]++
	return t.Tx.Past(ctx, heads, bytes)
}

func (t talliedTx) Anonymous(ctx context.Context, refs []engine.AnonymousRef, bytes int64) ([]event.Activity, int, error) {
	t.calls["Anonymous"]++
	return t.Tx.Anonymous(ctx, refs, bytes)
}

func (t talliedTx) Deliveries(ctx context.Context, refs []engine.DeliveryRef) ([]delivery.Delivery, error) {
	t.calls["Deliveries"]++
	return t.Tx.Deliveries(ctx, refs)
}

func (t talliedTx) PublicDeliveries(ctx context.Context, keys []engine.DeliveryKey) ([]delivery.Delivery, error) {
	t.calls["PublicDeliveries"]++
	return t.Tx.PublicDeliveries(ctx, keys)
}

func (t talliedTx) Suppressed(ctx context.Context, workspace int64, hashes [][]byte) (map[string]bool, error) {
	t.calls["Suppressed"]++
	return t.Tx.Suppressed(ctx, workspace, hashes)
}

func (t talliedTx) EventIDs(ctx context.Context, ids []engine.EventID) ([]engine.EventID, error) {
	t.calls["EventIDs"]++
	return t.Tx.EventIDs(ctx, ids)
}

func (t talliedTx) Requests(ctx context.Context, keys []engine.RequestKey) ([]engine.Request, error) {
	t.calls["Requests"]++
	return t.Tx.Requests(ctx, keys)
}

func (t talliedTx) Objects(ctx context.Context, keys []engine.ObjectKey) ([]object.Object, error) {
	t.calls["Objects"]++
	return t.Tx.Objects(ctx, keys)
}

func (t talliedTx) Relationships(ctx context.Context, people []person.Ref) ([]object.Relationship, error) {
	t.calls["Relationships"]++
	return t.Tx.Relationships(ctx, people)
}

func (t talliedTx) NumberedObjects(ctx context.Context, refs []engine.TypedRef) ([]object.Object, error) {
	t.calls["NumberedObjects"]++
	return t.Tx.NumberedObjects(ctx, refs)
}

func (t talliedTx) PeopleOfObjects(ctx context.Context, refs []engine.ObjectRef, each func(person.Ref)) error {
	t.calls["PeopleOfObjects"]++
	return t.Tx.PeopleOfObjects(ctx, refs, each)
}

func (t talliedTx) Visits(ctx context.Context, anonymous []person.Key) ([]engine.Visit, error) {
	t.calls["Visits"]++
	return t.Tx.Visits(ctx, anonymous)
}

func (t talliedTx) Forms(ctx context.Context, refs []engine.FormRef) ([]engine.Form, error) {
	t.calls["Forms"]++
	return t.Tx.Forms(ctx, refs)
}

func (t talliedTx) Pieces(ctx context.Context, keys []engine.PieceKey) (map[engine.PieceKey][]byte, error) {
	t.calls["Pieces"]++
	return t.Tx.Pieces(ctx, keys)
}

// TestCallsOfAFrame guards that a frame of many ops asks the database no more often than one of few: whatever the ops, and
// whether the people are known or not; also where segments ask for objects.
func TestCallsOfAFrame(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]string{"example": "", "objects": objectsFile} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) { callsOfFrames(t, db, more) })
		})
	}
}

func callsOfFrames(t *testing.T, db *store.DB, more string) {
	t.Helper()
	w := newWorld(t, db)
	w.apply(example(t))
	if more != "" {
		w.apply(more)
	}
	w.identify("0", "")
	w.do(w.op(ingest.Suppress, ingest.PersonPayload{By: ingest.By{ID: "0"}}))
	w.eng.Stop()
	c := &tally{DB: db, calls: map[string]int{}}
	w.store = c
	w.start()
	w.track("ready", "ready", "")
	w.do(w.company("ready", "", "", "ready", "other"))
	w.do(w.company("ready", `{"plan":"team"}`, "")) // bitmaps are in hand

	calls := func(n int, again bool) map[string]int {
		ops := w.frame(n, again)
		for i := range n { // of objects whose people are not in hand
			id := fmt.Sprint(n, "far", i)
			if !again {
				w.do(w.company(id, "", "", fmt.Sprint(n, "x", i), fmt.Sprint(n, "y", i)))
			}
			ops = append(ops, w.company(id, fmt.Sprintf(`{"plan":"team","n":%v}`, again), ""))
		}
		c.reset()
		w.do(ops...)
		return c.reset()
	}
	for _, again := range []bool{false, true} {
		few, many := calls(2, again), calls(80, again)
		if diff := cmp.Diff(few, many); diff != "" {
			t.Errorf("known people: %v: calls of a frame of few ops and of many (-few +many):\n%s", again, diff)
		}
	}
}

// frame is ops of all kinds about n people. With again they are those of an earlier frame.
func (w *world) frame(n int, again bool) (ops []ingest.Op) {
	w.t.Helper()
	add := func(kind ingest.Kind, payload any) { ops = append(ops, w.op(kind, payload)) }
	add(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: "ready"}}) // somebody is known in any case
	for i := range n {
		who := func(role string) ingest.By { return ingest.By{ID: fmt.Sprint(n, role, i)} }
		anonymous := fmt.Sprint("visitor", n, again, i)
		add(ingest.Identify, ingest.IdentifyPayload{By: who("a"), Attributes: parse(w.t, `{"plan":"team","email":"`+who("a").ID+`@example.com"}`)})
		add(ingest.Event, ingest.EventPayload{Anonymous: anonymous, Type: 1, Name: "looked"})
		add(ingest.Identify, ingest.IdentifyPayload{By: who("a"), Attributes: parse(w.t, `{"anonymous_id":"`+anonymous+`"}`)})
		add(ingest.Event, ingest.EventPayload{By: who("a"), Type: 1, Name: "purchase", ID: id.New(w.clock())})
		add(ingest.Event, ingest.EventPayload{By: who("b"), Type: 1, Name: "signed_up", Data: parse(w.t, `{"plan":"pro"}`)})
		add(ingest.AddDevice, ingest.DevicePayload{By: who("b"), Token: fmt.Sprint(n, "t", i), Platform: "ios"})
		add(ingest.SegmentAdd, ingest.SegmentPayload{Segment: 2, People: []ingest.By{who("a"), who("b")}})
		add(ingest.Form, ingest.FormPayload{Form: fmt.Sprint("form", i), By: who("c"), Fields: parse(w.t, `{"id":"`+who("c").ID+`"}`)})
		here, gone := object.Key{Type: 1, ID: fmt.Sprint(n, "o", i)}, object.Key{Type: 2, ID: fmt.Sprint(n, "p", i)}
		theirs := []ingest.Relation{{By: who("a")}, {By: who("c")}, {Anonymous: fmt.Sprint(anonymous, "o")}}
		add(ingest.Object, ingest.ObjectPayload{Object: here, Attributes: parse(w.t, `{"name":"Acme"}`), Relations: theirs})
		add(ingest.Object, ingest.ObjectPayload{Object: gone, Relations: theirs})
		add(ingest.Relate, ingest.RelatePayload{By: who("e"), Relations: []ingest.Relation{{Object: here}, {Object: gone}}})
		add(ingest.Unrelate, ingest.RelatePayload{Object: here, Relations: []ingest.Relation{{By: who("e")}}})
		add(ingest.Identify, ingest.IdentifyPayload{By: who("a"), Attributes: parse(w.t, `{"anonymous_id":"`+anonymous+`o"}`)})
		add(ingest.DeleteObject, ingest.ObjectPayload{Object: gone})
		add(ingest.Merge, ingest.MergePayload{Primary: who("a"), Secondary: who("c")})
		if again {
			add(ingest.Merge, ingest.MergePayload{Primary: who("a"), Secondary: who("e")})
		} else {
			add(ingest.Event, ingest.EventPayload{By: who("e"), Type: 1, Name: "looked"})
		}
		add(ingest.Metric, ingest.MetricPayload{Public: fmt.Sprint("nobody's", i), Metric: "opened"})
		add(ingest.Metric, ingest.MetricPayload{Delivery: int64(i + 1), Metric: "opened"})
		add(ingest.Suppress, ingest.PersonPayload{By: who("d")})
		add(ingest.Unsuppress, ingest.PersonPayload{By: who("d")})
		add(ingest.Delete, ingest.PersonPayload{By: who("b")})
	}
	return ops
}
