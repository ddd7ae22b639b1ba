package definition

import (
	"cmp"
	"maps"
	"slices"

	"rapport.example/internal/event"
	"rapport.example/internal/value"
)

// Build is the making of a segment's membership over everybody. While it lasts the version before answers, and only when the new
// membership is complete it takes the old one's place.
type Build struct {
	Workspace, Segment int64
	Began              int64 // generation at which it began; it may have begun anew since
	Gen                int64 // newest generation from which on people who change are evaluated for what is built
	Live               int64 // version that answers while State is not Finished; 0 = none, nobody is in the segment
	State              BuildState
	Built              int64 // generation from which on documents hold the membership that answers; bitmaps alone do for older ones
	Since              int64 // when that was finished, Unix ms of the workspace's clock
}

// BuildState says how far a build is. The values are stored: never renumber.
type BuildState int64

// The states, in order.
const (
	EventsQueued BuildState = 1
	CountEvents  BuildState = 2 // conditions on events are counted from history, for those who have any
	PeopleQueued BuildState = 3
	AskPeople    BuildState = 4 // everybody is evaluated
	Finished     BuildState = 5
)

// String is the App API's word.
func (s BuildState) String() string {
	switch s {
	case EventsQueued:
		return "events_queued"
	case CountEvents:
		return "events"
	case PeopleQueued:
		return "build_queued"
	case AskPeople:
		return "build"
	case Finished:
	}
	return "finished"
}

// Progress is how far the present state is, in percent, from the workspace's cursor and its end; running is false once the build is
// finished. Nothing of a state that is queued is done.
func (b *Build) Progress(sweep, end int64) (percent int64, running bool) {
	switch {
	case b.State == Finished:
		return 0, false
	case b.State == EventsQueued || b.State == PeopleQueued || end <= 1:
		return 0, true
	}
	return min(99, max(0, 100*(sweep-1)/(end-1))), true
}

// Counted says since when documents count an event condition.
type Counted struct {
	Key  uint64 // segment.FactSpec.Key
	Keep int    // how many of the newest times
	Born int64  // documents of this generation and later have all of it
}

// CompileBuilding compiles two sets of the rows: live, by which memberships answer, and next, as definitions are now. They are one and
// the same unless segments are being built. rows are the current ones, with the live versions of segments that are being built; what
// counted says of event conditions goes before what rows say. Both sets count the events of both. Errors are those of Compile.
func CompileBuilding(rows []Row, builds []Build, counted []Counted) (live, next *Set, err error) {
	if next, err = Compile(rows); err != nil {
		return nil, nil, err
	}
	building := map[int64]Build{}
	for _, b := range builds {
		if seg := next.Segment(b.Segment); seg != nil {
			seg.Built, seg.Since = b.Built, b.Since
			if b.State != Finished && !seg.Manual {
				seg.Building, building[b.Segment] = true, b
			}
		}
	}
	live = next
	if len(building) > 0 {
		if live, err = compileLive(rows, building, false); err != nil { // the old versions refer to what is no longer there
			if live, err = compileLive(rows, building, true); err != nil {
				return nil, nil, err
			}
		}
	}
	known := map[uint64]*Fact{}
	for _, set := range []*Set{next, live} {
		for k, f := range set.facts {
			if have := known[k]; have == nil || f.Keep > have.Keep || f.Keep == have.Keep && f.Born > have.Born {
				known[k] = f
			}
		}
	}
	for _, c := range counted {
		if f := known[c.Key]; f != nil && f.Keep == c.Keep {
			f.Born = c.Born
		}
	}
	for _, set := range []*Set{next, live} {
		set.count(known)
	}
	return live, next, nil
}

// compileLive compiles what answers while segments are built. still leaves all of those as they stand, whatever happens.
func compileLive(rows []Row, building map[int64]Build, still bool) (*Set, error) {
	old := map[int64]Row{}
	for _, r := range rows {
		if b, ok := building[r.ID]; ok && r.Kind == Segments && r.Version == b.Live && !still {
			old[r.ID] = r
		}
	}
	pending := map[int64]bool{}
	var use []Row
	for _, r := range rows {
		b, ok := building[r.ID]
		if !ok || r.Kind != Segments {
			use = append(use, r)
			continue
		}
		if !r.Current {
			continue
		}
		if o, ok := old[r.ID]; ok {
			o.Current = true
			use = append(use, o)
			continue
		}
		pending[b.Segment] = true
		var body value.Builder
		r.Body = body.Set("id", value.Quote(r.Slug)).Set("manual", value.True).Value()
		use = append(use, r)
	}
	set, err := Compile(use)
	if err != nil {
		return nil, err
	}
	for _, seg := range set.segments {
		if b, ok := building[seg.ID]; ok {
			seg.Built, seg.Since, seg.Pending = b.Built, b.Since, seg.Pending || pending[seg.ID]
		}
	}
	return set, nil
}

// count makes these the event conditions that are counted.
func (s *Set) count(facts map[uint64]*Fact) {
	s.facts, s.factsOf = facts, map[string][]*Fact{}
	for _, k := range slices.Sorted(maps.Keys(facts)) {
		f := facts[k]
		chain := event.ChainName(f.Type, f.Name)
		s.factsOf[chain] = append(s.factsOf[chain], f)
	}
}

// Replace is rows as they are once changed was saved, see Apply.
func Replace(rows, changed []Row) []Row {
	after := slices.Clone(rows)
	for i := range after {
		r := &after[i]
		r.Current = r.Current && !slices.ContainsFunc(changed, func(x Row) bool { return x.Kind == r.Kind && x.ID == r.ID })
	}
	for _, r := range changed {
		if r.Current = !r.Deleted; r.Current {
			after = append(after, r)
		}
	}
	return after
}

// Rebuild lists the segments of next whose membership is to be built anew, by numeric id: those whose condition is another one than
// before, those that refer to one of them, and if there are any, those that are being built already. A build that nothing changes goes on.
func Rebuild(before, next *Set) []*Segment {
	need := map[int64]bool{}
	for _, seg := range next.segments {
		if seg.Manual {
			continue
		}
		old := before.Segment(seg.ID)
		again := old == nil || old.Manual || string(old.Condition.Canonical()) != string(seg.Condition.Canonical())
		for _, slug := range seg.DependsOn {
			now, then := next.SegmentBySlug(slug), before.SegmentBySlug(slug)
			again = again || need[now.ID] || then == nil || then.ID != now.ID
		}
		if again {
			need[seg.ID] = true
		}
	}
	if len(need) == 0 {
		return nil
	}
	var out []*Segment
	for _, seg := range next.segments {
		if old := before.Segment(seg.ID); need[seg.ID] || old != nil && old.Building && !seg.Manual {
			out = append(out, seg)
		}
	}
	slices.SortFunc(out, func(a, b *Segment) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
