package engine

import (
	"context"
	"fmt"
	"slices"

	"rapport.example/internal/delivery"
	"rapport.example/internal/event"
	"rapport.example/internal/id"
	"rapport.example/internal/journey"
	"rapport.example/internal/person"
	"rapport.example/internal/timer"
	"rapport.example/internal/value"
)

// trigger starts the running campaigns that listen to this event. Events older than 72 hours start none.
func (b *batch) trigger(s *subject, now int64, a event.Activity) error {
	var ev value.Value
	for _, c := range s.t.set.CampaignsByEvent(a.Name) {
		if c.State != journey.Running || a.Type != event.Track {
			continue
		}
		if now-a.At > event.TriggerAge {
			b.trace(s, Decision{
				At: now, Kind: "campaign", Subject: c.Slug, Version: c.Version, Campaign: c.ID, Outcome: "not started",
				Reason: "the event is older than 72 hours", Detail: object("event", a.Name, "timestamp", a.At/1000),
			})
			continue
		}
		if c.Trigger.Where != nil && !c.Trigger.Where.Eval(facts{s, a.Data}, now).Match {
			reason, detail := explain(c.Trigger.Where, s, a.Data, now)
			b.trace(s, Decision{
				At: now, Kind: "campaign", Subject: c.Slug, Version: c.Version, Campaign: c.ID, Outcome: "not started",
				Reason: "the event's properties do not match: " + reason, Detail: detail,
			})
			continue
		}
		if ev == nil {
			data := a.Data
			if data == nil {
				data = value.Value("{}")
			}
			if ev = object("name", a.Name, "timestamp", a.At/1000, "data", data); a.ID != "" {
				ev = object("id", a.ID, "name", a.Name, "timestamp", a.At/1000, "data", data) // first: lists of messages look no further
			}
		}
		if err := b.begin(s, c, ev, now); err != nil {
			return err
		}
	}
	return nil
}

// look gives journeys whose entry filter was false another look, since the person changed.
func (b *batch) look(s *subject, now int64) error {
	for _, l := range slices.Clone(s.journeys) {
		if l.Status != journey.Retrying || l.ended {
			continue
		}
		c := s.t.set.Campaign(l.Campaign, l.Version)
		if c == nil {
			return fmt.Errorf("journey %d runs on version %d of campaign %d, which is not kept", l.ID, l.Version, l.Campaign)
		}
		if err := b.advance(s, c, l, journey.Changed, now); err != nil {
			return err
		}
	}
	return nil
}

// advance lets the campaign decide about one journey and carries its actions out as rows.
func (b *batch) advance(s *subject, c *journey.Campaign, l *live, what journey.Stimulus, now int64) error {
	if what != journey.Begin { // a version that the journey runs on is kept beyond the campaign's end
		cur := s.t.set.Campaign(l.Campaign, 0)
		if cur == nil || cur.State != journey.Running {
			b.end(s, l)
			b.trace(s, Decision{
				At: now, Kind: "campaign", Subject: c.Slug, Version: l.Version, Campaign: l.Campaign, Outcome: "exited",
				Reason: "the campaign was stopped while the person waited", Detail: nil,
			})
			return nil
		}
	}
	var entry person.Entry
	for _, e := range s.doc.Entries {
		if e.Campaign == l.Campaign {
			entry = e
		}
	}
	var properties value.Value
	if l.Event != nil {
		properties = l.Event.Get("data")
	}
	before := l.Journey
	next, acts := journey.Decide(c, l.Journey, what, entry, facts{s, properties}, now)
	l.Journey = next
	if next.Due != before.Due {
		b.cancel(s.timer(timer.Journey, l.ID, before.Due))
	}
	for _, a := range acts {
		subject := c.Slug
		kind := "campaign"
		if a.Node != "" {
			subject, kind = c.Slug+"/"+a.Node, "step"
		}
		switch a.Kind {
		case journey.Enter:
			b.entered(s, l.Campaign, now)
		case journey.Send:
			kind = "message"
			if err := b.enqueue(s, c, l, a, now); err != nil {
				return err
			}
		case journey.Schedule:
			b.schedule(s.t, s.timer(timer.Journey, l.ID, a.Due))
		case journey.Trace, journey.End:
		}
		if a.Outcome != "" {
			b.trace(s, Decision{At: now, Kind: kind, Subject: subject, Version: c.Version, Campaign: c.ID, Outcome: a.Outcome, Reason: a.Reason, Detail: a.Detail})
		}
	}
	if next.Status == 0 {
		b.end(s, l)
		return nil
	}
	if next.Status != before.Status || next.Node != before.Node || next.Due != before.Due || !l.stored {
		l.dirty = true
	}
	return nil
}

// end takes a journey out of the live ones, with its timer.
func (b *batch) end(s *subject, l *live) {
	l.ended = true
	s.journeys = slices.DeleteFunc(s.journeys, func(x *live) bool { return x == l })
	if l.stored {
		b.c.DropJourneys = append(b.c.DropJourneys, JourneyRef{s.t.ID, s.doc.Ordinal, l.ID})
	}
	b.cancel(s.timer(timer.Journey, l.ID, l.Due))
}

