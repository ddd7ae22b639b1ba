package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/export"
	"rapport.example/internal/fault"
	"rapport.example/internal/filter"
	"rapport.example/internal/job"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

// Exports are the jobs that make files of what a workspace holds.
type Exports interface {
	// CreateJob is RateLimited if the workspace has job.MostOpen open ones.
	CreateJob(ctx context.Context, workspace int64, kind string, spec json.RawMessage, state job.State) (job.Job, error)
	// Job is nil if there is none.
	Job(ctx context.Context, k job.Key) (*job.Job, error)
	// Jobs lists the newest first.
	Jobs(ctx context.Context, workspace int64, kind string, limit int) ([]job.Job, error)
}

type (
	// Export is a file that is being made, or was. Times are real ones. User is nobody: keys belong to workspaces.
	Export struct {
		ID            int64  `json:"id"`
		UserID        int64  `json:"user_id"`
		UserEmail     string `json:"user_email"`
		Total         int64  `json:"total"` // rows; 0 while they are being counted
		DeduplicateID string `json:"deduplicate_id"`
		Type          string `json:"type"` // customers or deliveries
		Failed        bool   `json:"failed"`
		Description   string `json:"description"`
		Downloads     int64  `json:"downloads"`
		CreatedAt     int64  `json:"created_at"`
		UpdatedAt     int64  `json:"updated_at"`
		Status        string `json:"status"` // pending, done or failed
	}

	// ExportsAnswer lists exports, the newest first; null if there are none (recorded).
	ExportsAnswer struct {
		Exports []Export `json:"exports"`
	}

	// ExportAnswer wraps an Export.
	ExportAnswer struct {
		Export Export `json:"export"`
	}

	// DownloadAnswer tells where a file is, for 15 minutes.
	DownloadAnswer struct {
		URL string `json:"url"`
	}

	// CustomersExportRequest orders a file of people: those who meet the filter; {} is everybody.
	CustomersExportRequest struct {
		Filters value.Value `json:"filters"`
	}

	// DeliveriesExportRequest orders a file of deliveries. It has exactly one of the first four.
	DeliveriesExportRequest struct {
		Newsletter    *int64   `json:"newsletter_id,omitempty"`
		Campaign      *int64   `json:"campaign_id,omitempty"`
		Transactional *int64   `json:"transactional_message_id,omitempty"`
		Action        *int64   `json:"action_id,omitempty"`
		Start         *int64   `json:"start,omitempty"` // created from then on, Unix seconds
		End           *int64   `json:"end,omitempty"`   // and until then
		Attributes    []string `json:"attributes,omitempty"`
		Metric        string   `json:"metric,omitempty"`
		Drafts        bool     `json:"drafts,omitempty"` // there are no drafts yet: changes nothing
		Template      *int64   `json:"template_id,omitempty"`
	}
)

// Bounds of exports; ours, but for the months.
const (
	maxExports    = 1000 // listed
	maxAttributes = 100  // extra columns
	defMonths     = 6    // of deliveries, if no period is given
	maxMonths     = 12
)

func (s *surface) exportRoutes() []api.Route {
	post := func(path string, request any, h api.Handler, doc string) api.Route {
		return api.Route{
			Method: http.MethodPost, Path: path, Auth: api.AppKey, Scope: workspace.Read, Limit: api.LimitApp, Shape: api.AppErrors, MaxBody: MaxPeople,
			Request: request, Response: ExportAnswer{}, Handler: s.fresh(h), Doc: doc,
		}
	}
	download := s.get("/v1/exports/{export_id}/download", DownloadAnswer{}, s.downloadExport, "Makes a link to an export's file.")
	download.Agent = workspace.ReadSensitive
	return []api.Route{
		s.get("/v1/exports", ExportsAnswer{}, s.listExports, "Lists exports, newest first."),
		s.get("/v1/exports/{export_id}", ExportAnswer{}, s.getExport, "Tells how far an export is."),
		download,
		post("/v1/exports/customers", CustomersExportRequest{}, s.exportCustomers, "Begins an export of people."),
		post("/v1/exports/deliveries", DeliveriesExportRequest{}, s.exportDeliveries, "Begins an export of deliveries."),
	}
}

func (s *surface) listExports(c *api.Call) error {
	all, err := s.o.Store.Jobs(c.R.Context(), c.Workspace, export.Kind, maxExports)
	if err != nil {
		return err
	}
	var out ExportsAnswer
	for i := range all {
		e, _, err := describeExport(&all[i])
		if err != nil {
			return err
		}
		out.Exports = append(out.Exports, e)
	}
	return c.JSON(http.StatusOK, out)
}

// exportJob finds the export in the path, or is NotFound.
func (s *surface) exportJob(c *api.Call) (*job.Job, error) {
	id, err := c.ParamID("export_id")
	if err != nil {
		return nil, err
	}
	j, err := s.o.Store.Job(c.R.Context(), job.Key{Workspace: c.Workspace, Kind: export.Kind, ID: id})
	if err == nil && j == nil {
		err = fault.New(fault.NotFound, "there is no such export")
	}
	return j, err
}

func (s *surface) getExport(c *api.Call) error {
	j, err := s.exportJob(c)
	if err != nil {
		return err
	}
	e, _, err := describeExport(j)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, ExportAnswer{e})
}

