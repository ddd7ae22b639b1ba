package api

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"rapport.example/internal/fault"
)

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

// Limit reads the limit parameter: from 1 up to the most of the route's Page, the usual number if it is missing. Larger numbers are cut, as
// the vendor does.
func (c *Call) Limit() (int, error) {
	p := c.Route.Page
	if p.Most < 1 {
		return 0, fault.New(fault.Internal, "%s %s is no list", c.Route.Method, c.Route.Path)
	}
	s := c.value("limit")
	if s == "" {
		return p.Usual, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 || n > 1<<53 {
		return 0, fault.Field("limit", "must be a whole number from 1 to %d", p.Most)
	}
	return int(min(n, int64(p.Most))), nil
}

// IDType says what a person is named by.
var IDType = Word("id_type", "id", []string{"id", "email", "cio_id", "phone"}, "What the person is named by.")

// ParamID reads a path parameter as a numeric id.
func (c *Call) ParamID(name string) (int64, error) {
	n, err := strconv.ParseInt(c.Param(name), 10, 64)
	if err != nil || n < 1 {
		return 0, fault.Field(name, "must be a positive whole number")
	}
	return n, nil
}
