package smtp

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jhillyerd/enmime"

	"rapport.example/internal/delivery"
	"rapport.example/internal/delivery/deliverytest"
	"rapport.example/internal/message"
)

func TestChannel(t *testing.T) {
	t.Parallel()
	deliverytest.Channel(t, func(t testing.TB) deliverytest.Far {
		t.Helper()
		p := listen(t, nil, false)
		o := p.options()
		o.Password = password // no user, so it is not used; a server may still say it
		return deliverytest.Far{
			Channel: open(t, o), Secrets: []string{password},
			Behave: func(b deliverytest.Behaviour) bool { p.behaviour.Store(int64(b)); return true },
			Taken:  func() int { return int(p.taken.Load()) },
		}
	})
}

// TestSource holds what a mail server gets: the same message as was asked for, to every address, BCC in no header.
func TestSource(t *testing.T) {
	t.Parallel()
	p := listen(t, nil, false)
	o := p.options()
	o.Now = func() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }
	m := &message.Mail{
		From: "=?utf-8?q?J=C3=BCrgen_=22J=22?= <hello@acme.example>", ReplyTo: "<help@acme.example>",
		To: []string{`"Ada, Countess" <ada@example.com>`}, CC: []string{"<cc@example.com>"}, BCC: []string{"<bcc@example.com>"},
		Subject: "Grüße – " + strings.Repeat("ein langer Betreff ", 8), Text: "Hallo Jürgen\n.\n..ende\n" + strings.Repeat("ä", 2000) + "\n",
		HTML:    "<p>Hallo Jürgen</p>\n.\n",
		Headers: []message.Header{{Name: "List-Unsubscribe", Value: "<https://example.com/e/u/x>"}, {Name: "X-Own", Value: "1"}},
	}
	env := delivery.Envelope{PublicID: "dGVzdA"}
	if r := open(t, o).Send(t.Context(), m, env); r.State != delivery.Sent {
		t.Fatalf("Send() = %s, %q", r.State, r.Reason)
	}
	if diff := cmp.Diff([]string{"ada@example.com", "cc@example.com", "bcc@example.com"}, p.to); diff != "" {
		t.Errorf("recipients (-want +got):\n%s", diff)
	}
	e, err := enmime.ReadEnvelope(bytes.NewReader(p.last))
	if err != nil {
		t.Fatal(err)
	}
	text := func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }
	got := map[string]string{"text": text(e.Text), "html": text(e.HTML), "bcc": e.GetHeader("Bcc")}
	for _, h := range []string{"Subject", "Reply-To", "Date", "Message-ID", "List-Unsubscribe", "X-Own", "Cc"} {
		got[h] = e.GetHeader(h)
	}
	want := map[string]string{
		"text": m.Text, "html": m.HTML, "bcc": "", "Subject": m.Subject, "Reply-To": "<help@acme.example>",
		"Date": "Wed, 04 Mar 2026 05:06:07 +0000", "Message-ID": "<dGVzdA@acme.example>", "List-Unsubscribe": "<https://example.com/e/u/x>",
		"X-Own": "1", "Cc": "<cc@example.com>",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	for _, h := range []struct{ name, want string }{{"From", `Jürgen "J"`}, {"To", "Ada, Countess"}} {
		list, err := mail.ParseAddressList(e.Root.Header.Get(h.name))
		if err != nil || list[0].Name != h.want {
			t.Errorf("%s = %v, %v, want %s", h.name, list, err, h.want)
		}
	}
	for _, line := range bytes.Split(p.last, []byte("\r\n")) {
		if len(line) > 998 || bytes.ContainsFunc(line, func(r rune) bool { return r > 126 }) {
			t.Errorf("line of %d bytes: %.80q", len(line), line)
		}
	}
}

type pair struct{ server, client *tls.Config }

