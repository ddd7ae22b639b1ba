package admin

import (
	"net/http"

	"rapport.example/internal/api"
	"rapport.example/internal/api/app"
)

// DataIndexAnswer is a page of what attributes or events are for, by name.
type DataIndexAnswer struct {
	Entries []app.Description `json:"entries"`
	Next    string            `json:"next"`
}

// dataIndex lists what programs said of attributes, or with kind=event of events.
func (s *Surface) dataIndex(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	limit, err := c.Limit()
	if err != nil {
		return err
	}
	kind := c.Query("kind")
	l := api.List{Name: "data_index", Workspace: w.ID, Filter: kind}
	after, err := s.cursor.Decode(l, c.Start())
	if err != nil {
		return err
	}
	out := DataIndexAnswer{Entries: []app.Description{}}
	rows, err := s.o.Store.Described(c.R.Context(), w.ID, kind, after, limit+1)
	if err != nil {
		return err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		out.Next = s.cursor.Encode(l, rows[limit-1].Name)
	}
	out.Entries = append(out.Entries, rows...)
	return c.JSON(http.StatusOK, out)
}
