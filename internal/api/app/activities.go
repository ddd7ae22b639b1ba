package app

import (
	"net/http"
	"strconv"

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
	if key := c.Query("customer_id"); key != "" {
		d, err := s.find(c, "customer_id", key)
		if err != nil {
			return err
		}
		return s.timeline(c, d)
	}
	q, p, none, err := s.activityQuery(c, "activities", "")
	if err != nil {
		return err
	}
	if none {
		return c.JSON(http.StatusOK, ActivitiesAnswer{Activities: []Activity{}})
	}
	list, next, err := some(q.From, func(from int64) ([]event.Activity, int64, error) {
		q.From = from
		return s.o.Store.Activities(c.R.Context(), c.Workspace, q)
	})
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
	hide, err := s.sight(c)
	if err != nil {
		return err
	}
	out := ActivitiesAnswer{Activities: []Activity{}, Next: s.next(p, next)}
	for i := range list {
		out.Activities = append(out.Activities, activity(&list[i], docs[list[i].Person], c.Query("type"), hide))
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
	q, p, none, err := s.activityQuery(c, "customer_activities", d.CIO)
	if err != nil {
		return err
	}
	if q.From == 0 {
		q.From = d.LastActivity
	}
	out := ActivitiesAnswer{Activities: []Activity{}}
	if q.From == 0 || none {
		return c.JSON(http.StatusOK, out)
	}
	list, next, err := some(q.From, func(from int64) ([]event.Activity, int64, error) {
		q.From = from
		return s.o.Store.Timeline(c.R.Context(), c.Workspace, q)
	})
	if err != nil {
		return err
	}
	hide, err := s.sight(c)
	if err != nil {
		return err
	}
	for i := range list {
		out.Activities = append(out.Activities, activity(&list[i], d, c.Query("type"), hide))
	}
	out.Next = s.next(p, next)
	return c.JSON(http.StatusOK, out)
}

// activity is one as it is answered to whom asked for a type, or "". A relationship that begins or ends is one activity, which has
// two types: of the person and of the object.
func activity(a *event.Activity, d *person.Document, asked string, hide sight) Activity {
	out := Activity{
		ID: strconv.FormatInt(a.Seq, 10), Type: typeWord(a), Timestamp: a.At / 1000, Identifiers: identifiers(d),
		AnonymousID: a.Anonymous, Name: a.Name, Data: hide.data(a.Shown()),
	}
	out.CustomerID = out.Identifiers.ID
	switch a.Type {
	case event.Message: // the name says what happened to the message
		out.Name = ""
		out.DeliveryID, out.DeliveryType, out.URL = a.Data.Get("delivery_id").Text(), "email", a.Data.Get("href").Text()
	case event.Page:
		out.URL = a.Name
	case event.ObjectChange: // the type says it
		out.Name = ""
	case event.AddRelation, event.DeleteRelation:
		if asked != "" {
			out.Type = asked
		}
	default:
	}
	return out
}
