package engine

import (
	"cmp"
	"context"
	"maps"
	"slices"

	objects "rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
	"rapport.example/internal/timer"
)

// What people are related to counts for segments and for the filters of campaigns. Those who are in hand when an object changes are
// evaluated by the op that changes it. Everybody else who is related to it is noted in a bitmap, in the same transaction; whoever is
// loaded for another reason is taken off it before anything else happens to them, and the rest a few hundred at a time (settling).
// What is evaluated is the object as it is then, so it does not matter how often and in which order objects have changed.

// TypedRef names an object by number, if it is of a type.
type TypedRef struct {
	ObjectRef
	Type int64
}

// objectTypes are the types of objects that conditions look at, in what answers or in what is being built.
func (t *tenant) objectTypes() []int64 {
	types := t.set.ObjectTypes()
	if t.next != t.set {
		types = slices.Concat(types, t.next.ObjectTypes())
		slices.Sort(types)
		types = slices.Compact(types)
	}
	return types
}

// spreads reports whether any of these fields of an object makes its people be looked at again.
func (t *tenant) spreads(typ int64, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		f := segment.ObjectField{Type: typ, Name: name}
		return t.set.Spreads(f) || t.next.Spreads(f)
	})
}

// loadRelated reads the relationships of people whose workspace's conditions look at objects, and the objects of these types.
func (b *batch) loadRelated(ctx context.Context, tx Tx, docs []*person.Document) error {
	var refs []person.Ref
	for _, d := range docs {
		if s := b.people[d.Ref]; s != nil && b.relations[d.Ref] == nil && len(s.t.objectTypes()) > 0 {
			refs = append(refs, d.Ref)
		}
	}
	if err := b.readRelations(ctx, tx, refs); err != nil {
		return err
	}
	return b.loadNumbered(ctx, tx)
}

// readRelations reads all relationships of people.
func (b *batch) readRelations(ctx context.Context, tx Tx, refs []person.Ref) error {
	if len(refs) == 0 {
		return nil
	}
	slices.SortFunc(refs, compareRefs)
	for _, ref := range refs {
		b.relations[ref] = map[int64]*relation{}
	}
	list, err := tx.Relationships(ctx, refs)
	if err != nil {
		return err
	}
	for _, r := range list {
		b.own(person.Ref{Workspace: r.Workspace, Ordinal: r.Person}, &relation{Relationship: r, stored: true})
	}
	return nil
}

// own makes a relationship one of a person's.
func (b *batch) own(who person.Ref, r *relation) {
	b.relations[who][r.Object] = r
	o := ObjectRef{who.Workspace, r.Object}
	b.holders[o] = append(b.holders[o], who)
	if _, known := b.numbered[o]; !known {
		b.missing[o] = true
	}
}

// loadNumbered reads the objects that relationships and visits name by number, of the types that conditions look at.
func (b *batch) loadNumbered(ctx context.Context, tx Tx) error {
	var refs []TypedRef
	for o := range b.missing {
		if t := b.p.tenants[o.Workspace]; t != nil {
			for _, typ := range t.objectTypes() {
				refs = append(refs, TypedRef{o, typ})
			}
		}
		b.numbered[o] = nil
	}
	clear(b.missing)
	if len(refs) == 0 {
		return nil
	}
	slices.SortFunc(refs, func(x, y TypedRef) int {
		return cmp.Or(cmp.Compare(x.Workspace, y.Workspace), cmp.Compare(x.Number, y.Number), cmp.Compare(x.Type, y.Type))
	})
	found, err := tx.NumberedObjects(ctx, refs)
	if err != nil {
		return err
	}
	for i := range found {
		b.remember(&found[i])
	}
	return nil
}

// linksOf lists the person's relationships with objects of a type, by object.
func (b *batch) linksOf(s *subject, typ int64) (out []objects.Link) {
	for n, r := range b.relations[s.doc.Ref] {
		if o := b.numbered[ObjectRef{s.doc.Workspace, n}]; o != nil && o.Type == typ {
			out = append(out, objects.Link{Object: o, Relationship: &r.Relationship})
		}
	}
	slices.SortFunc(out, func(x, y objects.Link) int { return cmp.Compare(x.Object.Number, y.Object.Number) })
	return out
}

// peopleOf are those in hand who are related to an object, in order.
func (b *batch) peopleOf(o ObjectRef) (out []*subject) {
	refs := b.holders[o]
	slices.SortFunc(refs, compareRefs)
	refs = slices.Compact(refs)
	b.holders[o] = refs
	for _, ref := range refs {
		if s := b.people[ref]; s != nil && !s.gone && b.relations[ref][o.Number] != nil {
			out = append(out, s)
		}
	}
	return out
}

// changedObject has everybody looked at again who is or was related to an object that changed: people at once, all others later.
func (b *batch) changedObject(w *work, o *objects.Object, people []*subject) error {
	b.spread[ObjectRef{o.Workspace, o.Number}] = true
	for _, s := range people {
		if err := b.settle(s, w.now, touched{objects: []int64{o.Type}}); err != nil {
			return err
		}
	}
	return nil
}

