package message

import (
	"fmt"
	"net/mail"
	"strings"

	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

// addresses fills in who the mail is from and who gets it. An event's recipient, from_address and reply_to go before what
// the author wrote; they are data, never Liquid.
func (r *rendering) addresses(m *Mail, from *Sender, event value.Value) error {
	e := r.email
	if err := r.sender(m, from, override(event, "from_address")); err != nil {
		return err
	}
	to, err := r.list("to", e.To, override(event, "recipient"))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoAddress, err)
	}
	if len(to) == 0 {
		return ErrNoAddress
	}
	m.To = to
	if m.CC, err = r.list("cc", e.CC, ""); err != nil {
		return err
	}
	if m.BCC, err = r.list("bcc", e.BCC, ""); err != nil {
		return err
	}
	if n := len(m.To) + len(m.CC) + len(m.BCC); n > MaxRecipients {
		return fault.Field("to", "to, cc and bcc together hold %d addresses, more than %d", n, MaxRecipients)
	}
	reply, own := e.ReplyTo, override(event, "reply_to")
	if reply == "" && own == "" && from != nil {
		own = from.ReplyTo
	}
	m.ReplyTo, err = r.one("reply_to", reply, own)
	return err
}

func (r *rendering) sender(m *Mail, from *Sender, own string) (err error) {
	switch {
	case own == "" && from != nil:
		m.From = (&mail.Address{Name: from.Name, Address: from.Email}).String()
		return nil
	case own == "" && r.email.From != "" && !strings.ContainsAny(r.email.From, "@{"):
		return fault.Field("from", "there is no sender %s", r.email.From)
	}
	if m.From, err = r.one("from", r.email.From, own); err == nil && m.From == "" {
		return fault.Field("from", "must be an address")
	}
	return err
}

// override is a member of the event's data, if it is text.
func override(event value.Value, name string) string {
	if v := event.Get(name); v.Kind() == value.String {
		return strings.TrimSpace(v.Text())
	}
	return ""
}

// list renders a list of addresses, or takes own as it is.
func (r *rendering) list(name, text, own string) ([]string, error) {
	line, err := own, error(nil)
	if own == "" {
		if line, err = r.line(name, text); err != nil {
			return nil, err
		}
	}
	if strings.Trim(line, " ,") == "" {
		return nil, nil
	}
	parsed, err := mail.ParseAddressList(line)
	if err != nil {
		return nil, fault.Field(name, "holds something that is no email address")
	}
	out := make([]string, 0, len(parsed))
	for _, a := range parsed {
		text := a.String()
		if strings.ContainsFunc(text, control) {
			return nil, fault.Field(name, "holds something that is no email address")
		}
		out = append(out, text)
	}
	return out, nil
}

func (r *rendering) one(name, text, own string) (string, error) {
	list, err := r.list(name, text, own)
	switch {
	case err != nil:
		return "", err
	case len(list) > 1:
		return "", fault.Field(name, "must be one address")
	case len(list) == 0:
		return "", nil
	}
	return list[0], nil
}
