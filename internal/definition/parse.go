package definition

import (
	"fmt"

	"rapport.example/internal/fault"
	"rapport.example/internal/journey"
	"rapport.example/internal/message"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// ParseSegment reads a segment document: id, name, description, and either conditions or manual: true. Errors are of
// kind Invalid with the dotted path within the document.
func ParseSegment(doc value.Value) (*Segment, error) {
	if doc.Kind() != value.Object {
		return nil, fault.New(fault.Invalid, "a segment must be a mapping")
	}
	if err := journey.Only(doc, "", "id", "name", "description", "conditions", "manual", "archived"); err != nil {
		return nil, err
	}
	s := &Segment{}
	var err error
	if s.Slug, s.Name, s.Description, err = journey.Head(doc); err != nil {
		return nil, err
	}
	manual, conditions := doc.Get("manual"), doc.Get("conditions")
	if manual != nil && manual.Kind() != value.Bool {
		return nil, fault.Field("manual", "must be true or false")
	}
	archived := doc.Get("archived")
	if archived != nil && archived.Kind() != value.Bool {
		return nil, fault.Field("archived", "must be true or false")
	}
	s.Manual, s.Archived = value.Equal(manual, value.True), value.Equal(archived, value.True)
	switch {
	case s.Manual && conditions != nil:
		return nil, fault.Field("conditions", "a manual segment has no conditions: people are added and removed by hand")
	case !s.Manual && conditions == nil:
		return nil, fault.Field("conditions", "must be there, unless the segment is manual: true")
	case !s.Manual:
		s.Condition, err = Condition(conditions, "conditions")
	}
	if s.Archived { // its membership stands still
		s.Manual, s.Pending, s.Condition = true, true, nil
	}
	return s, err
}

// Condition reads a condition of people at any time, as segments have it, that stands at path. Errors are of kind Invalid and name the
// place within. What it refers to is not looked at.
func Condition(doc value.Value, path string) (*segment.Node, error) {
	n, err := segment.Parse(doc, path)
	if err == nil {
		err = noProperties(doc, path)
	}
	return n, err
}

// noProperties refuses conditions on the data of "the" event: a segment is about a person at any time, and no event is
// at hand. Those on the events that a condition counts stand in its where. v was parsed as a condition.
func noProperties(v value.Value, path string) error {
	if v.Get("property") != nil {
		return fault.Field(path, "a segment knows no event that this property could be of; write {event: name, where: {property: …}}")
	}
	for _, group := range [...]string{"all", "any", "none", "not"} {
		g := v.Get(group)
		if g.Kind() == value.Object {
			if err := noProperties(g, path+"."+group); err != nil {
				return err
			}
		}
		i := 0
		for e := range g.Elements() {
			if err := noProperties(e, fmt.Sprintf("%s.%s[%d]", path, group, i)); err != nil {
				return err
			}
			i++
		}
	}
	return nil
}

// ParseTransactional reads a transactional message: id, name, description and the fields of an email.
func ParseTransactional(doc value.Value) (*TransactionalMessage, error) {
	if doc.Kind() != value.Object {
		return nil, fault.New(fault.Invalid, "a transactional message must be a mapping")
	}
	t := &TransactionalMessage{}
	var err error
	if t.Slug, t.Name, t.Description, err = journey.Head(doc); err != nil {
		return nil, err
	}
	var email value.Builder
	if doc.Get("send_to_unsubscribed") == nil { // a receipt is not marketing: the vendor's default
		email.Set("send_to_unsubscribed", value.True)
	}
	for k, v := range doc.Fields() {
		if k != "id" && k != "name" && k != "description" {
			email.Set(k, v)
		}
	}
	t.Email, err = message.ParseEmail(email.Value(), "")
	return t, err
}
