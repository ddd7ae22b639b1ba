package definition

import (
	"bytes"
	_ "embed" // the schema
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

// SchemaJSON is the published JSON Schema of a workspace file, for editors and for ParseFile.
//
//go:embed schema/workspace-1.json
var SchemaJSON []byte

// SchemaID is the address by which workspace files name the schema.
const SchemaID = "https://rapport.example/schema/workspace-1.json"

// misfit is one place where a document does not fit the schema.
type misfit struct {
	path string // with dots only
	slip bool   // a key that is not known there, but close to one that is
	msg  string
}

// compileSchema is done anew for each file: a few milliseconds, and nothing global.
func compileSchema() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(SchemaJSON))
	if err != nil {
		return nil, fmt.Errorf("read workspace schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(SchemaID, doc); err != nil {
		return nil, fmt.Errorf("add workspace schema: %w", err)
	}
	s, err := c.Compile(SchemaID)
	if err != nil {
		return nil, fmt.Errorf("compile workspace schema: %w", err)
	}
	return s, nil
}

// checkSchema lists where v does not fit. The error is a defect of the schema itself.
func checkSchema(v value.Value) ([]misfit, error) {
	s, err := compileSchema()
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(v))
	if err != nil {
		return nil, fmt.Errorf("decode document: %w", err)
	}
	var ve *jsonschema.ValidationError
	if err := s.Validate(doc); !errors.As(err, &ve) {
		return nil, err
	}
	var out []misfit
	gather(ve, &out)
	return out, nil
}

// gather collects the leaves of a tree of errors. Alternatives are said as one: which of them was meant cannot be known.
func gather(e *jsonschema.ValidationError, out *[]misfit) {
	path := strings.Join(e.InstanceLocation, ".")
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			m := misfit{path: dotted(path, name), msg: "unknown key"}
			if near := fault.Nearest(name, keysAt(e.SchemaURL)); near != "" {
				m.slip, m.msg = true, "unknown key, did you mean "+near+"?"
			}
			*out = append(*out, m)
		}
		return
	case *kind.AnyOf, *kind.OneOf:
		*out = append(*out, misfit{path, false, "has none of the forms that are possible here"})
		return
	case *kind.PropertyNames:
		*out = append(*out, misfit{dotted(path, k.Property), false, "does not go together with its neighbours"})
		return
	}
	for _, c := range e.Causes {
		gather(c, out)
	}
	if len(e.Causes) == 0 {
		*out = append(*out, misfit{path, false, leafText(e)})
	}
}

// leafText is the library's English for an error without causes.
func leafText(e *jsonschema.ValidationError) string {
	if u := e.BasicOutput(); len(u.Errors) > 0 && u.Errors[0].Error != nil {
		return u.Errors[0].Error.String()
	}
	return "does not fit the schema"
}

// keysAt lists the properties of the schema at a URL whose fragment is a JSON pointer.
func keysAt(url string) []string {
	_, pointer, _ := strings.Cut(url, "#")
	at, err := value.Parse(SchemaJSON)
	if err != nil {
		return nil
	}
	for _, part := range strings.Split(strings.Trim(pointer, "/"), "/") {
		if part == "" {
			continue
		}
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		if n, err := strconv.Atoi(part); err == nil && at.Kind() == value.Array {
			i := 0
			for e := range at.Elements() {
				if i == n {
					at = e
					break
				}
				i++
			}
			continue
		}
		at = at.Get(part)
	}
	var names []string
	for k := range at.Get("properties").Fields() {
		names = append(names, k)
	}
	return names
}

// first is the misfit that stands first in the file, of the slips only or of all; nil if there is none.
func (d *Document) first(misfits []misfit, slips bool) error {
	var best *FileError
	for _, m := range misfits {
		if slips && !m.slip {
			continue
		}
		var f *FileError
		if !errors.As(d.fail(m.path, fault.New(fault.Invalid, "%s", m.msg)), &f) {
			continue
		}
		if best == nil || slices.Compare([]int{f.Line, f.Column}, []int{best.Line, best.Column}) < 0 {
			best = f
		}
	}
	if best == nil {
		return nil
	}
	return best
}
