package engine

import (
	"container/heap"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"runtime"
	"slices"

	"github.com/oklog/ulid/v2"

	"rapport.example/internal/delivery"
	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/journey"
	objects "rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/timer"
)

// batch is the set that one run of ops touches: loaded at once, decided in memory, written at once.
type batch struct {
	p    *partition
	real int64 // Unix ms, real time

	people     map[person.Ref]*subject
	keys       map[person.Key]uint32 // 0 = nobody has it
	puts       map[person.Key]uint32 // keys to write
	drops      map[person.Key]bool   // keys to delete, before the puts
	suppressed map[string]bool       // by keyed hash
	deliveries map[DeliveryRef]*delivery.Delivery
	publics    map[DeliveryKey]*delivery.Delivery // of those, the ones that ops name by public id
	touched    []*delivery.Delivery               // of these, the ones to write
	timers     map[timer.Timer]armed              // of each touched timer, whether it stands now
	heaps      map[*tenant]*timerHeap
	history    map[historyKey][]event.Activity
	recounted  map[person.Ref][]person.Fact    // facts that a build has counted for documents that have not changed since
	backfill   bool                            // entries are not news: they were made by new definitions
	past       map[person.Ref][]event.Activity // of those whom merges name as secondary
	nobodys    map[person.Key][]event.Activity // stored events of nobody, by anonymous id
	unread     map[person.Key]bool             // anonymous ids whose stored events were too many for this batch
	unheld     map[person.Key]int              // how many events of nobody this batch has, by anonymous id
	events     map[idKey]int64                 // when the events whose ids are known were received
	forms      map[FormRef]*Form
	changed    map[FormRef]bool // forms to write
	optouts    map[Optout]bool  // whether they are, from now on
	things
	c Changes
}

// subject is a person in hand: the document is this batch's own copy.
type subject struct {
	b        *batch
	t        *tenant
	doc      *person.Document
	stored   bool // there is a row of them
	dirty    bool
	gone     bool
	journeys []*live
}

// live is a journey in hand.
type live struct {
	journey.Journey
	stored, dirty, ended bool
}

// armed is what a batch knows of a timer.
type armed struct {
	stands bool // it is to fire, and to be in the store after this batch
	stored bool // it may have been there before
}

type historyKey struct{ workspace, head int64 }

// work is an op with its payload read and the people that it names.
type work struct {
	op   *ingest.Op
	t    *tenant
	now  int64 // receive time on the workspace's clock
	keys []person.Key
	do   func(*batch, *work) error
	refs []DeliveryRef
	form string // id of the form that is submitted

	public DeliveryKey // of a delivery that is named by its public id

	event    ulid.ULID // id of the event
	hasEvent bool      // it has one

	primary   person.Identifier // of a merge
	secondary person.Identifier // whom a merge makes part of another
	anonymous person.Key        // the anonymous id that somebody receives

	objects  []objects.Key
	related  []person.Identifier // people whose relationships change
	visitors []person.Key        // anonymous ids that are related to objects
}

func (p *partition) newBatch() *batch {
	return &batch{
		p: p, real: p.e.o.Now().UnixMilli(),
		people: map[person.Ref]*subject{}, keys: map[person.Key]uint32{}, puts: map[person.Key]uint32{}, drops: map[person.Key]bool{}, suppressed: map[string]bool{},
		deliveries: map[DeliveryRef]*delivery.Delivery{}, timers: map[timer.Timer]armed{}, heaps: map[*tenant]*timerHeap{}, history: map[historyKey][]event.Activity{},
		past: map[person.Ref][]event.Activity{}, nobodys: map[person.Key][]event.Activity{}, unread: map[person.Key]bool{}, unheld: map[person.Key]int{},
		publics: map[DeliveryKey]*delivery.Delivery{}, events: map[idKey]int64{}, forms: map[FormRef]*Form{}, changed: map[FormRef]bool{},
		optouts: map[Optout]bool{}, things: newThings(),
	}
}

