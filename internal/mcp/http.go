package mcp

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"rapport.example/internal/audit"
	"rapport.example/internal/id"
)

// maxBody bounds a request of the protocol, in bytes.
const maxBody = 4 << 20

// modern is the first revision of the protocol without sessions. Revisions are dates and compare as text.
const modern = "2026-07-28"

// revisionKey is where a request without a session says its revision, in its _meta.
const revisionKey = "io.modelcontextprotocol/protocolVersion"

// Handler serves Streamable HTTP at /mcp, /mcp/readonly and /mcp/x/{toolset,…}. A request must bring an agent key as bearer
// token; one of another kind is refused. Requests of protocol 2026-07-28 and later have no sessions and go to a handler of
// their own on the same URL.
func (s *Server) Handler() http.Handler {
	return s.stack(func(r *http.Request) *sdk.Server {
		info := auth.TokenInfoFromContext(r.Context())
		if info == nil {
			return nil
		}
		return s.view(selection(r), info.Scopes)
	})
}

// stack is all that is between a request and the MCP server that get gives it: other origins and keys of other kinds are refused, bodies
// bounded, the two eras of the protocol parted, and as many in work at once as the processors can use.
func (s *Server) stack(get func(r *http.Request) *sdk.Server) http.Handler {
	sessions := sdk.NewStreamableHTTPHandler(get, &sdk.StreamableHTTPOptions{Logger: theirs(s.o.Logger), SessionTimeout: 30 * time.Minute})
	stateless := sdk.NewStreamableHTTPHandler(get, &sdk.StreamableHTTPOptions{Logger: theirs(s.o.Logger), Stateless: true})
	whole := sdk.NewStreamableHTTPHandler(get, &sdk.StreamableHTTPOptions{Logger: theirs(s.o.Logger), Stateless: true, JSONResponse: true})
	turns := newTurns()
	both := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.Check(selection(r)); err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		without, stream, err := sessionless(w, r)
		var long *http.MaxBytesError
		switch {
		case errors.As(err, &long):
			s.turnedAway(r.Context(), "payload_too_large", "body")
			http.Error(w, "the request is longer than 4 MiB", http.StatusRequestEntityTooLarge)
			return
		case err != nil:
			http.Error(w, "the request broke off", http.StatusBadRequest)
			return
		}
		era := sessions
		switch {
		case without && stream:
			era = stateless
		case without:
			era = whole
		}
		if r.Method == http.MethodPost {
			done, err := turns.take(r.Context())
			if err != nil {
				return // nobody waits for an answer
			}
			defer done()
		}
		era.ServeHTTP(w, r)
	})
	keyed := auth.RequireBearerToken(s.verify, &auth.RequireBearerTokenOptions{AllowMissingExpiration: true})
	origins := http.NewCrossOriginProtection()
	origins.SetDenyHandler(keyed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.turnedAway(r.Context(), "refused", "origin")
		http.Error(w, "a page of another origin may not use this key", http.StatusForbidden)
	})))
	return origins.Handler(keyed(both))
}

// turnedAway records a request with an agent key that did not come as far as a tool.
func (s *Server) turnedAway(ctx context.Context, outcome, rule string) {
	now := s.o.Now()
	e := audit.Entry{At: now.UnixMilli(), ID: id.New(now), Tool: "mcp", Scopes: s.scopes(ctx), Outcome: outcome, Rule: rule}
	e.Digest, e.Arguments = arguments(nil)
	if err := s.keep(ctx, &e, false); err != nil && s.o.Logger != nil {
		s.o.Logger.Error("a refused request could not be recorded", "rule", rule, "error", err)
	}
}

// sessionless tells whether a request is of a revision without sessions, by its header or by what its body says, and whether its answer may
// be more than one message: a caller hears how far a call is, or what is logged, only if the request asks for it.
func sessionless(w http.ResponseWriter, r *http.Request) (without, stream bool, err error) {
	without = r.Header.Get("Mcp-Protocol-Version") >= modern
	if r.Method != http.MethodPost {
		return without, true, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return false, false, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	escaped := bytes.Contains(body, []byte(`\u`))
	stream = escaped || slices.ContainsFunc(asksForMore, func(key []byte) bool { return bytes.Contains(body, key) })
	if without || !escaped && !bytes.Contains(body, []byte(revisionKey)) {
		return without, stream, nil
	}
	var m struct {
		Params struct {
			Meta map[string]json.RawMessage `json:"_meta"`
		} `json:"params"`
	}
	err = json.Unmarshal(body, &m) // what is no JSON is for the handler to refuse
	_, ok := m.Params.Meta[revisionKey]
	return ok && err == nil, stream, nil
}

// asksForMore are in a request whose answer may be more than one message.
var asksForMore = [][]byte{[]byte("progressToken"), []byte("logLevel"), []byte("subscriptions/")}

func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}
