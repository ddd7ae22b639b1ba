package api

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"rapport.example/internal/fault"
)

// Query returns the first value of a query parameter, "" if it is missing.
func (c *Call) Query(name string) string {
	if c.query == nil {
		c.query = c.R.URL.Query()
	}
	return c.query.Get(name)
}

// plainQuery refuses what no text that is kept can be: NUL, which PostgreSQL does not hold, and what is not UTF-8. No handler then has
// to think of it.
func (c *Call) plainQuery() error {
	if c.R.URL.RawQuery == "" {
		return nil
	}
	if c.query == nil {
		c.query = c.R.URL.Query()
	}
	for _, name := range slices.Sorted(maps.Keys(c.query)) {
		for _, v := range c.query[name] {
			if strings.ContainsRune(v, 0) || !utf8.ValidString(v) {
				return fault.Field(clean(name), "must be UTF-8 without NUL")
			}
		}
	}
	return nil
}

// QueryInt reads a whole number between least and most; def if the parameter is missing or empty.
func (c *Call) QueryInt(name string, def, least, most int64) (int64, error) {
	s := c.Query(name)
	if s == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < least || n > most {
		return 0, fault.Field(name, "must be a whole number from %d to %d", least, most)
	}
	return n, nil
}

// Limit reads the limit parameter: from 1 up to the most of the route's Page, the usual number if it is missing. Larger numbers are cut, as
// the vendor does.
func (c *Call) Limit() (int, error) {
	p := c.Route.Page
	if p.Most < 1 {
		return 0, fault.New(fault.Internal, "%s %s is no list", c.Route.Method, c.Route.Path)
	}
	n, err := c.QueryInt("limit", int64(p.Usual), 1, 1<<53)
	if err != nil {
		return 0, fault.Field("limit", "must be a whole number from 1 to %d", p.Most)
	}
	return int(min(n, int64(p.Most))), nil
}

// PersonIDs are what id_type may say that a person is named by, the usual one first.
var PersonIDs = []string{"id", "email", "cio_id", "phone"}

// QueryBool reads true, false, 1 or 0; false if the parameter is missing or empty. Python's True and False are these, too.
func (c *Call) QueryBool(name string) (bool, error) {
	switch strings.ToLower(c.Query(name)) {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	}
	return false, fault.Field(name, "must be true or false")
}

// QueryOneOf reads one of the given words; the first one if the parameter is missing or empty.
func (c *Call) QueryOneOf(name string, words ...string) (string, error) {
	s := c.Query(name)
	if s == "" {
		return words[0], nil
	}
	for _, w := range words {
		if s == w {
			return s, nil
		}
	}
	return "", fault.Field(name, "must be one of %q", words)
}

// ParamID reads a path parameter as a numeric id.
func (c *Call) ParamID(name string) (int64, error) {
	n, err := strconv.ParseInt(c.Param(name), 10, 64)
	if err != nil || n < 1 {
		return 0, fault.Field(name, "must be a positive whole number")
	}
	return n, nil
}
