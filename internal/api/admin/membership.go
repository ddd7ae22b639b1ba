package admin

import (
	"net/http"
	"slices"
	"strconv"

	"rapport.example/internal/api"
	"rapport.example/internal/audience"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/segment"
)

type (
	// MembershipAnswer tells whether a person is in a segment, and why. Times are Unix seconds of the workspace's clock.
	MembershipAnswer struct {
		Person  Person     `json:"person"`
		Segment SegmentRef `json:"segment"`
		State   string     `json:"state"`         // ready, building or archived: in the latter two Member may differ from what Why says
		Member  bool       `json:"member"`        // by what is kept, as campaigns see it
		Since   int64      `json:"since"`         // since when the person is in; 0 for people who are not
		Next    int64      `json:"next"`          // the next moment at which the answer could change with no new data; 0 = never
		Why     *Reason    `json:"why,omitempty"` // missing for segments that are filled by hand
	}

	// Reason is a line of a condition with what it came to for a person, and the lines below it.
	Reason struct {
		Condition string   `json:"condition"`       // one English sentence; "all of", "any of" or "none of" for groups
		Value     string   `json:"value,omitempty"` // what the person has, in words
		True      bool     `json:"true"`
		Next      int64    `json:"next"` // as of MembershipAnswer
		Parts     []Reason `json:"parts,omitempty"`
	}
)

// membership finds the segment by its numeric id or the author's, the person as why does.
func (s *Surface) membership(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	ctx := c.R.Context()
	d, err := s.find(ctx, w.ID, c.Param("person"))
	if err != nil {
		return err
	}
	live, next, err := s.o.Store.DefinitionSets(ctx, w.ID)
	if err != nil {
		return err
	}
	seg := segmentOf(next, c.Param("segment"))
	if seg == nil {
		return fault.New(fault.NotFound, "there is no such segment")
	}
	if err := s.o.Store.Memberships(ctx, w.ID, d); err != nil {
		return err
	}
	since, in := d.Member(seg.ID)
	out := MembershipAnswer{
		Person: Person{d.ID, d.Email, "cio_" + d.CIO}, State: "ready", Member: in, Since: since / 1000,
		Segment: SegmentRef{seg.ID, seg.Slug, seg.Name, seg.Condition == nil},
	}
	switch {
	case seg.Archived:
		out.State = "archived"
	case seg.Building:
		out.State = "building"
	}
	if seg.Condition != nil {
		why, ok, err := audience.Explain(ctx, s.o.Store, w.ID, live, seg.Condition, d.Ref.Ordinal, w.Now(s.o.Now()))
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.NotFound, "there is no such person")
		}
		r := reasonOf(why)
		out.Why, out.Next = &r, r.Next
	}
	return c.JSON(http.StatusOK, out)
}

// segmentOf finds a segment by the author's id or its number; nil if there is none.
func segmentOf(set *definition.Set, key string) *definition.Segment {
	i := slices.IndexFunc(set.Segments(), func(g *definition.Segment) bool { return g.Slug == key })
	if i < 0 {
		i = slices.IndexFunc(set.Segments(), func(g *definition.Segment) bool { return strconv.FormatInt(g.ID, 10) == key })
	}
	if i < 0 {
		return nil
	}
	return set.Segments()[i]
}

func reasonOf(w segment.Why) Reason {
	r := Reason{Condition: w.Sentence, Value: w.Value, True: w.Match, Next: (w.Next + 999) / 1000} // not before the moment
	for _, p := range w.Parts {
		r.Parts = append(r.Parts, reasonOf(p))
	}
	return r
}
