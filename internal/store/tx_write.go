package store

import (
	"cmp"
	"context"
	"strings"

	"rapport.example/internal/definition"
	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/journey"
	"rapport.example/internal/person"
	"rapport.example/internal/workspace"
)

// Write carries all changes out in bulk statements, keys sorted: on PostgreSQL in one round trip.
//
// DropPeople comes after the Put slices but those of deliveries, and what they leave comes last of all: ordinals are never reused, so
// nothing that the same transaction wrote for a person before deleting it may stay. What changes people, their keys or journeys has to go into the cache,
// too.
func (t *tx) Write(ctx context.Context, c *engine.Changes) error {
	docs := sorted(c.PutPeople, func(a, b *person.Document) int { return compareRefs(a.Ref, b.Ref) })
	blobs := encodeAll(docs)
	var all []bulk
	for _, part := range [...]func(*engine.Changes) []bulk{
		workspaceBulk, keyBulk, func(*engine.Changes) []bulk { return t.peopleBulk(docs, blobs) }, nobodysBulk, historyBulk,
		journeyBulk, timerBulk, dropPeopleBulk, dropArchivesBulk, deliveryBulk, buildBulk, pieceBulk, definitionBulk, formBulk, objectBulk, requestBulk, unmailableBulk, suppressBulk,
		moveBulk, optoutBulk, dropBulk,
	} {
		for _, b := range part(c) {
			if b.rows.len() > 0 {
				all = append(all, b)
			}
		}
	}
	ids, err := t.eventIDBulk(ctx, c.EventIDs)
	if err != nil {
		return err
	}
	if err := t.c.execSets(ctx, append(all, ids...)); err != nil {
		return err
	}
	t.cache.written(c, docs, blobs)
	return nil
}

// clean makes foreign text storable as SQL text, which holds neither NUL nor invalid UTF-8 on PostgreSQL. Names and ids
// are checked at the door; what templates and mail servers say is not.
func clean(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func workspaceBulk(c *engine.Changes) []bulk {
	ws := sorted(c.Workspaces, func(a, b workspace.Workspace) int { return cmp.Compare(a.ID, b.ID) })
	ns := sorted(c.Counters, func(a, b engine.Counter) int {
		return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Name, b.Name))
	})
	return []bulk{{
		`WITH k (id, name, clock, gen, sweep, sweep_end) AS ({rows})
		UPDATE workspaces AS w SET name = k.name, clock = k.clock, gen = k.gen, sweep = k.sweep, sweep_end = k.sweep_end
		FROM k WHERE w.id = k.id`,
		set{
			col(ws, func(w workspace.Workspace) int64 { return w.ID }),
			col(ws, func(w workspace.Workspace) string { return clean(w.Name) }),
			col(ws, func(w workspace.Workspace) int64 { return w.Clock }),
			col(ws, func(w workspace.Workspace) int64 { return w.Gen }),
			col(ws, func(w workspace.Workspace) int64 { return w.Sweep }),
			col(ws, func(w workspace.Workspace) int64 { return w.SweepEnd }),
		},
	}, {
		`INSERT INTO counters (workspace, name, last) {rows} ON CONFLICT (workspace, name) DO UPDATE SET last = excluded.last`,
		set{
			col(ns, func(n engine.Counter) int64 { return n.Workspace }),
			col(ns, func(n engine.Counter) string { return n.Name }),
			col(ns, func(n engine.Counter) int64 { return n.Last }),
		},
	}}
}

func compareKeys(a, b person.Key) int {
	return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value))
}

func keyBulk(c *engine.Changes) []bulk {
	puts := sorted(c.PutKeys, func(a, b engine.KeyRow) int { return compareKeys(a.Key, b.Key) })
	rows := keySet(col(puts, func(k engine.KeyRow) person.Key { return k.Key }))
	return []bulk{{
		`DELETE FROM identifiers WHERE (workspace, type, value) IN ({rows})`,
		keySet(sorted(c.DropKeys, compareKeys)),
	}, {
		`INSERT INTO identifiers (workspace, type, value, person) {rows}
		ON CONFLICT (workspace, type, value) DO UPDATE SET person = excluded.person`,
		append(rows, col(puts, func(k engine.KeyRow) int64 { return int64(k.Person) })),
	}}
}

