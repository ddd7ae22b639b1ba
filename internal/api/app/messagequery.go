package app

import (
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
)

// metrics are those that the metric parameter knows, the current ones and those of older documents.
var metrics = []string{
	"attempted", "bounced", "clicked", "human_clicked", "prefetch_clicked", "converted", "created", "deferred", "delivered", "drafted", "failed",
	"opened", "human_opened", "prefetch_opened", "sent", "spammed", "suppressed", "undeliverable", "topic_unsubscribed", "unsubscribed", "dropped",
}

// messageTypes are those that the type parameter knows. email comes first, for it is what there is.
var messageTypes = []string{
	"email", "webhook", "twilio", "sms", "urban_airship", "slack", "push", "in_app", "whatsapp", "live_notification", "inbox",
}

// messageFilter reads the parameters that select, but for the period. none says that nothing of ours can match: newsletters,
// drafts, other channels, another campaign than the one whose list it is.
func messageFilter(c *api.Call, q *DeliveryQuery) (none bool, err error) {
	if q.Action, err = c.QueryInt("action_id", 0, 1, 1<<53); err != nil {
		return false, err
	}
	campaign, err := c.QueryInt("campaign_id", 0, 1, 1<<53)
	if err != nil {
		return false, err
	}
	if q.Campaign == 0 {
		q.Campaign = campaign
	}
	newsletter, err := c.QueryInt("newsletter_id", 0, 1, 1<<53)
	if err != nil {
		return false, err
	}
	if c.Query("metric") != "" {
		metric, err := c.QueryOneOf("metric", metrics...)
		if err != nil {
			return false, err
		}
		q.Metrics = append(q.Metrics, metric)
	}
	kind, err := c.QueryOneOf("type", messageTypes...)
	if err != nil {
		return false, err
	}
	drafts, err := c.QueryBool("drafts")
	return newsletter != 0 || drafts || kind != "email" || campaign != 0 && campaign != q.Campaign, err
}

// period reads start_ts and end_ts, which are about when messages were made. A list reaches six months back from end_ts, else from
// now: what lies before is not listed, whatever start_ts says.
func (s *surface) period(c *api.Call, q *DeliveryQuery) error {
	since, err := c.QueryInt("start_ts", 0, 0, 1<<43)
	if err != nil {
		return err
	}
	until, err := c.QueryInt("end_ts", 0, 0, 1<<43)
	if err != nil {
		return err
	}
	if until != 0 && until < since {
		return fault.Field("end_ts", "lies before start_ts")
	}
	w, _, err := s.o.Store.Workspace(c.R.Context(), c.Workspace)
	if err != nil {
		return err
	}
	end := time.UnixMilli(w.Now(c.Now))
	if until != 0 {
		end, q.Until = time.Unix(until, 0), (until+1)*1000
	}
	q.Since = max(since*1000, end.UTC().AddDate(0, -6, 0).UnixMilli())
	return nil
}
