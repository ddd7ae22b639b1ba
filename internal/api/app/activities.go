package app

import (
	"net/http"
	"strconv"
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/event"
	"rapport.example/internal/person"
)

// Page sizes: the vendor's defaults and bounds.
const (
	defActivities, maxActivities = 10, 100
	defMessages, maxMessages     = 50, 1000
	defMembers, maxMembers       = 1000, 1000
)

// listActivities is the workspace's list, or one person's with customer_id.
func (s *surface) listActivities(c *api.Call) error {
	if _, err := c.QueryBool("deleted"); err != nil { // what is left of deleted people is listed either way
		return err
	}
	if key := c.Query("customer_id"); key != "" {
		d, err := s.find(c, "customer_id", key)
		if err != nil {
			return err
		}
		return s.timeline(c, d)
	}
	q, p, err := s.activityQuery(c, "activities", "")
	if err != nil {
		return err
	}
	if q.Type == unknownType {
		return c.JSON(http.StatusOK, ActivitiesAnswer{Activities: []Activity{}})
	}
	list, next, err := s.o.Store.Activities(c.R.Context(), c.Workspace, q)
	if err != nil {
		return err
	}
	who := make([]uint32, len(list))
	for i := range list {
		who[i] = list[i].Person
	}
	docs, err := s.documents(c.R.Context(), c.Workspace, who)
	if err != nil {
		return err
	}
	out := ActivitiesAnswer{Activities: []Activity{}, Next: s.next(p, next)}
	for i := range list {
		out.Activities = append(out.Activities, activity(&list[i], docs[list[i].Person]))
	}
	return c.JSON(http.StatusOK, out)
}

func (s *surface) activitiesOf(c *api.Call) error {
	d, err := s.person(c)
	if err != nil {
		return err
	}
	return s.timeline(c, d)
}

func (s *surface) timeline(c *api.Call, d *person.Document) error {
	q, p, err := s.activityQuery(c, "customer_activities", d.CIO)
	if err != nil {
		return err
	}
	if q.From == 0 {
		q.From = d.LastActivity
	}
	out := ActivitiesAnswer{Activities: []Activity{}}
	if q.From == 0 || q.Type == unknownType {
		return c.JSON(http.StatusOK, out)
	}
	list, next, err := s.o.Store.Timeline(c.R.Context(), c.Workspace, q)
	if err != nil {
		return err
	}
	for i := range list {
		out.Activities = append(out.Activities, activity(&list[i], d))
	}
	out.Next = s.next(p, next)
	return c.JSON(http.StatusOK, out)
}

// unknownType is a type that no activity has.
const unknownType event.Type = 255

// activityQuery reads type and name. A type that we do not have lists nothing: the vendor has many more than we do.
func (s *surface) activityQuery(c *api.Call, list, person string) (ActivityQuery, page, error) {
	word, name := c.Query("type"), c.Query("name")
	p, err := s.page(c, list, defActivities, maxActivities, word, name, person)
	if err != nil {
		return ActivityQuery{}, p, err
	}
	q := ActivityQuery{From: p.from, Name: name, Limit: p.limit}
	if word == "" {
		return q, p, nil
	}
	var ok bool
	if q.Type, ok = event.TypeOf(word); ok && q.Type != event.Message {
		return q, p, nil
	}
	q.Type = unknownType
	if strings.HasSuffix(word, "_email") && name == "" {
		q.Type, q.Name = event.Message, word
	}
	return q, p, nil
}

func activity(a *event.Activity, d *person.Document) Activity {
	out := Activity{
		ID: strconv.FormatInt(a.Seq, 10), Type: a.Type.String(), Timestamp: a.At / 1000, Identifiers: identifiers(d),
		AnonymousID: a.Anonymous, Name: a.Name, Data: a.Data,
	}
	out.CustomerID = out.Identifiers.ID
	switch a.Type {
	case event.Message: // the name says what happened to the message
		out.Type, out.Name = a.Name, ""
		out.DeliveryID, out.DeliveryType, out.URL = a.Data.Get("delivery_id").Text(), "email", a.Data.Get("href").Text()
	case event.Page:
		out.URL = a.Name
	default:
	}
	return out
}
