package api

import (
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

// maxHeaders bounds the Authorization headers that a snapshot remembers as good.
const maxHeaders = 4096

// maxHeader bounds the length of an Authorization header, in bytes.
const maxHeader = 1024

// Access is what a request may act on.
type Access struct {
	Credential *workspace.Credential // shared; never write to it
	Workspace  workspace.Workspace   // the zero Workspace for admin keys
	from       []netip.Prefix        // nil = everywhere
}

// From decides whether the key may be used from a client address, as http.Request.RemoteAddr has it. A workspace's list holds
// for its Track, App and agent keys: write keys stand in pages that everybody loads, and admin keys belong to no workspace, so
// that who has shut themselves out can come back in.
func (a *Access) From(remote string) error {
	if a.from == nil {
		return nil
	}
	if at, err := netip.ParseAddrPort(remote); err == nil {
		ip := at.Addr().Unmap().WithZone("")
		for _, p := range a.from {
			if p.Contains(ip) {
				return nil
			}
		}
	}
	return fault.New(fault.Forbidden, "this workspace's keys may not be used from your address")
}

// Authenticate checks an Authorization header for a kind of authentication at the real time now. Its error is
// Unauthorized and says nothing about which part was wrong.
func (k *Keys) Authenticate(header string, auth Auth, now time.Time) (Access, error) {
	if header == "" || len(header) > maxHeader {
		return Access{}, unauthorized()
	}
	s := k.snap.Load()
	// Checking costs a decoding and a hash; a header that was good stays good until the next refresh.
	key := headerKey{auth, header}
	e := s.remembered(key)
	if e == nil {
		if e = s.check(header, auth); e == nil {
			return Access{}, unauthorized()
		}
		s.remember(key, e)
	}
	return k.admit(s, e, now)
}

// Secret checks a bare secret of a kind, as a login form has it.
func (k *Keys) Secret(kind workspace.Kind, secret string, now time.Time) (Access, error) {
	s := k.snap.Load()
	e := s.find(kind, "", secret)
	if e == nil {
		return Access{}, unauthorized()
	}
	return k.admit(s, e, now)
}

func (k *Keys) admit(s *snapshot, e *entry, now time.Time) (Access, error) {
	c := &e.credential
	if c.Expires != 0 && now.UnixMilli() >= c.Expires || k.forgotten(c.ID) {
		return Access{}, unauthorized()
	}
	a := Access{Credential: c}
	if c.Kind != workspace.Admin {
		w := s.workspaces[c.Workspace]
		if w == nil {
			return Access{}, unauthorized()
		}
		a.Workspace = *w
		if c.Kind != workspace.Write {
			a.from = s.allowed[c.Workspace]
		}
	}
	// Noted to the minute, and written out by the refresh loop.
	if minute := now.UnixMilli() / 60_000 * 60_000; e.used.Load() < minute {
		e.used.Store(minute)
	}
	return a, nil
}

// scoped decides whether the key's scopes let it use the route.
func (m *Mux) scoped(c *Call) error {
	if c.Credential == nil || c.Credential.Kind != workspace.App {
		return m.agent(c)
	}
	if need := c.Route.AppScope(); need != "" && !slices.Contains(c.Credential.Allowed(), need) {
		return fault.New(fault.Forbidden, "this App key lacks the scope %s", need)
	}
	return nil
}

// agent decides whether an agent key may use the route: by its scopes and what its workspace allows agents, and never to send. What it may do is told in a
// header, so that an agent can know before it tries.
func (m *Mux) agent(c *Call) error {
	if !c.ByAgent() || c.Route.Auth == AgentKey {
		return nil
	}
	scopes := c.Credential.AgentScopes()
	c.W.Header().Set("X-Rapport-Scopes", strings.Join(scopes, ", "))
	need := c.Route.Agent
	switch {
	case need != "":
	case c.Route.Auth == AppKey && c.Route.Method == http.MethodGet:
		need = workspace.Read
	default:
		return fault.New(fault.Forbidden, "agent keys cannot do this, whatever their scopes")
	}
	c.needs = func(scope string) error {
		if !slices.Contains(scopes, scope) {
			return fault.New(fault.Forbidden, "this agent key lacks the scope %s", scope)
		}
		return m.policy(c, scope)
	}
	return c.needs(need)
}

func unauthorized() error { return fault.New(fault.Unauthorized, "Unauthorized request") }

// check reads the header as the kind of authentication wants it and finds its credential; nil if there is none.
func (s *snapshot) check(header string, auth Auth) *entry {
	scheme, rest, _ := strings.Cut(header, " ")
	rest = strings.TrimSpace(rest)
	basic, bearer := strings.EqualFold(scheme, "Basic"), strings.EqualFold(scheme, "Bearer")
	switch {
	case basic && auth == TrackKey:
		user, pass, ok := decodeBasic(rest)
		if !ok || user == "" {
			return nil
		}
		return s.find(workspace.Track, user, pass)
	case basic && auth == WriteKey:
		user, _, ok := decodeBasic(rest)
		if !ok {
			return nil
		}
		return s.find(workspace.Write, "", user)
	case bearer && auth == WriteKey: // a generated client of the vendor's sends it so
		return s.find(workspace.Write, "", rest)
	case bearer && (auth == AgentKey || (auth == TrackKey || auth == AppKey) && workspace.AgentSecret(rest)):
		return s.find(workspace.Agent, "", rest)
	case bearer && auth == AppKey:
		return s.find(workspace.App, "", rest)
	case bearer && auth == AdminKey:
		return s.find(workspace.Admin, "", rest)
	}
	return nil
}

// decodeBasic reads user:password in standard or URL-safe base64 (Customer.io's Go client sends the latter), padded or
// not.
func decodeBasic(s string) (user, pass string, ok bool) {
	s = strings.TrimRight(s, "=")
	raw, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		if raw, err = base64.RawURLEncoding.DecodeString(s); err != nil {
			return "", "", false
		}
	}
	return strings.Cut(string(raw), ":")
}

// find looks a secret up by its hash. The hash of a guess tells nothing about the secret, and the comparison that
// decides takes the same time wherever they differ.
func (s *snapshot) find(kind workspace.Kind, site, secret string) *entry {
	if secret == "" {
		return nil
	}
	hash := workspace.Hash(secret)
	e := s.entries[entryKey{kind, site, hash}]
	if e == nil || subtle.ConstantTimeCompare(e.credential.Hash[:], hash[:]) != 1 {
		return nil
	}
	return e
}

func (s *snapshot) remembered(key headerKey) *entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.headers[key]
}

func (s *snapshot) remember(key headerKey, e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.headers) < maxHeaders {
		s.headers[key] = e
	}
}
