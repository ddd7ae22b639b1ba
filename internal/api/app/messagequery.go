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

// mostNumber is the largest id or moment that a parameter may be: what every JSON reader holds exactly.
const mostNumber = 1 << 53

// mostMoment is the last second that can be asked for, far ahead of any that is kept.
const mostMoment = 1 << 43

// trackedResponses is a parameter of what tells about messages.
var trackedResponses = api.Bool("get_tracked_responses", "Tells what became of each message, too.")

// messageParams are those of lists of messages.
var messageParams = []api.Param{
	api.Number("campaign_id", 1, mostNumber, "Messages of a campaign."), api.Number("action_id", 1, mostNumber, "Messages of a step of a campaign."),
	api.Number("newsletter_id", 1, mostNumber, "Messages of a newsletter, of which there are none."), api.Word("metric", "", metrics, "Messages to which this happened."),
	api.Word("type", messageTypes[0], messageTypes, "The channel; there are emails."), api.Bool("drafts", "Lists drafts alone, of which there are none."),
	api.Number("start_ts", 0, mostMoment, "Messages made at or after a moment, in Unix seconds."),
	api.Number("end_ts", 0, mostMoment, "Messages made at or before a moment, in Unix seconds; a list reaches six months back from there."), trackedResponses,
}

// messageFilter reads the parameters that select, but for the period. none says that nothing of ours can match: newsletters,
// drafts, other channels, another campaign than the one whose list it is.
func messageFilter(c *api.Call, q *DeliveryQuery) (none bool) {
	campaign := c.QueryInt("campaign_id")
	if q.Action = c.QueryInt("action_id"); q.Campaign == 0 {
		q.Campaign = campaign
	}
	if metric := c.Query("metric"); metric != "" {
		q.Metrics = append(q.Metrics, metric)
	}
	return c.QueryInt("newsletter_id") != 0 || c.QueryBool("drafts") || c.Query("type") != messageTypes[0] || campaign != 0 && campaign != q.Campaign
}

// period reads start_ts and end_ts, which are about when messages were made. A list reaches six months back from end_ts, else from
// now: what lies before is not listed, whatever start_ts says.
func (s *surface) period(c *api.Call, q *DeliveryQuery) error {
	since, until := c.QueryInt("start_ts"), c.QueryInt("end_ts")
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
