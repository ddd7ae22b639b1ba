package export

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"fmt"

	"rapport.example/internal/job"
)

// maxUnpacked bounds what a part holds unpacked: much that is alike packs to nearly nothing, and a part would never be full.
const maxUnpacked = 16 << 20

// keeper is the part of job.Task that takes a file.
type keeper interface {
	Save(ctx context.Context, progress any) error
	Add(ctx context.Context, part int64, bytes []byte, progress any) error
}

// file cuts what is written to it into parts, each a gzip member of its own: one behind the other they are a gzip file, too.
// It holds one part at a time.
type file struct {
	task     keeper
	done     Progress // as kept
	rows     int64    // written since
	unpacked int64    // bytes since
	packed   bytes.Buffer
	gz       *gzip.Writer
}

// total tells how many rows there will be.
func (f *file) total(ctx context.Context, n int64) error {
	f.done.Total = n
	return f.task.Save(ctx, f.done)
}

// Write is part of io.Writer.
func (f *file) Write(p []byte) (int, error) {
	if f.gz == nil {
		gz, err := gzip.NewWriterLevel(&f.packed, gzip.BestSpeed)
		if err != nil {
			return 0, fmt.Errorf("pack: %w", err)
		}
		f.gz = gz
	}
	n, err := f.gz.Write(p)
	f.unpacked += int64(n)
	return n, err
}

// row counts one row and keeps a part once it is full.
func (f *file) row(ctx context.Context) error {
	f.rows++
	if f.packed.Len() < job.PartSize && f.unpacked < maxUnpacked {
		return nil
	}
	return f.cut(ctx)
}

func (f *file) cut(ctx context.Context) error {
	if _, err := f.Write(nil); err != nil { // so that an empty file is one, too
		return err
	}
	if err := f.gz.Close(); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	next := f.done
	next.Rows += f.rows
	next.Parts++
	next.Packed += int64(f.packed.Len())
	next.Size += f.unpacked
	if err := f.task.Add(ctx, f.done.Parts, f.packed.Bytes(), next); err != nil {
		return err
	}
	f.done, f.rows, f.unpacked = next, 0, 0
	f.packed.Reset()
	f.gz.Reset(&f.packed)
	return nil
}

// end keeps the last part. A file has one at least.
func (f *file) end(ctx context.Context) error {
	if f.unpacked == 0 && f.done.Parts > 0 {
		return nil
	}
	return f.cut(ctx)
}

// table writes records as CSV (RFC 4180, but with bare line feeds). Cells are exact: one that begins with = + - or @ stays as it
// is, although spreadsheets take it for a formula, since programs read these files back.
type table struct {
	file *file
	csv  *csv.Writer
}

// newTable begins a table with the names of its columns.
func newTable(f *file, columns []string) (*table, error) {
	t := &table{f, csv.NewWriter(f)}
	return t, t.csv.Write(columns)
}

func (t *table) row(ctx context.Context, cells []string) error {
	if err := t.csv.Write(cells); err != nil {
		return err
	}
	return t.file.row(ctx)
}

func (t *table) end(ctx context.Context) error {
	t.csv.Flush()
	if err := t.csv.Error(); err != nil {
		return err
	}
	return t.file.end(ctx)
}