func TestTLS(t *testing.T) {
	t.Parallel()
	server, client := certificate(t)
	for _, tt := range []struct {
		name     string
		config   *pair
		tls      TLS
		implicit bool
		want     delivery.State
		reason   string
	}{
		{"starttls", &pair{server, client}, StartTLS, false, delivery.Sent, ""},
		{"implicit", &pair{server, client}, Implicit, true, delivery.Sent, ""},
		{"starttls not offered", &pair{nil, client}, StartTLS, false, delivery.Queued, "does not support STARTTLS"},
		{"unknown certificate", &pair{server, nil}, StartTLS, false, delivery.Queued, "certificate"},
		{"unknown certificate, implicit", &pair{server, nil}, Implicit, true, delivery.Queued, "certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := listen(t, tt.config.server, tt.implicit)
			o := p.options()
			o.TLS, o.TLSConfig = tt.tls, tt.config.client
			c := open(t, o)
			for range 2 {
				r := c.Send(t.Context(), deliverytest.Mail(), deliverytest.Envelope(1))
				if r.State != tt.want || !strings.Contains(r.Reason, tt.reason) {
					t.Errorf("Send() = %s, %q, want %s, %q", r.State, r.Reason, tt.want, tt.reason)
				}
			}
			if tt.want != delivery.Sent && p.taken.Load() != 0 {
				t.Error("a mail went over an unprotected connection")
			}
		})
	}
}

// TestReuse: messages one after another take one connection, and an old one is not trusted.
func TestReuse(t *testing.T) {
	t.Parallel()
	p := listen(t, nil, false)
	o := p.options()
	now := time.Unix(1_700_000_000, 0)
	o.Now = func() time.Time { return now }
	c := open(t, o)
	for range 5 {
		if r := c.Send(t.Context(), deliverytest.Mail(), deliverytest.Envelope(1)); r.State != delivery.Sent {
			t.Fatalf("Send() = %s, %q", r.State, r.Reason)
		}
	}
	if got := p.conns.Load(); got != 1 {
		t.Errorf("5 messages took %d connections, want 1", got)
	}
	now = now.Add(time.Hour)
	c.Send(t.Context(), deliverytest.Mail(), deliverytest.Envelope(1))
	if got := p.conns.Load(); got != 2 {
		t.Errorf("after an hour there are %d connections, want 2", got)
	}
}

// TestAnswers holds what a reply means, by where and with which code it comes.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line   string
		want   delivery.State
		reason string
	}{
		{"MAIL 451 4.3.2 busy", delivery.Queued, "451 4.3.2 busy"},
		{"MAIL 553 5.1.8 who are you", delivery.Failed, "553 5.1.8 who are you"},
		{"MAIL 530 5.7.0 log in first", delivery.Queued, "530 5.7.0 log in first"},
		{"RCPT 452 4.2.2 mailbox full", delivery.Queued, "452 4.2.2 mailbox full"},
		{"RCPT 550 no such user", delivery.Bounced, "550 no such user"},
		{"RCPT 550-5.1.1 no\r\n550 5.1.1 such user", delivery.Bounced, "550 5.1.1 no 5.1.1 such user"},
		{"RCPT 554 5.7.1 relaying denied", delivery.Failed, "554 5.7.1 relaying denied"},
		{"RCPT drop", delivery.Queued, "the mail server closed the connection"},
		{"RCPT what?", delivery.Queued, "what?"},
		{"DATA 421 4.3.0 going down", delivery.Queued, "421 4.3.0 going down"},
		{"DATA 503 5.5.1 no", delivery.Failed, "503 5.5.1 no"},
		{". 550 5.1.1 unknown after all", delivery.Bounced, "550 5.1.1 unknown after all"},
		{". 552 5.3.4 too big", delivery.Failed, "552 5.3.4 too big"},
		{". 451 later", delivery.Queued, "451 later"},
		{". what?", delivery.OutcomeUnknown, "what?"},
		{". drop", delivery.OutcomeUnknown, "the whole message was handed over, but the mail server closed the connection"},
		{"RSET drop", delivery.Sent, ""},
		{"RCPT 550 " + strings.Repeat("long ", 99) + strings.Repeat("long ", 99), delivery.Bounced, "…"},
	} {
		port, _ := script(t, tt.line)
		c := open(t, Options{Host: "127.0.0.1", Port: port, TLS: Off, Now: time.Now})
		r := c.Send(t.Context(), deliverytest.Mail(), deliverytest.Envelope(1))
		if r.State != tt.want || !strings.Contains(r.Reason, tt.reason) || len(r.Reason) > most+100 || strings.Contains(r.Reason, "ada@") {
			t.Errorf("%s: Send() = %s, %q, want %s, %q", tt.line, r.State, r.Reason, tt.want, tt.reason)
		}
		c.Close()
	}
}

