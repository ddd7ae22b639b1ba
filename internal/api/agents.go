package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"rapport.example/internal/audit"
	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/workspace"
)

// Agents is what is kept about the agents of workspaces.
type Agents interface {
	// AgentPolicy is what all agents of a workspace may do.
	AgentPolicy(ctx context.Context, workspace int64) (workspace.AgentPolicy, error)
	// AppendAudit records entries in order, and gives each its Seq and Hash.
	AppendAudit(ctx context.Context, entries ...*audit.Entry) error
}

// AuditHeader names the tool call, by its audit id, for which an agent's program sends a request.
const AuditHeader = "X-Rapport-Audit"

// ByAgent tells whether the request has an agent key.
func (c *Call) ByAgent() bool { return c.Credential != nil && c.Credential.Kind == workspace.Agent }

// AgentNeeds refuses a request with an agent key that lacks a scope, or may not use it now. Other keys need no scope here.
func (c *Call) AgentNeeds(scope string) error {
	if c.needs == nil {
		return nil
	}
	return c.needs(scope)
}

// policy holds an agent's request to what its workspace allows agents.
func (m *Mux) policy(c *Call, scope string) error {
	if m.o.Agents == nil || !c.ByAgent() || scope == workspace.Read || scope == workspace.ReadSensitive {
		return nil
	}
	p, err := m.o.Agents.AgentPolicy(c.R.Context(), c.Workspace)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "what agents may do cannot be looked up: send it again")
	}
	return p.Check(scope)
}

// recordIn bounds how long an agent's request may take to be recorded.
const recordIn = 5 * time.Second

// record keeps what an agent did with its key: writes, and what it was refused. Reads of the API are not told one by one. It runs
// when the answer is made; an entry that cannot be kept is told in the log.
func (m *Mux) record(c *Call) {
	if m.o.Agents == nil || !c.ByAgent() || c.Route.Auth == AgentKey {
		return
	}
	refused := c.rw.status == http.StatusForbidden || c.rw.status == http.StatusUnauthorized
	if read := c.Route.Method == http.MethodGet || c.Route.Agent == workspace.Read; read && !refused {
		return
	}
	e := audit.Entry{
		Workspace: c.Workspace, At: c.Now.UnixMilli(), ID: id.New(c.Now), Key: c.Credential.ID, Client: ClientName(c.Credential, agentProgram(c.R)), Tool: "http", Scopes: c.Credential.Allowed(),
		Outcome: "ok", Calls: []audit.Call{{Method: c.Route.Method, Path: c.Route.Path, Status: c.rw.status, Took: m.o.Now().Sub(c.Now).Milliseconds()}},
		Arguments: map[string]any{},
	}
	if of := c.R.Header.Get(AuditHeader); len(of) == len(e.ID) {
		e.Arguments = map[string]any{"audit_id": cut(of, len(of))}
	}
	switch {
	case refused:
		e.Outcome, e.Rule = "forbidden_scope", "scope"
	case c.rw.status == 0 || c.rw.status >= http.StatusInternalServerError: // 0: the handler panicked
		e.Outcome = "upstream_error"
	case c.rw.status >= http.StatusBadRequest:
		e.Outcome = "invalid_input"
	}
	e.Took = e.Calls[0].Took
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.R.Context()), recordIn)
	defer cancel()
	if err := m.o.Agents.AppendAudit(ctx, &e); err != nil {
		m.o.Log.Error("what an agent did could not be recorded", "workspace", c.Workspace, "key", c.Credential.ID, "request", c.RequestID, "error", err)
	}
}

// ClientName is what the record calls an agent's program: an OAuth client by its id, and then by what it calls itself.
func ClientName(c *workspace.Credential, program string) string {
	return cut(strings.TrimSpace(c.Client+" "+program), 100)
}

// agentProgram is what a program calls itself, shortened.
func agentProgram(r *http.Request) string {
	return cut(r.UserAgent(), 100)
}

// cut is text of at most n bytes, valid and without NUL.
func cut(s string, n int) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s[:min(len(s), n)], ""), "\x00", "")
}
