// Package oauth is the authorization server for agents: OAuth 2.1 with codes and PKCE, for the resource /mcp of this server alone. A client is
// registered by the operator, or describes itself at the https address that is its client_id; nobody registers by a request. What a person
// agreed to becomes an agent key whose secret is an access token, so all that holds for agent keys holds for it.
package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"rapport.example/internal/api"
	"rapport.example/internal/audit"
	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

// How long things last.
const (
	codeFor    = time.Minute
	accessFor  = time.Hour
	refreshFor = 30 * 24 * time.Hour // from its issue; each use issues a new one
)

// Resource is the path of what tokens are for.
const Resource = "/mcp"

// Paths of the endpoints.
const (
	AuthorizePath = "/oauth/authorize"
	TokenPath     = "/oauth/token"
	RevokePath    = "/oauth/revoke"
	resourceMeta  = "/.well-known/oauth-protected-resource"
	serverMeta    = "/.well-known/oauth-authorization-server"
)

type (
	// Client is a program that acts for people who agreed.
	Client struct {
		ID        string   `json:"client_id"`
		Name      string   `json:"name"`
		Redirects []string `json:"redirect_uris"`
		Created   int64    `json:"created"` // Unix ms
	}

	// Code is what stands behind an authorization code.
	Code struct {
		Client    string   `json:"client"`
		Name      string   `json:"name"` // of the client
		Redirect  string   `json:"redirect"`
		Challenge string   `json:"challenge"` // S256
		Scopes    []string `json:"scopes"`
		Workspace int64    `json:"workspace"`
		Audience  string   `json:"audience"`
		Approved  int64    `json:"approved"` // id of the admin key of who agreed
		Expires   int64    `json:"expires"`  // Unix ms
	}

	// Refresh is a refresh token as it is kept.
	Refresh struct {
		Hash    [32]byte
		Scopes  []string // that were agreed to
		Expires int64    // Unix ms
	}
)

// Store keeps clients, codes and grants.
type Store interface {
	OAuthClients(ctx context.Context) ([]Client, error)
	AddOAuthClient(ctx context.Context, c Client) error
	RemoveOAuthClient(ctx context.Context, id string) (gone []int64, err error)
	KeepCode(ctx context.Context, hash [32]byte, c Code) error
	// UseCode and UseRefresh carry issue out in a transaction, once for each token; one that comes again revokes the grant instead. They are
	// NotFound for a token that is unknown.
	UseCode(ctx context.Context, hash [32]byte, issue func(Code) (workspace.Credential, Refresh, error)) (c workspace.Credential, used bool, err error)
	UseRefresh(ctx context.Context, hash [32]byte, issue func(c *workspace.Credential, was Refresh) (Refresh, error)) (c workspace.Credential, used bool, err error)
	EndToken(ctx context.Context, hash [32]byte, client string) (grant int64, err error)
	AppendAudit(ctx context.Context, entries ...*audit.Entry) error
}

// Options is what the server works with. All are required but Allow.
type Options struct {
	Store  Store
	Keys   *api.Keys
	Secret []byte // the installation's
	Now    func() time.Time
	Log    *slog.Logger
	// Base is the origin under which the server is known. If Fixed is not set, requests by a name of this machine are answered under that name.
	Base  string
	Fixed bool
	// Client fetches what clients say of themselves; it must refuse addresses of the operator's network. Redirects are not followed.
	Client *http.Client
	// Allow counts a request for tokens, which anybody can make, and refuses it when there were too many; nil = there is no limit.
	Allow func(w http.ResponseWriter, r *http.Request) error
}

// Server is the authorization server.
type Server struct {
	o         Options
	documents documents
}

// New returns a server.
func New(o Options) *Server {
	client := *o.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Timeout = fetchFor
	o.Client = &client
	o.Base = strings.TrimSuffix(o.Base, "/")
	return &Server{o: o, documents: documents{all: map[string]document{}}}
}

// Routes adds the endpoints to a mux, but for the one that people see: that is a page.
func (s *Server) Routes(mux *http.ServeMux) {
	mux.HandleFunc(resourceMeta, s.resourceMetadata)
	mux.HandleFunc(resourceMeta+"/", s.resourceMetadata)
	mux.HandleFunc(serverMeta, s.serverMetadata)
	mux.HandleFunc(TokenPath, s.token)
	mux.HandleFunc(RevokePath, s.revoke)
}

// base is the origin that a request goes by.
func (s *Server) base(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.Host); err == nil && !s.o.Fixed && loopback(host) {
		return "http://" + r.Host
	}
	return s.o.Base
}

// loopback tells names of this machine.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}

// resource is the path of a resource of this server, "" if the address is of something else.
func (s *Server) resource(r *http.Request, address string) string {
	for _, base := range []string{s.base(r), s.o.Base} {
		if path, ok := strings.CutPrefix(address, base); ok {
			path = strings.TrimSuffix(path, "/")
			if path == "" { // of a client that goes by the origin
				path = Resource
			}
			if (path == Resource || strings.HasPrefix(path, Resource+"/")) && !strings.ContainsAny(path, "?#%\\") && !strings.Contains(path, "..") {
				return path
			}
		}
	}
	return ""
}

// Good tells whether a token of an audience may be used for a request: at that path and what lies beneath.
func (s *Server) Good(audience string, r *http.Request) bool {
	path := s.resource(r, audience)
	return path != "" && (r.URL.Path == path || strings.HasPrefix(r.URL.Path, path+"/"))
}

