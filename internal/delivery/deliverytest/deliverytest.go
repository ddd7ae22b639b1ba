// Package deliverytest holds what every channel must pass: what it says of each answer, that it comes back when its time
// is over, that it goes on after a failure, and that it tells no secret.
package deliverytest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rapport.example/internal/delivery"
	"rapport.example/internal/message"
)

// Behaviour is what the far end does with the next messages.
type Behaviour int

// The behaviours. RefuseWithSecret is TryLater with the channel's own secrets repeated in the answer.
const (
	Accept Behaviour = iota
	TryLater
	RefuseAddress
	RefuseMessage
	RefuseWithSecret
	Unreachable  // no connection comes about
	Hang         // no answer, before it could have taken the message
	Break        // the connection ends before it could have taken the message
	HangAtTheEnd // it has the whole message and does not answer
	BreakAtTheEnd
)

// String names the behaviour.
func (b Behaviour) String() string {
	return [...]string{
		"accept", "try later", "refuse address", "refuse message", "refuse with secret", "unreachable", "hang", "break",
		"hang at the end", "break at the end",
	}[b]
}

// Far is a channel under test and the far end that it talks to.
type Far struct {
	Channel delivery.Channel
	// Behave changes what the far end does from now on. It returns false for what cannot happen with this channel.
	Behave func(b Behaviour) bool
	// Taken is how many messages the far end has taken and said so.
	Taken func() int
	// Secrets are texts that no reason may hold.
	Secrets []string
}

// patience is how long a test waits for what should come at once.
const patience = time.Minute

// Channel runs everything. open makes a fresh channel and far end, which accepts.
func Channel(t *testing.T, open func(t testing.TB) Far) {
	t.Helper()
	t.Run("answers", func(t *testing.T) { t.Parallel(); answers(t, open) })
	t.Run("cancelled", func(t *testing.T) { t.Parallel(); cancelled(t, open) })
	t.Run("parallel", func(t *testing.T) { t.Parallel(); together(t, open) })
	t.Run("invalid", func(t *testing.T) { t.Parallel(); invalid(t, open) })
}

// Mail is a message that every channel for email can send.
func Mail() *message.Mail {
	return &message.Mail{
		From: `"Acme" <hello@acme.example>`, To: []string{"<ada@example.com>"}, Subject: "Grüße", HTML: "<p>Hi</p>\n", Text: "Hi\n",
	}
}

// Envelope is that of the nth message.
func Envelope(n int) delivery.Envelope {
	return delivery.Envelope{Workspace: 1, Delivery: int64(n), Person: 1, PublicID: fmt.Sprintf("test%d", n)}
}

// answers holds the retry table: what must be tried again, what never.
func answers(t *testing.T, open func(t testing.TB) Far) {
	t.Helper()
	for b, want := range map[Behaviour]delivery.State{
		Accept: delivery.Sent, TryLater: delivery.Queued, RefuseAddress: delivery.Bounced, RefuseMessage: delivery.Failed,
		RefuseWithSecret: delivery.Queued, Unreachable: delivery.Queued, Hang: delivery.Queued, Break: delivery.Queued,
		HangAtTheEnd: delivery.OutcomeUnknown, BreakAtTheEnd: delivery.OutcomeUnknown,
	} {
		for _, before := range []string{"fresh", "used"} { // a kept connection must not change the answer
			t.Run(strings.ReplaceAll(b.String(), " ", "-")+"/"+before, func(t *testing.T) {
				t.Parallel()
				far, taken := open(t), 0
				if before == "used" {
					taken++
					send(t, far, time.Minute, delivery.Sent)
				}
				if !far.Behave(b) {
					return
				}
				limit := time.Minute
				if b == Hang || b == HangAtTheEnd {
					limit = time.Second
				}
				send(t, far, limit, want)
				if want == delivery.Sent {
					taken++
				}
				if got := far.Taken(); got != taken {
					t.Errorf("the far end took %d messages, want %d", got, taken)
				}
				far.Behave(Accept)
				send(t, far, time.Minute, delivery.Sent)
				if got := far.Taken(); got != taken+1 {
					t.Errorf("the far end took %d messages in the end, want %d", got, taken+1)
				}
			})
		}
	}
}

func send(t *testing.T, far Far, limit time.Duration, want delivery.State) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	check(t, far, await(ctx, t, far), want)
}

func check(t *testing.T, far Far, r delivery.Receipt, want delivery.State) {
	t.Helper()
	if r.State != want {
		t.Errorf("Send() = %s, %q, want %s", r.State, r.Reason, want)
	}
	if (r.Reason == "") != (want == delivery.Sent) {
		t.Errorf("Send() gives the reason %q for %s", r.Reason, r.State)
	}
	for _, secret := range far.Secrets {
		if strings.Contains(r.Reason, secret) {
			t.Errorf("the reason holds a secret: %q", r.Reason)
		}
	}
}

// await sends one message and fails the test if that takes much longer than ctx.
func await(ctx context.Context, t *testing.T, far Far) delivery.Receipt {
	t.Helper()
	got := make(chan delivery.Receipt, 1)
	go func() { got <- far.Channel.Send(ctx, Mail(), Envelope(1)) }()
	select {
	case r := <-got:
		return r
	case <-time.After(patience):
		t.Fatal("Send does not return")
		return delivery.Receipt{}
	}
}

// cancelled: nothing is sent for a context that is over, and one that ends stops a send on its way.
func cancelled(t *testing.T, open func(t testing.TB) Far) {
	t.Helper()
	far := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	check(t, far, await(ctx, t, far), delivery.Queued)
	if !far.Behave(Hang) {
		return
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	check(t, far, await(ctx, t, far), delivery.Queued)
	if got := far.Taken(); got != 0 {
		t.Errorf("the far end took %d messages, want none", got)
	}
}

// together: a channel is used by many senders at a time.
func together(t *testing.T, open func(t testing.TB) Far) {
	t.Helper()
	const n = 64
	far := open(t)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if r := far.Channel.Send(t.Context(), Mail(), Envelope(i)); r.State != delivery.Sent {
				t.Errorf("Send() = %s, %q, want sent", r.State, r.Reason)
			}
		})
	}
	all.Wait()
	if got := far.Taken(); got != n {
		t.Errorf("the far end took %d messages, want %d", got, n)
	}
}

// invalid: what no provider would take is not offered to one.
func invalid(t *testing.T, open func(t testing.TB) Far) {
	t.Helper()
	far := open(t)
	for name, change := range map[string]func(m *message.Mail){
		"no sender":      func(m *message.Mail) { m.From = "" },
		"wrong sender":   func(m *message.Mail) { m.From = "nobody" },
		"no recipient":   func(m *message.Mail) { m.To = nil },
		"wrong address":  func(m *message.Mail) { m.To = []string{"ada@example.com\r\nRCPT TO:<eve@example.com>"} },
		"wrong reply-to": func(m *message.Mail) { m.ReplyTo = "nobody" },
	} {
		m := Mail()
		change(m)
		if r := far.Channel.Send(t.Context(), m, Envelope(1)); r.State != delivery.Failed || r.Reason == "" {
			t.Errorf("%s: Send() = %s, %q, want failed with a reason", name, r.State, r.Reason)
		}
	}
	if got := far.Taken(); got != 0 {
		t.Errorf("the far end took %d messages, want none", got)
	}
}
