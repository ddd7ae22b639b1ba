package catalog

import (
	"bytes"
	_ "embed" // the schemas
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"rapport.example/internal/fault"
)

// ServiceSchema is the JSON Schema of an entry, for editors and for Load.
//
//go:embed schema/service-1.json
var ServiceSchema []byte

// RecipeSchema is the JSON Schema of a recipe.
//
//go:embed schema/recipe-1.json
var RecipeSchema []byte

// Load reads services/*.yaml and recipes/*.yaml, a document each, and holds them to the schemas and to each other: keys of facts
// that are named exist, corrected facts say what holds instead, checks are known, recipes need services that are there. Its
// error lists every fault as file:line: field: what is wrong.
func Load(from fs.FS) (*Catalog, error) {
	c := &Catalog{}
	l := loader{from: from}
	l.services(c)
	l.recipes(c)
	if err := errors.Join(l.faults...); err != nil {
		return nil, err
	}
	return c, nil
}

type loader struct {
	from   fs.FS
	faults []error
}

// source is one file: where its fields stand is looked up when something is wrong with one.
type source struct {
	l    *loader
	name string
	file *ast.File
}

// fault notes what is wrong with a field; its path has dots, and indices as numbers.
func (s *source) fault(field, format string, args ...any) {
	line := 1
	for at := field; s.file != nil && at != ""; { // a field that is missing stands where its parent does
		if n := s.find(at); n != nil {
			line = n.GetToken().Position.Line
			if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
				line = m.Values[0].Key.GetToken().Position.Line
			}
			break
		}
		at = at[:max(0, strings.LastIndexByte(at, '.'))]
	}
	s.l.faults = append(s.l.faults, fault.New(fault.Invalid, "%s:%d: %s: %s", s.name, line, field, fmt.Sprintf(format, args...)))
}

// find walks the document along a path.
func (s *source) find(field string) ast.Node {
	if len(s.file.Docs) == 0 {
		return nil
	}
	n := s.file.Docs[0].Body
	for step := range strings.SplitSeq(field, ".") {
		if n = child(n, step); n == nil {
			return nil
		}
	}
	return n
}

func child(n ast.Node, step string) ast.Node {
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, p := range n.Values {
			if p.Key.GetToken().Value == step {
				return p.Value
			}
		}
	case *ast.MappingValueNode:
		if n.Key.GetToken().Value == step {
			return n.Value
		}
	case *ast.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Values) {
			return n.Values[i]
		}
	}
	return nil
}

// read parses every file that matches, checks it against a schema and hands on its JSON.
func (l *loader) read(pattern string, schema []byte, take func(*source, []byte)) {
	names, err := fs.Glob(l.from, pattern)
	if err != nil {
		l.faults = append(l.faults, fmt.Errorf("list %s: %w", pattern, err))
		return
	}
	compiled, err := compile(schema)
	if err != nil {
		l.faults = append(l.faults, err)
		return
	}
	for _, name := range names {
		s := &source{l: l, name: name}
		if raw := s.json(); raw != nil && s.fits(compiled, raw) {
			take(s, raw)
		}
	}
}

func compile(schema []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("entry.json", doc); err != nil {
		return nil, fmt.Errorf("add schema: %w", err)
	}
	compiled, err := c.Compile("entry.json")
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	return compiled, nil
}

// json is the file's document as JSON; nil after a fault.
func (s *source) json() []byte {
	text, err := fs.ReadFile(s.l.from, s.name)
	if err != nil {
		s.l.faults = append(s.l.faults, fmt.Errorf("read: %w", err))
		return nil
	}
	s.file, err = parser.ParseBytes(text, 0)
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		s.l.faults = append(s.l.faults, fault.New(fault.Invalid, "%s:%d: not valid YAML: %s", s.name, y.GetToken().Position.Line, y.GetMessage()))
		return nil
	}
	var raw []byte
	if err == nil {
		raw, err = yaml.YAMLToJSON(text)
	}
	if err != nil {
		s.l.faults = append(s.l.faults, fault.New(fault.Invalid, "%s:1: not valid YAML: %s", s.name, err))
		return nil
	}
	return raw
}

// fits notes every place where the document does not fit the schema.
func (s *source) fits(schema *jsonschema.Schema, raw []byte) bool {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		s.fault("", "not one document")
		return false
	}
	var bad *jsonschema.ValidationError
	if !errors.As(schema.Validate(doc), &bad) {
		return true
	}
	s.misfits(bad)
	return false
}

func (s *source) misfits(e *jsonschema.ValidationError) {
	for _, cause := range e.Causes {
		s.misfits(cause)
	}
	if len(e.Causes) > 0 {
		return
	}
	at := strings.Join(e.InstanceLocation, ".")
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, p := range k.Properties {
			s.fault(strings.TrimPrefix(at+"."+p, "."), "is not known here")
		}
	case *kind.Required:
		for _, p := range k.Missing {
			s.fault(strings.TrimPrefix(at+"."+p, "."), "is missing")
		}
	case *kind.Pattern:
		s.fault(at, "%q does not look like %s", k.Got, k.Want)
	case *kind.Enum:
		s.fault(at, "%v is none of %v", k.Got, k.Want)
	case *kind.MinLength:
		s.fault(at, "is too short")
	case *kind.MaxLength:
		s.fault(at, "is longer than %d characters", k.Want)
	case *kind.MinItems:
		s.fault(at, "is empty")
	case *kind.Type:
		s.fault(at, "is a %s and not a %s", k.Got, strings.Join(k.Want, " or "))
	default:
		s.fault(at, "does not fit the schema")
	}
}