// spreadOut notes everybody who is related to an object that this batch has changed and was not in hand.
func (b *batch) spreadOut(ctx context.Context, tx Tx) error {
	if len(b.spread) == 0 {
		return nil
	}
	refs := slices.SortedFunc(maps.Keys(b.spread), func(x, y ObjectRef) int {
		return cmp.Or(cmp.Compare(x.Workspace, y.Workspace), cmp.Compare(x.Number, y.Number))
	})
	clear(b.spread)
	people := map[PieceKey][]uint32{}
	err := tx.PeopleOfObjects(ctx, refs, func(who person.Ref) {
		if b.people[who] == nil {
			k := PieceKey{who.Workspace, toSettle, who.Ordinal >> pieceBits}
			people[k] = append(people[k], who.Ordinal&(1<<pieceBits-1))
		}
	})
	if err != nil {
		return err
	}
	if err := b.p.pieces.read(ctx, tx, slices.Collect(maps.Keys(people))); err != nil {
		return err
	}
	for k, list := range people {
		b.p.pieces.bits[k].AddMany(list)
		b.p.pieces.dirty[k] = true
		b.p.tenants[k.Workspace].unsettled[k.Piece] = true
	}
	return nil
}

// settleWaiting looks at those in hand who are still to be looked at, before anything else happens to them. What is about to happen
// is works and timers.
func (b *batch) settleWaiting(works []*work, due []timer.Timer) error {
	first := map[*tenant]int64{} // when the first of it is
	for _, w := range works {
		if len(w.t.unsettled) > 0 {
			first[w.t] = earlier(first[w.t], w.now)
		}
	}
	for _, d := range due {
		if t := b.p.tenants[d.Workspace]; t != nil && len(t.unsettled) > 0 {
			first[t] = earlier(first[t], d.Due)
		}
	}
	for t, now := range first {
		if t.logNow != 0 {
			now = t.logNow
		}
		if err := b.settleThose(t, now); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) settleThose(t *tenant, now int64) error {
	var refs []person.Ref
	for ref, s := range b.people {
		if s.t == t && b.p.pieces.has(t, toSettle, ref.Ordinal) {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, compareRefs)
	for _, ref := range refs {
		b.p.pieces.remove(t, toSettle, ref.Ordinal)
		if s := b.people[ref]; !s.gone {
			if err := b.settle(s, now, touched{objects: t.objectTypes()}); err != nil {
				return err
			}
		}
	}
	return nil
}

// settling looks at those who are still to be looked at because of objects. While frames come in it takes a fifth of the writer's
// time at most.
func (p *partition) settling(ctx context.Context) error {
	began := p.e.o.Now()
	if p.last > 0 && began.Before(p.pause) {
		return nil
	}
	for _, t := range p.tenants {
		if len(t.unsettled) == 0 || t.timer != 0 && t.timer <= t.settled(began.UnixMilli()) {
			continue // what is due by then comes first
		}
		err := p.transact(ctx, func(tx Tx) error { return p.settleSome(ctx, tx, t) })
		p.pause = began.Add(5 * p.e.o.Now().Sub(began))
		return err
	}
	return nil
}

// settled is the moment as of which the workspace's people are evaluated when no op or timer says: that of the newest op. real is now.
func (t *tenant) settled(real int64) int64 {
	if t.logNow == 0 {
		return real + t.Clock
	}
	return t.logNow
}

// settleFew looks at those who are still to be looked at within the transaction that made them so, if they are few.
func (p *partition) settleFew(ctx context.Context, tx Tx) error {
	for _, t := range p.tenants {
		keys, err := p.unsettled(ctx, tx, t)
		if err != nil {
			return err
		}
		n := uint64(0)
		for _, k := range keys {
			n += p.pieces.bits[k].GetCardinality()
		}
		if n == 0 || n > uint64(p.e.o.SweepChunk) { //nolint:gosec // positive
			continue
		}
		if err := p.settleSome(ctx, tx, t); err != nil {
			return err
		}
	}
	return nil
}

// unsettled reads the pieces of those who are still to be looked at.
func (p *partition) unsettled(ctx context.Context, tx Tx, t *tenant) ([]PieceKey, error) {
	var keys []PieceKey
	for _, piece := range slices.Sorted(maps.Keys(t.unsettled)) {
		keys = append(keys, PieceKey{t.ID, toSettle, piece})
	}
	return keys, p.pieces.read(ctx, tx, slices.Clone(keys))
}

// settleSome looks at some people who are still to be looked at.
func (p *partition) settleSome(ctx context.Context, tx Tx, t *tenant) error {
	keys, err := p.unsettled(ctx, tx, t)
	if err != nil {
		return err
	}
	var refs []person.Ref
	for _, k := range keys {
		it := p.pieces.bits[k].Iterator()
		for it.HasNext() && len(refs) < p.e.o.SweepChunk {
			refs = append(refs, person.Ref{Workspace: t.ID, Ordinal: k.Piece<<pieceBits | it.Next()})
		}
		if !it.HasNext() {
			delete(t.unsettled, k.Piece)
		}
	}
	b := p.newBatch()
	docs, err := tx.People(ctx, refs)
	if err != nil {
		return err
	}
	if err := b.adopt(ctx, tx, docs); err != nil {
		return err
	}
	types, now := t.objectTypes(), t.settled(b.real)
	for _, ref := range refs {
		p.pieces.remove(t, toSettle, ref.Ordinal)
		if s := b.people[ref]; s != nil {
			if err := b.settle(s, now, touched{objects: types}); err != nil {
				return err
			}
		}
	}
	return b.write(ctx, tx)
}
