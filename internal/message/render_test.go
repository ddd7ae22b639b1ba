package message

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/value"
)

// marks are links that can be read.
type marks struct{}

func (marks) Click(href string) string { return "https://t.example/c?" + href }
func (marks) Open() string             { return "https://t.example/o.gif" }
func (marks) Unsubscribe() string      { return "https://t.example/u" }

func email(tb testing.TB, doc string) *Email {
	tb.Helper()
	e, err := ParseEmail(parse(tb, doc), "")
	if err != nil {
		tb.Fatalf("ParseEmail(%s): %v", doc, err)
	}
	return e
}

func layout(tb testing.TB, body string) *Layout {
	tb.Helper()
	quoted, err := json.Marshal(body)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := ParseLayout(parse(tb, `{"id":"plain","body":`+string(quoted)+`}`), "")
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func scope(tb testing.TB) Scope {
	tb.Helper()
	return Scope{
		Customer: parse(tb, `{"id":"1","email":"ada@x.example","first_name":"Ada","bad":"a\nb"}`),
		Event:    parse(tb, `{"plan":"pro"}`), EventTimestamp: 1772600767, Now: 1772600767000,
		Campaign: Named{ID: 7, Name: "Onboarding", Type: "behavioral"}, Message: Named{ID: 8, Name: "welcome", Type: "email"},
	}
}

var hello = &Sender{Slug: "hello", Name: "Ácme, Inc", Email: "hello@acme.example", ReplyTo: "help@acme.example"}

func TestRender(t *testing.T) {
	t.Parallel()
	e := email(t, `{"from":"hello","to":"{{ customer.first_name }} <{{ customer.email }}>, b@x.example","layout":"plain","cc":"c@x.example",
		"bcc":"{{ customer.boss | default: '' }}","subject":" Hi {{ customer.first_name }} of {{ campaign.name }}\n","preheader":"A & {{ event.plan }}",
		"headers":{"X-Id":"{{ message.id }}","X-Name":"é"},
		"body":"<p>{{ message.subject }}, <a href=\"https://a.example/?x=1&amp;copy=2\">go</a> since {{ event_timestamp | date: '%Y' }}/{{ 'now' | date: '%d' }}</p>"}`)
	l := layout(t, "<!doctype html><html><head><title>T</title></head>\n<BODY class=x>{{ content }}<a href='{% unsubscribe_url %}'>Bye</a> {{ layout.name }}</body></html>\n")
	got, err := Render(e, l, hello, scope(t), marks{})
	if err != nil {
		t.Fatal(err)
	}
	want := &Mail{
		From: "=?utf-8?b?w4FjbWUsIEluYw==?= <hello@acme.example>", ReplyTo: "<help@acme.example>",
		To: []string{`"Ada" <ada@x.example>`, "<b@x.example>"}, CC: []string{"<c@x.example>"}, Subject: "Hi Ada of Onboarding",
		HTML: "<!doctype html><html><head><title>T</title></head>\n<BODY class=x>" + preheader("A & pro") +
			`<p>Hi Ada of Onboarding, <a href="https://t.example/c?https://a.example/?x=1&amp;copy=2">go</a> since 2026/04</p>` +
			"<a href='https://t.example/u'>Bye</a> plain" + pixel("https://t.example/o.gif") + "</body></html>\n",
		Text:      "Hi Ada of Onboarding, go (https://a.example/?x=1&copy=2) since 2026/04\n\nBye (https://t.example/u) plain\n",
		Preheader: "A & pro",
		Headers: []Header{
			{"List-Unsubscribe", "<https://t.example/u>"},
			{"List-Unsubscribe-Post", "List-Unsubscribe=One-Click"},
			{"X-Id", "8"},
			{"X-Name", "=?utf-8?q?=C3=A9?="},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Render (-want +got):\n%s", diff)
	}
}

func TestUntracked(t *testing.T) {
	t.Parallel()
	e := email(t, `{"from":"Shop <shop@x.example>","to":"a@x.example","subject":"s","body":"<a href=\"https://a.example\">a</a>","tracked":false,
		"body_plain":"Bye: {% unsubscribe %} {% cio_link url:'https://a.example/?a=b' %}","reply_to":"r@x.example"}`)
	s := scope(t)
	s.Campaign = Named{}
	got, err := Render(e, nil, nil, s, marks{})
	if err != nil {
		t.Fatal(err)
	}
	want := &Mail{
		From: `"Shop" <shop@x.example>`, ReplyTo: "<r@x.example>", To: []string{"<a@x.example>"}, Subject: "s",
		HTML: `<a href="https://a.example">a</a>`, Text: "Bye: https://t.example/u https://a.example/?a=b",
		Headers: []Header{{"List-Unsubscribe", "<https://t.example/u>"}, {"List-Unsubscribe-Post", "List-Unsubscribe=One-Click"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Render (-want +got):\n%s", diff)
	}
	e = email(t, `{"from":"shop@x.example","to":"a@x.example","subject":"s","body":"b"}`)
	if got, err = Render(e, nil, nil, s, nil); err != nil || got.Headers != nil || got.HTML != "b" {
		t.Errorf("a receipt without links = %+v, %v, want no headers and no pixel", got, err)
	}
}

func TestEventOverrides(t *testing.T) {
	t.Parallel()
	e := email(t, `{"from":"hello","to":"{{ customer.nope }}","subject":"s","body":"b","reply_to":"x@x.example"}`)
	s := scope(t)
	s.Event = parse(t, `{"recipient":"Team <team@x.example>, b@x.example","from_address":"bot@x.example","reply_to":"r@x.example"}`)
	got, err := Render(e, nil, hello, s, marks{})
	if err != nil {
		t.Fatal(err)
	}
	if got.From != "<bot@x.example>" || got.ReplyTo != "<r@x.example>" || !cmp.Equal(got.To, []string{`"Team" <team@x.example>`, "<b@x.example>"}) {
		t.Errorf("Render = %+v, want the event's addresses", got)
	}
	s.Event = parse(t, `{"recipient":"{{ customer.email }}"}`)
	if _, err := Render(e, nil, hello, s, marks{}); !errors.Is(err, ErrNoAddress) {
		t.Errorf("Liquid in an event = %v, want no address: data is no template", err)
	}
}

func TestRenderErrors(t *testing.T) {
	t.Parallel()
	base := `"from":"hello","to":"{{ customer.email }}","subject":"s","body":"b"`
	with := func(name, text string) string {
		b := value.Builder{}
		for k, v := range parse(t, `{`+base+`}`).Fields() {
			if k != name {
				b.Set(k, v)
			}
		}
		return string(b.Set(name, value.Quote(text)).Value())
	}
	for name, c := range map[string]struct {
		doc, customer, want string
		none                bool
	}{
		"subject":        {doc: with("subject", "{{ customer.nope }}"), want: "subject: line 1: customer.nope has no value"},
		"body":           {doc: with("body", "a\n{{ trigger.x | upcase }}"), want: "body: line 2: trigger.x has no value"},
		"preheader":      {doc: with("preheader", "{{ nope }}"), want: "preheader: line 1: nope has no value"},
		"no email":       {doc: `{` + base + `}`, customer: `{"id":"1"}`, want: "no address: to: line 1: customer.email has no value", none: true},
		"empty email":    {doc: `{` + base + `}`, customer: `{"email":""}`, want: "no address", none: true},
		"wrong email":    {doc: `{` + base + `}`, customer: `{"email":"nobody"}`, want: "to: holds something that is no email address", none: true},
		"line break":     {doc: with("subject", "{{ customer.bad }}"), want: "subject: must be one line"},
		"header break":   {doc: `{` + base + `,"headers":{"X-A":"{{ customer.bad }}"}}`, want: "headers.X-A: must be one line"},
		"injected":       {doc: with("cc", "{{ customer.bad }} <a@x.example>"), want: "cc: must be one line"},
		"long":           {doc: with("subject", strings.Repeat("x", 999)), want: "subject: must be at most 998 bytes"},
		"sender":         {doc: with("from", "hallo"), want: "from: there is no sender hallo"},
		"two senders":    {doc: with("from", "a@x.example, b@x.example"), want: "from: must be one address"},
		"too many":       {doc: with("bcc", strings.Repeat("a@x.example,", 15)), want: "to: to, cc and bcc together hold 16 addresses"},
		"relative link":  {doc: with("body", "{% cio_link url:'/a' %}"), want: "body: line 1: a link must begin with http"},
		"javascript":     {doc: with("body", "{% cio_link url:'javascript:alert(1)' %}"), want: "body: line 1: a link must begin with http"},
		"too much":       {doc: with("body", "{% for i in (1..9999999) %}xxxxxxxxxx{% endfor %}"), want: "body: "},
		"reserved later": {doc: `{` + base + `,"headers":{"X-Later":"x"}}`, want: "headers.To: this header is set from other fields"},
	} {
		e := email(t, c.doc)
		if name == "reserved later" {
			e.Headers = []Header{{"To", "x@x.example"}}
		}
		s := scope(t)
		if c.customer != "" {
			s.Customer = parse(t, c.customer)
		}
		got, err := Render(e, nil, nil, s, marks{})
		if e.From == "hello" {
			got, err = Render(e, nil, hello, s, marks{})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, ErrNoAddress) != c.none {
			t.Errorf("%s: %+v, %v, want %s", name, got, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "nobody") {
			t.Errorf("%s: %v tells the address", name, err)
		}
	}
}

// TestReplacedField renders what a request put in place of the template's field, which nobody has parsed before.
func TestReplacedField(t *testing.T) {
	t.Parallel()
	e := *email(t, `{"from":"hello","to":"a@x.example","subject":"s","body":"b"}`)
	e.Body = "Hi {{ customer.first_name }}"
	if got, err := Render(&e, nil, hello, scope(t), nil); err != nil || got.HTML != "Hi Ada" {
		t.Errorf("Render = %+v, %v, want Hi Ada", got, err)
	}
	e.Body = "Hi {{ customer.first_name "
	if got, err := Render(&e, nil, hello, scope(t), nil); err == nil || !strings.Contains(err.Error(), "body: line 1: {{ is never closed") {
		t.Errorf("Render = %+v, %v, want a syntax error", got, err)
	}
}

func BenchmarkRender(b *testing.B) {
	e := email(b, `{"from":"hello","to":"{{ customer.email }}","subject":"Welcome, {{ customer.first_name | default: 'friend' }}","layout":"plain",
		"body":"<p>Hi {{ customer.first_name | default: 'there' }}, thanks for {{ event.plan }}.</p><p><a href=\"https://acme.example/start\">Start</a></p>"}`)
	l := layout(b, "<!doctype html>\n<html><body>\n{{ content }}\n<p><a href=\"{% unsubscribe_url %}\">Unsubscribe</a></p>\n</body></html>\n")
	s := scope(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Render(e, l, hello, s, marks{}); err != nil {
			b.Fatal(err)
		}
	}
}
