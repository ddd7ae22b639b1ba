package bench

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// sink is a mail server that notes how long ago the moment in each mail's subject was.
type sink struct {
	addr   string
	server *smtp.Server
	served chan error

	mu   sync.Mutex
	took []time.Duration
	odd  int // mails without a moment
}

func newSink() (*sink, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{addr: l.Addr().String(), served: make(chan error, 1)}
	s.server = smtp.NewServer(s)
	s.server.Domain, s.server.AllowInsecureAuth = "localhost", true
	go func() { s.served <- s.server.Serve(l) }()
	return s, nil
}

func (s *sink) close() error {
	err := s.server.Close()
	if served := <-s.served; !errors.Is(served, smtp.ErrServerClosed) && !errors.Is(served, net.ErrClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// reset forgets the mails so far and returns what was noted of them.
func (s *sink) reset() (took []time.Duration, odd int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	took, odd = s.took, s.odd
	s.took, s.odd = nil, 0
	return took, odd
}

// NewSession is part of smtp.Backend.
func (s *sink) NewSession(*smtp.Conn) (smtp.Session, error) { return session{s}, nil }

type session struct{ s *sink }

// Mail is part of smtp.Session.
func (session) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt is part of smtp.Session.
func (session) Rcpt(string, *smtp.RcptOptions) error { return nil }

// Reset is part of smtp.Session.
func (session) Reset() {}

// Logout is part of smtp.Session.
func (session) Logout() error { return nil }

// Data is part of smtp.Session. The mail counts when its last line has come.
func (m session) Data(r io.Reader) error {
	in := bufio.NewReader(r)
	var sent int64
	for {
		line, err := in.ReadString('\n')
		if text, ok := strings.CutPrefix(line, "Subject: "+subjectWord+" "); ok {
			sent, _ = strconv.ParseInt(strings.TrimSpace(text), 10, 64) //nolint:errcheck // 0 is counted as odd
		}
		if err != nil || strings.TrimSpace(line) == "" {
			break
		}
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	took := time.Since(time.UnixMicro(sent))
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if sent == 0 {
		m.s.odd++
	} else {
		m.s.took = append(m.s.took, took)
	}
	return nil
}
