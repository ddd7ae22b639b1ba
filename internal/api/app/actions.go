package app

import (
	"fmt"
	"net/http"

	"rapport.example/internal/api"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/journey"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

type (
	// ActionContent is a message of a campaign or broadcast.
	ActionContent struct {
		ID          int64  `json:"id"`
		CampaignID  *int64 `json:"campaign_id,omitempty"`
		BroadcastID *int64 `json:"broadcast_id,omitempty"`
		ParentID    *int64 `json:"parent_action_id"`
		Content
	}

	// ActionAnswer wraps an ActionContent.
	ActionAnswer struct {
		Action ActionContent `json:"action"`
	}

	// ActionsAnswer lists the messages of a campaign or broadcast.
	ActionsAnswer struct {
		Actions []ActionContent `json:"actions"`
	}

	// ContentRequest changes some of what an email says; what is left out stays.
	ContentRequest struct {
		Body          string        `json:"body,omitempty"`
		Subject       string        `json:"subject,omitempty"`
		PreheaderText string        `json:"preheader_text,omitempty"`
		Recipient     string        `json:"recipient,omitempty"`
		FromID        int64         `json:"from_id,omitempty"`
		ReplyTo       string        `json:"reply_to,omitempty"`
		CC            string        `json:"cc,omitempty"`
		BCC           string        `json:"bcc,omitempty"`
		FakeBCC       bool          `json:"fake_bcc,omitempty"`
		Headers       []HeaderField `json:"headers,omitempty"`
	}

	// HeaderField is a header of an email.
	HeaderField struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}

	// Broadcast is a campaign that a program starts.
	Broadcast struct {
		ID               int64    `json:"id"`
		DeduplicateID    string   `json:"deduplicate_id"`
		Name             string   `json:"name"`
		Type             string   `json:"type"` // triggered_broadcast
		Created          int64    `json:"created"`
		Updated          int64    `json:"updated"`
		Active           bool     `json:"active"`
		State            string   `json:"state"` // running or draft
		Actions          []Action `json:"actions"`
		MessageTemplates []Action `json:"msg_template_ids"`
		FirstStarted     int64    `json:"first_started"`
		Tags             []string `json:"tags"`
		CreatedBy        string   `json:"created_by"`
	}

	// BroadcastsAnswer lists broadcasts.
	BroadcastsAnswer struct {
		Broadcasts []Broadcast `json:"broadcasts"`
	}

	// BroadcastAnswer wraps a Broadcast.
	BroadcastAnswer struct {
		Broadcast Broadcast `json:"broadcast"`
	}
)

// actionRoutes are what campaigns and broadcasts send: the same for both, under two paths.
func (s *surface) actionRoutes() []api.Route {
	put := func(path string, h api.Handler, doc string) api.Route {
		return api.Route{
			Method: http.MethodPut, Path: path, Auth: api.AppKey, Agent: workspace.WriteLive, Limit: api.LimitApp, Shape: api.AppErrors, MaxBody: MaxContent,
			Request: ContentRequest{}, Response: ActionAnswer{}, Handler: s.fresh(h), Doc: doc,
		}
	}
	routes := []api.Route{
		s.get("/v1/broadcasts", BroadcastsAnswer{}, s.listBroadcasts, "Lists broadcasts."),
		s.get("/v1/broadcasts/{broadcast_id}", BroadcastAnswer{}, s.getBroadcast, "Reads a broadcast."),
		s.get("/v1/broadcasts/{broadcast_id}/messages", MessagesAnswer{}, s.messagesOfBroadcast, "Lists a broadcast's deliveries, newest first.").Paged(defMessages, maxMessages).With(messageParams...),
	}
	for _, k := range []owner{{"campaigns", "campaign", false}, {"broadcasts", "broadcast", true}} {
		path := "/v1/" + k.path + "/{" + k.name + "_id}/actions"
		one := path + "/{action_id}"
		routes = append(routes,
			s.get(path, ActionsAnswer{}, s.listActions(k), "Lists the messages of a "+k.name+"."),
			s.get(one, ActionAnswer{}, s.getAction(k), "Reads a message of a "+k.name+"."),
			put(one, s.putAction(k), "Changes a message of a "+k.name+"."),
			s.get(one+"/language/{language}", ActionAnswer{}, s.getAction(k), "Reads a message of a "+k.name+" in a language."),
			put(one+"/language/{language}", s.putAction(k), "Changes a message of a "+k.name+" in a language."),
		)
	}
	return routes
}

// owner is what actions belong to.
type owner struct {
	path, name string
	broadcast  bool
}

// find is the campaign or broadcast in the path, with what is read about it.
func (s *surface) owner(c *api.Call, k owner) (*contents, *definition.Row, *journey.Campaign, error) {
	id, err := c.ParamID(k.name + "_id")
	if err != nil {
		return nil, nil, nil, err
	}
	t, err := s.contents(c)
	if err != nil {
		return nil, nil, nil, err
	}
	r := t.byID(definition.Campaigns, id)
	if r == nil || isBroadcast(r) != k.broadcast {
		return nil, nil, nil, fault.New(fault.NotFound, "there is no such %s", k.name)
	}
	def, err := journey.Parse(r.Body)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("campaign %d version %d: %w", r.ID, r.Version, err)
	}
	return t, r, def, nil
}

func isBroadcast(r *definition.Row) bool {
	return value.Equal(r.Body.Get("trigger").Get("broadcast"), value.True)
}

