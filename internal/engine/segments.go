package engine

import (
	"context"
	"slices"
	"strings"

	"rapport.example/internal/definition"
	"rapport.example/internal/event"
	"rapport.example/internal/journey"
	objects "rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
	"rapport.example/internal/timer"
	"rapport.example/internal/value"
)

// touched says what changed about a person, so that only what mentions it is looked at again.
type touched struct {
	attributes []string
	chains     []string
	segments   []string
	devices    bool
	objects    []int64         // types of objects: of one that the person is related to, of what the relationship has, or that there is one
	all        bool            // everything: a new person, or time has moved
	quiet      map[int64]int64 // segments whose entry starts no campaign
}

// mentioned calls add with the segments of a set whose conditions mention what changed.
func (what *touched) mentioned(set *definition.Set, add func([]*definition.Segment)) {
	if what.all {
		add(set.Segments())
	}
	for _, name := range what.attributes {
		add(set.SegmentsByAttribute(name))
	}
	for _, c := range what.chains {
		add(set.SegmentsByChain(c))
	}
	for _, slug := range what.segments {
		add(set.SegmentsBySegment(slug))
	}
	if what.devices {
		add(set.SegmentsByDevice())
	}
	for _, typ := range what.objects {
		add(set.SegmentsByObject(typ))
	}
}

// facts shows a person to conditions.
type facts struct {
	s    *subject
	data value.Value // of the triggering event, nil if there is none
}

// nextFacts shows a person to the conditions of segments that are being built: they see each other's new membership.
type nextFacts struct {
	facts
	pieces *pieceCache
}

// Member is part of segment.Subject.
func (f nextFacts) Member(slug string) bool {
	seg := f.s.t.next.SegmentBySlug(slug)
	if seg != nil && seg.Building {
		return f.pieces.has(f.s.t, nextOf(seg.ID), f.s.doc.Ordinal)
	}
	return f.facts.Member(slug)
}

// Attribute is part of segment.Subject.
func (f facts) Attribute(name string) value.Value { return f.s.doc.Get(name) }

// Data is part of segment.Subject.
func (f facts) Data() value.Value { return f.data }

// Devices is part of segment.Subject.
func (f facts) Devices() []person.Device { return f.s.doc.Devices }

// Related is part of segment.Subject.
func (f facts) Related(typ int64) []objects.Link { return f.s.b.linksOf(f.s, typ) }

// Fact is part of segment.Subject.
func (f facts) Fact(key uint64) person.Fact { return f.s.doc.Fact(key) }

// Member is part of segment.Subject.
func (f facts) Member(slug string) bool {
	seg := f.s.t.set.SegmentBySlug(slug)
	if seg == nil {
		return false
	}
	_, ok := f.s.doc.Member(seg.ID)
	return ok
}

// Since is part of segment.Subject.
func (f facts) Since() int64 { return f.s.doc.Since() }

// settle brings the person's segments up to what changed, dependents after what they depend on, and lets journeys that
// wait for their entry filter look again.
func (b *batch) settle(s *subject, now int64, what touched) error {
	var todo []*definition.Segment
	add := func(list []*definition.Segment) {
		for _, seg := range list {
			if !seg.Manual && !slices.Contains(todo, seg) {
				todo = append(todo, seg)
			}
		}
	}
	set := s.t.set
	what.mentioned(set, add)
	next := int64(0)
	for len(todo) > 0 {
		seg := first(&todo)
		r := seg.Condition.Eval(facts{s: s}, now)
		next = earlier(next, r.Next)
		if _, in := s.doc.Member(seg.ID); in == r.Match {
			continue
		}
		_, quiet := what.quiet[seg.ID]
		if err := b.move(s, seg, r.Match, now, "", seg.Condition, !quiet); err != nil {
			return err
		}
		add(set.SegmentsBySegment(seg.Slug))
		what.segments = append(what.segments[:len(what.segments):len(what.segments)], seg.Slug)
	}
	b.arm(s, now, earlier(next, b.settleNext(s, now, what)))
	return b.look(s, now)
}

// first takes the segment out that comes before the others in order.
func first(todo *[]*definition.Segment) *definition.Segment {
	i := 0
	for j := range *todo {
		if (*todo)[j].Order < (*todo)[i].Order {
			i = j
		}
	}
	seg := (*todo)[i]
	*todo = slices.Delete(*todo, i, i+1)
	return seg
}

// settleNext is settle for the segments that are being built, whose membership nobody sees yet. It answers the next moment. Who
// enters one of them now is remembered, so that campaigns can begin once it is built.
func (b *batch) settleNext(s *subject, now int64, what touched) (next int64) {
	t := s.t
	if t.next == t.set {
		return 0
	}
	var todo []*definition.Segment
	add := func(list []*definition.Segment) {
		for _, seg := range list {
			if seg.Building && !slices.Contains(todo, seg) {
				todo = append(todo, seg)
			}
		}
	}
	what.mentioned(t.next, add)
	for len(todo) > 0 {
		seg := first(&todo)
		r := seg.Condition.Eval(nextFacts{facts{s: s}, &b.p.pieces}, now)
		next = earlier(next, r.Next)
		if !b.moveNext(s, seg, r.Match) {
			continue
		}
		_, quiet := what.quiet[seg.ID]
		_, quietNext := what.quiet[nextOf(seg.ID)]
		if r.Match && !quiet && !quietNext {
			b.p.pieces.add(t, enteredOf(seg.ID), s.doc.Ordinal)
		}
		add(t.next.SegmentsBySegment(seg.Slug))
	}
	return next
}

