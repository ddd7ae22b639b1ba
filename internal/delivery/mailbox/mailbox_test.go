package mailbox

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jhillyerd/enmime"

	"rapport.example/internal/delivery"
	"rapport.example/internal/delivery/deliverytest"
	"rapport.example/internal/message"
	"rapport.example/internal/value"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestChannel(t *testing.T) {
	t.Parallel()
	deliverytest.Channel(t, func(t testing.TB) deliverytest.Far {
		t.Helper()
		var behaviour, taken atomic.Int64
		c := &Channel{Save: func(ctx context.Context, _ Mail) error {
			switch deliverytest.Behaviour(behaviour.Load()) {
			case deliverytest.TryLater:
				return errors.New("disk full")
			case deliverytest.RefuseWithSecret:
				return errors.New("dial postgres://u:sesame@db")
			case deliverytest.Hang:
				<-ctx.Done()
			default:
			}
			if ctx.Err() == nil {
				taken.Add(1)
			}
			return ctx.Err()
		}}
		return deliverytest.Far{
			Channel: c, Secrets: []string{"sesame"}, Taken: func() int { return int(taken.Load()) },
			Behave: func(b deliverytest.Behaviour) bool {
				behaviour.Store(int64(b))
				switch b {
				case deliverytest.Accept, deliverytest.TryLater, deliverytest.RefuseWithSecret, deliverytest.Hang:
					return true
				default:
					return false // a store refuses no address, and answers or not
				}
			},
		}
	})
}

// TestBounce: addresses of bounce.* are refused, so that people can try out what a bounce does.
func TestBounce(t *testing.T) {
	t.Parallel()
	c := &Channel{Save: func(context.Context, Mail) error { t.Error("a bounced mail was kept"); return nil }}
	for _, to := range []string{"a@bounce.example", "<a@bounce.example.com>", `"A" <a@BOUNCE.example>`} {
		m := deliverytest.Mail()
		m.To = []string{to}
		if r := c.Send(t.Context(), m, deliverytest.Envelope(1)); r.State != delivery.Bounced || !strings.HasPrefix(r.Reason, "550 5.1.1 ") {
			t.Errorf("Send(%s) = %s, %q, want bounced", to, r.State, r.Reason)
		}
	}
}

type links struct{}

func (links) Click(string) string { return "https://t.example/e/c/token" }
func (links) Open() string        { return "https://t.example/e/o/token.gif" }
func (links) Unsubscribe() string { return "https://t.example/e/u/token" }

// TestGolden makes a change of what lands in an inbox a visible diff: the example's mails from template to source.
func TestGolden(t *testing.T) {
	t.Parallel()
	from := &message.Sender{Slug: "hello", Name: "Acme Grüße", Email: "hello@acme.example", ReplyTo: "help@acme.example"}
	layout := &message.Layout{Slug: "plain", Body: "<!doctype html>\n<html><body>\n{{ content }}\n<p><a href=\"{% unsubscribe_url %}\">Unsubscribe</a></p>\n</body></html>\n"}
	for name, c := range map[string]struct {
		email message.Email
		scope message.Scope
	}{
		"welcome": {
			message.Email{
				From: "hello", To: "{{ customer.email }}", Subject: "Welcome, {{ customer.first_name | default: 'friend' }}", Layout: "plain", Tracked: true,
				Preheader: "Your first steps",
				Body: "<p>Hi {{ customer.first_name | default: 'there' }}, thanks for choosing {{ event.plan }}.</p>\n" +
					"<p><a href=\"https://acme.example/start?ref=welcome\">Get started</a></p>\n",
			},
			message.Scope{
				Customer: value.Value(`{"email":"ada@example.com","first_name":"Zoë"}`), Event: value.Value(`{"plan":"pro"}`),
				Campaign: message.Named{ID: 1, Name: "Onboarding", Type: "behavioral"},
			},
		},
		"receipt": {
			message.Email{
				From: "hello", To: "{{ customer.email }}", BCC: "books@acme.example", Subject: "Your receipt {{ trigger.number }}",
				Body:    "<p>{% for line in trigger.lines %}{{ line.name }}: {{ line.price }}<br>{% endfor %}</p>",
				Headers: []message.Header{{Name: "X-Order", Value: "{{ trigger.number }}"}},
			},
			message.Scope{
				Customer: value.Value(`{"email":"ada@example.com"}`),
				Trigger:  value.Value(`{"number":17,"lines":[{"name":"Tea","price":3.5},{"name":"Käse","price":12}]}`),
			},
		},
	} {
		l := layout
		if c.email.Layout == "" {
			l = nil
		}
		m, err := message.Render(&c.email, l, from, c.scope, links{})
		if err != nil {
			t.Fatal(err)
		}
		source := save(t, m)
		golden(t, name+".eml", source)
		e, err := enmime.ReadEnvelope(bytes.NewReader(source))
		if err != nil || len(e.Errors) > 0 {
			t.Errorf("%s: parsed again: %v, %v", name, err, e.Errors)
			continue
		}
		lf := strings.NewReplacer("\r\n", "\n")
		if diff := cmp.Diff([]string{m.Subject, m.Text, m.HTML}, []string{e.GetHeader("Subject"), lf.Replace(e.Text), lf.Replace(e.HTML)}); diff != "" {
			t.Errorf("%s: parsed again (-rendered +read):\n%s", name, diff)
		}
	}
}

// save sends m through a mailbox and returns what it keeps.
func save(t *testing.T, m *message.Mail) []byte {
	t.Helper()
	var mu sync.Mutex
	var kept []Mail
	c := &Channel{Save: func(_ context.Context, m Mail) error { mu.Lock(); kept = append(kept, m); mu.Unlock(); return nil }}
	env := delivery.Envelope{Workspace: 3, Delivery: 4, Person: 5, PublicID: "dGVzdA", At: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	if r := c.Send(t.Context(), m, env); r.State != delivery.Sent || len(kept) != 1 {
		t.Fatalf("Send() = %s, %q, kept %d", r.State, r.Reason, len(kept))
	}
	got := kept[0]
	source := got.Source
	got.Source = nil
	want := Mail{Workspace: 3, Delivery: 4, Person: 5, Sender: m.From, Recipient: "ada@example.com", Subject: m.Subject, Created: env.At.UnixMilli()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mail (-want +got):\n%s", diff)
	}
	return source
}

// golden compares with a file. Line ends are those of mail in memory and of text in the file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	text := strings.ReplaceAll(string(got), "\r\n", "\n")
	if *update {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
