package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"rapport.example/internal/workspace"
)

type (
	listMessagesIn struct {
		Kind  string `json:"kind" enum:"campaign,broadcast,transactional"`
		Query string `json:"query,omitempty" jsonschema:"part of the name"`
		State string `json:"state,omitempty" enum:"running,draft,stopped"`
		page
	}
	getMessageIn struct {
		Kind    string   `json:"kind" enum:"campaign,broadcast,transactional"`
		ID      string   `json:"id"`
		Include []string `json:"include,omitempty" jsonschema:"actions: what it sends" enum:"actions"`
		page
	}
	getMessageOut struct {
		Item       messageItem `json:"item" jsonschema:"as in list_messages"`
		NextCursor string      `json:"next_cursor,omitempty"`
		Truncated  bool        `json:"truncated,omitempty"`

		shortened bool // a text of an action was cut
		kind      string
	}
	messageRow struct {
		ID          text   `json:"id"`
		Name        text   `json:"name"`
		Description text   `json:"description,omitempty"`
		Type        text   `json:"type,omitempty"`
		State       text   `json:"state,omitempty"`
		Event       text   `json:"event_name,omitempty"`
		Segments    []int  `json:"trigger_segment_ids,omitempty"`
		Tags        []text `json:"tags,omitempty"`
		Created     string `json:"created,omitempty"`
		Updated     string `json:"updated,omitempty"`
	}
	messageItem struct {
		messageRow `schema:"-"`
		Actions    []map[string]any `json:"actions,omitempty"`
	}

	listDeliveriesIn struct {
		Person     string `json:"person,omitempty" jsonschema:"identifier"`
		IDType     string `json:"id_type,omitempty" jsonschema:"of person; default id" enum:"id,email,cio_id"`
		CampaignID string `json:"campaign_id,omitempty"`
		Metric     string `json:"metric,omitempty" jsonschema:"sent, opened, clicked, failed, bounced, suppressed, …"`
		Since      string `json:"since,omitempty" jsonschema:"RFC 3339; at most six months back"`
		Until      string `json:"until,omitempty" jsonschema:"RFC 3339"`
		page
	}
	getDeliveryIn struct {
		DeliveryID  string `json:"delivery_id"`
		IncludeBody bool   `json:"include_body,omitempty" jsonschema:"needs read:sensitive, 100 a day"`
	}
	getDeliveryOut struct {
		Item deliveryItem `json:"item" jsonschema:"as in list_deliveries"`
	}
	delivery struct {
		ID         string            `json:"id"`
		Person     string            `json:"person,omitempty"`
		Recipient  string            `json:"recipient,omitempty"`
		Subject    string            `json:"subject,omitempty"`
		Type       string            `json:"type"`
		CampaignID string            `json:"campaign_id,omitempty"`
		Created    string            `json:"created"`
		Metrics    map[string]string `json:"metrics" jsonschema:"time of each"`
		Failure    string            `json:"failure,omitempty"`
	}
	deliveryItem struct {
		delivery  `schema:"-"`
		Body      string `json:"body,omitempty"`
		From      text   `json:"from,omitempty"`
		Truncated bool   `json:"truncated,omitempty"`
	}
)

// links point to the whole message where its texts are too long for an answer.
func (o getMessageOut) links() []*sdk.ResourceLink {
	if !o.shortened {
		return nil
	}
	return []*sdk.ResourceLink{{URI: "cio://messages/" + o.kind + "/" + escaped(string(o.Item.ID)), Name: "message", MIMEType: asJSON, Description: "the whole message"}}
}

// links point to the whole body where it is too long for an answer.
func (o getDeliveryOut) links() []*sdk.ResourceLink {
	if !o.Item.Truncated {
		return nil
	}
	return []*sdk.ResourceLink{{URI: "cio://deliveries/" + escaped(o.Item.ID) + "/body", Name: "body", MIMEType: asHTML, Description: "the whole body"}}
}

// message is a delivery as the App API shows it.
type message struct {
	ID        text                   `json:"id"`
	Customer  text                   `json:"customer_id"`
	Recipient text                   `json:"recipient"`
	Subject   text                   `json:"subject"`
	Type      text                   `json:"type"`
	Campaign  text                   `json:"campaign_id"`
	Created   json.Number            `json:"created"`
	Metrics   map[string]json.Number `json:"metrics"`
	Failure   text                   `json:"failure_message"`
}

func (m message) delivery() delivery {
	d := delivery{
		ID: string(m.ID), Person: string(m.Customer), Recipient: string(m.Recipient), Subject: string(m.Subject), Type: string(m.Type),
		CampaignID: string(m.Campaign), Created: rfc3339(m.Created), Metrics: map[string]string{}, Failure: string(m.Failure),
	}
	for k, v := range m.Metrics {
		d.Metrics[clean(k)] = rfc3339(v)
	}
	return d
}

