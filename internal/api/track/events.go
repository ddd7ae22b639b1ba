package track

import (
	"errors"
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

func (s *surface) event(c *api.Call) error {
	by, err := path(c)
	if err != nil {
		return err
	}
	p := ingest.EventPayload{By: by}
	return s.track(c, &p, false)
}

// anonymous accepts events of nobody yet. One without an anonymous id is an invite event of the vendor's.
func (s *surface) anonymous(c *api.Call) error {
	var p ingest.EventPayload
	return s.track(c, &p, true)
}

func (s *surface) track(c *api.Call, p *ingest.EventPayload, anonymous bool) error {
	r := s.read(c)
	v, err := r.body(c)
	if err != nil {
		return err
	}
	var kind value.Value
	if kind, err = r.event(v, "data", p); err != nil {
		return err
	}
	p.Type = uint8(typeOf(kind))
	if err := ownAddress(c, p.Data); err != nil {
		return err
	}
	if err := r.invite(v, p, anonymous); err != nil {
		return err
	}
	if id := v.Get("anonymous_id"); !absent(id) { // of a person's event, too: they receive it
		if p.Anonymous, err = text("anonymous_id", id, true, person.MaxID); err != nil && (anonymous || r.strict) {
			return err
		}
	}
	return s.done(c, ingest.Event, encodeEvent(p))
}

// ownAddress keeps agents from saying in an event who gets the campaign's mail and whom it comes from, which its data can.
func ownAddress(c *api.Call, data value.Value) error {
	if !c.ByAgent() {
		return nil
	}
	for name := range data.Fields() {
		switch name {
		case "recipient", "from_address", "reply_to":
			return fault.New(fault.Forbidden, "%s in the data of an event is not for agents: it changes who gets mail or whom it comes from", name)
		}
	}
	return nil
}

// invite refuses in strict mode an event that is nobody's and has no recipient either: nothing can come of it.
func (r reader) invite(v value.Value, p *ingest.EventPayload, anonymous bool) error {
	if !r.strict || !anonymous || !absent(v.Get("anonymous_id")) || !absent(p.Data.Get("recipient")) {
		return nil
	}
	return fault.Field("anonymous_id", "or data.recipient is required")
}

// event reads the members that v1 and v2 share, the data from the member data; kind is the member type. It reports every
// fault it finds, for the vendor's shape lists several.
func (r reader) event(v value.Value, data string, p *ingest.EventPayload) (kind value.Value, err error) {
	var errs []error
	fail := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	named := false
	for name, f := range v.Fields() {
		var err error
		switch name {
		case "name":
			named = true
			p.Name, err = eventName(f)
		case "type":
			kind = f
		case "id":
			p.ID, err = r.eventID("id", f)
		case "timestamp":
			p.Timestamp, err = r.timestamp("timestamp", f)
		case data:
			if p.Data, err = object(data, f); err == nil && len(p.Data) > event.MaxData {
				err = fault.Field(data, "is larger than %d bytes", event.MaxData)
			}
		}
		fail(err)
	}
	if !named {
		fail(fault.Field("name", "is required"))
	}
	return kind, errors.Join(errs...)
}

// eventName reads a name, trimmed before its length counts.
func eventName(v value.Value) (string, error) {
	s, err := text("name", v, false, MaxEvent)
	if err != nil {
		return "", err
	}
	if s = strings.TrimSpace(s); len(s) > event.MaxName {
		return "", fault.Field("name", "is longer than %d bytes", event.MaxName)
	}
	return s, nil
}

// typeOf reads an event's type; whatever is not page or screen is an event.
func typeOf(v value.Value) event.Type {
	switch v.Text() {
	case "page":
		return event.Page
	case "screen":
		return event.Screen
	default:
		return event.Track
	}
}
