package delivery

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"rapport.example/internal/message"
)

// Compose builds the RFC 5322 message that every mail channel hands over, so that the development mailbox shows what a
// mail server would get. The Message-ID follows from the delivery's public id, and so does the boundary: the same mail is
// the same bytes. Nobody can put the boundary into content, as the id is not known before the mail is made.
func Compose(m *message.Mail, env Envelope, now time.Time) (*mail.Msg, error) {
	if len(m.To) == 0 {
		return nil, errors.New("there is no recipient")
	}
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent(), mail.WithBoundary("part-"+env.PublicID))
	if err := msg.From(m.From); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	if err := msg.To(m.To...); err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	if err := msg.Cc(m.CC...); err != nil {
		return nil, fmt.Errorf("cc: %w", err)
	}
	if err := msg.Bcc(m.BCC...); err != nil {
		return nil, fmt.Errorf("bcc: %w", err)
	}
	if m.ReplyTo != "" {
		if err := msg.ReplyTo(m.ReplyTo); err != nil {
			return nil, fmt.Errorf("reply-to: %w", err)
		}
	}
	msg.Subject(m.Subject)
	msg.SetDateWithValue(now)
	msg.SetMessageIDWithValue(env.PublicID + "@" + domain(msg))
	for _, h := range m.Headers {
		msg.SetGenHeader(mail.Header(h.Name), h.Value)
	}
	msg.SetBodyString(mail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(mail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

// domain is the sender's.
func domain(msg *mail.Msg) string {
	for _, a := range msg.GetFrom() {
		if at := strings.LastIndexByte(a.Address, '@'); at >= 0 {
			return a.Address[at+1:]
		}
	}
	return "localhost"
}
