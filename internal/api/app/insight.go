package app

import (
	"net/http"

	"rapport.example/internal/api"
	"rapport.example/internal/audience"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/segment"
	"rapport.example/internal/workspace"
)

type (
	// PreviewAnswer is what a condition that is not saved comes to over everybody.
	PreviewAnswer struct {
		Count       int64         `json:"count"`    // people who meet it, exactly
		People      int64         `json:"people"`   // everybody there is
		Sentence    string        `json:"sentence"` // the condition in English
		Tree        Line          `json:"tree"`
		Identifiers []Identifiers `json:"identifiers"` // some of those who meet it, spread evenly
		Method      string        `json:"method"`      // columns or scan
		Warnings    []Warning     `json:"warnings"`
	}

	// MembershipAnswer tells whether a person is in a segment, and why. Times are Unix seconds of the workspace's clock.
	MembershipAnswer struct {
		Member  bool    `json:"member"`        // by what is kept, as campaigns see it
		Since   int64   `json:"since"`         // since when; 0 for people who are not
		State   string  `json:"state"`         // ready, building or archived: in the latter two Member may differ from what Why says
		Next    int64   `json:"next_change"`   // the next moment at which the answer could change with no new data; 0 = never
		Segment Segment `json:"segment"`       //
		Why     *Reason `json:"why,omitempty"` // missing for segments that are filled by hand
	}

	// Reason is a line of a condition with what it came to for a person, and the lines below it.
	Reason struct {
		Condition string   `json:"condition"`        // one English sentence; "all of", "any of" or "none of" for groups
		Value     string   `json:"value,omitempty"`  // what the person has, in words
		True      bool     `json:"true"`             // false if hidden
		Hidden    bool     `json:"hidden,omitempty"` // it looks at an attribute that the key may not see
		Next      int64    `json:"next_change"`      // as of MembershipAnswer
		Parts     []Reason `json:"parts,omitempty"`
	}
)

func (s *surface) insightRoutes() []api.Route {
	explain := s.get("/v1/customers/{customer_id}/segments/{segment_id}", MembershipAnswer{}, s.membership, "Tells whether a person is in a segment, and why, line by line.").With(api.IDType)
	explain.Own = true
	return []api.Route{
		{
			Method: http.MethodPost, Path: "/v1/segments/preview", Auth: api.AppKey, Agent: workspace.Read, Limit: api.LimitApp, Shape: api.AppErrors, MaxBody: MaxSegment,
			Request: PreviewRequest{}, Response: PreviewAnswer{}, Handler: s.fresh(s.preview), Own: true, Doc: "Counts who meets a condition that is not saved, line by line.",
		},
		explain,
	}
}

func (s *surface) preview(c *api.Call) error {
	in, err := ReadPreview(c)
	if err != nil {
		return err
	}
	hide, err := s.sight(c)
	if err != nil {
		return err
	}
	tree, err := definition.Condition(in.Conditions, "conditions")
	if err != nil {
		return err
	}
	for _, name := range tree.Looks() {
		if hide.hides(name) { // counts would tell what people have
			return fault.New(fault.Forbidden, "conditions: this agent key lacks the scope %s, which asking about a sensitive attribute takes", workspace.ReadSensitive)
		}
	}
	w, _, err := s.o.Store.Workspace(c.R.Context(), c.Workspace)
	if err != nil {
		return err
	}
	a, err := Preview(c.R.Context(), s.o.Store, s.o.Audience, c.Workspace, in.Conditions, "conditions", *in.Samples, w.Now(c.Now))
	if err != nil {
		return err
	}
	out := PreviewAnswer{
		Count: a.Answer.Count, People: a.Answer.People, Sentence: a.Tree.Sentence(), Tree: a.Lines, Method: a.Method(), Warnings: a.Warnings, Identifiers: []Identifiers{},
	}
	docs, err := s.o.Store.ReadPeople(c.R.Context(), c.Workspace, a.Answer.Samples)
	if err != nil {
		return err
	}
	for _, o := range a.Answer.Samples {
		if d := docs[o]; d != nil { // else deleted since
			out.Identifiers = append(out.Identifiers, identifiers(d))
		}
	}
	return c.JSON(http.StatusOK, out)
}

func (s *surface) membership(c *api.Call) error {
	d, err := s.person(c)
	if err != nil {
		return err
	}
	row, err := s.segment(c)
	if err != nil {
		return err
	}
	w, builds, err := s.builds(c)
	if err != nil {
		return err
	}
	hide, err := s.sight(c)
	if err != nil {
		return err
	}
	ctx := c.R.Context()
	live, next, err := s.o.Store.DefinitionSets(ctx, c.Workspace)
	if err != nil {
		return err
	}
	if err := s.o.Store.Memberships(ctx, c.Workspace, d); err != nil {
		return err
	}
	since, in := d.Member(row.ID)
	out := MembershipAnswer{Member: in, Since: since / 1000, State: "ready", Segment: described(row, &w, builds)}
	seg := next.Segment(row.ID)
	switch {
	case seg == nil: // deleted since
		return fault.New(fault.NotFound, "there is no such segment")
	case seg.Archived:
		out.State = "archived"
	case seg.Building:
		out.State = "building"
	}
	if seg.Condition != nil {
		why, ok, err := audience.Explain(ctx, s.o.Store, c.Workspace, live, seg.Condition, d.Ref.Ordinal, w.Now(c.Now))
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.NotFound, "there is no such customer")
		}
		r := hide.reason(seg.Condition, &why)
		if out.Next = r.Next; r.Hidden { // membership tells as much, but not when a value would change it
			out.Next = 0
		}
		out.Why = &r
	}
	return c.JSON(http.StatusOK, out)
}

// reason is a tree with what it came to, without what is hidden: neither values, nor whether lines that look at them are true, nor when
// they change.
func (h sight) reason(n *segment.Node, w *segment.Why) Reason {
	r := Reason{Condition: w.Sentence, Value: w.Value, True: w.Match, Next: (w.Next + 999) / 1000} // not before the moment
	for _, name := range n.Looks() {
		if h.hides(name) {
			r.Value, r.True, r.Hidden, r.Next = "", false, true, 0
		}
	}
	for i, c := range n.Shape().Children {
		r.Parts = append(r.Parts, h.reason(c, &w.Parts[i]))
	}
	return r
}
