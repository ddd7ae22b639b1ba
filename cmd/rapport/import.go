package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	"rapport.example/internal/fault"
	"rapport.example/internal/imports"
	"rapport.example/internal/ingest"
	"rapport.example/internal/job"
)

type importCmd struct {
	tenant
	output
	File       string            `arg:"" help:"CSV whose first line names the columns, or JSON Lines; in UTF-8." type:"path"`
	Type       string            `enum:"people,event,object,relationship" default:"people" help:"What the rows are: people, event, object or relationship. Default: ${default}."`
	Identifier string            `enum:"id,email,cio_id" default:"id" help:"Column that names people: id, email or cio_id. Default: ${default}."`
	Map        map[string]string `mapsep:"none" help:"Take a column for another one, as --map 'E-Mail=email'; with nothing behind the =, leave it out. May be repeated." placeholder:"COL=NAME"`
	ObjectType int64             `help:"Number of the type of objects and relationships whose rows have no object_type_id." placeholder:"N"`
	Only       string            `enum:"all,new,existing" default:"all" help:"Of people or objects: all, or only those who are new, or existing. Default: ${default}."`
	Format     string            `enum:"auto,csv,jsonl" default:"auto" help:"csv, jsonl, or auto: a { at the start means jsonl. Default: ${default}."`
	Again      bool              `help:"Import a file anew that was imported in the last 24 hours."`
	Cancel     bool              `help:"End the import of this file that is under way; rows that are imported stay." xor:"do"`
	DryRun     bool              `xor:"do" help:"Check the file, and tell what is wrong with it; no server is asked."`
}

// importResult is what the command prints as JSON.
type importResult struct {
	Import  *admin.Import    `json:"import,omitempty"` // nil of a dry run
	Rows    int64            `json:"rows"`             // good ones
	Bad     int64            `json:"bad"`
	BadRows []imports.BadRow `json:"bad_rows"` // imports.MaxBad at most
}

// order is the import that the command line describes.
func (c *importCmd) order() admin.ImportRequest {
	out := admin.ImportRequest{Name: filepath.Base(c.File), Type: imports.Type(c.Type), Identifier: c.Identifier, ObjectType: c.ObjectType, Map: c.Map, Again: c.Again}
	if out.Type == imports.Objects {
		out.Identifier = ""
	}
	if out.Mode = imports.All; c.Only != "all" {
		out.Mode = imports.Mode("only_" + c.Only)
	}
	if c.Format != "auto" {
		out.Format = imports.Format(c.Format)
	}
	return out
}

// Run is the command.
func (c *importCmd) Run(ctx context.Context, a *app) error {
	f, err := os.Open(c.File)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "cannot read "+c.File)
	}
	defer f.Close() //nolint:errcheck // read only
	info, err := f.Stat()
	switch {
	case err != nil || !info.Mode().IsRegular():
		return fault.New(fault.Invalid, "%s is not a file", c.File)
	case info.Size() == 0:
		return fault.New(fault.Invalid, "%s is empty", c.File)
	case info.Size() > imports.MaxSize:
		return fault.New(fault.Invalid, "%s is larger than %d bytes: split it", c.File, imports.MaxSize)
	}
	order := c.order()
	order.Size = info.Size()
	if c.DryRun {
		return c.check(ctx, a, f, &order)
	}
	if order.Print, err = fingerprint(f, order); err != nil {
		return err
	}
	var i admin.Import
	order.Find = c.Cancel
	if err := c.patient(ctx, http.MethodPost, "imports", nil, order, &i); err != nil {
		return err
	}
	if c.Cancel {
		return c.cancel(ctx, a, &i)
	}
	if i.Known && i.State == job.Done && !c.JSON {
		fmt.Fprintf(a.err, "this file was imported at %s; --again imports it anew\n", time.UnixMilli(i.Updated).Format(time.DateTime))
	}
	if err := c.upload(ctx, a, f, &i); err != nil {
		return err
	}
	if err := c.wait(ctx, a, &i); err != nil {
		if ctx.Err() != nil {
			fmt.Fprintln(a.err, "the import goes on in the server: the same command shows it again, and with --cancel ends it")
		}
		return err
	}
	return c.told(ctx, a, &i)
}

// cancel ends the import, and says how far it was.
func (c *importCmd) cancel(ctx context.Context, a *app, i *admin.Import) error {
	if err := c.patient(ctx, http.MethodPost, importPath(i.ID, "/cancel"), nil, nil, i); err != nil {
		return err
	}
	if c.JSON {
		return a.print(importResult{Import: i, Rows: i.Applied, Bad: i.Bad, BadRows: []imports.BadRow{}})
	}
	fmt.Fprintf(a.out, "canceled; %d rows were imported and stay\n", i.Applied)
	return nil
}