// applyOps applies ops in order. When a part fails for a reason that lies in the data, it is undone and halved down to
// the one op, which becomes a rejection; the rest goes on.
func (p *partition) applyOps(ctx context.Context, tx Tx, ops []*ingest.Op) error {
	err := tx.Savepoint(ctx, func() error {
		return guard(func() error { return p.runOps(ctx, tx, ops) })
	})
	if err == nil {
		return nil
	}
	if p.e.o.Store.Transient(err) || ctx.Err() != nil || fault.Is(err, fault.Unsupported) {
		return err
	}
	if err := p.reload(ctx, tx); err != nil {
		return err
	}
	if len(ops) == 1 {
		return p.reject(ctx, tx, ops[0], err)
	}
	half := len(ops) / 2
	if err := p.applyOps(ctx, tx, ops[:half]); err != nil {
		return err
	}
	return p.applyOps(ctx, tx, ops[half:])
}

// reject leaves a trace of an op that could not be applied.
func (p *partition) reject(ctx context.Context, tx Tx, op *ingest.Op, cause error) error {
	p.log.Error("op rejected", "workspace", op.Workspace, "op", op.ID, "kind", op.Kind, "error", cause)
	t, err := p.tenant(ctx, tx, op.Workspace)
	if err != nil || t == nil {
		return err
	}
	b := p.newBatch()
	b.note(t, nil, event.Activity{
		Type: event.Rejected, Name: fmt.Sprintf("op kind %d", op.Kind), At: op.Received + t.Clock, Received: op.Received + t.Clock,
		Data: object("op", text(op.ID), "reason", text(fault.KindOf(cause).String())),
	})
	return b.write(ctx, tx)
}

// runOps cuts ops where the definitions or the clock change, since the set to load depends on both.
func (p *partition) runOps(ctx context.Context, tx Tx, ops []*ingest.Op) error {
	ops, err := p.once(ctx, tx, ops)
	if err != nil {
		return err
	}
	for len(ops) > 0 {
		n := slices.IndexFunc(ops, func(op *ingest.Op) bool { return op.Kind == ingest.Define || op.Kind == ingest.Clock })
		switch {
		case n == 0 && ops[0].Kind == ingest.Define:
			if err := p.define(ctx, tx, ops[0]); err != nil {
				return err
			}
			ops = ops[1:]
		case n == 0:
			if err := p.moveClock(ctx, tx, ops[0]); err != nil {
				return err
			}
			ops = ops[1:]
		case n < 0:
			n = len(ops)
			fallthrough
		default:
			done, err := p.runPlain(ctx, tx, ops[:n])
			if err != nil {
				return err
			}
			ops = ops[done:]
		}
	}
	return nil
}

// runPlain applies a prefix of ops, and before each op its workspace's timers due by then. It returns how many ops it
// applied: fewer than all when very many timers fall due among them.
func (p *partition) runPlain(ctx context.Context, tx Tx, ops []*ingest.Op) (int, error) {
	b := p.newBatch()
	works, err := p.read(ctx, tx, ops)
	if err != nil {
		return 0, err
	}
	last := map[*tenant]int64{}
	for _, w := range works {
		last[w.t] = max(last[w.t], w.now)
	}
	n := withinMerges(works)
	var due []timer.Timer
	edges := map[*tenant]int64{} // where the list of due timers was cut
	for t, until := range last {
		if t.timer == 0 || t.timer > until {
			continue
		}
		list, err := tx.Timers(ctx, t.ID, until, timerStep)
		if err != nil {
			return 0, err
		}
		due = append(due, list...)
		if len(list) < timerStep {
			continue
		}
		edge := list[len(list)-1].Due
		edges[t] = edge
		for i, w := range works[:n] {
			if w.t == t && w.now >= edge {
				n = i
				break
			}
		}
	}
	if err := b.load(ctx, tx, works[:n], due); err != nil {
		return 0, err
	}
	if n, err = b.decide(works[:n], due, edges); err != nil {
		return 0, err
	}
	if err := b.write(ctx, tx); err != nil {
		return 0, err
	}
	if n == len(works) {
		return len(ops), nil // the rest belongs to workspaces that are gone
	}
	return slices.Index(ops, works[n].op), nil
}

// breathe lets others run now and then: a batch takes many milliseconds, and requests may wait for this very processor.
func breathe(i int) {
	if i%256 == 255 {
		runtime.Gosched()
	}
}

