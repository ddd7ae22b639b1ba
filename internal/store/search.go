package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"rapport.example/internal/filter"
	"rapport.example/internal/person"
)

// searchBounds is what one page of a search may cost.
type searchBounds struct {
	people int   // looked at
	bytes  int   // of their documents; the person that goes beyond is looked at still
	pieces int64 // of segments, 65,536 people each
}

// The bytes bound the page's memory, the people its time where few match.
func pageBounds() searchBounds { return searchBounds{people: 20_000, bytes: 16 << 20, pieces: 256} }

// SearchPeople lists up to limit (at least 1) people who meet the filter, nil is everybody, with ordinals above after, ascending.
// next is the after of the following page, 0 at the end. A page costs a bounded number of rows and bytes wherever it lies: it may
// be short, even empty, while next is not 0. Ordinals never change and are never given twice, so whoever meets the filter all the
// while is listed exactly once over the pages, whatever is written meanwhile; one page is of one moment.
//
// Whole exports walk it too: for next := uint32(0); ; { page, next, err = SearchPeople(ctx, ws, f, next, 1000); …; if next == 0 { break } }.
//
// Attributes are in documents that SQL cannot read (docs/formats.md), so SQL finds those who can meet the filter at all and Go
// decides. That is few where segments or identifiers say so, from their bitmaps and index; else it is everybody in order.
func (db *DB) SearchPeople(ctx context.Context, ws int64, f *filter.Filter, after uint32, limit int) (page []*person.Document, next uint32, err error) {
	return db.searchWithin(ctx, ws, f, after, limit, pageBounds())
}

func (db *DB) searchWithin(ctx context.Context, ws int64, f *filter.Filter, after uint32, limit int, b searchBounds) (page []*person.Document, next uint32, err error) {
	err = db.snapshot(ctx, func(q querier) error {
		page, next, err = searchIn(ctx, q, ws, f, after, limit, b)
		return err
	})
	return page, next, err
}

// searchIn is one page of a search in a snapshot.
func searchIn(ctx context.Context, q querier, ws int64, f *filter.Filter, after uint32, limit int, b searchBounds) ([]*person.Document, uint32, error) {
	s := &search{q: q, ws: ws, f: f, limit: limit, after: after, left: b, keys: map[person.Key]uint32{}, needles: needles(f)}
	find := s.scan
	if bounded(f) {
		find = s.narrow
	}
	switch err := find(ctx); {
	case errors.Is(err, errEnough):
		return s.page, s.after, nil
	case err != nil:
		return nil, 0, err
	}
	return s.page, 0, nil
}

// bounded tells whether segments and identifiers say who can meet the filter at all.
func bounded(f *filter.Filter) bool {
	if f == nil {
		return false
	}
	switch f.Kind {
	case filter.Segment:
		return true
	case filter.And:
		return slices.ContainsFunc(f.Parts, bounded)
	case filter.Or:
		return !slices.ContainsFunc(f.Parts, func(p *filter.Filter) bool { return !bounded(p) })
	default:
		_, ok := f.Identifier()
		return ok
	}
}

// search is one page in the making.
type search struct {
	q     querier
	ws    int64
	f     *filter.Filter
	limit int
	after uint32 // everybody up to here is decided about
	left  searchBounds
	page  []*person.Document
	keys  map[person.Key]uint32 // of the filter's identifiers those that find somebody

	bits map[pieceOf]*roaring.Bitmap // of the filter's segments, those that people who are looked at lie in

	needles [][]byte // what documents of people who meet the filter hold
}

// needles are bytes that the stored document of everybody who meets f holds: most people are told apart by them, at a small part
// of what it costs to decode a document. Names and values of attributes stand in it as they are; see person.Document.Get for names
// that mean something else.
func needles(f *filter.Filter) (out [][]byte) {
	if f == nil {
		return nil
	}
	switch f.Kind {
	case filter.And:
		for _, p := range f.Parts {
			out = append(out, needles(p)...)
		}
	case filter.Equals, filter.Exists:
		name, _, _ := strings.Cut(f.Field, ".") // a path leads into an attribute, or is a name itself
		switch name {
		case "id", "email", "cio_id", "anonymous_id", "phone", "unsubscribed", "_created_in_customerio_at":
			return nil
		}
		_, number := f.Value.Number()
		_, boolean := f.Value.Bool()
		if f.Kind == filter.Equals && !number && !boolean { // these are equal to others than themselves
			out = append(out, f.Value)
		}
		out = append(out, []byte(name))
	case filter.Or, filter.Not, filter.Segment:
	}
	return out
}

