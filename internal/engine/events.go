package engine

import (
	"bytes"
	"slices"

	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// event records an event, counts it for the conditions that ask, and starts the campaigns that listen.
func (b *batch) event(w *work, pl ingest.EventPayload) error {
	at := w.now
	if pl.Timestamp != 0 {
		at = pl.Timestamp * 1000
	}
	a := event.Activity{Type: event.Type(pl.Type), Name: pl.Name, At: at, Received: w.now, ID: pl.ID, Anonymous: pl.Anonymous, Data: pl.Data}
	who := pl.By.Identifier()
	if who.Type == 0 { // anonymous: seen in the activity log only, unless it comes late after its identify
		s := b.lately(w, pl.Anonymous)
		switch {
		case b.repeated(w, s, &pl):
			return nil
		case s != nil:
			return b.happened(w, s, a, false)
		}
		b.nobodysEvent(w, a)
		return nil
	}
	if b.blocked(w, who) {
		return nil
	}
	s := b.find(w.t, who)
	if !b.known(w, s, who) || b.repeated(w, s, &pl) {
		return nil
	}
	created := s == nil
	if created {
		s = b.create(w.t, w.now, who)
		b.note(w.t, s, event.Activity{Type: event.Created, At: w.now, Received: w.now})
	}
	if i := anonymousID(pl.Anonymous); i.Type != 0 {
		if created {
			if err := b.settle(s, w.now, touched{all: true}); err != nil {
				return err
			}
		}
		if err := b.receive(w, s, i); err != nil {
			return err
		}
	}
	return b.happened(w, s, a, created)
}

// happened adds an event to a person's history.
func (b *batch) happened(w *work, s *subject, a event.Activity, created bool) error {
	at := a.At
	b.note(w.t, s, a)
	since := s.doc.Since()
	if s.doc.FirstEvent == 0 || at < s.doc.FirstEvent {
		s.doc.FirstEvent = at
	}
	chain := event.ChainName(a.Type, a.Name)
	b.count(s, chain, at, a.Data)
	if err := b.settle(s, w.now, touched{chains: []string{chain}, all: created || s.doc.Since() != since}); err != nil {
		return err
	}
	return b.trigger(s, w.now, a)
}

// count adds the event to the facts of the conditions that it matches.
func (b *batch) count(s *subject, chain string, at int64, data value.Value) {
	for _, f := range s.t.set.FactsOf(chain) {
		if !f.Matches(data) {
			continue
		}
		i := s.fact(f.Key)
		segment.Observe(&s.doc.Facts[i], at, f.Keep)
	}
}

// fact returns the index of the fact, adding it if it is new.
func (s *subject) fact(key uint64) int {
	for i := range s.doc.Facts {
		if s.doc.Facts[i].Key == key {
			return i
		}
	}
	s.doc.Facts = append(s.doc.Facts, person.Fact{Key: key})
	return len(s.doc.Facts) - 1
}

// removal carries out delete, suppress and unsuppress.
func (b *batch) removal(w *work, by ingest.By) error {
	who := by.Identifier()
	s := b.find(w.t, who)
	switch {
	case w.op.Kind == ingest.Unsuppress:
		b.unsuppress(w, who)
		return nil
	case w.op.Kind == ingest.Delete && s == nil:
		b.failed(w, nil, "nobody has this identifier", who)
		return nil
	}
	keys := []person.Key{}
	if who.Type != 0 {
		keys = append(keys, who.Key(w.t.ID))
	}
	if s != nil {
		keys = append(keys, slices.DeleteFunc(s.doc.Keys(), func(k person.Key) bool { return k.Type == person.ByAnonymous || k.Type == person.ByDevice })...)
		b.remove(w, s)
	}
	if w.op.Kind != ingest.Suppress {
		return nil
	}
	for _, k := range keys {
		h := b.p.hash(k)
		if b.suppressed[string(h)] {
			continue
		}
		b.suppressed[string(h)] = true
		b.next(w.t, "suppressions")
		b.c.Suppress = append(b.c.Suppress, Suppression{Workspace: w.t.ID, Hash: h, Created: w.now})
	}
	b.note(w.t, nil, event.Activity{Type: event.Suppressed, At: w.now, Received: w.now})
	return nil
}

// unsuppress frees an identifier.
func (b *batch) unsuppress(w *work, who person.Identifier) {
	if !b.isSuppressed(who.Key(w.t.ID)) {
		b.failed(w, nil, "the identifier is not suppressed", who)
		return
	}
	h := b.p.hash(who.Key(w.t.ID))
	b.suppressed[string(h)] = false
	b.c.Suppress = slices.DeleteFunc(b.c.Suppress, func(s Suppression) bool { // of this very batch: drops come before puts
		return s.Workspace == w.t.ID && bytes.Equal(s.Hash, h)
	})
	b.c.Unsuppress = append(b.c.Unsuppress, Suppression{Workspace: w.t.ID, Hash: h})
}

// remove deletes a person with everything that is theirs; an activity without data says that somebody was deleted.
func (b *batch) remove(w *work, s *subject) {
	for _, k := range s.doc.Keys() {
		b.drop(k)
	}
	b.forgetAnonymous(s)
	b.erase(s)
	b.depart(s)
	b.note(w.t, nil, event.Activity{Type: event.Deleted, At: w.now, Received: w.now})
}

// erase takes out of this batch what it was about to write for a person who is deleted now. Rows of earlier
// transactions go by DropPeople.
func (b *batch) erase(s *subject) {
	ref := s.doc.Ref
	prev := map[int64]int64{}
	keep := b.c.Activities[:0]
	for _, a := range b.c.Activities {
		if a.Workspace == ref.Workspace && a.Person == ref.Ordinal {
			prev[a.Seq] = a.Prev
			continue
		}
		keep = append(keep, a)
	}
	b.c.Activities = keep
	for at, ok := prev[s.doc.LastActivity]; ok; at, ok = prev[s.doc.LastActivity] {
		s.doc.LastActivity = at
	}
	clear(prev)
	kept := b.c.Decisions[:0]
	for _, d := range b.c.Decisions {
		if d.Workspace == ref.Workspace && d.Person == ref.Ordinal {
			prev[d.Seq] = d.Prev
			continue
		}
		kept = append(kept, d)
	}
	b.c.Decisions = kept
	for at, ok := prev[s.doc.LastDecision]; ok; at, ok = prev[s.doc.LastDecision] {
		s.doc.LastDecision = at
	}
	fresh := b.c.NewDeliveries[:0]
	for _, d := range b.c.NewDeliveries {
		if d.Workspace != ref.Workspace || d.Person != ref.Ordinal {
			fresh = append(fresh, d)
		}
	}
	b.c.NewDeliveries = fresh
	for _, d := range b.deliveries {
		if d.Workspace == ref.Workspace && d.Person == ref.Ordinal {
			d.Person, d.Recipient, d.Subject, d.Reason, d.Data = 0, "", "", "", nil
		}
	}
}

// membership adds people to a manual segment or takes them out. Identifiers that nobody has are passed over.
func (b *batch) membership(w *work, pl ingest.SegmentPayload) error {
	seg := w.t.set.Segment(pl.Segment)
	if seg == nil || !seg.Manual || seg.Pending {
		b.failed(w, nil, "the segment is gone or not manual", person.Identifier{})
		return nil
	}
	nobody := pl.Ignored
	for _, by := range pl.People {
		s := b.find(w.t, by.Identifier())
		if s == nil {
			nobody++
			continue
		}
		in := w.op.Kind == ingest.SegmentAdd
		if _, is := s.doc.Member(seg.ID); is == in {
			continue
		}
		reason := "added by hand"
		if !in {
			reason = "removed by hand"
		}
		if err := b.move(s, seg, in, w.now, reason, nil, true); err != nil {
			return err
		}
		if err := b.settle(s, w.now, touched{segments: []string{seg.Slug}}); err != nil {
			return err
		}
	}
	if nobody == 0 {
		return nil
	}
	return b.refused(w, ingest.RefusedPayload{Reason: "identifiers that nobody has were left out", Count: nobody})
}
