package admin

import (
	"net/http"

	"rapport.example/internal/api"
	"rapport.example/internal/engine"
)

type (
	// Form is a form that was submitted at least once.
	Form struct {
		ID          string   `json:"id"`          // the caller's form_id
		Fields      []string `json:"fields"`      // that were sent, in the order first seen
		Submissions int64    `json:"submissions"` // of people
		Refused     int64    `json:"refused"`     // without an identifier, or of somebody suppressed
		Created     int64    `json:"created"`     // Unix seconds of the workspace's clock
		Updated     int64    `json:"updated"`     // of the newest submission
	}

	// FormsAnswer is a page of forms, by id.
	FormsAnswer struct {
		Forms []Form `json:"forms"`
		Next  string `json:"next"`
	}
)

func (s *Surface) forms(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	limit, err := c.Limit()
	if err != nil {
		return err
	}
	list := api.List{Name: "forms", Workspace: w.ID}
	after, err := s.cursor.Decode(list, c.Start())
	if err != nil {
		return err
	}
	rows, err := s.o.Store.Forms(c.R.Context(), w.ID, after, limit+1)
	if err != nil {
		return err
	}
	out := FormsAnswer{Forms: []Form{}}
	if len(rows) > limit {
		rows = rows[:limit]
		out.Next = s.cursor.Encode(list, rows[limit-1].ID)
	}
	for i := range rows {
		out.Forms = append(out.Forms, form(&rows[i]))
	}
	return c.JSON(http.StatusOK, out)
}

func form(f *engine.Form) Form {
	return Form{f.ID, append([]string{}, f.Fields...), f.Submissions, f.Refused, f.Created / 1000, f.Updated / 1000}
}
