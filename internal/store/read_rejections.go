package store

import (
	"context"

	"rapport.example/internal/event"
)

// The condition in the statement is that of SQLite's index, so that it can be used.
const rejectionsSQL = `SELECT ` + activityColumns + ` FROM activities a
	WHERE a.workspace = $1 AND a.seq <= $2 AND (a.type = 5 OR a.type = 10 OR a.type = 12) ORDER BY a.seq DESC LIMIT $3`

// Rejections lists up to limit activities that say what was accepted and not applied, whole or in part, newest first, from
// sequence from down; 0 is the newest.
func (db *DB) Rejections(ctx context.Context, ws, from int64, limit int) ([]event.Activity, error) {
	if from == 0 {
		from = 1 << 62
	}
	return list(ctx, db, rejectionsSQL, []any{ws, from, int64(limit)}, scanActivity)
}
