package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"rapport.example/internal/catalog"
	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

// The inputs and outputs of the toolset catalog.
type (
	searchServicesIn struct {
		Intent   string `json:"intent" jsonschema:"task in words, or a name"`
		Category string `json:"category,omitempty" jsonschema:"as items name it"`
		Ready    string `json:"agent_ready,omitempty" jsonschema:"default all" enum:"verified,connectable,info_only"`
		Compact  bool   `json:"compact,omitempty" jsonschema:"without summaries"`
		page
	}
	servicesOut struct {
		Items      []serviceRow `json:"items"`
		NextCursor string       `json:"next_cursor,omitempty"`
		Next       string       `json:"next"`
	}
	serviceRow struct {
		ID        string   `json:"id"`
		Name      string   `json:"name"`
		Category  string   `json:"category"`
		Summary   string   `json:"summary,omitempty"`
		Readiness string   `json:"readiness" jsonschema:"score 0-1, grade"`
		Aeo       string   `json:"aeo_score"`
		Access    string   `json:"agent_ready"`
		Own       bool     `json:"own,omitempty"`
		Why       []string `json:"why,omitempty"`
	}

	serviceDetailIn struct {
		ID       string   `json:"service_id"`
		Sections []string `json:"sections,omitempty" jsonschema:"default guide" enum:"guide,score,facts,recipes,reports"`
	}
	serviceDetailOut struct {
		Item      map[string]any `json:"item" jsonschema:"by section"`
		Truncated bool           `json:"truncated,omitempty" jsonschema:"see item.left_out"`
	}

	reportIn struct {
		ID         string `json:"service_id"`
		Task       string `json:"task" jsonschema:"what was tried, without personal data; 1-500 bytes"`
		Success    bool   `json:"success"`
		ErrorType  string `json:"error_type,omitempty" jsonschema:"like timeout, auth, rate_limited"`
		Latency    int64  `json:"latency_ms,omitempty"`
		Workaround string `json:"workaround,omitempty"`
		Recipe     string `json:"recipe_id,omitempty"`
		FailedStep int    `json:"failed_step,omitempty" jsonschema:"of the recipe, from 1"`
		Key        string `json:"idempotency_key,omitempty" jsonschema:"1-128 characters: the same key reports once"`
		DryRun     bool   `json:"dry_run,omitempty" jsonschema:"check and show, keep nothing"`
	}
	reportOut struct {
		Status string         `json:"status" jsonschema:"recorded or dry_run"`
		Report map[string]any `json:"report"`
	}
)

func (s *Server) catalogTools() error {
	if s.o.Guide == nil {
		return nil
	}
	return errors.Join(
		declare(s, spec{
			setCatalog, "search_services", "Find a service", "Services that an agent can use for a task, ranked by fit and readiness: messaging, email, push, analytics. Give the intent in words or a service's name.",
			workspace.Read, reads, false,
		}, s.searchServices),
		declare(s, spec{
			setCatalog, "get_service_detail", "How to connect a service", "How to connect one service: set-up, auth, hosts, limits, endpoints, examples, pitfalls; by sections its score by check, facts with sources, recipes, reports.",
			workspace.Read, reads, false,
		}, s.serviceDetail),
		declare(s, spec{
			setCatalog, "report_outcome", "Report how it went", "Tell the catalogue whether a task with a service worked or failed. It stays in this workspace, out of public scores; addresses and keys in the text are masked.",
			workspace.WriteScope, additions, true,
		}, s.reportOutcome),
	)
}

func (s *Server) searchServices(ctx context.Context, c *Client, in searchServicesIn) (out servicesOut, err error) {
	limit, at, err := s.page(in.page, "search_services", []any{in.Intent, in.Category, in.Ready})
	if err != nil {
		return out, err
	}
	if in.Limit == 0 {
		limit = 5
	}
	guide, err := s.o.Guide(ctx)
	if err != nil {
		return out, err
	}
	hits, err := guide.Search(catalog.Query{Intent: in.Intent, Category: in.Category, Access: catalog.Access(in.Ready), Limit: 100})
	if err != nil {
		return out, asInput(err)
	}
	from := min(at.Skip, len(hits))
	to := min(from+limit, len(hits))
	out = servicesOut{Items: []serviceRow{}, Next: "call search_services again with other words, or without a category"}
	for _, h := range hits[from:to] {
		r := serviceRow{
			ID: h.ID, Name: h.Name, Category: h.Category, Readiness: h.Readiness.String(), Aeo: h.Compatibility.String(), Access: string(h.Access), Own: h.Own,
		}
		if !in.Compact {
			r.Summary, r.Why = h.Summary, h.Why
		}
		out.Items = append(out.Items, r)
	}
	if len(out.Items) > 0 {
		out.Next = "call get_service_detail with service_id " + out.Items[0].ID
	}
	if to < len(hits) {
		out.NextCursor = s.cursor(mark{Skip: to}, "search_services", []any{in.Intent, in.Category, in.Ready})
	}
	return out, nil
}

