package oauth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/workspace"
)

// Request is what a client asks a person to agree to.
type Request struct {
	Client    string   `json:"client"`
	Name      string   `json:"name"`
	Redirect  string   `json:"redirect"`
	State     string   `json:"state"`
	Challenge string   `json:"challenge"`
	Scopes    []string `json:"scopes"`
	Audience  string   `json:"audience"`
	Issuer    string   `json:"issuer"`
	Person    int64    `json:"person"` // id of the admin key of who is asked
	Until     int64    `json:"until"`  // Unix ms
}

// askFor is how long a person may take to decide.
const askFor = 15 * time.Minute

// Host names the client by where its description stands; "" for one that was registered.
func (q *Request) Host() string {
	if u, err := url.Parse(q.Client); err == nil {
		return u.Host
	}
	return ""
}

// Target says where the answer goes: a host, or a program on the person's machine.
func (q *Request) Target() string {
	u, err := url.Parse(q.Redirect)
	if err != nil {
		return ""
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		return u.Host
	}
	return u.Scheme + ":"
}

// Local tells whether the answer goes to a program on the person's own machine, which any program there could be.
func (q *Request) Local() bool {
	u, err := url.Parse(q.Redirect)
	return err != nil || u.Scheme != "https" || loopback(u.Hostname())
}

// Source is the redirect as a content security policy names it.
func (q *Request) Source() string {
	u, err := url.Parse(q.Redirect)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return strings.SplitN(q.Redirect, ":", 2)[0] + ":"
	}
	return u.Scheme + "://" + u.Host
}

// Ask reads an authorization request. Back is where the answer goes when the client asked for what it cannot have; an error is for the person
// alone, since who asks cannot be trusted.
func (s *Server) Ask(r *http.Request, person int64) (q *Request, back string, err error) {
	p := r.URL.Query()
	for _, name := range []string{"client_id", "redirect_uri"} {
		if len(p[name]) != 1 || p.Get(name) == "" {
			return nil, "", fault.New(fault.Invalid, "the program that sent you here must say its %s, once", name)
		}
	}
	c, err := s.Client(r.Context(), p.Get("client_id"))
	if err != nil {
		return nil, "", err
	}
	asked := p.Get("redirect_uri")
	if checkRedirect(asked) != nil || !slices.ContainsFunc(c.Redirects, func(have string) bool { return matches(have, asked) }) {
		return nil, "", fault.New(fault.Invalid, "the program that sent you here wants the answer at an address that is not one of the client's")
	}
	q = &Request{
		Client: c.ID, Name: c.Name, Redirect: asked, State: p.Get("state"), Challenge: p.Get("code_challenge"), Issuer: s.base(r),
		Person: person, Until: s.o.Now().Add(askFor).UnixMilli(),
	}
	if q.Name == "" {
		q.Name = c.ID
	}
	problem, text := s.read(r, p, q)
	if problem != "" {
		return nil, s.back(q, url.Values{"error": {problem}, "error_description": {text}}), nil
	}
	return q, "", nil
}

// read takes the rest of a request; problem is OAuth's word for what is wrong.
func (s *Server) read(r *http.Request, p url.Values, q *Request) (problem, text string) {
	for _, name := range []string{"response_type", "state", "scope", "code_challenge", "code_challenge_method", "response_mode"} {
		if len(p[name]) > 1 {
			return "invalid_request", name + " must be there once"
		}
	}
	challenge, err := base64.RawURLEncoding.DecodeString(q.Challenge)
	switch {
	case p.Get("response_type") != "code":
		return "unsupported_response_type", "response_type must be code"
	case p.Get("response_mode") != "" && p.Get("response_mode") != "query":
		return "invalid_request", "response_mode must be query"
	case p.Get("code_challenge_method") != "S256":
		return "invalid_request", "code_challenge_method must be S256"
	case err != nil || len(challenge) != sha256.Size:
		return "invalid_request", "code_challenge must be that of S256"
	case len(q.State) > 2000:
		return "invalid_request", "state must be at most 2000 bytes"
	case len(p["resource"]) > 1:
		return "invalid_target", "resource must be there once"
	}
	audience := Resource
	if p.Has("resource") {
		if audience = s.resource(r, p.Get("resource")); audience == "" {
			return "invalid_target", "resource is not one of this server"
		}
	}
	q.Audience = s.base(r) + audience
	for _, scope := range strings.Fields(p.Get("scope")) {
		switch {
		case scope == "offline_access": // every grant has a refresh token
		case !slices.Contains(workspace.Scopes(), scope):
			return "invalid_scope", "scope must be of " + strings.Join(workspace.Scopes(), ", ")
		case !slices.Contains(q.Scopes, scope):
			q.Scopes = append(q.Scopes, scope)
		}
	}
	if len(q.Scopes) == 0 {
		q.Scopes = []string{workspace.Read}
	}
	return "", ""
}

// back is the redirect with an answer, who gives it (RFC 9207) and the client's state.
func (s *Server) back(q *Request, answer url.Values) string {
	u, err := url.Parse(q.Redirect)
	if err != nil {
		return "" // it was parsed before
	}
	all := u.Query()
	for name, v := range answer {
		all[name] = v
	}
	all.Set("iss", q.Issuer)
	if q.State != "" {
		all.Set("state", q.State)
	}
	u.RawQuery = all.Encode()
	return u.String()
}

// Seal makes text of a request that a form brings back.
func (s *Server) Seal(q *Request) (string, error) {
	b, err := json.Marshal(q)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(s.sign(b), b...)), nil
}

func (s *Server) sign(b []byte) []byte {
	h := hmac.New(sha256.New, s.o.Secret)
	h.Write([]byte("rapport consent 1\x00"))
	h.Write(b)
	return h.Sum(nil)
}

// Open reads what Seal made for the same person, in time.
func (s *Server) Open(sealed string, person int64) (*Request, error) {
	b, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || len(b) < sha256.Size || !hmac.Equal(b[:sha256.Size], s.sign(b[sha256.Size:])) {
		return nil, fault.New(fault.Forbidden, "this answer is to no question of ours")
	}
	var q Request
	if err := json.Unmarshal(b[sha256.Size:], &q); err != nil {
		return nil, err
	}
	if q.Person != person || s.o.Now().UnixMilli() > q.Until {
		return nil, fault.New(fault.Forbidden, "the question was put to somebody else, or too long ago: start again in the program")
	}
	return &q, nil
}

// Deny is where a person goes who does not agree.
func (s *Server) Deny(q *Request) string {
	return s.back(q, url.Values{"error": {"access_denied"}, "error_description": {"the operator did not agree"}})
}

// Allow keeps what a person agreed to, some of what was asked, and says where they go, with the code.
func (s *Server) Allow(ctx context.Context, q *Request, ws int64, scopes []string) (string, error) {
	if len(scopes) == 0 {
		return "", fault.New(fault.Invalid, "at least one permission must stay, or deny the request")
	}
	for _, scope := range scopes {
		if !slices.Contains(q.Scopes, scope) {
			return "", fault.New(fault.Invalid, "only what the program asked for can be allowed")
		}
	}
	code := id.Secret(secretBytes)
	err := s.o.Store.KeepCode(ctx, workspace.Hash(code), Code{
		Client: q.Client, Name: q.Name, Redirect: q.Redirect, Challenge: q.Challenge, Scopes: scopes, Workspace: ws, Audience: q.Audience,
		Approved: q.Person, Expires: s.o.Now().Add(codeFor).UnixMilli(),
	})
	if err != nil {
		return "", err
	}
	return s.back(q, url.Values{"code": {code}}), nil
}
