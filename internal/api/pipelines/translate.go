package pipelines

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"rapport.example/internal/api"
	"rapport.example/internal/api/track"
	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/value"
)

// translations write a message as an operation of the Track API v2.
var translations = map[string]func(*message) (value.Value, error){
	"identify": (*message).identify, "track": (*message).track, "page": (*message).page, "screen": (*message).screen,
	"group": (*message).group,
}

// batch takes the messages of a list.
func (t *taking) batch(list value.Value) {
	n := 0
	for v := range list.Elements() {
		t.take(n, v.Get("type").Text(), v)
		n++
	}
	if n == 0 {
		t.refuse(-1, ingest.RefusedPayload{}, fault.Field("batch", "must have at least one message"))
	}
}

// take makes one message an op, or notes why not.
func (t *taking) take(place int, kind string, v value.Value) {
	r := ingest.RefusedPayload{Event: kind == "track" || kind == "page" || kind == "screen"}
	switch {
	case v.Kind() != value.Object:
		t.refuse(place, r, fault.New(fault.Invalid, "a message must be a JSON object"))
		return
	case len(v) > MaxMessage:
		t.refuse(place, r, fault.New(fault.TooLarge, "the message is larger than %d bytes", MaxMessage))
		return
	}
	m, odd := t.d.read(kind, v)
	dropped, err := m.who()
	if r.By = m.by; err != nil && !m.reports() {
		t.refuse(place, r, err)
		return
	}
	t.refuse(place, r, odd)
	t.refuse(place, r, dropped)
	t.refuse(place, r, m.happened(t.c.Now, t.c.Strict()))
	if !m.wanted() {
		r.Reason = "integrations: switched off by the sender"
		t.note(r)
		return
	}
	op, payload, err := m.operation(t.c.Strict())
	if err != nil {
		t.refuse(place, r, m.renamed(err))
		return
	}
	t.add(op, payload)
}

// operation is the kind and payload of the message's op.
func (m *message) operation(strict bool) (ingest.Kind, value.Value, error) {
	switch {
	case m.kind == "alias":
		return m.alias()
	case m.reports():
		return m.report()
	}
	write := translations[m.kind]
	if write == nil {
		return 0, nil, fault.Field("type", "must be identify, track, page, screen, group or alias")
	}
	v, err := write(m)
	if err != nil {
		return 0, nil, err
	}
	return track.Parse(v, strict)
}

// identify sets attributes. createdAt is the vendor's created_at.
func (m *message) identify() (value.Value, error) {
	traits, err := object("traits", m.traits)
	if err != nil {
		return nil, err
	}
	if m.by == (ingest.By{}) {
		return nil, fault.Field("traits", "of a visitor are not kept: there is no userId and no email")
	}
	attributes := attributes(traits, "anonymous_id")
	if m.anonymous != "" {
		attributes.Set("anonymous_id", value.Quote(m.anonymous))
	} else {
		attributes.Set("anonymous_id", traits.Get("anonymous_id"))
	}
	b := m.start("person", "identify")
	return m.timed(b.Set("attributes", attributes.Value())).Value(), nil
}

// page records a view under the page's address, as the vendor does, else under its name.
func (m *message) page() (value.Value, error) {
	page := m.context.Get("page")
	return m.view("page", m.properties.Get("url"), page.Get("url"), m.name, page.Get("path"))
}

// screen records a view under the screen's name.
func (m *message) screen() (value.Value, error) {
	return m.view("screen", m.name, m.properties.Get("name"), m.context.Get("screen").Get("name"))
}

// view records a view under the first name that is there. One without any is called what it is. name and category are kept
// with the properties.
func (m *message) view(kind string, names ...value.Value) (value.Value, error) {
	data, err := object("properties", m.properties)
	if err != nil {
		return nil, err
	}
	name := kind
	for _, v := range names {
		if s := strings.TrimSpace(v.Text()); s != "" && v.Kind() == value.String {
			name = short(s)
			break
		}
	}
	b := without(data)
	if data.Get("name") == nil {
		b.Set("name", m.name)
	}
	if data.Get("category") == nil {
		b.Set("category", m.category)
	}
	return m.happening(kind, value.Quote(name), b.Value()), nil
}

