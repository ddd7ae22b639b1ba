package audience

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"rapport.example/internal/definition"
	"rapport.example/internal/event"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
)

// Scan shows everybody with ordinals in [from, to) to conditions, with what the trees ask for at hand: what documents have not counted
// is taken from past, which may be nil, and else read from people's history. People whose history has to be read come some hundreds at a
// time and later than the others, who come in ascending order. Trees may refer to segments of the set, whose membership is in members by slug.
func Scan(ctx context.Context, src Source, workspace int64, set *definition.Set, trees []*segment.Node, past *Past, members map[string]*roaring.Bitmap,
	from, to uint32, each func(*Person) error,
) error {
	return scanRange(ctx, src, workspace, countedOf(set, trees), typesOf(trees), past.counted(), members, from, to, each)
}

// Recount shows those people with ordinals in [from, to) whose documents have not counted every event condition of the set: their
// Recounted says the rest, from past where that has it, see CountAll.
func Recount(ctx context.Context, src Source, workspace int64, set *definition.Set, past *Past, from, to uint32, each func(*Person) error) error {
	return scanRange(ctx, src, workspace, countedAll(set), nil, past.counted(), nil, from, to, func(p *Person) error {
		if p.rebuilt == nil {
			return nil
		}
		return each(p)
	})
}

// typesOf lists the types of objects that trees look at.
func typesOf(trees []*segment.Node) (types []int64) {
	for _, tree := range trees {
		for _, f := range tree.Mentions().Objects {
			if !slices.Contains(types, f.Type) {
				types = append(types, f.Type)
			}
		}
	}
	return types
}

// scanRange is Scan with what was counted of the history, if any was, for conditions that ask for objects of these types.
func scanRange(ctx context.Context, src Source, workspace int64, specs []counted, types []int64, past *history, members map[string]*roaring.Bitmap,
	from, to uint32, each func(*Person) error,
) error {
	s := scan{
		src: src, workspace: workspace, specs: specs, types: types, past: past, facts: map[uint64]person.Fact{}, each: each, p: Person{members: members},
	}
	return s.run(ctx, from, to)
}

// run shows the people of a range, a piece of it at a time if their relationships have to be read with them.
func (s *scan) run(ctx context.Context, from, to uint32) error {
	if len(s.types) == 0 {
		return s.piece(ctx, from, to)
	}
	for from < to {
		next := from + min(relatedStep, to-from)
		s.p.links = map[uint32][]object.Link{}
		err := s.src.Related(ctx, s.workspace, s.types, from, next, func(l object.Link) error {
			s.p.links[l.Relationship.Person] = append(s.p.links[l.Relationship.Person], l)
			return ctx.Err()
		})
		if err != nil {
			return err
		}
		if err := s.piece(ctx, from, next); err != nil {
			return err
		}
		from = next
	}
	return nil
}

func (s *scan) piece(ctx context.Context, from, to uint32) error {
	for from < to {
		next := to
		err := s.src.Documents(ctx, s.workspace, from, to, func(ordinal uint32, doc []byte) error {
			if err := s.document(ordinal, doc); err != nil {
				return err
			}
			if len(s.late) >= lateStep || s.held >= lateRoom {
				next = ordinal + 1
				return errLate
			}
			return ctx.Err()
		})
		if err != nil && !errors.Is(err, errLate) {
			return err
		}
		if err := s.catchUp(ctx); err != nil {
			return err
		}
		from = next
	}
	return nil
}

// How many people's chains are walked at a time, and about how many bytes their documents may take.
const (
	lateStep = 500
	lateRoom = 8 << 20

	relatedStep = 2048 // people whose relationships are in hand
)

// errLate ends the reading of documents so that chains can be walked.
var errLate = errors.New("history is to be read")

type scan struct {
	src       Source
	workspace int64
	specs     []counted
	past      *history               // may be nil
	facts     map[uint64]person.Fact // of the person at hand, from past
	types     []int64                // of objects that are asked for
	each      func(*Person) error
	p         Person
	late      []late
	held      int // bytes of the late documents
}

// late is a document whose history is needed.
type late struct {
	ordinal uint32
	doc     []byte
}

func (s *scan) document(ordinal uint32, doc []byte) error {
	if err := s.p.view.Reset(person.Ref{Workspace: s.workspace, Ordinal: ordinal}, doc); err != nil {
		return err
	}
	s.p.rebuilt = nil
	clear(s.facts)
	for i := range s.specs {
		if c := &s.specs[i]; c.missing(&s.p.view) {
			f, known := s.past.fact(c.Key, ordinal)
			if !known {
				s.late, s.held = append(s.late, late{ordinal, bytes.Clone(doc)}), s.held+len(doc)
				return nil
			}
			s.facts[c.Key], s.p.rebuilt = f, s.facts
		}
	}
	return s.each(&s.p)
}

// catchUp counts what the late documents have not, and shows them.
func (s *scan) catchUp(ctx context.Context) error {
	list := s.late
	if len(list) == 0 {
		return nil
	}
	s.late, s.held = s.late[:0], 0
	var heads []int64
	missing := map[uint32][]counted{}
	for _, l := range list {
		if err := s.p.view.Reset(person.Ref{Workspace: s.workspace, Ordinal: l.ordinal}, l.doc); err != nil {
			return err
		}
		for _, c := range s.specs {
			if c.missing(&s.p.view) {
				missing[l.ordinal] = append(missing[l.ordinal], c)
				heads = append(heads, s.p.view.Head(c.chain))
			}
		}
	}
	slices.Sort(heads)
	facts := map[uint32]map[uint64]person.Fact{}
	err := s.src.Walk(ctx, s.workspace, slices.Compact(heads), func(a event.Activity) error {
		name, _ := a.Chained()
		for _, c := range missing[a.Person] {
			if c.Type != a.Type || c.Name != name || !c.Matches(a.Data) {
				continue
			}
			if facts[a.Person] == nil {
				facts[a.Person] = map[uint64]person.Fact{}
			}
			f := facts[a.Person][c.Key]
			f.Key = c.Key
			segment.Observe(&f, a.At, c.Keep)
			facts[a.Person][c.Key] = f
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, l := range list {
		if err := s.p.view.Reset(person.Ref{Workspace: s.workspace, Ordinal: l.ordinal}, l.doc); err != nil {
			return err
		}
		s.p.rebuilt = map[uint64]person.Fact{}
		for _, c := range missing[l.ordinal] {
			s.p.rebuilt[c.Key] = facts[l.ordinal][c.Key]
		}
		if err := s.each(&s.p); err != nil {
			return err
		}
	}
	s.p.rebuilt = nil
	return nil
}

// membersOf reads the membership of the segments that trees refer to; one that is not there has nobody.
func membersOf(ctx context.Context, src Source, workspace int64, set *definition.Set, trees []*segment.Node) (map[string]*roaring.Bitmap, error) {
	out := map[string]*roaring.Bitmap{}
	for _, tree := range trees {
		for _, slug := range tree.Mentions().Segments {
			seg := set.SegmentBySlug(slug)
			if seg == nil || out[slug] != nil {
				continue
			}
			m, err := src.Membership(ctx, workspace, seg.ID)
			if err != nil {
				return nil, err
			}
			out[slug] = m
		}
	}
	return out, nil
}
