package smtp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"rapport.example/internal/delivery/deliverytest"
)

const password = "correct-horse-battery"

// peer is a mail server that behaves as it is told.
type peer struct {
	t         testing.TB
	server    *gosmtp.Server
	address   *net.TCPAddr
	behaviour atomic.Int64
	taken     atomic.Int64
	conns     atomic.Int64
	end       chan struct{} // closed when the test is over: ends what hangs

	mu   sync.Mutex
	last []byte
	to   []string
}

// listen starts a peer; implicit makes it speak TLS from the first byte.
func listen(t testing.TB, config *tls.Config, implicit bool) *peer {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.WithoutCancel(t.Context()), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, address: l.Addr().(*net.TCPAddr), end: make(chan struct{})}
	p.server = gosmtp.NewServer(p)
	p.server.Domain, p.server.TLSConfig, p.server.ErrorLog = "peer.example", config, log.New(io.Discard, "", 0)
	if implicit {
		l = tls.NewListener(l, config)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.server.Serve(l) // it ends with the test
	}()
	t.Cleanup(func() {
		close(p.end)
		_ = p.server.Close()
		_ = l.Close() // a server that has not begun to serve does not know it yet
		<-done
	})
	return p
}

// NewSession is part of gosmtp.Backend.
func (p *peer) NewSession(c *gosmtp.Conn) (gosmtp.Session, error) {
	if p.is(deliverytest.Unreachable) {
		return nil, &gosmtp.SMTPError{Code: 421, EnhancedCode: gosmtp.EnhancedCode{4, 3, 2}, Message: "not now"}
	}
	p.conns.Add(1)
	return &session{peer: p, conn: c}, nil
}

func (p *peer) is(b deliverytest.Behaviour) bool {
	return deliverytest.Behaviour(p.behaviour.Load()) == b
}

// options are for a channel to the peer.
func (p *peer) options() Options {
	return Options{Host: "127.0.0.1", Port: p.address.Port, TLS: Off, Now: time.Now}
}

func open(t testing.TB, o Options) *Channel {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

type session struct {
	peer *peer
	conn *gosmtp.Conn
	to   []string
}

func (s *session) Reset()        { s.to = nil }
func (s *session) Logout() error { return nil }

func (s *session) Mail(string, *gosmtp.MailOptions) error {
	switch p := s.peer; {
	case p.is(deliverytest.Unreachable): // a connection from before
		_ = s.conn.Conn().Close()
	case p.is(deliverytest.Hang):
		<-p.end
	}
	return nil
}

func (s *session) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	switch p := s.peer; {
	case p.is(deliverytest.RefuseAddress):
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	case p.is(deliverytest.Break):
		_ = s.conn.Conn().Close()
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	p := s.peer
	switch {
	case p.is(deliverytest.TryLater):
		_, _ = io.Copy(io.Discard, r)
		return &gosmtp.SMTPError{Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 7, 1}, Message: "greylisted, come back"}
	case p.is(deliverytest.RefuseWithSecret):
		_, _ = io.Copy(io.Discard, r)
		return &gosmtp.SMTPError{Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 3, 0}, Message: "your password is " + password}
	case p.is(deliverytest.RefuseMessage):
		_, _ = io.Copy(io.Discard, r)
		return &gosmtp.SMTPError{Code: 554, EnhancedCode: gosmtp.EnhancedCode{5, 7, 1}, Message: "looks like spam"}
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	switch {
	case p.is(deliverytest.HangAtTheEnd):
		<-p.end
		return nil
	case p.is(deliverytest.BreakAtTheEnd):
		return s.conn.Conn().Close()
	}
	p.mu.Lock()
	p.last, p.to = b, s.to
	p.mu.Unlock()
	p.taken.Add(1)
	return nil
}

// certificate is one for 127.0.0.1, with what trusts it.
func certificate(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "peer"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}
