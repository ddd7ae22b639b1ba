package store

import (
	"context"
	"math"

	"rapport.example/internal/engine"
)

const insertOptouts = `INSERT INTO optouts (workspace, person, channel, sender) {rows} ON CONFLICT (workspace, person, channel, sender) DO NOTHING`

func optoutSet(list []engine.Optout) set {
	return set{
		col(list, func(o engine.Optout) int64 { return o.Workspace }),
		col(list, func(o engine.Optout) int64 { return int64(o.Person) }),
		col(list, func(o engine.Optout) string { return o.Channel }),
		col(list, func(o engine.Optout) string { return clean(o.From) }),
	}
}

// optoutBulk writes opt-outs. Those of people who were merged are copied to whom they were merged into; dropBulk deletes theirs.
func optoutBulk(c *engine.Changes) []bulk {
	const remove = `DELETE FROM optouts WHERE (workspace, person, channel, sender) IN ({rows})`
	moves := set{
		col(c.Moves, func(m engine.Move) int64 { return m.Workspace }),
		col(c.Moves, func(m engine.Move) int64 { return int64(m.From) }),
		col(c.Moves, func(m engine.Move) int64 { return int64(m.To) }),
	}
	return []bulk{
		{remove, optoutSet(c.EarlyOptouts)},
		{`INSERT INTO optouts (workspace, person, channel, sender)
			WITH k (workspace, src, dst) AS ({rows})
			SELECT o.workspace, k.dst, o.channel, o.sender FROM k CROSS JOIN optouts o WHERE o.workspace = k.workspace AND o.person = k.src
			ON CONFLICT (workspace, person, channel, sender) DO NOTHING`, moves},
		{remove, optoutSet(c.DropOptouts)},
		{insertOptouts, optoutSet(c.PutOptouts)},
	}
}

const optoutColumns = `o.workspace, o.person, o.channel, o.sender`

func scanOptout(r row) (o engine.Optout, err error) {
	var who int64
	err = r.Scan(&o.Workspace, &who, &o.Channel, &o.From)
	o.Person = uint32(who) //nolint:gosec // ordinals are 32 bits
	return o, err
}

// OptoutsOf lists a person's opt-outs by channel and sender.
func (db *DB) OptoutsOf(ctx context.Context, ws int64, who uint32) ([]engine.Optout, error) {
	const sql = `SELECT ` + optoutColumns + ` FROM optouts o WHERE o.workspace = $1 AND o.person = $2 ORDER BY o.channel, o.sender`
	return list(ctx, db, sql, []any{ws, int64(who)}, scanOptout)
}

// Optouts lists the opt-outs of the next limit (at least 1) people from an ordinal on, by person; sender "" is any.
func (db *DB) Optouts(ctx context.Context, ws int64, sender string, from int64, limit int) ([]engine.Optout, error) {
	if from > math.MaxUint32 {
		return nil, nil
	}
	const anybody = `SELECT ` + optoutColumns + ` FROM optouts o WHERE o.workspace = $1 AND o.person IN (
		SELECT DISTINCT p.person FROM optouts p WHERE p.workspace = $1 AND p.person >= $2 ORDER BY p.person LIMIT $3)
		ORDER BY o.person, o.channel, o.sender`
	if sender == "" {
		return list(ctx, db, anybody, []any{ws, from, limit}, scanOptout)
	}
	const of = `SELECT ` + optoutColumns + ` FROM optouts o WHERE o.workspace = $1 AND o.sender = $2 AND o.person IN (
		SELECT DISTINCT p.person FROM optouts p WHERE p.workspace = $1 AND p.sender = $2 AND p.person >= $3 ORDER BY p.person LIMIT $4)
		ORDER BY o.person, o.channel, o.sender`
	return list(ctx, db, of, []any{ws, sender, from, limit}, scanOptout)
}
