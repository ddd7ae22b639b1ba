package export

import (
	"context"
	"slices"
	"strconv"

	"rapport.example/internal/delivery"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// page is how many deliveries are read at a time, with their recipients.
const page = 200

// about are the columns that every file of deliveries begins with. Those of Metrics follow, then the recipient's attributes that
// were asked for.
var about = [...]string{
	"delivery_id", "type", "customer_id", "email", "cio_id", "recipient", "subject", "campaign_id", "newsletter_id", "action_id",
	"transactional_message_id", "template_id", "trigger_event_id", "state", "failure_message", "created",
}

// Metrics are the columns that hold when each first happened, Unix seconds; empty if it did not.
var Metrics = [...]string{
	"attempted", "sent", "delivered", "deferred", "opened", "human_opened", "prefetch_opened", "clicked", "human_clicked", "prefetch_clicked",
	"converted", "bounced", "dropped", "failed", "suppressed", "undeliverable", "spammed", "unsubscribed", "topic_unsubscribed", "drafted",
}

// writeDeliveries goes over the deliveries twice: to count them, then to write.
func writeDeliveries(ctx context.Context, s Snapshot, q *DeliveryFilter, f *file) error {
	n := int64(0)
	err := walk(ctx, s, q, func(list []delivery.Delivery) error {
		n += int64(len(list))
		return nil
	})
	if err != nil {
		return err
	}
	if err := f.total(ctx, n); err != nil {
		return err
	}
	t, err := newTable(f, deliveryColumns(q))
	if err != nil {
		return err
	}
	err = walk(ctx, s, q, func(list []delivery.Delivery) error {
		return deliveryRows(ctx, s, q, t, list)
	})
	if err != nil {
		return err
	}
	return t.end(ctx)
}

// deliveryColumns names the columns. An attribute whose name is taken is called customer.name.
func deliveryColumns(q *DeliveryFilter) []string {
	head := append(slices.Clone(about[:]), Metrics[:]...)
	for _, name := range q.Attributes {
		if slices.Contains(head, name) {
			name = "customer." + name
		}
		head = append(head, name)
	}
	return head
}

// walk calls each with the deliveries that q selects, some at a time, from the oldest on.
func walk(ctx context.Context, s Snapshot, q *DeliveryFilter, each func([]delivery.Delivery) error) error {
	if q.Newsletter != 0 {
		return nil
	}
	for after := int64(0); ; {
		list, err := s.Deliveries(ctx, q, after, page)
		if err != nil {
			return err
		}
		full := len(list) == page
		if full {
			after = list[page-1].ID
		}
		list = slices.DeleteFunc(list, func(d delivery.Delivery) bool {
			return q.Template != 0 && template(&d) != q.Template || q.Metric != "" && d.Metrics.Get(q.Metric) == nil
		})
		if err := each(list); err != nil || !full {
			return err
		}
	}
}

// template is the number of what a delivery was rendered from.
func template(d *delivery.Delivery) int64 {
	if d.Transactional != 0 {
		return d.Transactional
	}
	return d.ActionID
}

func deliveryRows(ctx context.Context, s Snapshot, q *DeliveryFilter, t *table, list []delivery.Delivery) error {
	var who []uint32
	for i := range list {
		if list[i].Person != 0 {
			who = append(who, list[i].Person)
		}
	}
	slices.Sort(who)
	docs, err := s.ReadPeople(ctx, slices.Compact(who))
	if err != nil {
		return err
	}
	for i := range list {
		if err := t.row(ctx, deliveryRow(&list[i], docs[list[i].Person], q.Attributes)); err != nil {
			return err
		}
	}
	return nil
}

// deliveryRow are the cells of a delivery; d is nil if the person was deleted since.
func deliveryRow(v *delivery.Delivery, d *person.Document, attributes []string) []string {
	if d == nil {
		d = &person.Document{}
		attributes = make([]string, len(attributes)) // none of them is set
	}
	failure := ""
	if v.State != delivery.Sent && v.State != delivery.Queued {
		failure = v.Reason
	}
	cells := []string{
		v.Public, "email", d.ID, d.Email, d.CIO, v.Recipient, v.Subject, number(v.Campaign), "", number(v.ActionID),
		number(v.Transactional), number(template(v)), v.TriggerEvent, v.State.String(), failure, strconv.FormatInt(v.Created/1000, 10),
	}
	for _, m := range Metrics {
		cells = append(cells, text(v.Metrics.Get(m)))
	}
	for _, name := range attributes {
		cells = append(cells, text(d.Get(name)))
	}
	return cells
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func text(v value.Value) string {
	if v == nil {
		return ""
	}
	return v.Text()
}
