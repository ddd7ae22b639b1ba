package app

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"rapport.example/internal/api"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

func (s *surface) segmentRoutes() []api.Route {
	write := func(method, path string, h api.Handler, doc string) api.Route {
		return api.Route{Method: method, Path: path, Auth: api.AppKey, Limit: api.LimitApp, Shape: api.AppErrors, Handler: s.fresh(h), Doc: doc}
	}
	create := write(http.MethodPost, "/v1/segments", s.createSegment, "Creates an empty manual segment.")
	create.MaxBody, create.Request, create.Response, create.Agent = MaxSegment, SegmentRequest{}, SegmentAnswer{}, workspace.WriteScope
	remove := write(http.MethodDelete, "/v1/segments/{segment_id}", s.deleteSegment, "Deletes a manual segment.")
	remove.Agent = workspace.WriteLive
	return []api.Route{
		s.get("/v1/segments", SegmentsAnswer{}, s.listSegments, "Lists segments."),
		create,
		s.get("/v1/segments/{segment_id}", SegmentAnswer{}, s.getSegment, "Reads a segment."),
		remove,
		s.get("/v1/segments/{segment_id}/customer_count", CountAnswer{}, s.countSegment, "Counts a segment's people."),
		s.get("/v1/segments/{segment_id}/membership", MembersAnswer{}, s.members, "Lists a segment's people.").Paged(defMembers, maxMembers),
		s.get("/v1/segments/{segment_id}/used_by", UsedByAnswer{}, s.usedBy, "Lists the campaigns that look at a segment."),
	}
}

func (s *surface) segment(c *api.Call) (*definition.Row, error) {
	return s.definition(c, definition.Segments, "segment_id", func() error {
		return fault.New(fault.NotFound, "there is no such segment")
	})
}

func (s *surface) listSegments(c *api.Call) error {
	rows, err := s.o.Store.CurrentDefinitions(c.R.Context(), c.Workspace, definition.Segments)
	if err != nil {
		return err
	}
	w, builds, err := s.builds(c)
	if err != nil {
		return err
	}
	out := SegmentsAnswer{Segments: []Segment{}}
	for i := range rows {
		out.Segments = append(out.Segments, described(&rows[i], &w, builds))
	}
	return c.JSON(http.StatusOK, out)
}

func (s *surface) getSegment(c *api.Call) error {
	row, err := s.segment(c)
	if err != nil {
		return err
	}
	w, builds, err := s.builds(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, SegmentAnswer{described(row, &w, builds)})
}

// builds reads how far segments are that are being built.
func (s *surface) builds(c *api.Call) (w workspace.Workspace, builds map[int64]definition.Build, err error) {
	if w, _, err = s.o.Store.Workspace(c.R.Context(), c.Workspace); err != nil {
		return w, nil, err
	}
	all, err := s.o.Store.SegmentBuilds(c.R.Context(), c.Workspace)
	builds = make(map[int64]definition.Build, len(all))
	for _, b := range all {
		builds[b.Segment] = b
	}
	return w, builds, err
}

func manual(r *definition.Row) bool {
	m, _ := r.Body.Get("manual").Bool()
	return m
}

// described describes a segment. While it is being built the membership before answers.
func described(r *definition.Row, w *workspace.Workspace, builds map[int64]definition.Build) Segment {
	out := Segment{
		ID: r.ID, DeduplicateID: dedup(r), Name: title(r), Description: r.Body.Get("description").Text(), State: definition.Finished.String(),
		Type: "dynamic", CreatedAt: r.Created / 1000, UpdatedAt: r.Updated / 1000,
	}
	if manual(r) {
		out.Type = "manual"
	} else if b, ok := builds[r.ID]; ok {
		out.State = b.State.String()
		if done, running := b.Progress(w.Sweep, w.SweepEnd); running {
			out.Progress = &done
		}
	}
	return out
}

// maxName bounds a segment's name, in characters.
const maxName = 190

