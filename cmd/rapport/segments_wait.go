package main

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/definition"
)

// buildAsk is how often a build is asked how far it is.
const buildAsk = 250 * time.Millisecond

// built waits until a segment, or with "" every one of the workspace, is built, with a bar on a terminal. A build goes on by itself: whoever
// stops waiting stops nothing else.
func (t *tenant) built(ctx context.Context, a *app, segment string) error {
	bar := newProgress(a.err, "building", 100)
	defer bar.done()
	tick := time.NewTicker(buildAsk)
	defer tick.Stop()
	for {
		list, err := t.building(ctx, segment)
		if err != nil || len(list) == 0 {
			return err
		}
		if len(list) == 1 {
			bar.label = "building " + list[0].Slug
		}
		bar.at(donePercent(list))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// building lists what is not built yet.
func (t *tenant) building(ctx context.Context, segment string) (out []admin.Segment, err error) {
	keep := func(g admin.Segment) {
		if g.Progress != nil {
			out = append(out, g)
		}
	}
	if segment != "" {
		var one admin.SegmentDetail
		if err := t.call(ctx, http.MethodGet, "segments/"+url.PathEscape(segment), nil, nil, &one); err != nil {
			return nil, err
		}
		keep(one.Segment)
		return out, nil
	}
	for q := (url.Values{"limit": {"500"}}); ; {
		var page admin.SegmentsAnswer
		if err := t.call(ctx, http.MethodGet, "segments", q, nil, &page); err != nil {
			return nil, err
		}
		for i := range page.Segments {
			keep(page.Segments[i])
		}
		if page.Next == "" {
			return out, nil
		}
		q.Set("start", page.Next)
	}
}

// donePercent is how much of the builds is done: each has two passes, over history and over everybody, and only the second is begun by all at once.
func donePercent(list []admin.Segment) int {
	least := int64(100)
	for i := range list {
		done := int64(0)
		switch list[i].State {
		case definition.CountEvents.String():
			done = *list[i].Progress / 2
		case definition.PeopleQueued.String():
			done = 50
		case definition.AskPeople.String():
			done = 50 + *list[i].Progress/2
		}
		least = min(least, done)
	}
	return int(least)
}