func (b *batch) entered(s *subject, campaign, now int64) {
	s.dirty = true
	for i := range s.doc.Entries {
		if e := &s.doc.Entries[i]; e.Campaign == campaign {
			e.Last, e.Times = now, e.Times+1
			return
		}
	}
	s.doc.Entries = append(s.doc.Entries, person.Entry{Campaign: campaign, Last: now, Times: 1})
}

// enqueue makes the delivery row of a message node. Its public id follows from journey, node and visit.
func (b *batch) enqueue(s *subject, c *journey.Campaign, l *live, a journey.Action, now int64) error {
	node, ok := c.Email(a.Node)
	if !ok {
		return fmt.Errorf("campaign %s has no message %s", c.Slug, a.Node)
	}
	d := delivery.Delivery{
		Workspace: s.t.ID, ID: b.next(s.t, "delivery"), Person: s.doc.Ordinal,
		Campaign: c.ID, Journey: l.ID, Action: a.Node, ActionID: node.ActionID, Visit: a.Visit, Version: c.Version,
		State: delivery.Queued, Due: b.real, Created: now,
		Metrics: object("created", now/1000),
	}
	d.Public = id.Delivery(b.p.e.o.Secret, s.t.ID, fmt.Sprintf("j:%d:%s:%d", l.ID, a.Node, a.Visit))
	if l.Event != nil {
		d.Data = object("event", l.Event)
	}
	b.c.NewDeliveries = append(b.c.NewDeliveries, d)
	s.t.queued = earlier(s.t.queued, d.Due)
	return nil
}

// timer is the person's timer of this kind, reference and due time.
func (s *subject) timer(kind timer.Kind, ref, due int64) timer.Timer {
	return timer.Timer{Workspace: s.t.ID, Person: s.doc.Ordinal, Kind: kind, Ref: ref, Due: due}
}

// schedule arms a timer.
func (b *batch) schedule(t *tenant, d timer.Timer) {
	a := b.timers[d]
	a.stands = true
	b.timers[d] = a
	b.push(d)
	t.timer = earlier(t.timer, d.Due)
}

// cancel takes a timer back, if there is one: Due is 0 where there is none.
func (b *batch) cancel(d timer.Timer) {
	if d.Due == 0 {
		return
	}
	a, known := b.timers[d]
	b.timers[d] = armed{stored: a.stored || !known}
}

// runDue fires the batch's timers of a workspace due at or before until, each at its own moment.
func (b *batch) runDue(t *tenant, until int64) error {
	h := b.heaps[t]
	for h != nil && h.Len() > 0 && (*h)[0].Due <= until {
		d := h.pop()
		if !b.timers[d].stands {
			continue
		}
		b.cancel(d)
		s := b.people[person.Ref{Workspace: t.ID, Ordinal: d.Person}]
		if s == nil || s.gone {
			continue
		}
		t.logNow = max(t.logNow, d.Due)
		if err := b.ring(s, d, t.logNow); err != nil {
			return err
		}
	}
	return nil
}

// ring is the stimulus "it is now this moment for this person". A segment timer that the document knows nothing of was armed by a
// build: it takes the place of the one that is known, and the document arms what comes next.
func (b *batch) ring(s *subject, d timer.Timer, now int64) error {
	if d.Kind == timer.Segment {
		b.cancel(s.timer(timer.Segment, 0, s.doc.Due))
		s.doc.Due, s.dirty = 0, true
		return b.settle(s, now, touched{all: true})
	}
	for _, l := range slices.Clone(s.journeys) {
		if l.ID != d.Ref || l.ended {
			continue
		}
		c := s.t.set.Campaign(l.Campaign, l.Version)
		if c == nil {
			return fmt.Errorf("journey %d runs on version %d of campaign %d, which is not kept", l.ID, l.Version, l.Campaign)
		}
		return b.advance(s, c, l, journey.Due, now)
	}
	return nil
}

// fire runs the workspace's timers due at or before until in steps, with everything that they set off, and returns how
// many steps it took. Only one step is run unless all is asked for by fireAll.
func (p *partition) fire(ctx context.Context, tx Tx, t *tenant, until int64) (more bool, err error) {
	due, err := tx.Timers(ctx, t.ID, until, timerStep)
	if err != nil {
		return false, err
	}
	edge := until
	if len(due) == timerStep {
		edge, more = due[len(due)-1].Due, true
	}
	b := p.newBatch()
	if err := b.load(ctx, tx, nil, due); err != nil {
		return false, err
	}
	if _, err := b.decide(nil, due, map[*tenant]int64{t: edge}); err != nil {
		return false, err
	}
	if err := b.write(ctx, tx); err != nil {
		return false, err
	}
	t.timer, err = tx.NextTimer(ctx, t.ID)
	return more || t.timer != 0 && t.timer <= until, err
}
