package admin

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"rapport.example/internal/fault"
)

const mailsPerPage = 50

// mailboxData is the content of the mailbox page.
type mailboxData struct {
	Mails    []Mail
	To       string
	Delivery string
	Older    string
	Paged    bool
}

func (p *pages) mailbox(_ http.ResponseWriter, r *http.Request, f *frame) (string, error) {
	q := r.URL.Query()
	data := mailboxData{To: strings.TrimSpace(q.Get("to")), Delivery: q.Get("delivery"), Paged: q.Get("from") != ""}
	from, err := number(q.Get("from"))
	if err != nil {
		return "", err
	}
	mails, err := p.s.o.Store.Mails(r.Context(), f.Workspace.ID, MailQuery{From: from, To: data.To, Delivery: data.Delivery, Limit: mailsPerPage + 1})
	if err != nil {
		return "", err
	}
	if len(mails) > mailsPerPage {
		data.Older = strconv.FormatInt(mails[mailsPerPage].ID, 10)
		mails = mails[:mailsPerPage]
	}
	data.Mails = mails
	f.Title, f.Section, f.Data = "Mailbox", "mailbox", data
	return "mailbox.html", nil
}

// number reads a positive number, 0 if there is none.
func number(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, fault.New(fault.Invalid, "this address holds something else than a number")
	}
	return n, nil
}

// mailData is the content of the page of one mail.
type mailData struct {
	Mail    Mail
	Parts   MailMessage
	Headers []header
	Source  string
	View    string // html, text, headers or source
	Images  bool   // let the mail load pictures from elsewhere
	CIO     string
}

func (p *pages) load(r *http.Request, f *frame) (*Mail, error) {
	id, err := number(r.PathValue("id"))
	if err != nil {
		return nil, fault.New(fault.NotFound, "there is no such mail")
	}
	m, err := p.s.o.Store.Mail(r.Context(), 0, id)
	if err == nil && m == nil {
		err = fault.New(fault.NotFound, "there is no such mail; mails go when their person is deleted")
	}
	if err != nil {
		return nil, err
	}
	for _, w := range f.Workspaces {
		if w.ID == m.Workspace {
			f.Workspace = w
		}
	}
	return m, nil
}

func (p *pages) mail(_ http.ResponseWriter, r *http.Request, f *frame) (string, error) {
	m, err := p.load(r, f)
	if err != nil {
		return "", err
	}
	parts := takeApart(m)
	data := mailData{Mail: *m, Parts: parts.MailMessage, Headers: parts.order, View: r.URL.Query().Get("view"), Images: r.URL.Query().Get("images") == "1"}
	switch data.View {
	case "text", "headers":
	case "source":
		data.Source = strings.ToValidUTF8(string(m.Source), "\uFFFD")
	default:
		data.View = "html"
		if data.Parts.HTML == "" {
			data.View = "text"
		}
	}
	if m.Person != 0 {
		list, err := p.s.o.Store.NewestPeople(r.Context(), m.Workspace, m.Person, 1)
		if err != nil {
			return "", err
		}
		if len(list) == 1 && list[0].Ordinal == m.Person {
			data.CIO = list[0].CIO
		}
	}
	f.Title, f.Section, f.Data = m.Subject, "mailbox", data
	return "mail.html", nil
}

// A mail's HTML is a stranger's: it runs no scripts, sends no forms, has an origin of its own and loads nothing, pictures
// excepted when the reader asks for them. Its links open in a new window.
const (
	bodyPolicy   = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'self'; img-src data:"
	bodyPictures = " http: https:"
)

func (p *pages) body(w http.ResponseWriter, r *http.Request, f *frame) (string, error) {
	m, err := p.load(r, f)
	if err != nil {
		return "", err
	}
	policy := bodyPolicy
	if r.URL.Query().Get("images") == "1" {
		policy += bodyPictures
	}
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(withTarget([]byte(takeApart(m).HTML))) //nolint:errcheck // it only fails when the reader is gone
	return "", nil
}

// withTarget makes the links of a mail open in a new window. The element goes behind the doctype and the head's start
// tag, if there are any: before a doctype it would change how the mail is laid out.
func withTarget(html []byte) []byte {
	const base = `<base target="_blank">`
	lower, at := bytes.ToLower(html), 0
	for _, tag := range [...]string{"<!doctype", "<html", "<head"} {
		i := bytes.Index(lower[at:], []byte(tag))
		if i < 0 || len(bytes.TrimSpace(lower[at:at+i])) > 0 && at == 0 {
			continue
		}
		if end := bytes.IndexByte(lower[at+i:], '>'); end >= 0 {
			at += i + end + 1
		}
	}
	return append(append(append(make([]byte, 0, len(html)+len(base)), html[:at]...), base...), html[at:]...)
}

func (p *pages) source(w http.ResponseWriter, r *http.Request, f *frame) (string, error) {
	m, err := p.load(r, f)
	if err != nil {
		return "", err
	}
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("Content-Disposition", `attachment; filename="mail-`+strconv.FormatInt(m.ID, 10)+`.eml"`)
	_, _ = w.Write(m.Source) //nolint:errcheck // it only fails when the reader is gone
	return "", nil
}
