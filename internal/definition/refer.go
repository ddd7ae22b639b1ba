package definition

import (
	"slices"
	"strings"

	"rapport.example/internal/fault"
	"rapport.example/internal/message"
	"rapport.example/internal/segment"
)

// order sorts the segments so that each comes after those that it refers to, and otherwise by numeric id; it fills the
// look-ups by what conditions mention. A reference to a segment that is not there, and a circle, are refused by name.
func (c *compiler) order() error {
	s := c.set
	given := s.segments
	for _, seg := range given {
		if seg.Condition == nil {
			continue
		}
		if err := c.set.MayAsk(seg.Condition); err != nil {
			return at(Segments, seg.Slug, err)
		}
		m := seg.Condition.Mentions()
		seg.DependsOn = m.Segments
		for _, a := range m.Attributes {
			s.byAttribute[a] = append(s.byAttribute[a], seg)
		}
		for _, ch := range m.Chains {
			s.byChain[ch] = append(s.byChain[ch], seg)
		}
		for _, slug := range m.Segments {
			s.bySegment[slug] = append(s.bySegment[slug], seg)
		}
		if m.Devices {
			s.byDevice = append(s.byDevice, seg)
		}
		for _, f := range m.Objects {
			if f.Name == "" {
				s.byObject[f.Type] = append(s.byObject[f.Type], seg)
			}
		}
	}
	s.segments = make([]*Segment, 0, len(given))
	v := visitor{set: s, state: map[*Segment]bool{}}
	for _, seg := range given {
		if err := v.visit(seg); err != nil {
			return err
		}
	}
	return nil
}

// visitor walks references depth first. state is false while a segment is on the path, true when it is placed.
type visitor struct {
	set   *Set
	state map[*Segment]bool
	path  []string
}

func (v *visitor) visit(seg *Segment) error {
	placed, seen := v.state[seg]
	if placed {
		return nil
	}
	v.path = append(v.path, seg.Slug)
	if seen {
		circle := v.path[slices.Index(v.path, seg.Slug):]
		return at(Segments, seg.Slug, fault.Field(reference(seg, circle[1]), "segments refer to each other in a circle: %s", strings.Join(circle, " → ")))
	}
	v.state[seg] = false
	for _, slug := range seg.DependsOn {
		if err := v.visit(v.set.segmentBySlug[slug]); err != nil {
			return err
		}
	}
	v.path = v.path[:len(v.path)-1]
	v.state[seg] = true
	seg.Order = len(v.set.segments)
	v.set.segments = append(v.set.segments, seg)
	return nil
}

// reference is the place of a segment's condition that refers to another one.
func reference(seg *Segment, slug string) string {
	for _, n := range seg.Condition.Names() {
		if n.Segment == slug {
			return n.At
		}
	}
	return "conditions"
}

// references refuses current campaigns and transactional messages that name a segment, sender or layout that is not there.
func (c *compiler) references() error {
	for _, j := range c.set.campaigns {
		if err := c.set.MayAsk(j.Filter); err != nil {
			return at(Campaigns, j.Slug, err)
		}
		if slug := j.Trigger.Segment; slug != "" && c.set.segmentBySlug[slug] == nil {
			return at(Campaigns, j.Slug, fault.Field("trigger.enters_segment", "there is no segment %s%s", slug, c.meant(slug)))
		}
		if seg := c.set.segmentBySlug[j.Trigger.Segment]; seg != nil && seg.Archived {
			return at(Campaigns, j.Slug, fault.Field("trigger.enters_segment", "segment %s is archived", seg.Slug))
		}
		for _, n := range j.Nodes {
			for _, a := range n.Arms {
				if err := c.set.MayAsk(a.If); err != nil {
					return at(Campaigns, j.Slug, err)
				}
			}
			if n.Email == nil {
				continue
			}
			if err := c.email(n.Path+".email.", n.Email); err != nil {
				return at(Campaigns, j.Slug, err)
			}
		}
	}
	for _, t := range c.set.transactional {
		if err := c.email("", t.Email); err != nil {
			return at(Transactionals, t.Slug, err)
		}
	}
	return nil
}

// MayAsk refuses a condition that names a segment that is not there or archived, with the place of the name.
func (s *Set) MayAsk(n *segment.Node) error {
	for _, name := range n.Names() {
		switch slug := name.Segment; {
		case slug == "":
		case s.segmentBySlug[slug] == nil:
			return fault.Field(name.At, "there is no segment %s%s", slug, did(slug, s.segmentBySlug))
		case s.segmentBySlug[slug].Archived:
			return fault.Field(name.At, "segment %s is archived", slug)
		}
	}
	return nil
}

// email checks sender and layout. A From with an @ or Liquid in it is an address of its own.
func (c *compiler) email(path string, e *message.Email) error {
	if e.From != "" && !strings.ContainsAny(e.From, "@{") && c.set.senders[e.From] == nil {
		return fault.Field(path+"from", "there is no sender %s%s", e.From, did(e.From, c.set.senders))
	}
	if e.Layout != "" && c.set.layouts[e.Layout] == nil {
		return fault.Field(path+"layout", "there is no layout %s%s", e.Layout, did(e.Layout, c.set.layouts))
	}
	if e.Topic != "" && c.set.topics[e.Topic] == nil {
		return fault.Field(path+"topic", "there is no topic %s%s", e.Topic, did(e.Topic, c.set.topics))
	}
	return nil
}

func (c *compiler) meant(slug string) string { return did(slug, c.set.segmentBySlug) }

// did is ", did you mean x?" where one of the known names is close.
func did[T any](slug string, known map[string]T) string {
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, k)
	}
	slices.Sort(names)
	if near := fault.Nearest(slug, names); near != "" {
		return ", did you mean " + near + "?"
	}
	return ""
}
