// Package workspace knows tenants: workspaces, the credentials that open them, and their clock.
package workspace

import (
	"crypto/sha256"
	"net/netip"
	"time"
)

// Workspace is one tenant. Its id is a small integer and also the vendor's environment_id.
type Workspace struct {
	ID        int64
	Name      string // "" until apply names it
	Partition int32
	Clock     int64 // ms that the workspace's clock runs ahead of real time; only ever grows
	Gen       int64 // generation of its definitions: grows with each change
	Sweep     int64 // next ordinal of the running sweep that brings documents to Gen; 0 = none running
	SweepEnd  int64 // first ordinal that needs no sweep, being born at Gen or later
	Created   int64 // Unix ms, real time
}

// Now is the workspace's time at the real time now, in Unix ms.
func (w *Workspace) Now(now time.Time) int64 { return now.UnixMilli() + w.Clock }

// Kind says what a credential opens.
type Kind string

// The credential kinds, as the CLI names them.
const (
	Track Kind = "track" // Basic site_id:api_key for the Track API
	App   Kind = "app"   // Bearer for the App API
	Write Kind = "write" // Pipelines write key
	Admin Kind = "admin" // Bearer for /admin/v1 and the login of the pages; all workspaces
	Agent Kind = "agent" // agk_… for /mcp
)

// Credential is a key of a workspace. The secret itself is never stored.
type Credential struct {
	ID        int64
	Workspace int64 // 0 for admin keys, which open every workspace
	Kind      Kind
	Name      string   // label
	SiteID    string   // user name of Track keys, "" otherwise
	Prefix    string   // first characters of the secret, to recognise it in lists
	Hash      [32]byte // Hash(secret)
	Scopes    []string // of agent and App keys; nil = what Allowed says
	Created   int64    // Unix ms
	Expires   int64    // Unix ms, 0 = never
	Revoked   int64    // Unix ms, 0 = not revoked
	LastUsed  int64    // Unix ms, to the minute; 0 = never
	Replaced  int64    // id of the credential that takes its place until it expires, 0 = none
	PerMinute int64    // requests that it may make, 0 = no limit of its own
	// Of an agent key that is the grant of an OAuth client, else empty. Hash and Expires are then those of its newest access token.
	Client   string // client_id
	Audience string // what the token is good for, as a URL; nowhere else
	Approved int64  // id of the admin key of who agreed
}

// The scopes of agent keys. They are independent of each other: none brings another one with it.
const (
	Read          = "read"           // people without sensitive attributes, segments, campaigns, messages
	ReadSensitive = "read:sensitive" // sensitive attributes, what messages said
	WriteScope    = "write"          // attributes, events, manual segments
	WriteLive     = "write:live"     // subscriptions, suppression, deletion, merging, what live messages say
	Configure     = "configure"      // what attributes and events are for, and which are sensitive
	Audit         = "audit"          // the record of what agents did
)

// Send is the scope of App keys that lets messages leave: transactional ones and broadcasts. The other two are Read and
// WriteScope. They, too, are independent of each other.
const Send = "send"

// Scopes are all scopes of agent keys.
func Scopes() []string { return []string{Read, ReadSensitive, WriteScope, WriteLive, Configure, Audit} }

// ScopesOf are all scopes of keys of a kind; nil if they have none.
func ScopesOf(k Kind) []string {
	switch k {
	case Agent:
		return Scopes()
	case App:
		return []string{Read, WriteScope, Send}
	case Track, Write, Admin:
	}
	return nil
}

// AgentScopes are what an agent key may do: what it was given, else to read and to write.
func (c *Credential) AgentScopes() []string {
	if c.Scopes == nil {
		return []string{Read, WriteScope}
	}
	return c.Scopes
}

// Allowed are the scopes that a key has: those it was given. Without any an App key has all, as every one had before there
// were scopes, and an agent key AgentScopes. nil if its kind has no scopes.
func (c *Credential) Allowed() []string {
	switch {
	case c.Kind == Agent:
		return c.AgentScopes()
	case c.Kind == App && c.Scopes == nil:
		return ScopesOf(App)
	}
	return c.Scopes
}

// Hash is how secrets are stored. They are generated with at least 128 random bits, so a plain hash is enough and
// costs nothing per request; keys chosen by the operator through RAPPORT_… variables are the operator's care.
func Hash(secret string) [32]byte { return sha256.Sum256([]byte(secret)) }

// ParsePrefix reads an address or a network in CIDR notation; bits behind the network's are cleared, and an IPv4 address in IPv6
// clothes becomes one of IPv4.
func ParsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err == nil && p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), err
}
