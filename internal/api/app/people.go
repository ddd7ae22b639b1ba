package app

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

func (s *surface) people() []api.Route {
	attributes := s.get("/v1/customers/{customer_id}/attributes", CustomerAnswer{}, s.attributes, "Reads a person's attributes and devices.").With(api.IDType)
	if s.o.FreshFor != nil {
		attributes.Handler = s.attributes // which waits itself
	}
	return []api.Route{
		s.get("/v1/customers", SearchAnswer{}, s.search, "Finds people by email.").With(api.Text("email", api.MostText, "The address to look for.").Needed()),
		{
			Method: http.MethodPost, Path: "/v1/customers/attributes", Auth: api.AppKey, Agent: workspace.Read, Limit: api.LimitApp, Shape: api.AppErrors,
			MaxBody: MaxPeople, Request: CustomersRequest{}, Response: CustomersAnswer{}, Handler: s.fresh(s.several), Doc: "Reads the attributes of up to 100 people.", Query: []api.Param{api.IDType},
		},
		attributes,
		s.get("/v1/customers/{customer_id}/segments", PersonSegmentsAnswer{}, s.segmentsOf, "Lists the segments that a person is in.").With(api.IDType),
		s.get("/v1/customers/{customer_id}/activities", ActivitiesAnswer{}, s.activitiesOf, "Lists a person's activities, newest first.").Paged(defActivities, maxActivities).With(api.IDType).With(activityParams...),
		s.get("/v1/customers/{customer_id}/messages", MessagesAnswer{}, s.messagesOf, "Lists a person's messages, newest first.").Paged(defMessages, maxMessages).With(api.IDType).With(messageParams...),
	}
}

func (s *surface) search(c *api.Call) error {
	email := c.Query("email")
	if strings.TrimSpace(email) == "" {
		return fault.Field("email", "is required")
	}
	out := SearchAnswer{Results: []Identifiers{}}
	if by, err := person.Check(person.Identifier{Type: person.ByEmail, Value: email}); err == nil {
		d, err := s.o.Store.FindPerson(c.R.Context(), c.Workspace, by)
		if err != nil {
			return err
		}
		if d != nil {
			out.Results = append(out.Results, identifiers(d))
		}
	}
	return c.JSON(http.StatusOK, out)
}

// identify reads an identifier of the type that the query's id_type says.
func (s *surface) identify(c *api.Call, field, key string) (person.Identifier, error) {
	by := person.Identifier{Type: person.ByID, Value: key}
	switch c.Query(api.IDType.Name) {
	case "email":
		by.Type = person.ByEmail
	case "cio_id":
		by = person.Identifier{Type: person.ByCIO, Value: strings.TrimPrefix(key, "cio_")}
	case "phone":
		return s.byPhone(c, field, key)
	}
	by, err := person.Check(by)
	if err != nil {
		return by, fault.Field(field, "is not an identifier: empty, longer than %d bytes, or not plain UTF-8", person.MaxID)
	}
	return by, nil
}

// byPhone reads a phone number, where the workspace identifies people by it.
func (s *surface) byPhone(c *api.Call, field, key string) (by person.Identifier, err error) {
	rows, err := s.o.Store.CurrentDefinitions(c.R.Context(), c.Workspace, definition.Identifying)
	if err != nil {
		return by, err
	}
	if !definition.ByPhone(rows) {
		return by, fault.Field("id_type", "phone is not an identifier of people in this workspace")
	}
	phone, ok := person.ParsePhone(key)
	if !ok {
		return by, fault.Field(field, "must be a phone number in E.164 form, as +15550100123")
	}
	return person.Identifier{Type: person.ByPhone, Value: phone}, nil
}

// person finds the person in the path, or is NotFound.
func (s *surface) person(c *api.Call) (*person.Document, error) {
	return s.find(c, "customer_id", c.Param("customer_id"))
}

func (s *surface) find(c *api.Call, field, key string) (*person.Document, error) {
	by, err := s.identify(c, field, key)
	if err != nil {
		return nil, err
	}
	d, err := s.o.Store.FindPerson(c.R.Context(), c.Workspace, by)
	if err == nil && d == nil {
		err = fault.New(fault.NotFound, "there is no such customer")
	}
	return d, err
}

func (s *surface) attributes(c *api.Call) error {
	d, err := s.freshPerson(c)
	if err != nil {
		return err
	}
	hide, err := s.sight(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, CustomerAnswer{customer(d, hide)})
}

