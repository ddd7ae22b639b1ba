package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"rapport.example/internal/api/admin"
)

type segmentsCmd struct {
	List    segmentsListCmd    `cmd:"" help:"List segments with their counts and states."`
	Show    segmentsShowCmd    `cmd:"" help:"Show a segment: its conditions, its state, and what uses it."`
	Preview segmentsPreviewCmd `cmd:"" help:"Count who meets a condition that is not saved, line by line."`
	Explain segmentsExplainCmd `cmd:"" help:"Tell whether a person is in a segment, and why."`
	Overlap segmentsOverlapCmd `cmd:"" help:"Tell how many people two segments have in common."`
	Counts  segmentsCountsCmd  `cmd:"" help:"Tell how many people were in a segment over time."`
}

type segmentsExplainCmd struct {
	tenant
	output
	Segment string `arg:"" help:"The segment's id in the workspace file, or its number."`
	Person  string `arg:"" help:"The person's id, email or cio_…"`
}

// Run is the command.
func (c *segmentsExplainCmd) Run(ctx context.Context, a *app) error {
	var out admin.MembershipAnswer
	path := "people/" + url.PathEscape(c.Person) + "/segments/" + url.PathEscape(c.Segment)
	if err := c.call(ctx, http.MethodGet, path, url.Values{}, nil, &out); err != nil {
		return err
	}
	if c.JSON {
		return a.print(out)
	}
	printMembership(a.out, &out)
	return nil
}

func printMembership(w io.Writer, m *admin.MembershipAnswer) {
	if m.Member {
		fmt.Fprintf(w, "in %s since %s\n", m.Segment.Slug, second(m.Since))
	} else {
		fmt.Fprintf(w, "not in %s\n", m.Segment.Slug)
	}
	if m.State != "ready" {
		fmt.Fprintf(w, "the segment is %s: what follows is what its condition says now\n", m.State)
	}
	if m.Why == nil {
		fmt.Fprintln(w, "the segment is filled by hand")
		return
	}
	printReason(w, m.Why, "")
	if m.Next != 0 {
		fmt.Fprintf(w, "could change with no new data at %s\n", second(m.Next))
	}
}

func printReason(w io.Writer, r *admin.Reason, indent string) {
	mark, has := "no ", ""
	if r.True {
		mark = "yes"
	}
	if r.Value != "" {
		has = ": " + r.Value
	}
	fmt.Fprintf(w, "  %s  %s%s%s\n", mark, indent, r.Condition, has)
	for i := range r.Parts {
		printReason(w, &r.Parts[i], indent+"  ")
	}
}

func second(at int64) string { return time.Unix(at, 0).UTC().Format("2006-01-02 15:04:05 UTC") }
