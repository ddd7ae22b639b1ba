package engine

import (
	"cmp"
	"context"
	"slices"

	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/timer"
	"rapport.example/internal/value"
)

const (
	mergeRetain = 30 * 24 * 60 * 60 * 1000 // ms: how old a merged person's events may be to come along (track-api §5)
	mergeStep   = 256                      // merges of one batch
)

// merge makes the secondary person a part of the primary one. The primary must exist, or nothing happens but an activity.
func (b *batch) merge(w *work, pl ingest.MergePayload) error {
	first, second := pl.Primary.Identifier(), pl.Secondary.Identifier()
	if b.blocked(w, first) || b.blocked(w, second) {
		return nil
	}
	p, s := b.find(w.t, first), b.find(w.t, second)
	if pl.Alias && s == nil && second.Type == person.ByID {
		return b.identify(w, ingest.IdentifyPayload{By: pl.Primary, Attributes: object("anonymous_id", second.Value)})
	}
	switch {
	case p == nil:
		b.failed(w, nil, "the primary person of the merge does not exist", first)
	case s == nil:
		if second.Type != person.ByCIO { // one of nobody is not told in the history of somebody
			second = person.Identifier{}
		}
		b.failed(w, p, "the secondary person of the merge does not exist", second)
	case p == s:
		b.failed(w, p, "a person cannot be merged with themselves", person.Identifier{})
	default:
		return b.absorb(w, p, s)
	}
	return nil
}

// absorb moves to p what p receives of s, and deletes s with the rest (product-semantics 1.6): what p has stays as it is.
func (b *batch) absorb(w *work, p, s *subject) error {
	had, brought := b.memberships(p), b.memberships(s)
	changed, left := b.receiveAttributes(p, s)
	changed = append(b.receiveIdentifiers(p, s), changed...)
	b.receiveDevices(w.now, p, s)
	relations := b.receiveRelations(w, p, s)
	b.receiveJourneys(w, p, s)
	b.receiveOptouts(p, s)
	b.receiveDeliveries(p, s)
	for _, m := range s.doc.Segments {
		seg := p.t.set.Segment(m.Segment)
		if _, in := had[m.Segment]; in || seg == nil || !seg.Manual || seg.Pending {
			continue
		}
		if err := b.move(p, seg, true, w.now, "came with a person who was merged in", nil, false); err != nil {
			return err
		}
	}
	events := b.receiveHistory(w, p, s)
	var data value.Builder
	data.Set("secondary", text(s.doc.CIO)).Set("events", value.Int(events)).Set("changes", changes(changed))
	if relations > 0 {
		data.Set("relationships", value.Int(relations))
	}
	if left > 0 {
		data.Set("left_out", value.Int(left))
	}
	b.erase(s)
	b.depart(s)
	b.note(w.t, p, event.Activity{Type: event.Merged, At: w.now, Received: w.now, Data: data.Value()})
	b.trace(p, Decision{
		At: w.now, Kind: "identity", Outcome: "merged", Reason: "another person was merged into this one",
		Detail: object("secondary", s.doc.CIO),
	})
	p.dirty = true
	err := b.settle(p, w.now, touched{all: true, quiet: brought})
	for i := range p.doc.Segments {
		m := &p.doc.Segments[i]
		since, came := brought[m.Segment]
		if _, in := had[m.Segment]; came && !in {
			m.Since = since
		}
	}
	return err
}

// memberships are the segments that the person is in, since when, and by the numbers of their bitmaps those that are being built.
func (b *batch) memberships(s *subject) map[int64]int64 {
	out := make(map[int64]int64, len(s.doc.Segments))
	for _, m := range s.doc.Segments {
		out[m.Segment] = m.Since
	}
	for _, x := range s.t.building() {
		if n := nextOf(x.Segment); b.p.pieces.has(s.t, n, s.doc.Ordinal) {
			out[n] = 0
		}
	}
	return out
}

