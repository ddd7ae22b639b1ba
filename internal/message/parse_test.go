package message

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

func parse(tb testing.TB, doc string) value.Value {
	tb.Helper()
	v, err := value.Parse([]byte(doc))
	if err != nil {
		tb.Fatalf("Parse(%s): %v", doc, err)
	}
	return v
}

func TestParseEmail(t *testing.T) {
	t.Parallel()
	got, err := ParseEmail(parse(t, `{"from":"hello","to":"{{ customer.email }}","subject":"Hi","layout":"plain","body":"<p>x</p>",
		"body_plain":"x","preheader":"p","reply_to":"r@x.example","cc":"c@x.example","bcc":"b@x.example","headers":{"X-A":"1","X-B":2},
		"send_to_unsubscribed":true,"fake_bcc":true,"disable_css_preprocessing":true}`), "email")
	want := &Email{
		From: "hello", To: "{{ customer.email }}", Subject: "Hi", Layout: "plain", Body: "<p>x</p>", BodyPlain: "x", Preheader: "p",
		ReplyTo: "r@x.example", CC: "c@x.example", BCC: "b@x.example", Headers: []Header{{"X-A", "1"}, {"X-B", "2"}},
		Tracked: true, SendToUnsubscribed: true, FakeBCC: true, DisableCSS: true,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Email{})); diff != "" || err != nil {
		t.Errorf("ParseEmail: %v\n%s", err, diff)
	}
	got, err = ParseEmail(parse(t, `{"subject":"Hi","body":"x","tracked":false,"headers":[{"name":"X-A","value":"{{ a }}"}],"cc":null}`), "")
	want = &Email{Subject: "Hi", Body: "x", Headers: []Header{{"X-A", "{{ a }}"}}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Email{})); diff != "" || err != nil {
		t.Errorf("ParseEmail at the top of a document: %v\n%s", err, diff)
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	email := func(v value.Value) error { _, err := ParseEmail(v, "workflow[0].email"); return err }
	sender := func(v value.Value) error { _, err := ParseSender(v, ""); return err }
	layout := func(v value.Value) error { _, err := ParseLayout(v, ""); return err }
	const rest = `"from":"hello","to":"a@x.example","subject":"s","body":"b"`
	for name, c := range map[string]struct {
		read            func(value.Value) error
		doc, field, msg string
	}{
		"no mapping":        {email, `[]`, "workflow[0].email", "must be a mapping"},
		"near key":          {email, `{` + rest + `,"subjekt":"x"}`, "workflow[0].email.subjekt", "did you mean subject?"},
		"far key":           {email, `{` + rest + `,"attachments":{}}`, "workflow[0].email.attachments", "expected one of from, to,"},
		"no subject":        {email, `{"from":"hello","to":"x","body":"b","subject":""}`, "workflow[0].email.subject", "must be there"},
		"no to":             {email, `{"from":"hello","subject":"x","body":"b"}`, "workflow[0].email.to", "must be there"},
		"kind":              {email, `{"from":"hello","to":"x","subject":"s","body":5}`, "workflow[0].email.body", "must be text"},
		"flag":              {email, `{` + rest + `,"tracked":"yes"}`, "workflow[0].email.tracked", "must be true or false"},
		"liquid":            {email, `{` + rest + `,"preheader":"{{ a"}`, "workflow[0].email.preheader", "line 1: {{ is never closed"},
		"filter":            {email, `{` + rest + `,"cc":"{{ a | frob }}"}`, "workflow[0].email.cc", "there is no filter frob"},
		"liquid in headers": {email, `{` + rest + `,"headers":{"X-A":"{% if %}"}}`, "workflow[0].email.headers.X-A", "line 1"},
		"reserved header":   {email, `{` + rest + `,"headers":{"Bcc":"x"}}`, "workflow[0].email.headers.Bcc", "set from other fields"},
		"header name":       {email, `{` + rest + `,"headers":{"X A":"x"}}`, "workflow[0].email.headers.X A", "plain ASCII"},
		"headers":           {email, `{` + rest + `,"headers":"x"}`, "workflow[0].email.headers", "must be a mapping"},
		"long":              {email, `{` + rest + `,"preheader":"` + strings.Repeat("x", MaxLine+1) + `"}`, "workflow[0].email.preheader", "at most"},
		"sender":            {sender, `{"id":"a"}`, "email", "must be there"},
		"sender address":    {sender, `{"id":"a","email":"Ada <a@x.example>"}`, "email", "must be an address"},
		"sender reply":      {sender, `{"id":"a","email":"a@x.example","reply_to":"x"}`, "reply_to", "must be an address"},
		"sender name":       {sender, `{"id":"a","email":"a@x.example","name":"a\nb"}`, "name", "one line"},
		"sender key":        {sender, `{"id":"a","email":"a@x.example","nam":"b"}`, "nam", "did you mean name?"},
		"layout":            {layout, `{"id":"a","body":"<html></html>"}`, "body", "{{ content }}"},
		"layout liquid":     {layout, `{"id":"a","body":"{{ content }}{% if %}"}`, "body", "line 1"},
		"layout key":        {layout, `{"id":"a","body":"{{content}}","html":""}`, "html", "unknown key"},
	} {
		err := c.read(parse(t, c.doc))
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Field != c.field || !strings.Contains(f.Msg, c.msg) {
			t.Errorf("%s: %v, want %s: %s", name, err, c.field, c.msg)
		}
	}
}

func TestParseSenderAndLayout(t *testing.T) {
	t.Parallel()
	s, err := ParseSender(parse(t, `{"id":"hello","name":"Acme","email":"hello@acme.example","reply_to":"Help <help@acme.example>"}`), "")
	if diff := cmp.Diff(&Sender{Slug: "hello", Name: "Acme", Email: "hello@acme.example", ReplyTo: "Help <help@acme.example>"}, s); diff != "" || err != nil {
		t.Errorf("ParseSender: %v\n%s", err, diff)
	}
	for _, body := range []string{"{{content}}", "a{{- content -}}b", "{{ content | strip }}"} {
		l, err := ParseLayout(parse(t, `{"id":"plain","name":"Plain","body":"`+body+`"}`), "")
		if err != nil || l.Body != body || l.Slug != "plain" {
			t.Errorf("ParseLayout(%s) = %+v, %v", body, l, err)
		}
	}
}
