package definition

import (
	"strings"

	"rapport.example/internal/journey"
	"rapport.example/internal/message"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// Set is the compiled definitions of one workspace at one generation. It is immutable and safe for concurrent use; what
// its methods return must not be changed.
type Set struct {
	segments      []*Segment
	segmentByID   map[int64]*Segment
	segmentBySlug map[string]*Segment
	byAttribute   map[string][]*Segment
	byChain       map[string][]*Segment
	bySegment     map[string][]*Segment
	byDevice      []*Segment
	byObject      map[int64][]*Segment // by type

	campaigns []*journey.Campaign
	versions  map[campaignKey]*journey.Campaign // version 0 is the current one
	named     map[string]*journey.Campaign      // current ones by slug
	actions   map[int64]value.Value             // numbers of all steps that a campaign ever had, by slug
	byEvent   map[string][]*journey.Campaign

	senders           map[string]*message.Sender
	layouts           map[string]*message.Layout
	transactional     []*TransactionalMessage
	transactionalByID map[int64]*TransactionalMessage
	transactionalSlug map[string]*TransactionalMessage // by folded slug

	topics map[string]*Topic

	phone bool

	objects []int64                      // types that any condition looks at, ascending
	spreads map[segment.ObjectField]bool // what makes people of an object be looked at again when it changes

	facts   map[uint64]*Fact
	factsOf map[string][]*Fact // by event.ChainName
}

type campaignKey struct{ id, version int64 }

// Segment is the current version of a segment. Times are Unix ms of the workspace's clock.
type Segment struct {
	ID, Version, Gen        int64
	Created, Updated        int64
	Slug, Name, Description string
	Manual                  bool          // membership is changed by hand only; Condition is nil
	Condition               *segment.Node // never nil otherwise
	Order                   int           // index in Set.Segments: larger than that of every segment in DependsOn
	DependsOn               []string      // slugs of the segments that Condition refers to

	Built    int64 // Build.Built
	Since    int64 // Build.Since
	Building bool  // its membership is being made
	Pending  bool  // it stands still until that is done, or because it is archived: Manual, but nobody may change it
	Archived bool  // nothing may refer to it
}

// Fact is an event condition that some definition asks for, and so is counted per person.
type Fact struct {
	segment.FactSpec       // Keep is the largest that any definition asks for
	Born             int64 // newest generation among the definitions that ask for that Keep: documents behind it count anew from history
}

// TransactionalMessage is the current version of a transactional message. Times are Unix ms of the workspace's clock.
type TransactionalMessage struct {
	ID, Version             int64
	Created, Updated        int64
	Slug, Name, Description string
	Email                   *message.Email
}

// Topic is the topic with this author's id, nil if there is none.
func (s *Set) Topic(slug string) *Topic { return s.topics[slug] }

// ByPhone reports whether a phone number identifies people.
func (s *Set) ByPhone() bool { return s.phone }

// Segments lists all segments, manual ones included, each after those that its conditions refer to.
func (s *Set) Segments() []*Segment { return s.segments }

// Segment is the segment with this numeric id, nil if there is none.
func (s *Set) Segment(id int64) *Segment { return s.segmentByID[id] }

// SegmentBySlug is the segment with this author's id, nil if there is none.
func (s *Set) SegmentBySlug(slug string) *Segment { return s.segmentBySlug[slug] }

// SegmentsByAttribute lists the segments whose conditions mention this top-level attribute.
func (s *Set) SegmentsByAttribute(name string) []*Segment { return s.byAttribute[name] }

// SegmentsByChain lists the segments whose conditions count events of this chain (event.ChainName).
func (s *Set) SegmentsByChain(chain string) []*Segment { return s.byChain[chain] }

// SegmentsBySegment lists the segments whose conditions refer to the segment of this slug.
func (s *Set) SegmentsBySegment(slug string) []*Segment { return s.bySegment[slug] }

// SegmentsByDevice lists the segments whose conditions look at devices.
func (s *Set) SegmentsByDevice() []*Segment { return s.byDevice }

// SegmentsByObject lists the segments whose conditions look at objects of this type.
func (s *Set) SegmentsByObject(typ int64) []*Segment { return s.byObject[typ] }

// ObjectTypes are the types of objects that some condition looks at, of a segment or of a campaign that runs or ran, ascending. The
// list is not to be changed.
func (s *Set) ObjectTypes() []int64 { return s.objects }

// Spreads reports whether a change of this attribute of an object, or of its being there, can make the people who are related to it
// enter or leave a segment, or begin a campaign that they wait for.
func (s *Set) Spreads(f segment.ObjectField) bool { return s.spreads[f] }

// Campaigns lists the current campaigns by numeric id.
func (s *Set) Campaigns() []*journey.Campaign { return s.campaigns }

// Campaign is one version of a campaign, nil if it is not kept; version 0 is the current one, nil after a deletion.
func (s *Set) Campaign(id, version int64) *journey.Campaign {
	return s.versions[campaignKey{id, version}]
}

// CampaignsByEvent lists the current campaigns that this event triggers, in every state.
func (s *Set) CampaignsByEvent(name string) []*journey.Campaign { return s.byEvent[name] }

// Sender is the sender with this author's id, nil if there is none.
func (s *Set) Sender(slug string) *message.Sender { return s.senders[slug] }

// Layout is the layout with this author's id, nil if there is none.
func (s *Set) Layout(slug string) *message.Layout { return s.layouts[slug] }

// Transactional is the transactional message with this numeric id, nil if there is none.
func (s *Set) Transactional(id int64) *TransactionalMessage { return s.transactionalByID[id] }

// TransactionalBySlug is the transactional message with this author's id in any case, nil if there is none.
func (s *Set) TransactionalBySlug(slug string) *TransactionalMessage {
	return s.transactionalSlug[strings.ToLower(slug)]
}

// Transactionals lists the transactional messages by numeric id.
func (s *Set) Transactionals() []*TransactionalMessage { return s.transactional }

// Facts are all event conditions that are counted, by FactSpec.Key.
func (s *Set) Facts() map[uint64]*Fact { return s.facts }

// FactsOf lists the event conditions that count events of this chain (event.ChainName).
func (s *Set) FactsOf(chain string) []*Fact { return s.factsOf[chain] }
