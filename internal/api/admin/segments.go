package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/api/app"
	"rapport.example/internal/audience"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

// Segments are the reads about segments and their people. Everything is of one workspace.
type Segments interface {
	// SegmentBuilds lists how far the making of segments' membership is; a segment that is not among them is finished.
	SegmentBuilds(ctx context.Context, workspace int64) ([]definition.Build, error)
	// SegmentSizes counts the people in each segment; segments without anybody may be left out.
	SegmentSizes(ctx context.Context, workspace int64) (map[int64]int64, error)
	// SegmentCounts tells how many people were in a segment at moments in [since, until), Unix ms of the workspace's clock, oldest first:
	// one count for each hour in which it changed, at most limit. The first one may lie before since: it is what held then.
	SegmentCounts(ctx context.Context, workspace, segment, since, until int64, limit int) ([]SegmentCount, error)
	// Members lists up to limit ordinals above after of the people in a segment, ascending.
	Members(ctx context.Context, workspace, segment int64, after uint32, limit int) ([]uint32, error)
}

// SegmentCount says how many people were in a segment at a moment, Unix ms of the workspace's clock.
type SegmentCount struct{ At, People int64 }

type (
	// Segment is a segment as lists show it. Times are Unix seconds of the workspace's clock.
	Segment struct {
		ID          int64            `json:"id"`
		Slug        string           `json:"slug"`
		Name        string           `json:"name"`
		Description string           `json:"description"`
		Type        string           `json:"type"`       // dynamic or manual
		State       string           `json:"state"`      // events_queued, events, build_queued, build or finished
		Progress    *int64           `json:"progress"`   // of the state, in percent; null when it is finished
		Count       int64            `json:"count"`      // people who are in it; while it is being built, by the conditions before
		Generation  int64            `json:"generation"` // of the definitions that changed it last
		UsedBy      []definition.Use `json:"used_by"`
		Sentence    string           `json:"sentence"` // its conditions in English; "" for manual ones
		Archived    bool             `json:"archived"` // its membership stands still
		Created     int64            `json:"created"`
		Updated     int64            `json:"updated"`
		Built       int64            `json:"built"` // when its membership was last built beside live traffic; 0 = it was made at once
	}

	// SegmentsAnswer is a page of segments, by numeric id.
	SegmentsAnswer struct {
		Segments []Segment `json:"segments"`
		Next     string    `json:"next"`
	}

	// SegmentDetail is one segment.
	SegmentDetail struct {
		Segment
		Definition value.Value `json:"definition"`     // as in a workspace file
		Tree       *app.Line   `json:"tree,omitempty"` // its conditions line by line; missing for manual ones
	}

	// MembersAnswer is a page of the people in a segment. Whoever stays in it while it is paged is listed exactly once.
	MembersAnswer struct {
		People []Person `json:"people"`
		Next   string   `json:"next"`
	}

	// SegmentRef names a segment.
	SegmentRef struct {
		ID     int64  `json:"id"`
		Slug   string `json:"slug"`
		Name   string `json:"name"`
		Manual bool   `json:"manual"`
	}

	// OverlapAnswer tells how many people two segments have in common.
	OverlapAnswer struct {
		Segment SegmentRef `json:"segment"`
		With    SegmentRef `json:"with"`
		Count   int64      `json:"count"`      // people in the segment
		Other   int64      `json:"with_count"` // people in the other one
		Both    int64      `json:"both"`       // people in both
	}

	// CountsAnswer tells how many people were in a segment. Times are Unix seconds of the workspace's clock.
	CountsAnswer struct {
		Segment SegmentRef `json:"segment"`
		Since   int64      `json:"since"`
		Until   int64      `json:"until"`
		Step    int64      `json:"step"` // seconds
		Points  []Point    `json:"points"`
	}

	// Point is a count at a moment. Moments from before the segment was counted are left out.
	Point struct {
		At     int64 `json:"at"` // Unix seconds
		People int64 `json:"people"`
	}
)

func (s *Surface) segmentRoutes() []api.Route {
	get := func(path string, response any, h api.Handler, doc string) api.Route {
		return api.Route{Method: http.MethodGet, Path: "/admin/v1/segments" + path, Auth: api.AdminKey, Shape: api.Problem, Response: response, Handler: h, Doc: doc}.With(inWorkspace)
	}
	preview := get("/preview", PreviewAnswer{}, s.previewSegment, "Counts who meets a condition that is not saved, line by line.")
	preview.Method, preview.MaxBody, preview.Request = http.MethodPost, maxBody, app.PreviewRequest{}
	return []api.Route{
		get("", SegmentsAnswer{}, s.segments, "Lists a workspace's segments with their counts and states.").Paged(50, 500),
		preview,
		get("/{segment}", SegmentDetail{}, s.segment, "Reads a segment: its conditions, its state, and what uses it."),
		get("/{segment}/members", MembersAnswer{}, s.members, "Lists the people in a segment.").Paged(50, 1000),
		get("/{segment}/counts", CountsAnswer{}, s.counts, "Tells how many people were in a segment over the last 90 days.").With(
			api.Text("range", mostDuration, "How far back, as in 48h or 30d; 30d unless said, at most 90d."), api.Text("step", mostDuration, "How far apart, as in 1h or 7d; 1d unless said, at least 1h.")),
		get("/{segment}/overlap", OverlapAnswer{}, s.overlap, "Tells how many people two segments have in common.").
			With(api.Text("with", api.MostText, "The other segment, by id or number.").Needed()),
	}
}

