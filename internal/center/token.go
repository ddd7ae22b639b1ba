// Package center is the subscription center: the page where people choose which topics they get messages of, reached by a
// link that a program asks for over the App API.
package center

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"rapport.example/internal/fault"
)

// Path leads to the page; behind it come a token and a slash.
const Path = "/u/i/"

// LinkFor is how long a link is good (app-api.md §14).
const LinkFor = 24 * time.Hour

// Signer makes and reads the links. Whoever has one sees and changes one person's choices until its time is over. It is safe for
// concurrent use.
type Signer struct {
	key  []byte
	base string
}

// NewSigner takes the installation's secret and the URL under which the server is reached.
func NewSigner(secret []byte, baseURL string) *Signer {
	h := hmac.New(sha256.New, secret) // a key of its own: what is signed here means nothing elsewhere
	h.Write([]byte("rapport subscription center"))
	return &Signer{key: h.Sum(nil), base: strings.TrimRight(baseURL, "/")}
}

const (
	version = 1
	macSize = 16 // bytes of HMAC-SHA256 that are kept: 128 bits
	maxCIO  = 64
)

func (s *Signer) mac(b []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(b)
	return h.Sum(nil)[:macSize]
}

// Link is the token and address for a person, by cio id, good until now + LinkFor.
func (s *Signer) Link(workspace int64, cio string, now time.Time) (token, address string) {
	b := append(make([]byte, macSize), version)
	b = binary.AppendUvarint(b, uint64(workspace))
	b = binary.AppendUvarint(b, uint64(now.Add(LinkFor).Unix()))
	b = append(b, cio...)
	copy(b, s.mac(b[macSize:]))
	token = base64.RawURLEncoding.EncodeToString(b)
	return token, s.base + Path + token + "/"
}

// ticket is what a token says.
type ticket struct {
	workspace int64
	cio       string
}

// parse reads a token: one that this Signer did not make is Forbidden, one whose time is over is NotFound.
func (s *Signer) parse(token string, now time.Time) (t ticket, err error) {
	changed := fault.New(fault.Forbidden, "the link is incomplete or was changed")
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) <= macSize || len(b) > macSize+1+2*binary.MaxVarintLen64+maxCIO || !hmac.Equal(b[:macSize], s.mac(b[macSize:])) || b[macSize] != version {
		return t, changed
	}
	b = b[macSize+1:]
	workspace, n := binary.Uvarint(b)
	if n <= 0 {
		return t, changed
	}
	until, m := binary.Uvarint(b[n:])
	if m <= 0 {
		return t, changed
	}
	if now.Unix() >= int64(until) {
		return t, fault.New(fault.NotFound, "the link is too old")
	}
	return ticket{int64(workspace), string(b[n+m:])}, nil
}
