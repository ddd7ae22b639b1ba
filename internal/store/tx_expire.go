package store

import (
	"context"
	"fmt"
)

// Expire is part of engine.Tx. Rows are in append order, so the oldest have the lowest sequences; chains that led to a
// deleted row end there.
func (t *tx) Expire(ctx context.Context, workspace, before int64, limit int) (int64, error) {
	const (
		decisions = `DELETE FROM decisions WHERE workspace = $1 AND at < $2 AND seq IN
			(SELECT seq FROM decisions WHERE workspace = $1 ORDER BY seq LIMIT $3)`
		nobodys = `DELETE FROM activities WHERE workspace = $1 AND person = 0 AND received < $2 AND seq IN
			(SELECT seq FROM activities WHERE workspace = $1 AND person = 0 ORDER BY seq LIMIT $3)`
		visits = `DELETE FROM visits WHERE workspace = $1 AND received < $2 AND (anonymous, object) IN
			(SELECT anonymous, object FROM visits WHERE workspace = $1 AND received < $2 ORDER BY received LIMIT $3)`
	)
	total := int64(0)
	for _, sql := range [...]string{decisions, nobodys, visits} {
		n, err := t.c.exec(ctx, sql, workspace, before, int64(limit))
		if err != nil {
			return total, fmt.Errorf("expire old rows: %w", err)
		}
		total += n
	}
	return total, nil
}
