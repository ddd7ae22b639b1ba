package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/klauspost/compress/s2"

	"rapport.example/internal/audience"
	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/value"
)

// Everybody's events are read many times faster from pieces than from rows: a piece has all events of people in a stretch of the
// activities, by chain, each column by itself, and packed. Pieces are made behind the writes that they are of, and say nothing that the
// rows do not: where one is missing the rows are read. So whatever deletes such a row deletes its piece with it.

// eventPieceVersion is the first byte of event_pieces.doc; docs/formats.md has the layout.
const eventPieceVersion = 1

var errPiece = errors.New("a piece of events is damaged or of a newer version")

// eventColumns are the events of one chain in a piece.
type eventColumns struct {
	chain        string
	people, data []byte // uint32 little-endian each; all data one after the other
	times, sizes []byte // as varint differences and as uvarints
	n            int
	last         int64
}

func (c *eventColumns) add(who uint32, at int64, data []byte) {
	c.people = binary.LittleEndian.AppendUint32(c.people, who)
	c.times = binary.AppendVarint(c.times, at-c.last)
	c.sizes = binary.AppendUvarint(c.sizes, uint64(len(data)))
	c.data = append(c.data, data...)
	c.n, c.last = c.n+1, at
}

// eventPacker makes a piece.
type eventPacker struct {
	chains []*eventColumns
	places map[string]*eventColumns
	newest int64
}

func (p *eventPacker) add(chain []byte, who uint32, at int64, data []byte) {
	c := p.places[string(chain)]
	if c == nil {
		c = &eventColumns{chain: string(chain)}
		if p.places == nil {
			p.places, p.newest = map[string]*eventColumns{}, at
		}
		p.chains, p.places[c.chain] = append(p.chains, c), c
	}
	c.add(who, at, data)
	p.newest = max(p.newest, at)
}

func (p *eventPacker) encode() []byte {
	b := binary.AppendUvarint([]byte{eventPieceVersion}, uint64(len(p.chains)))
	var all []byte
	for _, c := range p.chains {
		all = binary.AppendUvarint(append(all[:0], c.people...), uint64(len(c.times)))
		all = binary.AppendUvarint(append(all, c.times...), uint64(len(c.sizes)))
		all = append(append(all, c.sizes...), c.data...)
		b = putText(b, c.chain)
		b = binary.AppendUvarint(b, uint64(c.n)) //nolint:gosec // a count
		b = putText(b, s2.Encode(nil, all))
	}
	return b
}

// eventReader reads pieces, one after the other.
type eventReader struct {
	places map[string]int
	wanted []audience.Wanted
	each   func(i int, person uint32, at int64, data value.Value) error
	room   []byte
}

func (r *eventReader) read(piece []byte) error {
	if len(piece) == 0 || piece[0] != eventPieceVersion {
		return errPiece
	}
	s := stateReader{left: piece[1:]}
	for range s.uint() {
		chain, n, packed := s.text(), s.uint(), s.text()
		if s.bad {
			return errPiece
		}
		i, ok := r.places[string(chain)]
		if !ok {
			continue
		}
		size, err := s2.DecodedLen(packed)
		if err != nil || n > engine.EventPiece || uint64(size) < 4*n {
			return errPiece
		}
		r.room = slices.Grow(r.room[:0], size)
		all, err := s2.Decode(r.room[:size], packed)
		if err != nil {
			return errPiece
		}
		if err := r.columns(i, int(n), all); err != nil { //nolint:gosec // at most EventPiece
			return err
		}
	}
	return nil
}

func (r *eventReader) columns(i, n int, all []byte) error {
	rest := stateReader{left: all[4*n:]}
	times, sizes := rest.text(), rest.text()
	people, data, after, at := all[:4*n], rest.left, r.wanted[i].After, int64(0)
	if rest.bad {
		return errPiece
	}
	for ; len(people) > 0; people = people[4:] { // without a stateReader, which would take twice the time
		step, read := binary.Varint(times)
		size, also := binary.Uvarint(sizes)
		if read <= 0 || also <= 0 || size > uint64(len(data)) {
			return errPiece
		}
		d := data[:size:size]
		times, sizes, data, at = times[read:], sizes[also:], data[size:], at+step
		if at <= after {
			continue
		}
		if err := r.each(i, binary.LittleEndian.Uint32(people), at, d); err != nil {
			return err
		}
	}
	return nil
}