// overview is what segments of a workspace are described from.
type overview struct {
	w      workspace.Workspace
	rows   []definition.Row // of all kinds
	uses   map[string][]definition.Use
	builds map[int64]definition.Build
	sizes  map[int64]int64
}

func (s *Surface) overview(ctx context.Context, w workspace.Workspace) (o *overview, err error) {
	o = &overview{w: w, builds: map[int64]definition.Build{}}
	if o.rows, err = s.o.Store.CurrentDefinitions(ctx, w.ID, ""); err != nil {
		return nil, err
	}
	if o.uses, err = definition.SegmentUses(o.rows); err != nil {
		return nil, err
	}
	builds, err := s.o.Store.SegmentBuilds(ctx, w.ID)
	for _, b := range builds {
		o.builds[b.Segment] = b
	}
	if err != nil {
		return nil, err
	}
	o.sizes, err = s.o.Store.SegmentSizes(ctx, w.ID)
	return o, err
}

// segments are the rows of segments, by numeric id.
func (o *overview) segments() []*definition.Row {
	var out []*definition.Row
	for i := range o.rows {
		if o.rows[i].Kind == definition.Segments {
			out = append(out, &o.rows[i])
		}
	}
	return out
}

// find is the row of a segment by the author's id or its number.
func (o *overview) find(key string) (*definition.Row, error) {
	rows := o.segments()
	for _, is := range []func(r *definition.Row) bool{
		func(r *definition.Row) bool { return r.Slug == key },
		func(r *definition.Row) bool { return strconv.FormatInt(r.ID, 10) == key },
	} {
		if i := slices.IndexFunc(rows, is); i >= 0 {
			return rows[i], nil
		}
	}
	return nil, fault.New(fault.NotFound, "there is no such segment")
}

// show describes a segment.
func (o *overview) show(r *definition.Row) (SegmentDetail, error) {
	seg, err := definition.ParseSegment(r.Body)
	if err != nil {
		return SegmentDetail{}, err
	}
	out := SegmentDetail{Definition: r.Document(), Segment: Segment{
		ID: r.ID, Slug: r.Slug, Name: seg.Name, Description: seg.Description, Type: "manual", State: definition.Finished.String(), Count: o.sizes[r.ID],
		Generation: r.Gen, UsedBy: append([]definition.Use{}, o.uses[r.Slug]...), Archived: seg.Archived, Created: r.Created / 1000, Updated: r.Updated / 1000,
	}}
	conditions := r.Body.Get("conditions")
	if conditions == nil {
		return out, nil
	}
	out.Type = "dynamic"
	tree, err := definition.Condition(conditions, "conditions") // an archived one stands still, and is known by it all the same
	if err != nil {
		return out, err
	}
	lines := app.Lines(tree)
	out.Sentence, out.Tree = tree.Sentence(), &lines
	if b, ok := o.builds[r.ID]; ok {
		out.State, out.Built = b.State.String(), b.Since/1000
		if done, running := b.Progress(o.w.Sweep, o.w.SweepEnd); running {
			out.Progress = &done
		}
	}
	return out, nil
}

func refOf(r *definition.Row) SegmentRef {
	manual, _ := r.Body.Get("manual").Bool()
	name := r.Body.Get("name").Text()
	if name == "" {
		name = r.Slug
	}
	return SegmentRef{r.ID, r.Slug, name, manual}
}

func (s *Surface) segments(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	limit, err := c.Limit()
	if err != nil {
		return err
	}
	l := api.List{Name: "segments", Workspace: w.ID}
	after, err := s.position(c, l, 0)
	if err != nil {
		return err
	}
	o, err := s.overview(c.R.Context(), w)
	if err != nil {
		return err
	}
	out := SegmentsAnswer{Segments: []Segment{}}
	for _, r := range o.segments() {
		switch {
		case r.ID <= after:
			continue
		case len(out.Segments) == limit:
			out.Next = s.next(l, out.Segments[limit-1].ID)
			return c.JSON(http.StatusOK, out)
		}
		one, err := o.show(r)
		if err != nil {
			return err
		}
		out.Segments = append(out.Segments, one.Segment)
	}
	return c.JSON(http.StatusOK, out)
}

