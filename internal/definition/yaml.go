package definition

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

// Bounds of a file, so that a small one cannot become a large document through aliases or nesting.
const (
	maxYAMLNodes = 200_000
	maxYAMLFlow  = 1000 // open brackets, in text too
)

var jsonNumber = regexp.MustCompile(`^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$`)

// reader turns a YAML tree into JSON and remembers where each value stood.
type reader struct {
	marks   map[string]mark
	anchors map[string]ast.Node
	nodes   int
}

// placed is an error at a place of the file.
type placed struct {
	mark
	path string
	err  *fault.Error
}

func (p *placed) Error() string { return p.err.Error() }

func (p *placed) Unwrap() error { return p.err }

// ReadYAML reads one YAML document, which may be JSON, within the bounds of workspace files. Errors are of kind Invalid and begin with
// line and column.
func ReadYAML(data []byte) (value.Value, error) {
	if len(data) > MaxFile {
		return nil, fault.New(fault.TooLarge, "is larger than %d bytes", MaxFile)
	}
	v, _, err := readYAML(data)
	var p *placed
	if errors.As(err, &p) {
		return nil, fault.New(fault.Invalid, "%d:%d: %s", p.line, p.column, p.err)
	}
	return v, err
}

// readYAML reads the one document of a YAML file. Errors are *placed.
func readYAML(data []byte) (v value.Value, marks map[string]mark, err error) {
	if err := shallow(data); err != nil {
		return nil, nil, err
	}
	file, err := parseYAML(data)
	if err != nil {
		return nil, nil, err
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return nil, nil, &placed{mark{1, 1}, "", fault.New(fault.Invalid, "must hold one YAML document, a mapping")}
	}
	r := reader{marks: map[string]mark{}, anchors: map[string]ast.Node{}}
	raw, err := r.read(file.Docs[0].Body, "", 0)
	if err != nil {
		return nil, nil, err
	}
	v, err = value.Parse(raw)
	if err != nil {
		return nil, nil, &placed{mark{1, 1}, "", fault.New(fault.Invalid, "%s", err)}
	}
	return v, r.marks, nil
}

// parseYAML calls the library, which panics on some malformed files: here that is one more syntax error.
func parseYAML(data []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, &placed{mark{1, 1}, "", fault.New(fault.Invalid, "is not valid YAML")}
		}
	}()
	file, err = parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey()) // the reader refuses duplicates itself, in linear time
	if err == nil {
		return file, nil
	}
	at, msg := mark{1, 1}, err.Error()
	var y yaml.Error
	if errors.As(err, &y) {
		msg = y.GetMessage()
		if t := y.GetToken(); t != nil && t.Position != nil {
			at = mark{t.Position.Line, t.Position.Column}
		}
	}
	return nil, &placed{at, "", fault.New(fault.Invalid, "is not valid YAML: %s", msg)}
}

// shallow refuses files whose nesting could exhaust the parser's stack, before the parser sees them. Brackets in text
// count too: the bound is far above what text holds unclosed.
func shallow(data []byte) error {
	depth, line, dashes, head := 0, 1, 0, true
	for _, b := range data {
		switch b {
		case '\n':
			line++
			dashes, head = 0, true
		case '[', '{':
			depth++
			head = false
		case ']', '}':
			depth = max(0, depth-1)
			head = false
		case '-', '?', ':':
			if head {
				dashes++
			}
		case ' ', '\t', '\r':
		default:
			head = false
		}
		if depth > maxYAMLFlow || dashes > maxYAMLFlow {
			return &placed{mark{line, 1}, "", fault.New(fault.Invalid, "nests too deep")}
		}
	}
	return nil
}

func (r *reader) fail(n ast.Node, path, format string, args ...any) error {
	return &placed{markOf(n), path, fault.New(fault.Invalid, format, args...)}
}

