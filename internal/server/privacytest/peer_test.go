package privacytest

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

// peer is a mail server that says what servers say, addresses included. A recipient's local part tells it what to do:
// bounce, later, broken; anybody else's mail is taken, at once or when the peer is let go.
type peer struct {
	addr string

	mu    sync.Mutex
	taken int
	held  chan struct{} // nil = it does not hold mails
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{addr: l.Addr().String()}
	s := smtp.NewServer(p)
	s.Domain = "localhost"
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() {
		p.letGo()
		_ = s.Close()
		<-done
	})
	return p
}

// hold makes the peer wait with its answer to a whole mail until letGo.
func (p *peer) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = make(chan struct{})
}

func (p *peer) letGo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != nil {
		close(p.held)
		p.held = nil
	}
}

func (p *peer) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

// NewSession is part of smtp.Backend.
func (p *peer) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{p: p}, nil }

type session struct {
	p  *peer
	to string
}

// Mail is part of smtp.Session.
func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt is part of smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	switch {
	case strings.HasPrefix(to, "bounce"):
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: fmt.Sprintf("<%s>: no such user here", to)}
	case strings.HasPrefix(to, "later"):
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: fmt.Sprintf("<%s>: greylisted", to)}
	}
	return nil
}

// Data is part of smtp.Session.
func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.p.mu.Lock()
	s.p.taken++
	held := s.p.held
	s.p.mu.Unlock()
	if held != nil {
		<-held
	}
	if strings.HasPrefix(s.to, "broken") {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: fmt.Sprintf("mail of %d bytes for %s refused: %.200q", len(b), s.to, b)}
	}
	return nil
}

// Reset is part of smtp.Session.
func (s *session) Reset() {}

// Logout is part of smtp.Session.
func (s *session) Logout() error { return nil }
