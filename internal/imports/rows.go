package imports

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

// Source is a file that can be read from anywhere. Reads may fail with any error, which Rows returns as it is.
type Source interface {
	// From reads the file from an offset on, to its end.
	From(offset int64) io.Reader
}

// Row is one row of a file.
type Row struct {
	Number int64       // from 1; a CSV file's header does not count
	Fields value.Value // an object: what the row says, by the names of the columns after Spec.Map. nil of a bad row
	Bad    string      // why it cannot be read
}

// Rows walks over a file. A row that cannot be read does not end it. It is used by one goroutine.
type Rows struct {
	spec *Spec
	src  Source
	json bool
	head []string // names of the columns; "" = left out

	row    int64 // rows that were read
	offset int64 // of the next one
	base   int64 // of the reader
	buf    *bufio.Reader
	csv    *csv.Reader
	cap    *capped
	broken int // rows that are no CSV
}

// Open begins at the start of a file. A file that is none of its kind is Invalid.
func Open(spec *Spec, src Source) (*Rows, error) {
	r := &Rows{spec: spec, src: src}
	r.at(0)
	first, err := r.buf.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(first, []byte{0xff, 0xfe}) || bytes.HasPrefix(first, []byte{0xfe, 0xff}) || bytes.IndexByte(first, 0) >= 0:
		return nil, fault.New(fault.Invalid, "the file is not UTF-8: save it as UTF-8")
	case bytes.HasPrefix(first, []byte{0x1f, 0x8b}) || bytes.HasPrefix(first, []byte("PK\x03\x04")):
		return nil, fault.New(fault.Invalid, "the file is packed: unpack it first")
	case bytes.HasPrefix(first, []byte("\xef\xbb\xbf")):
		first = first[3:]
		r.at(3)
	}
	text := bytes.TrimLeft(first, " \t\r\n")
	r.json = spec.Format == JSONL || spec.Format == "" && bytes.HasPrefix(text, []byte("{"))
	switch {
	case spec.Format == "" && bytes.HasPrefix(text, []byte("[")):
		return nil, fault.New(fault.Invalid, "the file is one JSON list: write an object a line instead")
	case r.json:
		return r, nil
	}
	return r, r.header()
}

// Resume goes on behind a row that an earlier Rows of the same file told with Position.
func (r *Rows) Resume(row, offset int64) {
	if offset > 0 {
		r.row = row
		r.at(offset)
	}
}

// Position is where the next row is: what to give Resume.
func (r *Rows) Position() (row, offset int64) { return r.row, r.offset }

// at begins to read at an offset.
func (r *Rows) at(offset int64) {
	r.base, r.offset = offset, offset
	r.cap = &capped{r: r.src.From(offset), left: 2 * MaxRow}
	if r.buf == nil {
		r.buf = bufio.NewReaderSize(r.cap, 64<<10)
	} else {
		r.buf.Reset(r.cap)
	}
	r.csv = csv.NewReader(r.buf)
	r.csv.ReuseRecord, r.csv.FieldsPerRecord = true, -1
}

var errLong = errors.New("the row is too long")

// capped fails once a row has taken more than it may.
type capped struct {
	r    io.Reader
	left int // of what the buffer behind it does not hold yet
}

// Read is part of io.Reader.
func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errLong
	}
	n, err := c.r.Read(p)
	c.left -= n
	return n, err
}

// header reads the names of the columns.
func (r *Rows) header() error {
	cells, err := r.csv.Read()
	var broken *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return fault.New(fault.Invalid, "the file is empty: its first line must name the columns")
	case errors.Is(err, errLong) || errors.As(err, &broken):
		return fault.New(fault.Invalid, "the first line, which must name the columns, is not CSV")
	case err != nil:
		return err
	case len(cells) > MaxColumns:
		return fault.New(fault.Invalid, "the file has more than %d columns", MaxColumns)
	}
	r.offset = r.base + r.csv.InputOffset()
	for _, c := range cells {
		name, err := r.name(strings.TrimSpace(c))
		if err != nil {
			return err
		}
		if name != "" && slices.Contains(r.head, name) {
			return fault.New(fault.Invalid, "two columns are named %s", short(name))
		}
		r.head = append(r.head, name)
	}
	for _, name := range r.spec.needs() {
		if !slices.Contains(r.head, name) {
			return fault.New(fault.Invalid, "no column is named %s", name)
		}
	}
	for from := range r.spec.Map {
		if !slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) == from }) {
			return fault.Field("map", "names the column %s, which the file has not", short(from))
		}
	}
	return nil
}

// name is what a column is called after mapping.
func (r *Rows) name(column string) (string, error) {
	if !utf8.ValidString(column) || strings.ContainsRune(column, 0) {
		return "", fault.New(fault.Invalid, "the name of a column is not UTF-8: save the file as UTF-8")
	}
	if to, ok := r.spec.Map[column]; ok {
		return to, nil
	}
	return column, nil
}