// decide runs the ops, each after its workspace's timers due by its time, and in the end each workspace's timers due by
// the moment that until names for it. It returns how many ops it has run: all, or those before one that has to wait for
// the next batch.
func (b *batch) decide(works []*work, due []timer.Timer, until map[*tenant]int64) (int, error) {
	for _, d := range due {
		b.timers[d] = armed{stands: true, stored: true}
		b.push(d)
	}
	if err := b.settleWaiting(works, due); err != nil {
		return 0, err
	}
	for i, w := range works {
		breathe(i)
		if !b.ready(w) {
			return i, nil
		}
		if err := b.runDue(w.t, w.now); err != nil {
			return 0, err
		}
		w.t.logNow = max(w.t.logNow, w.now)
		if err := w.do(b, w); err != nil {
			return 0, err
		}
	}
	for t, at := range until {
		if err := b.runDue(t, at); err != nil {
			return 0, err
		}
	}
	return len(works), nil
}

// push puts a timer of this batch's workspaces where runDue finds it.
func (b *batch) push(d timer.Timer) {
	t := b.p.tenants[d.Workspace]
	h := b.heaps[t]
	if h == nil {
		h = &timerHeap{}
		b.heaps[t] = h
	}
	heap.Push(h, d)
}

// load reads everything that the ops and timers touch in a handful of queries.
func (b *batch) load(ctx context.Context, tx Tx, works []*work, due []timer.Timer) error {
	var keys []person.Key
	var refs []DeliveryRef
	var publics []DeliveryKey
	grow := map[*tenant]int{}
	for _, w := range works {
		for _, k := range w.keys {
			if _, seen := b.keys[k]; !seen {
				b.keys[k] = 0
				keys = append(keys, k)
			}
		}
		grow[w.t]++
		refs = append(refs, w.refs...)
		if w.public != (DeliveryKey{}) {
			publics = append(publics, w.public)
		}
	}
	found, err := resolve(ctx, tx, keys)
	if err != nil {
		return err
	}
	people := map[person.Ref]bool{}
	for k, ordinal := range found {
		b.keys[k] = ordinal
		people[person.Ref{Workspace: k.Workspace, Ordinal: ordinal}] = true
	}
	if err := b.loadSuppressed(ctx, tx, keys); err != nil {
		return err
	}
	if err := b.loadDeliveries(ctx, tx, refs, people); err != nil {
		return err
	}
	if err := b.loadPublics(ctx, tx, publics, people); err != nil {
		return err
	}
	if err := b.loadEventIDs(ctx, tx, works); err != nil {
		return err
	}
	if err := b.loadForms(ctx, tx, works); err != nil {
		return err
	}
	for _, d := range due {
		people[person.Ref{Workspace: d.Workspace, Ordinal: d.Person}] = true
	}
	if err := b.loadPeople(ctx, tx, people); err != nil {
		return err
	}
	if err := b.loadPast(ctx, tx, works); err != nil {
		return err
	}
	if err := b.loadAnonymous(ctx, tx, works); err != nil {
		return err
	}
	if err := b.loadObjects(ctx, tx, works); err != nil {
		return err
	}
	for t, n := range grow {
		first := uint32(t.counters["person"]) + 1
		if err := b.p.pieces.want(ctx, tx, t, first, first+uint32(n)); err != nil {
			return err
		}
	}
	return nil
}

func resolve(ctx context.Context, tx Tx, keys []person.Key) (map[person.Key]uint32, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	return tx.Resolve(ctx, keys)
}

func (b *batch) loadDeliveries(ctx context.Context, tx Tx, refs []DeliveryRef, people map[person.Ref]bool) error {
	if len(refs) == 0 {
		return nil
	}
	list, err := tx.Deliveries(ctx, refs)
	if err != nil {
		return err
	}
	for i := range list {
		d := &list[i]
		b.deliveries[DeliveryRef{d.Workspace, d.ID}] = d
		if d.Person != 0 {
			people[person.Ref{Workspace: d.Workspace, Ordinal: d.Person}] = true
		}
	}
	return nil
}

// loadPublics reads the deliveries that ops name by public id; one that is in hand already stays the same.
func (b *batch) loadPublics(ctx context.Context, tx Tx, keys []DeliveryKey, people map[person.Ref]bool) error {
	if len(keys) == 0 {
		return nil
	}
	list, err := tx.PublicDeliveries(ctx, keys)
	if err != nil {
		return err
	}
	for i := range list {
		ref := DeliveryRef{list[i].Workspace, list[i].ID}
		d := b.deliveries[ref]
		if d == nil {
			d = &list[i]
			b.deliveries[ref] = d
		}
		b.publics[DeliveryKey{d.Workspace, d.Public}] = d
		if d.Person != 0 {
			people[person.Ref{Workspace: d.Workspace, Ordinal: d.Person}] = true
		}
	}
	return nil
}