// short cuts an address that is too long for a name: first what follows its path, then the rest. The properties keep it whole.
func short(name string) string {
	if len(name) <= event.MaxName {
		return name
	}
	if i := strings.IndexAny(name, "?#"); i > 0 {
		name = name[:i]
	}
	for len(name) > event.MaxName {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}

// happening is an event, page or screen view.
func (m *message) happening(action string, name, data value.Value) value.Value {
	b := m.start("person", action)
	if m.by != (ingest.By{}) && m.anonymous != "" {
		b.Set("anonymous_id", value.Quote(m.anonymous))
	}
	b.Set("name", name)
	if id := m.eventID(); id != "" {
		b.Set("id", value.Quote(id))
	}
	return m.timed(b).Set("attributes", data).Value()
}

// start begins an operation about the message's person.
func (m *message) start(kind, action string) *value.Builder {
	b := &value.Builder{}
	return b.Set("type", value.Quote(kind)).Set("action", value.Quote(action)).Set("identifiers", m.person())
}

func (m *message) timed(b *value.Builder) *value.Builder {
	if m.at != 0 {
		b.Set("timestamp", value.Int(m.at))
	}
	return b
}

// alias makes the person that previousId names a part of userId's; if nobody has it, userId's person receives it as an
// anonymous id.
func (m *message) alias() (ingest.Kind, value.Value, error) {
	if m.userID.Empty() {
		return 0, nil, fault.Field("userId", "is required")
	}
	secondary, err := identity("previousId", m.previousID)
	if err != nil {
		return 0, nil, err
	}
	payload, err := ingest.Encode(ingest.MergePayload{Primary: m.by, Secondary: secondary, Alias: true})
	return ingest.Merge, payload, err
}

// object reads an optional object.
func object(field string, v value.Value) (value.Value, error) {
	if v != nil && v.Kind() != value.Object {
		return nil, fault.Field(field, "must be an object")
	}
	return v, nil
}

// without begins an object with the members of another, but for some.
func without(v value.Value, names ...string) *value.Builder {
	b := &value.Builder{}
	for name, f := range v.Fields() {
		if !slices.Contains(names, name) {
			b.Set(name, f)
		}
	}
	return b
}

// attributes begins an object with the attributes that traits are, but for some. created_at, or createdAt in its place, is
// in Unix seconds.
func attributes(traits value.Value, names ...string) *value.Builder {
	at := traits.Get("created_at")
	if at == nil {
		at = traits.Get("createdAt")
	}
	return without(traits, append(names, "created_at", "createdAt")...).Set("created_at", seconds(at))
}

// renamed names in the faults of an operation the members of the message that they are about.
func (m *message) renamed(err error) error {
	list := api.Errors(err)
	for i, one := range list {
		e := *public(one)
		e.Field = m.member(e.Field)
		list[i] = &e
	}
	return errors.Join(list...)
}

// member is the member of the message that a field of its operation comes from.
func (m *message) member(field string) string {
	group := m.kind == "group"
	switch {
	case strings.HasSuffix(field, "identifiers.object_id") && group:
		return "groupId"
	case strings.HasSuffix(field, "identifiers.object_id"):
		return "properties.objectId"
	case strings.HasSuffix(field, "identifiers.object_type_id") && group:
		return "traits.object_type_id"
	case strings.HasSuffix(field, "identifiers.object_type_id"):
		return "properties.objectTypeId"
	case strings.HasSuffix(field, "relationship_attributes"):
		return "traits.relationshipAttributes"
	case field == "device.platform":
		return "context.device.type"
	case field == "name" && m.kind == "track":
		return "event"
	case field == "id":
		return "messageId"
	}
	first, rest, nested := strings.Cut(field, ".")
	switch {
	case first == "attributes" && (group || m.kind == "identify"):
		first = "traits"
	case first == "attributes":
		first = "properties"
	case first == "device":
		first = "context.device"
	case first == "identifiers" || strings.HasPrefix(first, "cio_relationships"):
		return "userId"
	}
	if nested {
		return first + "." + rest
	}
	return first
}
