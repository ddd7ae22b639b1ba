package app

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/definition"
	"rapport.example/internal/delivery"
	"rapport.example/internal/fault"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

func (s *surface) others() []api.Route {
	return []api.Route{
		s.get("/v1/campaigns", CampaignsAnswer{}, s.listCampaigns, "Lists campaigns."),
		s.get("/v1/campaigns/{campaign_id}", CampaignAnswer{}, s.getCampaign, "Reads a campaign."),
		s.get("/v1/campaigns/{campaign_id}/messages", MessagesAnswer{}, s.messagesOfCampaign, "Lists a campaign's messages, newest first.").Paged(defMessages, maxMessages).With(messageParams...),
		s.get("/v1/messages", MessagesAnswer{}, s.listMessages, "Lists messages, newest first.").Paged(defMessages, maxMessages).With(messageParams...),
		s.get("/v1/messages/{message_id}", MessageAnswer{}, s.getMessage, "Reads a message.").With(trackedResponses),
		s.get("/v1/transactional/{transactional_id}/messages", MessagesAnswer{}, s.messagesOfTransactional, "Lists a transactional message's deliveries, newest first.").Paged(defMessages, maxMessages).
			With(messageParams...).With(api.Word("state", "", []string{"failed", "sent", "drafted", "attempted"}, "Messages to which this happened.")),
		s.archivedRoute(),
		s.get("/v1/activities", ActivitiesAnswer{}, s.listActivities, "Lists activities, newest first.").Paged(defActivities, maxActivities).
			With(activityParams...).With(api.Text("customer_id", api.MostText, "Activities of a person, by what id_type says."), api.IDType),
		s.get("/v1/workspaces", WorkspacesAnswer{}, s.workspaces, "Reads the workspace of the key."),
	}
}

func (s *surface) listMessages(c *api.Call) error {
	return s.messages(c, "messages", nil, DeliveryQuery{})
}

func (s *surface) messagesOfCampaign(c *api.Call) error {
	row, err := s.campaign(c)
	if err != nil {
		return err
	}
	return s.messages(c, "campaign_messages", nil, DeliveryQuery{Campaign: row.ID})
}

func (s *surface) messagesOfTransactional(c *api.Call) error {
	row, err := s.definition(c, definition.Transactionals, "transactional_id", func() error {
		return fault.New(fault.NotFound, "there is no such transactional message")
	})
	if err != nil {
		return err
	}
	q := DeliveryQuery{Transactional: row.ID}
	if state := c.Query("state"); state != "" {
		q.Metrics = []string{state} // the states that there are to ask for are what metrics tell
	}
	return s.messages(c, "transactional_messages", nil, q)
}

func (s *surface) messagesOf(c *api.Call) error {
	d, err := s.person(c)
	if err != nil {
		return err
	}
	return s.messages(c, "customer_messages", d, DeliveryQuery{Person: d.Ordinal})
}

// messages lists the deliveries that q selects and the request's parameters besides; d is the person that they are of, or nil.
func (s *surface) messages(c *api.Call, name string, d *person.Document, q DeliveryQuery) error {
	filter := []string{strconv.FormatInt(q.Campaign, 10), strconv.FormatInt(q.Transactional, 10), strconv.FormatInt(int64(q.Person), 10)}
	state := strings.Join(q.Metrics, "")
	none := messageFilter(c, &q)
	if err := s.period(c, &q); err != nil {
		return err
	}
	for _, param := range [...]string{"campaign_id", "action_id", "newsletter_id", "metric", "type", "drafts", "start_ts", "end_ts"} {
		filter = append(filter, c.Query(param))
	}
	p, err := s.page(c, name, append(filter, state)...)
	if err != nil {
		return err
	}
	out := MessagesAnswer{Messages: []Message{}}
	if none {
		return c.JSON(http.StatusOK, out)
	}
	q.From, q.Limit = p.from, p.limit
	list, next, err := some(q.From, func(from int64) ([]delivery.Delivery, int64, error) {
		q.From = from
		return s.o.Store.Deliveries(c.R.Context(), c.Workspace, q)
	})
	if err != nil {
		return err
	}
	docs, err := s.recipients(c, d, list)
	if err != nil {
		return err
	}
	for i := range list {
		out.Messages = append(out.Messages, describe(&list[i], docs[list[i].Person], c.QueryBool(trackedResponses.Name)))
	}
	out.Next = s.next(p, next)
	return c.JSON(http.StatusOK, out)
}

