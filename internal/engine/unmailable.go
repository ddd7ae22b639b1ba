package engine

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"slices"
	"strings"

	"rapport.example/internal/person"
)

// AddressHash is the hash under an installation's secret by which an unmailable address is remembered, the same in all
// workspaces. Emails are folded as identifiers are.
func AddressHash(secret []byte, address string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("unmailable:" + person.FoldEmail(address)))
	return h.Sum(nil)[:16]
}

// unmailable remembers that an address takes no mail from a sender's domain, "" = from any.
func (b *batch) unmailable(w *work, address, domain, category string) {
	if address == "" {
		return
	}
	u := Unmailable{w.t.ID, AddressHash(b.p.e.o.Secret, address), strings.ToLower(domain), category, w.now}
	if slices.ContainsFunc(b.c.Unmailable, func(x Unmailable) bool { // rows of one statement differ in their keys
		return x.Workspace == u.Workspace && bytes.Equal(x.Hash, u.Hash) && x.Domain == u.Domain
	}) {
		return
	}
	b.c.Unmailable = append(b.c.Unmailable, u)
}
