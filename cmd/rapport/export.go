package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/export"
	"rapport.example/internal/fault"
	"rapport.example/internal/job"
)

// exportCmd writes a workspace file if nothing else is said, as it did before there was something else.
type exportCmd struct {
	File   exportFileCmd   `cmd:"" default:"withargs" help:"Write a workspace as a file that apply reads. This is what export alone does."`
	People exportPeopleCmd `cmd:"" help:"Write people and their attributes into a file."`
}

type exportPeopleCmd struct {
	tenant
	Format string `enum:"csv,jsonl" default:"csv" help:"csv, or jsonl, which keeps the types of values. Default: ${default}."`
	Filter string `help:"Only people who meet this filter, as in POST /v1/customers. Default: everybody." placeholder:"JSON"`
	Output string `short:"o" help:"File to write, replacing what was there. Default: standard output." placeholder:"FILE" type:"path"`
}

// patience is for how long a server may be away in the middle: another node, or the same one restarted, goes on.
const patience = 2 * time.Minute

// Run is the command.
func (c *exportPeopleCmd) Run(ctx context.Context, a *app) error {
	order := admin.PeopleExportRequest{Format: export.Format(c.Format)}
	if c.Filter != "" {
		if err := json.Unmarshal([]byte(c.Filter), &order.Filter); err != nil {
			return fault.Field("--filter", "is not JSON")
		}
	}
	var e admin.Export
	if err := c.call(ctx, http.MethodPost, "exports/people", nil, order, &e); err != nil {
		return err
	}
	if err := c.made(ctx, a, &e); err != nil {
		return err
	}
	return c.fetch(ctx, a, &e)
}

// made waits until the file is there.
func (c *exportPeopleCmd) made(ctx context.Context, a *app, e *admin.Export) error {
	bar := newProgress(a.err, "exporting", 0)
	defer bar.done()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for seen := time.Now(); ; {
		if e.State == job.Done {
			return nil
		}
		if e.State == job.Failed {
			return errors.New("the export failed: " + e.Error)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		err := c.call(ctx, http.MethodGet, "exports/"+strconv.FormatInt(e.ID, 10), nil, nil, e)
		switch {
		case err == nil:
			seen = time.Now()
			bar.to(e.Rows, e.Total, "people", 1)
		case !fault.Is(err, fault.Unavailable) || time.Since(seen) > patience:
			return err
		}
	}
}

// fetch writes the file. It is put in place only once it is whole.
func (c *exportPeopleCmd) fetch(ctx context.Context, a *app, e *admin.Export) error {
	if c.Output == "" {
		return c.stream(ctx, a, e, a.out)
	}
	f, err := os.CreateTemp(filepath.Dir(c.Output), filepath.Base(c.Output)+".*.part")
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "cannot write "+c.Output)
	}
	err = c.stream(ctx, a, e, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), c.Output)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	fmt.Fprintf(a.out, "%d people are in %s\n", e.Total, c.Output)
	return nil
}

func (c *exportPeopleCmd) stream(ctx context.Context, a *app, e *admin.Export, to io.Writer) error {
	w := &receiving{to: to, of: e.Size, bar: newProgress(a.err, "receiving", 0)}
	defer w.bar.done()
	return c.call(ctx, http.MethodGet, "exports/"+strconv.FormatInt(e.ID, 10)+"/file", url.Values{}, nil, w)
}

// receiving is a file that comes in, with a bar that moves once per MiB.
type receiving struct {
	to        io.Writer
	n, of     int64
	bar       *progress
	announced int64
}

// Write is part of io.Writer.
func (r *receiving) Write(b []byte) (int, error) {
	n, err := r.to.Write(b)
	if r.n += int64(n); r.n-r.announced >= 1<<20 {
		r.announced = r.n
		r.bar.to(r.n, r.of, "MB", 1e6)
	}
	return n, err
}
