package server

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"rapport.example/internal/api"
)

// insideHeader marks calls that this process makes to itself; its value is known to nobody else.
const insideHeader = "X-Rapport-Inside"

const forwardedHeader = "X-Forwarded-For"

// callers tells the handler behind it who asks. What X-Forwarded-For says counts only as far as it was written by proxies that the
// operator trusts, or by this process: everybody else could write anything there.
type callers struct {
	trusted []netip.Prefix
	inside  string
	next    http.Handler
}

// newInside makes up what this process marks its calls to itself with.
func newInside() string { return rand.Text() }

// ServeHTTP is part of http.Handler.
func (c *callers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if mark := r.Header.Get(insideHeader); mark != "" {
		r.Header.Del(insideHeader)
		if subtle.ConstantTimeCompare([]byte(mark), []byte(c.inside)) == 1 {
			setClient(r, r.Header.Get(forwardedHeader))
			c.next.ServeHTTP(w, r.WithContext(api.Inside(r.Context())))
			return
		}
	}
	if len(c.trusted) > 0 {
		c.forwarded(r)
	}
	c.next.ServeHTTP(w, r)
}

// forwarded goes back from the connection's far end as long as it is a trusted proxy.
func (c *callers) forwarded(r *http.Request) {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !c.trusts(at.Addr()) {
		return
	}
	hops := strings.Split(strings.Join(r.Header.Values(forwardedHeader), ","), ",")
	for _, hop := range slices.Backward(hops) {
		hop = strings.TrimSpace(hop)
		if !setClient(r, hop) {
			return
		}
		if a, err := netip.ParseAddr(hop); err != nil || !c.trusts(a) {
			return
		}
	}
}

func (c *callers) trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(c.trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

// setClient lets the request come from an address, with a port or without one. What is no address changes nothing.
func setClient(r *http.Request, text string) bool {
	if at, err := netip.ParseAddrPort(text); err == nil {
		r.RemoteAddr = at.String()
		return true
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return false
	}
	r.RemoteAddr = netip.AddrPortFrom(a, 0).String()
	return true
}
