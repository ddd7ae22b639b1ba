package delivery

import (
	"context"
	"net/mail"
	"time"

	"rapport.example/internal/message"
	"rapport.example/internal/person"
)

// Job is a claimed delivery with all that rendering it takes. The worker owns it.
type Job struct {
	Delivery Delivery
	Person   *person.Document
	Email    *message.Email
	Layout   *message.Layout // nil = none
	From     *message.Sender // nil = Email.From is an address
	Scope    message.Scope
	Deadline time.Time // real time; before the claim's lease runs out
	Unkept   bool      // what it says is not archived
}

// Channel hands one message over to a provider.
type Channel interface {
	// Send returns when the provider has answered or ctx has ended. It never tries twice by itself.
	Send(ctx context.Context, m *message.Mail, env Envelope) Receipt
}

// Envelope says whose message it is.
type Envelope struct {
	Workspace int64
	Delivery  int64
	Person    uint32
	PublicID  string
	At        time.Time // the workspace's time, which mail in the development mailbox is dated with
}

// Receipt is the provider's answer.
type Receipt struct {
	// State is Sent, Bounced (the address is refused for good), Failed (the message is), Queued (try again later) or
	// OutcomeUnknown (the hand-over broke where it may have been accepted).
	State  State
	Reason string // with the provider's words, without secrets; "" if sent
}

// Address is the bare address of a header's "Name <address>", or the text itself if it is none.
func Address(header string) string {
	a, err := mail.ParseAddress(header)
	if err != nil {
		return header
	}
	return a.Address
}
