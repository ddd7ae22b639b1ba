package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"rapport.example/internal/engine"
	"rapport.example/internal/timer"
)

// Timers are rows, in one tree by due time. What a build arms, up to one timer for everybody, comes packed: a block becomes rows when the
// first of its timers is due.

const (
	timerBlockVersion = 1
	spreadAtOnce      = 8 // blocks that become rows in one step

	dueBlocksSQL = `SELECT due, id, doc FROM timer_blocks WHERE workspace = $1 AND due <= $2 ORDER BY due, id LIMIT $3`
	timersSQL    = `SELECT ` + timerColumns + ` FROM timers WHERE workspace = $1 AND due <= $2 ORDER BY due, person, kind, ref LIMIT $3`
	nextTimerSQL = `SELECT coalesce((SELECT due FROM timers WHERE workspace = $1 ORDER BY due LIMIT 1), 0),
		coalesce((SELECT due FROM timer_blocks WHERE workspace = $1 ORDER BY due LIMIT 1), 0)`
)

var errTimerBlock = errors.New("a block of timers is damaged")

func timerBulk(c *engine.Changes) []bulk {
	return []bulk{
		{`DELETE FROM timers WHERE (workspace, due, person, kind, ref) IN ({rows})`, timerSet(c.DropTimers)},
		{`INSERT INTO timers (workspace, due, person, kind, ref) {rows} ON CONFLICT DO NOTHING`, timerSet(c.PutTimers)},
		{`INSERT INTO timer_blocks (workspace, due, id, timers, doc) {rows}`, set{
			col(c.TimerBlocks, func(b engine.TimerBlock) int64 { return b.Workspace }),
			col(c.TimerBlocks, func(b engine.TimerBlock) int64 { return b.Timers[0].Due }),
			col(c.TimerBlocks, func(b engine.TimerBlock) int64 { return b.ID }),
			col(c.TimerBlocks, func(b engine.TimerBlock) int64 { return int64(len(b.Timers)) }),
			col(c.TimerBlocks, encodeTimers),
		}},
	}
}

func timerSet(list []timer.Timer) set {
	list = sorted(list, timer.Timer.Compare)
	return set{
		col(list, func(t timer.Timer) int64 { return t.Workspace }),
		col(list, func(t timer.Timer) int64 { return t.Due }),
		col(list, func(t timer.Timer) int64 { return int64(t.Person) }),
		col(list, func(t timer.Timer) int64 { return int64(t.Kind) }),
		col(list, func(t timer.Timer) int64 { return t.Ref }),
	}
}

// encodeTimers writes, of each timer in docs/formats.md's form, how much later than the one before it is due, and the person.
func encodeTimers(b engine.TimerBlock) []byte {
	out, before := append(make([]byte, 0, 1+8*len(b.Timers)), timerBlockVersion), b.Timers[0].Due
	for _, t := range b.Timers {
		out = binary.AppendUvarint(out, uint64(t.Due-before)) //nolint:gosec // they are in order
		out = binary.AppendUvarint(out, uint64(t.Person))
		before = t.Due
	}
	return out
}

func decodeTimers(ws, due int64, doc []byte) ([]timer.Timer, error) {
	if len(doc) == 0 || doc[0] != timerBlockVersion {
		return nil, errTimerBlock
	}
	var out []timer.Timer
	r := stateReader{left: doc[1:]}
	for len(r.left) > 0 && !r.bad {
		due += int64(r.uint())                                                                                 //nolint:gosec // as encoded
		out = append(out, timer.Timer{Workspace: ws, Person: uint32(r.uint()), Kind: timer.Segment, Due: due}) //nolint:gosec // as encoded
	}
	if r.bad {
		return nil, errTimerBlock
	}
	return out, nil
}

// Timers lists up to limit timers of a workspace due at or before until, by due time, then person, kind, ref.
func (t *tx) Timers(ctx context.Context, ws, until int64, limit int) ([]timer.Timer, error) {
	for {
		due, err := list(ctx, t.c, timersSQL, []any{ws, until, int64(limit)}, scanTimer)
		if err != nil {
			return nil, err
		}
		edge := until // a block that begins later has nothing for the list
		if len(due) == limit {
			edge = due[limit-1].Due
		}
		if more, err := t.spread(ctx, ws, edge); err != nil || !more {
			return due, err
		}
	}
}

// spread makes rows of the first blocks whose first timer is due by then, and says whether there were any.
func (t *tx) spread(ctx context.Context, ws, until int64) (bool, error) {
	var all []timer.Timer
	var dues, ids []int64
	err := t.c.query(ctx, dueBlocksSQL, []any{ws, until, int64(spreadAtOnce)}, func(r row) error {
		var due, id int64
		var doc []byte
		if err := r.Scan(&due, &id, &doc); err != nil {
			return err
		}
		timers, err := decodeTimers(ws, due, doc)
		if err != nil {
			return fmt.Errorf("block %d of workspace %d: %w", id, ws, err)
		}
		all, dues, ids = append(all, timers...), append(dues, due), append(ids, id)
		return nil
	})
	if err != nil || len(ids) == 0 {
		return false, err
	}
	rows := slices.Concat(timerBulk(&engine.Changes{PutTimers: all}),
		[]bulk{{`DELETE FROM timer_blocks WHERE (workspace, due, id) IN ({rows})`, set{repeat(ws, len(ids)), dues, ids}}})
	rows = slices.DeleteFunc(rows, func(b bulk) bool { return b.rows.len() == 0 })
	return true, t.c.execSets(ctx, rows)
}

// NextTimer is the earliest due time of a workspace's timers, 0 if there is none.
func (t *tx) NextTimer(ctx context.Context, ws int64) (int64, error) {
	var single, block int64
	err := t.c.query(ctx, nextTimerSQL, []any{ws}, func(r row) error { return r.Scan(&single, &block) })
	if single == 0 || block != 0 && block < single {
		return block, err
	}
	return single, err
}

// PackedTimers is part of engine.Store.
func (db *DB) PackedTimers(ctx context.Context, ws int64, each func(timer.Timer)) error {
	const sql = `SELECT due, doc FROM timer_blocks WHERE workspace = $1`
	return db.queryRows(ctx, sql, []any{ws}, func(r row) error {
		var due int64
		var doc []byte
		if err := r.Scan(&due, &doc); err != nil {
			return err
		}
		list, err := decodeTimers(ws, due, doc)
		for _, t := range list {
			each(t)
		}
		return err
	})
}