// fingerprint names a file and how it is read, so that the same command finds its import again.
func fingerprint(f io.ReadSeeker, order admin.ImportRequest) (string, error) {
	order.Again, order.Find, order.Print = false, false, ""
	b, err := json.Marshal(order)
	if err != nil {
		return "", fmt.Errorf("encode the order: %w", err)
	}
	h := sha256.New()
	h.Write(b)
	if _, err := io.Copy(h, f); err != nil {
		return "", fault.Wrap(fault.Invalid, err, "cannot read the file")
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// patient is call, again and again while the server is away.
func (c *importCmd) patient(ctx context.Context, method, path string, query url.Values, body, into any) error {
	for began := time.Now(); ; {
		err := c.call(ctx, method, path, query, body, into)
		if err == nil || !fault.Is(err, fault.Unavailable) || time.Since(began) > patience {
			return err
		}
		t := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
		if b, ok := body.(*bytes.Reader); ok {
			b.Reset(raw(b))
		}
	}
}

// raw is all that a reader has, also what was read.
func raw(b *bytes.Reader) []byte {
	out := make([]byte, b.Size())
	_, _ = b.ReadAt(out, 0) //nolint:errcheck // it has so many
	return out
}

func importPath(id int64, more string) string { return "imports/" + strconv.FormatInt(id, 10) + more }

// upload gives the server the parts that it has not, and starts the import.
func (c *importCmd) upload(ctx context.Context, a *app, f io.ReaderAt, i *admin.Import) error {
	if i.State != job.Preparing {
		return nil
	}
	bar := newProgress(a.err, "uploading", 0)
	defer bar.done()
	buf := make([]byte, i.Part)
	for first, n := i.Next, i.Next; n < i.Parts; n++ {
		part := buf[:min(i.Part, i.Size-n*i.Part)]
		if _, err := f.ReadAt(part, n*i.Part); err != nil && !errors.Is(err, io.EOF) {
			return fault.Wrap(fault.Invalid, err, "cannot read the file")
		}
		sum := sha256.Sum256(part)
		q := url.Values{"sha256": {hex.EncodeToString(sum[:])}}
		if err := c.patient(ctx, http.MethodPut, importPath(i.ID, "/parts/"+strconv.FormatInt(n, 10)), q, bytes.NewReader(part), nil); err != nil {
			return err
		}
		bar.to((n+1-first)*i.Part, (i.Parts-first)*i.Part, "MB", 1e6)
	}
	return c.patient(ctx, http.MethodPost, importPath(i.ID, "/finish"), nil, nil, i)
}

// wait shows how far the import is until it is over.
func (c *importCmd) wait(ctx context.Context, a *app, i *admin.Import) error {
	bar := newProgress(a.err, "importing", 0)
	defer bar.done()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	from := i.Applied
	for {
		switch i.State {
		case job.Done:
			return nil
		case job.Failed:
			return errors.New("the import failed: " + i.Error)
		default:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := c.patient(ctx, http.MethodGet, importPath(i.ID, ""), nil, nil, i); err != nil {
			return err
		}
		if i.Stage == string(imports.Importing) {
			bar.to(i.Applied-from, i.Rows-from, "rows", 1)
		} else {
			bar.to(0, 0, "rows", 1)
		}
	}
}

// told prints what came of it.
func (c *importCmd) told(ctx context.Context, a *app, i *admin.Import) error {
	var bad admin.BadRowsAnswer
	if err := c.patient(ctx, http.MethodGet, importPath(i.ID, "/bad_rows"), nil, nil, &bad); err != nil {
		return err
	}
	return c.result(a, &importResult{Import: i, Rows: i.Applied, Bad: bad.Total, BadRows: bad.Rows}, "imported")
}

func (c *importCmd) result(a *app, r *importResult, done string) error {
	if c.JSON {
		return a.print(r)
	}
	for _, b := range r.BadRows {
		fmt.Fprintf(a.out, "row %d: %s\n", b.Row, b.Reason)
	}
	if more := r.Bad - int64(len(r.BadRows)); more > 0 {
		fmt.Fprintf(a.out, "… and %d more\n", more)
	}
	fmt.Fprintf(a.out, "%d rows %s, %d bad\n", r.Rows, done, r.Bad)
	return nil
}

// local is a file on this machine.
type local struct {
	f    io.ReaderAt
	size int64
}

// From is part of imports.Source.
func (l local) From(offset int64) io.Reader { return io.NewSectionReader(l.f, offset, l.size-offset) }

// check is the dry run.
func (c *importCmd) check(ctx context.Context, a *app, f io.ReaderAt, order *admin.ImportRequest) error {
	spec := imports.Spec{Type: order.Type, Identifier: order.Identifier, ObjectType: order.ObjectType, Mode: order.Mode, Format: order.Format, Map: order.Map, Surface: ingest.FromAdmin}
	if err := spec.Check(); err != nil {
		return err
	}
	rows, err := imports.Open(&spec, local{f, order.Size})
	if err != nil {
		return err
	}
	bar := newProgress(a.err, "checking", 0)
	defer bar.done()
	out := importResult{BadRows: []imports.BadRow{}}
	for ctx.Err() == nil {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			bar.done()
			return c.result(a, &out, "are good")
		}
		if err != nil {
			return err
		}
		why := row.Bad
		if why == "" {
			_, _, why = spec.Op(row.Fields)
		}
		if why == "" {
			out.Rows++
		} else if out.Bad++; len(out.BadRows) < imports.MaxBad {
			out.BadRows = append(out.BadRows, imports.BadRow{Row: row.Number, Reason: why})
		}
		if row.Number%10_000 == 0 {
			_, at := rows.Position()
			bar.to(at, order.Size, "MB", 1e6)
		}
	}
	return ctx.Err()
}
