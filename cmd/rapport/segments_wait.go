package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
)

// buildAsk is how often a build is asked how far it is.
const buildAsk = 250 * time.Millisecond

// built waits until a segment, or with "" every one of the workspace, is built, for most at the longest unless that is 0, and shows how far it
// is. A build goes on by itself: whoever stops waiting stops nothing else.
func (t *tenant) built(ctx context.Context, a *app, segment string, most time.Duration) error {
	const instead = "builds go on by themselves; rapport segments list tells how far they are"
	late := fault.New(fault.Unavailable, "not everything is built within %s: %s", most, instead)
	if most > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, most, late)
		defer cancel()
	}
	err := t.follow(ctx, a, segment)
	switch {
	case err == nil || ctx.Err() == nil:
		return err
	case errors.Is(context.Cause(ctx), late):
		return late
	default:
		return fault.New(fault.Unavailable, "stopped waiting: %s", instead)
	}
}

// follow shows how far builds are until they are done.
func (t *tenant) follow(ctx context.Context, a *app, segment string) error {
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
