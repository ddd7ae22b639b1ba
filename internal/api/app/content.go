package app

import (
	"encoding/json"
	"strconv"
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/value"
)

// MaxContent bounds a change of what a message says, in bytes.
const MaxContent = 2 << 20

// Content is what an email says, as actions and contents show it. The vendor's layout is the HTML around the body.
type Content struct {
	Name           string `json:"name"`
	Layout         string `json:"layout"`
	Body           string `json:"body"`
	BodyPlain      string `json:"body_plain"`
	BodyAMP        string `json:"body_amp"`
	Language       string `json:"language"` // "" = the email itself
	Type           string `json:"type"`     // email
	From           string `json:"from"`
	FromID         *int64 `json:"from_id"` // of a sender; null for an address of its own
	ReplyTo        string `json:"reply_to"`
	ReplyToID      *int64 `json:"reply_to_id"`
	Preprocessor   string `json:"preprocessor"` // premailer, or none
	Recipient      string `json:"recipient"`
	Subject        string `json:"subject"`
	CC             string `json:"cc"`
	BCC            string `json:"bcc"`
	FakeBCC        bool   `json:"fake_bcc"`
	PreheaderText  string `json:"preheader_text"`
	Headers        string `json:"headers"` // JSON of a list of names and values
	TopicID        *int64 `json:"subscription_topic_id"`
	SendUnsubbed   bool   `json:"send_to_unsubscribed"`
	Tracked        bool   `json:"tracked"`
	SendingState   string `json:"sending_state"` // automatic
	DeduplicateID  string `json:"deduplicate_id"`
	CreatedSeconds int64  `json:"created"`
	UpdatedSeconds int64  `json:"updated"`
}

// contents reads emails as callers see them: with what they refer to.
type contents struct {
	rows []definition.Row // current ones of all kinds
}

func (s *surface) contents(c *api.Call) (*contents, error) {
	rows, err := s.o.Store.CurrentDefinitions(c.R.Context(), c.Workspace, "")
	return &contents{rows}, err
}

// find is a current definition by kind and slug, nil if there is none.
func (t *contents) find(kind, slug string) *definition.Row {
	for i := range t.rows {
		if r := &t.rows[i]; r.Kind == kind && r.Slug == slug && !r.Deleted {
			return r
		}
	}
	return nil
}

// byID is a current definition by kind and number, nil if there is none.
func (t *contents) byID(kind string, id int64) *definition.Row {
	for i := range t.rows {
		if r := &t.rows[i]; r.Kind == kind && r.ID == id && !r.Deleted {
			return r
		}
	}
	return nil
}

// read describes an email document of a definition, in a language that it has, or as it is itself.
func (t *contents) read(r *definition.Row, name string, doc value.Value, language string) Content {
	flag := func(name string, def bool) bool {
		if b, ok := doc.Get(name).Bool(); ok {
			return b
		}
		return def
	}
	out := Content{
		Name: name, Body: doc.Get("body").Text(), BodyPlain: doc.Get("body_plain").Text(), Type: "email", From: doc.Get("from").Text(),
		ReplyTo: doc.Get("reply_to").Text(), Preprocessor: "premailer", Recipient: doc.Get("to").Text(), Subject: doc.Get("subject").Text(),
		CC: doc.Get("cc").Text(), BCC: doc.Get("bcc").Text(), FakeBCC: flag("fake_bcc", false), PreheaderText: doc.Get("preheader").Text(),
		Headers: headersOf(doc.Get("headers")), SendUnsubbed: flag("send_to_unsubscribed", r.Kind == definition.Transactionals), Tracked: flag("tracked", true),
		SendingState: "automatic", DeduplicateID: dedup(r), CreatedSeconds: r.Created / 1000, UpdatedSeconds: r.Updated / 1000, Language: language,
	}
	if flag("disable_css_preprocessing", false) {
		out.Preprocessor = "none"
	}
	if l := t.find(definition.Layouts, doc.Get("layout").Text()); l != nil {
		out.Layout = l.Body.Get("body").Text()
	}
	if s := t.find(definition.Senders, out.From); s != nil {
		out.FromID, out.From = number(s.ID), senderAddress(s)
		if out.ReplyTo == "" {
			out.ReplyTo = s.Body.Get("reply_to").Text()
		}
	}
	if topic := t.find(definition.Topics, doc.Get("topic").Text()); topic != nil {
		out.TopicID = number(topic.ID)
	}
	if v := doc.Get("languages").Get(language); language != "" && v != nil {
		for _, f := range [...]struct {
			name string
			to   *string
		}{{"subject", &out.Subject}, {"preheader", &out.PreheaderText}, {"body", &out.Body}, {"body_plain", &out.BodyPlain}} {
			if text := v.Get(f.name).Text(); text != "" {
				*f.to = text
			}
		}
	}
	return out
}

// languagesOf are the languages that an email document has besides its own, which is "".
func languagesOf(doc value.Value) []string {
	out := []string{""}
	for code := range doc.Get("languages").Fields() {
		out = append(out, code)
	}
	return out
}

