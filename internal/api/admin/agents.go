package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"rapport.example/internal/api"
	"rapport.example/internal/audit"
	"rapport.example/internal/batch"
	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

type (
	// AgentsAnswer is what all agents of a workspace may do, and how far the record of what they did is.
	AgentsAnswer struct {
		workspace.AgentPolicy
		Recorded int64 `json:"recorded"` // entries
	}
	// AgentsRequest changes what agents may do; what it leaves out stays.
	AgentsRequest struct {
		Stopped *bool `json:"stopped"`
		Live    *bool `json:"live"`
	}
	// AuditBatch is tool calls that came to their ends at about the same time, 1 to 200.
	AuditBatch struct {
		Entries []audit.Entry `json:"entries"`
	}
	// AuditAnswer is a page of the record of what agents did. Head is the newest entry that there is.
	AuditAnswer struct {
		Entries []audit.Entry `json:"entries"`
		Head    AuditHead     `json:"head"`
	}
	// AuditHead is the newest entry of a record; Seq 0 = it is empty.
	AuditHead struct {
		Seq  int64      `json:"seq"`
		Hash audit.Hash `json:"hash"`
	}
)

// Agents is what is kept about agents.
type Agents interface {
	api.Agents
	SetAgentPolicy(ctx context.Context, workspace int64, p workspace.AgentPolicy) error
	// Audit lists up to limit entries behind a sequence number, the oldest first, or with newest before it, the newest first; there,
	// 0 is behind the newest.
	Audit(ctx context.Context, workspace, seq int64, newest bool, limit int) ([]audit.Entry, error)
	AuditHead(ctx context.Context, workspace int64) (audit.Chain, error)
}

// auditParams say where a page of the audit begins.
var auditParams = []api.Param{
	api.Number("seq", 0, 1<<53, "Entries behind this sequence number, or with newest before it."), api.Bool("newest", "The newest entries first, from the newest one there is unless seq says otherwise."),
}

func (s *Surface) agentRoutes() []api.Route {
	route := func(method, path string, request, response any, h api.Handler, doc string) api.Route {
		r := api.Route{Method: method, Path: path, Auth: api.AdminKey, Shape: api.Problem, Request: request, Response: response, Handler: h, Doc: doc}
		if request != nil {
			r.MaxBody = maxBody
		}
		return r
	}
	record := route(http.MethodPost, "/agents/v1/audit", audit.Entry{}, nil, s.recordCall, "Records a tool call of the agent whose key it is.")
	own := route(http.MethodGet, "/agents/v1/audit", nil, AuditAnswer{}, s.auditForAgent, "Lists what agents did and were refused, for an agent with the scope audit.").Paged(50, 500).With(auditParams...)
	many := route(http.MethodPost, "/agents/v1/audit/batch", AuditBatch{}, nil, s.recordCalls, "Records tool calls of the agent whose key it is, all or none.")
	many.MaxBody = 1 << 20
	record.Auth, many.Auth, own.Auth = api.AgentKey, api.AgentKey, api.AgentKey
	return []api.Route{
		route(http.MethodGet, "/admin/v1/agents", nil, AgentsAnswer{}, s.agents, "Tells what all agents of a workspace may do.").With(inWorkspace),
		route(http.MethodPut, "/admin/v1/agents", AgentsRequest{}, AgentsAnswer{}, s.setAgents, "Stops the agents of a workspace, or lets them act on live data.").With(inWorkspace),
		route(http.MethodGet, "/admin/v1/audit", nil, AuditAnswer{}, s.auditLog, "Lists what agents did and were refused.").Paged(50, 500).With(inWorkspace).With(auditParams...),
		record, many, own,
	}
}

func (s *Surface) agents(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	p, err := s.o.Store.AgentPolicy(c.R.Context(), w.ID)
	if err != nil {
		return err
	}
	return s.answerAgents(c, w.ID, p)
}

func (s *Surface) answerAgents(c *api.Call, ws int64, p workspace.AgentPolicy) error {
	head, err := s.o.Store.AuditHead(c.R.Context(), ws)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, AgentsAnswer{p, head.Seq})
}

func (s *Surface) setAgents(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	var in AgentsRequest
	if err := c.Decode(&in, true); err != nil {
		return err
	}
	p, err := s.o.Store.AgentPolicy(c.R.Context(), w.ID)
	if err != nil {
		return err
	}
	if in.Stopped != nil {
		p.Stopped = *in.Stopped
	}
	if in.Live != nil {
		p.Live = *in.Live
	}
	if err := s.o.Store.SetAgentPolicy(c.R.Context(), w.ID, p); err != nil {
		return err
	}
	return s.answerAgents(c, w.ID, p)
}

func (s *Surface) auditLog(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	return s.listAudit(c, w.ID)
}

func (s *Surface) auditForAgent(c *api.Call) error {
	if !slices.Contains(c.Credential.AgentScopes(), workspace.Audit) {
		return fault.New(fault.Forbidden, "this agent key lacks the scope %s", workspace.Audit)
	}
	return s.listAudit(c, c.Workspace)
}

func (s *Surface) listAudit(c *api.Call, ws int64) error {
	limit, err := c.Limit()
	if err != nil {
		return err
	}
	head, err := s.o.Store.AuditHead(c.R.Context(), ws) // before the entries, so that they reach it
	if err != nil {
		return err
	}
	out := AuditAnswer{Head: AuditHead(head)}
	if out.Entries, err = s.o.Store.Audit(c.R.Context(), ws, c.QueryInt("seq"), c.QueryBool("newest"), limit); err != nil {
		return err
	}
	if out.Entries == nil {
		out.Entries = []audit.Entry{}
	}
	return c.JSON(http.StatusOK, out)
}

// recordCall takes a tool call as the agent's program tells it. Whose it is and when it came is not the program's to say.
func (s *Surface) recordCall(c *api.Call) error {
	var e audit.Entry
	if err := c.Decode(&e, true); err != nil {
		return err
	}
	return s.recordAll(c, []audit.Entry{e}, func(int) string { return "" })
}

// recordCalls is recordCall for many: an agent's program that is asked a lot tells of several at once.
func (s *Surface) recordCalls(c *api.Call) error {
	var in AuditBatch
	if err := c.Decode(&in, true); err != nil {
		return err
	}
	if n := len(in.Entries); n == 0 || n > batch.Size {
		return fault.Field("entries", "must be 1 to %d entries", batch.Size)
	}
	return s.recordAll(c, in.Entries, func(i int) string { return fmt.Sprintf("entries[%d].", i) })
}

// recordAll records entries; at says where one is in the body.
func (s *Surface) recordAll(c *api.Call, list []audit.Entry, at func(i int) string) error {
	entries := make([]*audit.Entry, len(list))
	for i := range list {
		e := &list[i]
		switch {
		case e.Tool == "" || len(e.Tool) > 100 || e.Tool == "http":
			return fault.Field(at(i)+"tool", "must be a tool's name")
		case len(e.Client) > 100 || len(e.ID) != 26 || len(e.Outcome) > 50 || len(e.Rule) > 100 || len(e.Digest) > 64 || len(e.Calls) > 100:
			return fault.New(fault.Invalid, "is no record of a tool call")
		}
		e.Workspace, e.Key, e.At, e.Scopes = c.Workspace, c.Credential.ID, c.Now.UnixMilli(), c.Credential.Allowed()
		entries[i] = e
	}
	if err := s.o.Store.AppendAudit(c.R.Context(), entries...); err != nil {
		return err
	}
	return c.NoContent()
}
