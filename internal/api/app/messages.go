package app

import (
	"net/http"
	"strconv"

	"rapport.example/internal/api"
	"rapport.example/internal/delivery"
	"rapport.example/internal/fault"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

func (s *surface) others() []api.Route {
	return []api.Route{
		s.get("/v1/campaigns", CampaignsAnswer{}, s.listCampaigns, "Lists campaigns."),
		s.get("/v1/campaigns/{campaign_id}", CampaignAnswer{}, s.getCampaign, "Reads a campaign."),
		s.get("/v1/campaigns/{campaign_id}/messages", MessagesAnswer{}, s.messagesOfCampaign, "Lists a campaign's messages, newest first."),
		s.get("/v1/messages", MessagesAnswer{}, s.listMessages, "Lists messages, newest first."),
		s.get("/v1/messages/{message_id}", MessageAnswer{}, s.getMessage, "Reads a message."),
		s.archivedRoute(),
		s.get("/v1/activities", ActivitiesAnswer{}, s.listActivities, "Lists activities, newest first."),
		s.get("/v1/workspaces", WorkspacesAnswer{}, s.workspaces, "Reads the workspace of the key."),
	}
}

func (s *surface) listMessages(c *api.Call) error {
	campaign, err := c.QueryInt("campaign_id", 0, 1, 1<<53)
	if err != nil {
		return err
	}
	return s.messages(c, "messages", nil, campaign)
}

func (s *surface) messagesOfCampaign(c *api.Call) error {
	row, err := s.campaign(c)
	if err != nil {
		return err
	}
	return s.messages(c, "campaign_messages", nil, row.ID)
}

func (s *surface) messagesOf(c *api.Call) error {
	d, err := s.person(c)
	if err != nil {
		return err
	}
	campaign, err := c.QueryInt("campaign_id", 0, 1, 1<<53)
	if err != nil {
		return err
	}
	return s.messages(c, "customer_messages", d, campaign)
}

// metrics are those that the metric parameter knows.
var metrics = []string{
	"attempted", "bounced", "clicked", "human_clicked", "converted", "created", "deferred", "delivered", "drafted", "failed",
	"opened", "human_opened", "sent", "spammed", "suppressed", "undeliverable", "topic_unsubscribed", "unsubscribed", "dropped",
}

// messages lists deliveries; of one person if d is not nil, of one campaign if campaign is not 0.
func (s *surface) messages(c *api.Call, name string, d *person.Document, campaign int64) error {
	q := DeliveryQuery{Campaign: campaign}
	filter := []string{strconv.FormatInt(campaign, 10)}
	if d != nil {
		q.Person = d.Ordinal
		filter = append(filter, d.CIO)
	}
	none, err := messageFilter(c, &q)
	if err != nil {
		return err
	}
	for _, param := range [...]string{"action_id", "newsletter_id", "metric", "type", "drafts", "start_ts", "end_ts"} {
		filter = append(filter, c.Query(param))
	}
	p, err := s.page(c, name, defMessages, maxMessages, filter...)
	if err != nil {
		return err
	}
	out := MessagesAnswer{Messages: []Message{}}
	if none {
		return c.JSON(http.StatusOK, out)
	}
	q.From, q.Limit = p.from, p.limit
	list, next, err := s.o.Store.Deliveries(c.R.Context(), c.Workspace, q)
	if err != nil {
		return err
	}
	docs := map[uint32]*person.Document{}
	if d != nil {
		docs[d.Ordinal] = d
	} else {
		who := make([]uint32, len(list))
		for i := range list {
			who[i] = list[i].Person
		}
		if docs, err = s.documents(c.R.Context(), c.Workspace, who); err != nil {
			return err
		}
	}
	for i := range list {
		out.Messages = append(out.Messages, describe(&list[i], docs[list[i].Person]))
	}
	out.Next = s.next(p, next)
	return c.JSON(http.StatusOK, out)
}

// messageFilter reads the parameters that select. none says that nothing of ours can match: newsletters, drafts, other
// channels.
func messageFilter(c *api.Call, q *DeliveryQuery) (none bool, err error) {
	if q.Action, err = c.QueryInt("action_id", 0, 1, 1<<53); err != nil {
		return false, err
	}
	newsletter, err := c.QueryInt("newsletter_id", 0, 1, 1<<53)
	if err != nil {
		return false, err
	}
	if c.Query("metric") != "" {
		if q.Metric, err = c.QueryOneOf("metric", metrics...); err != nil {
			return false, err
		}
	}
	kind, err := c.QueryOneOf("type", "email", "webhook", "twilio", "sms", "urban_airship", "slack", "push", "in_app", "whatsapp", "live_notification", "inbox")
	if err != nil {
		return false, err
	}
	drafts, err := c.QueryBool("drafts")
	if err != nil {
		return false, err
	}
	if _, err := c.QueryBool("get_tracked_responses"); err != nil {
		return false, err
	}
	since, err := c.QueryInt("start_ts", 0, 0, 1<<43)
	if err != nil {
		return false, err
	}
	until, err := c.QueryInt("end_ts", 0, 0, 1<<43)
	if err != nil {
		return false, err
	}
	if until != 0 {
		if until < since {
			return false, fault.Field("end_ts", "lies before start_ts")
		}
		q.Until = (until + 1) * 1000
	}
	q.Since = since * 1000
	return newsletter != 0 || drafts || kind != "email", nil
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
	return c.JSON(http.StatusOK, MessageAnswer{describe(d, docs[d.Person])})
}

func describe(d *delivery.Delivery, who *person.Document) Message {
	out := Message{
		ID: d.Public, DeduplicateID: d.Public + ":" + strconv.FormatInt(updated(d), 10), TemplateID: number(d.ActionID),
		ActionID: number(d.ActionID), Identifiers: identifiers(who), Recipient: d.Recipient, Subject: d.Subject, Metrics: d.Metrics,
		Created: d.Created / 1000, CampaignID: number(d.Campaign), TransactionalID: number(d.Transactional),
		Forgotten: who == nil, Type: "email", State: d.State.String(),
	}
	out.CustomerID = out.Identifiers.ID
	if out.Metrics == nil {
		out.Metrics = value.Value("{}")
	}
	if d.Transactional != 0 {
		out.TemplateID = number(d.Transactional)
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
		out.Workspaces = append(out.Workspaces, Workspace{ID: w.ID, Name: w.Name, People: people, MessagesSent: sent, Billable: sent})
	}
	return c.JSON(http.StatusOK, out)
}