// TestDisorder: a connection that is dead, tired or still in a transaction costs no message and no second hand-over.
func TestDisorder(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string][]string{
		"dead": {"MAIL 250 ok", "MAIL drop"}, "tired": {"MAIL 250 ok", "MAIL 421 idle too long"}, "in a transaction": {"MAIL 250 ok", "MAIL 503 nested"},
	} {
		port, said := script(t, lines...)
		c := open(t, Options{Host: "127.0.0.1", Port: port, TLS: Off, Now: time.Now})
		for range 2 {
			if r := c.Send(t.Context(), deliverytest.Mail(), deliverytest.Envelope(1)); r.State != delivery.Sent {
				t.Errorf("%s: Send() = %s, %q, want sent", name, r.State, r.Reason)
			}
		}
		c.Close()
		var ends []string
		for _, s := range said() {
			if strings.HasSuffix(s, " .") {
				ends = append(ends, s)
			}
		}
		if diff := cmp.Diff([]string{"1 .", "2 ."}, ends); diff != "" {
			t.Errorf("%s: messages (-want +got):\n%s", name, diff)
		}
	}
}

// TestAuth: a wrong password is for the operator to mend, so mail waits; and nobody reads it in a reason.
func TestAuth(t *testing.T) {
	t.Parallel()
	both := base64.StdEncoding.EncodeToString([]byte("\x00user\x00" + password))
	for _, tt := range []struct {
		line string
		want delivery.State
	}{
		{"AUTH 235 2.7.0 welcome", delivery.Sent},
		{"AUTH 535 5.7.8 wrong: " + password, delivery.Queued},
		{"AUTH 535 5.7.8 wrong: " + both, delivery.Queued},
		{"AUTH 535 5.7.8 wrong: " + base64.StdEncoding.EncodeToString([]byte(password)), delivery.Queued},
	} {
		port, said := script(t, tt.line)
		c := open(t, Options{Host: "127.0.0.1", Port: port, TLS: Off, User: "user", Password: password, Now: time.Now})
		r := c.Send(t.Context(), deliverytest.Mail(), deliverytest.Envelope(1))
		if r.State != tt.want {
			t.Errorf("%.20s: Send() = %s, %q, want %s", tt.line, r.State, r.Reason, tt.want)
		}
		if r.State != delivery.Sent && !strings.Contains(r.Reason, "[hidden]") || strings.Contains(r.Reason, password) || strings.Contains(r.Reason, both) {
			t.Errorf("%.20s: reason %q", tt.line, r.Reason)
		}
		if !strings.Contains(strings.Join(said(), ","), "AUTH") {
			t.Errorf("%.20s: no AUTH was sent", tt.line)
		}
		c.Close()
	}
}

func BenchmarkSend(b *testing.B) {
	p := listen(b, nil, false)
	c := open(b, p.options())
	m := deliverytest.Mail()
	m.HTML = strings.Repeat("<p>Some paragraph of a mail, as they are.</p>\n", 100)
	b.ReportAllocs()
	b.SetParallelism(8) // times GOMAXPROCS
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if r := c.Send(context.Background(), m, deliverytest.Envelope(1)); r.State != delivery.Sent {
				b.Errorf("Send() = %s, %q", r.State, r.Reason)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
}