// moveNext puts the person into a segment that is being built or takes them out, and reports whether that changed anything.
func (b *batch) moveNext(s *subject, seg *definition.Segment, in bool) bool {
	if b.p.pieces.has(s.t, nextOf(seg.ID), s.doc.Ordinal) == in {
		return false
	}
	if in {
		b.p.pieces.add(s.t, nextOf(seg.ID), s.doc.Ordinal)
	} else {
		b.p.pieces.remove(s.t, nextOf(seg.ID), s.doc.Ordinal)
		b.p.pieces.remove(s.t, enteredOf(seg.ID), s.doc.Ordinal)
	}
	return true
}

func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// arm sees to it that the person's one segment timer fires no later than next. It is never moved later: an early one
// fires, looks again and arms anew.
func (b *batch) arm(s *subject, now, next int64) {
	if next == 0 {
		return
	}
	next = max(next, now+1)
	if s.doc.Due == 0 || next < s.doc.Due {
		b.cancel(s.timer(timer.Segment, 0, s.doc.Due))
		s.doc.Due, s.dirty = next, true
		b.schedule(s.t, s.timer(timer.Segment, 0, next))
	}
}

// move puts the person into a segment or takes them out. With start, campaigns that wait for the entry begin.
func (b *batch) move(s *subject, seg *definition.Segment, in bool, now int64, reason string, cond *segment.Node, start bool) error {
	outcome := "left"
	if in {
		outcome = "entered"
		s.doc.Segments = append(s.doc.Segments, person.Membership{Segment: seg.ID, Since: now})
		b.p.pieces.add(s.t, seg.ID, s.doc.Ordinal)
	} else {
		s.doc.Segments = slices.DeleteFunc(s.doc.Segments, func(m person.Membership) bool { return m.Segment == seg.ID })
		b.p.pieces.remove(s.t, seg.ID, s.doc.Ordinal)
	}
	s.dirty = true
	var detail value.Value
	if cond != nil {
		reason, detail = explain(cond, s, nil, now)
	}
	b.trace(s, Decision{At: now, Kind: "segment", Subject: seg.Slug, Version: seg.Version, Outcome: outcome, Reason: reason, Detail: detail})
	if !in || !start {
		return nil
	}
	for _, c := range s.t.set.Campaigns() {
		if c.Trigger.Segment == seg.Slug && c.State == journey.Running {
			if err := b.begin(s, c, nil, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// explain says in one sentence why a condition is as it is, with each line's value as detail.
func explain(n *segment.Node, s *subject, properties value.Value, now int64) (string, value.Value) {
	var reasons []string
	var list []byte
	for _, l := range n.Explain(facts{s, properties}, now) {
		match := "false"
		if l.Match {
			match = "true"
		}
		if l.Value != "" {
			reasons = append(reasons, l.Sentence+": "+match+" ("+l.Value+")")
		}
		if list == nil {
			list = append(make([]byte, 0, 256), '[')
		} else {
			list = append(list, ',')
		}
		list = value.AppendQuote(append(list, `{"condition":`...), l.Sentence)
		list = value.AppendQuote(append(list, `,"value":`...), l.Value)
		list = append(append(list, `,"true":`...), match...)
		list = append(list, '}')
	}
	if list == nil {
		return n.Sentence(), nil
	}
	if len(reasons) == 0 {
		reasons = append(reasons, n.Sentence())
	}
	return strings.Join(reasons, "; "), append(list, ']')
}

// loadHistory reads the chains that documents behind the definitions need for conditions they have not counted yet.
func (b *batch) loadHistory(ctx context.Context, tx Tx, docs []*person.Document) error {
	heads := map[int64][]int64{}
	for _, d := range docs {
		t := b.p.tenants[d.Workspace]
		if t == nil || d.Gen >= t.Gen || b.recounted[d.Ref] != nil {
			continue
		}
		for _, n := range d.Named {
			for _, f := range t.set.FactsOf(n.Name) {
				if f.Born > d.Gen {
					heads[d.Workspace] = append(heads[d.Workspace], n.Seq)
					break
				}
			}
		}
	}
	for ws, list := range heads {
		slices.Sort(list)
		rows, err := tx.History(ctx, ws, list)
		if err != nil {
			return err
		}
		bySeq := make(map[int64]event.Activity, len(rows))
		for _, a := range rows {
			bySeq[a.Seq] = a
		}
		for _, head := range list {
			var chain []event.Activity
			for a, ok := bySeq[head]; ok; a, ok = bySeq[a.PrevNamed] {
				chain = append(chain, a)
			}
			b.history[historyKey{ws, head}] = chain
		}
	}
	return nil
}

// catchUp brings a document to the newest definitions: facts of conditions that are new to it from its history, memberships that were
// built since it was written from their bitmaps, and those that are being built by looking.
func (b *batch) catchUp(s *subject) error {
	d, t := s.doc, s.t
	if d.Gen >= t.Gen {
		return nil
	}
	now := t.caughtUp(b.real)
	b.recount(s)
	from := d.Gen
	d.Gen, s.dirty = t.Gen, true
	d.Segments = slices.DeleteFunc(d.Segments, func(m person.Membership) bool { return t.set.Segment(m.Segment) == nil })
	next := int64(0)
	for _, seg := range t.set.Segments() {
		if seg.Built <= from {
			continue
		}
		d.Adopt(seg.ID, b.p.pieces.has(t, seg.ID, d.Ordinal), seg.Since)
	}
	moved := map[string]bool{}
	for _, seg := range t.set.Segments() {
		if seg.Manual || seg.Built <= from && !slices.ContainsFunc(seg.DependsOn, func(slug string) bool { return moved[slug] }) {
			continue
		}
		r := seg.Condition.Eval(facts{s: s}, now)
		next = earlier(next, r.Next)
		if _, in := d.Member(seg.ID); in == r.Match {
			continue
		}
		moved[seg.Slug] = true
		if err := b.move(s, seg, r.Match, now, "", seg.Condition, !b.backfill); err != nil {
			return err
		}
	}
	if from < t.buildGen() {
		next = earlier(next, b.lookNext(s, max(t.logNow, b.real+t.Clock)))
	}
	b.arm(s, now, next)
	if b.backfill {
		return b.beginCurrent(s, from, moved, now)
	}
	return nil
}

// caughtUp is the moment as of which documents catch up with what was built: that of the newest op, or of the newest build if that was
// finished later. What happens to them after it comes with frames and timers, so that no answer which time has changed overtakes a frame. real is now.
func (t *tenant) caughtUp(real int64) int64 {
	at := t.logNow
	for _, b := range t.builds {
		at = max(at, b.Since)
	}
	if at == 0 {
		return real + t.Clock
	}
	return at
}

// recount counts for the person what their document has not counted yet, and forgets what nobody asks for any more.
func (b *batch) recount(s *subject) {
	d, t := s.doc, s.t
	if facts := b.recounted[d.Ref]; facts != nil {
		for _, f := range facts {
			d.Facts[s.fact(f.Key)] = f
		}
	} else {
		for _, n := range d.Named {
			for _, f := range t.set.FactsOf(n.Name) {
				if f.Born > d.Gen {
					d.Facts[s.fact(f.Key)] = segment.Rebuild(f.FactSpec, b.history[historyKey{d.Workspace, n.Seq}])
				}
			}
		}
	}
	known := t.set.Facts()
	d.Facts = slices.DeleteFunc(d.Facts, func(f person.Fact) bool { return known[f.Key] == nil })
}

// lookNext evaluates the person for the segments that are being built, for the first time since that began. What the build itself has
// written about the person already can have changed by time alone: that is an entry like any other.
func (b *batch) lookNext(s *subject, now int64) (next int64) {
	written := s.t.asked(s.doc.Ordinal)
	for _, seg := range s.t.next.Segments() {
		if !seg.Building {
			continue
		}
		r := seg.Condition.Eval(nextFacts{facts{s: s}, &b.p.pieces}, now)
		next = earlier(next, r.Next)
		if b.moveNext(s, seg, r.Match) && r.Match && written {
			b.p.pieces.add(s.t, enteredOf(seg.ID), s.doc.Ordinal)
		}
	}
	return next
}

// beginCurrent begins campaigns that asked for the people who are in their segment already: those that were started since, and those
// whose segment the person is in because it is another one now.
func (b *batch) beginCurrent(s *subject, from int64, moved map[string]bool, now int64) error {
	for _, c := range s.t.set.Campaigns() {
		slug := c.Trigger.Segment
		if !c.Trigger.Current || slug == "" || c.State != journey.Running || c.Started <= from && !moved[slug] || !(facts{s: s}).Member(slug) {
			continue
		}
		if err := b.begin(s, c, nil, now); err != nil {
			return err
		}
	}
	return nil
}

var _, _ segment.Subject = facts{}, nextFacts{}

// begin starts a journey, or traces why it does not start.
func (b *batch) begin(s *subject, c *journey.Campaign, ev value.Value, now int64) error {
	l := &live{Journey: journey.Journey{
		Workspace: s.t.ID, ID: b.next(s.t, "journey"), Person: s.doc.Ordinal,
		Campaign: c.ID, Version: c.Version, Entered: now, Event: ev,
	}}
	s.journeys = append(s.journeys, l)
	return b.advance(s, c, l, journey.Begin, now)
}
