package engine

import (
	"cmp"
	"context"
	"slices"

	"rapport.example/internal/event"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// lateAnonymous is how long after a person received an anonymous id events that carry it still are theirs, in ms
// (product-semantics 1.2).
const lateAnonymous = 5 * 60 * 1000

// receives says that the op gives its person this anonymous id, so that what is stored under it is read.
func (w *work) receives(i person.Identifier) {
	w.anonymous = i.Key(w.t.ID)
	w.keys = append(w.keys, w.anonymous)
}

// anonymousID is the anonymous id of an event, the zero Identifier if it has none that can be one.
func anonymousID(s string) person.Identifier {
	if s == "" {
		return person.Identifier{}
	}
	i, err := person.Check(person.Identifier{Type: person.ByAnonymous, Value: s})
	if err != nil {
		return person.Identifier{}
	}
	return i
}

// loadAnonymous reads nobody's events under the anonymous ids that ops give to people and that nobody has yet.
func (b *batch) loadAnonymous(ctx context.Context, tx Tx, works []*work) error {
	seen := map[person.Key]int{} // place in refs
	var refs []AnonymousRef
	for _, w := range works {
		if w.anonymous.Type == 0 || b.keys[w.anonymous] != 0 {
			continue
		}
		from := w.now - event.AnonymousRetain
		if i, twice := seen[w.anonymous]; twice {
			refs[i].Since = min(refs[i].Since, from)
			continue
		}
		seen[w.anonymous] = len(refs)
		refs = append(refs, AnonymousRef{Workspace: w.anonymous.Workspace, ID: w.anonymous.Value, Since: from})
	}
	if len(refs) == 0 {
		return nil
	}
	rows, taken, err := tx.Anonymous(ctx, refs, b.p.e.o.Histories)
	if err != nil {
		return err
	}
	for _, r := range refs[taken:] {
		b.unread[person.Key{Workspace: r.Workspace, Type: person.ByAnonymous, Value: r.ID}] = true
	}
	slices.SortFunc(rows, bySeq)
	for _, a := range rows {
		k := person.Key{Workspace: a.Workspace, Type: person.ByAnonymous, Value: a.Anonymous}
		b.nobodys[k] = append(b.nobodys[k], a)
	}
	return nil
}

func bySeq(x, y event.Activity) int { return cmp.Compare(x.Seq, y.Seq) }

func isEvent(t event.Type) bool { return t == event.Track || t == event.Page || t == event.Screen }

// lately is the person who received the anonymous id at most five minutes ago, nil if nobody did.
func (b *batch) lately(w *work, anonymous string) *subject {
	i := anonymousID(anonymous)
	s := b.find(w.t, i)
	if s == nil {
		return nil
	}
	for _, d := range s.doc.Anonymous {
		if d.Name == i.Value && w.now-d.At <= lateAnonymous {
			return s
		}
	}
	return nil
}

// nobodysEvent keeps an event that belongs to nobody yet: under its anonymous id, or as an invite event without one.
func (b *batch) nobodysEvent(w *work, a event.Activity) {
	b.note(w.t, nil, a)
	if i := anonymousID(a.Anonymous); i.Type != 0 {
		b.unheld[i.Key(w.t.ID)]++
	}
}

// receive gives the person the anonymous id that an identify's attributes or an event name, and the events of the last
// 30 days under it. They count for segments at once; those that are at most 72 hours old by their own time start
// campaigns. An anonymous id never goes from one person to another, and the second identify of the same brings nothing.
func (b *batch) receive(w *work, s *subject, i person.Identifier) error {
	k := i.Key(w.t.ID)
	if owner := b.find(w.t, i); owner == s {
		return nil
	} else if owner != nil {
		b.failed(w, s, "anonymous_id belongs to another person", person.Identifier{}) // whose it is must not outlive them here
		return nil
	}
	b.hold(s, k, w.now)
	types := b.receiveVisits(w, s, k)
	rows := b.unattached(k)
	rows = slices.DeleteFunc(rows, func(a event.Activity) bool { return a.Received < w.now-event.AnonymousRetain })
	since, chains := s.doc.Since(), []string(nil)
	for _, a := range rows {
		if a.Seq != 0 {
			b.c.DropActivities = append(b.c.DropActivities, ActivityRef{a.Workspace, a.Seq})
		}
		chains = append(chains, b.inherit(w, s, a))
	}
	b.note(w.t, s, event.Activity{
		Type: event.AnonymousMerge, At: w.now, Received: w.now, Data: object("anonymous_id", i.Value, "events", int64(len(rows))),
	})
	what := touched{attributes: []string{"anonymous_id"}, chains: chains, objects: types, all: s.doc.Since() != since}
	if err := b.settle(s, w.now, what); err != nil {
		return err
	}
	for _, a := range rows {
		if err := b.trigger(s, w.now, a); err != nil {
			return err
		}
	}
	return nil
}

// receiveFrom is receive for an identify's attributes.
func (b *batch) receiveFrom(w *work, s *subject, attributes value.Value) error {
	v := attributes.Get("anonymous_id")
	if v.Empty() {
		return nil
	}
	i, ok := bodyIdentifier(attributes, "anonymous_id")
	if !ok {
		b.failed(w, s, "anonymous_id has a value that cannot be one", person.Identifier{})
		return nil
	}
	return b.receive(w, s, i)
}

// hold notes that the person has the anonymous id of this key since then. A person has MaxAnonymous of them; one more, and
// the oldest is forgotten.
func (b *batch) hold(s *subject, k person.Key, since int64) {
	if len(s.doc.Anonymous) >= person.MaxAnonymous {
		oldest := slices.MinFunc(s.doc.Anonymous, func(x, y person.Dated) int {
			return cmp.Or(cmp.Compare(x.At, y.At), cmp.Compare(x.Name, y.Name))
		})
		old := person.Identifier{Type: person.ByAnonymous, Value: oldest.Name}.Key(s.t.ID)
		b.drop(old)
		b.forget(old)
		s.doc.Anonymous = slices.DeleteFunc(s.doc.Anonymous, func(d person.Dated) bool { return d.Name == oldest.Name })
	}
	s.doc.Anonymous = append(s.doc.Anonymous, person.Dated{Name: k.Value, At: since})
	b.keys[k], b.puts[k], s.dirty = s.doc.Ordinal, s.doc.Ordinal, true
}

// unattached takes nobody's events under an anonymous id out of hand, oldest first: the stored ones, which keep their Seq,
// and those of this batch, which were not written yet and have none.
func (b *batch) unattached(k person.Key) []event.Activity {
	rows := b.nobodys[k]
	delete(b.nobodys, k)
	if b.unheld[k] == 0 {
		return rows
	}
	delete(b.unheld, k)
	b.c.Activities = slices.DeleteFunc(b.c.Activities, func(a event.Activity) bool {
		mine := a.Workspace == k.Workspace && a.Person == 0 && a.Anonymous == k.Value
		if mine {
			a.Seq = 0
			rows = append(rows, a)
		}
		return mine
	})
	return rows
}

// inherit makes an activity of nobody or of a merged person the person's own, and counts it if it is an event or of a message; it
// returns the event's chain. The activity gets a new place at the end of the history, for a chain grows there only; its own time
// stays, and it counts as received now.
func (b *batch) inherit(w *work, s *subject, a event.Activity) (chain string) {
	a.Received, a.PrevNamed = w.now, 0
	b.note(w.t, s, a)
	if !isEvent(a.Type) {
		b.countMessage(s, &a)
		return ""
	}
	if s.doc.FirstEvent == 0 || a.At < s.doc.FirstEvent {
		s.doc.FirstEvent = a.At
	}
	chain = event.ChainName(a.Type, a.Name)
	b.count(s, chain, a.At, a.Data)
	return chain
}

// forgetAnonymous deletes what is stored under the anonymous ids of a person who is deleted: it is theirs, although it came
// too late to be joined to them.
func (b *batch) forgetAnonymous(s *subject) {
	for _, d := range s.doc.Anonymous {
		b.forget(person.Identifier{Type: person.ByAnonymous, Value: d.Name}.Key(s.t.ID))
	}
}

// forget deletes nobody's events under an anonymous id.
func (b *batch) forget(k person.Key) {
	b.unattached(k)
	if t := b.p.tenants[k.Workspace]; t != nil && t.counters["visit"] > 0 {
		b.forgetVisits(k)
	}
	b.c.DropAnonymous = append(b.c.DropAnonymous, AnonymousRef{Workspace: k.Workspace, ID: k.Value})
}
