package mcp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// maxBody bounds a request of the protocol, in bytes.
const maxBody = 4 << 20

// modern is the first revision of the protocol without sessions. Revisions are dates and compare as text.
const modern = "2026-07-28"

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
// bounded, and the two eras of the protocol parted.
func (s *Server) stack(get func(r *http.Request) *sdk.Server) http.Handler {
	sessions := sdk.NewStreamableHTTPHandler(get, &sdk.StreamableHTTPOptions{Logger: s.o.Logger, SessionTimeout: 30 * time.Minute})
	stateless := sdk.NewStreamableHTTPHandler(get, &sdk.StreamableHTTPOptions{Logger: s.o.Logger, Stateless: true})
	both := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.Check(selection(r)); err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		without, err := sessionless(w, r)
		switch {
		case err != nil:
			http.Error(w, "the request is longer than 4 MiB, or broke off", http.StatusRequestEntityTooLarge)
		case without:
			stateless.ServeHTTP(w, r)
		default:
			sessions.ServeHTTP(w, r)
		}
	})
	guarded := auth.RequireBearerToken(s.verify, &auth.RequireBearerTokenOptions{AllowMissingExpiration: true})(both)
	return http.NewCrossOriginProtection().Handler(guarded)
}

// sessionless tells whether a request is of a revision without sessions, by its header or by what its body says.
func sessionless(w http.ResponseWriter, r *http.Request) (bool, error) {
	if r.Header.Get("Mcp-Protocol-Version") >= modern {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		return true, nil
	}
	if r.Method != http.MethodPost {
		return false, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return false, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var m struct {
		Params struct {
			Meta map[string]json.RawMessage `json:"_meta"`
		} `json:"params"`
	}
	err = json.Unmarshal(body, &m) // what is no JSON is for the handler to refuse
	_, ok := m.Params.Meta["io.modelcontextprotocol/protocolVersion"]
	return ok && err == nil, nil
}

func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}
