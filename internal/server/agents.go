package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/api/oauth"
	"rapport.example/internal/audit"
	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/imports"
	"rapport.example/internal/mcp"
	"rapport.example/internal/workspace"
)

// agent finds whose secret this is, and whether it may be used from an address. A node that has not heard of a new token yet looks for it.
func (s *server) agent(ctx context.Context, secret, from string) (api.Access, error) {
	a, err := s.keys.Secret(workspace.Agent, secret, s.now())
	if err != nil && s.o.NATSURL != "" && strings.HasPrefix(secret, workspace.TokenPrefix) {
		if has, lookErr := s.db.HasToken(ctx, workspace.Hash(secret)); lookErr == nil && has && s.keys.Refresh(ctx) == nil {
			a, err = s.keys.Secret(workspace.Agent, secret, s.now())
		}
	}
	if err == nil {
		err = a.From(from)
	}
	return a, err
}

// outward is how clients' descriptions are fetched: from the internet, and from hosts that the operator named.
func (s *server) outward() http.RoundTripper {
	return &http.Transport{DialContext: imports.Dialer(s.o.ClientHosts), DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true}
}

// authority is who says what a request of an agent may do.
type authority struct {
	clients *oauth.Server
	tools   *mcp.Server
}

// guessers lets requests of agents with a good secret through to next, and counts others, as the mux counts those of its routes; when there
// are too many it answers in place of next. A token that is good for something else or lacks the scope of a tool is told how to get one.
func (s *server) guessers(l *api.Limiter, by authority, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		key = strings.TrimSpace(key)
		a, err := s.agent(r.Context(), key, r.RemoteAddr)
		problem := ""
		if key != "" {
			problem = "invalid_token"
		}
		if !strings.EqualFold(scheme, "Bearer") || err != nil {
			if many := l.Refuse(w.Header(), r.RemoteAddr, s.now()); many != nil {
				w.Header().Set("Retry-After", "1")
				answer(w, http.StatusTooManyRequests, many.Error())
				return
			}
			w.Header().Set("WWW-Authenticate", by.clients.Challenge(r, problem, usual(r)...))
			next.ServeHTTP(w, r)
			return
		}
		c := a.Credential
		if many := (*fault.Error)(nil); errors.As(l.AllowKey(c, s.now()), &many) {
			w.Header().Set("Retry-After", strconv.Itoa(1+int(many.RetryAfter.Seconds())))
			answer(w, http.StatusTooManyRequests, many.Error())
			return
		}
		if c.Audience == "" {
			next.ServeHTTP(w, r)
			return
		}
		if !by.clients.Good(c.Audience, r) {
			s.recordRefused(r.Context(), a, "unauthorized", "audience")
			w.Header().Set("WWW-Authenticate", by.clients.Challenge(r, problem, usual(r)...))
			answer(w, http.StatusUnauthorized, "the token is for another resource")
			return
		}
		if need := lacking(r, by.tools, c.AgentScopes()); need != "" {
			s.recordRefused(r.Context(), a, "forbidden_scope", "scope")
			w.Header().Set("WWW-Authenticate", by.clients.Challenge(r, "insufficient_scope", append(slices.Clone(c.AgentScopes()), need)...))
			answer(w, http.StatusForbidden, "the token lacks the scope "+need)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// usual are the scopes that a client without a token is told to ask for: what an agent key has that is made without saying. A person can
// leave some out.
func usual(r *http.Request) []string {
	if strings.HasPrefix(r.URL.Path, oauth.Resource+"/readonly") {
		return []string{workspace.Read}
	}
	return []string{workspace.Read, workspace.WriteScope}
}

// recordRefused records a request with a client's token that did not come as far as a tool.
func (s *server) recordRefused(ctx context.Context, a api.Access, outcome, rule string) {
	now, c := s.now(), a.Credential
	e := audit.Entry{
		Workspace: c.Workspace, At: now.UnixMilli(), ID: id.New(now), Key: c.ID, Client: c.Client[:min(len(c.Client), 100)], Tool: "mcp", Outcome: outcome, Rule: rule,
		Arguments: map[string]any{}, Scopes: c.AgentScopes(),
	}
	if err := s.db.AppendAudit(ctx, &e); err != nil {
		s.log.Error("a refused token could not be recorded", "error", err)
	}
}

// maxPeek bounds what is looked at of a request; a longer one is for the handler to refuse.
const maxPeek = 4 << 20

// lacking is the scope of the tool that a request calls, where the token has it not and nothing else stands in the way.
func lacking(r *http.Request, tools *mcp.Server, scopes []string) string {
	if r.Method != http.MethodPost {
		return ""
	}
	head, err := io.ReadAll(io.LimitReader(r.Body, maxPeek))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), r.Body), r.Body}
	var m struct {
		Method string `json:"method"`
		Params struct {
			Name string `json:"name"`
		} `json:"params"`
	}
	if err != nil || json.Unmarshal(head, &m) != nil || m.Method != "tools/call" {
		return ""
	}
	need := tools.ScopeOf(r, m.Params.Name)
	if slices.Contains(scopes, need) {
		return ""
	}
	return need
}
