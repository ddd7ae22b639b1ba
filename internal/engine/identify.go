package engine

import (
	"strings"

	"rapport.example/internal/event"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

func (p *partition) cio(workspace int64, ordinal uint32) string {
	return id.CIO(p.e.o.Secret, workspace, ordinal)
}

// identify finds or creates the person and sets attributes (track-api §5). What cannot be applied leaves an activity.
func (b *batch) identify(w *work, pl ingest.IdentifyPayload) error {
	path := pl.By.Identifier()
	body := map[person.KeyType]person.Identifier{}
	for _, name := range w.t.identifying() {
		if i, ok := bodyIdentifier(pl.Attributes, name); ok {
			body[i.Type] = i
		}
	}
	if b.blocked(w, path) {
		return nil
	}
	if pl.Only != "" && b.exists(w, path, body) != (pl.Only == ingest.OnlyExisting) {
		return nil
	}
	s := b.find(w.t, path)
	created, names := false, []string(nil)
	if s == nil {
		var why string
		if s, why = b.adoptOrCreate(w, path, body, pl.UpdateOnly); s == nil {
			b.failed(w, nil, why, path)
			return nil
		}
		if created = s.doc.LastActivity == 0; !created && path.Type != person.ByCIO {
			names = append(names, b.gave(w, s, person.Identifier{Type: path.Type}, path))
		}
	}
	names = append(names, b.identifiers(w, s, pl.Attributes, path, body, created)...)
	changed := b.attributes(w, s, pl)
	if created {
		b.note(w.t, s, event.Activity{Type: event.Created, At: w.now, Received: w.now, Data: changes(changed)})
	} else if len(changed) > 0 {
		b.note(w.t, s, event.Activity{Type: event.AttributeChange, At: w.now, Received: w.now, Data: changes(changed)})
	}
	for _, c := range changed {
		names = append(names, c.name)
	}
	if created || len(names) > 0 {
		if err := b.settle(s, w.now, touched{attributes: names, all: created}); err != nil {
			return err
		}
	}
	return b.receiveFrom(w, s, pl.Attributes)
}

// exists reports whether an identify would find somebody, by its path or, as adoptOrCreate has it, by its body.
func (b *batch) exists(w *work, path person.Identifier, body map[person.KeyType]person.Identifier) bool {
	if b.find(w.t, path) != nil {
		return true
	}
	for _, i := range body {
		if s := b.find(w.t, i); i.Type != path.Type && s != nil && (path.Type == 0 || !s.has(path.Type)) {
			return true
		}
	}
	return false
}

// adoptOrCreate answers who is meant when nobody has the path's identifier: the person whom the body names, or a new one.
func (b *batch) adoptOrCreate(w *work, path person.Identifier, body map[person.KeyType]person.Identifier, updateOnly bool) (*subject, string) {
	for _, t := range [...]person.KeyType{person.ByCIO, person.ByID, person.ByEmail, person.ByPhone} {
		i, ok := body[t]
		if !ok || i.Type == path.Type {
			continue
		}
		s := b.find(w.t, i)
		if s == nil {
			if t == person.ByCIO {
				return nil, "no person has this cio_id"
			}
			continue
		}
		if s.has(path.Type) && path.Type != 0 {
			continue // that person keeps the identifier they have: the path means somebody new
		}
		if path.Type == person.ByID || path.Type == person.ByEmail || path.Type == person.ByPhone {
			b.take(s, path)
		}
		return s, ""
	}
	switch {
	case path.Type == person.ByCIO:
		return nil, "no person has this cio_id"
	case updateOnly:
		return nil, "_update is set and nobody matches"
	case path.Type == 0 && len(body) == 0:
		return nil, "no identifier"
	}
	ids := []person.Identifier{}
	if path.Type != 0 {
		ids = append(ids, path)
	}
	return b.create(w.t, w.now, ids...), ""
}

func (s *subject) has(t person.KeyType) bool {
	switch t {
	case person.ByID:
		return s.doc.ID != ""
	case person.ByEmail:
		return s.doc.Email != ""
	case person.ByPhone:
		return s.doc.Phone != ""
	default:
		return t == person.ByCIO
	}
}

// identifiers sets the body's identifiers where they are free and returns the names of those that changed. Changing one
// that is set takes the cio id in the path; an identifier of somebody else is never moved. Both leave a failed attribute
// change, as does a value that cannot be an identifier.
func (b *batch) identifiers(w *work, s *subject, attributes value.Value, path person.Identifier, body map[person.KeyType]person.Identifier, created bool) (names []string) {
	if i, ok := body[person.ByCIO]; ok && i.Value != s.doc.CIO {
		b.failed(w, s, "cio_id is not this person's", person.Identifier{})
	}
	for _, t := range [...]person.KeyType{person.ByID, person.ByEmail, person.ByPhone} {
		if t == person.ByPhone && !s.t.set.ByPhone() {
			continue
		}
		name := idNames[t]
		i, ok := body[t]
		if !ok {
			if !attributes.Get(name).Empty() {
				b.failed(w, s, name+" has a value that cannot be one", person.Identifier{})
			}
			continue
		}
		old := person.Identifier{Type: t, Value: s.doc.ID}
		switch t {
		case person.ByEmail:
			old.Value = s.doc.Email
		case person.ByPhone:
			old.Value = s.doc.Phone
		default:
		}
		same := old.Key(s.t.ID) == i.Key(s.t.ID) && old.Value != ""
		owner := b.find(s.t, i)
		switch {
		case same && t == person.ByEmail && old.Value != i.Value: // another spelling of the same email
			s.doc.Email, s.dirty = i.Value, true
			names = append(names, name)
		case same:
		case owner != nil:
			b.failed(w, s, name+" belongs to another person", person.Identifier{}) // whose it is must not outlive them here
		case b.isSuppressed(i.Key(s.t.ID)):
			b.failed(w, s, name+" is suppressed", person.Identifier{})
		case old.Value != "" && path.Type != person.ByCIO:
			b.failed(w, s, name+" is set already; changing it takes cio_… in the path", i)
		default:
			if old.Value != "" {
				b.release(s, old)
			} else if t == person.ByPhone {
				old.Value = s.doc.Get(name).Text() // a plain attribute from before phones identified
			}
			b.take(s, i)
			if !created {
				names = append(names, b.gave(w, s, old, i))
			}
		}
	}
	return names
}

var idNames = [...]string{person.ByID: "id", person.ByEmail: "email", person.ByCIO: "cio_id", person.ByPhone: "phone", person.ByAnonymous: "anonymous_id", person.ByDevice: "device"}

// gave notes that the person has an identifier from now on, and returns its name.
func (b *batch) gave(w *work, s *subject, old, i person.Identifier) string {
	name := idNames[i.Type]
	b.note(s.t, s, event.Activity{
		Type: event.AttributeChange, At: w.now, Received: w.now, Data: object(name, object("from", orNull(old.Value), "to", text(i.Value))),
	})
	return name
}

func orNull(s string) value.Value {
	if s == "" {
		return value.NullValue
	}
	return text(s)
}

// blocked reports whether the identifier is suppressed or is none here, in which case the op does nothing but leave a trace.
func (b *batch) blocked(w *work, i person.Identifier) bool {
	if i.Type == person.ByPhone && !w.t.set.ByPhone() { // the setting changed since the op was acknowledged
		b.failed(w, nil, "phone does not identify people in this workspace", person.Identifier{})
		return true
	}
	if i.Type == 0 || !b.isSuppressed(i.Key(w.t.ID)) {
		return false
	}
	b.failed(w, nil, "the identifier is suppressed", person.Identifier{})
	return true
}

func (b *batch) isSuppressed(k person.Key) bool {
	return len(b.suppressed) > 0 && b.suppressed[string(b.p.hash(k))]
}

// failed leaves an activity that says why an accepted op, or a part of it, was not applied. One of nobody names no id or
// email: whoever gets it later could be deleted, and the activity would stay.
func (b *batch) failed(w *work, s *subject, why string, i person.Identifier) {
	t := event.FailedChange
	if w.op.Kind == ingest.Event {
		t = event.FailedEvent
	}
	pairs := []any{"reason", why, "op", w.op.ID}
	if i.Type == person.ByCIO || i.Type != 0 && s != nil {
		pairs = append(pairs, idNames[i.Type], i.Value)
	}
	b.note(w.t, s, event.Activity{Type: t, At: w.now, Received: w.now, Data: object(pairs...)})
}

// refused notes why messages are not applied that were answered as if they were.
func (b *batch) refused(w *work, pl ingest.RefusedPayload) error {
	t := event.FailedChange
	if pl.Event {
		t = event.FailedEvent
	}
	pairs := []any{"reason", pl.Reason, "op", w.op.ID}
	if pl.Count > 1 {
		pairs = append(pairs, "count", pl.Count)
	}
	b.note(w.t, b.find(w.t, pl.By.Identifier()), event.Activity{Type: t, At: w.now, Received: w.now, Data: object(pairs...)})
	return nil
}

type change struct {
	name     string
	from, to value.Value
}

func changes(list []change) value.Value {
	if len(list) == 0 {
		return nil
	}
	var b value.Builder
	for _, c := range list {
		from, to := c.from, c.to
		if from == nil {
			from = value.NullValue
		}
		if to == nil {
			to = value.NullValue
		}
		b.Set(c.name, object("from", from, "to", to))
	}
	return b.Value()
}

// attributes sets and removes attributes, each only if its write is not older than the one that is there.
func (b *batch) attributes(w *work, s *subject, pl ingest.IdentifyPayload) []change {
	at := pl.Timestamp
	if at == 0 {
		at = w.now / 1000
	}
	var out []change
	for name, v := range pl.Attributes.Fields() {
		switch {
		case name == "id" || name == "email" || name == "cio_id" || name == "_update" || name == "_timestamp" || name == "anonymous_id":
			continue
		case name == "phone" && w.t.set.ByPhone() && (s.doc.Phone != "" || !v.Empty()):
			continue // an identifier, which is not removed; a plain one from before may be
		case name == "phone" && s.doc.Phone != "":
			b.plainPhone(s)
		case name == "unsubscribed":
			if at < s.doc.UnsubscribedAt {
				b.failed(w, s, "attribute "+name+" was set later by another write", person.Identifier{})
				continue
			}
			on := truthy(v)
			if on != s.doc.Unsubscribed {
				out = append(out, change{name, value.OfBool(s.doc.Unsubscribed), value.OfBool(on)})
			}
			s.doc.Unsubscribed, s.doc.UnsubscribedAt, s.dirty = on, at, true
			continue
		case name == "" || len(name) > person.MaxAttributeName || strings.HasPrefix(name, "_"):
			b.failed(w, s, "attribute names are 1 to 150 bytes and do not start with _", person.Identifier{})
			continue
		case len(v.Text()) > person.MaxAttributeValue:
			b.failed(w, s, "attribute "+name+" is longer than 1000 bytes", person.Identifier{})
			continue
		}
		of, problem := person.ParsePreference(name, v)
		if problem != "" {
			b.failed(w, s, "attribute "+name+" "+problem, person.Identifier{})
			continue
		}
		c := change{name: name, to: v}
		var verdict person.Verdict
		if of {
			c.from, verdict = s.doc.SetPreference(name, v, at)
		} else {
			c.from, verdict = s.doc.Set(name, v, at)
		}
		switch verdict {
		case person.Changed:
			out = add(out, c, s)
			s.dirty = true
		case person.Full:
			b.failed(w, s, "a person has at most 300 attributes; "+name+" was left out", person.Identifier{})
		case person.Stale:
			b.failed(w, s, "attribute "+name+" was set later by another write", person.Identifier{})
		case person.Same:
			if v.Empty() && pl.Timestamp != 0 { // older writes than this one are still to come, or it would need no time
				s.doc.MarkRemoved(name, at)
			}
			s.dirty = true // its time moved
		}
	}
	return out
}

// add adds a change. Those of preferences, which several members make, become one of the whole.
func add(list []change, c change, s *subject) []change {
	if of, _ := person.ParsePreference(c.name, nil); of || c.name == person.Preferences {
		c.name, c.to = person.Preferences, s.doc.Get(person.Preferences)
		for i := range list {
			if list[i].name == c.name {
				list[i].to = c.to
				return list
			}
		}
	}
	return append(list, c)
}

// plainPhone makes an attribute of a phone that does not identify any more.
func (b *batch) plainPhone(s *subject) {
	phone := s.doc.Phone
	b.release(s, person.Identifier{Type: person.ByPhone, Value: phone})
	s.doc.Phone, s.dirty = "", true
	s.doc.Attributes = append(s.doc.Attributes, person.Attribute{Name: "phone", Value: text(phone)})
}

// truthy is the vendor's reading of unsubscribed: any-case "true", 1 and "1".
func truthy(v value.Value) bool {
	t := strings.ToLower(v.Text())
	return t == "true" || t == "1"
}
