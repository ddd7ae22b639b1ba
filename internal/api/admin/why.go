package admin

import (
	"context"
	"net/http"
	"strconv"

	"rapport.example/internal/api"
	"rapport.example/internal/definition"
	"rapport.example/internal/engine"
	"rapport.example/internal/fault"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

type (
	// Decision is one decision about a person.
	Decision struct {
		At       int64       `json:"at"`      // Unix seconds of the workspace's clock
		Kind     string      `json:"kind"`    // segment, campaign, step, message, identity
		Subject  string      `json:"subject"` // what was decided about: a definition's id, or id/step
		Outcome  string      `json:"outcome"`
		Reason   string      `json:"reason"` // one English sentence
		Detail   value.Value `json:"detail"` // the values that decided
		Version  int64       `json:"version"`
		Campaign int64       `json:"campaign,omitempty"` // numeric id
	}

	// WhyAnswer is a page of decisions.
	WhyAnswer struct {
		Person    Person     `json:"person"`
		Decisions []Decision `json:"decisions"`
		Next      string     `json:"next"`
	}

	// Person names a person.
	Person struct {
		ID    string `json:"id,omitempty"`
		Email string `json:"email,omitempty"`
		CIO   string `json:"cio_id"`
	}
)

// why finds the person by id, email or cio_….
func (s *Surface) why(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	d, err := s.find(c.R.Context(), w.ID, c.Param("person"))
	if err != nil {
		return err
	}
	campaign, err := s.campaign(c, w.ID)
	if err != nil {
		return err
	}
	limit, err := c.Limit()
	if err != nil {
		return err
	}
	list := api.List{Name: "why", Workspace: w.ID, Filter: d.CIO + ":" + strconv.FormatInt(campaign, 10)}
	from, err := s.position(c, list, d.LastDecision)
	if err != nil {
		return err
	}
	rows, next, err := s.o.Store.Decisions(c.R.Context(), w.ID, from, campaign, limit)
	if err != nil {
		return err
	}
	out := WhyAnswer{Person: Person{d.ID, d.Email, "cio_" + d.CIO}, Decisions: []Decision{}, Next: s.next(list, next)}
	for i := range rows {
		out.Decisions = append(out.Decisions, decision(&rows[i]))
	}
	return c.JSON(http.StatusOK, out)
}

func decision(d *engine.Decision) Decision {
	return Decision{d.At / 1000, d.Kind, d.Subject, d.Outcome, d.Reason, d.Detail, d.Version, d.Campaign}
}

func (s *Surface) find(ctx context.Context, ws int64, key string) (*person.Document, error) {
	by, err := person.ParsePath(key)
	if err != nil {
		return nil, fault.Field("person", "must be an id, an email address or cio_…")
	}
	d, err := s.o.Store.FindPerson(ctx, ws, by)
	if err == nil && d == nil {
		err = fault.New(fault.NotFound, "there is no such person")
	}
	return d, err
}

// campaign reads the campaign parameter: a numeric id or the author's.
func (s *Surface) campaign(c *api.Call, ws int64) (int64, error) {
	text := c.Query("campaign")
	if text == "" {
		return 0, nil
	}
	rows, err := s.o.Store.CurrentDefinitions(c.R.Context(), ws, definition.Campaigns)
	if err != nil {
		return 0, err
	}
	for i := range rows {
		if rows[i].Slug == text {
			return rows[i].ID, nil
		}
	}
	n, err := strconv.ParseInt(text, 10, 64) // a campaign that was deleted still has decisions
	if err != nil || n < 1 {
		return 0, fault.Field("campaign", "names no campaign")
	}
	return n, nil
}

// position reads the start parameter; first where it is missing.
func (s *Surface) position(c *api.Call, l api.List, first int64) (int64, error) {
	pos, err := s.cursor.Decode(l, c.Start())
	if err != nil || pos == "" {
		return first, err
	}
	n, err := strconv.ParseInt(pos, 10, 64)
	if err != nil {
		return 0, fault.Field("start", "is not a cursor of this list")
	}
	return n, nil
}

func (s *Surface) next(l api.List, at int64) string {
	if at == 0 {
		return ""
	}
	return s.cursor.Encode(l, strconv.FormatInt(at, 10))
}
