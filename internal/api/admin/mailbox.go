package admin

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/jhillyerd/enmime"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
)

type (
	// MailMessage is a mail of the development mailbox, taken apart.
	MailMessage struct {
		ID         int64             `json:"id"`
		To         string            `json:"to"`
		From       string            `json:"from"`
		Subject    string            `json:"subject"`
		HTML       string            `json:"html"`
		Text       string            `json:"text"`
		Headers    map[string]string `json:"headers"` // decoded; values of one name joined by ", "
		DeliveryID string            `json:"delivery_id"`
		CreatedAt  int64             `json:"created_at"` // Unix seconds; see Mail.Created
	}

	// MailboxAnswer is a page of mails.
	MailboxAnswer struct {
		Messages []MailMessage `json:"messages"`
		Next     string        `json:"next"`
	}
)

func (s *Surface) mailbox(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	limit, err := c.Limit()
	if err != nil {
		return err
	}
	q := MailQuery{To: c.Query("to"), Delivery: c.Query("delivery_id"), Source: true, Limit: limit + 1}
	list := api.List{Name: "mailbox", Workspace: w.ID, Filter: q.To + "\x00" + q.Delivery}
	if q.From, err = s.position(c, list, 0); err != nil {
		return err
	}
	mails, err := s.o.Store.Mails(c.R.Context(), w.ID, q)
	if err != nil {
		return err
	}
	out := MailboxAnswer{Messages: []MailMessage{}}
	if len(mails) > limit {
		out.Next = s.next(list, mails[limit].ID)
		mails = mails[:limit]
	}
	for i := range mails {
		out.Messages = append(out.Messages, takeApart(&mails[i]).MailMessage)
	}
	return c.JSON(http.StatusOK, out)
}

func (s *Surface) mail(c *api.Call) error {
	id, err := c.ParamID("id")
	if err != nil {
		return err
	}
	m, err := s.o.Store.Mail(c.R.Context(), 0, id)
	if err == nil && m == nil {
		err = fault.New(fault.NotFound, "there is no such mail")
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, takeApart(m).MailMessage)
}

// parts is a mail with its headers in order.
type parts struct {
	MailMessage
	order []header
}

type header struct{ Name, Value string }

// takeApart parses a mail. One that is not well-formed shows what there is: its source as text.
func takeApart(m *Mail) parts {
	out := parts{MailMessage: MailMessage{
		ID: m.ID, To: m.To, From: m.From, Subject: m.Subject, Headers: map[string]string{}, DeliveryID: m.Delivery, CreatedAt: m.Created / 1000,
	}}
	env, err := enmime.ReadEnvelope(bytes.NewReader(m.Source))
	if err != nil {
		out.Text = strings.ToValidUTF8(string(m.Source), "\uFFFD")
		return out
	}
	out.HTML, out.Text = env.HTML, env.Text
	seen := map[string]bool{}
	for _, name := range headerNames(m.Source) {
		if key := strings.ToLower(name); seen[key] {
			continue
		} else {
			seen[key] = true
		}
		values := env.GetHeaderValues(name)
		for _, v := range values {
			out.order = append(out.order, header{name, v})
		}
		out.Headers[name] = strings.Join(values, ", ")
	}
	return out
}

// headerNames lists the names of a message's headers in order, as written.
func headerNames(source []byte) []string {
	var out []string
	for line := range bytes.Lines(source) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if name, _, ok := bytes.Cut(line, []byte(":")); ok && line[0] != ' ' && line[0] != '\t' {
			out = append(out, string(name))
		}
	}
	return out
}
