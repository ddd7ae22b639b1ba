// Package smtp hands mail over to a mail server. Connections are kept and used again.
package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"rapport.example/internal/delivery"
	"rapport.example/internal/message"
)

// Options is a mail server, usually from ParseURL.
type Options struct {
	Host           string
	Port           int
	User, Password string // User "" = no authentication
	TLS            TLS
	Now            func() time.Time // required
	Timeout        time.Duration    // default 20 s: until a connection is greeted and authenticated
	TLSConfig      *tls.Config      // default: the system's roots, the server's name checked
	Idle           int              // default 16: connections kept for the next message
	Keep           time.Duration    // default 30 s: for how long; servers end idle connections, some without a word
}

// Channel sends through one mail server. It is safe for concurrent use and opens as many connections as there are
// senders.
type Channel struct {
	o       Options
	idle    chan *conn
	secrets *strings.Replacer
}

// New returns a channel; it does not connect yet.
func New(o Options) (*Channel, error) {
	if o.Host == "" || o.Now == nil {
		return nil, errors.New("set up SMTP: a host and a clock are needed")
	}
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Second
	}
	if o.Idle == 0 {
		o.Idle = 16
	}
	if o.Keep == 0 {
		o.Keep = 30 * time.Second
	}
	return &Channel{o: o, idle: make(chan *conn, o.Idle), secrets: hide(o.User, o.Password)}, nil
}

// Send is part of delivery.Channel. A kept connection that turns out to be dead before the message was begun is replaced
// once; nothing else is tried twice. When ctx ends, Send returns at once and gives the connection up.
func (c *Channel) Send(ctx context.Context, m *message.Mail, env delivery.Envelope) delivery.Receipt {
	msg, err := delivery.Compose(m, env, c.o.Now())
	if err != nil {
		return delivery.Receipt{State: delivery.Failed, Reason: "the message is not valid: " + err.Error()}
	}
	if k := c.take(); k != nil && ctx.Err() == nil {
		if v := c.over(ctx, k, msg); !v.stale {
			return v.Receipt
		}
	} else if k != nil {
		c.keep(k)
	}
	if ctx.Err() != nil {
		return delivery.Receipt{State: delivery.Queued, Reason: "no time was left to send it"}
	}
	k, err := c.dial(ctx)
	if err != nil {
		return delivery.Receipt{State: delivery.Queued, Reason: c.unreachable(err)}
	}
	return c.over(ctx, k, msg).Receipt
}

// over sends on one connection and keeps it if it is still good.
func (c *Channel) over(ctx context.Context, k *conn, msg *mail.Msg) verdict {
	release := k.until(ctx)
	v := c.judge(k.client.SendWithSMTPClient(k.session, msg), msg.IsDelivered())
	if release() && v.good {
		c.keep(k)
	} else {
		k.drop()
	}
	return v
}

// Close ends the kept connections. A Send after it opens a new one.
func (c *Channel) Close() {
	for {
		select {
		case k := <-c.idle:
			k.drop()
		default:
			return
		}
	}
}
