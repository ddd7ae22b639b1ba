// Package smtp hands mail over to a mail server. Connections are kept and used again.
package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"rapport.example/internal/delivery"
	"rapport.example/internal/fault"
	"rapport.example/internal/message"
)

// Options is a mail server, usually from ParseURL.
type Options struct {
	Host           string
	Port           int
	User, Password string // User "" = no authentication
	TLS            TLS
	Now            func() time.Time
	Timeout        time.Duration // default 20 s: for connecting, and for each message
	TLSConfig      *tls.Config   // default: the system's roots, the server's name checked
	Idle           int           // default 16: connections kept for the next message
}

// TLS says how a connection is protected.
type TLS string

// The protections.
const (
	Off      TLS = "off"      // none, only toward loopback
	StartTLS TLS = "starttls" // asked for on a plain connection, and required
	Implicit TLS = "implicit" // from the first byte
)

// ParseURL reads smtp://user:password@host:port?tls=off|starttls|implicit. Port is 587, or 465 with implicit TLS, if it is
// left out; smtps:// means implicit. Its errors never hold the password.
func ParseURL(raw string) (Options, error) {
	bad := func(format string, args ...any) (Options, error) {
		return Options{}, fault.Field("--smtp-url", format, args...)
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" {
		return bad("must look like smtp://user:password@host:587?tls=starttls")
	}
	o := Options{Host: u.Hostname(), TLS: StartTLS, User: u.User.Username()}
	o.Password, _ = u.User.Password()
	if u.Scheme == "smtps" {
		o.TLS = Implicit
	}
	for k, v := range u.Query() {
		if k != "tls" {
			return bad("knows the parameter tls only")
		}
		o.TLS = TLS(v[len(v)-1])
	}
	switch o.TLS {
	case Off:
		if !loopback(o.Host) {
			return bad("tls=off is for servers on this machine only; use starttls or implicit")
		}
	case StartTLS, Implicit:
	default:
		return bad("tls must be off, starttls or implicit")
	}
	o.Port = 587
	if o.TLS == Implicit {
		o.Port = 465
	}
	if p := u.Port(); p != "" {
		if o.Port, err = strconv.Atoi(p); err != nil || o.Port < 1 || o.Port > 65535 {
			return bad("the port must be 1 to 65535")
		}
	}
	return o, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Channel sends through one mail server. It is safe for concurrent use.
type Channel struct {
	o      Options
	client *mail.Client
	idle   chan *smtp.Client
}

// New returns a channel; it does not connect yet.
func New(o Options) (*Channel, error) {
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Second
	}
	if o.Idle == 0 {
		o.Idle = 16
	}
	opts := []mail.Option{mail.WithPort(o.Port), mail.WithTimeout(o.Timeout), mail.WithoutNoop()}
	switch o.TLS {
	case Off:
		opts = append(opts, mail.WithTLSPolicy(mail.NoTLS))
	case Implicit:
		opts = append(opts, mail.WithSSL())
	default:
		opts = append(opts, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if o.TLSConfig != nil {
		opts = append(opts, mail.WithTLSConfig(o.TLSConfig))
	}
	if o.User != "" {
		auth := mail.SMTPAuthAutoDiscover
		if o.TLS == Off {
			auth = mail.SMTPAuthPlainNoEnc
		}
		opts = append(opts, mail.WithSMTPAuth(auth), mail.WithUsername(o.User), mail.WithPassword(o.Password))
	}
	c, err := mail.NewClient(o.Host, opts...)
	if err != nil {
		return nil, fmt.Errorf("set up SMTP: %w", err)
	}
	return &Channel{o: o, client: c, idle: make(chan *smtp.Client, o.Idle)}, nil
}

// Send is part of delivery.Channel. A kept connection that turns out to be dead before the message was begun is replaced
// once; nothing else is tried twice.
func (c *Channel) Send(ctx context.Context, m *message.Mail, env delivery.Envelope) delivery.Receipt {
	msg, err := delivery.Compose(m, env, c.o.Now())
	if err != nil {
		return delivery.Receipt{State: delivery.Failed, Reason: "the message is not valid: " + err.Error()}
	}
	select {
	case conn := <-c.idle:
		r, stale := c.over(conn, msg, true)
		if !stale {
			return r
		}
	default:
	}
	if ctx.Err() != nil {
		return delivery.Receipt{State: delivery.Queued, Reason: "no time was left to send it"}
	}
	conn, err := c.client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return delivery.Receipt{State: delivery.Queued, Reason: "the mail server cannot be reached: " + c.plain(err)}
	}
	r, _ := c.over(conn, msg, false)
	return r
}

// over sends on one connection and keeps it if it is still good. stale says that a kept connection was dead already.
func (c *Channel) over(conn *smtp.Client, msg *mail.Msg, kept bool) (r delivery.Receipt, stale bool) {
	err := c.client.SendWithSMTPClient(conn, msg)
	r, good := c.receipt(err, msg)
	if good {
		select {
		case c.idle <- conn:
			return r, false
		default:
		}
	}
	_ = conn.Close() //nolint:errcheck // the answer is known; the connection is given up
	var se *mail.SendError
	stale = kept && errors.As(err, &se) && se.ErrorCode() == 0 && (se.Reason == mail.ErrConnCheck || se.Reason == mail.ErrSMTPMailFrom)
	return r, stale
}

// receipt reads the server's answer. good says that the connection can be used again.
func (c *Channel) receipt(err error, msg *mail.Msg) (r delivery.Receipt, good bool) {
	var se *mail.SendError
	switch {
	case err == nil:
		return delivery.Receipt{State: delivery.Sent}, true
	case msg.IsDelivered(): // the server took it; only what follows went wrong
		return delivery.Receipt{State: delivery.Sent}, false
	case !errors.As(err, &se):
		return delivery.Receipt{State: delivery.Queued, Reason: "the mail server cannot be reached: " + c.plain(err)}, false
	}
	why := c.plain(err)
	if code := se.EnhancedStatusCode(); code != "" && !strings.Contains(why, code) {
		why = code + " " + why
	}
	answered := se.ErrorCode() != 0
	switch {
	case se.Reason == mail.ErrSMTPDataClose && !answered:
		return delivery.Receipt{State: delivery.OutcomeUnknown, Reason: "the connection broke after the message was handed over: " + why}, false
	case !answered || se.IsTemp() || se.ErrorCode() < 500:
		return delivery.Receipt{State: delivery.Queued, Reason: why}, answered && se.Reason != mail.ErrWriteContent
	case se.Reason == mail.ErrSMTPRcptTo:
		return delivery.Receipt{State: delivery.Bounced, Reason: why}, true
	}
	return delivery.Receipt{State: delivery.Failed, Reason: why}, false
}

// plain is an error's text without the password and without addresses that a server may have repeated at length.
func (c *Channel) plain(err error) string {
	var se *mail.SendError
	s := err.Error()
	if errors.As(err, &se) {
		if cause := errors.Unwrap(se); cause != nil {
			s = cause.Error()
		}
		if i := strings.Index(s, ", affected recipient(s)"); i >= 0 {
			s = s[:i]
		}
		if i := strings.Index(s, ", affected message ID"); i >= 0 {
			s = s[:i]
		}
	}
	if c.o.Password != "" {
		s = strings.ReplaceAll(s, c.o.Password, "[hidden]")
	}
	const most = 500
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Close ends the kept connections.
func (c *Channel) Close() {
	for {
		select {
		case conn := <-c.idle:
			_ = conn.Quit() //nolint:errcheck // a polite goodbye, nothing hangs on it
		default:
			return
		}
	}
}
