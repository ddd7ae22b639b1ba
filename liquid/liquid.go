// Package liquid renders Liquid templates the way Customer.io's messages use it: an output without a value is an error
// that names the variable, and there are tags for unsubscribing and for links.
//
// It is safe to hand it templates and data of strangers: nothing is read from disk, and nesting, loops, memory and output
// are bounded. The zero Options render everything but what needs a clock or a link.
package liquid

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/parser"
	"github.com/osteele/liquid/render"
)

// The bounds. A template beyond MaxSource or MaxNesting does not parse; a render beyond MaxOutput or MaxWork fails.
const (
	MaxSource  = 1 << 20  // bytes of a template
	MaxOutput  = 2 << 20  // bytes that a render gives
	MaxWork    = 32 << 20 // bytes that all filters, assignments and captures of a render may go through; a loop's turn costs 1024
	MaxNesting = 100      // blocks in blocks, and brackets in an expression
	maxTag     = 4 << 10  // bytes of one {{ … }} or {% … %}
)

// Template is a parsed template. It is never changed, so any number of goroutines may render it.
type Template struct {
	root    render.Node
	config  render.Config
	filters []string // the ones in use, each once
}

// Options are what a template can reach beyond its variables. A nil function makes its tags fail.
type Options struct {
	Now            time.Time                                    // what 'now' | date means; zero: 'now' fails
	Unsubscribe    func() string                                // what {% unsubscribe %} writes
	UnsubscribeURL func() string                                // what {% unsubscribe_url %} writes
	Link           func(url string, track bool) (string, error) // what {% cio_link url: … track: … %} writes
}

// Error says what is wrong with a template, or with what it was given.
type Error struct {
	Line     int    // from 1; 0 = unknown
	Msg      string // a sentence fragment without final period
	Variable string // the one without a value, if that is what is wrong
}

// Error is the message with its line.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Msg
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Msg)
}

// Parse reads a template. Syntax, unknown tags and unknown filters are an *Error.
func Parse(text string) (t *Template, err error) {
	defer func() {
		if r := recover(); r != nil {
			t, err = nil, broken("cannot be parsed", r)
		}
	}()
	if len(text) > MaxSource {
		return nil, &Error{Msg: fmt.Sprintf("is longer than %d bytes", MaxSource)}
	}
	s := scanner{text: text, line: 1, known: all(Options{}), filters: map[string]bool{}}
	if err := s.run(); err != nil {
		return nil, err
	}
	t = &Template{config: grammar()}
	for name := range s.filters {
		t.filters = append(t.filters, name)
	}
	root, fail := t.config.Compile(s.out.String(), parser.SourceLoc{Pathname: path, LineNo: 1})
	if fail != nil {
		return nil, readable(fail)
	}
	t.root = root
	return t, nil
}

// path is what the engine takes for a file's name; with one, an error keeps the line of the innermost tag.
const path = "template"

// Render fills the template in. vars may hold what encoding/json makes of a document; it is not changed.
func (t *Template) Render(vars map[string]any, o Options) (out string, err error) {
	b := &budget{}
	defer func() {
		if r := recover(); r != nil {
			out, err = "", b.or(broken("cannot be rendered", r))
		}
	}()
	c := t.config
	c.Config.Config = expressions.NewConfig()
	use(&c.Config.Config, t.filters, b, o)
	bindings := make(map[string]any, len(vars)+1)
	for k, v := range vars {
		bindings[k] = native(v)
	}
	bindings[hostKey] = &host{budget: b, options: o}
	w := &writer{budget: b, limit: MaxOutput}
	if fail := render.Render(t.root, w, bindings, c); fail != nil {
		return "", b.or(readable(fail))
	}
	return w.buf.String(), nil
}

// broken turns what a panic carried into an error; the engine panics on some wrong input.
func broken(what string, r any) *Error {
	text := fmt.Sprint(r)
	if c, ok := r.(interface{ Cause() error }); ok && c.Cause() != nil {
		text = c.Cause().Error()
	}
	line, _, _ := strings.Cut(text, "\n")
	return &Error{Msg: what + ": " + clip(line)}
}

func clip(s string) string {
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

// readable takes the engine's words and place out of its error.
func readable(e parser.Error) *Error {
	out := &Error{Line: e.LineNumber()}
	cause := e.Cause()
	var f expressions.FilterError
	if errors.As(cause, &f) {
		var missing *missingError
		if errors.As(f.Err, &missing) {
			out.Variable = missing.name
			out.Msg = missing.Error()
			return out
		}
		out.Msg = clip(fmt.Sprintf("filter %s: %s", f.FilterName, f.Err))
		return out
	}
	if cause != nil {
		out.Msg = clip(cause.Error())
		return out
	}
	msg := e.Error()
	if _, after, ok := strings.Cut(msg, "): "); ok {
		msg = after
	}
	out.Msg = clip(strings.TrimSuffix(msg, " in "+path))
	return out
}

// missingError is an output without a value.
type missingError struct{ name string }

func (e *missingError) Error() string {
	return e.name + " has no value: give it a default, or put it into an if"
}

// writer collects output up to a limit.
type writer struct {
	buf    bytes.Buffer
	budget *budget
	limit  int
}

func (w *writer) Write(p []byte) (int, error) {
	if w.buf.Len()+len(p) > w.limit {
		return 0, w.budget.stop(fmt.Sprintf("writes more than %d bytes", w.limit))
	}
	return w.buf.Write(p)
}
