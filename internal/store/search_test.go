package store_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"rapport.example/internal/engine"
	"rapport.example/internal/filter"
	"rapport.example/internal/object"
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
			if r.IntN(4) == 0 {
				d.Phone, d.Unsubscribed = fmt.Sprintf("+1555%07d", o), true
			}
			if r.IntN(2) == 0 {
				d.Email = fmt.Sprintf("P%d@Example.com", o)
			}
			for _, name := range []string{"plan", "age", "address", "plan.of"} {
				if r.IntN(2) == 0 {
					v := []value.Value{
						value.Quote("pro"), value.Quote("free"), value.Int(int64(r.IntN(3))), value.Value(`{"city":"Oslo"}`), value.Quote("1.0"),
						value.Value(`["free",["pro",1]]`), value.True, value.Quote("True"), value.Quote("é\n\"x"),
					}[r.IntN(9)]
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
		field := rapid.SampledFrom([]string{"plan", "age", "address.city", "plan.of", "email", "unsubscribed", "phone", "_created_in_customerio_at", "nothing", ".plan"}).Draw(t, "field")
		return `{"attribute":{"field":"` + field + `","operator":"exists"}}`
	case 3:
		return rapid.SampledFrom([]string{
			`{"field":"plan","operator":"eq","value":"pro"}`, `{"field":"age","operator":"eq","value":1}`, `{"field":"age","operator":"eq","value":"1"}`,
			`{"field":"plan","operator":"eq","value":true}`, `{"field":"plan","operator":"eq","value":"true"}`, `{"field":"plan","operator":"eq","value":"é\n\"x"}`,
			`{"field":"unsubscribed","operator":"eq","value":"false"}`, `{"field":"phone","operator":"eq","value":"+15550000007"}`, `{"field":"address.city","operator":"eq","value":"Oslo"}`,
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

// TestSearchObjects holds, for every filter and pages of any size, what a search of objects lists to what the filter says of each.
func TestSearchObjects(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, r := t.Context(), rand.New(rand.NewPCG(1, 1)) //nolint:gosec // a test's objects
		c := &engine.Changes{}
		for i := range int64(200) {
			o := object.Object{Workspace: 1 + i%2, Number: i + 1, Type: 1 + i%3, ID: fmt.Sprintf("o%d", r.IntN(1000)+1000*int(i)), CIO: fmt.Sprint("cio", i)}
			o.Attributes = object.Decode(fmt.Appendf(nil, `{"n":[%d,1],"old":[null,1],"at":[{"x":"%d"},1]}`, r.IntN(3), r.IntN(2)))
			c.PutObjects = append(c.PutObjects, o)
			c.Counters = append(c.Counters, engine.Counter{Workspace: o.Workspace, Name: fmt.Sprint("objects:", o.Type), Last: i})
		}
		slices.SortFunc(c.Counters, func(a, b engine.Counter) int {
			return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Name, b.Name))
		})
		c.Counters = slices.CompactFunc(c.Counters, func(a, b engine.Counter) bool { return a.Workspace == b.Workspace && a.Name == b.Name })
		write(t, db, lease(t, db), c)
		for text, holds := range map[string]func(o *object.Object) bool{
			`{"field":"n","operator":"eq","value":"1"}`:                      func(o *object.Object) bool { return string(o.Attributes.Get("n")) == "1" },
			`{"field":"at.x","operator":"eq","value":"1"}`:                   func(o *object.Object) bool { return o.Attributes.Get("at").Get("x").Text() == "1" },
			`{"field":"old","operator":"exists"}`:                            func(*object.Object) bool { return false },
			`{"not":{"field":"n","operator":"eq","value":1}}`:                func(o *object.Object) bool { return string(o.Attributes.Get("n")) != "1" },
			`{"object_attribute":{"field":"object_id","operator":"exists"}}`: func(*object.Object) bool { return true },
			`{"field":"cio_object_id","operator":"eq","value":"cio6"}`:       func(o *object.Object) bool { return o.CIO == "cio6" },
		} {
			f, err := filter.Objects(value.Value(text), "")
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]bool{}
			for i := range c.PutObjects {
				if o := &c.PutObjects[i]; o.Workspace == 1 && o.Type == 1 && holds(o) {
					want[o.ID] = true
				}
			}
			for _, b := range [][3]int{{1, 1, 1}, {3, 7, 100}, {5, 100, 1 << 20}, {1000, 1000, 1 << 20}} {
				got := map[string]bool{}
				for next, last := "", false; !last; last = next == "" {
					var page []object.Object
					if page, next, err = db.SearchObjectsWithin(ctx, 1, 1, f, next, b[0], b[1], b[2]); err != nil || len(page) > b[0] {
						t.Fatalf("search = %d objects, %v", len(page), err)
					}
					for _, o := range page {
						if got[o.ID] {
							t.Errorf("%s is listed twice", o.ID)
						}
						got[o.ID] = true
					}
				}
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Errorf("search %s with %v (-want +got):\n%s", text, b, diff)
				}
			}
		}
		if types, err := db.ObjectTypes(ctx, 1); err != nil || !slices.Equal(types, []int64{1, 2, 3}) {
			t.Errorf("ObjectTypes() = %v, %v", types, err)
		}
	})
}

