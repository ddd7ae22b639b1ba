package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// read reads the payloads of ops and the keys that they name. Ops of workspaces that are gone are left out.
func (p *partition) read(ctx context.Context, tx Tx, ops []*ingest.Op) ([]*work, error) {
	works := make([]*work, 0, len(ops))
	backing := make([]work, len(ops))
	for i, op := range ops {
		breathe(i)
		t, err := p.tenant(ctx, tx, op.Workspace)
		if err != nil {
			return nil, err
		}
		if t == nil {
			p.log.Warn("op of an unknown workspace dropped", "workspace", op.Workspace, "op", op.ID)
			continue
		}
		w := &backing[i]
		w.op, w.t, w.now = op, t, op.Received+t.Clock
		if err := w.read(); err != nil {
			return nil, err
		}
		works = append(works, w)
	}
	return works, nil
}

// read decodes the op and chooses what is done with it.
func (w *work) read() error {
	switch w.op.Kind {
	case ingest.Identify:
		pl := ingest.ReadIdentify(w.op.Payload)
		w.identifies(pl.By, pl.Attributes)
		rel, err := w.identifyRelates(&pl)
		if err != nil {
			return err
		}
		w.do = func(b *batch, w *work) error { return b.identifyAndRelate(w, pl, rel) }
	case ingest.Event:
		pl := ingest.ReadEvent(w.op.Payload)
		w.want(pl.By)
		w.named(pl.ID)
		if i := anonymousID(pl.Anonymous); i.Type != 0 && pl.By.Identifier().Type != 0 {
			w.receives(i)
		} else if i.Type != 0 {
			w.keys = append(w.keys, i.Key(w.t.ID))
		}
		w.do = func(b *batch, w *work) error { return b.event(w, pl) }
	case ingest.Delete, ingest.Suppress, ingest.Unsuppress:
		pl, err := ingest.Decode[ingest.PersonPayload](w.op)
		if err != nil {
			return err
		}
		w.want(pl.By)
		w.do = func(b *batch, w *work) error { return b.removal(w, pl.By) }
	case ingest.Merge:
		pl, err := ingest.Decode[ingest.MergePayload](w.op)
		if err != nil {
			return err
		}
		w.want(pl.Primary)
		w.want(pl.Secondary)
		w.primary, w.secondary = pl.Primary.Identifier(), pl.Secondary.Identifier()
		if pl.Alias && pl.Secondary.ID != "" {
			w.receives(person.Identifier{Type: person.ByAnonymous, Value: pl.Secondary.ID})
		}
		w.do = func(b *batch, w *work) error { return b.merge(w, pl) }
	case ingest.AddDevice, ingest.DeleteDevice:
		pl, err := ingest.Decode[ingest.DevicePayload](w.op)
		if err != nil {
			return err
		}
		w.want(pl.By)
		w.keys = append(w.keys, person.DeviceKey(w.t.ID, pl.Token))
		w.do = func(b *batch, w *work) error { return b.device(w, pl) }
	case ingest.SegmentAdd, ingest.SegmentDrop:
		pl, err := ingest.Decode[ingest.SegmentPayload](w.op)
		if err != nil {
			return err
		}
		for _, by := range pl.People {
			w.want(by)
		}
		w.do = func(b *batch, w *work) error { return b.membership(w, pl) }
	case ingest.Send:
		pl, err := ingest.Decode[ingest.SendPayload](w.op)
		if err != nil {
			return err
		}
		w.want(pl.By)
		w.do = func(b *batch, w *work) error { return b.send(w, pl) }
	case ingest.Outcome:
		pl, err := ingest.Decode[ingest.OutcomePayload](w.op)
		if err != nil {
			return err
		}
		w.refs = append(w.refs, DeliveryRef{w.t.ID, pl.Delivery})
		w.do = func(b *batch, w *work) error { return b.outcome(w, pl) }
	case ingest.Metric:
		pl, err := ingest.Decode[ingest.MetricPayload](w.op)
		if err != nil {
			return err
		}
		if pl.Public != "" {
			w.public = DeliveryKey{w.t.ID, pl.Public}
		} else {
			w.refs = append(w.refs, DeliveryRef{w.t.ID, pl.Delivery})
		}
		w.do = func(b *batch, w *work) error { return b.metric(w, pl) }
	case ingest.Object, ingest.DeleteObject:
		return w.readObject()
	case ingest.Relate, ingest.Unrelate:
		return w.readRelate()
	case ingest.Form:
		return w.readForm()
	case ingest.Refused:
		pl, err := ingest.Decode[ingest.RefusedPayload](w.op)
		if err != nil {
			return err
		}
		w.want(pl.By)
		w.do = func(b *batch, w *work) error { return b.refused(w, pl) }
	case ingest.Optouts:
		pl, err := ingest.Decode[ingest.OptoutPayload](w.op)
		if err != nil {
			return err
		}
		w.want(pl.By)
		w.do = func(b *batch, w *work) error { return b.optout(w, pl) }
	default:
		return fmt.Errorf("op %s has the unknown kind %d", w.op.ID, w.op.Kind)
	}
	return nil
}

// identifies names everybody whom an identify may be about.
func (w *work) identifies(by ingest.By, attributes value.Value) {
	w.want(by)
	for _, name := range w.t.identifying() {
		w.wantAttribute(attributes, name)
	}
	if i, ok := bodyIdentifier(attributes, "anonymous_id"); ok {
		w.receives(i)
	}
}

func (w *work) want(by ingest.By) {
	if i := by.Identifier(); i.Type != 0 {
		w.keys = append(w.keys, i.Key(w.t.ID))
	}
}

