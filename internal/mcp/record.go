package mcp

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"rapport.example/internal/audit"
	"rapport.example/internal/id"
)

// record is what becomes of one tool call, on its way into the audit log.
type record struct {
	id    string
	mu    sync.Mutex
	calls []audit.Call
}

type recordKey struct{}

func recordOf(ctx context.Context) *record {
	r, _ := ctx.Value(recordKey{}).(*record)
	return r
}

// called notes a request to the back end.
func (r *record) called(q call, status int, took time.Duration) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.as == "" {
		q.as = outline(q.path)
	}
	if len(r.calls) < 100 {
		r.calls = append(r.calls, audit.Call{Method: q.method, Path: q.as, Status: status, Took: took.Milliseconds()})
	}
}

// outline is a path without the identifier of a person.
func outline(path string) string {
	parts := strings.Split(path, "/")
	for i := 1; i < len(parts); i++ {
		if parts[i-1] == "customers" && (parts[i] != "attributes" || i+1 < len(parts)) {
			parts[i] = "…"
		}
	}
	return strings.Join(parts, "/")
}

// readResource is what the record calls a read of a resource; the URI's family is kept of it, not whom it names.
const readResource = "resources/read"

// audited is a middleware that records every tool call, also those that were refused before a tool saw them, and every read of a
// resource. A call that could not be recorded fails, though what it did stays done.
func (s *Server) audited(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, req sdk.Request) (sdk.Result, error) {
		var e audit.Entry
		dry := false
		switch q := req.(type) {
		case *sdk.CallToolRequest:
			e.Tool, e.Client = clean(q.Params.Name), program(q)
			e.Tool = strings.ToValidUTF8(e.Tool[:min(len(e.Tool), 100)], "")
			digest, kept := arguments(q.Params.Arguments)
			e.Digest, e.Arguments, dry = digest, kept, kept["dry_run"] == true
		case *sdk.ReadResourceRequest:
			e.Tool, e.Client = readResource, program(q)
			e.Digest, _ = arguments(json.RawMessage(q.Params.URI))
			e.Arguments = map[string]any{"resource": familyOf(q.Params.URI)}
		default:
			return next(ctx, method, req)
		}
		began := s.o.Now()
		e.At, e.ID, e.Scopes = began.UnixMilli(), id.New(began), s.scopes(ctx)
		r := &record{id: e.ID}
		res, err := next(context.WithValue(ctx, recordKey{}, r), method, req)
		e.Calls, e.Took = r.calls, s.o.Now().Sub(began).Milliseconds()
		e.Outcome, e.Rule = outcome(res, err)
		if dry && e.Outcome == "ok" {
			e.Outcome = "dry_run"
		}
		if kept := s.keep(ctx, &e, e.Outcome == "ok" && s.onlyReads(e.Tool)); kept != nil && err == nil {
			return nil, kept
		}
		return res, err
	}
}

// familyOf is the beginning of a URI that says what kind of thing it is, like cio://people.
func familyOf(uri string) string {
	for _, f := range []string{"cio://workspace", "cio://schema", "cio://people", "cio://messages", "cio://deliveries", "cio://docs", "services", "skill"} {
		if strings.HasPrefix(uri, f+"/") || strings.HasPrefix(uri, f+":") || uri == f {
			return f
		}
	}
	return "unknown"
}

// arguments are the digest of what came and what is kept of it.
func arguments(raw json.RawMessage) (digest string, kept map[string]any) {
	sum := sha256.Sum256(raw)
	var all map[string]any
	if json.Unmarshal(raw, &all) != nil {
		all = nil // the tool refused it
	}
	return hex.EncodeToString(sum[:]), audit.Redact(all)
}

// caller is a request whose client may have said what it is.
type caller interface {
	sdk.Request
	ClientInfo() *sdk.Implementation
}

// program is what a client calls itself: with each request, or once for a session. The protocol library knows both, but decodes the
// first anew for each question.
func program(q caller) string {
	var name, version string
	if told, ok := q.GetParams().GetMeta()[sdk.MetaKeyClientInfo].(map[string]any); ok {
		name, _ = told["name"].(string)
		version, _ = told["version"].(string)
	} else if i := q.ClientInfo(); i != nil {
		name, version = i.Name, i.Version
	} else {
		return ""
	}
	s := clean(strings.ToValidUTF8(name+" "+version, ""))
	return strings.ToValidUTF8(s[:min(len(s), 100)], "")
}

// outcome says how a call ended, and which field or rule stood in its way.
func outcome(res sdk.Result, err error) (code, rule string) {
	if _, read := res.(*sdk.ReadResourceResult); read && err == nil {
		return "ok", ""
	}
	if w := (*jsonrpc.Error)(nil); errors.As(err, &w) && w.Data != nil {
		var why struct {
			Code string `json:"code"`
		}
		if json.Unmarshal(w.Data, &why) == nil && why.Code != "" {
			return why.Code, ""
		}
	}
	call, ok := res.(*sdk.CallToolResult)
	switch {
	case err != nil || !ok || call == nil:
		return "refused", "protocol"
	case !call.IsError:
		return "ok", ""
	}
	var t *toolError
	if !errors.As(call.GetError(), &t) {
		return "refused", "protocol"
	}
	if rule = cmp.Or(t.rule, t.Field); rule == "" && (t.Code == "forbidden_scope" || t.Code == "policy_blocked") {
		rule = "scope"
	}
	return t.Code, rule
}

// numberOr0 is an id in decimal digits, 0 for none.
func numberOr0(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// onlyReads tells whether a tool by its annotations changes nothing.
func (s *Server) onlyReads(name string) bool {
	return name == readResource || slices.ContainsFunc(s.tools, func(t tool) bool { return t.name == name && t.readOnly })
}

// keep records an entry where the connection keeps them. With soon, a Rapport server that is another process may hear of it after the
// caller has its answer, see recorder.
func (s *Server) keep(ctx context.Context, e *audit.Entry, soon bool) error {
	if s.o.Audit != nil {
		if info := auth.TokenInfoFromContext(ctx); info != nil {
			e.Workspace, e.Key = numberOr0(ownerOf(ctx)), numberOr0(info.UserID)
		}
		return s.o.Audit(e)
	}
	if s.o.Hosted != nil {
		return nil // nobody asked for a record
	}
	c, err := s.client(ctx)
	if err == nil {
		err = s.recorder(c).keep(ctx, e, soon)
	}
	if err != nil {
		s.o.Logger.Error("a tool call could not be recorded", "tool", e.Tool, "audit_id", e.ID, "error", err)
	}
	return err
}
