package app

import (
	"net/mail"
	"strings"
	"time"

	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/message"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// readSend reads what needs no look-up. Clients always send some members empty, such as headers:{} and attachments:{}:
// an empty value counts as absent.
func readSend(v value.Value, now time.Time) (ingest.SendPayload, error) {
	r := sendReader{v: v}
	p := ingest.SendPayload{
		By: r.by(), To: r.line("to"), From: r.line("from"), Subject: r.line("subject"), Body: r.text("body"),
		BodyPlain: r.text("body_plain"), Preheader: r.line("preheader"), ReplyTo: r.line("reply_to"), CC: r.line("cc"), BCC: r.line("bcc"),
		FakeBCC: r.flag("fake_bcc") != nil && *r.flag("fake_bcc"), Headers: r.headers(), Data: r.data(),
		Tracked: r.flag("tracked"), SendToUnsubscribed: r.flag("send_to_unsubscribed"),
	}
	for _, f := range [...]struct {
		name string
		to   *bool
	}{{"disable_message_retention", &p.DisableRetention}, {"disable_css_preprocessing", &p.DisableCSS}} {
		if b := r.flag(f.name); b != nil {
			*f.to = *b
		}
	}
	for _, name := range [...]string{"attachments", "queue_draft", "auto_create", "body_amp"} {
		if !blank(v.Get(name)) {
			r.fail(name, "is not supported yet")
		}
	}
	if p.Language = r.line("language"); p.Language != "" && !message.LanguageCode(p.Language) {
		r.fail("language", "must be a language such as de or pt-BR")
	}
	p.SendAt = r.sendAt(now)
	if p.To == "" {
		r.fail("to", "is required")
	}
	r.recipients(p)
	return p, r.err
}

// blank reports whether a member says nothing: absent, null, "", {}, [] or false.
func blank(v value.Value) bool {
	switch string(v) {
	case "{}", "[]", "false":
		return true
	}
	return v.Empty()
}

// sendReader keeps the first error.
type sendReader struct {
	v   value.Value
	err error
}

func (r *sendReader) fail(field, format string, args ...any) {
	if r.err == nil {
		r.err = fault.Field(field, format, args...)
	}
}

// text reads an optional string. A number is taken as its literal, as from may name a sender by number.
func (r *sendReader) text(name string) string {
	v := r.v.Get(name)
	if blank(v) {
		return ""
	}
	if v.Kind() != value.String && !(name == "from" && v.Kind() == value.Number) {
		r.fail(name, "must be a string")
		return ""
	}
	return v.Text()
}

// line is text that ends up in a header, where a line break could start another one.
func (r *sendReader) line(name string) string {
	s := strings.TrimSpace(r.text(name))
	if strings.ContainsAny(s, "\r\n") {
		r.fail(name, "must not hold line breaks")
	}
	return s
}

// flag reads an optional boolean, nil if it is not given.
func (r *sendReader) flag(name string) *bool {
	v := r.v.Get(name)
	if v.Empty() {
		return nil
	}
	b, ok := v.Bool()
	if !ok {
		r.fail(name, "must be true or false")
	}
	return &b
}

// by reads identifiers: exactly one of id, email and cio_id.
func (r *sendReader) by() ingest.By {
	ids := r.v.Get("identifiers")
	if ids.Kind() != value.Object {
		r.fail("identifiers", "is required: an object with exactly one of id, email and cio_id")
		return ingest.By{}
	}
	var found []person.Identifier
	for name, v := range ids.Fields() {
		by := person.Identifier{Value: v.Text()}
		switch name {
		case "id":
			by.Type = person.ByID
		case "email":
			by.Type = person.ByEmail
		case "cio_id":
			by = person.Identifier{Type: person.ByCIO, Value: strings.TrimPrefix(v.Text(), "cio_")}
		default:
			r.fail("identifiers."+name, "is not an identifier: use one of id, email and cio_id")
			continue
		}
		if v.Empty() {
			continue
		}
		if k := v.Kind(); k != value.String && !(k == value.Number && by.Type == person.ByID) {
			r.fail("identifiers."+name, "must be a string")
			continue
		}
		by, err := person.Check(by)
		if err != nil {
			r.fail("identifiers."+name, "must be plain UTF-8 of at most %d bytes", person.MaxID)
			continue
		}
		if by.Type == person.ByEmail && !person.LooksLikeEmail(strings.TrimSpace(by.Value)) {
			r.fail("identifiers.email", "is not an email address")
			continue
		}
		found = append(found, by)
	}
	if len(found) != 1 {
		r.fail("identifiers", "must hold exactly one of id, email and cio_id")
		return ingest.By{}
	}
	return ingest.ByIdentifier(found[0])
}

func (r *sendReader) data() value.Value {
	v := r.v.Get("message_data")
	if blank(v) {
		return nil
	}
	if v.Kind() != value.Object {
		r.fail("message_data", "must be an object")
	}
	return v
}

// sendAt is 0 for now. A moment that has passed is now.
func (r *sendReader) sendAt(now time.Time) int64 {
	v := r.v.Get("send_at")
	if v.Empty() {
		return 0
	}
	f, ok := v.Number()
	if !ok || f != f || f < 0 {
		r.fail("send_at", "must be Unix seconds")
		return 0
	}
	if f > float64(now.Add(maxAhead).Unix()) {
		r.fail("send_at", "lies more than 90 days ahead")
		return 0
	}
	if int64(f) <= now.Unix() {
		return 0
	}
	return int64(f)
}

// headers reads an object of names and values, a list of {name,value}, or that list as a JSON string.
func (r *sendReader) headers() map[string]string {
	v := r.v.Get("headers")
	if v.Kind() == value.String && !v.Empty() {
		parsed, err := value.Parse([]byte(v.Text()))
		if err != nil {
			r.fail("headers", "is a string that is not JSON")
			return nil
		}
		v = parsed
	}
	if blank(v) {
		return nil
	}
	out := map[string]string{}
	switch v.Kind() {
	case value.Object:
		for name, h := range v.Fields() {
			r.header(out, name, h)
		}
	case value.Array:
		for h := range v.Elements() {
			r.header(out, h.Get("name").Text(), h.Get("value"))
		}
	default:
		r.fail("headers", "must be an object, or a JSON string of a list of {name, value}")
	}
	return out
}

func (r *sendReader) header(out map[string]string, name string, v value.Value) {
	token := name != "" && len(name) <= 76
	for i := range len(name) {
		token = token && name[i] > ' ' && name[i] < 0x7f && name[i] != ':'
	}
	switch text := v.Text(); {
	case !token:
		r.fail("headers", "a header's name must be plain ASCII without colon")
	case v.Kind() != value.String && v.Kind() != value.Number:
		r.fail("headers."+name, "must be a string")
	case strings.ContainsAny(text, "\r\n") || len(text) > 998:
		r.fail("headers."+name, "must be one line of at most 998 bytes")
	default:
		out[name] = text
	}
}

// recipients counts those of to, cc and bcc. Lists with Liquid are known when the message is rendered only; commas still
// divide them.
func (r *sendReader) recipients(p ingest.SendPayload) {
	n := 0
	for _, f := range [...]struct{ name, list string }{{"to", p.To}, {"cc", p.CC}, {"bcc", p.BCC}} {
		switch {
		case f.list == "":
		case strings.Contains(f.list, "{{") || strings.Contains(f.list, "{%"):
			n += 1 + strings.Count(f.list, ",")
		default:
			list, err := mail.ParseAddressList(f.list)
			if err != nil {
				r.fail(f.name, "is not a list of email addresses")
			}
			n += len(list)
		}
	}
	if n > maxRecipients {
		r.fail("to", "to, cc and bcc together name %d recipients; at most %d are allowed", n, maxRecipients)
	}
}
