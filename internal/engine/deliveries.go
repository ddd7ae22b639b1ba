package engine

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"rapport.example/internal/delivery"
	"rapport.example/internal/event"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/message"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// send makes the delivery row of a transactional message. An unknown person is created from the identifier.
func (b *batch) send(w *work, pl ingest.SendPayload) error {
	who := pl.By.Identifier()
	if b.blocked(w, who) {
		return nil
	}
	s := b.find(w.t, who)
	created := s == nil
	if created {
		if who.Type == person.ByCIO || who.Type == 0 {
			b.failed(w, nil, "no person has this cio_id", who)
			return nil
		}
		s = b.create(w.t, w.now, who)
		b.note(w.t, s, event.Activity{Type: event.Created, At: w.now, Received: w.now})
		if err := b.settle(s, w.now, touched{all: true}); err != nil {
			return err
		}
	}
	d := delivery.Delivery{
		Workspace: w.t.ID, ID: b.next(w.t, "delivery"), Person: s.doc.Ordinal,
		Transactional: pl.Transactional, Action: "send", Visit: 1, State: delivery.Queued, Due: max(b.real, pl.SendAt*1000), Created: w.now,
		Public: id.Delivery(b.p.e.o.Secret, w.t.ID, "op:"+w.op.ID), Metrics: object("created", w.now/1000),
	}
	if tm := w.t.set.Transactional(pl.Transactional); tm != nil {
		d.Version = tm.Version
	}
	data := pl.Data
	if data == nil {
		data = value.Value("{}")
	}
	d.Data = object("trigger", data, "send", w.op.Payload)
	b.c.NewDeliveries = append(b.c.NewDeliveries, d)
	w.t.queued = earlier(w.t.queued, d.Due)
	return nil
}

// outcome records what became of a claimed delivery, unless the claim is no longer the delivery's. Reports of what became
// of the message may have been faster.
func (b *batch) outcome(w *work, pl ingest.OutcomePayload) error {
	d := b.deliveries[DeliveryRef{w.t.ID, pl.Delivery}]
	if d == nil || d.Epoch != pl.Epoch || d.State != delivery.InFlight && d.State != delivery.OutcomeUnknown {
		return nil
	}
	d.State, d.Lease = delivery.State(pl.State), 0
	s := b.people[person.Ref{Workspace: w.t.ID, Ordinal: d.Person}]
	if s != nil && s.gone {
		s = nil
	}
	if s != nil { // nothing readable is kept of a person who was deleted meanwhile; servers like to repeat addresses
		d.Recipient, d.Subject = pl.Recipient, pl.Subject
		if proof := evidence(d); pl.Reason != "" || proof == 0 || proof == delivery.Sent {
			d.Reason = pl.Reason
		}
	}
	metric, outcome := "failed", "not sent"
	switch d.State {
	case delivery.Queued:
		d.Due, metric, outcome = pl.RetryAt, "attempted", "waiting"
		w.t.queued = earlier(w.t.queued, d.Due)
	case delivery.Sent:
		metric, outcome = "sent", "sent"
	case delivery.Bounced:
		metric = "bounced"
		b.unmailable(w, pl.Refused, pl.Domain, "bounces")
	case delivery.Suppressed:
		metric = "suppressed"
	case delivery.OutcomeUnknown:
		metric, outcome = "", "unknown"
	case delivery.Failed, delivery.InFlight:
	}
	switch { // reports that were faster did not know the address
	case d.Metrics.Get("bounced") != nil:
		b.unmailable(w, pl.Recipient, "", "bounces")
	case d.Metrics.Get("spammed") != nil:
		b.unmailable(w, pl.Recipient, "", "spam")
	}
	reason := pl.Reason
	if b.prove(d) {
		outcome, reason = proven(d), "it was reported so before"
	}
	b.put(d)
	var chains []string
	if metric != "" {
		chains = b.record(w, s, d, reaction{metric: metric, reason: pl.Reason})
	}
	if s != nil {
		b.verdict(s, d, w.now, outcome, reason)
	}
	return b.reacted(w, s, chains)
}

// verdict traces what became of a message.
func (b *batch) verdict(s *subject, d *delivery.Delivery, now int64, outcome, reason string) {
	subject := d.Action
	switch {
	case d.Campaign != 0:
		if c := s.t.set.Campaign(d.Campaign, d.Version); c != nil {
			subject = c.Slug + "/" + d.Action
		}
	case d.Transactional != 0:
		if tm := s.t.set.Transactional(d.Transactional); tm != nil {
			subject = tm.Slug
		}
	}
	if reason == "" {
		reason = map[string]string{"sent": "the mail server took it", "waiting": "it will be tried again"}[outcome]
	}
	b.trace(s, Decision{
		At: now, Kind: "message", Subject: subject, Version: d.Version, Campaign: d.Campaign, Outcome: outcome, Reason: reason,
		Detail: object("delivery_id", d.Public, "attempts", d.Attempts),
	})
}