// recipients are the people whose deliveries they are; all of them are d's if it is not nil.
func (s *surface) recipients(c *api.Call, d *person.Document, list []delivery.Delivery) (map[uint32]*person.Document, error) {
	if d != nil {
		return map[uint32]*person.Document{d.Ordinal: d}, nil
	}
	who := make([]uint32, len(list))
	for i := range list {
		who[i] = list[i].Person
	}
	return s.documents(c.R.Context(), c.Workspace, who)
}

// message finds the message in the path.
func (s *surface) message(c *api.Call) (*delivery.Delivery, error) {
	d, err := s.o.Store.Delivery(c.R.Context(), c.Workspace, c.Param("message_id"))
	if err == nil && d == nil {
		err = fault.New(fault.NotFound, "there is no such message")
	}
	return d, err
}

func (s *surface) getMessage(c *api.Call) error {
	d, err := s.message(c)
	if err != nil {
		return err
	}
	docs, err := s.documents(c.R.Context(), c.Workspace, []uint32{d.Person})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, MessageAnswer{describe(d, docs[d.Person], c.QueryBool(trackedResponses.Name))})
}

func describe(d *delivery.Delivery, who *person.Document, responses bool) Message {
	out := Message{
		ID: d.Public, DeduplicateID: d.Public + ":" + strconv.FormatInt(updated(d), 10), TemplateID: number(d.ActionID),
		ActionID: number(d.ActionID), Identifiers: identifiers(who), Recipient: d.Recipient, Subject: d.Subject, Metrics: d.Metrics,
		Created: d.Created / 1000, CampaignID: number(d.Campaign), TransactionalID: number(d.Transactional),
		Forgotten: who == nil, Type: "email", State: d.State.String(), TriggerEventID: optional(d.TriggerEvent),
	}
	out.CustomerID = out.Identifiers.ID
	if out.Metrics == nil {
		out.Metrics = value.Value("{}")
	}
	if d.Transactional != 0 {
		out.TemplateID = number(d.Transactional)
	}
	out.OldTemplateID = out.TemplateID
	if responses {
		out.Tracked = value.Value("{}")
	}
	if d.State != delivery.Sent && d.State != delivery.Queued {
		out.Failure = optional(d.Reason)
	}
	return out
}

// updated is the newest time of a metric, Unix seconds.
func updated(d *delivery.Delivery) int64 {
	at := d.Created / 1000
	for _, v := range d.Metrics.Fields() {
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			at = max(at, n)
		}
	}
	return at
}

// workspaces answers the key's one workspace.
func (s *surface) workspaces(c *api.Call) error {
	ctx := c.R.Context()
	w, found, err := s.o.Store.Workspace(ctx, c.Workspace)
	if err != nil {
		return err
	}
	out := WorkspacesAnswer{Workspaces: []Workspace{}}
	if found {
		people, err := s.o.Store.CountPeople(ctx, w.ID)
		if err != nil {
			return err
		}
		sent, err := s.o.Store.CountSent(ctx, w.ID)
		if err != nil {
			return err
		}
		types, err := s.o.Store.ObjectTypes(ctx, w.ID)
		if err != nil {
			return err
		}
		objects, err := s.o.Store.CountObjects(ctx, w.ID)
		if err != nil {
			return err
		}
		of := Workspace{ID: w.ID, Name: w.Name, People: people, MessagesSent: sent, Billable: sent, ObjectTypes: int64(len(types)), Objects: objects}
		if w.Clock > 0 {
			of.TestClock = time.UnixMilli(w.Now(c.Now)).UTC().Format(time.RFC3339)
		}
		out.Workspaces = append(out.Workspaces, of)
	}
	return c.JSON(http.StatusOK, out)
}
