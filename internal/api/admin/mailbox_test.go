package admin

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// FuzzTakeApart reads mails of any bytes: every one can be shown, as JSON too.
func FuzzTakeApart(f *testing.F) {
	for _, s := range []string{
		"Subject: =?utf-8?q?H=C3=A9?=\r\nTo: a@example.com\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hi</p>",
		"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHi\r\n--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPHA+\r\n--b--\r\n",
		"Content-Type: multipart/mixed; boundary=\"\r\n\r\n--", ": \r\n\r\n", "", "\xff\xfe\r\n\r\n\x00",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		p := takeApart(&Mail{ID: 1, Source: source})
		b, err := json.Marshal(p.MailMessage)
		if err != nil || !utf8.Valid(b) {
			t.Fatalf("%q, %v", b, err)
		}
	})
}