func (w *work) wantAttribute(attributes value.Value, name string) {
	if i, ok := bodyIdentifier(attributes, name); ok {
		w.keys = append(w.keys, i.Key(w.t.ID))
	}
}

// identifying names the attributes by which the workspace identifies people.
func (t *tenant) identifying() []string {
	if t.set.ByPhone() {
		return []string{"id", "email", "cio_id", "phone"}
	}
	return []string{"id", "email", "cio_id"}
}

// keyTypes are the attributes that identify somebody, or may.
var keyTypes = map[string]person.KeyType{"id": person.ByID, "email": person.ByEmail, "cio_id": person.ByCIO, "phone": person.ByPhone, "anonymous_id": person.ByAnonymous}

// bodyIdentifier is the identifier that an identify's attributes name; ok is false if it is absent or cannot be one.
func bodyIdentifier(attributes value.Value, name string) (person.Identifier, bool) {
	v := attributes.Get(name)
	if k := v.Kind(); v.Empty() || k != value.String && k != value.Number {
		return person.Identifier{}, false
	}
	t := keyTypes[name]
	if t == person.ByPhone {
		phone, ok := person.ParsePhone(v.Text())
		return person.Identifier{Type: t, Value: phone}, ok
	}
	i, err := person.Check(person.Identifier{Type: t, Value: v.Text()})
	if t == person.ByEmail {
		i.Value = strings.TrimSpace(i.Value)
		return i, err == nil && person.LooksLikeEmail(i.Value)
	}
	if t == person.ByCIO {
		i.Value = strings.TrimPrefix(i.Value, "cio_")
	}
	return i, err == nil
}

// find returns the person that by names, nil if there is none.
func (b *batch) find(t *tenant, i person.Identifier) *subject {
	if i.Type == 0 {
		return nil
	}
	ordinal := b.keys[i.Key(t.ID)]
	if ordinal == 0 {
		return nil
	}
	s := b.people[person.Ref{Workspace: t.ID, Ordinal: ordinal}]
	if s == nil || s.gone {
		return nil
	}
	return s
}

// next raises a workspace counter and returns its new value.
func (b *batch) next(t *tenant, counter string) int64 {
	t.counters[counter]++
	return t.counters[counter]
}

// create makes a person with these identifiers, which nobody has.
func (b *batch) create(t *tenant, now int64, ids ...person.Identifier) *subject {
	ordinal := uint32(b.next(t, "person"))
	d := &person.Document{Ref: person.Ref{Workspace: t.ID, Ordinal: ordinal}, CIO: b.p.cio(t.ID, ordinal), Created: now, Gen: t.Gen}
	s := &subject{b: b, t: t, doc: d, dirty: true}
	b.people[d.Ref] = s
	b.c.NewPeople = append(b.c.NewPeople, d.Ref)
	b.take(s, person.Identifier{Type: person.ByCIO, Value: d.CIO})
	for _, i := range ids {
		b.take(s, i)
	}
	return s
}

// take gives the person an identifier that is free.
func (b *batch) take(s *subject, i person.Identifier) {
	switch i.Type {
	case person.ByID:
		s.doc.ID = i.Value
	case person.ByEmail:
		s.doc.Email = i.Value
	case person.ByPhone:
		s.doc.Phone = i.Value
		s.doc.Attributes = slices.DeleteFunc(s.doc.Attributes, func(a person.Attribute) bool { return a.Name == "phone" })
	case person.ByCIO, person.ByAnonymous, person.ByDevice: // kept elsewhere in the document
	}
	b.keys[i.Key(s.t.ID)] = s.doc.Ordinal
	s.dirty = true
	b.puts[i.Key(s.t.ID)] = s.doc.Ordinal
}

// release frees an identifier.
func (b *batch) release(s *subject, i person.Identifier) {
	b.drop(i.Key(s.t.ID))
}

func (b *batch) drop(k person.Key) {
	b.keys[k] = 0
	delete(b.puts, k)
	b.drops[k] = true
}

// note appends an activity, to the person's chains if there is a person.
func (b *batch) note(t *tenant, s *subject, a event.Activity) {
	a.Workspace, a.Seq = t.ID, b.next(t, "activity")
	if s != nil {
		a.Person, a.Prev = s.doc.Ordinal, s.doc.LastActivity
		s.doc.LastActivity = a.Seq
		if name, ok := a.Chained(); ok {
			a.PrevNamed = s.chain(event.ChainName(a.Type, name), a.Seq)
		}
		s.dirty = true
	}
	b.c.Activities = append(b.c.Activities, a)
}

// chain makes seq the head of the named chain and returns the head before.
func (s *subject) chain(name string, seq int64) int64 {
	for i := range s.doc.Named {
		if s.doc.Named[i].Name == name {
			prev := s.doc.Named[i].Seq
			s.doc.Named[i].Seq = seq
			return prev
		}
	}
	s.doc.Named = append(s.doc.Named, person.Named{Name: name, Seq: seq})
	return 0
}

// trace appends a decision to the answer to "why".
func (b *batch) trace(s *subject, d Decision) {
	d.Workspace, d.Seq = s.t.ID, b.next(s.t, "decision")
	d.Person, d.Prev = s.doc.Ordinal, s.doc.LastDecision
	s.doc.LastDecision = d.Seq
	s.dirty = true
	b.c.Decisions = append(b.c.Decisions, d)
}

func text(s string) value.Value { return value.Quote(s) }

// object builds an object from name, value pairs.
func object(pairs ...any) value.Value {
	var b value.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		switch v := pairs[i+1].(type) {
		case value.Value:
			b.Set(pairs[i].(string), v)
		case string:
			b.Set(pairs[i].(string), text(v))
		case int64:
			b.Set(pairs[i].(string), value.Int(v))
		}
	}
	return b.Value()
}
