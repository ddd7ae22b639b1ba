package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"

	"rapport.example/internal/api"
	"rapport.example/internal/catalog"
	"rapport.example/internal/fault"
	"rapport.example/internal/id"
)

// Reports is what the service guide needs kept.
type Reports interface {
	// SaveReport keeps a report; one with the id of another of its service is not kept again.
	SaveReport(ctx context.Context, workspace int64, r catalog.Report) error
	// Reports lists the reports about a service, the newest first, at most catalog.KeepReports.
	Reports(ctx context.Context, workspace int64, service string) ([]catalog.Report, error)
}

type (
	// ReportRequest says how a task with a service went.
	ReportRequest struct {
		Task       string `json:"task"`
		Success    bool   `json:"success"`
		ErrorType  string `json:"error_type"`
		Latency    int64  `json:"latency_ms"`
		Workaround string `json:"workaround"`
		Recipe     string `json:"recipe_id"`
		FailedStep int    `json:"failed_step"`
		Model      string `json:"model_family"`
		Key        string `json:"idempotency_key"` // the same key reports once
	}

	// ReportsAnswer sums up the reports of a workspace about a service.
	ReportsAnswer struct {
		Service string             `json:"service_id"`
		Reports []catalog.Reported `json:"reports"`
	}
)

// guideRoutes are the reports about services: they are a workspace's own, while the guide itself is open to everybody.
func (s *Surface) guideRoutes() []api.Route {
	const path = "/services/{service_id}/reports"
	return []api.Route{
		{
			Method: http.MethodPost, Path: path, Auth: api.AgentKey, Limit: api.LimitApp, Shape: api.Problem, MaxBody: maxBody,
			Request: ReportRequest{}, Response: catalog.Report{}, Handler: s.addReport, Doc: "Reports how a task with a service went.",
		},
		{
			Method: http.MethodGet, Path: path, Auth: api.AgentKey, Limit: api.LimitApp, Shape: api.Problem,
			Response: ReportsAnswer{}, Handler: s.listReports, Doc: "Sums up this workspace's reports about a service.",
		},
	}
}

// scope holds an agent key to a scope; a key without scopes has all.
func scope(c *api.Call, need string) error {
	if c.Credential != nil && c.Credential.Scopes != nil && !slices.Contains(c.Credential.Scopes, need) {
		return fault.New(fault.Forbidden, "this agent key lacks the scope %s", need)
	}
	return nil
}

func (s *Surface) guide(ctx context.Context) (*catalog.Catalog, error) {
	if s.o.Guide == nil {
		return nil, fault.New(fault.Unsupported, "there is no service guide here")
	}
	return s.o.Guide(ctx)
}

func (s *Surface) addReport(c *api.Call) error {
	if err := scope(c, "write"); err != nil {
		return err
	}
	all, err := s.guide(c.R.Context())
	if err != nil {
		return err
	}
	var in ReportRequest
	if err := c.Decode(&in, true); err != nil {
		return err
	}
	r := catalog.Report{
		Service: c.Param("service_id"), Recipe: in.Recipe, Task: in.Task, Success: in.Success, ErrorType: in.ErrorType, Latency: in.Latency,
		Workaround: in.Workaround, FailedStep: in.FailedStep, Model: in.Model, Provenance: "agent", Created: c.Now.UnixMilli(), ID: id.New(c.Now),
	}
	if all.Service(r.Service) == nil {
		return noService()
	}
	if err := all.Check(&r); err != nil {
		return err
	}
	if len(in.Key) > 128 {
		return fault.Field("idempotency_key", "must be at most 128 bytes")
	}
	if in.Key != "" {
		r.ID = s.digest("report", c.Workspace, in.Key)
	}
	if c.Credential != nil {
		r.Reporter = s.digest("reporter", c.Workspace, fmt.Sprint(c.Credential.ID))
	}
	if err := s.o.Store.SaveReport(c.R.Context(), c.Workspace, r); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, r)
}

func noService() error { return fault.New(fault.NotFound, "there is no such service") }

// digest is a name that tells nothing about what it stands for.
func (s *Surface) digest(what string, workspace int64, of string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%x %s %d %s", s.o.Secret, what, workspace, of))
	return hex.EncodeToString(sum[:10])
}

func (s *Surface) listReports(c *api.Call) error {
	if err := scope(c, "read"); err != nil {
		return err
	}
	all, err := s.guide(c.R.Context())
	if err != nil {
		return err
	}
	service := c.Param("service_id")
	if all.Service(service) == nil {
		return noService()
	}
	list, err := s.o.Store.Reports(c.R.Context(), c.Workspace, service)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, ReportsAnswer{service, catalog.SumUp(list)})
}