// look decides about the next person in order, or ends the page before them.
func (s *search) look(ref person.Ref, stored []byte) error {
	if s.left.people <= 0 || s.left.bytes <= 0 {
		return errEnough
	}
	s.left.people--
	s.left.bytes -= len(stored)
	for _, n := range s.needles {
		if !bytes.Contains(stored, n) {
			s.after = ref.Ordinal
			return nil
		}
	}
	d, err := person.Decode(ref, stored)
	if err != nil {
		return err
	}
	if s.f.Match(judged{filter.Person{Document: d}, s.bits}) {
		if len(s.page) == s.limit {
			return errEnough
		}
		s.page = append(s.page, d)
	}
	s.after = ref.Ordinal
	return nil
}

// judged is a person in the segments that bitmaps say: a document may not know of all that was built since it was written.
type judged struct {
	filter.Person
	bits map[pieceOf]*roaring.Bitmap
}

// Member is part of filter.Subject.
func (j judged) Member(segment int64) bool {
	b := j.bits[pieceOf{segment, int64(j.Ordinal >> pieceBits)}]
	return b != nil && b.Contains(j.Ordinal&(1<<pieceBits-1))
}

// scan looks at everybody, in runs that grow: a run is read to its end, though the page may be full before.
func (s *search) scan(ctx context.Context) error {
	sql := `SELECT ` + personColumns + ` FROM people p WHERE ` + s.q.dialect().everybody + ` LIMIT $4`
	const most = 2000
	var err error
	if s.bits, err = s.pieces(ctx, 0, 1<<pieceBits); err != nil {
		return err
	}
	for run := min(s.limit+1, most); ; run = min(4*run, most) {
		n := 0
		err := s.q.query(ctx, sql, []any{s.ws, int64(s.after) + 1, pastEverybody, int64(run)}, func(r row) error {
			n++
			ref, doc, err := scanStored(r)
			if err != nil {
				return err
			}
			return s.look(ref, doc)
		})
		if err != nil || n < run {
			return err
		}
	}
}

