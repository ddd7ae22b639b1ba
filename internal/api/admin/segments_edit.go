package admin

import (
	"errors"
	"net/http"
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/api/app"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/value"
)

type (
	// SegmentRequest is a segment as in a workspace file.
	SegmentRequest struct {
		ID          string      `json:"id,omitempty"` // the author's; where the path has it, it may be left out
		Name        string      `json:"name,omitempty"`
		Description string      `json:"description,omitempty"`
		Conditions  value.Value `json:"conditions,omitempty"` // or manual
		Manual      bool        `json:"manual,omitempty"`     // people are put in and taken out by hand
		Archived    bool        `json:"archived,omitempty"`
	}

	// ArchiveRequest lets a segment stand still, or go on.
	ArchiveRequest struct {
		Archived bool `json:"archived"`
	}

	// SegmentChange says what was done, or with dry_run what would be.
	SegmentChange struct {
		DryRun   bool           `json:"dry_run"`
		Change   string         `json:"change"`             // create, update, delete, or none
		Fields   []string       `json:"fields"`             // of an update: dotted paths of what differs
		Segment  *SegmentDetail `json:"segment,omitempty"`  // as it is now, or would be; missing after a deletion
		Warnings []app.Warning  `json:"warnings,omitempty"` // names in its conditions that nobody was seen with
	}
)

// maxSegment bounds a segment's document, in bytes.
const maxSegment = 1 << 20

func (s *Surface) segmentWrites() []api.Route {
	write := func(method, path string, request any, h api.Handler, doc string) api.Route {
		r := api.Route{Method: method, Path: "/admin/v1/segments" + path, Auth: api.AdminKey, Shape: api.Problem, Request: request, Response: SegmentChange{}, Handler: h, Doc: doc}.
			With(inWorkspace, api.Bool("dry_run", "Tells what would change, and changes nothing."))
		if request != nil {
			r.MaxBody = maxSegment
		}
		return r
	}
	return []api.Route{
		write(http.MethodPost, "", SegmentRequest{}, s.createSegment, "Creates a segment."),
		write(http.MethodPut, "/{segment}", SegmentRequest{}, s.replaceSegment, "Replaces what a segment is."),
		write(http.MethodPost, "/{segment}/archive", ArchiveRequest{}, s.archiveSegment, "Lets a segment's membership stand still, or go on."),
		write(http.MethodDelete, "/{segment}", nil, s.deleteSegment, "Deletes a segment that nothing refers to."),
	}
}

// edit is a change of a segment on its way.
type edit struct {
	*overview
	again bool // it was carried out before, under its Idempotency-Key
}

// editing finds the workspace.
func (s *Surface) editing(c *api.Call) (e edit, err error) {
	w, err := s.of(c)
	if err != nil {
		return e, err
	}
	if e.overview, err = s.overview(c.R.Context(), w); err != nil {
		return e, err
	}
	e.again, err = c.Repeated(w.ID)
	return e, err
}

func (s *Surface) createSegment(c *api.Call) error {
	doc, err := c.Object()
	if err != nil {
		return err
	}
	seg, err := definition.ParseSegment(doc)
	if err != nil {
		return err
	}
	e, err := s.editing(c)
	if err != nil {
		return err
	}
	for _, r := range e.segments() {
		if r.Slug == seg.Slug && !e.again {
			return fault.New(fault.Conflict, "there is a segment %s already: PUT /admin/v1/segments/%s replaces it", seg.Slug, seg.Slug)
		}
	}
	return s.put(c, e, seg.Slug, doc)
}

func (s *Surface) replaceSegment(c *api.Call) error {
	doc, err := c.Object()
	if err != nil {
		return err
	}
	e, err := s.editing(c)
	if err != nil {
		return err
	}
	r, err := e.find(c.Param("segment"))
	if err != nil {
		return err
	}
	if id := doc.Get("id"); id == nil {
		doc = with(doc, "id", value.Quote(r.Slug))
	} else if id.Text() != r.Slug {
		return fault.Field("id", "cannot be changed: it is %s", r.Slug)
	}
	if _, err := definition.ParseSegment(doc); err != nil {
		return err
	}
	return s.put(c, e, r.Slug, doc)
}

func (s *Surface) archiveSegment(c *api.Call) error {
	var in ArchiveRequest
	if err := c.Decode(&in, true); err != nil {
		return err
	}
	e, err := s.editing(c)
	if err != nil {
		return err
	}
	r, err := e.find(c.Param("segment"))
	if err != nil {
		return err
	}
	doc := with(r.Document(), "archived", nil)
	if in.Archived {
		doc = with(doc, "archived", value.True)
	}
	return s.put(c, e, r.Slug, doc)
}

