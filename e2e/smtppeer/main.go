// Command smtppeer is a mail server for tests: it prints its address, and then every mail that it gets as one JSON line.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/emersion/go-smtp"
)

type peer struct{ mu sync.Mutex }

// NewSession is part of smtp.Backend.
func (p *peer) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{p: p}, nil }

type session struct {
	p *peer
	m mail
}

// mail is one line of output.
type mail struct {
	From string   `json:"from"`
	To   []string `json:"to"`
	Data string   `json:"data"`
}

// Mail is part of smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.m.From = from
	return nil
}

// Rcpt is part of smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.m.To = append(s.m.To, to)
	return nil
}

// Data is part of smtp.Session.
func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.m.Data = string(b)
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return json.NewEncoder(os.Stdout).Encode(s.m)
}

// Reset is part of smtp.Session.
func (s *session) Reset() { s.m = mail{} }

// Logout is part of smtp.Session.
func (s *session) Logout() error { return nil }

func main() {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "smtppeer:", err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	s := smtp.NewServer(&peer{})
	s.Domain, s.AllowInsecureAuth = "localhost", true
	if err := s.Serve(l); err != nil {
		fmt.Fprintln(os.Stderr, "smtppeer:", err)
		os.Exit(1)
	}
}