// asInput makes an error about a field one that a model can act on.
func asInput(err error) error {
	var f *fault.Error
	if errors.As(err, &f) && f.Kind == fault.Invalid && f.Field != "" {
		return invalid(f.Field, "%s", f.Msg)
	}
	return err
}

// maxEndpoints is how many endpoints one answer lists, maxSections how many bytes its sections have together.
const (
	maxEndpoints = 20
	maxSections  = 28_000
)

// fits keeps the sections that were asked for in their order, as long as there is room, and names the others.
func (out *serviceDetailOut) fits(sections []string) error {
	room, left := maxSections, []string{}
	for _, name := range sections {
		b, err := json.Marshal(out.Item[name])
		if err != nil {
			return fmt.Errorf("encode the guide: %w", err)
		}
		if room -= len(b); room < 0 {
			delete(out.Item, name)
			left = append(left, name)
		}
	}
	if len(left) > 0 {
		out.Truncated, out.Item["left_out"] = true, left
	}
	return nil
}

func (s *Server) serviceDetail(ctx context.Context, c *Client, in serviceDetailIn) (out serviceDetailOut, err error) {
	guide, err := s.o.Guide(ctx)
	if err != nil {
		return out, err
	}
	d := guide.Detail(in.ID)
	if d == nil {
		return out, &toolError{Code: "not_found", Field: "service_id", Message: "there is no such service", Hint: "search_services finds ids"}
	}
	if len(in.Sections) == 0 {
		in.Sections = []string{"guide"}
	}
	v := d.Service
	out = serviceDetailOut{Item: map[string]any{
		"id": v.ID, "name": v.Name, "category": v.Category, "summary": v.Summary, "homepage": v.Homepage, "docs": v.Docs, "updated_at": v.UpdatedAt,
		"readiness": d.Readiness.String(), "aeo_score": d.Compatibility.Score.String(), "agent_ready": d.Access,
	}}
	for _, section := range in.Sections {
		switch section {
		case "guide":
			ends := v.Endpoints[:min(len(v.Endpoints), maxEndpoints)]
			out.Truncated = len(ends) < len(v.Endpoints)
			out.Item["guide"] = map[string]any{
				"mcp": v.MCP, "apis": v.APIs, "setup": notes(v.Guide.Setup), "quickstart": v.Guide.Quickstart, "pitfalls": notes(v.Guide.Pitfalls), "tips": notes(v.Guide.Tips),
				"endpoints": ends, "corrections": v.Corrections(),
			}
		case "score":
			out.Item["score"] = map[string]any{"readiness": d.Readiness, "aeo_score": d.Compatibility, "how": catalog.Honesty}
		case "facts":
			out.Item["facts"] = v.Facts
		case "recipes":
			out.Item["recipes"] = d.Recipes
		case "reports":
			var sums any
			if err := s.reports(ctx, c, in.ID, &sums); err != nil {
				return out, err
			}
			out.Item["reports"] = sums
		default:
			return out, invalid("sections", "knows guide, score, facts, recipes and reports")
		}
	}
	return out, out.fits(in.Sections)
}

func notes(list []catalog.Note) []string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = n.Text
	}
	return out
}

// reports reads this workspace's reports, summed up.
func (s *Server) reports(ctx context.Context, c *Client, service string, into any) error {
	if s.o.Hosted != nil {
		return &toolError{Code: "unsupported_on_connection", Message: "the hosted service keeps no reports", Hint: "leave out the section reports"}
	}
	return c.read(ctx, "/services/"+service+"/reports", nil, into)
}

func (s *Server) reportOutcome(ctx context.Context, c *Client, in reportIn) (out reportOut, err error) {
	all, err := s.o.Guide(ctx)
	if err != nil {
		return out, err
	}
	if len(in.Key) > 128 {
		return out, invalid("idempotency_key", "must be at most 128 characters")
	}
	r := catalog.Report{
		Service: in.ID, Recipe: in.Recipe, Task: in.Task, Success: in.Success, ErrorType: in.ErrorType, Latency: in.Latency, Workaround: in.Workaround, FailedStep: in.FailedStep,
	}
	if err := all.Check(&r); err != nil {
		return out, asInput(err)
	}
	body := map[string]any{
		"task": r.Task, "success": r.Success, "error_type": r.ErrorType, "latency_ms": r.Latency, "workaround": r.Workaround, "recipe_id": r.Recipe, "failed_step": r.FailedStep,
		"idempotency_key": in.Key,
	}
	if in.DryRun {
		return reportOut{"dry_run", body}, nil
	}
	var kept map[string]any
	_, err = c.do(ctx, call{class: appClass, method: http.MethodPost, path: "/services/" + in.ID + "/reports", body: body, again: in.Key != ""}, &kept)
	return reportOut{"recorded", kept}, err
}
