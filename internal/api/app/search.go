package app

import (
	"context"
	"net/http"

	"rapport.example/internal/api"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/filter"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

// Searches finds people by filter.
type Searches interface {
	// SearchPeople lists up to limit people who meet the filter with ordinals above after, ascending; next is the after of the
	// following page, 0 at the end. A page may be short, even empty, while next is not 0.
	SearchPeople(ctx context.Context, workspace int64, f *filter.Filter, after uint32, limit int) (page []*person.Document, next uint32, err error)
}

// SearchRequest finds people by a filter; see package filter.
type SearchRequest struct {
	Filter value.Value `json:"filter"`
}

// FoundAnswer is a page of people found. IDs holds "" for a person without id, so that both lists run alike.
type FoundAnswer struct {
	Identifiers []Identifiers `json:"identifiers"`
	IDs         []string      `json:"ids"`
	Next        string        `json:"next"`
}

// Sizes of pages of people found (app-api.md §1).
const (
	defFound = 50
	maxFound = 1000
)

func (s *surface) searchRoutes() []api.Route {
	return []api.Route{{
		Method: http.MethodPost, Path: "/v1/customers", Auth: api.AppKey, Agent: workspace.Read, Limit: api.LimitApp, Shape: api.AppErrors, MaxBody: MaxPeople,
		Request: SearchRequest{}, Response: FoundAnswer{}, Page: api.Page{Usual: defFound, Most: maxFound}, Handler: s.fresh(s.searchPeople), Doc: "Finds people by segments and attributes.",
	}}
}

func (s *surface) searchPeople(c *api.Call) error {
	body, err := c.Object()
	if err != nil {
		return err
	}
	f, err := s.peopleFilter(c, body.Get("filter"), "filter")
	if err != nil {
		return err
	}
	hide, err := s.sight(c)
	if err != nil {
		return err
	}
	if err := hide.asks(f); err != nil {
		return err
	}
	p, err := s.page(c, "customers", string(f.JSON()))
	if err != nil {
		return err
	}
	people, next, err := some(uint32(p.from), func(after uint32) ([]*person.Document, uint32, error) {
		return s.o.Store.SearchPeople(c.R.Context(), c.Workspace, f, after, p.limit)
	})
	if err != nil {
		return err
	}
	out := FoundAnswer{IDs: []string{}, Identifiers: []Identifiers{}, Next: s.next(p, int64(next))}
	for _, d := range people {
		out.IDs = append(out.IDs, d.ID)
		out.Identifiers = append(out.Identifiers, identifiers(d))
	}
	return c.JSON(http.StatusOK, out)
}

// peopleFilter reads a filter of people that stands at path of the body. Segments that there are not in the workspace, or not any
// more, are refused: to say that nobody is in them would hide a slip.
func (s *surface) peopleFilter(c *api.Call, doc value.Value, path string) (*filter.Filter, error) {
	return PeopleFilter(c.R.Context(), s.o.Store, c.Workspace, doc, path)
}

// Definitions are where a filter's segments are looked up.
type Definitions interface {
	// CurrentDefinitions lists the living definitions of a kind, by id.
	CurrentDefinitions(ctx context.Context, workspace int64, kind string) ([]definition.Row, error)
}

// PeopleFilter is how the App API reads a filter of people that stands at path of a body.
func PeopleFilter(ctx context.Context, store Definitions, workspace int64, doc value.Value, path string) (*filter.Filter, error) {
	f, err := filter.People(doc, path)
	if err != nil {
		return nil, err
	}
	var rows []definition.Row
	for _, l := range f.Leaves() {
		if l.Kind != filter.Segment {
			continue
		}
		if rows == nil {
			if rows, err = store.CurrentDefinitions(ctx, workspace, definition.Segments); err != nil {
				return nil, err
			}
		}
		if !hasSegment(rows, l.Segment) {
			return nil, fault.Field(l.Path+".id", "there is no segment %d", l.Segment)
		}
	}
	return f, nil
}

func hasSegment(rows []definition.Row, id int64) bool {
	for i := range rows {
		if rows[i].ID == id {
			return true
		}
	}
	return false
}
