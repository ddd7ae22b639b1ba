package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/fault"
)

type rejectionsCmd struct {
	tenant
	output
	Kind   string `enum:"failed_attribute_change,failed_event,rejected," default:"" help:"Only these: failed_attribute_change, failed_event or rejected."`
	Reason string `help:"Only those with this in their reason, in any case." placeholder:"TEXT"`
	Since  string `help:"Only those received since: a duration back from the workspace's time, like 24h or 7d, or a moment like 2026-01-02T15:04:05Z." placeholder:"TIME"`
	Until  string `help:"Only those received before, in the same form." placeholder:"TIME"`
	Limit  int    `help:"How many at most, newest first." default:"50" env:"RAPPORT_REJECTIONS_LIMIT"`
}

// Run is the command.
func (c *rejectionsCmd) Run(ctx context.Context, a *app) error {
	q := url.Values{}
	for name, text := range map[string]string{"kind": c.Kind, "reason": c.Reason} {
		if text != "" {
			q.Set(name, text)
		}
	}
	for name, text := range map[string]string{"since": c.Since, "until": c.Until} {
		if text == "" {
			continue
		}
		at, err := c.moment(ctx, name, text)
		if err != nil {
			return err
		}
		q.Set(name, strconv.FormatInt(at, 10))
	}
	out, err := c.pages(ctx, q)
	if err != nil {
		return err
	}
	if c.JSON {
		return a.print(out)
	}
	if len(out.Rejections) == 0 {
		fmt.Fprintln(a.out, "nothing was rejected")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RECEIVED\tKIND\tPERSON\tCOUNT\tREASON")
	for i := range out.Rejections {
		r := &out.Rejections[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", time.Unix(r.Received, 0).UTC().Format("2006-01-02 15:04:05"), r.Kind, whose(r.Person), r.Count, r.Reason)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if out.Next != "" {
		fmt.Fprintln(a.out, "older ones are left out; --limit shows more")
	}
	return nil
}

// pages asks until there are enough: a page may be short.
func (c *rejectionsCmd) pages(ctx context.Context, q url.Values) (admin.RejectionsAnswer, error) {
	all := admin.RejectionsAnswer{Rejections: []admin.Rejection{}}
	for {
		left := c.Limit - len(all.Rejections)
		q.Set("limit", strconv.Itoa(min(left, 500)))
		var page admin.RejectionsAnswer
		if err := c.call(ctx, http.MethodGet, "rejections", q, nil, &page); err != nil {
			return all, err
		}
		all.Rejections, all.Next = append(all.Rejections, page.Rejections...), page.Next
		if page.Next == "" || len(all.Rejections) >= c.Limit {
			return all, nil
		}
		q.Set("start", page.Next)
	}
}

// moment reads a moment, or a duration back from the workspace's time, as Unix seconds.
func (c *rejectionsCmd) moment(ctx context.Context, flag, text string) (int64, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.Unix(), nil
	}
	d, err := back(text)
	if err != nil {
		return 0, fault.New(fault.Invalid, "--%s: %q is neither a duration like 24h or 7d nor a moment like 2026-01-02T15:04:05Z", flag, text)
	}
	var now admin.ClockAnswer
	if err := c.call(ctx, http.MethodGet, "clock", nil, nil, &now); err != nil {
		return 0, err
	}
	return now.Now - int64(d.Seconds()), nil
}

// back reads a duration, with days.
func back(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	d, err := time.ParseDuration(text)
	if err == nil && d < 0 {
		err = fault.New(fault.Invalid, "a duration must not be negative")
	}
	return d, err
}

// whose is a person's shortest name.
func whose(p *admin.Person) string {
	switch {
	case p == nil:
		return "-"
	case p.ID != "":
		return p.ID
	case p.Email != "":
		return p.Email
	}
	return p.CIO
}