// edges are filters that random ones seldom come to: of every field that is no attribute, and of those who are in one segment and
// not in another.
func edges() (out []string) {
	for _, field := range []string{"id", "email", "cio_id", "phone", "anonymous_id", "unsubscribed", "_created_in_customerio_at", "plan.of", "plan.of.city"} {
		exists := `{"field":"` + field + `","operator":"exists"}`
		out = append(out, exists, `{"and":[{"id":1},`+exists+`]}`)
	}
	for _, a := range []string{`{"id":1}`, `{"id":2}`, `{"or":[{"id":2},{"id":3}]}`} {
		for _, b := range []string{`{"id":3}`, `{"and":[{"field":"plan","operator":"exists"},{"id":2}]}`, `{"and":[{"id":2},{"field":"plan","operator":"eq","value":"pro"}]}`} {
			out = append(out, `{"and":[`+a+`,{"not":`+b+`}]}`)
		}
	}
	return append(out, `{"field":"phone","operator":"eq","value":"+15550000003"}`, `{"field":"unsubscribed","operator":"eq","value":"true"}`)
}

// TestSearchAgainstMemory holds, for random filters and pages of any size, what a search lists to what the filter says of each
// person, in order and each once; whatever of the work was left to bitmaps, indexes and bytes of documents.
func TestSearchAgainstMemory(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		mine := crowd(1)
		l := lease(t, db)
		write(t, db, l, mine)
		write(t, db, l, crowd(2))
		check := func(t interface{ Fatalf(string, ...any) }, text string, limit, people, bytes int) {
			f, err := filter.People(value.Value(text), "")
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			var want, got []uint32
			for _, d := range mine.PutPeople {
				if f.Match(filter.Person{Document: d}) {
					want = append(want, d.Ordinal)
				}
			}
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
			if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("search %s, limit %d, people %d, bytes %d (-want +got):\n%s", text, limit, people, bytes, diff)
			}
		}
		for _, text := range edges() {
			check(t, text, 7, 1000, 1<<20)
		}
		rapid.Check(t, func(t *rapid.T) {
			check(t, drawFilter(t, 3), rapid.IntRange(1, 40).Draw(t, "limit"), rapid.IntRange(1, 60).Draw(t, "people"), rapid.SampledFrom([]int{1, 500, 1 << 20}).Draw(t, "bytes"))
		})
		page, next, err := db.SearchPeople(ctx, 1, nil, 0, 1000)
		if err != nil || next != 0 || len(page) != len(mine.PutPeople) {
			t.Errorf("search of everybody = %d people, next %d, %v, want %d", len(page), next, err, len(mine.PutPeople))
		}
	})
}

// BenchmarkSearchRare is a page that finds nobody among as many people as it may look at.
func BenchmarkSearchRare(b *testing.B) {
	for _, backend := range storetest.Backends() {
		b.Run("backend="+backend, func(b *testing.B) {
			db := storetest.Open(b, storetest.Options(b, backend))
			l := lease(b, db)
			for part := range 10 {
				c := &engine.Changes{}
				for i := range 2000 {
					o := part*2000 + i + 1
					d := &person.Document{Ref: person.Ref{Workspace: 1, Ordinal: uint32(o)}, CIO: fmt.Sprint("cio", o), ID: fmt.Sprint(o), Created: 1}
					for _, n := range []string{"first_name", "plan", "country", "score", "company", "locale", "newsletter"} {
						d.Attributes = append(d.Attributes, person.Attribute{Name: n, Value: value.Quote(fmt.Sprint(n, o)), At: 1700000000})
					}
					for s := int64(1); s < 8; s++ {
						d.Segments = append(d.Segments, person.Membership{Segment: s, Since: 1700000000000})
					}
					for s := uint64(1); s < 8; s++ {
						d.Facts = append(d.Facts, person.Fact{Key: s, First: 1700000000000, Count: 3, Newest: []int64{1700000000000, 1700000000100}})
					}
					c.PutPeople = append(c.PutPeople, d)
				}
				write(b, db, l, c)
			}
			f, err := filter.People(value.Value(`{"field":"company","operator":"eq","value":"nobody"}`), "")
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := db.SearchPeople(b.Context(), 1, f, 0, 50); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
