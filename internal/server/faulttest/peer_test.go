package faulttest

import (
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

// peer is a mail server. While it stalls it takes messages in whole and answers nothing.
type peer struct {
	url string

	mu    sync.Mutex
	mails []mail
	stall chan struct{} // nil = it answers
}

type mail struct{ to, data string }

func newPeer(t *testing.T) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // on loopback at once
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{url: "smtp://" + l.Addr().String() + "?tls=off"}
	s := smtp.NewServer(p)
	s.Domain = "localhost"
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }() // it ends by Close
	t.Cleanup(func() {
		p.answerAgain()
		_ = s.Close() // connections are cut, which is what it is for
		<-done
	})
	return p
}

// stallNow lets the peer answer no more messages until answerAgain.
func (p *peer) stallNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stall = make(chan struct{})
}

func (p *peer) answerAgain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stall != nil {
		close(p.stall)
		p.stall = nil
	}
}

// to counts the mails that an address got with a subject.
func (p *peer) to(address, subject string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.mails {
		if m.to == address && strings.Contains(m.data, "Subject: "+subject) {
			n++
		}
	}
	return n
}

// twice lists who got a mail with this subject more than once.
func (p *peer) twice(subject string) (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := map[string]int{}
	for _, m := range p.mails {
		if strings.Contains(m.data, "Subject: "+subject) {
			if seen[m.to]++; seen[m.to] == 2 {
				out = append(out, m.to)
			}
		}
	}
	slices.Sort(out)
	return out
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
	return nil
}

// Data is part of smtp.Session.
func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.p.mu.Lock()
	s.p.mails = append(s.p.mails, mail{s.to, string(b)})
	stall := s.p.stall
	s.p.mu.Unlock()
	if stall != nil {
		<-stall
	}
	return nil
}

// Reset is part of smtp.Session.
func (s *session) Reset() {}

// Logout is part of smtp.Session.
func (s *session) Logout() error { return nil }