// Challenge is the WWW-Authenticate of an answer to a request at a resource. Problem is the error, "" where no token came; scopes are what would do.
func (s *Server) Challenge(r *http.Request, problem string, scopes ...string) string {
	out := `Bearer resource_metadata="` + s.base(r) + resourceMeta + cleanPath(r.URL.Path) + `"`
	if problem != "" {
		out += `, error="` + problem + `"`
	}
	if len(scopes) > 0 {
		out += `, scope="` + strings.Join(scopes, " ") + `"`
	}
	return out
}

// cleanPath is the path of a resource, without what a header's text must not have.
func cleanPath(path string) string {
	if strings.ContainsFunc(path, func(c rune) bool {
		return !(c == '/' || c == '-' || c == '_' || c == ',' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
	}) {
		return Resource
	}
	return path
}

func (s *Server) resourceMetadata(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, resourceMeta)
	base := s.base(r)
	if path = s.resource(r, base+path); path == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store") // it depends on the name that the server was asked by
	auth.ProtectedResourceMetadataHandler(&oauthex.ProtectedResourceMetadata{
		Resource: base + path, AuthorizationServers: []string{base}, ScopesSupported: workspace.Scopes(), BearerMethodsSupported: []string{"header"},
		ResourceName: "Rapport", ResourceDocumentation: base + "/docs/agents",
	}).ServeHTTP(w, r)
}

func (s *Server) serverMetadata(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*") // public, as RFC 8414 says
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	base := s.base(r)
	send(w, http.StatusOK, map[string]any{
		"issuer": base, "authorization_endpoint": base + AuthorizePath, "token_endpoint": base + TokenPath, "revocation_endpoint": base + RevokePath,
		"scopes_supported": workspace.Scopes(), "response_types_supported": []string{"code"}, "response_modes_supported": []string{"query"},
		"grant_types_supported": []string{"authorization_code", "refresh_token"}, "code_challenge_methods_supported": []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"none"}, "revocation_endpoint_auth_methods_supported": []string{"none"},
		"authorization_response_iss_parameter_supported": true, "client_id_metadata_document_supported": true, "service_documentation": base + "/docs/agents",
	})
}

// send answers in JSON that nobody keeps.
func send(w http.ResponseWriter, status int, body any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) //nolint:errcheck // it only fails when the reader is gone
}

// challengeOf is the S256 challenge of a verifier.
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Clients lists the clients that were registered.
func (s *Server) Clients(ctx context.Context) ([]Client, error) { return s.o.Store.OAuthClients(ctx) }

// Add registers a client. Its id must not be an address: those describe themselves.
func (s *Server) Add(ctx context.Context, c Client) error {
	switch {
	case c.ID == "" || len(c.ID) > 100 || strings.ContainsFunc(c.ID, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`":/\<>&`, r) }):
		return fault.Field("client_id", "must be 1 to 100 visible ASCII characters without : / \\ \" < > &; a client whose id is an address needs no registration")
	case len(c.Name) > 100 || hasControls(c.Name):
		return fault.Field("name", "must be at most 100 bytes, without control characters")
	case len(c.Redirects) == 0 || len(c.Redirects) > 20:
		return fault.Field("redirect_uris", "must be 1 to 20 addresses")
	}
	for _, u := range c.Redirects {
		if err := checkRedirect(u); err != nil {
			return err
		}
	}
	if c.Name == "" {
		c.Name = c.ID
	}
	return s.o.Store.AddOAuthClient(ctx, c)
}

// Remove forgets a client and ends all that it was granted.
func (s *Server) Remove(ctx context.Context, id string) error {
	gone, err := s.o.Store.RemoveOAuthClient(ctx, id)
	if err != nil {
		return err
	}
	s.changed(ctx, gone...)
	return nil
}

// changed tells the nodes of grants that changed or are no good any more.
func (s *Server) changed(ctx context.Context, gone ...int64) {
	if err := s.o.Keys.Changed(ctx, gone...); err != nil {
		s.o.Log.Warn("could not refresh keys; tokens that ended are refused nevertheless", "error", err)
	}
}

func hasControls(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	})
}

// barred are schemes under which a browser would run or show something, rather than call a program.
var barred = []string{"javascript", "data", "vbscript", "file", "blob", "about", "filesystem", "view-source", "ws", "wss", "ftp", "mailto"}

// checkRedirect refuses addresses to which an answer must not be sent: over plain http only this machine gets one.
func checkRedirect(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || len(address) > 2000 || u.Scheme == "" || u.Opaque != "" || strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fault.Field("redirect_uris", "must be addresses like https://host/path, http://127.0.0.1/path or program.name://path")
	case strings.Contains(address, "#") || u.User != nil:
		return fault.Field("redirect_uris", "must have no fragment and no password")
	case u.Scheme == "https" && u.Hostname() != "", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	case u.Scheme == "http" || u.Scheme == "https" || slices.Contains(barred, u.Scheme):
		return fault.Field("redirect_uris", "must be https, http on this machine, or a scheme of the program's own")
	}
	return nil
}

// matches compares a redirect with one that the client has: exactly, but for the port of one on this machine (RFC 8252, section 7.3).
func matches(have, asked string) bool {
	if have == asked {
		return true
	}
	h, err1 := url.Parse(have)
	a, err2 := url.Parse(asked)
	if err1 != nil || err2 != nil || h.Scheme != "http" || a.Scheme != "http" || !loopback(h.Hostname()) || h.Hostname() != a.Hostname() || a.User != nil {
		return false
	}
	h.Host, a.Host = h.Hostname(), a.Hostname()
	return h.String() == a.String()
}
