package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"rapport.example/internal/api"
	"rapport.example/internal/workspace"
)

// Sessions last this long; a revoked key ends its sessions at once.
const sessionLife = 12 * time.Hour

const cookieName = "rapport_session"

// sessions makes and checks cookies: the id of the admin key and the moment of expiry, signed. Nothing is stored.
type sessions struct {
	key    []byte
	keys   *api.Keys
	now    func() time.Time
	secure bool // the server is reached over HTTPS
	cross  *http.CrossOriginProtection
}

func newSessions(o Options) sessions {
	h := hmac.New(sha256.New, o.Secret)
	h.Write([]byte("rapport session 1"))
	return sessions{h.Sum(nil), o.Keys, o.Now, strings.HasPrefix(o.BaseURL, "https:"), http.NewCrossOriginProtection()}
}

const sessionBytes = 16

// cookie starts a session for a credential.
func (s *sessions) cookie(c *workspace.Credential, r *http.Request) *http.Cookie {
	b := binary.BigEndian.AppendUint64(nil, uint64(c.ID))
	b = binary.BigEndian.AppendUint64(b, uint64(s.now().Add(sessionLife).Unix()))
	return s.set(base64.RawURLEncoding.EncodeToString(append(b, s.mac(b, c)...)), int(sessionLife.Seconds()), r)
}

func (s *sessions) set(v string, age int, r *http.Request) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: v, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: s.secure || r.TLS != nil,
	}
}

// mac binds the session to the key's hash too: should an id ever name another key, the session does not open it.
func (s *sessions) mac(b []byte, c *workspace.Credential) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(b)
	h.Write(c.Hash[:])
	return h.Sum(nil)
}

// Session returns the admin key of the request's session, nil if there is none that counts. A request that changes
// something counts only if it comes from our own pages.
func (s *Surface) Session(r *http.Request) *workspace.Credential {
	if s.sessions.cross.Check(r) != nil {
		return nil
	}
	return s.sessions.of(r)
}

func (s *sessions) of(r *http.Request) *workspace.Credential {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || len(raw) != sessionBytes+sha256.Size {
		return nil
	}
	now := s.now()
	if int64(binary.BigEndian.Uint64(raw[8:])) <= now.Unix() {
		return nil
	}
	c := s.keys.Credential(int64(binary.BigEndian.Uint64(raw)), now)
	if c == nil || c.Kind != workspace.Admin || !hmac.Equal(raw[sessionBytes:], s.mac(raw[:sessionBytes], c)) {
		return nil
	}
	return c
}

// logins bounds how often keys are tried: five in a row and then one every twelve seconds from one address, and thirty a
// minute from everywhere.
type logins struct {
	mu   *sync.Mutex
	all  *rate.Limiter
	from map[string]*rate.Limiter
}

const maxAddresses = 10_000

func newLogins() logins {
	return logins{new(sync.Mutex), rate.NewLimiter(rate.Every(2*time.Second), 30), map[string]*rate.Limiter{}}
}

// allow counts one try. The address is that of the connection: headers can be made up.
func (l *logins) allow(r *http.Request, now time.Time) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.from[host]
	if one == nil {
		if len(l.from) >= maxAddresses {
			clear(l.from) // the bound for everywhere still holds
		}
		one = rate.NewLimiter(rate.Every(12*time.Second), 5)
		l.from[host] = one
	}
	return one.AllowN(now, 1) && l.all.AllowN(now, 1)
}
