package definition

import (
	"maps"
	"slices"

	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/journey"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// Seen are names that a workspace's data was seen with. The zero Seen has seen nothing, and finds nothing strange.
type Seen struct {
	attributes map[string]bool
	events     map[string]map[event.Type]bool
}

// Person adds the names of a person's attributes and events.
func (s *Seen) Person(d *person.Document) {
	for i := range d.Attributes {
		s.Attribute(d.Attributes[i].Name)
	}
	for _, n := range d.Named {
		if typ, name, ok := event.OfChain(n.Name); ok {
			s.Event(typ, name)
		}
	}
}

// Attribute adds the name of an attribute.
func (s *Seen) Attribute(name string) {
	if s.attributes == nil {
		s.attributes = map[string]bool{}
		for _, own := range [...]string{
			"id", "email", "cio_id", "anonymous_id", "phone", "unsubscribed", "created_at", "timezone", "language", person.Preferences, "_created_in_customerio_at",
		} {
			s.attributes[own] = true
		}
	}
	s.attributes[name] = true
}

// Event adds the name of an event, page or screen.
func (s *Seen) Event(typ event.Type, name string) {
	if s.events == nil {
		s.events = map[string]map[event.Type]bool{}
	}
	if s.events[name] == nil {
		s.events[name] = map[event.Type]bool{}
	}
	s.events[name][typ] = true
}

// Unseen warns of attributes and events that a condition looks at and that were never seen, with what is spelled alike. None of
// that is wrong: data may be on its way. Of what there is nothing seen at all it says nothing.
func (s *Seen) Unseen(n *segment.Node) []*fault.Error {
	var out []*fault.Error
	for _, name := range n.Names() {
		switch {
		case name.Event != "":
			out = s.event(out, name.At, name.Type, name.Event)
		case name.Segment == "" && len(s.attributes) > 0:
			starts := name.Attribute.Starts()
			if slices.ContainsFunc(starts, func(start string) bool { return s.attributes[start] }) {
				continue
			}
			top := starts[min(1, len(starts)-1)] // what stands before the first dot or bracket
			out = append(out, fault.Field(name.At, "nobody was seen with an attribute %s%s", top, meant(top, slices.Sorted(maps.Keys(s.attributes)))))
		}
	}
	return out
}

func (s *Seen) event(out []*fault.Error, at string, typ event.Type, name string) []*fault.Error {
	switch types := s.events[name]; {
	case len(s.events) == 0 || types[typ]:
		return out
	case len(types) > 0:
		other := slices.Sorted(maps.Keys(types))[0]
		return append(out, fault.Field(at, "no %s %s was seen; did you mean the %s of this name?", typ, value.Quote(name), other))
	}
	var known []string
	for _, n := range slices.Sorted(maps.Keys(s.events)) {
		if s.events[n][typ] {
			known = append(known, n)
		}
	}
	return append(out, fault.Field(at, "no %s %s was seen%s", typ, value.Quote(name), meant(name, known)))
}

func meant(name string, known []string) string {
	if near := fault.Nearest(name, known); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// UnseenBy is Unseen for definitions that are saved: the conditions of segments and campaigns, and the events that trigger these. The
// fields begin with kind and slug, as those of Check, which has taken the definitions.
func (s *Seen) UnseenBy(put []ingest.Definition) []*fault.Error {
	var out []*fault.Error
	for _, d := range put {
		var list []*fault.Error
		switch d.Kind {
		case Segments:
			if seg, err := ParseSegment(d.Body); err == nil {
				list = s.Unseen(seg.Condition)
			}
		case Campaigns:
			if c, err := journey.Parse(d.Body); err == nil {
				list = s.campaign(c)
			}
		}
		for _, f := range list {
			f.Field = d.Kind + "." + d.Slug + "." + f.Field
			out = append(out, f)
		}
	}
	return out
}

func (s *Seen) campaign(c *journey.Campaign) []*fault.Error {
	var out []*fault.Error
	if c.Trigger.Event != "" && len(s.events[c.Trigger.Event]) == 0 {
		out = s.event(out, "trigger.event", event.Track, c.Trigger.Event)
	}
	out = append(out, s.Unseen(c.Filter)...)
	for i := range c.Nodes {
		for _, a := range c.Nodes[i].Arms {
			out = append(out, s.Unseen(a.If)...)
		}
	}
	return out
}