func (s *surface) downloadExport(c *api.Call) error {
	j, err := s.exportJob(c)
	if err != nil {
		return err
	}
	_, spec, err := describeExport(j)
	switch {
	case err != nil:
		return err
	case j.State == job.Failed:
		return fault.New(fault.Conflict, "the export failed: %s", j.Error)
	case j.State != job.Done:
		return fault.New(fault.Conflict, "the export is not done yet")
	case export.Over(j, c.Now):
		return fault.New(fault.NotFound, "the file was deleted: files are kept for a day")
	}
	return c.JSON(http.StatusOK, DownloadAnswer{s.links.Link(j, export.Name(j.ID, &spec), c.Now)})
}

func describeExport(j *job.Job) (Export, export.Spec, error) {
	spec, done, err := export.Read(j)
	out := Export{
		ID: j.ID, Total: done.Total, DeduplicateID: fmt.Sprintf("%d:%d", j.ID, j.Updated/1000), Type: string(spec.Type),
		Failed: j.State == job.Failed, Description: spec.Description, Downloads: j.Reads, CreatedAt: j.Created / 1000,
		UpdatedAt: j.Updated / 1000, Status: "pending",
	}
	if !j.Open() {
		out.Status = string(j.State)
	}
	return out, spec, err
}

// order makes the job and answers with it.
func (s *surface) order(c *api.Call, spec *export.Spec) error {
	b, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("encode the order of an export: %w", err)
	}
	j, err := s.o.Store.CreateJob(c.R.Context(), c.Workspace, export.Kind, b, job.Queued)
	if err != nil {
		return err
	}
	if s.o.Wake != nil {
		s.o.Wake(export.Kind)
	}
	e, _, err := describeExport(&j)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, ExportAnswer{e})
}

func (s *surface) exportCustomers(c *api.Call) error {
	body, err := c.Object()
	if err != nil {
		return err
	}
	spec := export.Spec{Type: export.Customers, Format: export.CSV, Description: "All customers"}
	if doc := body.Get("filters"); string(doc) != "{}" {
		f, err := s.peopleFilter(c, doc, "filters")
		if err != nil {
			return err
		}
		spec.Filter = f.JSON()
		if spec.Description = "Customers who meet a filter"; f.Kind == filter.Segment {
			spec.Description = "Customers in segment " + strconv.FormatInt(f.Segment, 10)
		}
	}
	return s.order(c, &spec)
}

func (s *surface) exportDeliveries(c *api.Call) error {
	var in DeliveriesExportRequest
	if err := c.Decode(&in, false); err != nil {
		return err
	}
	spec := export.Spec{Type: export.Deliveries, Format: export.CSV}
	q := &spec.Deliveries
	for _, of := range []struct {
		name string
		from *int64
		to   *int64
	}{
		{"newsletter_id", in.Newsletter, &q.Newsletter},
		{"campaign_id", in.Campaign, &q.Campaign},
		{"transactional_message_id", in.Transactional, &q.Transactional},
		{"action_id", in.Action, &q.Action},
	} {
		switch {
		case of.from == nil:
			continue
		case *of.from < 1:
			return fault.Field(of.name, "must be a positive whole number")
		case spec.Description != "":
			return fault.Field(of.name, "cannot stand beside another of newsletter_id, campaign_id, transactional_message_id and action_id")
		}
		*of.to = *of.from
		spec.Description = "Deliveries of " + of.name + " " + strconv.FormatInt(*of.from, 10)
	}
	if spec.Description == "" {
		return fault.New(fault.Invalid, "one of newsletter_id, campaign_id, transactional_message_id and action_id is required")
	}
	if err := selectDeliveries(&in, q); err != nil {
		return err
	}
	w, _, err := s.o.Store.Workspace(c.R.Context(), c.Workspace)
	if err != nil {
		return err
	}
	if err := exportPeriod(&in, q, time.UnixMilli(w.Now(c.Now))); err != nil {
		return err
	}
	return s.order(c, &spec)
}

// selectDeliveries reads what selects beside whose deliveries they are.
func selectDeliveries(in *DeliveriesExportRequest, q *export.DeliveryFilter) error {
	if in.Template != nil {
		if q.Template = *in.Template; q.Template < 1 {
			return fault.Field("template_id", "must be a positive whole number")
		}
	}
	if q.Metric = in.Metric; q.Metric != "" && !slices.Contains(metrics, q.Metric) {
		return fault.Field("metric", "must be one of %q", metrics)
	}
	for _, name := range in.Attributes {
		if name == "" || len(name) > 1000 {
			return fault.Field("attributes", "must be names of attributes")
		}
		if !slices.Contains(q.Attributes, name) {
			q.Attributes = append(q.Attributes, name)
		}
	}
	if len(q.Attributes) > maxAttributes {
		return fault.Field("attributes", "must be %d at most", maxAttributes)
	}
	return nil
}

// exportPeriod reads start and end. Without them it is the last six months; of more than twelve, it is the last twelve.
func exportPeriod(in *DeliveriesExportRequest, q *export.DeliveryFilter, now time.Time) error {
	const most = 1 << 40
	end := now
	q.Until = export.Always
	if in.End != nil {
		if *in.End < 0 || *in.End > most {
			return fault.Field("end", "must be a time in Unix seconds")
		}
		end = time.Unix(*in.End, 0)
		q.Until = (*in.End + 1) * 1000
	}
	end = end.UTC()
	since := end.AddDate(0, -defMonths, 0)
	if in.Start != nil {
		if *in.Start < 0 || *in.Start > most {
			return fault.Field("start", "must be a time in Unix seconds")
		}
		if since = time.Unix(*in.Start, 0); since.After(end) {
			return fault.Field("end", "lies before start")
		}
	}
	if least := end.AddDate(0, -maxMonths, 0); since.Before(least) {
		since = least
	}
	q.Since = since.UnixMilli()
	return nil
}
