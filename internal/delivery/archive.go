package delivery

import (
	"bytes"
	"context"
	"encoding/json"
	"mime"
	"strings"

	"rapport.example/internal/message"
)

// Archive is what a message says.
type Archive struct {
	Workspace, Delivery int64
	Created             int64  // Unix ms of the workspace's clock
	Doc                 []byte // a Said as JSON
}

// Said is an archived message as it is stored: never rename a member. Addresses and the preheader are readable text, not
// encoded for a header; lists of them are divided by ", ".
type Said struct {
	From      string       `json:"from"`
	ReplyTo   string       `json:"reply_to,omitempty"`
	Recipient string       `json:"recipient"`
	CC        string       `json:"cc,omitempty"`
	BCC       string       `json:"bcc,omitempty"`
	FakeBCC   bool         `json:"fake_bcc,omitempty"`
	Subject   string       `json:"subject"`
	Preheader string       `json:"preheader_text,omitempty"`
	Body      string       `json:"body"`
	Plain     string       `json:"body_plain,omitempty"`
	Headers   []SaidHeader `json:"headers,omitempty"`
}

// SaidHeader is a header of the author's, or one that lets people unsubscribe.
type SaidHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// archive keeps what the message says, unless it is not to be kept.
func (w *Worker) archive(j *Job, mail *message.Mail) {
	if w.o.Archive == nil || j.Unkept {
		return
	}
	var doc bytes.Buffer
	to := json.NewEncoder(&doc)
	to.SetEscapeHTML(false) // it is mostly HTML, and no page shows it as it is
	if err := to.Encode(said(j, mail)); err != nil {
		w.o.Logger.Warn("a message was not archived", "delivery", j.Delivery.Public, "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(w.sends, j.Deadline.Sub(w.o.Now())-least)
	defer cancel()
	w.o.Archive(ctx, Archive{Workspace: j.Delivery.Workspace, Delivery: j.Delivery.ID, Created: j.Delivery.Created, Doc: doc.Bytes()})
}

func said(j *Job, mail *message.Mail) Said {
	out := Said{
		From: addresses(mail.From), ReplyTo: addresses(mail.ReplyTo), Recipient: addresses(mail.To...), CC: addresses(mail.CC...), BCC: addresses(mail.BCC...),
		FakeBCC: j.Email.FakeBCC, Subject: mail.Subject, Preheader: mail.Preheader, Body: mail.HTML, Plain: mail.Text,
	}
	for _, h := range mail.Headers {
		out.Headers = append(out.Headers, SaidHeader{h.Name, readable(h.Value)})
	}
	return out
}

// addresses is a list of mailboxes as people read it: one without a name is the address alone.
func addresses(list ...string) string {
	out := make([]string, len(list))
	for i, a := range list {
		if out[i] = a; strings.HasPrefix(a, "<") && strings.HasSuffix(a, ">") {
			out[i] = a[1 : len(a)-1]
		}
	}
	return readable(out...)
}

// readable undoes the encoding of header text.
func readable(list ...string) string {
	text := strings.Join(list, ", ")
	if out, err := new(mime.WordDecoder).DecodeHeader(text); err == nil {
		return out
	}
	return text
}
