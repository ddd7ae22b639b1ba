package audience

import (
	"context"
	"errors"
	"testing"

	"rapport.example/internal/definition"
	"rapport.example/internal/event"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// many is a crowd of n people who have so many events each.
func many(n uint32, events int) *crowd {
	c := &crowd{people: map[uint32]*person.Document{}, history: map[uint32][]event.Activity{}}
	for i := range events {
		for o := uint32(1); o <= n; o++ {
			if i == 0 {
				c.people[o] = &person.Document{Ref: person.Ref{Workspace: 1, Ordinal: o}, Named: []person.Named{{Name: event.ChainName(event.Track, "a")}}}
			}
			head := &c.people[o].Named[0].Seq
			a := event.Activity{Person: o, Seq: int64(len(c.rows) + 1), Type: event.Track, Name: "a", At: epoch + int64(i), PrevNamed: *head}
			*head = a.Seq
			c.rows, c.history[o] = append(c.rows, a), append(c.history[o], a)
		}
	}
	return c
}

// TestHistoryIsBounded counts in parts what does not fit into memory at once.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	c := many(3000, 3)
	spec := counted{FactSpec: segment.FactSpec{Type: event.Track, Name: "a", Key: 7, Keep: 2}, chain: event.ChainName(event.Track, "a"), born: -1}
	h := newHistory([]counted{spec}, nil, 1, 3001, 50_000)
	if err := h.read(context.Background(), c, 1, int64(len(c.rows))); !errors.Is(err, errRoom) {
		t.Fatalf("counting more than there is room for: %v, want %v", err, errRoom)
	}
	h, err := readHistory(context.Background(), c, nil, historyRoom, 1, []counted{spec}, nil, 1, 3001)
	if err != nil || h == nil {
		t.Fatalf("readHistory = %v, %v, want everybody's events read", h, err)
	}
	for o := range c.people {
		if f, ok := h.fact(7, o); !ok || f.Count != 3 || f.First != epoch || len(f.Newest) != 2 || f.Newest[0] != epoch+2 {
			t.Fatalf("fact of %d = %+v, %v", o, f, ok)
		}
	}
}

// TestHistoryIsChosen: few people's chains are followed, many people's events are read.
func TestHistoryIsChosen(t *testing.T) {
	t.Parallel()
	c := many(3000, 3)
	spec := counted{FactSpec: segment.FactSpec{Type: event.Track, Name: "a", Key: 7}, chain: event.ChainName(event.Track, "a"), born: -1}
	for _, tt := range []struct {
		last int64
		want bool
	}{{9000, true}, {9000 * walkCost, true}, {9001*walkCost + 1000, false}} {
		use, err := worthwhile(context.Background(), c, 1, []counted{spec}, 1, 3001, tt.last)
		if err != nil || (len(use) > 0) != tt.want {
			t.Errorf("worthwhile with %d activities = %v, %v, want %v", tt.last, use, err, tt.want)
		}
	}
	if use, err := worthwhile(context.Background(), c, 1, []counted{spec}, 1, 500, 9000); err != nil || len(use) > 0 {
		t.Errorf("worthwhile for 500 people = %v, %v, want none", use, err)
	}
}

// reader counts the documents that are read.
type reader struct {
	*crowd
	documents int
}

func (r *reader) Documents(ctx context.Context, ws int64, from, to uint32, each func(uint32, []byte) error) error {
	return r.crowd.Documents(ctx, ws, from, to, func(ordinal uint32, doc []byte) error {
		r.documents++
		return each(ordinal, doc)
	})
}

// TestHistoryTellsAlone: what no document has counted is answered from the history, without reading everybody's document for it, whether
// or not others have been asked for before; what an attribute says is read once.
func TestHistoryTellsAlone(t *testing.T) {
	t.Parallel()
	const people, sample = 5000, 2 * spots * spotPeople // of whom it is seen that reading is quicker than following; a question chooses once
	r := &reader{crowd: many(people, 3)}
	for o, d := range r.people {
		d.Attributes = []person.Attribute{{Name: "even", Value: value.OfBool(o%2 == 0)}}
	}
	a := New(r, 1<<30)
	a.Hold(1)
	for _, tt := range []struct {
		condition string
		documents int // at most
		want      int64
	}{
		{`{"event":"a","at_least":3}`, sample, people},
		{`{"all":[{"attribute":"even","is":true},{"event":"a","at_least":2}]}`, people + sample, people / 2},
		{`{"all":[{"attribute":"even","is":true},{"event":"a","first":{"before":1700000000}}]}`, sample, 0},
		{`{"all":[{"attribute":"even","is":false},{"event":"a","at_least":3,"within":"30d"}]}`, sample, people / 2},
	} {
		tree, err := segment.Parse(value.Value(tt.condition), "conditions")
		if err != nil {
			t.Fatal(err)
		}
		r.documents = 0
		got, err := a.Ask(t.Context(), Query{Workspace: 1, Set: &definition.Set{}, Tree: tree, Now: epoch + 10})
		if err != nil || !got.Columns || got.Count != tt.want || got.People != people {
			t.Fatalf("%s: %+v, %v, want %d of %d people from columns", tt.condition, got, err, tt.want, people)
		}
		if r.documents > tt.documents {
			t.Errorf("%s: %d documents read, want at most %d", tt.condition, r.documents, tt.documents)
		}
	}
}

// TestHistoryEndsWithinABlock: where one block's history has no room at once, the columns know of those behind its end as well.
func TestHistoryEndsWithinABlock(t *testing.T) {
	t.Parallel()
	c := many(3000, 3)
	all := []counted{{FactSpec: segment.FactSpec{Type: event.Track, Name: "a", Key: 7, Keep: 2}, chain: event.ChainName(event.Track, "a"), born: -1}}
	past := newHistory(all, nil, 0, 2000, historyRoom)
	if err := past.read(t.Context(), c, 1, int64(len(c.rows))); err != nil {
		t.Fatal(err)
	}
	s, k := newSpace(), columnKey{kind: countColumn, fact: 7}
	s.blocks = []*block{newBlock()}
	if err := s.readBlock(t.Context(), New(c, 1<<30), 1, all, past, []columnKey{k}, 0, false); err != nil {
		t.Fatal(err)
	}
	n, ok := s.blocks[0].columns[k].(*counts)
	if !ok {
		t.Fatalf("column of %v is a %T", k, s.blocks[0].columns[k])
	}
	for o := range c.people {
		if n.n[o] != 3 {
			t.Fatalf("person %d has %d events, want 3", o, n.n[o])
		}
	}
}