// with is an object with a member set, at the end if it is new, or taken out if v is nil.
func with(doc value.Value, name string, v value.Value) value.Value {
	var out value.Builder
	for k, old := range doc.Fields() {
		if k != name {
			out.Set(k, old)
		}
	}
	if v != nil {
		out.Set(name, v)
	}
	return out.Value()
}

// put saves a document of a segment, which was parsed.
func (s *Surface) put(c *api.Call, e edit, slug string, doc value.Value) error {
	put := ingest.Definition{Kind: definition.Segments, Slug: slug, Body: doc}
	plan := definition.Diff(e.rows, &definition.Document{Definitions: []ingest.Definition{put}}, false)
	out := SegmentChange{Change: "none", Fields: []string{}}
	switch {
	case len(plan.Add) > 0:
		out.Change = "create"
	case len(plan.Change) > 0:
		out.Change, out.Fields = "update", plan.Change[0].Fields
	}
	payload := plan.Payload()
	if len(payload.Put) > 0 {
		seen, err := app.Seen(c.R.Context(), s.o.Store, e.w.ID)
		if err != nil {
			return err
		}
		for _, f := range seen.UnseenBy(payload.Put) {
			w := app.WarningOf(f)
			w.Field = strings.TrimPrefix(w.Field, definition.Segments+"."+slug+".")
			out.Warnings = append(out.Warnings, w)
		}
	}
	return s.saveSegment(c, e, slug, payload, out)
}

func (s *Surface) deleteSegment(c *api.Call) error {
	e, err := s.editing(c)
	if err != nil {
		return err
	}
	out := SegmentChange{Change: "delete", Fields: []string{}}
	r, err := e.find(c.Param("segment"))
	if fault.Is(err, fault.NotFound) && e.again {
		return c.JSON(http.StatusOK, out)
	}
	if err != nil {
		return err
	}
	return s.saveSegment(c, e, r.Slug, ingest.DefinePayload{Delete: []ingest.Definition{{Kind: definition.Segments, Slug: r.Slug}}}, out)
}

// saveSegment carries a change out, or with dry_run only looks whether it could be.
func (s *Surface) saveSegment(c *api.Call, e edit, slug string, payload ingest.DefinePayload, out SegmentChange) error {
	if out.DryRun = c.QueryBool("dry_run"); !e.again {
		if err := definition.Check(e.rows, payload); err != nil {
			return e.refused(slug, err)
		}
	}
	after := e.overview
	switch {
	case out.DryRun:
		after = e.as(payload)
	case out.Change != "none" && !e.again:
		if err := s.carryOut(c, e.w, ingest.Define, payload); err != nil {
			return err
		}
		w, err := s.reread(c.R.Context(), e.w)
		if err != nil {
			return err
		}
		if after, err = s.overview(c.R.Context(), w); err != nil {
			return err
		}
	}
	r, err := after.find(slug)
	if out.Change == "delete" {
		if err == nil && r.Slug == slug && !out.DryRun {
			return fault.New(fault.Conflict, "the segment came into use meanwhile: nothing was deleted")
		}
		return c.JSON(http.StatusOK, out)
	}
	if err != nil {
		return fault.New(fault.Conflict, "another change came between: nothing was saved")
	}
	one, err := after.show(r)
	if err != nil {
		return err
	}
	out.Segment = &one
	return c.JSON(http.StatusOK, out)
}

// refused says why a change cannot be: who uses the segment, where that is why, else what is wrong with the document.
func (e *edit) refused(slug string, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	if own, ok := strings.CutPrefix(f.Field, definition.Segments+"."+slug+"."); ok {
		out := *f
		out.Field = own
		return &out
	}
	var names []string
	for _, u := range e.uses[slug] {
		names = append(names, strings.TrimSuffix(u.Kind, "s")+" "+u.Slug)
	}
	if len(names) == 0 {
		return err
	}
	return fault.New(fault.Conflict, "the segment is used by %s: take it out there first", strings.Join(names, ", "))
}

// as is the overview as it would be after a change.
func (e *edit) as(p ingest.DefinePayload) *overview {
	out := *e.overview
	out.rows = nil
	put := map[string]value.Value{}
	for _, d := range p.Put {
		put[d.Slug] = d.Body
	}
	for _, r := range e.rows {
		if body := put[r.Slug]; r.Kind == definition.Segments && body != nil {
			r.Body = body
			delete(put, r.Slug)
		}
		out.rows = append(out.rows, r)
	}
	for slug, body := range put {
		out.rows = append(out.rows, definition.Row{Kind: definition.Segments, Slug: slug, Body: body, Current: true})
	}
	return &out
}