func (l *loader) services(c *Catalog) {
	l.read("services/*.yaml", ServiceSchema, func(src *source, raw []byte) {
		var s Service
		if err := json.Unmarshal(raw, &s); err != nil {
			src.fault("", "cannot be read: %s", err)
			return
		}
		if name := strings.TrimSuffix(path.Base(src.name), ".yaml"); s.ID != name {
			src.fault("id", "is %q, and the file is named %q", s.ID, name)
		}
		src.check(&s)
		c.services = append(c.services, s)
	})
	sortServices(c.services)
}

// check holds an entry to itself.
func (s *source) check(e *Service) {
	seen := map[string]bool{}
	for i, f := range e.Facts {
		at := fmt.Sprintf("facts.%d.", i)
		if seen[f.Key] {
			s.fault(at+"key", "%q is there twice", f.Key)
		}
		seen[f.Key] = true
		for name, list := range map[string][]string{"passes": f.Passes, "fails": f.Fails} {
			for j, id := range list {
				if !knownCheck(id) {
					s.fault(fmt.Sprintf("%s%s.%d", at, name, j), "there is no check %q", id)
				}
			}
		}
		if f.Status != "" && len(f.Passes)+len(f.Fails) > 0 {
			s.fault(at+"status", "a fact that is %s decides no check", f.Status)
		}
		if by := e.Fact(f.ReplacedBy); (f.Status == Corrected) != (by != nil && by.Status != Corrected) {
			s.fault(at+"replaced_by", "must name the fact that holds instead, of a corrected fact and of no other")
		}
	}
	e.references(func(field, key string) {
		if !seen[key] {
			s.fault(field, "there is no fact %q", key)
		}
	})
	for i, x := range e.CannotHave {
		if !knownCheck(x.Check) {
			s.fault(fmt.Sprintf("not_applicable.%d.check", i), "there is no check %q", x.Check)
		}
	}
	for i, r := range e.Runs {
		if r.Succeeded > r.Count {
			s.fault(fmt.Sprintf("runs.%d.succeeded", i), "is more than were run")
		}
	}
	for _, r := range Results(e) {
		official := slices.ContainsFunc(e.MCP, func(m MCP) bool { return m.Kind == "official" })
		if r.Check == "access.official_mcp" && official != (r.Outcome == Pass) {
			s.fault("mcp", "an official server is listed, or a fact passes access.official_mcp, but not both")
		}
	}
}

func knownCheck(id string) bool {
	return slices.ContainsFunc(Checks(), func(c Check) bool { return c.ID == id })
}

// references calls visit for every place that names a fact.
func (s *Service) references(visit func(field, key string)) {
	one := func(format string, i int, key string) { visit(fmt.Sprintf(format, i), key) }
	all := func(format string, i int, keys []string) {
		for j, key := range keys {
			visit(fmt.Sprintf(format+".%d", i, j), key)
		}
	}
	for i, m := range s.MCP {
		one("mcp.%d.fact", i, m.Fact)
	}
	for i, a := range s.APIs {
		all("apis.%d.facts", i, a.Facts)
		for j, r := range a.RateLimits {
			visit(fmt.Sprintf("apis.%d.rate_limits.%d.fact", i, j), r.Fact)
		}
	}
	for name, list := range map[string][]Note{"setup": s.Guide.Setup, "pitfalls": s.Guide.Pitfalls, "tips": s.Guide.Tips} {
		for i, n := range list {
			all("guide."+name+".%d.facts", i, n.Facts)
		}
	}
	for i, q := range s.Guide.Quickstart {
		one("guide.quickstart.%d.fact", i, q.Fact)
	}
	for i, e := range s.Endpoints {
		one("endpoints.%d.fact", i, e.Fact)
	}
	for i, q := range s.FAQ {
		all("faq.%d.facts", i, q.Facts)
	}
	for i, c := range s.Changes {
		one("changes.%d.fact", i, c.Fact)
	}
}

// OwnID is the id of the product that carries the guide. Its entry is generated, so no file has it; recipes may name it.
const OwnID = "rapport"

func (l *loader) recipes(c *Catalog) {
	l.read("recipes/*.yaml", RecipeSchema, func(src *source, raw []byte) {
		var r Recipe
		if err := json.Unmarshal(raw, &r); err != nil {
			src.fault("", "cannot be read: %s", err)
			return
		}
		if name := strings.TrimSuffix(path.Base(src.name), ".yaml"); r.ID != name {
			src.fault("id", "is %q, and the file is named %q", r.ID, name)
		}
		for i, s := range r.Steps {
			if s.Service != OwnID && c.Service(s.Service) == nil {
				src.fault(fmt.Sprintf("steps.%d.service_id", i), "there is no service %q", s.Service)
			}
			for name, v := range s.Inputs {
				if ref, ok := strings.CutPrefix(v, "$"); ok && !known(r.Steps[:i], ref) {
					src.fault(fmt.Sprintf("steps.%d.inputs.%s", i, name), "%s names no output of an earlier step", v)
				}
			}
		}
		c.recipes = append(c.recipes, r)
	})
	slices.SortFunc(c.recipes, func(a, b Recipe) int { return strings.Compare(a.ID, b.ID) })
}

// known tells whether "2.id" is an output of the second step.
func known(before []Step, ref string) bool {
	n, name, _ := strings.Cut(ref, ".")
	i, err := strconv.Atoi(n)
	return err == nil && i >= 1 && i <= len(before) && slices.Contains(before[i-1].Outputs, name)
}
