package store

import (
	"cmp"

	"rapport.example/internal/delivery"
	"rapport.example/internal/engine"
)

const insertDelivery = `INSERT INTO deliveries (workspace, id, public_id, person, campaign, journey, action, action_id, visit,
	transactional, version, state, epoch, due, lease, attempts, created, recipient, subject, reason, metrics, data) {rows}
	ON CONFLICT (workspace, journey, action, visit) WHERE journey <> 0 DO NOTHING`

const replaceDelivery = `WITH k (workspace, id, public_id, person, campaign, journey, action, action_id, visit,
	transactional, version, state, epoch, due, lease, attempts, created, recipient, subject, reason, metrics, data) AS ({rows})
	UPDATE deliveries AS d SET public_id = k.public_id, person = k.person, campaign = k.campaign, journey = k.journey,
	action = k.action, action_id = k.action_id, visit = k.visit, transactional = k.transactional, version = k.version,
	state = k.state, epoch = k.epoch, due = k.due, lease = k.lease, attempts = k.attempts, created = k.created,
	recipient = k.recipient, subject = k.subject, reason = k.reason, metrics = k.metrics, data = k.data
	FROM k WHERE d.workspace = k.workspace AND d.id = k.id`

// deliveryBulk inserts new deliveries, leaving those that exist for (journey, action, visit) as they are, and replaces
// known ones by number; one that is not there is not made.
func deliveryBulk(c *engine.Changes) []bulk {
	return []bulk{{insertDelivery, deliverySet(c.NewDeliveries)}, {replaceDelivery, deliverySet(c.PutDeliveries)}}
}

func deliverySet(list []delivery.Delivery) set {
	ds := sorted(list, func(a, b delivery.Delivery) int {
		return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.ID, b.ID))
	})
	type d = delivery.Delivery
	return set{
		col(ds, func(v d) int64 { return v.Workspace }),
		col(ds, func(v d) int64 { return v.ID }),
		col(ds, func(v d) string { return v.Public }),
		col(ds, func(v d) int64 { return int64(v.Person) }),
		col(ds, func(v d) int64 { return v.Campaign }),
		col(ds, func(v d) int64 { return v.Journey }),
		col(ds, func(v d) string { return clean(v.Action) }),
		col(ds, func(v d) int64 { return v.ActionID }),
		col(ds, func(v d) int64 { return v.Visit }),
		col(ds, func(v d) int64 { return v.Transactional }),
		col(ds, func(v d) int64 { return v.Version }),
		col(ds, func(v d) int64 { return int64(v.State) }),
		col(ds, func(v d) int64 { return v.Epoch }),
		col(ds, func(v d) int64 { return v.Due }),
		col(ds, func(v d) int64 { return v.Lease }),
		col(ds, func(v d) int64 { return v.Attempts }),
		col(ds, func(v d) int64 { return v.Created }),
		col(ds, func(v d) string { return clean(v.Recipient) }),
		col(ds, func(v d) string { return clean(v.Subject) }),
		col(ds, func(v d) string { return clean(v.Reason) }),
		col(ds, func(v d) []byte { return v.Metrics }),
		col(ds, func(v d) []byte { return v.Data }),
	}
}
