// Package link makes the addresses by which a mail reports back – tracked links, the open pixel, unsubscribing – and
// serves them. All that an address means is signed into it, so the pages need no database and work on every node.
package link

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"strings"

	"rapport.example/internal/fault"
	"rapport.example/internal/message"
)

// Kind is what a token is for. The values are signed into mail that is out: never renumber.
type Kind uint8

// The kinds.
const (
	Click       Kind = 1
	Open        Kind = 2
	Unsubscribe Kind = 3
)

// maxHref bounds tracked links in bytes; a longer one is left as it is, as browsers and gateways cut long URLs.
const maxHref = 4 << 10

const (
	version  = 1
	macSize  = 16 // bytes of HMAC-SHA256 that are kept: 128 bits
	maxToken = (macSize+1+2*binary.MaxVarintLen64+maxHref)*4/3 + 4
)

// Token is what an address says.
type Token struct {
	Kind                Kind
	Workspace, Delivery int64
	Href                string // where a click leads; "" for other kinds
}

// Signer makes and reads tokens. It is safe for concurrent use.
type Signer struct {
	key  []byte
	base string
}

// NewSigner takes the installation's secret and the URL under which it is reached, such as https://mail.example.com.
// Addresses stay good as long as the secret stays.
func NewSigner(secret []byte, baseURL string) *Signer {
	h := hmac.New(sha256.New, secret) // a key of its own: what is signed here means nothing elsewhere
	h.Write([]byte("rapport link tokens"))
	return &Signer{key: h.Sum(nil), base: strings.TrimRight(baseURL, "/")}
}

// For makes the addresses of one delivery.
func (s *Signer) For(workspace, delivery int64) message.Links {
	return links{s, workspace, delivery}
}

type links struct {
	signer              *Signer
	workspace, delivery int64
}

// Click is a tracked link to href, or href itself if it is too long or does not lead to the web.
func (l links) Click(href string) string {
	if len(href) > maxHref || !web(href) {
		return href
	}
	return l.signer.base + "/e/c/" + l.signer.sign(Token{Click, l.workspace, l.delivery, href})
}

// Open is the image that counts an open.
func (l links) Open() string {
	return l.signer.base + "/e/o/" + l.signer.sign(Token{Open, l.workspace, l.delivery, ""}) + ".gif"
}

// Unsubscribe is the page, and the one-click endpoint.
func (l links) Unsubscribe() string {
	return l.signer.base + "/e/u/" + l.signer.sign(Token{Unsubscribe, l.workspace, l.delivery, ""})
}

func web(href string) bool {
	u, err := url.Parse(href)
	return err == nil && (strings.EqualFold(u.Scheme, "http") || strings.EqualFold(u.Scheme, "https")) && u.Host != ""
}

// sign lays a token out as mac, version, kind, workspace, delivery, href, in base64 for URLs.
func (s *Signer) sign(t Token) string {
	b := make([]byte, macSize, macSize+2+2*binary.MaxVarintLen64+len(t.Href))
	b = append(b, version, byte(t.Kind))
	b = binary.AppendUvarint(b, uint64(t.Workspace))
	b = binary.AppendUvarint(b, uint64(t.Delivery))
	b = append(b, t.Href...)
	copy(b, s.mac(b[macSize:]))
	return base64.RawURLEncoding.EncodeToString(b)
}

func (s *Signer) mac(b []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(b)
	return h.Sum(nil)[:macSize]
}

// Parse reads a token. One that this Signer did not make, or not for kind, is of kind NotFound.
func (s *Signer) Parse(text string, kind Kind) (Token, error) {
	changed := fault.New(fault.NotFound, "the link is incomplete or was changed")
	if len(text) > maxToken {
		return Token{}, changed
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") || len(b) < macSize+2 || !hmac.Equal(b[:macSize], s.mac(b[macSize:])) {
		return Token{}, changed
	}
	if b = b[macSize:]; b[0] != version || Kind(b[1]) != kind {
		return Token{}, changed
	}
	workspace, n := binary.Uvarint(b[2:])
	if n <= 0 {
		return Token{}, changed
	}
	delivery, m := binary.Uvarint(b[2+n:])
	if m <= 0 {
		return Token{}, changed
	}
	return Token{kind, int64(workspace), int64(delivery), string(b[2+n+m:])}, nil
}
