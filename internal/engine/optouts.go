package engine

import (
	"cmp"
	"slices"

	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
)

// optout sets what somebody does not want to get any more, and from whom.
func (b *batch) optout(w *work, pl ingest.OptoutPayload) error {
	by := pl.By.Identifier()
	if b.blocked(w, by) {
		return nil
	}
	s := b.find(w.t, by)
	if s == nil {
		b.failed(w, nil, "there is nobody whose opt-outs could be changed", by)
		return nil
	}
	for _, o := range pl.Optouts {
		b.optouts[Optout{s.doc.Workspace, s.doc.Ordinal, o.Channel, o.From}] = o.Out
	}
	return nil
}

// receiveOptouts gives p the opt-outs of s: whoever opted out once, as either of the two, has opted out. Stored ones move with
// Move, so what was taken back before the merge has to go before that. It comes before receiveDeliveries.
func (b *batch) receiveOptouts(p, s *subject) {
	for o, out := range b.optouts {
		ofS := o.Workspace == s.doc.Workspace && o.Person == s.doc.Ordinal
		ofP := o.Workspace == p.doc.Workspace && o.Person == p.doc.Ordinal
		switch {
		case !ofS && !ofP:
		case !out:
			b.c.EarlyOptouts = append(b.c.EarlyOptouts, o)
			for _, m := range b.c.Moves { // who became this person earlier in this batch
				if m.Workspace == o.Workspace && m.To == o.Person {
					b.c.EarlyOptouts = append(b.c.EarlyOptouts, Optout{o.Workspace, m.From, o.Channel, o.From})
				}
			}
			delete(b.optouts, o)
		case ofS:
			delete(b.optouts, o)
			o.Person = p.doc.Ordinal
			b.optouts[o] = true
		}
	}
}

// optoutsOf is what this batch changes of opt-outs.
func (b *batch) optoutsOf() {
	for o, out := range b.optouts {
		switch s := b.people[person.Ref{Workspace: o.Workspace, Ordinal: o.Person}]; {
		case s != nil && s.gone: // their rows go with them
		case out:
			b.c.PutOptouts = append(b.c.PutOptouts, o)
		default:
			b.c.DropOptouts = append(b.c.DropOptouts, o)
		}
	}
	for _, list := range [...][]Optout{b.c.EarlyOptouts, b.c.DropOptouts, b.c.PutOptouts} {
		slices.SortFunc(list, compareOptouts)
	}
	b.c.EarlyOptouts = slices.Compact(b.c.EarlyOptouts)
}

func compareOptouts(x, y Optout) int {
	return cmp.Or(cmp.Compare(x.Workspace, y.Workspace), cmp.Compare(x.Person, y.Person), cmp.Compare(x.Channel, y.Channel), cmp.Compare(x.From, y.From))
}
