package message

import (
	"net/mail"
	"regexp"
	"slices"
	"strings"

	"rapport.example/internal/fault"
	"rapport.example/internal/value"
	"rapport.example/liquid"
)

// ParseEmail reads an email document: an object of from, to, subject, layout, body, body_plain, preheader, reply_to, cc,
// bcc, headers, tracked (true if left out), send_to_unsubscribed, fake_bcc, disable_css_preprocessing, topic and languages. Errors are of
// kind Invalid, their Field is the dotted path behind path. An email at the top of its document, where path is "", may
// leave out from and to: a send request brings them.
func ParseEmail(doc value.Value, path string) (*Email, error) {
	e := &Email{Tracked: true, parsed: templates{}}
	r := reader{doc: doc, path: path, parsed: e.parsed}
	r.object("an email")
	r.known("from", "to", "subject", "layout", "body", "body_plain", "preheader", "reply_to", "cc", "bcc", "headers",
		"tracked", "send_to_unsubscribed", "fake_bcc", "disable_css_preprocessing", "topic", "languages")
	must := []string{"from", "to", "subject", "body"}
	if path == "" {
		must = must[2:]
	}
	r.must(must...)
	for _, f := range e.fields() {
		*f.text = r.liquid(f.name, f.most)
	}
	e.Layout = r.text("layout", MaxLine)
	r.flag("tracked", &e.Tracked)
	r.flag("send_to_unsubscribed", &e.SendToUnsubscribed)
	r.flag("fake_bcc", &e.FakeBCC)
	r.flag("disable_css_preprocessing", &e.DisableCSS)
	e.Headers = r.headers()
	e.Topic = r.text("topic", MaxLine)
	e.Languages = r.languages()
	if r.err != nil {
		return nil, r.err
	}
	return e, nil
}

type field struct {
	name string
	text *string
	most int
}

// fields are those with Liquid, apart from headers.
func (e *Email) fields() []field {
	return []field{
		{"from", &e.From, MaxLine},
		{"to", &e.To, MaxLine},
		{"subject", &e.Subject, MaxLine},
		{"body", &e.Body, MaxBody},
		{"body_plain", &e.BodyPlain, MaxBody},
		{"preheader", &e.Preheader, MaxLine},
		{"reply_to", &e.ReplyTo, MaxLine},
		{"cc", &e.CC, MaxLine},
		{"bcc", &e.BCC, MaxLine},
	}
}

// ParseSender reads a sender document: id, name, email and reply_to, the last two as valid addresses. Errors are as those
// of ParseEmail.
func ParseSender(doc value.Value, path string) (*Sender, error) {
	r := reader{doc: doc, path: path}
	r.object("a sender")
	r.known("id", "name", "email", "reply_to")
	r.must("id", "email")
	s := &Sender{Slug: r.text("id", MaxLine), Name: r.text("name", MaxLine), Email: r.text("email", MaxLine), ReplyTo: r.text("reply_to", MaxLine)}
	if a, err := mail.ParseAddress(s.Email); err != nil || a.Name != "" {
		r.fail("email", "must be an address such as hello@example.com")
	} else {
		s.Email = a.Address
	}
	if s.ReplyTo != "" {
		if _, err := mail.ParseAddress(s.ReplyTo); err != nil {
			r.fail("reply_to", "must be an address such as hello@example.com")
		}
	}
	if strings.ContainsFunc(s.Name, control) {
		r.fail("name", "must be one line of text")
	}
	if r.err != nil {
		return nil, r.err
	}
	return s, nil
}

var contentForm = regexp.MustCompile(`\{\{-?\s*content\s*(?:\||-?\}\})`)

// ParseLayout reads a layout document: id, name and body, which must take in the email's body by {{ content }}. Errors
// are as those of ParseEmail.
func ParseLayout(doc value.Value, path string) (*Layout, error) {
	l := &Layout{parsed: templates{}}
	r := reader{doc: doc, path: path, parsed: l.parsed}
	r.object("a layout")
	r.known("id", "name", "body")
	r.must("id", "body")
	r.text("name", MaxLine)
	l.Slug, l.Body = r.text("id", MaxLine), r.liquid("body", MaxBody)
	if !contentForm.MatchString(l.Body) {
		r.fail("body", "must say {{ content }} where the email's own body goes")
	}
	if r.err != nil {
		return nil, r.err
	}
	return l, nil
}

