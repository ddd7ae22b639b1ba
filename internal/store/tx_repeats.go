package store

import (
	"context"
	"fmt"
	"slices"

	"rapport.example/internal/engine"
)

// The ids of events lie in tables of their own, one for each day and partition: a day that is over is dropped whole, which
// costs nothing like deleting its rows, and no two nodes ever make or drop the same table. event_days lists them.

// eventTable is the name of a day's table.
func (t *tx) eventTable(day int64) string { return fmt.Sprintf("event_ids_%d_%d", t.partition, day) }

// eventDays are the days that have a table.
func (t *tx) eventDays(ctx context.Context) (map[int64]bool, error) {
	if t.cache.days != nil {
		return t.cache.days, nil
	}
	days := map[int64]bool{}
	err := t.c.query(ctx, `SELECT day FROM event_days WHERE partition_id = $1`, []any{t.partition}, func(r row) error {
		var day int64
		err := r.Scan(&day)
		days[day] = true
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the days of event ids: %w", err)
	}
	t.cache.days = days
	return days, nil
}

// byDay cuts ids, which are sorted, into those of each day.
func byDay(ids []engine.EventID) [][]engine.EventID {
	var out [][]engine.EventID
	for len(ids) > 0 {
		n := slices.IndexFunc(ids, func(e engine.EventID) bool { return e.Day != ids[0].Day })
		if n < 0 {
			n = len(ids)
		}
		out = append(out, ids[:n])
		ids = ids[n:]
	}
	return out
}

func eventSet(ids []engine.EventID) set {
	return set{
		col(ids, func(e engine.EventID) int64 { return e.Workspace }),
		col(ids, func(e engine.EventID) []byte { return e.ID[:] }),
	}
}

// EventIDs is part of engine.Tx: one statement for each day that is asked for and has ids.
func (t *tx) EventIDs(ctx context.Context, ids []engine.EventID) ([]engine.EventID, error) {
	days, err := t.eventDays(ctx)
	if err != nil {
		return nil, err
	}
	var out []engine.EventID
	for _, one := range byDay(sorted(ids, engine.CompareEventIDs)) {
		day := one[0].Day
		if !days[day] {
			continue
		}
		sql := `WITH k (workspace, id) AS ({rows}) SELECT e.workspace, e.id, e.received
			FROM k CROSS JOIN ` + t.eventTable(day) + ` e WHERE e.workspace = k.workspace AND e.id = k.id`
		err := t.c.querySet(ctx, sql, eventSet(one), func(r row) error {
			e := engine.EventID{Day: day}
			var id []byte
			err := r.Scan(&e.Workspace, &id, &e.Received)
			copy(e.ID[:], id)
			out = append(out, e)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("look event ids up: %w", err)
		}
	}
	return out, nil
}

// eventIDBulk makes the tables that are missing and returns what writes the ids.
func (t *tx) eventIDBulk(ctx context.Context, ids []engine.EventID) ([]bulk, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	days, err := t.eventDays(ctx)
	if err != nil {
		return nil, err
	}
	var out []bulk
	for _, one := range byDay(sorted(ids, engine.CompareEventIDs)) {
		day, table := one[0].Day, t.eventTable(one[0].Day)
		if !days[day] {
			if err := t.c.script(ctx, fmt.Sprintf(t.dialect.eventTables, table)); err != nil {
				return nil, fmt.Errorf("make the table of a day's event ids: %w", err)
			}
			if _, err := t.c.exec(ctx, `INSERT INTO event_days (partition_id, day) VALUES ($1, $2)`, t.partition, day); err != nil {
				return nil, fmt.Errorf("make the table of a day's event ids: %w", err)
			}
			days[day] = true
		}
		out = append(out, bulk{
			`INSERT INTO ` + table + ` (workspace, id, received) {rows} ON CONFLICT (workspace, id) DO UPDATE SET received = excluded.received`,
			append(eventSet(one), col(one, func(e engine.EventID) int64 { return e.Received })),
		})
	}
	return out, nil
}

// DropEventIDs is part of engine.Tx.
func (t *tx) DropEventIDs(ctx context.Context, before int64) (bool, error) {
	days, err := t.eventDays(ctx)
	if err != nil {
		return false, err
	}
	oldest := before
	for day := range days {
		oldest = min(oldest, day)
	}
	if oldest == before {
		return false, nil
	}
	if err := t.c.script(ctx, `DROP TABLE `+t.eventTable(oldest)); err != nil {
		return false, fmt.Errorf("drop a day of event ids: %w", err)
	}
	if _, err := t.c.exec(ctx, `DELETE FROM event_days WHERE partition_id = $1 AND day = $2`, t.partition, oldest); err != nil {
		return false, fmt.Errorf("drop a day of event ids: %w", err)
	}
	delete(days, oldest)
	return true, nil
}
