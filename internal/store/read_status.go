package store

import (
	"context"

	"rapport.example/internal/api/admin"
)

// PartitionStates lists all partitions by id.
func (db *DB) PartitionStates(ctx context.Context) ([]admin.PartitionState, error) {
	const sql = `SELECT id, owner, epoch, lease_until, checkpoint, stream_id FROM partitions ORDER BY id`
	return list(ctx, db, sql, nil, func(r row) (admin.PartitionState, error) {
		var p admin.PartitionState
		err := r.Scan(&p.ID, &p.Owner, &p.Epoch, &p.LeaseUntil, &p.Checkpoint, &p.Stream)
		return p, err
	})
}

// Counts says how much a workspace holds. Activities and deliveries count those ever made.
func (db *DB) Counts(ctx context.Context, ws int64) (c admin.Counts, err error) {
	const sql = `SELECT (SELECT count(*) FROM people WHERE workspace = $1),
		(SELECT coalesce(max(seq), 0) FROM activities WHERE workspace = $1),
		(SELECT coalesce(max(id), 0) FROM deliveries WHERE workspace = $1),
		(SELECT count(*) FROM deliveries WHERE workspace = $1 AND state = 1),
		(SELECT count(*) FROM deliveries WHERE workspace = $1 AND state = 2),
		(SELECT count(*) FROM journeys WHERE workspace = $1),
		(SELECT count(*) FROM timers WHERE workspace = $1) + (SELECT CAST(coalesce(sum(timers), 0) AS BIGINT) FROM timer_blocks WHERE workspace = $1),
		(SELECT count(*) FROM mailbox WHERE workspace = $1)`
	_, err = db.queryOne(ctx, sql, []any{ws}, &c.People, &c.Activities, &c.Deliveries, &c.Queued, &c.InFlight, &c.Journeys, &c.Timers, &c.Mails)
	return c, err
}
