package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"

	"rapport.example/internal/fault"
)

// Cursor makes and reads the opaque tokens of paged lists. A token is bound to the list, its workspace and its filter
// by a MAC, so that one of another list, workspace or filter, or a changed one, is refused and not misread.
type Cursor struct{ key []byte }

// NewCursor derives the signing key from the installation's secret.
func NewCursor(secret []byte) *Cursor {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("rapport cursor 1"))
	return &Cursor{h.Sum(nil)}
}

// List is what a token belongs to.
type List struct {
	Name      string // of the list, such as "segment_membership"
	Workspace int64
	Filter    string // every parameter that changes what is listed, joined in one fixed order; "" if there is none
}

const macLen = 12

// MaxCursor is the longest token that is looked at, in bytes. Those given out are shorter by far: positions are numbers and names.
const MaxCursor = 4000

// Encode returns the token that continues the list behind a position. The position is not secret.
func (c *Cursor) Encode(l List, position string) string {
	return base64.RawURLEncoding.EncodeToString(append(c.mac(l, position), position...))
}

// Decode returns the position of a token; "" for the empty token, which is the list's beginning. A token that this list
// did not give is an Invalid fault of the field start.
func (c *Cursor) Decode(l List, token string) (position string, err error) {
	if token == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(token) > MaxCursor || len(raw) < macLen || !hmac.Equal(raw[:macLen], c.mac(l, string(raw[macLen:]))) {
		return "", fault.Field("start", "is not a cursor of this list: use the next member of an earlier answer, with the same parameters")
	}
	return string(raw[macLen:]), nil
}

func (c *Cursor) mac(l List, position string) []byte {
	h := hmac.New(sha256.New, c.key)
	for _, s := range []string{l.Name, strconv.FormatInt(l.Workspace, 10), l.Filter, position} {
		// Lengths keep the parts apart: no two lists and positions give the same bytes.
		h.Write(strconv.AppendInt(nil, int64(len(s)), 10))
		h.Write([]byte{':'})
		h.Write([]byte(s))
	}
	return h.Sum(nil)[:macLen:macLen]
}
