package engine

import (
	"rapport.example/internal/delivery"
	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// DeliveryKey names a delivery by its public id.
type DeliveryKey struct {
	Workspace int64
	Public    string
}

// reaction is one metric of a delivery, as it is noted.
type reaction struct {
	metric, reason, href string
	at                   int64       // Unix ms of the workspace's clock; 0 = now
	more                 value.Value // what a client told besides
}

// metric records what became of a message, as links, programs and providers report it.
func (b *batch) metric(w *work, pl ingest.MetricPayload) error {
	d := b.reported(w, pl)
	if d == nil {
		if pl.Public != "" {
			b.failed(w, nil, "no delivery has this id", person.Identifier{})
		}
		return nil
	}
	s := b.people[person.Ref{Workspace: w.t.ID, Ordinal: d.Person}]
	if s != nil && s.gone {
		s = nil
	}
	r := reaction{metric: pl.Metric, reason: pl.Reason, href: pl.Href, at: w.moment(d, pl.Timestamp), more: pl.Data}
	if pl.Metric == "unsubscribed" || pl.Metric == "resubscribed" {
		return b.consent(w, s, d, r)
	}
	if d.Attempts == 0 {
		b.failed(w, s, "the message was not sent, so nothing can have become of it", person.Identifier{})
		return nil
	}
	switch pl.Metric {
	case "bounced":
		b.unmailable(w, d.Recipient, "", "bounces")
	case "spammed":
		b.unmailable(w, d.Recipient, "", "spam")
	}
	var chains []string
	if pl.Metric == "clicked" && d.Metrics.Get("opened") == nil { // as the vendor does
		chains = append(chains, b.record(w, s, d, reaction{metric: "opened", at: r.at})...)
	}
	chains = append(chains, b.record(w, s, d, r)...)
	b.progress(w, s, d, r)
	what := touched{chains: chains, devices: b.status(w, s, pl)}
	if len(chains) == 0 && !what.devices {
		return nil
	}
	return b.settle(s, w.now, what)
}

// reacted brings a person's segments up to what became of messages, if any condition asks for that.
func (b *batch) reacted(w *work, s *subject, chains []string) error {
	if len(chains) == 0 {
		return nil
	}
	return b.settle(s, w.now, touched{chains: chains})
}

// reported is the delivery that a report is about, nil if there is none. One that was made earlier in this batch counts,
// so that it makes no difference how ops came into frames.
func (b *batch) reported(w *work, pl ingest.MetricPayload) *delivery.Delivery {
	if pl.Public == "" {
		return b.deliveries[DeliveryRef{w.t.ID, pl.Delivery}]
	}
	k := DeliveryKey{w.t.ID, pl.Public}
	if d := b.publics[k]; d != nil {
		return d
	}
	for i := range b.c.NewDeliveries {
		if d := b.c.NewDeliveries[i]; d.Workspace == k.Workspace && d.Public == k.Public {
			b.deliveries[DeliveryRef{d.Workspace, d.ID}], b.publics[k] = &d, &d
			return &d
		}
	}
	return nil
}

// moment is when a report says that something happened, Unix seconds, in milliseconds: not before the message was made,
// nor later than the report.
func (w *work) moment(d *delivery.Delivery, at int64) int64 {
	if at == 0 || at > w.now/1000 {
		return w.now
	}
	return max(at*1000, d.Created)
}

// record keeps the first time of a metric, notes the activity, and counts it for the conditions that ask for it; it returns the
// chain then, for reacted. Without a person, who was deleted then, the activity
// says nothing that was meant for them: neither the mail server's words nor the link.
func (b *batch) record(w *work, s *subject, d *delivery.Delivery, r reaction) (chains []string) {
	if r.at == 0 {
		r.at = w.now
	}
	first, known := d.Metrics.Get(r.metric).Number()
	if r.metric != "resubscribed" && (!known || r.at/1000 < int64(first)) {
		d.Metrics = with(d.Metrics, r.metric, value.Int(r.at/1000))
		b.put(d)
	}
	var data value.Builder
	data.Set("delivery_id", text(d.Public))
	if d.Campaign != 0 {
		data.Set("campaign_id", value.Int(d.Campaign)).Set("action_id", value.Int(d.ActionID))
	}
	if d.Transactional != 0 {
		data.Set("transactional_message_id", value.Int(d.Transactional))
	}
	if r.reason != "" && s != nil {
		data.Set("reason", text(r.reason))
	}
	if r.href != "" && s != nil {
		data.Set("href", text(r.href))
	}
	if s != nil {
		data.Set("metadata", r.more)
	}
	if _, again := event.Behaviour(r.metric); known && !again {
		data.Set(event.Repeated, value.True)
	}
	a := event.Activity{Type: event.Message, Name: r.metric + "_email", At: r.at, Received: w.now, Data: data.Value()}
	b.note(w.t, s, a)
	return b.countMessage(s, &a)
}

// countMessage adds what became of a message to the facts of the conditions that it matches, and returns its chain if there are
// conditions that ask for it.
func (b *batch) countMessage(s *subject, a *event.Activity) (chains []string) {
	name, ok := a.Chained()
	if s == nil || !ok {
		return nil
	}
	chain := event.ChainName(a.Type, name)
	if len(s.t.set.FactsOf(chain)) == 0 {
		return nil
	}
	b.count(s, chain, a.At, a.Data)
	return []string{chain}
}

// with is an object with one member set, in its place if it was there.
func with(object value.Value, name string, v value.Value) value.Value {
	var b value.Builder
	found := false
	for k, old := range object.Fields() {
		if k == name {
			old, found = v, true
		}
		b.Set(k, old)
	}
	if !found {
		b.Set(name, v)
	}
	return b.Value()
}

// evidence is the state that the reports about a message prove it to have, 0 if they prove none: refusals outweigh what
// came before or after them.
func evidence(d *delivery.Delivery) delivery.State {
	switch known := d.Metrics; {
	case known.Get("bounced") != nil:
		return delivery.Bounced
	case known.Get("dropped") != nil:
		return delivery.Suppressed
	case known.Get("delivered") != nil, known.Get("opened") != nil, known.Get("clicked") != nil, known.Get("converted") != nil,
		known.Get("spammed") != nil:
		return delivery.Sent
	}
	return 0
}

// undecided reports whether evidence decides the state: of what was sent, or may have been, or waits to be tried again. One in
// flight gets its state from its outcome.
func undecided(d *delivery.Delivery) bool {
	return d.State == delivery.Sent || d.State == delivery.OutcomeUnknown || d.State == delivery.Queued && d.Attempts > 0
}

// progress moves the state of a message to what reports prove.
func (b *batch) progress(w *work, s *subject, d *delivery.Delivery, r reaction) {
	if refusal := r.metric == "bounced" || r.metric == "dropped"; refusal && s != nil && (undecided(d) || d.State == delivery.InFlight) {
		d.Reason = r.reason
		b.put(d)
	}
	if b.prove(d) && s != nil {
		reason := "it was reported as " + r.metric
		if d.Reason != "" {
			reason += ": " + d.Reason
		}
		b.verdict(s, d, w.now, proven(d), reason)
	}
}

// prove gives a message the state that reports prove, and reports whether it is another.
func (b *batch) prove(d *delivery.Delivery) (changed bool) {
	state := evidence(d)
	if !undecided(d) || state == 0 || state == d.State {
		return false
	}
	if d.State = state; state == delivery.Sent {
		d.Reason = ""
	}
	b.put(d)
	return true
}

// proven is the outcome of a message whose state was proven.
func proven(d *delivery.Delivery) string {
	if d.State == delivery.Sent {
		return "sent"
	}
	return "not sent"
}

// deviceStatus is what a push's metric says of the device that it went to.
func deviceStatus(metric string) string {
	switch metric {
	case "delivered", "opened", "clicked", "converted":
		return "sent"
	case "bounced":
		return "bounced"
	case "dropped":
		return "suppressed"
	}
	return ""
}

// status keeps on the person's device what became of the last push to it, and reports whether that is something else.
func (b *batch) status(w *work, s *subject, pl ingest.MetricPayload) (changed bool) {
	word := deviceStatus(pl.Metric)
	if s == nil || word == "" || pl.Device == "" {
		return false
	}
	i := s.device(pl.Device)
	if i < 0 || s.doc.Devices[i].Attributes.Get(person.DeviceStatus).Text() == word {
		return false
	}
	dev := &s.doc.Devices[i]
	attributes, refused := dev.Merge(object(person.DeviceStatus, word))
	for _, why := range refused {
		b.failed(w, s, why, person.Identifier{})
	}
	dev.Attributes, s.dirty = attributes, true
	b.note(w.t, s, event.Activity{
		Type: event.DeviceChange, Name: "updated", At: w.now, Received: w.now,
		Data: object("token", dev.Token, "platform", dev.Platform, person.DeviceStatus, word),
	})
	return true
}

// consent carries out an unsubscribe, or takes it back. It is the person's word: it wins over every write until now, and
// writes that say they are from before do not change it.
func (b *batch) consent(w *work, s *subject, d *delivery.Delivery, r reaction) error {
	chains := b.record(w, s, d, r)
	out := r.metric == "unsubscribed"
	if s == nil {
		return nil
	}
	was := s.doc.Unsubscribed
	s.doc.Unsubscribed, s.doc.UnsubscribedAt, s.dirty = out, max(s.doc.UnsubscribedAt, w.now/1000), true
	if was == out {
		return b.reacted(w, s, chains)
	}
	b.note(w.t, s, event.Activity{
		Type: event.AttributeChange, At: w.now, Received: w.now,
		Data: object("unsubscribed", object("from", value.OfBool(!out), "to", value.OfBool(out))),
	})
	return b.settle(s, w.now, touched{attributes: []string{"unsubscribed"}, chains: chains})
}
