package store

import (
	"cmp"
	"context"
	"slices"

	"rapport.example/internal/engine"
	"rapport.example/internal/event"
)

// What one merge may bring along is bounded: 10,000 activities of a person, and as many of an anonymous id. The types are
// events, messages and forms. Both queries find the rows' keys and weights alone, for an activity's data may be 100 kB.
const (
	pastSQL = `WITH RECURSIVE k (workspace, seq, since) AS ({rows}),
		w (workspace, head, seq, prev, type, weight, since, n) AS (
			SELECT a.workspace, a.seq, a.seq, a.prev, a.type, ` + weight + `, k.since, CAST(1 AS BIGINT) FROM k CROSS JOIN activities a
			WHERE a.workspace = k.workspace AND a.seq = k.seq AND a.received >= k.since
			UNION ALL
			SELECT a.workspace, w.head, a.seq, a.prev, a.type, ` + weight + `, w.since, w.n + 1 FROM w CROSS JOIN activities a
			WHERE w.prev <> 0 AND w.n < 10000 AND a.workspace = w.workspace AND a.seq = w.prev AND a.seq < w.seq AND a.received >= w.since
		)
		SELECT w.workspace, w.head, '', w.seq, w.weight FROM w WHERE w.type IN (1, 2, 3, 9, 15)`
	anonymousSQL = `WITH k (workspace, anonymous, since) AS ({rows}),
		n (workspace, anonymous, seq, weight, nth) AS (
			SELECT a.workspace, a.anonymous, a.seq, ` + weight + `, row_number() OVER (PARTITION BY a.workspace, a.anonymous ORDER BY a.seq DESC)
			FROM k CROSS JOIN activities a
			WHERE a.workspace = k.workspace AND a.anonymous = k.anonymous AND a.person = 0 AND a.anonymous <> '' AND a.received >= k.since
		)
		SELECT n.workspace, CAST(0 AS BIGINT), n.anonymous, n.seq, n.weight FROM n WHERE n.nth <= 10000`
	weight = `CAST(coalesce(length(a.data), 0) + 256 AS BIGINT)` // bytes of an activity in memory, about
)

// Past is part of engine.Tx.
func (t *tx) Past(ctx context.Context, heads []engine.Head, bytes int64) ([]event.Activity, int, error) {
	order := col(heads, func(h engine.Head) history { return history{h.Workspace, h.Seq, ""} })
	return t.histories(ctx, pastSQL, set{
		col(heads, func(h engine.Head) int64 { return h.Workspace }),
		col(heads, func(h engine.Head) int64 { return h.Seq }),
		col(heads, func(h engine.Head) int64 { return h.Since }),
	}, order, bytes)
}

// Anonymous is part of engine.Tx.
func (t *tx) Anonymous(ctx context.Context, refs []engine.AnonymousRef, bytes int64) ([]event.Activity, int, error) {
	order := col(refs, func(r engine.AnonymousRef) history { return history{r.Workspace, 0, clean(r.ID)} })
	keys := append(anonymousSet(refs), col(refs, func(r engine.AnonymousRef) int64 { return r.Since }))
	return t.histories(ctx, anonymousSQL, keys, order, bytes)
}

// history names what belongs together: a person's activities by their head, nobody's by their anonymous id.
type history struct {
	workspace, head int64
	anonymous       string
}

// weighed is an activity by key, with its weight in bytes.
type weighed struct{ seq, bytes int64 }

// histories reads the activities of as many histories, in order, as weigh no more than bytes together, and says how many
// those are: at least the first, of which it leaves out the oldest if need be.
func (t *tx) histories(ctx context.Context, sql string, keys set, order []history, bytes int64) ([]event.Activity, int, error) {
	found := map[history][]weighed{}
	err := t.c.querySet(ctx, sql, keys, func(r row) error {
		var h history
		var w weighed
		if err := r.Scan(&h.workspace, &h.head, &h.anonymous, &w.seq, &w.bytes); err != nil {
			return err
		}
		found[h] = append(found[h], w)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	var refs []engine.ActivityRef
	taken := 0
	for ; taken < len(order); taken++ {
		rows := found[order[taken]]
		slices.SortFunc(rows, func(a, b weighed) int { return cmp.Compare(b.seq, a.seq) })
		from := len(refs)
		for _, w := range rows {
			if bytes -= w.bytes; bytes < 0 {
				break
			}
			refs = append(refs, engine.ActivityRef{Workspace: order[taken].workspace, Seq: w.seq})
		}
		if bytes < 0 {
			if taken == 0 {
				taken = 1
			} else {
				refs = refs[:from]
			}
			break
		}
	}
	const rows = `WITH k (workspace, seq) AS ({rows})
		SELECT ` + activityColumns + ` FROM k CROSS JOIN activities a WHERE a.workspace = k.workspace AND a.seq = k.seq`
	out, err := lookUp(ctx, t.c, rows, set{
		col(refs, func(r engine.ActivityRef) int64 { return r.Workspace }),
		col(refs, func(r engine.ActivityRef) int64 { return r.Seq }),
	}, scanActivity)
	return out, taken, err
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
