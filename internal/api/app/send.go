package app

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/message"
	"rapport.example/internal/value"
)

// Bounds of a send.
const (
	maxRecipients = 15
	maxAhead      = 90 * 24 * time.Hour
)

func (s *surface) sends() []api.Route {
	list := []api.Route{{
		Method: http.MethodPost, Path: "/v1/send/email", Auth: api.AppKey, Limit: api.LimitSend, Shape: api.MetaError, MaxBody: MaxSend,
		Request: SendRequest{}, Response: SendAnswer{}, Handler: s.sendEmail, Doc: "Sends a transactional email.",
	}}
	for _, channel := range [...]string{"push", "sms", "whatsapp", "in_app", "inbox_message"} {
		r := unsupported(http.MethodPost, "/v1/send/"+channel)
		r.Limit, r.Shape = api.LimitSend, api.MetaError
		list = append(list, r)
	}
	return list
}

func (s *surface) sendEmail(c *api.Call) error {
	v, err := c.Object()
	if err != nil {
		return err
	}
	if err := noNUL(v); err != nil {
		return err
	}
	p, err := readSend(v, c.Now)
	if err != nil {
		return err
	}
	if err := s.content(c, v, &p); err != nil {
		return err
	}
	if err := renderable(&p); err != nil {
		return err
	}
	o, err := op(c, ingest.Send, p)
	if err != nil {
		return err
	}
	if _, err := s.accept(c, &o); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, SendAnswer{
		DeliveryID: id.Delivery(s.o.Secret, c.Workspace, "op:"+o.ID), QueuedAt: c.Now.Unix(), SendAt: p.SendAt,
	})
}

// content finds the template and the sender that the request names, and asks for what is missing without a template.
func (s *surface) content(c *api.Call, v value.Value, p *ingest.SendPayload) error {
	ref := v.Get("transactional_message_id")
	numbered := v.Get("from").Kind() == value.Number
	if ref.Empty() {
		for _, f := range [...]struct{ name, value string }{{"body", p.Body}, {"subject", p.Subject}, {"from", p.From}} {
			if f.value == "" {
				return fault.Field(f.name, "is required without transactional_message_id")
			}
		}
	}
	if ref.Empty() && strings.Contains(p.From, "@") {
		return nil // nothing to look up, so that a send does not need the database
	}
	rows, err := s.o.Store.CurrentDefinitions(c.R.Context(), c.Workspace, "")
	if err != nil {
		return err
	}
	if !ref.Empty() {
		if p.Transactional, err = template(ref, rows); err != nil {
			return err
		}
	}
	if p.From == "" || strings.Contains(p.From, "@") || strings.Contains(p.From, "{{") {
		return nil
	}
	for i := range rows {
		r := &rows[i]
		if r.Kind == definition.Senders && (r.Slug == p.From || numbered && strconv.FormatInt(r.ID, 10) == p.From) {
			p.From = r.Slug
			return nil
		}
	}
	return fault.Field("from", "is neither an email address nor a sender")
}

// renderable refuses content that can never be rendered: Liquid that does not parse, fields that are too long. What the
// template brings was checked when it was saved; here "-" stands for it.
func renderable(p *ingest.SendPayload) error {
	var doc, headers value.Builder
	for _, f := range [...]struct{ name, text string }{
		{"from", p.From},
		{"to", p.To},
		{"subject", cmp.Or(p.Subject, "-")},
		{"body", cmp.Or(p.Body, "-")},
		{"body_plain", p.BodyPlain},
		{"preheader", p.Preheader},
		{"reply_to", p.ReplyTo},
		{"cc", p.CC},
		{"bcc", p.BCC},
	} {
		if f.text != "" {
			doc.Set(f.name, value.Quote(f.text))
		}
	}
	for name, text := range p.Headers {
		headers.Set(name, value.Quote(text))
	}
	if len(p.Headers) > 0 {
		doc.Set("headers", headers.Value())
	}
	_, err := message.ParseEmail(doc.Value(), "")
	return err
}

// template finds a transactional message by number, author's id or name, the last two in any case.
func template(ref value.Value, rows []definition.Row) (int64, error) {
	text := strings.TrimSpace(ref.Text())
	n, numeric := int64(0), false
	switch ref.Kind() {
	case value.Number, value.String:
		var err error
		n, err = strconv.ParseInt(text, 10, 64)
		numeric = err == nil
	default:
		return 0, fault.Field("transactional_message_id", "must be an integer or a name")
	}
	if ref.Kind() == value.Number && !numeric {
		return 0, fault.Field("transactional_message_id", "must be an integer or a name")
	}
	named := int64(0)
	for i := range rows {
		r := &rows[i]
		switch {
		case r.Kind != definition.Transactionals:
		case numeric && r.ID == n, strings.EqualFold(r.Slug, text):
			return r.ID, nil
		case named == 0 && strings.EqualFold(r.Body.Get("name").Text(), text):
			named = r.ID
		}
	}
	if named == 0 {
		return 0, fault.Field("transactional_message_id", "names no transactional message")
	}
	return named, nil
}
