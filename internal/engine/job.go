package engine

import (
	"cmp"
	"context"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"golang.org/x/sync/errgroup"

	"rapport.example/internal/audience"
	"rapport.example/internal/definition"
	"rapport.example/internal/segment"
	"rapport.example/internal/timer"
)

// run looks at the job's people as they are stored now.
func (j *job) run(ctx context.Context, src Store, set *definition.Set, now int64) error {
	if j.phase == definition.Finished {
		return j.learn(ctx, src, set)
	}
	var segments []*definition.Segment
	var trees []*segment.Node
	for _, seg := range set.Segments() {
		if seg.Building {
			segments = append(segments, seg)
			trees = append(trees, seg.Condition)
		}
	}
	if !j.past.Covers(j.from) {
		var err error
		if j.past, err = audience.Count(ctx, src, j.workspace, set, trees, now, j.from, j.end, j.room); err != nil {
			return err
		}
	}
	if j.phase == definition.CountEvents {
		return nil
	}
	j.to = min(j.to, j.past.To())
	members, err := j.membersOf(ctx, src, set, segments)
	if err != nil {
		return err
	}
	referred := map[string]bool{}
	for _, seg := range segments {
		for _, slug := range seg.DependsOn {
			referred[slug] = true
		}
	}
	if j.packed, err = packedTimers(ctx, src, j.workspace, j.from, j.to); err != nil {
		return err
	}
	halves := [2]*half{{}, {}}
	middle := j.from + (j.to-j.from)/2
	g, ctx := errgroup.WithContext(ctx)
	if j.beside {
		g.SetLimit(1)
	}
	for i, h := range halves {
		from, to := [2]uint32{j.from, middle}[i], [2]uint32{middle, j.to}[i]
		h.job, h.segments, h.now, h.referred, h.in, h.members = j, segments, now, referred, map[string]bool{}, make([]*roaring.Bitmap, len(segments))
		for k := range h.members {
			h.members[k] = roaring.New()
		}
		g.Go(func() error {
			return audience.Scan(ctx, src, j.workspace, set, trees, j.past, members, from, to, h.look)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, h := range halves {
		for k, seg := range segments {
			if j.members[seg.ID] == nil {
				j.members[seg.ID] = roaring.New()
			}
			j.members[seg.ID].Or(h.members[k])
		}
		j.moments = append(j.moments, h.moments...)
	}
	slices.SortFunc(j.moments, func(a, b timer.Timer) int { return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.Person, b.Person)) })
	return nil
}

// learn finds what documents have not counted.
func (j *job) learn(ctx context.Context, src audience.Source, set *definition.Set) (err error) {
	if !j.past.Covers(j.from) {
		if j.past, err = audience.CountAll(ctx, src, j.workspace, set, j.from, j.end, j.room); err != nil {
			return err
		}
	}
	j.to = min(j.to, j.past.To())
	err = audience.Recount(ctx, src, j.workspace, set, j.past, j.from, j.to, func(p *audience.Person) error {
		j.facts = append(j.facts, recounted{p.Ordinal(), p.Recounted()})
		return nil
	})
	slices.SortFunc(j.facts, func(a, b recounted) int { return cmp.Compare(a.person, b.person) })
	return err
}

// membersOf reads the segments that those which are built refer to, but for these themselves.
func (j *job) membersOf(ctx context.Context, src audience.Source, set *definition.Set, segments []*definition.Segment) (map[string]*roaring.Bitmap, error) {
	out := map[string]*roaring.Bitmap{}
	for _, seg := range segments {
		for _, slug := range seg.DependsOn {
			other := set.SegmentBySlug(slug)
			if other.Building || out[slug] != nil {
				continue
			}
			m, err := src.Membership(ctx, j.workspace, other.ID)
			if err != nil {
				return nil, err
			}
			out[slug] = m
		}
	}
	return out, nil
}

// packedTimers is when the earliest of the timers that builds have armed for each of the people fires, of those that are packed still; 0 =
// none. Such a one fires whatever becomes of the person, so nothing later need be armed beside it.
func packedTimers(ctx context.Context, src Store, ws int64, from, to uint32) ([]int64, error) {
	out := make([]int64, to-from)
	err := src.PackedTimers(ctx, ws, func(t timer.Timer) {
		if t.Person >= from && t.Person < to {
			out[t.Person-from] = earlier(out[t.Person-from], t.Due)
		}
	})
	return out, err
}

// half is one of the two ranges that a job reads beside each other.
type half struct {
	job      *job
	segments []*definition.Segment
	now      int64
	referred map[string]bool // segments that others refer to
	in       map[string]bool // of these, whether the person at hand is in them

	members []*roaring.Bitmap
	moments []timer.Timer
}

func (h *half) look(p *audience.Person) error {
	if p.Gen() >= h.job.gen {
		return nil
	}
	next := int64(0)
	clear(h.in)
	in := h.in
	for i, seg := range h.segments {
		r := seg.Condition.Eval(asked{p, in}, h.now)
		next = earlier(next, r.Next)
		if h.referred[seg.Slug] {
			in[seg.Slug] = r.Match
		}
		if r.Match {
			h.members[i].Add(p.Ordinal())
		}
	}
	if at := earlier(p.Due(), h.job.packed[p.Ordinal()-h.job.from]); next != 0 && (at == 0 || next < at) {
		h.moments = append(h.moments, timer.Timer{Workspace: h.job.workspace, Person: p.Ordinal(), Kind: timer.Segment, Due: max(next, h.now+1)})
	}
	return nil
}

// asked is a person who is in segments that are being built.
type asked struct {
	*audience.Person
	in map[string]bool
}

// Member is part of segment.Subject.
func (a asked) Member(slug string) bool {
	if in, building := a.in[slug]; building {
		return in
	}
	return a.Person.Member(slug)
}

var _ segment.Subject = asked{}
