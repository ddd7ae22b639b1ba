package app

import (
	"context"
	"net/http"
	"strings"
	"unicode/utf8"

	"rapport.example/internal/api"
	"rapport.example/internal/engine"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

type (
	// Optout is a sender from whom a person wants nothing over a channel.
	Optout struct {
		Channel string `json:"channel"` // sms or whatsapp
		From    string `json:"from"`    // the number that messages come from
	}

	// OptoutsAnswer lists a person's opt-outs.
	OptoutsAnswer struct {
		Optouts []Optout `json:"optouts"`
	}

	// PersonOptouts are the opt-outs of one of many.
	PersonOptouts struct {
		CustomerID *string  `json:"customer_id"`
		CIO        string   `json:"cio_id"` // with cio_ in front
		Optouts    []Optout `json:"optouts"`
	}

	// AllOptoutsAnswer is a page of people with opt-outs.
	AllOptoutsAnswer struct {
		Optouts []PersonOptouts `json:"optouts"`
		Next    string          `json:"next"`
	}

	// OptoutRequest is one change of a person's opt-outs.
	OptoutRequest struct {
		From    string `json:"from"`
		Optout  bool   `json:"optout"`
		Channel string `json:"channel,omitempty"` // sms, if left out
	}

	// OptoutsRequest changes the opt-outs that it names.
	OptoutsRequest struct {
		Optouts []OptoutRequest `json:"optouts"`
	}
)

// Optouts reads opt-outs.
type Optouts interface {
	// OptoutsOf lists a person's, by channel and sender.
	OptoutsOf(ctx context.Context, workspace int64, person uint32) ([]engine.Optout, error)
	// Optouts lists those of the next limit people from an ordinal on, by person; sender "" is any.
	Optouts(ctx context.Context, workspace int64, sender string, from int64, limit int) ([]engine.Optout, error)
}

const (
	defOptouts, maxOptouts = 100, 1000 // people in a page
	mostOptouts            = 100       // in a request, and of a person; ours, the vendor tells none
	maxSenderName          = 50        // bytes
)

func (s *surface) optoutRoutes() []api.Route {
	const path = "/v1/customers/{customer_id}/optouts"
	return []api.Route{
		s.get("/v1/optouts", AllOptoutsAnswer{}, s.listOptouts, "Lists people with opt-outs.").Paged(defOptouts, maxOptouts).With(api.Text("from", api.MostText, "Opt-outs of a sender alone.")),
		s.get(path, OptoutsAnswer{}, s.optoutsOf, "Lists a person's opt-outs.").With(api.IDType),
		{
			Method: http.MethodPut, Path: path, Auth: api.AppKey, Agent: workspace.WriteLive, Limit: api.LimitApp, Shape: api.AppErrors, MaxBody: 64 << 10,
			Request: OptoutsRequest{}, Handler: s.fresh(s.putOptouts), Doc: "Changes a person's opt-outs.",
			Query: []api.Param{api.IDType},
		},
	}
}

func (s *surface) optoutsOf(c *api.Call) error {
	d, err := s.person(c)
	if err != nil {
		return err
	}
	rows, err := s.o.Store.OptoutsOf(c.R.Context(), c.Workspace, d.Ordinal)
	if err != nil {
		return err
	}
	out := OptoutsAnswer{Optouts: []Optout{}}
	for _, r := range rows {
		out.Optouts = append(out.Optouts, Optout{r.Channel, r.From})
	}
	return c.JSON(http.StatusOK, out)
}

// listOptouts lists whole people, in the order in which they came to be.
func (s *surface) listOptouts(c *api.Call) error {
	from := senderNumber(c.Query("from"))
	p, err := s.page(c, "optouts", from)
	if err != nil {
		return err
	}
	rows, err := s.o.Store.Optouts(c.R.Context(), c.Workspace, from, p.from, p.limit+1)
	if err != nil {
		return err
	}
	var who []uint32
	of := map[uint32][]Optout{}
	for _, r := range rows {
		if of[r.Person] == nil {
			who = append(who, r.Person)
		}
		of[r.Person] = append(of[r.Person], Optout{r.Channel, r.From})
	}
	out := AllOptoutsAnswer{Optouts: []PersonOptouts{}}
	if len(who) > p.limit {
		out.Next = s.next(p, int64(who[p.limit]))
		who = who[:p.limit]
	}
	people, err := s.o.Store.ReadPeople(c.R.Context(), c.Workspace, who)
	if err != nil {
		return err
	}
	for _, n := range who {
		if d := people[n]; d != nil { // who was deleted in between has none
			out.Optouts = append(out.Optouts, PersonOptouts{optional(d.ID), "cio_" + d.CIO, of[n]})
		}
	}
	return c.JSON(http.StatusOK, out)
}

func (s *surface) putOptouts(c *api.Call) error {
	in, err := c.Object()
	if err != nil {
		return err
	}
	list, err := readOptouts(in)
	if err != nil {
		return err
	}
	d, err := s.person(c)
	if err != nil {
		return err
	}
	rows, err := s.o.Store.OptoutsOf(c.R.Context(), c.Workspace, d.Ordinal)
	if err != nil {
		return err
	}
	if len(rows)+len(list) > mostOptouts {
		after := map[Optout]bool{}
		for _, r := range rows {
			after[Optout{r.Channel, r.From}] = true
		}
		for _, o := range list {
			if after[Optout{o.Channel, o.From}] = o.Out; !o.Out {
				delete(after, Optout{o.Channel, o.From})
			}
		}
		if len(after) > max(mostOptouts, len(rows)) {
			return fault.Field("optouts", "a person has at most %d", mostOptouts)
		}
	}
	o, err := op(c, ingest.Optouts, ingest.OptoutPayload{By: ingest.By{CIO: d.CIO}, Optouts: list})
	if err != nil {
		return err
	}
	if _, err := s.accept(c, &o); err != nil {
		return err
	}
	return c.NoContent()
}

// readOptouts reads a request's changes.
func readOptouts(in value.Value) ([]ingest.Optout, error) {
	if err := noNUL(in); err != nil {
		return nil, err
	}
	entries := in.Get("optouts")
	var list []ingest.Optout
	if entries.Kind() != value.Array {
		return nil, fault.Field("optouts", "must be a list of objects with from and optout")
	}
	for e := range entries.Elements() {
		o, err := readOptout(e)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	if len(list) == 0 || len(list) > mostOptouts {
		return nil, fault.Field("optouts", "must have 1 to %d entries", mostOptouts)
	}
	return list, nil
}

func readOptout(e value.Value) (o ingest.Optout, err error) {
	if e.Kind() != value.Object {
		return o, fault.Field("optouts", "must be a list of objects with from and optout")
	}
	out, ok := e.Get("optout").Bool()
	from := e.Get("from")
	o = ingest.Optout{Channel: e.Get("channel").Text(), From: senderNumber(from.Text()), Out: out}
	if v := e.Get("channel"); v == nil || v.Kind() == value.Null {
		o.Channel = "sms"
	}
	switch {
	case !ok:
		return o, fault.Field("optout", "must be true or false")
	case from.Kind() != value.String || o.From == "" || len(o.From) > maxSenderName || !utf8.ValidString(o.From):
		return o, fault.Field("from", "must be the number that messages come from, at most %d bytes", maxSenderName)
	case o.Channel != "sms" && o.Channel != "whatsapp":
		return o, fault.Field("channel", "must be sms or whatsapp")
	}
	return o, nil
}

// senderNumber is a number in E.164 form if it is one: senders may be short codes and words, too.
func senderNumber(s string) string {
	s = strings.TrimSpace(s)
	if phone, ok := person.ParsePhone(s); ok {
		return phone
	}
	return s
}
