package pipelines

import (
	"slices"
	"strings"

	"rapport.example/internal/api/track"
	"rapport.example/internal/delivery"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// reportDelivery is the event by which libraries tell what became of a message.
const reportDelivery = "Report Delivery Event"

// semantic are the event names that the vendor reserves for doing something: they are no events of the person. Every other
// one is recorded, also Report Content Event, for there is no content to report of.
var semantic = map[string]func(*message) (value.Value, error){
	"Device Created or Updated": device("add_device"),
	"Device Deleted":            device("delete_device"),
	"User Deleted":              user("delete"),
	"User Suppressed":           user("suppress"),
	"User Unsuppressed":         user("unsuppress"),
	"Relationship Deleted":      (*message).unrelate,
	"Object Deleted":            (*message).deleteObject,
}

// track records an event, or does what its name says.
func (m *message) track() (value.Value, error) {
	if act := semantic[m.event.Text()]; act != nil {
		return act(m)
	}
	data, err := object("properties", m.properties)
	if err != nil {
		return nil, err
	}
	return m.happening("event", m.event, data), nil
}

// mustKnow refuses messages of visitors.
func (m *message) mustKnow() error {
	if m.by == (ingest.By{}) {
		return fault.Field("userId", "is required")
	}
	return nil
}

func user(action string) func(*message) (value.Value, error) {
	return func(m *message) (value.Value, error) {
		if err := m.mustKnow(); err != nil {
			return nil, err
		}
		return m.start("person", action).Value(), nil
	}
}

// device adds or deletes the device of the context. The properties are its attributes.
func device(action string) func(*message) (value.Value, error) {
	return func(m *message) (value.Value, error) {
		if err := m.mustKnow(); err != nil {
			return nil, err
		}
		of := m.context.Get("device")
		if of.Kind() != value.Object {
			return nil, fault.Field("context.device", "is required")
		}
		var d value.Builder
		d.Set("token", of.Get("token"))
		if action == "add_device" {
			attributes, err := object("properties", m.properties)
			if err != nil {
				return nil, err
			}
			d.Set("platform", of.Get("type")).Set("attributes", attributes)
			if m.at != 0 {
				d.Set("last_used", value.Int(m.at))
			}
		}
		return m.start("person", action).Set("device", d.Value()).Value(), nil
	}
}

// group creates or updates an object, and relates the message's person or visitor to it.
func (m *message) group() (value.Value, error) {
	if m.groupID.Empty() {
		return nil, fault.Field("groupId", "is required")
	}
	traits, err := object("traits", m.traits)
	if err != nil {
		return nil, err
	}
	kind := traits.Get("object_type_id")
	if kind.Empty() {
		kind = traits.Get("objectTypeId")
	}
	var related value.Value
	if v := traits.Get("relationshipAttributes"); !v.Empty() {
		if related, err = object("traits.relationshipAttributes", v); err != nil {
			return nil, err
		}
	}
	action := "identify"
	if m.by == (ingest.By{}) {
		action = "identify_anonymous"
	}
	var relation value.Builder
	relation.Set("identifiers", m.person()).Set("relationship_attributes", related)
	b := about("object", action, objectID(m.groupID, kind))
	b.Set("attributes", attributes(traits, "object_type_id", "objectTypeId", "relationshipAttributes").Value())
	return b.Set("cio_relationships", list(relation.Value())).Value(), nil
}

// unrelate drops the relationship of the person to an object.
func (m *message) unrelate() (value.Value, error) {
	if err := m.mustKnow(); err != nil {
		return nil, err
	}
	named, err := m.object()
	if err != nil {
		return nil, err
	}
	var relation value.Builder
	relation.Set("identifiers", named)
	return m.start("person", "delete_relationships").Set("cio_relationships", list(relation.Value())).Value(), nil
}

func (m *message) deleteObject() (value.Value, error) {
	named, err := m.object()
	if err != nil {
		return nil, err
	}
	return about("object", "delete", named).Value(), nil
}

// object is the v2 identifiers of the object that the properties name.
func (m *message) object() (value.Value, error) {
	of := m.properties.Get("objectId")
	if of.Empty() {
		return nil, fault.Field("properties.objectId", "is required")
	}
	return objectID(of, m.properties.Get("objectTypeId")), nil
}

// objectID is the v2 identifiers of an object; its type is the first one unless it says.
func objectID(of, kind value.Value) value.Value {
	if kind.Empty() {
		kind = value.Quote("1")
	}
	var b value.Builder
	return b.Set("object_type_id", value.Quote(kind.Text())).Set("object_id", of).Value()
}

func about(kind, action string, identifiers value.Value) *value.Builder {
	b := &value.Builder{}
	return b.Set("type", value.Quote(kind)).Set("action", value.Quote(action)).Set("identifiers", identifiers)
}

func list(v value.Value) value.Value {
	return append(append(value.Value{'['}, v...), ']')
}

// reports says whether the message is a report of a delivery, which needs to name nobody.
func (m *message) reports() bool { return m.kind == "track" && m.event.Text() == reportDelivery }

// report makes a metric of a delivery's report. A recipient that is no address may be the token of a device.
func (m *message) report() (ingest.Kind, value.Value, error) {
	p := ingest.MetricPayload{Timestamp: m.at}
	var metric, recipient string
	for _, f := range []struct {
		name string
		to   *string
		most int
		must bool
	}{
		{"deliveryId", &p.Public, person.MaxID, true},
		{"metric", &metric, person.MaxID, true},
		{"recipient", &recipient, track.MaxToken, false},
		{"reason", &p.Reason, person.MaxAttributeValue, false},
		{"href", &p.Href, maxHref, false},
	} {
		v := m.properties.Get(f.name)
		*f.to = v.Text()
		switch {
		case v.Empty() && !f.must:
			*f.to = ""
		case v.Empty():
			return 0, nil, fault.Field("properties."+f.name, "is required")
		case v.Kind() != value.String || strings.ContainsRune(*f.to, 0):
			return 0, nil, fault.Field("properties."+f.name, "must be a string without NUL")
		case len(*f.to) > f.most:
			return 0, nil, fault.Field("properties."+f.name, "is longer than %d bytes", f.most)
		}
	}
	if p.Metric = strings.ToLower(metric); !slices.Contains(delivery.Metrics("email"), p.Metric) {
		return 0, nil, fault.Field("properties.metric", "must be one of %s", strings.Join(delivery.Metrics("email"), ", "))
	}
	if !person.LooksLikeEmail(recipient) {
		p.Device = recipient
	}
	p.Data = m.action()
	payload, err := ingest.Encode(p)
	return ingest.Metric, payload, err
}

// maxHref is the longest address that a report may name, in bytes.
const maxHref = 4 << 10

// action is what in-app messages tell of a click, nil if there is none.
func (m *message) action() value.Value {
	var b value.Builder
	b.Set("action_name", m.properties.Get("actionName")).Set("action_value", m.properties.Get("actionValue"))
	if v := b.Value(); len(v) > len("{}") {
		return v
	}
	return nil
}