func (s *Server) messageTools() error {
	return errors.Join(
		declare(s, spec{
			setMessages, "list_messages", "List campaigns and other messages", "List the campaigns, broadcasts or transactional messages that exist, by name and state such as running. Use list_deliveries for what went out.",
			workspace.Read, reads, false,
		}, s.listMessages),
		declare(s, spec{
			setMessages, "get_message", "Read a campaign or other message", "Show one campaign, broadcast or transactional message: what triggers it and, with include actions, the subject lines and content that it sends.",
			workspace.Read, reads, false,
		}, s.getMessage),
		declare(s, spec{
			setMessages, "list_deliveries", "List deliveries", "List deliveries, the emails that people got, newest first, and which were opened, clicked, bounced or failed; by person, campaign, metric or time.",
			workspace.Read, reads, false,
		}, s.listDeliveries),
		declare(s, spec{
			setMessages, "get_delivery", "Read a delivery", "Show one delivery: what became of it and when, why it failed and, with include_body, the body of the email to read.",
			workspace.Read, reads, false,
		}, s.getDelivery),
	)
}

// maxBodyShown is how many bytes of a body are in an answer at most.
const maxBodyShown = 40_000

// kind is one of messages.
type kind struct{ path, many, one, actions, actionsKey string }

// kinds are the messages by what they are called here: the path of their list, and the names in its answer.
var kinds = map[string]kind{
	"campaign":      {"/v1/campaigns", "campaigns", "campaign", "/actions", "actions"},
	"broadcast":     {"/v1/broadcasts", "broadcasts", "broadcast", "/actions", "actions"},
	"transactional": {"/v1/transactional", "messages", "message", "/contents", "contents"},
}

// wireMessage is a campaign, broadcast or transactional message of the App API.
type wireMessage struct {
	messageRow
	Created   json.Number `json:"created"`
	Updated   json.Number `json:"updated"`
	CreatedAt json.Number `json:"created_at"`
	UpdatedAt json.Number `json:"updated_at"`
}

func (m wireMessage) row() messageRow {
	r := m.messageRow
	if r.Created = rfc3339(m.Created); r.Created == "" {
		r.Created = rfc3339(m.CreatedAt)
	}
	if r.Updated = rfc3339(m.Updated); r.Updated == "" {
		r.Updated = rfc3339(m.UpdatedAt)
	}
	return r
}

func (s *Server) listMessages(ctx context.Context, c *Client, in listMessagesIn) (out listOut[messageRow], err error) {
	k, ok := kinds[in.Kind]
	if !ok {
		return out, invalid("kind", "must be campaign, broadcast or transactional")
	}
	return paged(s, in.page, "list_messages", []any{in.Kind, in.Query, in.State}, func(int, string) ([]messageRow, string, error) {
		var l map[string]json.RawMessage
		if err := c.read(ctx, k.path, nil, &l); err != nil {
			return nil, "", err
		}
		var all []wireMessage
		if raw := l[k.many]; raw != nil {
			if err := json.Unmarshal(raw, &all); err != nil {
				return nil, "", unexpected()
			}
		}
		var rows []messageRow
		for _, m := range all {
			if contains(string(m.Name), in.Query) && (in.State == "" || strings.EqualFold(string(m.State), in.State)) {
				rows = append(rows, m.row())
			}
		}
		return rows, "", nil
	})
}

func unexpected() error {
	return &APIError{Status: http.StatusBadGateway, Message: "the answer is not the JSON that was expected"}
}

func contains(name, part string) bool {
	return strings.Contains(strings.ToLower(name), strings.ToLower(part))
}

func (s *Server) getMessage(ctx context.Context, c *Client, in getMessageIn) (out getMessageOut, err error) {
	k, ok := kinds[in.Kind]
	if !ok {
		return out, invalid("kind", "must be campaign, broadcast or transactional")
	}
	if err := number("id", in.ID); err != nil {
		return out, err
	}
	var l map[string]json.RawMessage
	if err := c.read(ctx, k.path+"/"+in.ID, nil, &l); err != nil {
		return out, err
	}
	var m wireMessage
	if err := json.Unmarshal(l[k.one], &m); err != nil {
		return out, unexpected()
	}
	out.Item.messageRow = m.row()
	for _, part := range in.Include {
		if part != "actions" {
			return out, invalid("include", "knows actions")
		}
		actions, err := paged(s, in.page, "get_message", []any{in.Kind, in.ID}, func(int, string) ([]map[string]any, string, error) {
			all, err := c.actions(ctx, k, in.ID)
			return all, "", err
		})
		if err != nil {
			return out, err
		}
		out.Item.Actions, out.NextCursor, out.Truncated = actions.Items, actions.NextCursor, actions.Truncated
		out.shortened, out.kind = actions.shortened, in.Kind
	}
	return out, nil
}