// markOf is where n begins. The library lets a mapping begin at its first colon.
func markOf(n ast.Node) mark {
	switch m := n.(type) {
	case *ast.MappingNode:
		if len(m.Values) > 0 && !m.IsFlowStyle {
			return markOf(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return markOf(m.Key)
	}
	if n != nil {
		if t := n.GetToken(); t != nil && t.Position != nil {
			return mark{t.Position.Line, t.Position.Column}
		}
	}
	return mark{1, 1}
}

// read returns n as JSON. depth counts collections and aliases.
func (r *reader) read(n ast.Node, path string, depth int) ([]byte, error) {
	if r.nodes++; r.nodes > maxYAMLNodes {
		return nil, r.fail(n, path, "holds more than %d values", maxYAMLNodes)
	}
	if depth > value.MaxDepth {
		return nil, r.fail(n, path, "nests deeper than %d levels", value.MaxDepth)
	}
	if _, known := r.marks[path]; !known {
		r.marks[path] = markOf(n)
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return r.mapping(n.Values, path, depth)
	case *ast.MappingValueNode:
		return r.mapping([]*ast.MappingValueNode{n}, path, depth)
	case *ast.SequenceNode:
		return r.sequence(n, path, depth)
	case *ast.AnchorNode:
		r.anchors[n.Name.GetToken().Value] = n.Value
		return r.read(n.Value, path, depth+1)
	case *ast.AliasNode:
		to, ok := r.anchors[n.Value.GetToken().Value]
		if !ok {
			return nil, r.fail(n, path, "there is no anchor &%s above", n.Value.GetToken().Value)
		}
		return r.read(to, path, depth+1)
	case nil:
		return value.NullValue, nil
	default:
		return r.scalar(n, path)
	}
}

func (r *reader) scalar(n ast.Node, path string) ([]byte, error) {
	switch n := n.(type) {
	case *ast.NullNode:
		return value.NullValue, nil
	case *ast.BoolNode:
		return value.OfBool(n.Value), nil
	case *ast.StringNode:
		if n.Token.Type == token.StringType && jsonNumber.MatchString(n.Value) { // 1e9, which the library takes for text
			return []byte(n.Value), nil
		}
		return value.Quote(n.Value), nil
	case *ast.LiteralNode:
		return value.Quote(n.Value.Value), nil
	case *ast.IntegerNode:
		if text := n.Token.Value; json.Valid([]byte(text)) {
			return []byte(text), nil
		}
		return fmt.Append(nil, n.Value), nil
	case *ast.FloatNode:
		if text := n.Token.Value; json.Valid([]byte(text)) {
			return []byte(text), nil
		}
		return strconv.AppendFloat(nil, n.Value, 'g', -1, 64), nil
	case *ast.TagNode:
		return nil, r.fail(n, path, "tags like %s are not used here", n.Start.Value)
	default:
		return nil, r.fail(n, path, "%s has no meaning here", n.Type())
	}
}

func (r *reader) mapping(pairs []*ast.MappingValueNode, path string, depth int) ([]byte, error) {
	out := []byte{'{'}
	seen := map[string]bool{}
	for _, p := range pairs {
		name, err := r.key(p.Key, path)
		if err != nil {
			return nil, err
		}
		at := dotted(path, name)
		if seen[name] {
			return nil, r.fail(p.Key, at, "is written twice")
		}
		seen[name] = true
		if _, known := r.marks[at]; !known {
			r.marks[at] = markOf(p.Key)
		}
		v, err := r.read(p.Value, at, depth+1)
		if err != nil {
			return nil, err
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, value.Quote(name)...), ':'), v...)
	}
	return append(out, '}'), nil
}

// key reads a mapping's key: text, or a scalar as it is written.
func (r *reader) key(k ast.MapKeyNode, path string) (string, error) {
	switch k := k.(type) {
	case *ast.StringNode:
		return k.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return k.GetToken().Value, nil
	case *ast.MergeKeyNode:
		return "", r.fail(k, path, "merge keys (<<) are not used here; an alias for the whole value is")
	default:
		return "", r.fail(k, path, "a key must be text")
	}
}

func (r *reader) sequence(n *ast.SequenceNode, path string, depth int) ([]byte, error) {
	out := []byte{'['}
	for i, e := range n.Values {
		at := dotted(path, strconv.Itoa(i))
		v, err := r.read(e, at, depth+1)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, v...)
	}
	return append(out, ']'), nil
}