func (s *surface) createSegment(c *api.Call) error {
	var in SegmentRequest
	if err := c.Decode(&in, false); err != nil {
		return err
	}
	name := strings.TrimSpace(in.Segment.Name)
	switch {
	case name == "":
		return fault.Field("segment.name", "is required")
	case utf8.RuneCountInString(name) > maxName:
		return fault.Field("segment.name", "is longer than %d characters", maxName)
	case strings.ContainsRune(name+in.Segment.Description, 0):
		return fault.Field("segment", "must not hold NUL characters")
	}
	s.naming.Lock()
	defer s.naming.Unlock()
	rows, err := s.o.Store.CurrentDefinitions(c.R.Context(), c.Workspace, "")
	if err != nil {
		return err
	}
	slug := freeSlug(name, rows)
	var body value.Builder
	body.Set("id", value.Quote(slug)).Set("name", value.Quote(name))
	if in.Segment.Description != "" {
		body.Set("description", value.Quote(in.Segment.Description))
	}
	put := ingest.Definition{Kind: definition.Segments, Slug: slug, Body: body.Set("manual", value.True).Value()}
	payload := ingest.DefinePayload{Put: []ingest.Definition{put}}
	if err := definition.Check(rows, payload); err != nil {
		return err
	}
	if err := s.carryOut(c, ingest.Define, payload); err != nil {
		return err
	}
	if rows, err = s.o.Store.CurrentDefinitions(c.R.Context(), c.Workspace, definition.Segments); err != nil {
		return err
	}
	for i := range rows {
		if rows[i].Slug == slug || c.Replayed() && rows[i].Body.Get("name").Text() == name { // then it has its slug already
			return c.JSON(http.StatusOK, SegmentAnswer{described(&rows[i], &workspace.Workspace{}, nil)})
		}
	}
	return fmt.Errorf("segment %s is not there after its definition was applied", slug)
}

// freeSlug makes an author's id of a name, one that no segment has.
func freeSlug(name string, rows []definition.Row) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case b.Len() >= 50:
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	base := strings.Trim(b.String(), "_")
	if base == "" || base[0] >= '0' && base[0] <= '9' {
		base = strings.TrimSuffix("segment_"+base, "_")
	}
	taken := func(slug string) bool {
		return slices.ContainsFunc(rows, func(r definition.Row) bool { return r.Kind == definition.Segments && r.Slug == slug })
	}
	slug := base
	for n := 2; taken(slug); n++ {
		slug = fmt.Sprintf("%s_%d", base, n)
	}
	return slug
}

func (s *surface) deleteSegment(c *api.Call) error {
	row, err := s.segment(c)
	if err != nil {
		return err
	}
	if !manual(row) {
		return fault.New(fault.Invalid, "only manual segments can be deleted here; this one is dynamic")
	}
	rows, err := s.o.Store.CurrentDefinitions(c.R.Context(), c.Workspace, "")
	if err != nil {
		return err
	}
	payload := ingest.DefinePayload{Delete: []ingest.Definition{{Kind: row.Kind, Slug: row.Slug}}}
	if err := definition.Check(rows, payload); err != nil {
		return fault.Wrap(fault.Invalid, err, "the segment is in use by other definitions")
	}
	if err := s.carryOut(c, ingest.Define, payload); err != nil {
		return err
	}
	return c.NoContent()
}

func (s *surface) countSegment(c *api.Call) error {
	row, err := s.segment(c)
	if err != nil {
		return err
	}
	n, err := s.o.Store.CountMembers(c.R.Context(), c.Workspace, row.ID)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, CountAnswer{n})
}

// members pages by ordinal, which never changes and is never given twice: whoever stays in the segment while it is
// paged is listed exactly once, whatever happens to others.
func (s *surface) members(c *api.Call) error {
	row, err := s.segment(c)
	if err != nil {
		return err
	}
	p, err := s.page(c, "segment_membership", fmt.Sprint(row.ID))
	if err != nil {
		return err
	}
	ordinals, err := s.o.Store.Members(c.R.Context(), c.Workspace, row.ID, uint32(p.from), p.limit+1)
	if err != nil {
		return err
	}
	out := MembersAnswer{IDs: []string{}, Identifiers: []Identifiers{}}
	if len(ordinals) > p.limit {
		ordinals = ordinals[:p.limit]
		out.Next = s.next(p, int64(ordinals[p.limit-1]))
	}
	docs, err := s.documents(c.R.Context(), c.Workspace, ordinals)
	if err != nil {
		return err
	}
	for _, o := range ordinals {
		d := docs[o]
		if d == nil { // deleted since
			continue
		}
		out.IDs = append(out.IDs, d.ID)
		out.Identifiers = append(out.Identifiers, identifiers(d))
	}
	return c.JSON(http.StatusOK, out)
}

func (s *surface) usedBy(c *api.Call) error {
	row, err := s.segment(c)
	if err != nil {
		return err
	}
	rows, err := s.o.Store.CurrentDefinitions(c.R.Context(), c.Workspace, definition.Campaigns)
	if err != nil {
		return err
	}
	uses, err := definition.SegmentUses(rows)
	if err != nil {
		return err
	}
	out := UsedByAnswer{UsedBy{Campaigns: []int64{}, SentNewsletters: []int64{}, DraftNewsletters: []int64{}}}
	for _, u := range uses[row.Slug] {
		out.UsedBy.Campaigns = append(out.UsedBy.Campaigns, u.ID)
	}
	return c.JSON(http.StatusOK, out)
}
