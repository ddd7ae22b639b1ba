package store

import (
	"context"
	"strings"
	"unicode/utf8"

	"rapport.example/internal/event"
	"rapport.example/internal/journey"
	"rapport.example/internal/person"
)

// Resolve tells which of the keys find a person; the others are absent from the result.
func (t *tx) Resolve(ctx context.Context, keys []person.Key) (map[person.Key]uint32, error) {
	const sql = `WITH k (workspace, type, value) AS ({rows})
		SELECT i.workspace, i.type, i.value, i.person FROM k CROSS JOIN identifiers i
		WHERE i.workspace = k.workspace AND i.type = k.type AND i.value = k.value`
	out := make(map[person.Key]uint32, len(keys))
	var cold []person.Key
	for _, k := range keys {
		if who, ok := t.cache.keys.get(k); ok {
			out[k] = who
		} else {
			cold = append(cold, k)
		}
	}
	err := t.c.querySet(ctx, sql, keySet(storable(cold)), func(r row) error {
		var k person.Key
		var typ, who int64
		err := r.Scan(&k.Workspace, &typ, &k.Value, &who)
		if err != nil {
			return err
		}
		k.Type = person.KeyType(typ)
		out[k] = uint32(who)
		t.cache.keys.put(k, uint32(who))
		return nil
	})
	return out, err
}

// storable leaves out keys that PostgreSQL cannot hold as text: person.Check never lets one be stored.
func storable(keys []person.Key) []person.Key {
	bad := func(k person.Key) bool { return strings.IndexByte(k.Value, 0) >= 0 || !utf8.ValidString(k.Value) }
	for i, k := range keys {
		if !bad(k) {
			continue
		}
		out := keys[:i:i]
		for _, k := range keys[i+1:] {
			if !bad(k) {
				out = append(out, k)
			}
		}
		return out
	}
	return keys
}

func keySet(keys []person.Key) set {
	return set{
		col(keys, func(k person.Key) int64 { return k.Workspace }),
		col(keys, func(k person.Key) int64 { return int64(k.Type) }),
		col(keys, func(k person.Key) string { return k.Value }),
	}
}

func refSet(refs []person.Ref) set {
	return set{
		col(refs, func(r person.Ref) int64 { return r.Workspace }),
		col(refs, func(r person.Ref) int64 { return int64(r.Ordinal) }),
	}
}

// People reads the documents that exist, in no particular order.
func (t *tx) People(ctx context.Context, refs []person.Ref) ([]*person.Document, error) {
	sql := `WITH k (workspace, person) AS ({rows}) SELECT ` + personColumns + ` FROM k CROSS JOIN people p WHERE ` + t.dialect.samePerson
	out := make([]*person.Document, 0, len(refs))
	var cold []person.Ref
	for _, ref := range refs {
		h, ok := t.cache.people.get(ref)
		if !ok {
			cold = append(cold, ref)
			continue
		}
		d, err := person.Decode(ref, h.doc)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	err := t.c.querySet(ctx, sql, refSet(cold), func(r row) error {
		ref, doc, err := scanStored(r)
		if err != nil {
			return err
		}
		t.cache.people.put(ref, hot{doc: doc})
		d, err := person.Decode(ref, doc)
		out = append(out, d)
		return err
	})
	return out, err
}

// PeopleFrom lists up to limit documents with ordinals in [from, to), ascending.
func (t *tx) PeopleFrom(ctx context.Context, ws int64, from, to uint32, limit int) ([]*person.Document, error) {
	sql := `SELECT ` + personColumns + ` FROM people p WHERE ` + t.dialect.everybody + ` LIMIT $4`
	return list(ctx, t.c, sql, []any{ws, int64(from), int64(to), int64(limit)}, scanPerson)
}

// Journeys reads all live journeys of the people.
func (t *tx) Journeys(ctx context.Context, refs []person.Ref) ([]journey.Journey, error) {
	const sql = `WITH k (workspace, person) AS ({rows})
		SELECT ` + journeyColumns + ` FROM k CROSS JOIN journeys j WHERE j.workspace = k.workspace AND j.person = k.person`
	var out []journey.Journey
	var cold []person.Ref
	for _, ref := range refs {
		h, ok := t.cache.people.get(ref)
		if !ok || h.journeys == nil {
			cold = append(cold, ref)
			continue
		}
		for i := range h.journeys {
			j, err := h.journeys[i].decode()
			if err != nil {
				return nil, err
			}
			out = append(out, j)
		}
	}
	for _, ref := range cold { // until the rows below say otherwise
		if h, ok := t.cache.people.get(ref); ok {
			h.journeys = []storedJourney{}
			t.cache.people.put(ref, h)
		}
	}
	err := t.c.querySet(ctx, sql, refSet(cold), func(r row) error {
		j, err := scanJourney(r)
		if err != nil {
			return err
		}
		out = append(out, j)
		t.cache.journeys(j.Workspace, j.Person, func(list []storedJourney) []storedJourney { return append(list, stored(j)) })
		return nil
	})
	return out, err
}

// The walk carries whole rows: if it carried keys and joined the rows at its end, PostgreSQL would read the whole table for that, as long as
// it has no statistics of it. seq < w.seq cannot be false in a sound chain; it makes a damaged one end.
const historySQL = `WITH RECURSIVE k (workspace, seq) AS ({rows}),
	w AS (
		SELECT ` + activityColumns + ` FROM k CROSS JOIN activities a WHERE a.workspace = k.workspace AND a.seq = k.seq
		UNION ALL
		SELECT ` + activityColumns + ` FROM w CROSS JOIN activities a
		WHERE w.prev_named <> 0 AND a.workspace = w.workspace AND a.seq = w.prev_named AND a.seq < w.seq
	)
	SELECT * FROM w ORDER BY seq DESC`

// History walks the chains of activities of one type and name from their heads, newest first within each chain.
func (t *tx) History(ctx context.Context, ws int64, heads []int64) ([]event.Activity, error) {
	return lookUp(ctx, t.c, historySQL, set{repeat(ws, len(heads)), heads}, scanActivity)
}
