package oauth

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"rapport.example/internal/audit"
	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/workspace"
)

// secretBytes is the strength of codes and tokens.
const secretBytes = 32

// refusal is an error of the token endpoint, in OAuth's words.
type refusal struct{ code, text string }

// Error is part of error.
func (e *refusal) Error() string { return e.code + ": " + e.text }

func invalidGrant() error {
	return &refusal{"invalid_grant", "the code or token is unknown, was used, has ended, or belongs to another client, address or resource"}
}

// form reads a request of a client; every parameter may be there once.
func form(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil, &refusal{"invalid_request", "the body must be a form of at most 16 KiB"}
	}
	for name, v := range r.PostForm {
		if len(v) != 1 {
			return nil, &refusal{"invalid_request", "a parameter is there twice"}
		}
		if name == "client_secret" {
			return nil, &refusal{"invalid_client", "clients have no secrets here"}
		}
	}
	if r.Header.Get("Authorization") != "" {
		return nil, &refusal{"invalid_client", "clients have no secrets here"}
	}
	if r.PostForm.Get("client_id") == "" {
		return nil, &refusal{"invalid_client", "client_id is missing"}
	}
	return r.PostForm, nil
}

// reject answers an error of the token endpoint.
func (s *Server) reject(w http.ResponseWriter, err error) {
	var e *refusal
	switch {
	case errors.As(err, &e) && e.code == "invalid_client":
		send(w, http.StatusUnauthorized, map[string]string{"error": e.code, "error_description": e.text})
	case errors.As(err, &e):
		send(w, http.StatusBadRequest, map[string]string{"error": e.code, "error_description": e.text})
	default:
		s.o.Log.Error("a token could not be issued", "error", err)
		w.Header().Set("Retry-After", "1")
		send(w, http.StatusServiceUnavailable, map[string]string{"error": "temporarily_unavailable"})
	}
}

// posted answers requests that are no POST, and those that are too many.
func (s *Server) posted(w http.ResponseWriter, r *http.Request) bool {
	if s.o.Allow != nil && s.o.Allow(w, r) != nil {
		w.Header().Set("Retry-After", "1")
		send(w, http.StatusTooManyRequests, map[string]string{"error": "temporarily_unavailable", "error_description": "too many requests from your address"})
		return false
	}
	if r.Method == http.MethodPost {
		return true
	}
	w.Header().Set("Allow", "POST")
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	return false
}

// token is the token endpoint.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if !s.posted(w, r) {
		return
	}
	p, err := form(w, r)
	if err != nil {
		s.reject(w, err)
		return
	}
	var out map[string]any
	switch p.Get("grant_type") {
	case "authorization_code":
		out, err = s.exchange(r, p)
	case "refresh_token":
		out, err = s.refresh(r, p)
	default:
		err = &refusal{"unsupported_grant_type", "grant_type must be authorization_code or refresh_token"}
	}
	if err != nil {
		s.reject(w, err)
		return
	}
	send(w, http.StatusOK, out)
}

// tokens are new secrets.
type tokens struct {
	access, refresh string
	kept            Refresh
}

// issue makes new tokens for a grant.
func (s *Server) issue(c *workspace.Credential, agreed []string) tokens {
	now := s.o.Now()
	t := tokens{access: workspace.TokenPrefix + id.Secret(secretBytes), refresh: "agr_" + id.Secret(secretBytes)}
	c.Hash, c.Prefix, c.Expires = workspace.Hash(t.access), t.access[:8], now.Add(accessFor).UnixMilli()
	t.kept = Refresh{workspace.Hash(t.refresh), agreed, now.Add(refreshFor).UnixMilli()}
	return t
}

func (t tokens) answer(scopes []string) map[string]any {
	return map[string]any{
		"access_token": t.access, "token_type": "Bearer", "expires_in": int(accessFor.Seconds()), "refresh_token": t.refresh, "scope": strings.Join(scopes, " "),
	}
}

// exchange gives tokens for a code.
func (s *Server) exchange(r *http.Request, p url.Values) (map[string]any, error) {
	var t tokens
	c, used, err := s.o.Store.UseCode(r.Context(), workspace.Hash(p.Get("code")), func(code Code) (workspace.Credential, Refresh, error) {
		verifier := p.Get("code_verifier")
		switch {
		case s.o.Now().UnixMilli() >= code.Expires, code.Client != p.Get("client_id"), p.Has("redirect_uri") && p.Get("redirect_uri") != code.Redirect:
			return workspace.Credential{}, Refresh{}, invalidGrant()
		case len(verifier) < 43 || len(verifier) > 128 || subtle.ConstantTimeCompare([]byte(challengeOf(verifier)), []byte(code.Challenge)) != 1:
			return workspace.Credential{}, Refresh{}, invalidGrant()
		}
		if err := s.same(r, p, code.Audience); err != nil {
			return workspace.Credential{}, Refresh{}, err
		}
		if err := s.stands(r.Context(), code.Client); err != nil {
			return workspace.Credential{}, Refresh{}, err
		}
		c := workspace.Credential{
			Workspace: code.Workspace, Kind: workspace.Agent, Name: code.Name, Scopes: code.Scopes, Client: code.Client, Audience: code.Audience,
			Approved: code.Approved, Created: s.o.Now().UnixMilli(),
		}
		t = s.issue(&c, code.Scopes)
		return c, t.kept, nil
	})
	if err := s.after(r.Context(), &c, used, err, "code"); err != nil {
		return nil, err
	}
	return t.answer(c.Scopes), nil
}