// receiveAttributes gives p what it lacks, and says how many attributes had no room. Consent goes over only if p never said
// anything about it.
func (b *batch) receiveAttributes(p, s *subject) (changed []change, left int64) {
	if s.doc.Unsubscribed && !p.doc.Unsubscribed && p.doc.UnsubscribedAt == 0 {
		changed = append(changed, change{"unsubscribed", value.False, value.True})
	}
	if !p.doc.Unsubscribed && p.doc.UnsubscribedAt == 0 {
		p.doc.Unsubscribed, p.doc.UnsubscribedAt = s.doc.Unsubscribed, s.doc.UnsubscribedAt
	}
	for _, a := range s.doc.Attributes {
		if !p.doc.Get(a.Name).Empty() {
			continue
		}
		p.doc.Removed = slices.DeleteFunc(p.doc.Removed, func(d person.Dated) bool { return d.Name == a.Name })
		switch _, verdict := p.doc.Set(a.Name, a.Value, a.At); verdict {
		case person.Changed:
			changed = append(changed, change{a.Name, nil, a.Value})
		case person.Full:
			left++
		case person.Same, person.Stale:
		}
	}
	preferences := value.Equal(p.doc.Get(person.Preferences), s.doc.Get(person.Preferences))
	for _, d := range s.doc.Removed { // what was removed of s is not brought back by an older write to p either
		if of, _ := person.ParsePreference(d.Name, nil); p.doc.Get(d.Name) == nil && (!of || preferences) {
			p.doc.MarkRemoved(d.Name, d.At)
		}
	}
	return changed, left
}

// receiveIdentifiers gives p the identifiers that it lacks and the anonymous ids; the others are free from now on.
func (b *batch) receiveIdentifiers(p, s *subject) (changed []change) {
	for _, k := range s.doc.Keys() {
		b.drop(k)
	}
	for _, i := range [...]struct {
		name    string
		kind    person.KeyType
		to      *string
		carried string
	}{
		{"id", person.ByID, &p.doc.ID, s.doc.ID},
		{"email", person.ByEmail, &p.doc.Email, s.doc.Email},
		{"phone", person.ByPhone, &p.doc.Phone, s.doc.Phone},
	} {
		if i.carried == "" || !p.doc.Get(i.name).Empty() { // a plain phone counts too
			continue
		}
		*i.to = i.carried
		k := person.Identifier{Type: i.kind, Value: i.carried}.Key(p.t.ID)
		b.keys[k], b.puts[k] = p.doc.Ordinal, p.doc.Ordinal
		changed = append(changed, change{i.name, nil, text(i.carried)})
	}
	for _, d := range s.doc.Anonymous {
		b.hold(p, person.Identifier{Type: person.ByAnonymous, Value: d.Name}.Key(p.t.ID), d.At)
	}
	return changed
}

// receiveDevices gives p the devices, whose keys receiveIdentifiers has freed.
func (b *batch) receiveDevices(now int64, p, s *subject) {
	for i := range s.doc.Devices {
		if d := s.doc.Devices[i]; p.device(d.Token) < 0 {
			p.doc.Devices = append(p.doc.Devices, d)
		}
		b.point(person.DeviceKey(p.t.ID, s.doc.Devices[i].Token), p)
	}
	b.limitDevices(now, p)
}

// receiveJourneys lets p go on with the live journeys of campaigns that p never entered; the others end here. What s has
// entered counts as entered by p, for frequency.
func (b *batch) receiveJourneys(w *work, p, s *subject) {
	known := map[int64]bool{}
	for _, e := range p.doc.Entries {
		known[e.Campaign] = true
	}
	for _, l := range p.journeys {
		known[l.Campaign] = true
	}
	for _, l := range slices.Clone(s.journeys) {
		b.end(s, l)
		if known[l.Campaign] {
			b.lapse(w, p, l)
			continue
		}
		moved := &live{Journey: l.Journey, dirty: true}
		moved.Person = p.doc.Ordinal
		p.journeys = append(p.journeys, moved)
		b.schedule(p.t, p.timer(timer.Journey, l.ID, l.Due))
	}
	slices.SortFunc(p.journeys, func(x, y *live) int { return cmp.Compare(x.ID, y.ID) })
	for _, e := range s.doc.Entries {
		i := slices.IndexFunc(p.doc.Entries, func(x person.Entry) bool { return x.Campaign == e.Campaign })
		if i < 0 {
			p.doc.Entries = append(p.doc.Entries, e)
			continue
		}
		own := &p.doc.Entries[i]
		own.Last, own.Times = max(own.Last, e.Last), own.Times+e.Times
	}
}

// lapse traces that a merged person's journey does not go on.
func (b *batch) lapse(w *work, p *subject, l *live) {
	d := Decision{
		At: w.now, Kind: "campaign", Version: l.Version, Campaign: l.Campaign, Outcome: "exited",
		Reason: "the person was merged into one who has entered this campaign", Detail: object("journey", l.ID),
	}
	if c := p.t.set.Campaign(l.Campaign, l.Version); c != nil {
		d.Subject = c.Slug
	}
	b.trace(p, d)
}

