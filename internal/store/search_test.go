package store_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"rapport.example/internal/engine"
	"rapport.example/internal/filter"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

// crowd makes people who differ in everything that a filter can ask, some of them around the edges of pieces, and writes
// them with the bitmaps of their segments, which name somebody who is gone as well.
func crowd(ws int64) *engine.Changes {
	c, r := &engine.Changes{}, rand.New(rand.NewPCG(uint64(ws), 5)) //nolint:gosec // a test's people
	bits := map[engine.PieceKey]*roaring.Bitmap{}
	add := func(segment int64, o uint32) {
		k := engine.PieceKey{Workspace: ws, Segment: segment, Piece: o >> 16}
		if bits[k] == nil {
			bits[k] = roaring.New()
		}
		bits[k].Add(o & 0xffff)
	}
	for _, first := range []uint32{1, 1<<16 - 20, 3 << 16, 8<<16 - 15, 20<<16 + 7} {
		for o := first; o < first+30; o++ {
			if r.IntN(8) == 0 { // deleted, and still in the bitmap
				add(1, o)
				continue
			}
			d := &person.Document{Ref: person.Ref{Workspace: ws, Ordinal: o}, CIO: fmt.Sprintf("cio%d", o), Created: 1}
			if r.IntN(3) > 0 {
				d.ID = fmt.Sprint(o)
			}
			if r.IntN(2) == 0 {
				d.Email = fmt.Sprintf("P%d@Example.com", o)
			}
			for _, name := range []string{"plan", "age", "address"} {
				if r.IntN(2) == 0 {
					v := []value.Value{value.Quote("pro"), value.Quote("free"), value.Int(int64(r.IntN(3))), value.Value(`{"city":"Oslo"}`)}[r.IntN(4)]
					d.Attributes = append(d.Attributes, person.Attribute{Name: name, Value: v, At: 1})
				}
			}
			for segment := int64(1); segment <= 3; segment++ {
				if r.IntN(int(segment)+1) == 0 {
					d.Segments = append(d.Segments, person.Membership{Segment: segment, Since: 1})
					add(segment, o)
				}
			}
			c.PutPeople = append(c.PutPeople, d)
			for _, k := range d.Keys() {
				c.PutKeys = append(c.PutKeys, engine.KeyRow{Key: k, Person: o})
			}
		}
	}
	for k, b := range bits {
		raw, err := b.ToBytes()
		if err == nil {
			c.Pieces = append(c.Pieces, engine.Piece{PieceKey: k, Count: int64(b.GetCardinality()), Bits: raw})
		}
	}
	return c
}

// drawFilter makes a random filter of the crowd.
func drawFilter(t *rapid.T, depth int) string {
	kind := rapid.IntRange(0, 6).Draw(t, "kind")
	if depth == 0 {
		kind %= 4
	}
	switch kind {
	case 0, 1:
		return fmt.Sprintf(`{"segment":{"id":%d}}`, rapid.IntRange(1, 4).Draw(t, "segment"))
	case 2:
		field := rapid.SampledFrom([]string{"plan", "age", "address.city", "email", "nothing"}).Draw(t, "field")
		return `{"attribute":{"field":"` + field + `","operator":"exists"}}`
	case 3:
		return rapid.SampledFrom([]string{
			`{"field":"plan","operator":"eq","value":"pro"}`, `{"field":"age","operator":"eq","value":1}`, `{"field":"address.city","operator":"eq","value":"Oslo"}`,
			`{"field":"id","operator":"eq","value":"7"}`, `{"field":"id","operator":"eq","value":196610}`, `{"field":"email","operator":"eq","value":"p65530@EXAMPLE.com"}`,
			`{"field":"cio_id","operator":"eq","value":"cio_cio1310729"}`, `{"field":"email","operator":"eq","value":"nobody"}`, `{"field":"id","operator":"eq","value":"\u0000"}`,
		}).Draw(t, "leaf")
	case 4:
		return `{"not":` + drawFilter(t, depth-1) + `}`
	}
	parts := make([]string, rapid.IntRange(1, 3).Draw(t, "parts"))
	for i := range parts {
		parts[i] = drawFilter(t, depth-1)
	}
	return `{"` + rapid.SampledFrom([]string{"and", "or"}).Draw(t, "word") + `":[` + strings.Join(parts, ",") + `]}`
}

// TestSearchAgainstMemory holds, for random filters and pages of any size, what a search lists to what the filter says of each
// person, in order and each once; whatever of the work was left to bitmaps and indexes.
func TestSearchAgainstMemory(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		mine := crowd(1)
		l := lease(t, db)
		write(t, db, l, mine)
		write(t, db, l, crowd(2))
		rapid.Check(t, func(t *rapid.T) {
			text := drawFilter(t, 3)
			f, err := filter.People(value.Value(text), "")
			if err != nil {
				t.Fatal(err)
			}
			var want, got []uint32
			for _, d := range mine.PutPeople {
				if f.Match(filter.Person{Document: d}) {
					want = append(want, d.Ordinal)
				}
			}
			limit, people, bytes := rapid.IntRange(1, 40).Draw(t, "limit"), rapid.IntRange(1, 60).Draw(t, "people"), rapid.SampledFrom([]int{1, 500, 1 << 20}).Draw(t, "bytes")
			for next, last := uint32(0), false; !last; last = next == 0 {
				var page []*person.Document
				was := next
				page, next, err = db.SearchWithin(ctx, 1, f, was, limit, people, bytes)
				if err != nil || len(page) > limit || next != 0 && next <= was {
					t.Fatalf("search %s after %d = %d people, next %d, %v", text, was, len(page), next, err)
				}
				for _, d := range page {
					got = append(got, d.Ordinal)
				}
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("search %s, limit %d, people %d, bytes %d (-want +got):\n%s", text, limit, people, bytes, diff)
			}
		})
		page, next, err := db.SearchPeople(ctx, 1, nil, 0, 1000)
		if err != nil || next != 0 || len(page) != len(mine.PutPeople) {
			t.Errorf("search of everybody = %d people, next %d, %v, want %d", len(page), next, err, len(mine.PutPeople))
		}
	})
}