// narrow looks at the people of the filter's segments and identifiers, some pieces at a time.
func (s *search) narrow(ctx context.Context) error {
	if err := s.identify(ctx); err != nil {
		return err
	}
	last, err := s.lastPiece(ctx)
	if err != nil {
		return err
	}
	const most = 8
	for low, step := (int64(s.after)+1)>>pieceBits, int64(1); low <= last; low, step = low+step, min(2*step, most) {
		if s.left.pieces <= 0 {
			return errEnough
		}
		s.left.pieces -= step
		bits, err := s.pieces(ctx, low, low+step)
		if err != nil {
			return err
		}
		s.bits = bits
		for piece := low; piece < min(low+step, last+1); piece++ {
			who, _ := s.candidates(s.f, piece, bits)
			if err := s.lookAt(ctx, piece, who); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *search) identify(ctx context.Context) error {
	const sql = `WITH k (workspace, type, value) AS ({rows})
		SELECT i.workspace, i.type, i.value, i.person FROM k CROSS JOIN identifiers i
		WHERE i.workspace = k.workspace AND i.type = k.type AND i.value = k.value`
	var keys []person.Key
	for _, l := range s.f.Leaves() {
		if by, ok := l.Identifier(); ok {
			keys = append(keys, by.Key(s.ws))
		}
	}
	return s.q.querySet(ctx, sql, keySet(storable(keys)), func(r row) error {
		var k person.Key
		var typ, who int64
		err := r.Scan(&k.Workspace, &typ, &k.Value, &who)
		k.Type = person.KeyType(typ)
		s.keys[k] = uint32(who)
		return err
	})
}

// segments are the filter's, each once.
func (s *search) segments() []int64 {
	var out []int64
	for _, l := range s.f.Leaves() {
		if l.Kind == filter.Segment {
			out = append(out, l.Segment)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// lastPiece is the highest piece that holds anybody; -1 is none.
func (s *search) lastPiece(ctx context.Context) (int64, error) {
	const sql = `WITH k (workspace, segment) AS ({rows})
		SELECT coalesce((SELECT max(p.piece) FROM segment_pieces p WHERE p.workspace = k.workspace AND p.segment = k.segment), -1) FROM k`
	last := int64(-1)
	for _, who := range s.keys {
		last = max(last, int64(who>>pieceBits))
	}
	segments := s.segments()
	err := s.q.querySet(ctx, sql, set{repeat(s.ws, len(segments)), segments}, func(r row) error {
		var piece int64
		err := r.Scan(&piece)
		last = max(last, piece)
		return err
	})
	return last, err
}

// pieceOf is one piece of a segment.
type pieceOf struct{ segment, piece int64 }

// pieces reads the filter's segments from piece low to before high.
func (s *search) pieces(ctx context.Context, low, high int64) (map[pieceOf]*roaring.Bitmap, error) {
	if s.f == nil {
		return nil, nil
	}
	const sql = `WITH k (workspace, segment, low, high) AS ({rows})
		SELECT p.segment, p.piece, p.bits FROM k CROSS JOIN segment_pieces p
		WHERE p.workspace = k.workspace AND p.segment = k.segment AND p.piece >= k.low AND p.piece < k.high`
	segments, out := s.segments(), map[pieceOf]*roaring.Bitmap{}
	keys := set{repeat(s.ws, len(segments)), segments, repeat(low, len(segments)), repeat(high, len(segments))}
	err := s.q.querySet(ctx, sql, keys, func(r row) error {
		var at pieceOf
		var bits []byte
		if err := r.Scan(&at.segment, &at.piece, &bits); err != nil {
			return err
		}
		out[at] = roaring.New()
		return out[at].UnmarshalBinary(bits)
	})
	return out, err
}

// candidates are those of a piece who can meet f; exact says that they all do, if they exist. The caller may keep and change them.
func (s *search) candidates(f *filter.Filter, piece int64, bits map[pieceOf]*roaring.Bitmap) (who *roaring.Bitmap, exact bool) {
	who = roaring.New()
	switch f.Kind {
	case filter.Segment:
		if b := bits[pieceOf{f.Segment, piece}]; b != nil {
			who.Or(b)
		}
		return who, true
	case filter.And, filter.Or:
		who, exact = s.candidates(f.Parts[0], piece, bits)
		for _, p := range f.Parts[1:] {
			other, all := s.candidates(p, piece, bits)
			exact = exact && all
			if f.Kind == filter.And {
				who.And(other)
			} else {
				who.Or(other)
			}
		}
		return who, exact
	case filter.Not:
		if who, exact = s.candidates(f.Parts[0], piece, bits); exact {
			who.Flip(0, 1<<pieceBits)
			return who, true
		}
	default:
		if by, ok := f.Identifier(); ok {
			if o, found := s.keys[by.Key(s.ws)]; found && int64(o>>pieceBits) == piece {
				who.Add(o & (1<<pieceBits - 1))
			}
			return who, true
		}
	}
	who.AddRange(0, 1<<pieceBits)
	return who, false
}

// lookAt looks at people of a piece, in runs of about as many as the page has room for.
func (s *search) lookAt(ctx context.Context, piece int64, who *roaring.Bitmap) error {
	it, first := who.Iterator(), uint32(piece<<pieceBits)
	if s.after >= first { // what is up to there is decided about
		it.AdvanceIfNeeded(s.after - first + 1)
	}
	for it.HasNext() {
		var run []person.Ref
		for size := min(max(s.limit+1-len(s.page), 16), 256); it.HasNext() && len(run) < size; {
			run = append(run, person.Ref{Workspace: s.ws, Ordinal: first | it.Next()})
		}
		found, err := s.lookUp(ctx, run)
		if err != nil {
			return err
		}
		s.left.people -= len(run) - found // whom a bitmap names and nobody finds cost something, too
		s.after = run[len(run)-1].Ordinal
	}
	s.after = first | (1<<pieceBits - 1)
	return nil
}

// lookUp looks at those of run who exist, and says how many they are.
func (s *search) lookUp(ctx context.Context, run []person.Ref) (n int, err error) {
	sql := `WITH k (workspace, person) AS ({rows}) SELECT ` + personColumns + ` FROM k CROSS JOIN people p WHERE ` + s.q.dialect().samePerson
	type stored struct {
		ref person.Ref
		doc []byte
	}
	found, err := lookUp(ctx, s.q, sql, refSet(run), func(r row) (stored, error) {
		ref, doc, err := scanStored(r)
		return stored{ref, doc}, err
	})
	if err != nil {
		return 0, err
	}
	slices.SortFunc(found, func(a, b stored) int { return cmp.Compare(a.ref.Ordinal, b.ref.Ordinal) })
	for _, f := range found {
		if err := s.look(f.ref, f.doc); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}
