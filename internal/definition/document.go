package definition

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/journey"
	"rapport.example/internal/message"
	"rapport.example/internal/value"
)

// MaxFile is the size of a workspace file in bytes.
const MaxFile = 4 << 20

// Document is a workspace file that was read: its definitions by kind in file order, each in canonical JSON.
type Document struct {
	Schema      int    // the version of the schema, 1
	Workspace   string // the workspace's name
	Definitions []ingest.Definition

	name  string
	marks map[string]mark   // where things stand in the file, by path with dots only
	paths map[string]string // path of each definition, by kind.slug
}

// mark is a place in the file, counted from 1.
type mark struct{ line, column int }

// FileError is an error at a place of a workspace file. It unwraps to a *fault.Error of kind Invalid.
type FileError struct {
	File         string
	Line, Column int // from 1
	Err          *fault.Error
}

// Error is file:line:column: field: message.
func (e *FileError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Err.Error())
}

// Unwrap returns the error without its place.
func (e *FileError) Unwrap() error { return e.Err }

// ParseFile reads a workspace file and checks all that can be checked without the server: the syntax, the schema, every
// definition by itself, ids that are used twice. What definitions refer to may be on the server already: that is Check's.
// Errors are *FileError, with name as the file; of several the first in the file is returned.
func ParseFile(name string, yaml []byte) (*Document, error) {
	d := &Document{name: name, marks: map[string]mark{"": {1, 1}}, paths: map[string]string{}}
	if len(yaml) > MaxFile {
		return nil, d.fail("", fault.New(fault.TooLarge, "is larger than %d bytes", MaxFile))
	}
	v, marks, err := readYAML(yaml)
	if err != nil {
		return nil, d.placed(err)
	}
	d.marks = marks
	d.index(v)
	misfits, err := checkSchema(v)
	if err != nil {
		return nil, err
	}
	// A slip of the pen is said first, wherever it is; then what the definitions say themselves, which is better English
	// than a schema's.
	if err := d.first(misfits, true); err != nil {
		return nil, err
	}
	if err := d.read(v); err != nil {
		return nil, err
	}
	return d, d.first(misfits, false)
}

// index notes where each definition stands, so that errors can name it by its id.
func (d *Document) index(v value.Value) {
	for _, kind := range Kinds() {
		i := 0
		for body := range v.Get(kind).Elements() {
			if slug, err := journey.CheckSlug("id", body.Get("id")); err == nil && d.paths[kind+"."+slug] == "" {
				d.paths[kind+"."+slug] = dotted(kind, strconv.Itoa(i))
			}
			i++
		}
	}
}

// read takes the document apart and parses each definition.
func (d *Document) read(v value.Value) error {
	if v.Kind() != value.Object {
		return d.fail("", fault.New(fault.Invalid, "must be a mapping with schema: 1 and workspace"))
	}
	if !value.Equal(v.Get("schema"), value.Int(1)) {
		return d.fail("schema", fault.New(fault.Invalid, "must be 1, the version of the file's form"))
	}
	if err := journey.Only(v, "", append([]string{"schema", "workspace"}, Kinds()...)...); err != nil {
		return d.within("", err)
	}
	d.Schema = 1
	w := v.Get("workspace")
	if d.Workspace = w.Text(); w.Kind() != value.String || strings.TrimSpace(d.Workspace) == "" || len(d.Workspace) > 100 {
		return d.fail("workspace", fault.New(fault.Invalid, "must be the workspace's name, 1 to 100 bytes"))
	}
	for _, kind := range Kinds() {
		list := v.Get(kind)
		if list == nil || list.Kind() == value.Null {
			continue
		}
		if kind == Identifying {
			body, err := identifying(list)
			if err != nil {
				return d.within(kind, err)
			}
			d.Definitions = append(d.Definitions, ingest.Definition{Kind: kind, Slug: People, Body: body})
			continue
		}
		if list.Kind() != value.Array {
			return d.fail(kind, fault.New(fault.Invalid, "must be a list"))
		}
		i := 0
		for body := range list.Elements() {
			if err := d.definition(kind, dotted(kind, strconv.Itoa(i)), body); err != nil {
				return err
			}
			i++
		}
	}
	return nil
}

