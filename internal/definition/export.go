package definition

import (
	"bytes"
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strings"

	"rapport.example/internal/value"
)

// Export writes the current definitions as a workspace file that applies to the same workspace with no change. Kinds
// come in the order of Kinds, definitions in that of their numeric ids, keys as their author wrote them.
func Export(workspace string, rows []Row) ([]byte, error) {
	var doc value.Builder
	doc.Set("schema", value.Int(1)).Set("workspace", value.Quote(workspace))
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.ID, b.ID) })
	for _, kind := range Kinds() {
		var list []byte
		for i := range rows {
			r := &rows[i]
			if r.Kind != kind || !r.Current || r.Deleted {
				continue
			}
			if kind == Identifying {
				doc.Set(kind, r.Body.Get("by"))
				continue
			}
			list = append(append(list, ','), r.Document()...)
		}
		if list != nil {
			list[0] = '['
			doc.Set(kind, append(list, ']'))
		}
	}
	return writeYAML(doc.Value())
}

// writeYAML writes v so that it reads back as v. Text goes plain and in blocks where that is safe; should the reader
// take such text otherwise after all, everything is quoted.
func writeYAML(v value.Value) ([]byte, error) {
	for _, quoted := range []bool{false, true} {
		w := writer{quoted: quoted}
		w.buf.WriteString("# yaml-language-server: $schema=" + SchemaID + "\n")
		w.object(v, 0, true)
		if back, _, err := readYAML(w.buf.Bytes()); err == nil && bytes.Equal(back, v) {
			return w.buf.Bytes(), nil
		}
	}
	return nil, errors.New("export: the file would not read back as the definitions")
}

type writer struct {
	buf    bytes.Buffer
	quoted bool
}

const step = "  "

// object writes the members of v at an indent; inline says that the first stands on the current line.
func (w *writer) object(v value.Value, indent int, inline bool) {
	for k, f := range v.Fields() {
		if !inline {
			w.buf.WriteString(strings.Repeat(step, indent))
		}
		inline = false
		if indent == 0 && f.Kind() == value.Array {
			w.buf.WriteByte('\n')
		}
		w.buf.WriteString(w.scalar(k, false) + ":")
		w.member(f, indent)
	}
}

// member writes what follows a key's colon.
func (w *writer) member(v value.Value, indent int) {
	switch {
	case v.Kind() == value.Object && len(v) > 2:
		w.buf.WriteByte('\n')
		w.object(v, indent+1, false)
	case v.Kind() == value.Array && len(v) > 2 && !w.flow(v):
		w.buf.WriteByte('\n')
		w.array(v, indent+1)
	default:
		w.buf.WriteByte(' ')
		w.leaf(v, indent)
	}
}

func (w *writer) array(v value.Value, indent int) {
	for e := range v.Elements() {
		w.buf.WriteString(strings.Repeat(step, indent) + "- ")
		switch {
		case e.Kind() == value.Object && len(e) > 2:
			w.object(e, indent+1, true)
		default:
			w.leaf(e, indent)
		}
	}
}

// leaf writes a scalar, an empty collection, a list of words, or a list within a list, to the end of the line.
func (w *writer) leaf(v value.Value, indent int) {
	switch {
	case v.Kind() == value.String && w.block(v.Text()):
		w.literal(v.Text(), indent)
		return
	case v.Kind() == value.String:
		w.buf.WriteString(w.scalar(v.Text(), false))
	case w.flow(v):
		w.buf.WriteByte('[')
		sep := ""
		for e := range v.Elements() {
			w.buf.WriteString(sep)
			sep = ", "
			if e.Kind() == value.String {
				w.buf.WriteString(w.scalar(e.Text(), true))
				continue
			}
			w.buf.Write(e)
		}
		w.buf.WriteByte(']')
	default: // JSON is YAML
		w.buf.Write(v)
	}
	w.buf.WriteByte('\n')
}

// flow reports whether v is a short list of scalars, which reads best on one line.
func (w *writer) flow(v value.Value) bool {
	if v.Kind() != value.Array || len(v) > 80 {
		return false
	}
	for e := range v.Elements() {
		if k := e.Kind(); k == value.Array || k == value.Object {
			return false
		}
	}
	return true
}

// plain is text that no reader takes for anything but itself, also between brackets. Durations are spelled out, for they
// begin with a digit.
var plain = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9_.@/-]*(?: [A-Za-z0-9_./(-][A-Za-z0-9_.)/-]*)*|[0-9]{1,9}[smhdw])$`)

// words are what YAML readers, also of version 1.1, take for something else than text.
var words = map[string]bool{"true": true, "false": true, "null": true, "yes": true, "no": true, "on": true, "off": true, "y": true, "n": true}

func (w *writer) scalar(s string, inFlow bool) string {
	if !w.quoted && plain.MatchString(s) && !words[strings.ToLower(s)] && !(inFlow && len(s) > 60) {
		return s
	}
	return string(value.Quote(s))
}

// block reports whether text of several lines can go into a literal block: printable, no blank start, at most one line
// feed at the end.
func (w *writer) block(s string) bool {
	if w.quoted || !strings.Contains(s, "\n") || strings.HasSuffix(s, "\n\n") || strings.TrimLeft(s, " \t\n") != s {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff
	})
}

func (w *writer) literal(s string, indent int) {
	w.buf.WriteByte('|')
	body, ended := strings.CutSuffix(s, "\n")
	if !ended {
		w.buf.WriteByte('-')
	}
	w.buf.WriteByte('\n')
	for line := range strings.Lines(body + "\n") {
		if line != "\n" {
			w.buf.WriteString(strings.Repeat(step, indent+1))
		}
		w.buf.WriteString(line)
	}
}
