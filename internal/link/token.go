// Package link makes and serves the links of messages: tracked links, the open pixel and the unsubscribe page. A token
// holds all that is needed and is signed, so nothing is looked up and nothing can be changed.
package link

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"rapport.example/internal/fault"
	"rapport.example/internal/message"
)

// Kind says what a link does. The values are in tokens that lie in inboxes: never renumber.
type Kind uint8

// The kinds.
const (
	Click       Kind = 1
	Open        Kind = 2
	Unsubscribe Kind = 3
)

// Token is what a link says.
type Token struct {
	Kind      Kind
	Workspace int64
	Delivery  int64
	Href      string // of a click: where it leads
}

const (
	version = 1
	macSize = 16
)

// Signer signs tokens and makes the links of deliveries.
type Signer struct {
	key  []byte
	base string
}

// NewSigner derives its key from the installation's secret. base is the address under which people reach the server.
func NewSigner(secret []byte, base string) *Signer {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("link tokens v1"))
	return &Signer{key: h.Sum(nil), base: base}
}

// For returns the links of one delivery.
func (s *Signer) For(workspace, delivery int64) message.Links {
	return links{s, Token{Workspace: workspace, Delivery: delivery}}
}

type links struct {
	s *Signer
	t Token
}

// Click is part of message.Links.
func (l links) Click(href string) string {
	l.t.Kind, l.t.Href = Click, href
	return l.s.base + "/e/c/" + l.s.Sign(l.t)
}

// Open is part of message.Links.
func (l links) Open() string {
	l.t.Kind = Open
	return l.s.base + "/e/o/" + l.s.Sign(l.t) + ".gif"
}

// Unsubscribe is part of message.Links.
func (l links) Unsubscribe() string {
	l.t.Kind = Unsubscribe
	return l.s.base + "/e/u/" + l.s.Sign(l.t)
}

// Sign returns the token as URL-safe text.
func (s *Signer) Sign(t Token) string {
	b := []byte{version, byte(t.Kind)}
	b = binary.AppendUvarint(b, uint64(t.Workspace))
	b = binary.AppendUvarint(b, uint64(t.Delivery))
	b = append(b, t.Href...)
	return base64.RawURLEncoding.EncodeToString(append(s.mac(b), b...))
}

// Parse reads a token of the wanted kind. Whatever is wrong with it, the error is the same NotFound.
func (s *Signer) Parse(text string, kind Kind) (Token, error) {
	wrong := fault.New(fault.NotFound, "this link is not valid")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < macSize+4 || !hmac.Equal(raw[:macSize], s.mac(raw[macSize:])) {
		return Token{}, wrong
	}
	b := raw[macSize:]
	t := Token{Kind: Kind(b[1])}
	if b[0] != version || t.Kind != kind {
		return Token{}, wrong
	}
	b = b[2:]
	for _, to := range []*int64{&t.Workspace, &t.Delivery} {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return Token{}, wrong
		}
		*to, b = int64(v), b[n:]
	}
	t.Href = string(b)
	return t, nil
}

func (s *Signer) mac(b []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(b)
	return h.Sum(nil)[:macSize]
}
