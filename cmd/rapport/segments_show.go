package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"rapport.example/internal/api/admin"
	appapi "rapport.example/internal/api/app"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
)

type segmentsListCmd struct {
	tenant
	output
}

// Run is the command.
func (c *segmentsListCmd) Run(ctx context.Context, a *app) error {
	all := admin.SegmentsAnswer{Segments: []admin.Segment{}}
	for q := (url.Values{"limit": {"500"}}); ; q.Set("start", all.Next) {
		var page admin.SegmentsAnswer
		if err := c.call(ctx, http.MethodGet, "segments", q, nil, &page); err != nil {
			return err
		}
		all.Segments, all.Next = append(all.Segments, page.Segments...), page.Next
		if page.Next == "" {
			break
		}
	}
	if c.JSON {
		return a.print(all)
	}
	if len(all.Segments) == 0 {
		fmt.Fprintln(a.out, "there are no segments")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SEGMENT\tTYPE\tPEOPLE\tSTATE\tUSED BY\tCONDITION")
	for i := range all.Segments {
		g := &all.Segments[i]
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%s\n", g.Slug, g.Type, g.Count, stateOf(g), len(g.UsedBy), cutText(g.Sentence, 80))
	}
	return w.Flush()
}

// stateOf is a segment's state in a word or two.
func stateOf(g *admin.Segment) string {
	switch {
	case g.Archived:
		return "archived"
	case g.Progress != nil:
		return fmt.Sprintf("%s %d%%", g.State, *g.Progress)
	case g.State == definition.Finished.String():
		return "ready"
	}
	return g.State
}

// cutText is text of at most n characters.
func cutText(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

type segmentsShowCmd struct {
	tenant
	output
	Segment string `arg:"" help:"The segment's id in the workspace file, or its number."`
	Wait    bool   `help:"Wait until it is built, and show how far that is." env:"RAPPORT_SEGMENTS_SHOW_WAIT"`

	Timeout time.Duration `help:"With --wait: how long at most, such as 10m. Default: as long as it takes." placeholder:"DURATION" env:"RAPPORT_SEGMENTS_SHOW_TIMEOUT"`
}

// Run is the command.
func (c *segmentsShowCmd) Run(ctx context.Context, a *app) error {
	if c.Wait {
		if err := c.built(ctx, a, c.Segment, c.Timeout); err != nil {
			return err
		}
	}
	var out admin.SegmentDetail
	if err := c.call(ctx, http.MethodGet, "segments/"+url.PathEscape(c.Segment), nil, nil, &out); err != nil {
		return err
	}
	if c.JSON {
		return a.print(out)
	}
	printSegment(a.out, &out)
	return nil
}

func printSegment(w io.Writer, g *admin.SegmentDetail) {
	fmt.Fprintf(w, "%s, segment %d: %s\n", g.Name, g.ID, g.Slug)
	if g.Description != "" {
		fmt.Fprintln(w, g.Description)
	}
	fmt.Fprintf(w, "%s, %s, %d people\n", g.Type, stateOf(&g.Segment), g.Count)
	if g.Tree != nil {
		printLine(w, g.Tree, "  ")
	}
	if g.Built != 0 {
		fmt.Fprintf(w, "built %s\n", second(g.Built))
	}
	fmt.Fprintf(w, "changed %s\n", second(g.Updated))
	for _, u := range g.UsedBy {
		fmt.Fprintf(w, "used by %s %s\n", strings.TrimSuffix(u.Kind, "s"), u.Slug)
	}
}

func printLine(w io.Writer, l *appapi.Line, indent string) {
	fmt.Fprintln(w, indent+l.Condition)
	for i := range l.Parts {
		printLine(w, &l.Parts[i], indent+"  ")
	}
}

type segmentsPreviewCmd struct {
	tenant
	output
	File      string `short:"f" help:"File with the condition, as YAML or JSON, or a workspace file's segment. Default: standard input." placeholder:"FILE" env:"RAPPORT_SEGMENTS_PREVIEW_FILE"`
	Condition string `help:"The condition itself, as YAML or JSON." placeholder:"CONDITION" env:"RAPPORT_SEGMENTS_PREVIEW_CONDITION"`
	Samples   int    `help:"How many people to name." default:"10" env:"RAPPORT_SEGMENTS_PREVIEW_SAMPLES"`
}

// Run is the command.
func (c *segmentsPreviewCmd) Run(ctx context.Context, a *app) error {
	text, name := []byte(c.Condition), "--condition"
	switch {
	case c.Condition != "" && c.File != "":
		return fault.New(fault.Invalid, "--condition and --file cannot be used together")
	case c.Condition == "":
		if name = c.File; name == "" {
			name = "-"
		}
		var err error
		if text, err = readInput(a, name); err != nil {
			return err
		}
	}
	v, err := definition.ReadYAML(text)
	if err != nil {
		return fmt.Errorf("the condition in %s: %w", name, err)
	}
	if in := v.Get("conditions"); in != nil {
		v = in
	}
	var out admin.PreviewAnswer
	if err := c.call(ctx, http.MethodPost, "segments/preview", nil, appapi.PreviewRequest{Conditions: v, Samples: &c.Samples}, &out); err != nil {
		return err
	}
	if c.JSON {
		return a.print(out)
	}
	return printPreview(a.out, &out)
}

func printPreview(out io.Writer, p *admin.PreviewAnswer) error {
	fmt.Fprintf(out, "%s\n%d of %d people\n\n", p.Sentence, p.Count, p.People)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "PEOPLE\tKEPT OUT BY THIS LINE ALONE\t  LINE")
	printCounts(w, &p.Tree, "  ")
	if err := w.Flush(); err != nil {
		return err
	}
	for i, warning := range p.Warnings {
		if i == 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "warning: %s: %s\n", warning.Field, warning.Message)
	}
	if len(p.Samples) > 0 {
		names := []string{}
		for i := range p.Samples {
			names = append(names, whose(&p.Samples[i]))
		}
		fmt.Fprintln(out, "\nsome of them:", strings.Join(names, ", "))
	}
	return nil
}