func (d *Document) definition(kind, path string, body value.Value) error {
	slug, err := journey.CheckSlug("id", body.Get("id"))
	if err != nil {
		return d.within(path, err)
	}
	if at := d.paths[kind+"."+slug]; at != "" && at != path {
		return d.within(path, fault.Field("id", "%s is the id of another of the %s", slug, kind))
	}
	d.paths[kind+"."+slug] = path
	if err := parseOne(kind, body); err != nil {
		return d.within(path, err)
	}
	if body.Get(journey.ActionsKey) != nil {
		return d.within(path, fault.Field(journey.ActionsKey, "is not for authors"))
	}
	d.Definitions = append(d.Definitions, ingest.Definition{Kind: kind, Slug: slug, Body: body})
	return nil
}

// parseOne checks one definition by itself.
func parseOne(kind string, body value.Value) (err error) {
	switch kind {
	case Identifying:
		_, err = parseIdentifying(body)
	case Senders:
		_, err = message.ParseSender(body, "")
	case Layouts:
		_, err = message.ParseLayout(body, "")
	case Topics:
		_, err = ParseTopic(body)
	case Segments:
		_, err = ParseSegment(body)
	case Campaigns:
		_, err = journey.Parse(body)
	case Transactionals:
		_, err = ParseTransactional(body)
	}
	return err
}

// Locate gives an error of Check, or one with such a field from the server, its place in the file. Other errors, and
// ones about definitions that the file does not hold, come back as they are.
func (d *Document) Locate(err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	kind, rest, _ := strings.Cut(f.Field, ".")
	slug, field, _ := strings.Cut(rest, ".")
	path := d.paths[kind+"."+slug]
	if path == "" {
		return err
	}
	inner := *f
	inner.Field = field
	return d.within(path, &inner)
}

// within places an error of the definition at path; its field is shown as kind.slug.field.
func (d *Document) within(path string, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		f = fault.New(fault.Invalid, "%s", err)
	}
	return d.fail(path+"."+f.Field, f)
}

// fail places err at path, or at the nearest thing around it that is in the file.
func (d *Document) fail(path string, err *fault.Error) error {
	path = dots(path)
	out := *err
	out.Field = d.show(path)
	for {
		if m, ok := d.marks[path]; ok {
			return &FileError{d.name, m.line, m.column, &out}
		}
		cut := strings.LastIndexByte(path, '.')
		path = path[:max(0, cut)]
	}
}

// placed gives an error of readYAML its file.
func (d *Document) placed(err error) error {
	var p *placed
	if !errors.As(err, &p) {
		return err
	}
	out := *p.err
	out.Field = d.show(dots(p.path))
	return &FileError{d.name, p.line, p.column, &out}
}

// dots writes list[2].name as list.2.name, which is how marks are kept.
func dots(path string) string {
	return strings.Trim(strings.NewReplacer("[", ".", "]", "").Replace(path), ".")
}

// show writes a path for people: list[2].name, and a definition by its id where it has one.
func (d *Document) show(path string) string {
	for key, at := range d.paths {
		if path == at || strings.HasPrefix(path, at+".") {
			return key + brackets(path[len(at):])
		}
	}
	return brackets(path)
}

func brackets(path string) string {
	var out strings.Builder
	for i, part := range strings.Split(path, ".") {
		switch _, err := strconv.Atoi(part); {
		case err == nil:
			out.WriteString("[" + part + "]")
		case i > 0:
			out.WriteString("." + part)
		default:
			out.WriteString(part)
		}
	}
	return out.String()
}