// refresh gives new tokens for a refresh token. A scope narrows the access token, never what was agreed to.
func (s *Server) refresh(r *http.Request, p url.Values) (map[string]any, error) {
	var t tokens
	c, used, err := s.o.Store.UseRefresh(r.Context(), workspace.Hash(p.Get("refresh_token")), func(c *workspace.Credential, was Refresh) (Refresh, error) {
		if s.o.Now().UnixMilli() >= was.Expires || c.Client != p.Get("client_id") {
			return Refresh{}, invalidGrant()
		}
		if err := s.same(r, p, c.Audience); err != nil {
			return Refresh{}, err
		}
		if err := s.stands(r.Context(), c.Client); err != nil {
			return Refresh{}, err
		}
		c.Scopes = was.Scopes
		if p.Get("scope") != "" {
			c.Scopes = nil
			for _, scope := range strings.Fields(p.Get("scope")) {
				if scope == "offline_access" || slices.Contains(c.Scopes, scope) {
					continue
				}
				if !slices.Contains(was.Scopes, scope) {
					return Refresh{}, &refusal{"invalid_scope", "a refresh cannot have more than was agreed to"}
				}
				c.Scopes = append(c.Scopes, scope)
			}
			if c.Scopes == nil {
				c.Scopes = was.Scopes
			}
		}
		t = s.issue(c, was.Scopes)
		return t.kept, nil
	})
	if err := s.after(r.Context(), &c, used, err, "refresh"); err != nil {
		return nil, err
	}
	return t.answer(c.Scopes), nil
}

// same refuses a resource other than the grant's.
func (s *Server) same(r *http.Request, p url.Values, audience string) error {
	if !p.Has("resource") {
		return nil
	}
	if path := s.resource(r, p.Get("resource")); path == "" || path != s.resource(r, audience) {
		return &refusal{"invalid_target", "the grant is for another resource"}
	}
	return nil
}

// stands refuses a client that was registered and is not any more.
func (s *Server) stands(ctx context.Context, client string) error {
	if strings.Contains(client, ":") {
		return nil
	}
	all, err := s.o.Store.OAuthClients(ctx)
	if err == nil && !slices.ContainsFunc(all, func(c Client) bool { return c.ID == client }) {
		return &refusal{"invalid_client", "the client is not known here"}
	}
	return err
}

// after records what came of a code or refresh token, and tells the nodes of it.
func (s *Server) after(ctx context.Context, c *workspace.Credential, used bool, err error, rule string) error {
	if fault.Is(err, fault.NotFound) {
		return invalidGrant()
	}
	if err != nil {
		return err
	}
	outcome := "ok"
	if used {
		outcome, rule = "refused", rule+"_reused"
		s.changed(ctx, c.ID)
	} else {
		s.changed(ctx)
	}
	s.record(ctx, c, outcome, rule)
	if used {
		return invalidGrant()
	}
	return nil
}

// record keeps what became of a grant in the record of the workspace's agents.
func (s *Server) record(ctx context.Context, c *workspace.Credential, outcome, rule string) {
	now := s.o.Now()
	e := audit.Entry{
		Workspace: c.Workspace, At: now.UnixMilli(), ID: id.New(now), Key: c.ID, Client: c.Client[:min(len(c.Client), 100)], Tool: "oauth", Outcome: outcome,
		Rule: rule, Scopes: c.Scopes, Arguments: map[string]any{"approved_by": c.Approved},
	}
	if err := s.o.Store.AppendAudit(ctx, &e); err != nil {
		s.o.Log.Error("what became of a grant could not be recorded", "workspace", c.Workspace, "key", c.ID, "error", err)
	}
}

// revoke is the revocation endpoint of RFC 7009: the grant ends, whichever of its tokens is given, and an unknown token is no error.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	if !s.posted(w, r) {
		return
	}
	p, err := form(w, r)
	if err != nil {
		s.reject(w, err)
		return
	}
	grant, err := s.o.Store.EndToken(r.Context(), workspace.Hash(p.Get("token")), p.Get("client_id"))
	if err != nil {
		s.reject(w, err)
		return
	}
	if grant != 0 {
		s.changed(r.Context(), grant)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}
