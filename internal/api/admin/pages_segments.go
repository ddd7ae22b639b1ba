package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rapport.example/internal/api/app"
	"rapport.example/internal/fault"
	"rapport.example/internal/person"
)

// segmentRow is a segment in the list.
type segmentRow struct {
	Segment
	Word, Tone string // of the state
}

func rowOf(g *Segment) segmentRow {
	r := segmentRow{Segment: *g, Word: "ready"}
	switch {
	case g.Archived:
		r.Word = "archived"
	case g.Progress != nil:
		r.Word = fmt.Sprintf("being built, %s %d %%", strings.ReplaceAll(g.State, "_", " "), *g.Progress)
	default:
		r.Tone = "good"
	}
	return r
}

// segments lists all segments.
func (p *pages) segments(_ http.ResponseWriter, r *http.Request, f *frame) (string, error) {
	o, err := p.s.overview(r.Context(), f.Workspace)
	if err != nil {
		return "", err
	}
	var data []segmentRow
	for _, row := range o.segments() {
		one, err := o.show(row)
		if err != nil {
			return "", err
		}
		data = append(data, rowOf(&one.Segment))
	}
	f.Title, f.Section, f.Data = "Segments", "segments", data
	return "segments.html", nil
}

// segmentData is the content of a segment's page.
type segmentData struct {
	segmentRow
	Lines    []segmentLine
	Counted  bool  // lines have counts
	Now      int64 // people who meet the conditions at this moment
	People   int64 // everybody
	Warnings []app.Warning
	Sample   []*person.Document
	Chart    *chart // nil = there is too little to draw
}

// segmentLine is a line of the conditions.
type segmentLine struct {
	Depth        []struct{} // as many as it is deep
	Text         string
	Count, Alone int64
	HasAlone     bool
	Percent      int64 // of everybody
}

func (p *pages) segment(_ http.ResponseWriter, r *http.Request, f *frame) (string, error) {
	ctx := r.Context()
	o, err := p.s.overview(ctx, f.Workspace)
	if err != nil {
		return "", err
	}
	row, err := o.find(r.PathValue("segment"))
	if err != nil {
		return "", err
	}
	one, err := o.show(row)
	if err != nil {
		return "", err
	}
	data := segmentData{segmentRow: rowOf(&one.Segment)}
	now := f.Workspace.Now(p.s.o.Now())
	samples, err := p.s.o.Store.Members(ctx, f.Workspace.ID, row.ID, 0, pageSamples)
	if err != nil {
		return "", err
	}
	if one.Tree != nil {
		tree := *one.Tree
		a, err := app.Preview(ctx, p.s.o.Store, p.s.o.Audience, f.Workspace.ID, row.Body.Get("conditions"), "conditions", pageSamples, now)
		switch {
		case err == nil:
			tree, data.Counted, data.Now, data.People, data.Warnings = a.Lines, true, a.Answer.Count, a.Answer.People, a.Warnings
			if !one.Archived && one.Progress == nil { // spread over all, while those who were listed are the oldest
				samples = a.Answer.Samples
			}
		case !fault.Is(err, fault.Invalid): // an archived one may refer to what is gone
			return "", err
		}
		data.Lines = flat(nil, &tree, nil, data.People)
	}
	docs, err := p.s.o.Store.ReadPeople(ctx, f.Workspace.ID, samples)
	if err != nil {
		return "", err
	}
	for _, o := range samples {
		if d := docs[o]; d != nil {
			data.Sample = append(data.Sample, d)
		}
	}
	if data.Chart, err = p.chart(ctx, f.Workspace.ID, row.ID, now, one.Count); err != nil {
		return "", err
	}
	f.Title, f.Section, f.Data = one.Name, "segments", data
	return "segment.html", nil
}

// pageSamples is how many people of a segment its page names.
const pageSamples = 10

func flat(out []segmentLine, l *app.Line, depth []struct{}, people int64) []segmentLine {
	one := segmentLine{Depth: depth, Text: l.Condition}
	if l.Count != nil {
		one.Count = *l.Count
	}
	if l.Alone != nil {
		one.HasAlone, one.Alone = true, *l.Alone
	}
	if people > 0 {
		one.Percent = 100 * one.Count / people
	}
	out = append(out, one)
	for i := range l.Parts {
		out = flat(out, &l.Parts[i], append(depth, struct{}{}), people)
	}
	return out
}

// chart is how many people were in a segment, as a line in a field of 600 by 120.
type chart struct {
	Line, Area string // the points of polygons, as SVG has them
	Most       int64
	From, To   int64  // Unix ms
	Alt        string // in words
}

// What a chart shows.
const (
	chartSpan = 30 * 24 * time.Hour
	chartStep = 6 * time.Hour

	chartWidth, chartHeight = 600, 120
)

func (p *pages) chart(ctx context.Context, ws, seg, now, count int64) (*chart, error) {
	points, err := p.s.points(ctx, ws, seg, now-chartSpan.Milliseconds(), now, chartStep.Milliseconds())
	if err != nil || len(points) == 0 {
		return nil, err
	}
	return drawn(append(points, Point{now / 1000, count})), nil
}

// drawn draws two points or more.
func drawn(points []Point) *chart {
	first, last := points[0], points[len(points)-1]
	c := chart{From: first.At * 1000, To: last.At * 1000, Most: 1}
	for _, p := range points {
		c.Most = max(c.Most, p.People)
	}
	var line strings.Builder
	for i, p := range points {
		x := float64(chartWidth) * float64(p.At-first.At) / float64(max(1, last.At-first.At))
		y := chartHeight - float64(chartHeight-4)*float64(p.People)/float64(c.Most)
		if i > 0 {
			line.WriteByte(' ')
		}
		fmt.Fprintf(&line, "%.1f,%.1f", x, y)
	}
	c.Line = line.String()
	c.Area = fmt.Sprintf("0,%d %s %d,%d", chartHeight, c.Line, chartWidth, chartHeight)
	c.Alt = fmt.Sprintf("%d people on %s, %d now, at most %d between", first.People, moment(c.From), last.People, c.Most)
	return &c
}