func printCounts(w io.Writer, l *appapi.Line, indent string) {
	count, alone := "", ""
	if l.Count != nil {
		count = fmt.Sprint(*l.Count)
	}
	if l.Alone != nil {
		alone = fmt.Sprint(*l.Alone)
	}
	fmt.Fprintf(w, "%s\t%s\t%s%s\n", count, alone, indent, l.Condition)
	for i := range l.Parts {
		printCounts(w, &l.Parts[i], indent+"  ")
	}
}

type segmentsOverlapCmd struct {
	tenant
	output
	Segment string `arg:"" help:"The segment's id in the workspace file, or its number."`
	With    string `arg:"" help:"The other segment's."`
}

// Run is the command.
func (c *segmentsOverlapCmd) Run(ctx context.Context, a *app) error {
	var out admin.OverlapAnswer
	if err := c.call(ctx, http.MethodGet, "segments/"+url.PathEscape(c.Segment)+"/overlap", url.Values{"with": {c.With}}, nil, &out); err != nil {
		return err
	}
	if c.JSON {
		return a.print(out)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "in %s\t%d\n", out.Segment.Slug, out.Count)
	fmt.Fprintf(w, "in %s\t%d\n", out.With.Slug, out.Other)
	fmt.Fprintf(w, "in both\t%d\t%s of %s, %s of %s\n", out.Both, share(out.Both, out.Count), out.Segment.Slug, share(out.Both, out.Other), out.With.Slug)
	fmt.Fprintf(w, "only in %s\t%d\n", out.Segment.Slug, out.Count-out.Both)
	fmt.Fprintf(w, "only in %s\t%d\n", out.With.Slug, out.Other-out.Both)
	return w.Flush()
}

func share(n, of int64) string {
	if of == 0 {
		return "0%"
	}
	return fmt.Sprintf("%d%%", 100*n/of)
}

type segmentsCountsCmd struct {
	tenant
	output
	Segment string `arg:"" help:"The segment's id in the workspace file, or its number."`
	Range   string `help:"How far back, as in 48h or 30d; at most 90d." default:"30d" placeholder:"DURATION" env:"RAPPORT_SEGMENTS_COUNTS_RANGE"`
	Step    string `help:"How far apart, as in 1h or 7d." default:"1d" placeholder:"DURATION" env:"RAPPORT_SEGMENTS_COUNTS_STEP"`
}

// Run is the command.
func (c *segmentsCountsCmd) Run(ctx context.Context, a *app) error {
	var out admin.CountsAnswer
	q := url.Values{"range": {c.Range}, "step": {c.Step}}
	if err := c.call(ctx, http.MethodGet, "segments/"+url.PathEscape(c.Segment)+"/counts", q, nil, &out); err != nil {
		return err
	}
	if c.JSON {
		return a.print(out)
	}
	printPoints(a.out, out.Points)
	return nil
}

func printPoints(w io.Writer, points []admin.Point) {
	most := int64(1)
	for _, p := range points {
		most = max(most, p.People)
	}
	for _, p := range points {
		fmt.Fprintf(w, "%s  %8d  %s\n", time.Unix(p.At, 0).UTC().Format("2006-01-02 15:04"), p.People, strings.Repeat("█", int(barWidth*p.People/most)))
	}
}