func compareRefs(a, b person.Ref) int {
	return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Ordinal, b.Ordinal))
}

func (t *tx) peopleBulk(docs []*person.Document, blobs [][]byte) []bulk {
	rows := t.dialect.peopleSet(col(docs, func(d *person.Document) person.Ref { return d.Ref }))
	return []bulk{{t.dialect.putPeople, append(rows, blobs)}}
}

// encodeAll encodes into shared blocks, so that a large set does not cost an allocation per person.
func encodeAll(docs []*person.Document) [][]byte {
	const block = 64 << 10
	out := make([][]byte, len(docs))
	var buf []byte
	for i, d := range docs {
		if cap(buf)-len(buf) < block/8 {
			buf = make([]byte, 0, block)
		}
		at := len(buf)
		buf = d.Encode(buf)
		out[i] = buf[at:len(buf):len(buf)]
	}
	return out
}

func historyBulk(c *engine.Changes) []bulk {
	as := sorted(c.Activities, func(a, b event.Activity) int {
		return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Seq, b.Seq))
	})
	ds := sorted(c.Decisions, func(a, b engine.Decision) int {
		return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Seq, b.Seq))
	})
	return []bulk{{
		`INSERT INTO activities (workspace, seq, person, type, name, at, received, caller_id, anonymous, data, prev, prev_named) {rows}`,
		set{
			col(as, func(a event.Activity) int64 { return a.Workspace }),
			col(as, func(a event.Activity) int64 { return a.Seq }),
			col(as, func(a event.Activity) int64 { return int64(a.Person) }),
			col(as, func(a event.Activity) int64 { return int64(a.Type) }),
			col(as, func(a event.Activity) string { return clean(a.Name) }),
			col(as, func(a event.Activity) int64 { return a.At }),
			col(as, func(a event.Activity) int64 { return a.Received }),
			col(as, func(a event.Activity) string { return clean(a.ID) }),
			col(as, func(a event.Activity) string { return clean(a.Anonymous) }),
			col(as, func(a event.Activity) []byte { return a.Data }),
			col(as, func(a event.Activity) int64 { return a.Prev }),
			col(as, func(a event.Activity) int64 { return a.PrevNamed }),
		},
	}, {
		`INSERT INTO decisions (workspace, seq, person, at, kind, subject, version, outcome, reason, detail, campaign, prev) {rows}`,
		set{
			col(ds, func(d engine.Decision) int64 { return d.Workspace }),
			col(ds, func(d engine.Decision) int64 { return d.Seq }),
			col(ds, func(d engine.Decision) int64 { return int64(d.Person) }),
			col(ds, func(d engine.Decision) int64 { return d.At }),
			col(ds, func(d engine.Decision) string { return d.Kind }),
			col(ds, func(d engine.Decision) string { return clean(d.Subject) }),
			col(ds, func(d engine.Decision) int64 { return d.Version }),
			col(ds, func(d engine.Decision) string { return clean(d.Outcome) }),
			col(ds, func(d engine.Decision) string { return clean(d.Reason) }),
			col(ds, func(d engine.Decision) []byte { return d.Detail }),
			col(ds, func(d engine.Decision) int64 { return d.Campaign }),
			col(ds, func(d engine.Decision) int64 { return d.Prev }),
		},
	}}
}

