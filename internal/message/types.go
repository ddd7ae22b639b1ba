// Package message reads email templates, layouts and senders, and renders them to mail for one person.
//
// Rendering is pure: it takes what Liquid may see as a Scope and the delivery's own links as Links, and returns a Mail
// that a channel can send as it is. A variable that is missing fails the render, so that nobody gets "Hi ,".
package message

import (
	"rapport.example/internal/value"
	"rapport.example/liquid"
)

// Bounds on what a template may hold and a mail may become, in bytes or items.
const (
	MaxBody       = 512 << 10 // one body or layout as written
	MaxLine       = 10 << 10  // one of the other fields as written
	MaxHeaders    = 50        // headers of one email
	MaxRecipients = 15        // addresses in To, CC and BCC together; the vendor's bound
	maxHeaderText = 998       // one header's value or the subject as rendered; RFC 5322 §2.1.1
)

// Sender is a from-address that emails refer to by Slug.
type Sender struct {
	ID                         int64 // numeric id, set by package definition
	Slug, Name, Email, ReplyTo string
}

// Layout is the HTML around a body, which it takes in where it says {{ content }}.
type Layout struct {
	ID         int64 // numeric id, set by package definition
	Slug, Body string

	parsed templates
}

// Header is one mail header. As part of an Email its value is Liquid.
type Header struct{ Name, Value string }

// Named is what Liquid may say about a campaign or message.
type Named struct {
	ID         int64
	Name, Type string
}

// Email is one message as its author wrote it: all strings but Layout are Liquid.
type Email struct {
	From               string // slug of a sender, or a literal address
	To                 string
	Subject            string
	Layout             string // slug of a layout; "" for none
	Body               string // HTML
	BodyPlain          string // "" = made from the HTML
	Preheader          string
	ReplyTo, CC, BCC   string
	Headers            []Header
	Tracked            bool // rewrite links and add the open pixel
	SendToUnsubscribed bool
	FakeBCC            bool // the channel sends copies of its own in place of Mail.BCC
	DisableCSS         bool
	Topic              string             // slug of a subscription topic; "" = of none
	Languages          map[string]Variant // by language, as LanguageCode takes it

	parsed templates // of the fields as they were read; copies share it
}

// Variant is what an email says in another language; what is "" is as in the email itself.
type Variant struct{ Subject, Preheader, Body, BodyPlain string }

// In is the email in a language, or as it is if it has no variant of exactly that language.
func (e *Email) In(language string) *Email {
	v, ok := e.Languages[language]
	if !ok {
		return e
	}
	out := *e
	for _, f := range v.fields() {
		if *f.text != "" {
			*out.field(f.name) = *f.text
		}
	}
	if v.Body != "" { // the plain text of another language belongs to another body
		out.BodyPlain = v.BodyPlain
	}
	return &out
}

// templates keeps parsed Liquid by its text. It is filled by ParseEmail and ParseLayout and only read after that, so a
// definition holds its own templates and no more: a field that was replaced since is parsed when it is rendered.
type templates map[string]*liquid.Template

// Scope is what Liquid sees. Absent values are variables that do not exist.
type Scope struct {
	Customer, Event, Trigger value.Value
	EventTimestamp           int64 // Unix seconds; 0 = there is none
	Campaign, Message        Named // Campaign.ID is 0 for transactional messages
	Now                      int64 // Unix ms of the workspace's clock, for 'now' | date; 0 = unknown, which fails
}

// Links makes the absolute URLs of one delivery.
type Links interface {
	Click(href string) string // a tracked link that leads to href
	Open() string             // the image that counts an open
	Unsubscribe() string      // the page, and the one-click endpoint of RFC 8058
}

// Mail is a rendered message: addresses are valid, header values hold no line breaks.
type Mail struct {
	From, ReplyTo       string // addresses with display name, encoded for a header; ReplyTo may be ""
	To, CC, BCC         []string
	Subject, HTML, Text string // Subject is plain UTF-8
	Preheader           string // part of HTML already
	Headers             []Header
}
