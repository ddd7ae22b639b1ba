package imports

import (
	"strconv"
	"strings"

	"github.com/oklog/ulid/v2"

	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// Op is what a row says, as an op's kind and payload. bad says why it says nothing, naming no value. It is strict: what one of
// the APIs takes and leaves out with an activity makes a row bad, for here somebody reads the reasons.
func (s *Spec) Op(fields value.Value) (kind ingest.Kind, payload any, bad string) {
	switch s.Type {
	case Events:
		p, bad := s.event(fields)
		return ingest.Event, p, bad
	case Objects:
		p, bad := s.object(fields)
		return ingest.Object, p, bad
	case Relationships:
		p, bad := s.relationship(fields)
		return ingest.Relate, p, bad
	default:
		p, bad := s.person(fields)
		return ingest.Identify, p, bad
	}
}

// needs names the members without which a row says nothing.
func (s *Spec) needs() []string {
	switch s.Type {
	case Events:
		return []string{s.Identifier, "name"}
	case Objects:
		return []string{"object_id"}
	case Relationships:
		return []string{s.Identifier, "object_id"}
	default:
		return []string{s.Identifier}
	}
}

// by reads whom a row is about.
func (s *Spec) by(fields value.Value) (ingest.By, string) {
	v := fields.Get(s.Identifier)
	if v.Empty() {
		return ingest.By{}, s.Identifier + " is missing"
	}
	if k := v.Kind(); k != value.String && k != value.Number {
		return ingest.By{}, s.Identifier + " must be text"
	}
	i := person.Identifier{Type: identifierTypes[s.Identifier], Value: v.Text()}
	switch i.Type {
	case person.ByEmail:
		if i.Value = strings.TrimSpace(i.Value); !person.LooksLikeEmail(i.Value) {
			return ingest.By{}, "email is not an address"
		}
	case person.ByCIO:
		i.Value = strings.TrimPrefix(i.Value, "cio_")
	default:
	}
	if _, err := person.Check(i); err != nil {
		return ingest.By{}, s.Identifier + " must be 1 to " + strconv.Itoa(person.MaxID) + " bytes"
	}
	return ingest.ByIdentifier(i), ""
}

// person reads attributes. Those whose names begin with _ are the vendor's own in files that it writes, and left out, as is a
// cio_id that does not identify: in another workspace nobody has it.
func (s *Spec) person(fields value.Value) (p ingest.IdentifyPayload, bad string) {
	if p.By, bad = s.by(fields); bad != "" {
		return p, bad
	}
	p.Only = only(s.Mode)
	var b value.Builder
	n := 0
	for name, v := range s.all(fields, "attributes") {
		switch {
		case name == "_timestamp":
			if p.Timestamp, bad = seconds(name, v); bad != "" {
				return p, bad
			}
			continue
		case name == s.Identifier || name == "cio_id" || strings.HasPrefix(name, "_"):
			continue
		case name == "id" || name == "email":
			if bad = otherIdentifier(name, v); bad != "" {
				return p, bad
			}
		case name == "" || len(name) > person.MaxAttributeName:
			return p, "has an attribute whose name is not 1 to 150 bytes long"
		case len(v.Text()) > person.MaxAttributeValue:
			return p, short(name) + " is longer than " + strconv.Itoa(person.MaxAttributeValue) + " bytes"
		}
		if _, problem := person.ParsePreference(name, v); problem != "" {
			return p, short(name) + " " + problem
		}
		if n++; n > person.MaxAttributes {
			return p, "has more than " + strconv.Itoa(person.MaxAttributes) + " attributes"
		}
		b.Set(name, v)
	}
	if n > 0 {
		p.Attributes = b.Value()
	}
	return p, ""
}

// otherIdentifier checks an identifier that is given as an attribute. An empty one changes nothing.
func otherIdentifier(name string, v value.Value) string {
	if v.Empty() {
		return ""
	}
	text := strings.TrimSpace(v.Text())
	_, err := person.Check(person.Identifier{Type: identifierTypes[name], Value: text})
	if k := v.Kind(); k != value.String && k != value.Number || err != nil || name == "email" && !person.LooksLikeEmail(text) {
		return name + " cannot be an identifier"
	}
	return ""
}

// all walks over the members of a row and, where one that is named as nested is an object, over its members in its place.
func (s *Spec) all(fields value.Value, nested string) func(yield func(string, value.Value) bool) {
	inner := fields.Get(nested)
	if inner.Kind() != value.Object {
		return fields.Fields()
	}
	return func(yield func(string, value.Value) bool) {
		for name, v := range fields.Fields() {
			if name != nested && inner.Get(name) == nil && !yield(name, v) {
				return
			}
		}
		for name, v := range inner.Fields() {
			if !yield(name, v) {
				return
			}
		}
	}
}

func only(m Mode) string {
	switch m {
	case OnlyNew:
		return ingest.OnlyNew
	case OnlyExisting:
		return ingest.OnlyExisting
	default:
		return ""
	}
}

// seconds reads a time: Unix seconds, or ISO 8601 text.
func seconds(name string, v value.Value) (int64, string) {
	if v.Empty() {
		return 0, ""
	}
	const most = 253402300799 // the end of the year 9999
	t, ok := v.Time()
	if !ok || t.Unix() < 1 || t.Unix() > most {
		return 0, name + " is not a time: write Unix seconds or ISO 8601"
	}
	return t.Unix(), ""
}

// event reads name, timestamp, event_id, and data: all that is left, and the members of data if that is an object.
func (s *Spec) event(fields value.Value) (p ingest.EventPayload, bad string) {
	if p.By, bad = s.by(fields); bad != "" {
		return p, bad
	}
	p.Type = uint8(event.Track)
	p.Name = strings.TrimSpace(fields.Get("name").Text())
	switch {
	case fields.Get("name").Empty() || p.Name == "":
		return p, "name is missing"
	case fields.Get("name").Kind() != value.String:
		return p, "name must be text"
	case len(p.Name) > event.MaxName:
		return p, "name is longer than " + strconv.Itoa(event.MaxName) + " bytes"
	}
	if p.Timestamp, bad = seconds("timestamp", fields.Get("timestamp")); bad != "" {
		return p, bad
	}
	if v := fields.Get("event_id"); !v.Empty() {
		u, err := ulid.ParseStrict(v.Text())
		if err != nil {
			return p, "event_id is not a ULID"
		}
		p.ID = u.String()
	}
	var b value.Builder
	n := 0
	inner := fields.Get("data")
	for name, v := range fields.Fields() {
		switch name {
		case s.Identifier, "name", "timestamp", "event_id", "":
			continue
		case "data":
			if inner.Kind() == value.Object {
				continue
			}
		}
		if inner.Get(name) == nil {
			b.Set(name, v)
			n++
		}
	}
	for name, v := range inner.Fields() {
		b.Set(name, v)
		n++
	}
	if n > 0 {
		p.Data = b.Value()
	}
	if len(p.Data) > event.MaxData {
		return p, "data is larger than " + strconv.Itoa(event.MaxData) + " bytes"
	}
	return p, ""
}

// thing reads which object a row is about.
func (s *Spec) thing(fields value.Value) (k object.Key, bad string) {
	k.Type = s.ObjectType
	if v := fields.Get("object_type_id"); !v.Empty() {
		n, err := strconv.ParseInt(v.Text(), 10, 64)
		if err != nil || n < 1 || n > object.MaxType {
			return k, "object_type_id is not the number of an object type"
		}
		k.Type = n
	}
	v := fields.Get("object_id")
	kind := v.Kind()
	switch {
	case k.Type == 0:
		return k, "object_type_id is missing"
	case v.Empty() || strings.TrimSpace(v.Text()) == "":
		return k, "object_id is missing"
	case kind != value.String && kind != value.Number:
		return k, "object_id must be text"
	case len(v.Text()) > object.MaxID:
		return k, "object_id is longer than " + strconv.Itoa(object.MaxID) + " bytes"
	}
	k.ID = v.Text()
	return k, ""
}

// object reads object_id, and attributes: all that is left.
func (s *Spec) object(fields value.Value) (p ingest.ObjectPayload, bad string) {
	if p.Object, bad = s.thing(fields); bad != "" {
		return p, bad
	}
	p.Only = only(s.Mode)
	if p.Timestamp, bad = seconds("_timestamp", fields.Get("_timestamp")); bad != "" {
		return p, bad
	}
	p.Attributes, bad = s.objectAttributes(fields, "")
	return p, bad
}

// relationship reads a person, an object, and the relationship's attributes: all that is left.
func (s *Spec) relationship(fields value.Value) (p ingest.RelatePayload, bad string) {
	if p.By, bad = s.by(fields); bad != "" {
		return p, bad
	}
	var r ingest.Relation
	if r.Object, bad = s.thing(fields); bad != "" {
		return p, bad
	}
	if p.Timestamp, bad = seconds("_timestamp", fields.Get("_timestamp")); bad != "" {
		return p, bad
	}
	r.Attributes, bad = s.objectAttributes(fields, s.Identifier)
	p.Relations = []ingest.Relation{r}
	return p, bad
}

func (s *Spec) objectAttributes(fields value.Value, by string) (value.Value, string) {
	var b value.Builder
	n := 0
	for name, v := range s.all(fields, "attributes") {
		if name == "object_id" || name == "object_type_id" || by != "" && name == by || strings.HasPrefix(name, "_") {
			continue
		}
		if why := object.Refusal(name, v); why != "" {
			return nil, short(why)
		}
		if n++; n > object.MaxAttributes {
			return nil, "has more than " + strconv.Itoa(object.MaxAttributes) + " attributes"
		}
		b.Set(name, v)
	}
	if n == 0 {
		return nil, ""
	}
	return b.Value(), ""
}