func journeyBulk(c *engine.Changes) []bulk {
	drops := sorted(c.DropJourneys, func(a, b engine.JourneyRef) int {
		return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Person, b.Person), cmp.Compare(a.ID, b.ID))
	})
	puts := sorted(c.PutJourneys, func(a, b journey.Journey) int {
		return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Person, b.Person), cmp.Compare(a.ID, b.ID))
	})
	return []bulk{{
		`DELETE FROM journeys WHERE (workspace, person, id) IN ({rows})`,
		set{
			col(drops, func(j engine.JourneyRef) int64 { return j.Workspace }),
			col(drops, func(j engine.JourneyRef) int64 { return int64(j.Person) }),
			col(drops, func(j engine.JourneyRef) int64 { return j.ID }),
		},
	}, {
		`INSERT INTO journeys (workspace, person, id, campaign, version, state) {rows}
		ON CONFLICT (workspace, person, id) DO UPDATE SET campaign = excluded.campaign, version = excluded.version, state = excluded.state`,
		set{
			col(puts, func(j journey.Journey) int64 { return j.Workspace }),
			col(puts, func(j journey.Journey) int64 { return int64(j.Person) }),
			col(puts, func(j journey.Journey) int64 { return j.ID }),
			col(puts, func(j journey.Journey) int64 { return j.Campaign }),
			col(puts, func(j journey.Journey) int64 { return j.Version }),
			col(puts, encodeJourney),
		},
	}}
}

func pieceBulk(c *engine.Changes) []bulk {
	var drops []engine.PieceKey
	var puts []engine.Piece
	for _, p := range sorted(c.Pieces, func(a, b engine.Piece) int {
		return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Segment, b.Segment), cmp.Compare(a.Piece, b.Piece))
	}) {
		if p.Count == 0 {
			drops = append(drops, p.PieceKey)
		} else {
			puts = append(puts, p)
		}
	}
	keys := pieceKeys(col(puts, func(p engine.Piece) engine.PieceKey { return p.PieceKey }))
	return []bulk{{
		`DELETE FROM segment_pieces WHERE (workspace, segment, piece) IN ({rows})`,
		pieceKeys(drops),
	}, {
		`INSERT INTO segment_pieces (workspace, segment, piece, count, bits) {rows}
		ON CONFLICT (workspace, segment, piece) DO UPDATE SET count = excluded.count, bits = excluded.bits`,
		append(keys, col(puts, func(p engine.Piece) int64 { return p.Count }), col(puts, func(p engine.Piece) []byte { return p.Bits })),
	}}
}

// definitionBulk makes the newest version of each id in the list the current one.
func definitionBulk(c *engine.Changes) []bulk {
	rows := sorted(c.Definitions, func(a, b definition.Row) int {
		return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Version, b.Version))
	})
	current := make([]bool, len(rows))
	for i, d := range rows {
		current[i] = i+1 == len(rows) || rows[i+1].Workspace != d.Workspace || rows[i+1].Kind != d.Kind || rows[i+1].ID != d.ID
	}
	key := set{
		col(rows, func(d definition.Row) int64 { return d.Workspace }),
		col(rows, func(d definition.Row) string { return d.Kind }),
		col(rows, func(d definition.Row) int64 { return d.ID }),
	}
	return []bulk{{
		`UPDATE definitions SET current = FALSE WHERE current AND (workspace, kind, id) IN ({rows})`, key,
	}, {
		`INSERT INTO definitions (workspace, kind, id, version, slug, body, gen, current, deleted, created, updated) {rows}`,
		append(key[:3:3],
			col(rows, func(d definition.Row) int64 { return d.Version }),
			col(rows, func(d definition.Row) string { return clean(d.Slug) }),
			col(rows, func(d definition.Row) string { return string(d.Body) }),
			col(rows, func(d definition.Row) int64 { return d.Gen }),
			current,
			col(rows, func(d definition.Row) bool { return d.Deleted }),
			col(rows, func(d definition.Row) int64 { return d.Created }),
			col(rows, func(d definition.Row) int64 { return d.Updated })),
	}}
}

func suppressBulk(c *engine.Changes) []bulk {
	key := func(list []engine.Suppression) set {
		return set{
			col(list, func(s engine.Suppression) int64 { return s.Workspace }),
			col(list, func(s engine.Suppression) []byte { return s.Hash }),
		}
	}
	return []bulk{{
		`DELETE FROM suppressions WHERE (workspace, hash) IN ({rows})`, key(c.Unsuppress),
	}, {
		`INSERT INTO suppressions (workspace, hash, created) {rows} ON CONFLICT (workspace, hash) DO NOTHING`,
		append(key(c.Suppress), col(c.Suppress, func(s engine.Suppression) int64 { return s.Created })),
	}}
}
