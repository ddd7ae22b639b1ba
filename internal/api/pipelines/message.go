package pipelines

import (
	"crypto/sha256"
	"errors"
	"strings"

	"github.com/oklog/ulid/v2"

	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// message is one message: its members as they came, null counting as absent, and what was read of them.
type message struct {
	kind                            string
	userID, anonymousID, previousID value.Value
	groupID, messageID              value.Value
	event, name, category           value.Value
	traits, properties              value.Value
	context, integrations           value.Value
	timestamp, original, sentAt     value.Value

	by        ingest.By // whom it is about; the zero By for visitors
	anonymous string    // anonymousId, where it can be one
	at        int64     // when it happened by the server's clock, Unix seconds; 0 = now
}

// defaults are the members of a batch that hold for messages without them.
type defaults struct{ context, integrations, sentAt value.Value }

// read takes a message apart. Members that only go with it and are not what they should be are left out: dropped says so.
func (d defaults) read(kind string, v value.Value) (m *message, dropped error) {
	m = &message{kind: kind, context: d.context, integrations: d.integrations, sentAt: d.sentAt}
	for name, f := range v.Fields() {
		if f.Kind() == value.Null {
			continue
		}
		switch name {
		case "userId":
			m.userID = f
		case "anonymousId":
			m.anonymousID = f
		case "previousId":
			m.previousID = f
		case "groupId":
			m.groupID = f
		case "messageId":
			m.messageID = f
		case "event":
			m.event = f
		case "name":
			m.name = f
		case "category":
			m.category = f
		case "traits":
			m.traits = f
		case "properties":
			m.properties = f
		case "context":
			m.context = f
		case "integrations":
			m.integrations = f
		case "timestamp":
			m.timestamp = f
		case "originalTimestamp":
			m.original = f
		case "sentAt":
			m.sentAt = f
		}
	}
	for _, p := range []struct {
		field string
		v     *value.Value
		kind  value.Kind
	}{{"context", &m.context, value.Object}, {"integrations", &m.integrations, value.Object}, {"messageId", &m.messageID, value.String}} {
		switch (*p.v).Kind() {
		case p.kind:
		case value.Absent, value.Null:
			*p.v = nil // null of the batch
		default:
			*p.v = nil
			dropped = errors.Join(dropped, fault.Field(p.field, "must be %s", [...]string{value.Object: "an object", value.String: "a string"}[p.kind]))
		}
	}
	return m, dropped
}

// who reads whom the message is about: the userId, which names people as a path of the Track API does (cio_…, an email, else
// an id); without one, the email among the traits of an identify, or among those of the context. Without either it is a
// visitor's. An anonymousId that cannot be one costs a person's message nothing but itself: dropped says why.
func (m *message) who() (dropped, err error) {
	if !m.userID.Empty() {
		if m.by, err = identity("userId", m.userID); err != nil {
			return nil, err
		}
	} else {
		email := m.context.Get("traits").Get("email")
		if e := m.traits.Get("email"); m.kind == "identify" && !e.Empty() {
			email = e
		}
		if i, err := person.Check(person.Identifier{Type: person.ByEmail, Value: strings.TrimSpace(email.Text())}); email.Kind() == value.String && err == nil && person.LooksLikeEmail(i.Value) {
			m.by = ingest.ByIdentifier(i)
		}
	}
	if m.anonymousID.Empty() {
		if m.by == (ingest.By{}) {
			return nil, fault.Field("userId", "is required, or an anonymousId")
		}
		return nil, nil
	}
	i, err := checked("anonymousId", person.ByAnonymous, m.anonymousID)
	if m.anonymous = i.Value; err != nil {
		m.anonymous = ""
		if m.by != (ingest.By{}) {
			return err, nil
		}
	}
	return nil, err
}

// identity reads an identifier of a person in the forms that a path of the Track API has.
func identity(field string, v value.Value) (ingest.By, error) {
	if _, err := checked(field, person.ByID, v); err != nil {
		return ingest.By{}, err
	}
	i, err := person.ParsePath(v.Text())
	if err != nil {
		return ingest.By{}, at(field, err)
	}
	return ingest.ByIdentifier(i), nil
}

// checked reads an identifier; numbers are taken as their text.
func checked(field string, kind person.KeyType, v value.Value) (person.Identifier, error) {
	switch v.Kind() {
	case value.String, value.Number:
	case value.Absent, value.Null:
		return person.Identifier{}, fault.Field(field, "is required")
	default:
		return person.Identifier{}, fault.Field(field, "must be a string")
	}
	i, err := person.Check(person.Identifier{Type: kind, Value: v.Text()})
	if err != nil {
		return i, at(field, err)
	}
	return i, nil
}

// at is err about another field.
func at(field string, err error) error {
	e := *public(err)
	e.Field = field
	return &e
}

// person is the v2 identifiers of whom the message is about.
func (m *message) person() value.Value {
	var b value.Builder
	switch {
	case m.by.CIO != "":
		b.Set("cio_id", value.Quote(m.by.CIO))
	case m.by.Email != "":
		b.Set("email", value.Quote(m.by.Email))
	case m.by.ID != "":
		b.Set("id", value.Quote(m.by.ID))
	default:
		b.Set("anonymous_id", value.Quote(m.anonymous))
	}
	return b.Value()
}

// eventID is the id by which the same event is known when it is sent again: the messageId if it is a ULID, else a ULID of its
// hash without a time, for the message may say another time then.
func (m *message) eventID() string {
	s := m.messageID.Text()
	if s == "" {
		return ""
	}
	if u, err := ulid.ParseStrict(s); err == nil {
		return u.String()
	}
	var u ulid.ULID
	hash := sha256.Sum256([]byte(s))
	copy(u[6:], hash[:])
	return u.String()
}

// wanted reports whether the message is for this destination: integrations may name it, or switch all off.
func (m *message) wanted() bool {
	all := true
	for name, v := range m.integrations.Fields() {
		on, is := v.Bool()
		on = on || !is // options in its place switch a destination on
		switch {
		case strings.HasPrefix(name, "Customer.io"):
			return on
		case name == "All":
			all = on
		}
	}
	return all
}
