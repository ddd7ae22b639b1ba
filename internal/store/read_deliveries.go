package store

import (
	"bytes"
	"context"
	"slices"

	"rapport.example/internal/api/app"
	"rapport.example/internal/delivery"
	"rapport.example/internal/value"
)

// A delivery without what rendering needs, which may be long.
const messageColumns = `d.workspace, d.id, d.public_id, d.person, d.campaign, d.journey, d.action, d.action_id, d.visit, d.transactional, d.version, d.state, d.due, d.attempts, d.created, d.recipient, d.subject, d.reason, d.metrics, substr(d.data, 1, 64)`

func scanMessage(r row) (delivery.Delivery, error) {
	var d delivery.Delivery
	var who, state int64
	var metrics, data []byte
	err := r.Scan(&d.Workspace, &d.ID, &d.Public, &who, &d.Campaign, &d.Journey, &d.Action, &d.ActionID, &d.Visit, &d.Transactional,
		&d.Version, &state, &d.Due, &d.Attempts, &d.Created, &d.Recipient, &d.Subject, &d.Reason, &metrics, &data)
	d.TriggerEvent = triggerEvent(data)
	d.Person, d.State, d.Metrics = uint32(who), delivery.State(state), value.Value(metrics)
	return d, err
}

// triggerEvent is the id of the event in the beginning of a delivery's data, which has it first.
func triggerEvent(data []byte) string {
	rest, ok := bytes.CutPrefix(data, []byte(`{"event":{"id":"`))
	id, _, whole := bytes.Cut(rest, []byte{'"'})
	if !ok || !whole {
		return ""
	}
	return string(id) // a ULID: nothing in it is escaped
}

const (
	messageFilter = ` AND d.id <= $2 AND d.id > $3 AND (d.campaign = $4 OR $4 = 0) AND (d.action_id = $5 OR $5 = 0)
		AND d.created >= $6 AND d.created < $7 AND (d.transactional = $9 OR $9 = 0) ORDER BY d.id DESC LIMIT $8`
	messagesSQL       = `SELECT ` + messageColumns + ` FROM deliveries d WHERE d.workspace = $1` + messageFilter
	personMessagesSQL = `SELECT ` + messageColumns + ` FROM deliveries d WHERE d.workspace = $1 AND d.person = $10` + messageFilter
)

// Deliveries lists deliveries without their Data and claim, newest first, from number q.From down; 0 is the newest. next
// is where the following page starts, 0 at the end. A page may be short, even empty, while next is not 0.
func (db *DB) Deliveries(ctx context.Context, ws int64, q app.DeliveryQuery) (page []delivery.Delivery, next int64, err error) {
	from, err := db.newest(ctx, "deliveries", "id", ws, q.From)
	until := q.Until
	if until == 0 {
		until = 1<<63 - 1
	}
	for i := 0; err == nil && i < windows && from > 0 && len(page) < q.Limit; i++ {
		step := max(q.Limit-len(page), 1)
		if len(q.Metrics) > 0 {
			step = max(step, walkStep)
		}
		sql, low := messagesSQL, from-window
		args := []any{ws, from, low, q.Campaign, q.Action, q.Since, until, int64(step), q.Transactional}
		if q.Person != 0 { // an index leads to a person's rows: no window needed
			low = 0
			sql, args[2], args = personMessagesSQL, low, append(args, int64(q.Person))
		}
		var got []delivery.Delivery
		if got, err = list(ctx, db, sql, args, scanMessage); err != nil {
			break
		}
		from = max(low, 0)
		if len(got) == step {
			from = got[step-1].ID - 1
		}
		for _, d := range got {
			if len(page) == q.Limit {
				from = page[q.Limit-1].ID - 1
				break
			}
			if !slices.ContainsFunc(q.Metrics, func(m string) bool { return d.Metrics.Get(m) == nil }) {
				page = append(page, d)
			}
		}
	}
	return page, from, err
}

// Delivery reads one delivery by its public id, without its Data and claim; nil if there is none.
func (db *DB) Delivery(ctx context.Context, ws int64, public string) (*delivery.Delivery, error) {
	const sql = `SELECT ` + messageColumns + ` FROM deliveries d WHERE d.workspace = $1 AND d.public_id = $2`
	all, err := list(ctx, db, sql, []any{ws, clean(public)}, scanMessage)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

// FindDelivery finds the delivery with a public id in whatever workspace it is: its number, 0 if there is none, with the
// workspace and its partition.
func (db *DB) FindDelivery(ctx context.Context, public string) (workspace int64, partition int32, number int64, err error) {
	const sql = `SELECT d.workspace, w.partition_id, d.id FROM deliveries d CROSS JOIN workspaces w WHERE d.public_id = $1 AND w.id = d.workspace`
	var p int64
	_, err = db.queryOne(ctx, sql, []any{clean(public)}, &workspace, &p, &number)
	return workspace, int32(p), number, err
}

// CountSent counts the deliveries that a provider took.
func (db *DB) CountSent(ctx context.Context, ws int64) (n int64, err error) {
	_, err = db.queryOne(ctx, `SELECT count(*) FROM deliveries WHERE workspace = $1 AND state = 3`, []any{ws}, &n)
	return n, err
}