// headersOf is the vendor's form of headers: the JSON text of a list.
func headersOf(v value.Value) string {
	type header struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	list := []header{}
	for name, text := range v.Fields() {
		list = append(list, header{name, text.Text()})
	}
	for h := range v.Elements() {
		list = append(list, header{h.Get("name").Text(), h.Get("value").Text()})
	}
	b, err := json.Marshal(list)
	if err != nil {
		return "[]"
	}
	return string(b)
}

// readOnly are members of Content and its like that a change may repeat and that change nothing.
var readOnly = map[string]bool{
	"id": true, "campaign_id": true, "broadcast_id": true, "transactional_id": true, "newsletter_id": true, "parent_action_id": true, "deduplicate_id": true,
	"name": true, "layout": true, "created": true, "updated": true, "type": true, "language": true, "preprocessor": true, "template_type": true,
}

// written are the members that a change writes, and where they stand in an email document.
var written = map[string]string{
	"body": "body", "body_plain": "body_plain", "subject": "subject", "preheader_text": "preheader", "recipient": "to", "reply_to": "reply_to", "cc": "cc",
	"bcc": "bcc", "from": "from",
}

// words lets an agent change what a message says, and not whom it goes to or comes from.
func words(c *api.Call, in value.Value) error {
	if !c.ByAgent() {
		return nil
	}
	for name := range in.Fields() {
		switch name {
		case "subject", "preheader_text", "body", "body_plain":
		default:
			return fault.Field(name, "is not for agents to change")
		}
	}
	return nil
}

// change is an email document as a request changes it; in a language only what that can say changes.
func (t *contents) change(doc, in value.Value, language string) (value.Value, error) {
	if err := noNUL(in); err != nil {
		return nil, err
	}
	target := doc
	if language != "" {
		target = doc.Get("languages").Get(language)
	}
	for name, v := range in.Fields() {
		var err error
		switch key := written[name]; {
		case language != "" && key != "" && key != "body" && key != "body_plain" && key != "subject" && key != "preheader":
			err = fault.Field(name, "is the same in all languages: change the message itself")
		case key != "":
			target, err = text(target, key, name, v)
		case readOnly[name]:
		case v.Kind() == value.Null && (name == "from_id" || name == "reply_to_id"):
		case name == "from_id":
			target, err = t.from(target, v)
		case name == "headers":
			target, err = headers(target, v)
		case name == "fake_bcc" || name == "tracked" || name == "send_to_unsubscribed":
			if v.Kind() != value.Bool {
				err = fault.Field(name, "must be true or false")
			}
			target = target.With(name, v)
		case name == "sending_state" && v.Text() == "automatic":
		case name == "sending_state":
			err = fault.Field(name, "can only be automatic: a campaign as a whole is a draft or runs")
		case name == "body_amp" && v.Empty():
		default:
			err = fault.Field(name, "cannot be changed")
		}
		if err != nil {
			return nil, err
		}
	}
	if language != "" {
		return doc.With("languages", doc.Get("languages").With(language, target)), nil
	}
	return target, nil
}

func text(doc value.Value, key, name string, v value.Value) (value.Value, error) {
	switch {
	case v.Kind() == value.Null || v.Empty() && key != "subject" && key != "body":
		v = nil
	case v.Kind() != value.String:
		return nil, fault.Field(name, "must be a string")
	}
	return doc.With(key, v), nil
}

func (t *contents) from(doc, v value.Value) (value.Value, error) {
	id, err := strconv.ParseInt(v.Text(), 10, 64)
	sender := t.byID(definition.Senders, id)
	if err != nil || sender == nil {
		return nil, fault.Field("from_id", "is no sender: see GET /v1/sender_identities")
	}
	return doc.With("from", value.Quote(sender.Slug)), nil
}

// headers takes a list of names and values, or the JSON text of one, which is what reads answer.
func headers(doc, v value.Value) (value.Value, error) {
	if v.Kind() == value.String && !v.Empty() {
		parsed, err := value.Parse([]byte(v.Text()))
		if err != nil {
			return nil, fault.Field("headers", "must be a list of objects with name and value")
		}
		v = parsed
	}
	if v.Empty() {
		return doc.With("headers", nil), nil
	}
	if v.Kind() != value.Array {
		return nil, fault.Field("headers", "must be a list of objects with name and value")
	}
	for h := range v.Elements() {
		if h.Get("name").Kind() != value.String || h.Get("value").Kind() != value.String {
			return nil, fault.Field("headers", "must be a list of objects with name and value")
		}
	}
	return doc.With("headers", v), nil
}

// save carries a changed definition out. What is wrong with it is told by the field of the document.
func (s *surface) save(c *api.Call, t *contents, r *definition.Row, body value.Value) error {
	var out value.Builder
	for k, v := range body.Fields() {
		if !strings.HasPrefix(k, "_") {
			out.Set(k, v)
		}
	}
	payload := ingest.DefinePayload{Put: []ingest.Definition{{Kind: r.Kind, Slug: r.Slug, Body: out.Value()}}}
	if err := definition.Check(t.rows, payload); err != nil {
		return err
	}
	return s.carryOut(c, ingest.Define, payload)
}