// action describes one message.
func (k owner) action(t *contents, r *definition.Row, n journey.EmailNode, language string) ActionContent {
	out := ActionContent{ID: n.ActionID, Content: t.read(r, n.Slug, emailOf(r.Body.Get("workflow"), n.Slug), language)}
	if k.broadcast {
		out.BroadcastID = &r.ID
	} else {
		out.CampaignID = &r.ID
	}
	return out
}

func (s *surface) listActions(k owner) api.Handler {
	return func(c *api.Call) error {
		t, r, def, err := s.owner(c, k)
		if err != nil {
			return err
		}
		out := ActionsAnswer{Actions: []ActionContent{}}
		for _, n := range def.Emails() {
			out.Actions = append(out.Actions, k.action(t, r, n, ""))
		}
		return c.JSON(http.StatusOK, out)
	}
}

// node is the message in the path, and the language there.
func node(c *api.Call, r *definition.Row, def *journey.Campaign) (n journey.EmailNode, language string, err error) {
	id, err := c.ParamID("action_id")
	if err != nil {
		return n, "", err
	}
	for _, n := range def.Emails() {
		if n.ActionID == id {
			language, err := languageIn(c, emailOf(r.Body.Get("workflow"), n.Slug))
			return n, language, err
		}
	}
	return n, "", fault.New(fault.NotFound, "there is no such action")
}

// languageIn is the language in the path, which an email must have; "default" is that of the email itself.
func languageIn(c *api.Call, doc value.Value) (string, error) {
	language := c.Param("language")
	if language == "" || language == "default" {
		return "", nil
	}
	if doc.Get("languages").Get(language) == nil {
		return "", fault.Field("language", "the message has no variant in this language")
	}
	return language, nil
}

func (s *surface) getAction(k owner) api.Handler {
	return func(c *api.Call) error {
		t, r, def, err := s.owner(c, k)
		if err != nil {
			return err
		}
		n, language, err := node(c, r, def)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, ActionAnswer{k.action(t, r, n, language)})
	}
}

func (s *surface) putAction(k owner) api.Handler {
	return func(c *api.Call) error {
		in, err := c.Object()
		if err != nil {
			return err
		}
		s.naming.Lock()
		defer s.naming.Unlock()
		t, r, def, err := s.owner(c, k)
		if err != nil {
			return err
		}
		n, language, err := node(c, r, def)
		if err != nil {
			return err
		}
		if err := words(c, in); err != nil {
			return err
		}
		changed, err := t.change(emailOf(r.Body.Get("workflow"), n.Slug), in, language)
		if err != nil {
			return err
		}
		body := r.Body.With("workflow", withEmail(r.Body.Get("workflow"), n.Slug, changed))
		if err := s.save(c, t, r, body); err != nil {
			return err
		}
		if t, r, def, err = s.owner(c, k); err != nil {
			return err
		}
		if n, language, err = node(c, r, def); err != nil {
			return err
		}
		return c.JSON(http.StatusOK, ActionAnswer{k.action(t, r, n, language)})
	}
}

// emailOf is the email document of the step with this id, nil if there is none.
func emailOf(workflow value.Value, slug string) value.Value {
	for step := range workflow.Elements() {
		if step.Get("id").Text() == slug {
			return step.Get("email")
		}
		for arm := range step.Get("branch").Elements() {
			for _, way := range [...]string{"then", "else"} {
				if doc := emailOf(arm.Get(way), slug); doc != nil {
					return doc
				}
			}
		}
	}
	return nil
}

// withEmail is the workflow with another email document at the step with this id.
func withEmail(workflow value.Value, slug string, doc value.Value) value.Value {
	var steps []value.Value
	for step := range workflow.Elements() {
		if step.Get("id").Text() == slug {
			step = step.With("email", doc)
		} else if branch := step.Get("branch"); branch != nil {
			var arms []value.Value
			for arm := range branch.Elements() {
				for _, way := range [...]string{"then", "else"} {
					if list := arm.Get(way); list != nil {
						arm = arm.With(way, withEmail(list, slug, doc))
					}
				}
				arms = append(arms, arm)
			}
			step = step.With("branch", value.List(arms...))
		}
		steps = append(steps, step)
	}
	return value.List(steps...)
}

func (s *surface) listBroadcasts(c *api.Call) error {
	list, err := s.campaigns(c, true)
	if err != nil {
		return err
	}
	out := BroadcastsAnswer{Broadcasts: []Broadcast{}}
	for i := range list {
		out.Broadcasts = append(out.Broadcasts, broadcast(&list[i]))
	}
	return c.JSON(http.StatusOK, out)
}

func (s *surface) getBroadcast(c *api.Call) error {
	one, err := s.oneCampaign(c, "broadcast_id", true)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, BroadcastAnswer{broadcast(one)})
}

func broadcast(m *Campaign) Broadcast {
	return Broadcast{
		ID: m.ID, DeduplicateID: m.DeduplicateID, Name: m.Name, Type: m.Type, Created: m.Created, Updated: m.Updated, Active: m.Active, State: m.State,
		Actions: m.Actions, MessageTemplates: m.Actions, FirstStarted: m.FirstStarted,
	}
}

func (s *surface) messagesOfBroadcast(c *api.Call) error {
	one, err := s.oneCampaign(c, "broadcast_id", true)
	if err != nil {
		return err
	}
	return s.messages(c, "broadcast_messages", nil, DeliveryQuery{Campaign: one.ID})
}