// reader reads an object's members and keeps the first error.
type reader struct {
	doc    value.Value
	path   string
	parsed templates
	err    error
}

func (r *reader) fail(name, format string, args ...any) {
	if r.err != nil {
		return
	}
	at := r.path
	if name != "" && at != "" {
		at += "."
	}
	r.err = fault.Field(at+name, format, args...)
}

func (r *reader) object(what string) {
	if r.doc.Kind() != value.Object {
		r.fail("", "%s must be a mapping", what)
	}
}

func (r *reader) known(names ...string) {
	for k := range r.doc.Fields() {
		if slices.Contains(names, k) {
			continue
		}
		if near := fault.Nearest(k, names); near != "" {
			r.fail(k, "unknown key, did you mean %s?", near)
		}
		r.fail(k, "unknown key, expected one of %s", strings.Join(names, ", "))
	}
}

func (r *reader) must(names ...string) {
	for _, n := range names {
		if r.doc.Get(n).Empty() {
			r.fail(n, "must be there")
		}
	}
}

func (r *reader) text(name string, most int) string {
	v := r.doc.Get(name)
	if len(v) == 0 || v.Kind() == value.Null {
		return ""
	}
	s := v.Text()
	switch {
	case v.Kind() != value.String:
		r.fail(name, "must be text")
	case len(s) > most:
		r.fail(name, "must be at most %d bytes", most)
	}
	return s
}

func (r *reader) liquid(name string, most int) string {
	s := r.text(name, most)
	r.template(name, s)
	return s
}

func (r *reader) template(name, text string) {
	if r.err != nil || plain(text) || r.parsed[text] != nil {
		return
	}
	t, err := liquid.Parse(text)
	if err != nil {
		r.fail(name, "%s", err)
		return
	}
	r.parsed[text] = t
}

// plain reports whether text has no Liquid in it.
func plain(text string) bool { return !strings.Contains(text, "{{") && !strings.Contains(text, "{%") }

func (r *reader) flag(name string, to *bool) {
	v := r.doc.Get(name)
	switch {
	case len(v) == 0 || v.Kind() == value.Null:
	case v.Kind() != value.Bool:
		r.fail(name, "must be true or false")
	default:
		*to = value.Equal(v, value.True)
	}
}

// headers reads a mapping of names and values, or a list of mappings with name and value.
func (r *reader) headers() []Header {
	v := r.doc.Get("headers")
	var out []Header
	add := func(at, name string, text value.Value) {
		switch why := reserved(name); {
		case why != "":
			r.fail(at, "%s", why)
		case text.Kind() != value.String && text.Kind() != value.Number:
			r.fail(at, "must be text")
		case len(text) > MaxLine:
			r.fail(at, "must be at most %d bytes", MaxLine)
		case len(out) == MaxHeaders:
			r.fail("headers", "must be at most %d", MaxHeaders)
		}
		r.template(at, text.Text())
		out = append(out, Header{name, text.Text()})
	}
	switch v.Kind() {
	case value.Object:
		for name, text := range v.Fields() {
			add("headers."+name, name, text)
		}
	case value.Array:
		for h := range v.Elements() {
			name := h.Get("name").Text()
			add("headers."+name, name, h.Get("value"))
		}
	default:
		if !v.Empty() {
			r.fail("headers", "must be a mapping of names and values")
		}
	}
	return out
}

// reserved says why a header cannot be set, "" if it can.
func reserved(name string) string {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' {
			return "a header's name must be plain ASCII without spaces and colons"
		}
	}
	switch n := strings.ToLower(name); {
	case name == "" || len(name) > 76:
		return "a header's name must have 1 to 76 characters"
	case slices.Contains([]string{
		"from", "to", "cc", "bcc", "subject", "reply-to", "sender", "date", "message-id", "mime-version",
		"return-path", "received", "dkim-signature",
	}, n) || strings.HasPrefix(n, "content-"):
		return "this header is set from other fields"
	}
	return ""
}

// control reports characters that cannot stand in a header.
func control(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }
