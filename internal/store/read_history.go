package store

import (
	"cmp"
	"context"
	"slices"

	"rapport.example/internal/api/app"
	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/value"
)

// Lists with filters look at a bounded number of rows a call: what they did not reach, the next page does.
const (
	walkStep  = 500
	walkSteps = 20
	window    = 10_000
	windows   = 20
	lookStep  = 100 // activities whose data must be read to know whether they are wanted: 100 kB each at most
)

// The walk carries keys alone; rows are fetched by key afterwards, for an activity's data may be 100 kB. seq < w.seq
// cannot be false in a sound chain; it makes a damaged one end.
const timelineSQL = `WITH RECURSIVE w (seq, prev, type, name, n) AS (
		SELECT a.seq, a.prev, a.type, a.name, CAST(1 AS BIGINT) FROM activities a WHERE a.workspace = $1 AND a.seq = $2
		UNION ALL
		SELECT a.seq, a.prev, a.type, a.name, w.n + 1 FROM w CROSS JOIN activities a
		WHERE w.prev <> 0 AND w.n < $3 AND a.workspace = $1 AND a.seq = w.prev AND a.seq < w.seq
	)
	SELECT seq, prev, type, name FROM w ORDER BY n`

// Timeline lists a person's activities, newest first, from the one with sequence q.From on, which is a head of the
// person's chain or a next that Timeline gave before. next is where the following page starts, 0 at the end. A page may
// hold fewer than q.Limit activities, even none, while next is not 0.
func (db *DB) Timeline(ctx context.Context, ws int64, q app.ActivityQuery) (page []event.Activity, next int64, err error) {
	err = db.snapshot(ctx, func(tx querier) error {
		next = q.From
		for step := 0; step < walkSteps && next != 0 && len(page) < q.Limit; step++ {
			more, err := walkTimeline(ctx, tx, ws, next, q, askFor(q, len(page)))
			if err != nil {
				return err
			}
			rows, err := activitiesAt(ctx, tx, ws, more.seqs)
			if err != nil {
				return err
			}
			next = more.next
			var cut int64
			if page, cut = keepActivities(page, rows, q); cut != 0 {
				next = cut
			}
		}
		return nil
	})
	return page, next, err
}

// activitiesAt reads rows by key, newest first.
func activitiesAt(ctx context.Context, tx querier, ws int64, seqs []int64) ([]event.Activity, error) {
	const sql = `WITH k (workspace, seq) AS ({rows})
		SELECT ` + activityColumns + ` FROM k CROSS JOIN activities a WHERE a.workspace = k.workspace AND a.seq = k.seq`
	rows, err := lookUp(ctx, tx, sql, set{repeat(ws, len(seqs)), seqs}, scanActivity)
	slices.SortFunc(rows, func(a, b event.Activity) int { return cmp.Compare(b.Seq, a.Seq) })
	return rows, err
}

// askFor is how many rows to read next: what is missing from the page, or a bounded number if only their data tells.
func askFor(q app.ActivityQuery, have int) int {
	if q.ByData() {
		return lookStep
	}
	return q.Limit - have
}

// keepActivities adds to a page those of rows that the query wants. cut is the first that it had no room for, or 0.
func keepActivities(page, rows []event.Activity, q app.ActivityQuery) (kept []event.Activity, cut int64) {
	for i := range rows {
		if !q.Wants(&rows[i]) {
			continue
		}
		if len(page) == q.Limit {
			return page, rows[i].Seq
		}
		page = append(page, rows[i])
	}
	return page, 0
}

type stretch struct {
	seqs []int64
	next int64
}

// walkTimeline follows one stretch of the chain and keeps what the query may want, at most limit.
func walkTimeline(ctx context.Context, tx querier, ws, from int64, q app.ActivityQuery, limit int) (s stretch, err error) {
	step := int64(walkStep)
	if q.Any() {
		step = int64(limit)
	}
	err = tx.query(ctx, timelineSQL, []any{ws, from, step}, func(r row) error {
		if len(s.seqs) == limit {
			return nil
		}
		var seq, prev, typ int64
		var name string
		if err := r.Scan(&seq, &prev, &typ, &name); err != nil {
			return err
		}
		s.next = prev
		if q.MayWant(event.Type(typ), name) {
			s.seqs = append(s.seqs, seq)
		}
		return nil
	})
	return s, err
}

// The types in these lists are those of app.ActivityQuery.MayWant: with a name of their own, named in their
// data, of deleted people.
const activitiesSQL = `SELECT ` + activityColumns + ` FROM activities a
	WHERE a.workspace = $1 AND a.seq <= $2 AND a.seq > $3 AND (a.type = $4 OR $4 = 0) AND (a.name = $5 OR $5 = '')
	AND ($6 = '' OR (a.name = $6 AND a.type IN (1, 2, 3, 15)) OR a.type = 4)
	AND (CAST($7 AS BIGINT) = 0 OR a.type NOT IN (7, 11))
	ORDER BY a.seq DESC LIMIT $8`

// Activities lists a workspace's activities, newest first, from sequence q.From down; 0 is the newest. next and short
// pages are as in Timeline.
func (db *DB) Activities(ctx context.Context, ws int64, q app.ActivityQuery) (page []event.Activity, next int64, err error) {
	from, err := db.newest(ctx, "activities", "seq", ws, q.From)
	living := int64(0)
	if q.Living {
		living = 1
	}
	for i := 0; err == nil && i < windows && from > 0 && len(page) < q.Limit; i++ {
		var got []event.Activity
		ask := askFor(q, len(page))
		got, err = list(ctx, db, activitiesSQL,
			[]any{ws, from, from - window, int64(q.Type), clean(q.Name), clean(q.Named), living, int64(ask)}, scanActivity)
		from = max(from-window, 0)
		if len(got) == ask {
			from = got[ask-1].Seq - 1
		}
		var cut int64
		if page, cut = keepActivities(page, got, q); cut != 0 {
			from = cut
		}
	}
	return page, from, err
}

// newest is from, or where 0 stands for: the largest number there is.
func (db *DB) newest(ctx context.Context, table, column string, ws, from int64) (int64, error) {
	if from != 0 {
		return from, nil
	}
	_, err := db.queryOne(ctx, `SELECT coalesce(max(`+column+`), 0) FROM `+table+` WHERE workspace = $1`, []any{ws}, &from)
	return from, err
}

const decisionColumns = `d.workspace, d.seq, d.person, d.at, d.kind, d.subject, d.version, d.outcome, d.reason, d.detail, d.campaign, d.prev`

func scanDecision(r row) (engine.Decision, error) {
	var d engine.Decision
	var who int64
	var detail []byte
	err := r.Scan(&d.Workspace, &d.Seq, &who, &d.At, &d.Kind, &d.Subject, &d.Version, &d.Outcome, &d.Reason, &detail, &d.Campaign, &d.Prev)
	d.Person, d.Detail = uint32(who), value.Value(detail)
	return d, err
}

const decisionsSQL = `WITH RECURSIVE w (seq, prev, n) AS (
		SELECT d.seq, d.prev, CAST(1 AS BIGINT) FROM decisions d WHERE d.workspace = $1 AND d.seq = $2
		UNION ALL
		SELECT d.seq, d.prev, w.n + 1 FROM w CROSS JOIN decisions d
		WHERE w.prev <> 0 AND w.n < $3 AND d.workspace = $1 AND d.seq = w.prev AND d.seq < w.seq
	)
	SELECT ` + decisionColumns + ` FROM w CROSS JOIN decisions d WHERE d.workspace = $1 AND d.seq = w.seq ORDER BY d.seq DESC`

// Decisions lists a person's decisions, newest first, from the one with sequence from on: the head of the person's chain
// or a next given before. campaign 0 is all, and decisions that concern no campaign. next and short pages are as in
// Timeline.
func (db *DB) Decisions(ctx context.Context, ws, from, campaign int64, limit int) (page []engine.Decision, next int64, err error) {
	next = from
	for i := 0; i < walkSteps && next != 0 && len(page) < limit; i++ {
		step := int64(walkStep)
		if campaign == 0 {
			step = int64(limit - len(page))
		}
		at := next
		next = 0
		err = db.queryRows(ctx, decisionsSQL, []any{ws, at, step}, func(r row) error {
			if len(page) == limit {
				return nil
			}
			d, err := scanDecision(r)
			if err != nil {
				return err
			}
			next = d.Prev
			if campaign == 0 || d.Campaign == campaign {
				page = append(page, d)
			}
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
	}
	return page, next, nil
}