// receiveDeliveries makes the messages to s messages to p, also those that are still to be sent.
func (b *batch) receiveDeliveries(p, s *subject) {
	ref := s.doc.Ref
	for i := range b.c.NewDeliveries {
		if d := &b.c.NewDeliveries[i]; d.Workspace == ref.Workspace && d.Person == ref.Ordinal {
			d.Person = p.doc.Ordinal
		}
	}
	for _, d := range b.deliveries {
		if d.Workspace == ref.Workspace && d.Person == ref.Ordinal {
			d.Person = p.doc.Ordinal
		}
	}
	for i := range b.c.Moves { // who was merged into s earlier in this batch
		if m := &b.c.Moves[i]; m.Workspace == ref.Workspace && m.To == ref.Ordinal {
			m.To = p.doc.Ordinal
		}
	}
	if s.stored {
		b.c.Moves = append(b.c.Moves, Move{Workspace: ref.Workspace, From: ref.Ordinal, To: p.doc.Ordinal})
	}
}

// receiveHistory moves the events of the last 30 days, by their own time, and what is known of messages since then, to
// the end of p's history, and says how many events it were. They count for segments and start no campaign.
func (b *batch) receiveHistory(w *work, p, s *subject) (events int64) {
	rows := slices.Clone(b.past[s.doc.Ref])
	for _, a := range b.c.Activities {
		if a.Workspace == s.doc.Workspace && a.Person == s.doc.Ordinal {
			rows = append(rows, a)
		}
	}
	slices.SortFunc(rows, bySeq)
	for _, a := range rows {
		if min(a.At, a.Received) < w.now-mergeRetain || !isEvent(a.Type) && a.Type != event.Message && a.Type != event.Form {
			continue
		}
		if b.inherit(w, p, a) != "" {
			events++
		}
	}
	return events
}

// depart takes a person whom nothing refers to any more out of the workspace.
func (b *batch) depart(s *subject) {
	for _, bm := range s.t.bitmaps() {
		b.p.pieces.remove(s.t, bm, s.doc.Ordinal)
	}
	b.cancel(s.timer(timer.Segment, 0, s.doc.Due))
	for _, l := range s.journeys {
		b.cancel(s.timer(timer.Journey, l.ID, l.Due))
	}
	s.gone = true
	b.c.DropPeople = append(b.c.DropPeople, DropPerson{s.doc.Ref, s.doc.LastActivity, s.doc.LastDecision})
}

// loadPast reads the latest history of the people whom merges may mean by their secondary.
func (b *batch) loadPast(ctx context.Context, tx Tx, works []*work) error {
	var heads []Head
	var refs []person.Ref
	b.meant(works, (*work).absorbs, func(w *work, s *subject) {
		if _, seen := b.past[s.doc.Ref]; seen {
			return
		}
		b.past[s.doc.Ref] = nil
		if s.doc.LastActivity != 0 {
			heads = append(heads, Head{Workspace: s.doc.Workspace, Seq: s.doc.LastActivity, Since: w.now - mergeRetain})
			refs = append(refs, s.doc.Ref)
		}
	})
	if len(heads) == 0 {
		return nil
	}
	rows, taken, err := tx.Past(ctx, heads, b.p.e.o.Histories)
	if err != nil {
		return err
	}
	for _, ref := range refs[taken:] {
		delete(b.past, ref)
	}
	for _, a := range rows {
		ref := person.Ref{Workspace: a.Workspace, Ordinal: a.Person}
		b.past[ref] = append(b.past[ref], a)
	}
	return nil
}

// absorbs names the secondary person of a merge.
func (w *work) absorbs() []person.Identifier {
	if w.secondary.Type == 0 {
		return nil
	}
	return []person.Identifier{w.secondary}
}

// ready reports whether everything that the op needs was loaded. It was not when ops before it in the batch have changed whom
// its identifiers mean, and there were too many whom they might, or when histories are too large together: the op has to wait
// for the next batch.
func (b *batch) ready(w *work) bool {
	if !b.relationsLoaded(w) || b.unread[w.anonymous] && b.keys[w.anonymous] == 0 {
		return false
	}
	s := b.find(w.t, w.secondary)
	if s == nil || !s.stored {
		return true
	}
	_, loaded := b.past[s.doc.Ref]
	return loaded
}

// withinMerges is how many of the works one batch may take: those with the first mergeStep merges.
func withinMerges(works []*work) int {
	merges := 0
	for i, w := range works {
		if w.secondary.Type == 0 {
			continue
		}
		if merges++; merges > mergeStep {
			return i
		}
	}
	return len(works)
}
