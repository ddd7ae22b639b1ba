package message

import (
	"cmp"
	"errors"
	"html"
	"maps"
	"mime"
	"slices"
	"strings"
	"time"

	"rapport.example/internal/fault"
	"rapport.example/liquid"
)

// ErrNoAddress says that a person cannot be written to.
var ErrNoAddress = errors.New("no address")

// Render makes the mail of one delivery. A variable without a value fails it with the variable's name, unless the
// template has a default or asks with if. l and from may be nil; without from, e.From is an address of its own. Without
// links nothing is tracked, and tags that need links fail.
//
// Errors are of kind Invalid with the field at fault, or ErrNoAddress; they hold no address.
func Render(e *Email, l *Layout, from *Sender, s Scope, links Links) (*Mail, error) {
	r := &rendering{email: e, layout: l, links: links, own: map[string]bool{}, vars: variables(s, l), campaign: s.Campaign.ID != 0}
	if s.Now != 0 {
		r.now = time.UnixMilli(s.Now).UTC()
	}
	m := &Mail{}
	for _, step := range []func(*Mail) error{
		func(m *Mail) error { return r.addresses(m, from, s.Event) },
		r.subject, r.body, r.headers,
	} {
		if err := step(m); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// rendering is the state of one Render.
type rendering struct {
	email        *Email
	layout       *Layout
	links        Links
	vars         map[string]any
	now          time.Time
	campaign     bool
	own          map[string]bool // URLs that tags wrote: links to them stay as they are
	unsubscribes bool            // a tag offered it
}

// variables is what Liquid sees; what the scope lacks is left out.
func variables(s Scope, l *Layout) map[string]any {
	vars := map[string]any{"message": named(s.Message)}
	for name, v := range map[string]interface{ Any() any }{"customer": s.Customer, "event": s.Event, "trigger": s.Trigger} {
		if x := v.Any(); x != nil {
			vars[name] = x
		}
	}
	if s.EventTimestamp != 0 {
		vars["event_timestamp"] = s.EventTimestamp
	}
	if s.Campaign.ID != 0 {
		vars["campaign"] = named(s.Campaign)
	}
	if l != nil {
		vars["layout"] = map[string]any{"id": l.ID, "name": l.Slug}
	}
	return vars
}

func named(n Named) map[string]any {
	out := map[string]any{"id": n.ID}
	if n.Name != "" {
		out["name"] = n.Name
	}
	if n.Type != "" {
		out["type"] = n.Type
	}
	return out
}

// liquid renders one field. In HTML the unsubscribe tag writes a link, elsewhere the bare URL.
func (r *rendering) liquid(name, text string, parsed templates, inHTML bool) (string, error) {
	if plain(text) {
		return text, nil
	}
	t := parsed[text]
	if t == nil {
		var err error
		if t, err = liquid.Parse(text); err != nil {
			return "", fault.Field(name, "%s", err)
		}
	}
	out, err := t.Render(r.vars, r.options(inHTML))
	if err != nil {
		return "", fault.Field(name, "%s", err)
	}
	return out, nil
}

func (r *rendering) options(inHTML bool) liquid.Options {
	o := liquid.Options{Now: r.now}
	if r.links == nil {
		return o
	}
	address := func() string {
		url := r.links.Unsubscribe()
		r.unsubscribes, r.own[url] = true, true
		return url
	}
	o.UnsubscribeURL = address
	o.Unsubscribe = func() string {
		if !inHTML {
			return address()
		}
		return `<a href="` + html.EscapeString(address()) + `">Unsubscribe</a>`
	}
	o.Link = func(url string, track bool) (string, error) {
		if !web(url) {
			return "", errors.New("a link must begin with http:// or https://")
		}
		if track && r.email.Tracked {
			url = r.links.Click(url)
		}
		r.own[url] = true
		return url, nil
	}
	return o
}

// line renders a field that becomes part of a header.
func (r *rendering) line(name, text string) (string, error) {
	out, err := r.liquid(name, text, r.email.parsed, false)
	if err != nil {
		return "", err
	}
	out = strings.TrimSpace(out)
	switch {
	case strings.ContainsFunc(out, control):
		return "", fault.Field(name, "must be one line without control characters")
	case len(out) > maxHeaderText:
		return "", fault.Field(name, "must be at most %d bytes", maxHeaderText)
	}
	return out, nil
}

func (r *rendering) subject(m *Mail) (err error) {
	if m.Subject, err = r.line("subject", r.email.Subject); err != nil {
		return err
	}
	if v, ok := r.vars["message"].(map[string]any); ok {
		v["subject"] = m.Subject
	}
	return nil
}

// body renders HTML and text. The text is made before links are rewritten, so that it says where they lead.
func (r *rendering) body(m *Mail) error {
	page, err := r.liquid("body", r.email.Body, r.email.parsed, true)
	if err != nil {
		return err
	}
	if r.layout != nil {
		r.vars["content"] = page
		page, err = r.liquid("layout", r.layout.Body, r.layout.parsed, true)
		delete(r.vars, "content")
		if err != nil {
			return err
		}
	}
	if m.Text, err = r.liquid("body_plain", r.email.BodyPlain, r.email.parsed, false); err != nil {
		return err
	}
	if r.email.BodyPlain == "" {
		m.Text = textOf(page)
	}
	pre, err := r.liquid("preheader", r.email.Preheader, r.email.parsed, false)
	if err != nil {
		return err
	}
	m.Preheader = strings.TrimSpace(pre)
	w := rewriter{preheader: preheader(m.Preheader)}
	if r.email.Tracked && r.links != nil {
		w.click, w.pixel = r.click, pixel(r.links.Open())
	}
	m.HTML = w.rewrite(page)
	return nil
}

func (r *rendering) click(href string) string {
	if r.own[href] {
		return href
	}
	return r.links.Click(href)
}

// headers renders the author's headers, the last of a name counting, and adds those of RFC 8058 where people can
// unsubscribe. They are in order of name: what comes from a request has no order of its own.
func (r *rendering) headers(m *Mail) error {
	byName := map[string]Header{}
	for _, h := range r.email.Headers {
		name := "headers." + h.Name
		if why := reserved(h.Name); why != "" {
			return fault.Field(name, "%s", why)
		}
		text, err := r.line(name, h.Value)
		if err != nil {
			return err
		}
		byName[strings.ToLower(h.Name)] = Header{h.Name, mime.QEncoding.Encode("utf-8", text)}
	}
	_, given := byName["list-unsubscribe"]
	if r.links != nil && !given && (r.campaign || r.unsubscribes) {
		byName["list-unsubscribe"] = Header{"List-Unsubscribe", "<" + r.links.Unsubscribe() + ">"}
		byName["list-unsubscribe-post"] = Header{"List-Unsubscribe-Post", "List-Unsubscribe=One-Click"}
	}
	m.Headers = slices.SortedFunc(maps.Values(byName), func(a, b Header) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}
