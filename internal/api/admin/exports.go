package admin

import (
	"encoding/json"
	"fmt"
	"net/http"

	"rapport.example/internal/api"
	"rapport.example/internal/api/app"
	"rapport.example/internal/export"
	"rapport.example/internal/fault"
	"rapport.example/internal/job"
	"rapport.example/internal/value"
)

// Exports are the files of what workspaces hold, and the jobs that make them.
type Exports interface {
	app.Exports
	export.Files
}

type (
	// PeopleExportRequest orders a file of people.
	PeopleExportRequest struct {
		Format export.Format `json:"format"`           // csv or jsonl
		Filter value.Value   `json:"filter,omitempty"` // left out or {} is everybody
	}

	// Export is a file that is being made, or was.
	Export struct {
		ID    int64     `json:"id"`
		State job.State `json:"state"` // queued, running, done or failed
		Error string    `json:"error"` // why it failed, or will be tried again
		Total int64     `json:"total"` // rows; 0 while they are being counted
		Rows  int64     `json:"rows"`  // rows that are done
		Size  int64     `json:"size"`  // bytes that are done, unpacked
	}
)

func (s *Surface) exportRoutes() []api.Route {
	get := func(path string, response any, h api.Handler, doc string) api.Route {
		return api.Route{Method: http.MethodGet, Path: "/admin/v1/exports/" + path, Auth: api.AdminKey, Shape: api.Problem, Response: response, Handler: h, Doc: doc}
	}
	begin := get("people", Export{}, s.exportPeople, "Begins an export of people.").With(inWorkspace)
	begin.Method, begin.MaxBody, begin.Request = http.MethodPost, maxBody, PeopleExportRequest{}
	return []api.Route{
		begin,
		get("{export_id}", Export{}, s.readExport, "Tells how far an export is.").With(inWorkspace),
		get("{export_id}/file", nil, s.exportFile, "Streams an export's file.").With(inWorkspace),
	}
}

func (s *Surface) exportPeople(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	var in PeopleExportRequest
	if err := c.Decode(&in, true); err != nil {
		return err
	}
	spec := export.Spec{Type: export.Customers, Format: in.Format, Description: "People, ordered by an operator"}
	if in.Format != export.CSV && in.Format != export.JSONL {
		return fault.Field("format", "must be csv or jsonl")
	}
	if in.Filter.Kind() != value.Absent && in.Filter.Kind() != value.Null && string(in.Filter) != "{}" {
		f, err := app.PeopleFilter(c.R.Context(), s.o.Store, w.ID, in.Filter, "filter")
		if err != nil {
			return err
		}
		spec.Filter = f.JSON()
	}
	b, err := json.Marshal(&spec)
	if err != nil {
		return fmt.Errorf("encode the order of an export: %w", err)
	}
	j, err := s.o.Store.CreateJob(c.R.Context(), w.ID, export.Kind, b, job.Queued)
	if err != nil {
		return err
	}
	if s.o.Wake != nil {
		s.o.Wake(export.Kind)
	}
	return c.JSON(http.StatusOK, exportOf(&j, export.Progress{}))
}

func exportOf(j *job.Job, p export.Progress) Export {
	return Export{ID: j.ID, State: j.State, Error: j.Error, Total: p.Total, Rows: p.Rows, Size: p.Size}
}

// exportJob finds the export in the path, or is NotFound.
func (s *Surface) exportJob(c *api.Call) (*job.Job, error) {
	w, err := s.workspace(c.R.Context(), c.Query("workspace"))
	if err != nil {
		return nil, err
	}
	id, err := c.ParamID("export_id")
	if err != nil {
		return nil, err
	}
	j, err := s.o.Store.Job(c.R.Context(), job.Key{Workspace: w.ID, Kind: export.Kind, ID: id})
	if err == nil && j == nil {
		err = fault.New(fault.NotFound, "there is no such export")
	}
	return j, err
}

func (s *Surface) readExport(c *api.Call) error {
	j, err := s.exportJob(c)
	if err != nil {
		return err
	}
	_, p, err := export.Read(j)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, exportOf(j, p))
}

func (s *Surface) exportFile(c *api.Call) error {
	j, err := s.exportJob(c)
	switch {
	case err != nil:
		return err
	case j.State != job.Done:
		return fault.New(fault.Conflict, "the export is not done")
	case export.Over(j, c.Now):
		return fault.New(fault.NotFound, "the file was deleted: files are kept for a day")
	}
	export.NewHandler(s.o.Store, export.NewSigner(s.o.Secret, s.o.BaseURL), s.o.Now, s.o.Logger).Serve(c.W, c.R, j)
	return nil
}