// short is a name for a message.
func short(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

// Next is the next row, io.EOF behind the last. Other errors are the source's, or Invalid if the file is not what it should be.
func (r *Rows) Next() (Row, error) {
	r.cap.left = 1 << 40
	if r.json {
		return r.line()
	}
	r.blank()
	r.cap.left = 2 * MaxRow
	cells, err := r.csv.Read()
	var broken *csv.ParseError
	switch {
	case err == nil:
	case errors.Is(err, errLong):
		return r.skip("is longer than %d bytes, or a quote in it is not closed", MaxRow)
	case errors.As(err, &broken):
		return r.skip("is not CSV: %s", broken.Err.Error())
	default:
		return Row{}, err
	}
	r.row++
	end := r.base + r.csv.InputOffset()
	size := end - r.offset
	r.offset = end
	out := Row{Number: r.row}
	switch {
	case size > MaxRow:
		out.Bad = fmt.Sprintf("is longer than %d bytes", MaxRow)
	case len(cells) != len(r.head):
		out.Bad = fmt.Sprintf("has %d cells, and the first line %d", len(cells), len(r.head))
	default:
		out.Fields, out.Bad = r.object(cells)
	}
	return out, nil
}

// blank passes over empty lines, which may be many and belong to no row.
func (r *Rows) blank() {
	for {
		n := 0
		switch b, _ := r.buf.Peek(2); { //nolint:errcheck // whoever reads on meets it
		case len(b) > 0 && b[0] == '\n':
			n = 1
		case string(b) == "\r\n":
			n = 2
		default:
			return
		}
		_, _ = r.buf.Discard(n) //nolint:errcheck // it is there
		r.base, r.offset = r.base+int64(n), r.offset+int64(n)
	}
}

// object is what a row of CSV says. Empty cells say nothing.
func (r *Rows) object(cells []string) (value.Value, string) {
	var b value.Builder
	for i, c := range cells {
		switch name := r.head[i]; {
		case name == "" || c == "":
		case !utf8.ValidString(c):
			return nil, "is not UTF-8 in the column " + short(name)
		case strings.ContainsRune(c, 0):
			return nil, "has a NUL character in the column " + short(name)
		default:
			b.Set(name, value.Quote(c))
		}
	}
	return b.Value(), ""
}

// skip goes on behind the line that a bad row begins with, since where the row ends cannot be told.
func (r *Rows) skip(reason string, args ...any) (Row, error) {
	if r.broken++; r.broken > maxBroken {
		return Row{}, fault.New(fault.Invalid, "more than %d rows are not CSV", maxBroken)
	}
	r.at(r.offset)
	r.cap.left = 1 << 40
	n, _, err := r.readLine(nil)
	if err != nil && !errors.Is(err, io.EOF) {
		return Row{}, err
	}
	r.offset += n
	r.row++
	r.at(r.offset)
	return Row{Number: r.row, Bad: fmt.Sprintf(reason, args...)}, nil
}

// readLine reads a line with its end into buf, but at most MaxRow and a bit of it, and tells how long it is.
func (r *Rows) readLine(buf []byte) (n int64, line []byte, err error) {
	for {
		part, err := r.buf.ReadSlice('\n')
		n += int64(len(part))
		if len(buf) <= MaxRow {
			buf = append(buf, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return n, buf, err
		}
	}
}

// line is the next row of JSON Lines. Empty lines are none.
func (r *Rows) line() (Row, error) {
	for {
		n, text, err := r.readLine(nil)
		if err != nil && !errors.Is(err, io.EOF) {
			return Row{}, err
		}
		r.offset += n
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			if err != nil {
				return Row{}, err
			}
			continue
		}
		r.row++
		out := Row{Number: r.row}
		if n > MaxRow {
			out.Bad = fmt.Sprintf("is longer than %d bytes", MaxRow)
			return out, nil
		}
		out.Fields, out.Bad = r.members(text)
		return out, nil
	}
}

// members is what a line of JSON says.
func (r *Rows) members(text []byte) (value.Value, string) {
	v, err := value.Parse(text)
	switch {
	case err != nil && !utf8.Valid(text):
		return nil, "is not UTF-8"
	case err != nil:
		return nil, "is not JSON"
	case v.Kind() != value.Object:
		return nil, "is not a JSON object"
	case hasNUL(v):
		return nil, "has a NUL character"
	case len(r.spec.Map) == 0:
		return v, ""
	}
	var b value.Builder
	seen := map[string]bool{}
	for name, f := range v.Fields() {
		if to, ok := r.spec.Map[name]; ok {
			name = to
		}
		if name == "" {
			continue
		}
		if seen[name] {
			return nil, "has two members that are named " + short(name)
		}
		seen[name] = true
		b.Set(name, f)
	}
	return b.Value(), ""
}

// hasNUL finds U+0000, which PostgreSQL's text cannot hold.
func hasNUL(v value.Value) bool {
	for i := 0; i+6 <= len(v); i++ {
		if v[i] != '\\' {
			continue
		}
		if string(v[i:i+6]) == `\u0000` {
			return true
		}
		i++ // the escaped character
	}
	return false
}