// freshPerson is person as of every write that may change who they are and what they have: those that name the identifier in the
// path, and those that name any that the person has.
func (s *surface) freshPerson(c *api.Call) (*person.Document, error) {
	if s.o.FreshFor == nil {
		return s.person(c)
	}
	by, err := s.identify(c, "customer_id", c.Param("customer_id"))
	if err != nil {
		return nil, err
	}
	var at uint64
	wait := func(who ...person.Identifier) (again bool) {
		var stale bool
		at, again, stale = s.o.FreshFor(c.R.Context(), c.Workspace, at, who...)
		if stale {
			c.W.Header().Set(StaleHeader, "true")
		}
		return again
	}
	wait(by)
	// What is read then may have identifiers by which more was written before the request. That is looked at a few times: who is
	// written to all the time has always something new.
	for round := 0; ; round++ {
		d, err := s.person(c)
		if fault.Is(err, fault.NotFound) && s.o.Fresh != nil && round == 0 {
			if s.o.Fresh(c.R.Context(), c.Workspace) { // by an event, perhaps
				c.W.Header().Set(StaleHeader, "true")
			}
			d, err = s.person(c)
		}
		if err != nil {
			return nil, err
		}
		who := []person.Identifier{{Type: person.ByCIO, Value: d.CIO}}
		if d.ID != "" {
			who = append(who, person.Identifier{Type: person.ByID, Value: d.ID})
		}
		if d.Email != "" {
			who = append(who, person.Identifier{Type: person.ByEmail, Value: d.Email})
		}
		if d.Phone != "" {
			who = append(who, person.Identifier{Type: person.ByPhone, Value: d.Phone})
		}
		if round == 3 || !wait(who...) || c.W.Header().Get(StaleHeader) != "" {
			return d, nil
		}
	}
}

// several answers those of the people asked for who exist, in the order asked.
func (s *surface) several(c *api.Call) error {
	var in CustomersRequest
	if err := c.Decode(&in, false); err != nil {
		return err
	}
	if len(in.IDs) == 0 || len(in.IDs) > 100 {
		return fault.Field("ids", "must be a list of 1 to 100 identifiers")
	}
	hide, err := s.sight(c)
	if err != nil {
		return err
	}
	out := CustomersAnswer{Customers: []CustomerAnswer{}}
	for _, v := range in.IDs {
		if k := v.Kind(); k != value.String && k != value.Number {
			return fault.Field("ids", "must hold strings")
		}
		d, err := s.find(c, "ids", v.Text())
		switch {
		case fault.Is(err, fault.NotFound):
		case err != nil:
			return err
		default:
			out.Customers = append(out.Customers, CustomerAnswer{customer(d, hide)})
		}
	}
	return c.JSON(http.StatusOK, out)
}

// segmentsOf leaves out segments that are being deleted.
func (s *surface) segmentsOf(c *api.Call) error {
	d, err := s.person(c)
	if err != nil {
		return err
	}
	if err := s.o.Store.Memberships(c.R.Context(), c.Workspace, d); err != nil {
		return err
	}
	rows, err := s.o.Store.CurrentDefinitions(c.R.Context(), c.Workspace, definition.Segments)
	if err != nil {
		return err
	}
	out := PersonSegmentsAnswer{Segments: []PersonSegment{}}
	for i := range rows {
		if _, in := d.Member(rows[i].ID); in {
			out.Segments = append(out.Segments, PersonSegment{strconv.FormatInt(rows[i].ID, 10), title(&rows[i]), rows[i].Body.Get("description").Text()})
		}
	}
	return c.JSON(http.StatusOK, out)
}

// title is a definition's name, or its slug if it has none.
func title(r *definition.Row) string {
	if n := r.Body.Get("name").Text(); n != "" {
		return n
	}
	return r.Slug
}

func identifiers(d *person.Document) Identifiers {
	if d == nil {
		return Identifiers{}
	}
	return Identifiers{ID: optional(d.ID), Email: optional(d.Email), CIO: optional(d.CIO)}
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func number(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

// customer is the person as the vendor shows it: identifiers are among the attributes, and every value is text. What hide says is not
// shown.
func customer(d *person.Document, hide sight) Customer {
	out := Customer{
		ID: optional(d.ID), Identifiers: identifiers(d), Attributes: map[string]string{}, Timestamps: map[string]int64{},
		Unsubscribed: d.Unsubscribed, Devices: []Device{},
	}
	for i := range d.Attributes {
		a := &d.Attributes[i]
		if out.Attributes[a.Name] = a.Value.Text(); hide.hides(a.Name) {
			out.Attributes[a.Name] = workspace.Hidden
		}
		out.Timestamps[a.Name] = d.ChangedAt(a)
	}
	for _, name := range [...]string{"id", "email", "phone", "cio_id", "anonymous_id"} {
		if v := d.Get(name); v != nil {
			out.Attributes[name] = v.Text()
		}
	}
	if d.Unsubscribed {
		out.Attributes["unsubscribed"] = "true"
	}
	out.Timestamps["cio_id"] = d.Created / 1000
	for i := range d.Devices {
		v := &d.Devices[i]
		out.Devices = append(out.Devices, Device{v.Token, v.LastUsed, v.Platform, v.Attributes})
	}
	return out
}

// documents reads the people that a page mentions; 0 is nobody.
func (s *surface) documents(ctx context.Context, workspace int64, ordinals []uint32) (map[uint32]*person.Document, error) {
	seen := map[uint32]bool{0: true}
	var list []uint32
	for _, o := range ordinals {
		if !seen[o] {
			seen[o] = true
			list = append(list, o)
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	return s.o.Store.ReadPeople(ctx, workspace, list)
}