// actions are what a message sends.
func (c *Client) actions(ctx context.Context, k kind, id string) ([]map[string]any, error) {
	var l map[string]json.RawMessage
	if err := c.read(ctx, k.path+"/"+id+k.actions, nil, &l); err != nil {
		return nil, err
	}
	var all []map[string]any
	if err := json.Unmarshal(l[k.actionsKey], &all); err != nil {
		return nil, unexpected()
	}
	for i := range all {
		all[i], _ = cleanAll(all[i]).(map[string]any)
		for name, v := range all[i] {
			if n, ok := v.(float64); ok && (name == "id" || strings.HasSuffix(name, "_id")) {
				all[i][name] = strconv.FormatFloat(n, 'f', -1, 64) // as tools take them
			}
		}
	}
	return all, nil
}

// number checks an id of the APIs that is a number.
func number(field, v string) error {
	if n, err := strconv.ParseInt(v, 10, 64); err != nil || n < 1 || v != strconv.FormatInt(n, 10) {
		return invalid(field, "must be a number, as the lists show it")
	}
	return nil
}

func (s *Server) listDeliveries(ctx context.Context, c *Client, in listDeliveriesIn) (out listOut[delivery], err error) {
	q, path := url.Values{}, "/v1/messages"
	if in.Person != "" {
		seg, of, err := who{in.Person, in.IDType}.path()
		if err != nil {
			return out, err
		}
		path, q = "/v1/customers/"+seg+"/messages", of
	}
	if in.CampaignID != "" {
		if err := number("campaign_id", in.CampaignID); err != nil {
			return out, err
		}
		if q.Set("campaign_id", in.CampaignID); in.Person == "" {
			path = "/v1/campaigns/" + in.CampaignID + "/messages"
		}
	}
	if in.Metric != "" {
		q.Set("metric", in.Metric)
	}
	for _, t := range [...]struct{ field, value, param string }{{"since", in.Since, "start_ts"}, {"until", in.Until, "end_ts"}} {
		at, err := seconds(t.field, t.value)
		if err != nil {
			return out, err
		}
		if at != 0 {
			q.Set(t.param, strconv.FormatInt(at, 10))
		}
	}
	out, err = paged(s, in.page, "list_deliveries", []any{in.Person, in.IDType, in.CampaignID, in.Metric, in.Since, in.Until}, func(limit int, start string) ([]delivery, string, error) {
		return readList(ctx, c, path, q, "messages", limit, start, message.delivery)
	})
	return out, hinted(err, http.StatusNotFound, wrongType)
}

func (s *Server) getDelivery(ctx context.Context, c *Client, in getDeliveryIn) (out getDeliveryOut, err error) {
	if in.DeliveryID == "" || in.DeliveryID == "." || in.DeliveryID == ".." || len(in.DeliveryID) > 500 {
		return out, invalid("delivery_id", "must be an id of list_deliveries")
	}
	path := "/v1/messages/" + escaped(in.DeliveryID)
	var a struct {
		Message message `json:"message"`
	}
	if err := c.read(ctx, path, nil, &a); err != nil {
		return out, err
	}
	out.Item.delivery = a.Message.delivery()
	if !in.IncludeBody {
		return out, nil
	}
	if err := s.need(ctx, workspace.ReadSensitive); err != nil {
		return out, err
	}
	var b archived
	if err := c.archived(ctx, in.DeliveryID, &b); err != nil {
		return out, err
	}
	out.Item.From, out.Item.Body = b.Archived.From, string(b.Archived.Body)
	for weightOf(out.Item.Body) > mostRoom-littleRoom { // the rest is behind a link
		out.Item.Body, out.Item.Truncated = strings.ToValidUTF8(out.Item.Body[:min(len(out.Item.Body)*3/4, maxBodyShown)], ""), true
	}
	return out, nil
}

// readList reads a page of a list of the App API.
func readList[From, To any](ctx context.Context, c *Client, path string, query url.Values, key string, limit int, start string, convert func(From) To) ([]To, string, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	for k, v := range query {
		q[k] = v
	}
	if start != "" {
		q.Set("start", start)
	}
	var l map[string]json.RawMessage
	if err := c.read(ctx, path, q, &l); err != nil {
		return nil, "", err
	}
	var rows []From
	var next text
	if raw := l[key]; raw != nil {
		if err := json.Unmarshal(raw, &rows); err != nil {
			return nil, "", unexpected()
		}
	}
	if raw := l["next"]; raw != nil {
		if err := json.Unmarshal(raw, &next); err != nil {
			return nil, "", unexpected()
		}
	}
	out := make([]To, len(rows))
	for i := range rows {
		out[i] = convert(rows[i])
	}
	return out, string(next), nil
}