// inPathSegment finds the segment that the path names.
func (s *Surface) inPathSegment(c *api.Call) (*overview, *definition.Row, error) {
	w, err := s.of(c)
	if err != nil {
		return nil, nil, err
	}
	o, err := s.overview(c.R.Context(), w)
	if err != nil {
		return nil, nil, err
	}
	r, err := o.find(c.Param("segment"))
	return o, r, err
}

func (s *Surface) segment(c *api.Call) error {
	o, r, err := s.inPathSegment(c)
	if err != nil {
		return err
	}
	out, err := o.show(r)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, out)
}

// members pages by ordinal, which never changes and is never given twice.
func (s *Surface) members(c *api.Call) error {
	o, r, err := s.inPathSegment(c)
	if err != nil {
		return err
	}
	limit, err := c.Limit()
	if err != nil {
		return err
	}
	l := api.List{Name: "members", Workspace: o.w.ID, Filter: strconv.FormatInt(r.ID, 10)}
	after, err := s.position(c, l, 0)
	if err != nil {
		return err
	}
	ordinals, err := s.o.Store.Members(c.R.Context(), o.w.ID, r.ID, uint32(after), limit+1)
	if err != nil {
		return err
	}
	out := MembersAnswer{}
	if len(ordinals) > limit {
		ordinals = ordinals[:limit]
		out.Next = s.next(l, int64(ordinals[limit-1]))
	}
	if out.People, err = s.named(c.R.Context(), o.w.ID, ordinals); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, out)
}

// named names people by ordinal; those who were deleted since are left out.
func (s *Surface) named(ctx context.Context, ws int64, ordinals []uint32) ([]Person, error) {
	docs, err := s.o.Store.ReadPeople(ctx, ws, ordinals)
	if err != nil {
		return nil, err
	}
	out := []Person{}
	for _, o := range ordinals {
		if d := docs[o]; d != nil {
			out = append(out, personOf(d))
		}
	}
	return out, nil
}

func personOf(d *person.Document) Person { return Person{d.ID, d.Email, "cio_" + d.CIO} }

func (s *Surface) overlap(c *api.Call) error {
	o, r, err := s.inPathSegment(c)
	if err != nil {
		return err
	}
	if c.Query("with") == "" {
		return fault.Field("with", "is required: the id of another segment, or its number")
	}
	with, err := o.find(c.Query("with"))
	if err != nil {
		return fault.Field("with", "there is no such segment")
	}
	a, err := s.o.Store.Membership(c.R.Context(), o.w.ID, r.ID)
	if err != nil {
		return err
	}
	b, err := s.o.Store.Membership(c.R.Context(), o.w.ID, with.ID)
	if err != nil {
		return err
	}
	out := OverlapAnswer{Segment: refOf(r), With: refOf(with)}
	out.Count, out.Other, out.Both = audience.Overlap(a, b)
	return c.JSON(http.StatusOK, out)
}

// How far back counts are kept, and how many points an answer has.
const (
	countsKept   = 90 * 24 * time.Hour
	mostPoints   = 2500
	mostDuration = 20 // characters
)

func (s *Surface) counts(c *api.Call) error {
	o, r, err := s.inPathSegment(c)
	if err != nil {
		return err
	}
	now := o.w.Now(s.o.Now())
	hours := func(name string, def time.Duration) (time.Duration, error) {
		if c.Query(name) == "" {
			return def, nil
		}
		return duration(name, c.Query(name))
	}
	span, err := hours("range", 30*24*time.Hour)
	if err != nil {
		return err
	}
	step, err := hours("step", 24*time.Hour)
	switch {
	case err != nil:
		return err
	case span > countsKept:
		return fault.Field("range", "must be at most 90d: counts are kept so long")
	case step < time.Hour || step > span:
		return fault.Field("step", "must be at least 1h, and not longer than the range: people are counted once an hour")
	}
	points, err := s.points(c.R.Context(), o.w.ID, r.ID, now-span.Milliseconds(), now, step.Milliseconds())
	if err != nil {
		return err
	}
	// Now is known better than by the hour.
	points = append(points, Point{now / 1000, o.sizes[r.ID]})
	return c.JSON(http.StatusOK, CountsAnswer{refOf(r), (now - span.Milliseconds()) / 1000, now / 1000, int64(step / time.Second), points})
}

// points are the counts that held at since and each step after, before until. All are Unix ms.
func (s *Surface) points(ctx context.Context, ws, seg, since, until, step int64) ([]Point, error) {
	changes, err := s.o.Store.SegmentCounts(ctx, ws, seg, since, until, mostPoints)
	if err != nil {
		return nil, err
	}
	out := []Point{}
	next, held := 0, Point{At: -1}
	for at := since; at < until; at += step {
		for ; next < len(changes) && changes[next].At <= at; next++ {
			held = Point{At: changes[next].At, People: changes[next].People}
		}
		if held.At >= 0 {
			out = append(out, Point{at / 1000, held.People})
		}
	}
	return out, nil
}
