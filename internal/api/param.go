package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"rapport.example/internal/fault"
)

// Param is a parameter of the query. Documents show it, requests are held to it before the handler sees them, and a handler reads none that its
// route does not declare. An empty value is as none.
type Param struct {
	Name  string
	About string // a sentence
	Kind  ParamKind
	Most  int64    // of whole numbers, and of text in characters
	Least int64    // of whole numbers
	Words []string // there are to choose from
	Usual string   // the word that holds where none is given; "" = none
	Must  bool     // the handler refuses requests without it
}

// ParamKind says what a parameter is.
type ParamKind uint8

// The kinds of parameters.
const (
	TextParam ParamKind = iota
	WordParam
	NumberParam
	BoolParam
)

// MostText is how many characters a parameter has at most that names what has a bound of its own.
const MostText = 1000

// Text is a parameter of at most so many characters.
func Text(name string, most int64, about string) Param {
	return Param{Name: name, Kind: TextParam, Most: most, About: about}
}

// Word is a parameter that is one of some words. usual holds where it is missing; "" = nothing does.
func Word(name, usual string, words []string, about string) Param {
	return Param{Name: name, Kind: WordParam, Usual: usual, Words: words, About: about}
}

// Number is a parameter that is a whole number between two others; missing, it reads as 0.
func Number(name string, least, most int64, about string) Param {
	return Param{Name: name, Kind: NumberParam, Least: least, Most: most, About: about}
}

// Bool is a parameter that is true, false, 1 or 0; missing, it is false. Python's True and False are these, too.
func Bool(name, about string) Param { return Param{Name: name, Kind: BoolParam, About: about} }

// Needed is the parameter as one without which the handler refuses requests.
func (p Param) Needed() Param {
	p.Must = true
	return p
}

// With is the route with parameters of the query.
func (r Route) With(params ...Param) Route {
	r.Query = slices.Concat(r.Query, params)
	return r
}

// check says what is wrong with a value that is not empty.
func (p *Param) check(s string) error {
	switch p.Kind {
	case TextParam:
		if int64(utf8.RuneCountInString(s)) > p.Most {
			return fault.Field(p.Name, "is longer than %d characters", p.Most)
		}
	case WordParam:
		if !slices.Contains(p.Words, s) {
			return fault.Field(p.Name, "must be one of %q", p.Words)
		}
	case NumberParam:
		if n, err := strconv.ParseInt(s, 10, 64); err != nil || n < p.Least || n > p.Most {
			return fault.Field(p.Name, "must be a whole number from %d to %d", p.Least, p.Most)
		}
	case BoolParam:
		if !slices.Contains([]string{"true", "false", "1", "0"}, strings.ToLower(s)) {
			return fault.Field(p.Name, "must be true or false")
		}
	}
	return nil
}

// checkParams holds the query to what the route declares. What it does not declare is not looked at.
func (c *Call) checkParams() error {
	for i := range c.Route.Query {
		p := &c.Route.Query[i]
		if s := c.value(p.Name); s != "" {
			if err := p.check(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// value is the first value of a parameter as it was sent.
func (c *Call) value(name string) string {
	if c.R.URL.RawQuery == "" {
		return ""
	}
	if c.query == nil {
		c.query = c.R.URL.Query()
	}
	return c.query.Get(name)
}

// param is the parameter that a route declares. To read another one is a mistake in the program, which would be found in no document.
func (c *Call) param(name string) *Param {
	for i := range c.Route.Query {
		if c.Route.Query[i].Name == name {
			return &c.Route.Query[i]
		}
	}
	panic(fmt.Sprintf("%s %s does not declare the parameter %s", c.Route.Method, c.Route.Path, name))
}

// Query returns a parameter, or what holds without it.
func (c *Call) Query(name string) string {
	p := c.param(name)
	if s := c.value(name); s != "" {
		return s
	}
	return p.Usual
}

// QueryInt returns a parameter that is a whole number, 0 if it is missing.
func (c *Call) QueryInt(name string) int64 {
	n, err := strconv.ParseInt(c.Query(name), 10, 64)
	if err != nil {
		return 0 // missing: anything else was refused before
	}
	return n
}

// QueryBool returns a parameter that is true or false; it is false if it is missing.
func (c *Call) QueryBool(name string) bool {
	s := strings.ToLower(c.Query(name))
	return s == "true" || s == "1"
}

// Start is where a page of a list begins, "" for its beginning: the token that an earlier answer gave.
func (c *Call) Start() string { return c.value("start") }
