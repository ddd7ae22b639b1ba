package smtp

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// conn is one connection to the mail server, greeted and authenticated.
type conn struct {
	client  *mail.Client // made for this connection alone: it keeps the TCP connection in reach
	session *smtp.Client
	raw     net.Conn
	idle    time.Time // when it was put away
}

// wire takes deadlines away from the library, which only knows fixed times: a send ends with its context.
type wire struct{ net.Conn }

// SetDeadline does nothing.
func (wire) SetDeadline(time.Time) error { return nil }

// past is long ago: reads and writes end at once.
var past = time.Unix(1, 0)

// until lets the connection's reads and writes end with ctx. release ends that; it returns false if ctx was first.
func (k *conn) until(ctx context.Context) (release func() bool) {
	return context.AfterFunc(ctx, func() {
		_ = k.raw.SetDeadline(past) //nolint:errcheck // it fails on a closed connection only
	})
}

// dial connects, greets and authenticates within o.Timeout.
func (c *Channel) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	k, release := &conn{}, func() bool { return true }
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.o.TLSConfig != nil {
		config = c.o.TLSConfig.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = c.o.Host
	}
	dial := func(ctx2 context.Context, network, address string) (net.Conn, error) {
		raw, err := (&net.Dialer{}).DialContext(ctx2, network, address)
		if err != nil {
			return nil, err
		}
		k.raw = raw
		release = k.until(ctx) // ctx2 ends when the library has connected
		if c.o.TLS != Implicit {
			return wire{raw}, nil
		}
		secure := tls.Client(wire{raw}, config)
		return secure, secure.HandshakeContext(ctx2)
	}
	var err error
	if k.client, err = mail.NewClient(c.o.Host, append(c.options(config), mail.WithDialContextFunc(dial))...); err != nil {
		return nil, err
	}
	k.session, err = k.client.DialToSMTPClientWithContext(ctx)
	if err == nil && !release() {
		err = context.DeadlineExceeded
	}
	if err != nil && k.raw != nil {
		_ = k.raw.Close() //nolint:errcheck // it is given up
	}
	return k, err
}

// options are the library's for every connection.
func (c *Channel) options(config *tls.Config) []mail.Option {
	// Where the way is protected, the simplest ways to authenticate are those that every server gets right.
	ways := []mail.SMTPAuthType{mail.SMTPAuthPlain, mail.SMTPAuthLogin, mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthSCRAMSHA1, mail.SMTPAuthCramMD5}
	opts := []mail.Option{mail.WithPort(c.o.Port), mail.WithTimeout(c.o.Timeout), mail.WithTLSConfig(config), mail.WithoutNoop()}
	switch c.o.TLS {
	case Off:
		opts = append(opts, mail.WithTLSPolicy(mail.NoTLS))
		ways[0], ways[1] = mail.SMTPAuthPlainNoEnc, mail.SMTPAuthLoginNoEnc
	case Implicit:
		opts = append(opts, mail.WithSSL())
	case StartTLS:
		opts = append(opts, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if c.o.User != "" {
		opts = append(opts, mail.WithOpportunisticSMTPAuth(ways...), mail.WithUsername(c.o.User), mail.WithPassword(c.o.Password))
	}
	return opts
}

// take returns a kept connection that is young enough to be alive, nil if there is none.
func (c *Channel) take() *conn {
	for {
		select {
		case k := <-c.idle:
			if c.o.Now().Sub(k.idle) < c.o.Keep {
				return k
			}
			k.drop()
		default:
			return nil
		}
	}
}

// keep puts a connection away for the next message.
func (c *Channel) keep(k *conn) {
	k.idle = c.o.Now()
	select {
	case c.idle <- k:
	default:
		k.drop()
	}
}

// drop ends the connection without a word: what there was to say to the server was said.
func (k *conn) drop() {
	_ = k.raw.Close() //nolint:errcheck // it is given up
}
