package store

import (
	"cmp"
	"context"

	"rapport.example/internal/engine"
	"rapport.example/internal/event"
)

// What one merge may bring along is bounded: 10,000 activities of a person, and as many of an anonymous id. The types are
// events, messages and forms. Both queries find the rows' keys first, for an activity's data may be 100 kB.
const (
	pastSQL = `WITH RECURSIVE k (workspace, seq, since) AS ({rows}),
		w (workspace, seq, prev, type, since, n) AS (
			SELECT a.workspace, a.seq, a.prev, a.type, k.since, CAST(1 AS BIGINT) FROM k CROSS JOIN activities a
			WHERE a.workspace = k.workspace AND a.seq = k.seq AND a.received >= k.since
			UNION ALL
			SELECT a.workspace, a.seq, a.prev, a.type, w.since, w.n + 1 FROM w CROSS JOIN activities a
			WHERE w.prev <> 0 AND w.n < 10000 AND a.workspace = w.workspace AND a.seq = w.prev AND a.seq < w.seq AND a.received >= w.since
		)
		SELECT ` + activityColumns + ` FROM w CROSS JOIN activities a
		WHERE w.type IN (1, 2, 3, 9, 15) AND a.workspace = w.workspace AND a.seq = w.seq`
	anonymousSQL = `WITH k (workspace, anonymous, since) AS ({rows}),
		n (workspace, seq, nth) AS (
			SELECT a.workspace, a.seq, row_number() OVER (PARTITION BY a.workspace, a.anonymous ORDER BY a.seq DESC)
			FROM k CROSS JOIN activities a
			WHERE a.workspace = k.workspace AND a.anonymous = k.anonymous AND a.person = 0 AND a.anonymous <> '' AND a.received >= k.since
		)
		SELECT ` + activityColumns + ` FROM n CROSS JOIN activities a
		WHERE n.nth <= 10000 AND a.workspace = n.workspace AND a.seq = n.seq`
)

// Past is part of engine.Tx.
func (t *tx) Past(ctx context.Context, heads []engine.Head) ([]event.Activity, error) {
	return lookUp(ctx, t.c, pastSQL, set{
		col(heads, func(h engine.Head) int64 { return h.Workspace }),
		col(heads, func(h engine.Head) int64 { return h.Seq }),
		col(heads, func(h engine.Head) int64 { return h.Since }),
	}, scanActivity)
}

// Anonymous is part of engine.Tx.
func (t *tx) Anonymous(ctx context.Context, refs []engine.AnonymousRef) ([]event.Activity, error) {
	return lookUp(ctx, t.c, anonymousSQL, append(anonymousSet(refs), col(refs, func(r engine.AnonymousRef) int64 { return r.Since })), scanActivity)
}

func anonymousSet(refs []engine.AnonymousRef) set {
	return set{
		col(refs, func(r engine.AnonymousRef) int64 { return r.Workspace }),
		col(refs, func(r engine.AnonymousRef) string { return clean(r.ID) }),
	}
}

// nobodysBulk deletes activities that got a new place, and those of nobody that go with a person.
func nobodysBulk(c *engine.Changes) []bulk {
	moved := sorted(c.DropActivities, func(a, b engine.ActivityRef) int {
		return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Seq, b.Seq))
	})
	gone := sorted(c.DropAnonymous, func(a, b engine.AnonymousRef) int {
		return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.ID, b.ID))
	})
	return []bulk{{
		`DELETE FROM activities WHERE (workspace, seq) IN ({rows})`,
		set{
			col(moved, func(a engine.ActivityRef) int64 { return a.Workspace }),
			col(moved, func(a engine.ActivityRef) int64 { return a.Seq }),
		},
	}, {
		`DELETE FROM activities WHERE person = 0 AND anonymous <> '' AND (workspace, anonymous) IN ({rows})`,
		anonymousSet(gone),
	}}
}

// moveBulk gives deliveries of merged people, and the development mailbox's copies of them, to whom they were merged into.
func moveBulk(c *engine.Changes) []bulk {
	moves := sorted(c.Moves, func(a, b engine.Move) int {
		return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.From, b.From))
	})
	rows := set{
		col(moves, func(m engine.Move) int64 { return m.Workspace }),
		col(moves, func(m engine.Move) int64 { return int64(m.From) }),
		col(moves, func(m engine.Move) int64 { return int64(m.To) }),
	}
	const (
		deliveries = `WITH k (workspace, src, dst) AS ({rows})
			UPDATE deliveries AS d SET person = k.dst FROM k WHERE d.workspace = k.workspace AND d.person = k.src`
		mails = `WITH k (workspace, src, dst) AS ({rows})
			UPDATE mailbox AS m SET person = k.dst FROM k WHERE m.workspace = k.workspace AND m.person = k.src`
	)
	return []bulk{{deliveries, rows}, {mails, rows}}
}
