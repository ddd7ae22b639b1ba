package app

import (
	"strconv"
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
)

// page is where a list goes on: a number that the list understands, 0 = its beginning.
type page struct {
	list  api.List
	from  int64
	limit int
}

// page reads start and limit. filter is every parameter that changes what is listed.
func (s *surface) page(c *api.Call, name string, filter ...string) (page, error) {
	limit, err := c.Limit()
	if err != nil {
		return page{}, err
	}
	p := page{list: api.List{Name: name, Workspace: c.Workspace, Filter: strings.Join(filter, "\x00")}, limit: limit}
	start := c.Start()
	if start == "" {
		start = c.R.URL.Query().Get("next") // as a connector in use sends it back: it would read the first page for ever
	}
	pos, err := s.cursor.Decode(p.list, start)
	if err != nil || pos == "" {
		return p, err
	}
	if p.from, err = strconv.ParseInt(pos, 10, 64); err != nil || p.from < 1 {
		return p, fault.Field("start", "is not a cursor of this list")
	}
	return p, nil
}

// next is the token of the page that starts at a position, "" at the end.
func (s *surface) next(p page, at int64) string {
	if at == 0 {
		return ""
	}
	return s.cursor.Encode(p.list, strconv.FormatInt(at, 10))
}