// put writes the delivery at the end of the batch.
func (b *batch) put(d *delivery.Delivery) {
	for _, x := range b.touched {
		if x == d {
			return
		}
	}
	b.touched = append(b.touched, d)
}

// claim takes due deliveries in flight and hands them to the deliverer, as many as it has room for. Consent is decided
// here, at the last moment before the send; an in-flight delivery whose lease ran out becomes unknown.
func (p *partition) claim(ctx context.Context) error {
	now, free := p.e.o.Now().UnixMilli(), min(p.e.o.Deliver.Free(), claimStep)
	due := false
	for _, t := range p.tenants {
		due = due || t.queued != 0 && t.queued <= now
	}
	if !due || free <= 0 {
		return nil
	}
	var jobs []delivery.Job
	err := p.transact(ctx, func(tx Tx) error {
		jobs = jobs[:0]
		for _, t := range p.tenants {
			if t.queued == 0 || t.queued > now || len(jobs) >= free {
				continue
			}
			got, err := p.claimOf(ctx, tx, t, now, free-len(jobs))
			if err != nil {
				return err
			}
			jobs = append(jobs, got...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(jobs) > 0 {
		p.e.o.Deliver.Hand(jobs)
	}
	return nil
}

func (p *partition) claimOf(ctx context.Context, tx Tx, t *tenant, now int64, limit int) ([]delivery.Job, error) {
	list, err := tx.DueDeliveries(ctx, t.ID, now, limit)
	if err != nil {
		return nil, err
	}
	b := p.newBatch()
	people := map[person.Ref]bool{}
	for i := range list {
		if list[i].Person != 0 {
			people[person.Ref{Workspace: t.ID, Ordinal: list[i].Person}] = true
		}
	}
	if err := b.loadPeople(ctx, tx, people); err != nil {
		return nil, err
	}
	var jobs []delivery.Job
	at := max(t.logNow, now+t.Clock)
	for i := range list {
		d := &list[i]
		s := b.people[person.Ref{Workspace: t.ID, Ordinal: d.Person}]
		job, refusal := b.prepare(t, s, d)
		switch {
		case d.State == delivery.InFlight:
			outcome, reason := "unknown", "the hand-over was cut off; the message may or may not have left"
			if d.State = delivery.OutcomeUnknown; b.prove(d) {
				outcome, reason = proven(d), "it was reported so before"
			} else {
				d.Reason = reason
			}
			if s != nil {
				b.verdict(s, d, at, outcome, reason)
			}
		case refusal != nil:
			d.State, d.Reason = refusal.state, refusal.reason
			w := &work{t: t, now: at}
			metric := map[delivery.State]string{delivery.Suppressed: "suppressed", delivery.Failed: "failed"}[d.State]
			chains := b.record(w, s, d, reaction{metric: metric, reason: d.Reason})
			if s != nil {
				b.verdict(s, d, at, "not sent", d.Reason)
			}
			if err := b.reacted(w, s, chains); err != nil {
				return nil, err
			}
		default:
			d.State, d.Epoch, d.Attempts = delivery.InFlight, d.Epoch+1, d.Attempts+1
			d.Lease = now + p.e.o.ClaimLease.Milliseconds()
			job.Delivery = *d
			job.Deadline = time.UnixMilli(d.Lease).Add(-p.e.o.ClaimLease / 4)
			jobs = append(jobs, *job)
		}
		b.put(d)
	}
	if err := b.write(ctx, tx); err != nil {
		return nil, err
	}
	t.queued, err = tx.NextDelivery(ctx, t.ID)
	return jobs, err
}

// refusal is why a queued delivery is not sent.
type refusal struct {
	state  delivery.State
	reason string
}

// prepare gathers what rendering needs and decides consent.
func (b *batch) prepare(t *tenant, s *subject, d *delivery.Delivery) (*delivery.Job, *refusal) {
	if s == nil {
		return nil, &refusal{delivery.Suppressed, "the person was deleted"}
	}
	job := &delivery.Job{Person: s.doc}
	language := d.Data.Get("send").Get("language").Text()
	if language == "" {
		language = s.doc.Get("language").Text()
	}
	var name message.Named
	switch {
	case d.Campaign != 0:
		c := t.set.Campaign(d.Campaign, d.Version)
		if c == nil {
			return nil, &refusal{delivery.Failed, "the campaign is gone"}
		}
		node, ok := c.Email(d.Action)
		if !ok {
			return nil, &refusal{delivery.Failed, "the campaign has no message " + d.Action}
		}
		job.Email = node.Email.In(language)
		job.Scope.Campaign = message.Named{ID: c.ID, Name: c.Name, Type: c.Type()}
		name = message.Named{ID: node.ActionID, Name: node.Slug, Type: "email"}
	default:
		e, n, why := transactional(t, d, language)
		if why != nil {
			return nil, why
		}
		job.Email, name = e, n
		job.Unkept, _ = d.Data.Get("send").Get("disable_message_retention").Bool()
	}
	if why := unwanted(t, s, job.Email); why != nil {
		return nil, why
	}
	job.Layout = t.set.Layout(job.Email.Layout)
	job.From = t.set.Sender(job.Email.From)
	job.Scope.Message = name
	job.Scope.Customer = customer(s.doc)
	job.Scope.Event = d.Data.Get("event").Get("data")
	job.Scope.EventTimestamp, _ = strconv.ParseInt(d.Data.Get("event").Get("timestamp").Text(), 10, 64) //nolint:errcheck // absent for segment triggers: 0
	job.Scope.Trigger = d.Data.Get("trigger")
	job.Scope.Now = b.real + t.Clock
	return job, nil
}

// unwanted is why a person does not get an email: consent decides, unless the email goes to everybody.
func unwanted(t *tenant, s *subject, e *message.Email) *refusal {
	if e.SendToUnsubscribed {
		return nil
	}
	if s.doc.Unsubscribed {
		return &refusal{delivery.Suppressed, "the person is unsubscribed"}
	}
	if topic := t.set.Topic(e.Topic); topic != nil && !topic.Wants(s.doc.Get(person.Preferences)) {
		return &refusal{delivery.Suppressed, "the person is not subscribed to the topic " + topic.Slug}
	}
	return nil
}

// transactional merges a send's content over its template's, in the language.
func transactional(t *tenant, d *delivery.Delivery, language string) (*message.Email, message.Named, *refusal) {
	pl, err := ingest.Decode[ingest.SendPayload](&ingest.Op{Payload: d.Data.Get("send")})
	if err != nil {
		return nil, message.Named{}, &refusal{delivery.Failed, "the send request cannot be read"}
	}
	e := message.Email{Tracked: true, SendToUnsubscribed: true}
	name := message.Named{ID: d.Transactional, Type: "email"}
	if d.Transactional != 0 {
		tm := t.set.Transactional(d.Transactional)
		if tm == nil {
			return nil, name, &refusal{delivery.Failed, fmt.Sprintf("transactional message %d is gone", d.Transactional)}
		}
		e, name.Name = *tm.Email.In(language), tm.Name
	}
	for _, o := range []struct {
		to   *string
		from string
	}{
		{&e.To, pl.To},
		{&e.From, pl.From},
		{&e.Subject, pl.Subject},
		{&e.Body, pl.Body},
		{&e.BodyPlain, pl.BodyPlain},
		{&e.Preheader, pl.Preheader},
		{&e.ReplyTo, pl.ReplyTo},
		{&e.CC, pl.CC},
		{&e.BCC, pl.BCC},
	} {
		if o.from != "" {
			*o.to = o.from
		}
	}
	if pl.Body != "" && d.Transactional == 0 {
		e.Layout = ""
	}
	for k, v := range pl.Headers {
		e.Headers = append(e.Headers, message.Header{Name: k, Value: v})
	}
	if pl.Tracked != nil {
		e.Tracked = *pl.Tracked
	}
	if pl.SendToUnsubscribed != nil {
		e.SendToUnsubscribed = *pl.SendToUnsubscribed
	}
	e.FakeBCC, e.DisableCSS = e.FakeBCC || pl.FakeBCC, e.DisableCSS || pl.DisableCSS
	return &e, name, nil
}

// customer is Liquid's customer: identifiers and attributes as one object.
func customer(d *person.Document) value.Value {
	var b value.Builder
	for _, name := range [...]string{"id", "email", "cio_id", "anonymous_id"} {
		b.Set(name, d.Get(name))
	}
	if d.Phone != "" { // else it is an attribute like others
		b.Set("phone", text(d.Phone))
	}
	b.Set("unsubscribed", value.OfBool(d.Unsubscribed))
	for _, a := range d.Attributes {
		b.Set(a.Name, a.Value)
	}
	return b.Value()
}
