// Package mailbox is the development mailbox: a channel that keeps mail where people can look at it, instead of sending it.
package mailbox

import (
	"bytes"
	"context"
	"strings"

	"rapport.example/internal/delivery"
	"rapport.example/internal/message"
)

// Mail is one mail in the mailbox.
type Mail struct {
	Workspace         int64
	Delivery          int64
	Person            uint32
	Sender, Recipient string
	Subject           string
	Source            []byte // RFC 5322
	Created           int64  // Unix ms of the workspace's clock
}

// Channel keeps mail. Addresses whose domain starts with "bounce." are refused, so that bounces can be tried out.
type Channel struct {
	Save func(ctx context.Context, m Mail) error
}

// Send is part of delivery.Channel.
func (c *Channel) Send(ctx context.Context, m *message.Mail, env delivery.Envelope) delivery.Receipt {
	to := make([]string, len(m.To))
	for i := range m.To {
		to[i] = delivery.Address(m.To[i])
	}
	for _, to := range to {
		if i := strings.LastIndexByte(to, '@'); i >= 0 && strings.HasPrefix(strings.ToLower(to[i+1:]), "bounce.") {
			return delivery.Receipt{State: delivery.Bounced, Reason: "550 5.1.1 no such mailbox (the development mailbox refuses bounce.*)"}
		}
	}
	msg, err := delivery.Compose(m, env, env.At)
	if err != nil {
		return delivery.Receipt{State: delivery.Failed, Reason: "the message is not valid: " + err.Error()}
	}
	var b bytes.Buffer
	if _, err := msg.WriteTo(&b); err != nil {
		return delivery.Receipt{State: delivery.Failed, Reason: "the message is not valid: " + err.Error()}
	}
	err = c.Save(ctx, Mail{
		Workspace: env.Workspace, Delivery: env.Delivery, Person: env.Person, Sender: m.From, Recipient: strings.Join(to, ", "),
		Subject: m.Subject, Source: b.Bytes(), Created: env.At.UnixMilli(),
	})
	if err != nil {
		return delivery.Receipt{State: delivery.Queued, Reason: "the mailbox could not be written"}
	}
	return delivery.Receipt{State: delivery.Sent}
}