// loadSuppressed looks up the keyed hashes of keys that nobody has, in workspaces that suppress anybody at all.
func (b *batch) loadSuppressed(ctx context.Context, tx Tx, keys []person.Key) error {
	hashes := map[int64][][]byte{}
	for _, k := range keys {
		if t := b.p.tenants[k.Workspace]; k.Type != person.ByDevice && b.keys[k] == 0 && t != nil && t.counters["suppressions"] > 0 {
			hashes[k.Workspace] = append(hashes[k.Workspace], b.p.hash(k))
		}
	}
	for ws, list := range hashes {
		got, err := tx.Suppressed(ctx, ws, list)
		if err != nil {
			return err
		}
		for h, yes := range got {
			b.suppressed[h] = b.suppressed[h] || yes
		}
	}
	return nil
}

// hash is the keyed hash under which a suppressed identifier is remembered, so that nothing readable stays.
func (p *partition) hash(k person.Key) []byte { return SuppressionHash(p.e.o.Secret, k) }

// SuppressionHash is the hash of a suppressed identifier under an installation's secret.
func SuppressionHash(secret []byte, k person.Key) []byte {
	h := hmac.New(sha256.New, secret)
	fmt.Fprintf(h, "suppress:%d:%d:", k.Workspace, k.Type)
	h.Write([]byte(k.Value))
	return h.Sum(nil)[:16]
}

// loadPeople reads documents, their live journeys, the pieces of bitmaps they lie in, and for documents behind the
// definitions the history that new conditions ask for.
func (b *batch) loadPeople(ctx context.Context, tx Tx, want map[person.Ref]bool) error {
	refs := make([]person.Ref, 0, len(want))
	for r := range want {
		if b.people[r] == nil {
			refs = append(refs, r)
		}
	}
	if len(refs) == 0 {
		return nil
	}
	slices.SortFunc(refs, compareRefs)
	docs, err := tx.People(ctx, refs)
	if err != nil {
		return err
	}
	return b.adopt(ctx, tx, docs)
}

// adopt takes documents in hand.
func (b *batch) adopt(ctx context.Context, tx Tx, docs []*person.Document) error {
	refs := make([]person.Ref, 0, len(docs))
	for _, d := range docs {
		t := b.p.tenants[d.Workspace]
		if t == nil {
			continue
		}
		b.people[d.Ref] = &subject{b: b, t: t, doc: d, stored: true}
		refs = append(refs, d.Ref)
		if err := b.p.pieces.want(ctx, tx, t, d.Ordinal, d.Ordinal); err != nil {
			return err
		}
	}
	if len(refs) == 0 {
		return nil
	}
	js, err := tx.Journeys(ctx, refs)
	if err != nil {
		return err
	}
	for _, j := range js {
		if s := b.people[person.Ref{Workspace: j.Workspace, Ordinal: j.Person}]; s != nil {
			s.journeys = append(s.journeys, &live{Journey: j, stored: true})
		}
	}
	if err := b.loadRelated(ctx, tx, docs); err != nil {
		return err
	}
	for _, s := range b.people {
		slices.SortFunc(s.journeys, func(a, b *live) int { return int(a.ID - b.ID) })
	}
	if err := b.loadHistory(ctx, tx, docs); err != nil {
		return err
	}
	for _, d := range docs {
		if s := b.people[d.Ref]; s != nil {
			if err := b.catchUp(s); err != nil {
				return err
			}
		}
	}
	return nil
}

func compareRefs(a, b person.Ref) int {
	if a.Workspace != b.Workspace {
		return int(a.Workspace - b.Workspace)
	}
	return int(int64(a.Ordinal) - int64(b.Ordinal))
}

// timerHeap has the earliest timer on top. One counts only if b.timers says that it still stands.
type timerHeap []timer.Timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].Compare(h[j]) < 0 }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is part of heap.Interface.
func (h *timerHeap) Push(x any) { *h = append(*h, x.(timer.Timer)) }

func (h *timerHeap) pop() timer.Timer { return heap.Pop(h).(timer.Timer) }

// Pop is part of heap.Interface.
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