// eventsSQL reads the rows that belong into pieces: those that conditions may ask for.
const eventsSQL = `SELECT person, type, name, at, data FROM activities
	WHERE workspace = $1 AND seq >= $2 AND seq < $3 AND person <> 0 AND type IN (1, 2, 3, 9) ORDER BY seq`

// eachEvent shows the chain of each; it and data are valid during the call.
func eachEvent(ctx context.Context, q interface {
	query(ctx context.Context, sql string, args []any, scan func(row) error) error
}, ws, from, to int64, each func(chain []byte, person uint32, at int64, data []byte) error,
) error {
	var who, typ, at int64
	var name string
	var data []byte
	chain := make([]byte, 0, 1+event.MaxName)
	return q.query(ctx, eventsSQL, []any{ws, from, to}, func(r row) error {
		if err := r.Scan(&who, &typ, &name, &at, &data); err != nil {
			return err
		}
		a := event.Activity{Type: event.Type(typ), Name: name, Data: data}
		called, ok := a.Chained()
		if !ok {
			return nil
		}
		chain = append(append(chain[:0], byte(typ)), called...)
		return each(chain, uint32(who), at, data)
	})
}

// LastEvent is part of audience.Source.
func (db *DB) LastEvent(ctx context.Context, ws int64) (int64, error) {
	return db.newest(ctx, "activities", "seq", ws, 0)
}

// Events is part of audience.Source.
func (db *DB) Events(ctx context.Context, ws, from, to int64, wanted []audience.Wanted, each func(i int, person uint32, at int64, data value.Value) error) error {
	// A piece without anything new enough is not read, but known.
	const sql = `SELECT piece AS n, CASE WHEN newest > $4 THEN doc END AS b FROM event_pieces WHERE workspace = $1 AND piece >= $2 AND piece < $3 ORDER BY piece`
	r := eventReader{places: make(map[string]int, len(wanted)), wanted: wanted, each: each}
	after := int64(math.MaxInt64)
	for i, w := range wanted {
		r.places[w.Chain], after = i, min(after, w.After)
	}
	rows := func(from, to int64) error {
		if from >= to {
			return nil
		}
		return eachEvent(ctx, db, ws, from, to, func(chain []byte, person uint32, at int64, data []byte) error {
			if i, ok := r.places[string(chain)]; ok && at > wanted[i].After {
				return each(i, person, at, data)
			}
			return nil
		})
	}
	var missing [][2]int64
	next := from
	err := db.lent(ctx, sql, []any{ws, (from + engine.EventPiece - 1) / engine.EventPiece, to / engine.EventPiece, after}, func(n int64, doc []byte) error {
		if n*engine.EventPiece > next {
			missing = append(missing, [2]int64{next, n * engine.EventPiece})
		}
		next = (n + 1) * engine.EventPiece
		if doc == nil {
			return nil
		}
		if err := r.read(doc); err != nil {
			return fmt.Errorf("piece %d of workspace %d: %w", n, ws, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, m := range append(missing, [2]int64{next, to}) {
		if err := rows(m[0], m[1]); err != nil {
			return err
		}
	}
	return nil
}

// PackEvents is part of engine.Tx.
func (t *tx) PackEvents(ctx context.Context, ws, from, last int64) (next int64, err error) {
	// The first that is not there: from's own, or one behind a piece that is there.
	const sql = `SELECT n FROM (
			SELECT CAST($2 AS BIGINT) AS n UNION ALL SELECT piece + 1 FROM event_pieces WHERE workspace = $1 AND piece >= $2
		) c WHERE NOT EXISTS (SELECT 1 FROM event_pieces e WHERE e.workspace = $1 AND e.piece = c.n) ORDER BY n LIMIT 1`
	piece := from / engine.EventPiece
	err = t.c.query(ctx, sql, []any{ws, piece}, func(r row) error { return r.Scan(&piece) })
	next = (piece + 1) * engine.EventPiece
	if err != nil || next > last+1 {
		return piece * engine.EventPiece, err
	}
	var p eventPacker
	err = eachEvent(ctx, t.c, ws, piece*engine.EventPiece, next, func(chain []byte, person uint32, at int64, data []byte) error {
		p.add(chain, person, at, data)
		return nil
	})
	if err != nil {
		return 0, err
	}
	_, err = t.c.exec(ctx, `INSERT INTO event_pieces (workspace, piece, newest, doc) VALUES ($1, $2, $3, $4)`, ws, piece, p.newest, p.encode())
	return next, err
}
