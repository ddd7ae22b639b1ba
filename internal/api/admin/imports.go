package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"

	"rapport.example/internal/api"
	"rapport.example/internal/api/app"
	"rapport.example/internal/fault"
	"rapport.example/internal/imports"
	"rapport.example/internal/ingest"
	"rapport.example/internal/job"
)

// Imports are the jobs that read files, and how a file gets to them.
type Imports interface {
	// AddToJob gives a job that is being prepared a part; one of the same number is replaced. job.ErrFenced if it is not any more.
	AddToJob(ctx context.Context, k job.Key, part int64, bytes []byte) error
	// StartJob queues a job whose parts are all there. With a failure it is over instead. job.ErrFenced if it is not being prepared.
	StartJob(ctx context.Context, k job.Key, failure string) error
	// CancelJob ends an open job; what it had done stays done. job.ErrFenced if it is over.
	CancelJob(ctx context.Context, k job.Key) error
	// JobParts lists the numbers of a job's parts, ascending, limit at most.
	JobParts(ctx context.Context, k job.Key, limit int) ([]int64, error)
}

type (
	// ImportRequest begins an upload, or finds the one of the same print again: see Import.Known.
	ImportRequest struct {
		Name       string            `json:"name"`
		Type       imports.Type      `json:"type"`                 // people, event, object or relationship
		Identifier string            `json:"identifier,omitempty"` // of people: id, email or cio_id
		ObjectType int64             `json:"object_type_id,omitempty"`
		Mode       imports.Mode      `json:"data_to_process"`  // all, only_new or only_existing
		Format     imports.Format    `json:"format,omitempty"` // csv or jsonl; left out, the first byte tells
		Map        map[string]string `json:"map,omitempty"`    // gives columns other names; "" leaves one out
		Size       int64             `json:"size"`             // bytes
		Print      string            `json:"print,omitempty"`  // of the file and how it is read, as the client makes it
		Again      bool              `json:"again,omitempty"`  // begins anew, though one of this print is over
		Find       bool              `json:"find,omitempty"`   // begins none: without one of this print it is a 404
	}

	// Import is a file that is being read, or was.
	Import struct {
		ID      int64     `json:"id"`
		Name    string    `json:"name"`
		State   job.State `json:"state"`           // preparing (parts are coming in), queued, running, done or failed
		Stage   string    `json:"stage"`           // in the App API's words
		Error   string    `json:"error"`           // why it failed, or will be tried again
		Created int64     `json:"created"`         // Unix ms
		Updated int64     `json:"updated"`         // Unix ms
		Size    int64     `json:"size"`            // bytes of the file
		Parts   int64     `json:"parts"`           // that the file has, each of part_size bytes but the last
		Next    int64     `json:"next_part"`       // the first that is missing, while it is preparing
		Part    int64     `json:"part_size"`       // bytes
		Rows    int64     `json:"rows"`            // good ones; grows while the file is checked
		Bad     int64     `json:"bad"`             // bad ones; as rows
		Sent    int64     `json:"rows_sent"`       // good rows that are durable
		Applied int64     `json:"rows_imported"`   // good rows that are applied
		Known   bool      `json:"known,omitempty"` // it was there before this request
	}

	// ImportsAnswer lists imports, the newest first.
	ImportsAnswer struct {
		Imports []Import `json:"imports"`
	}

	// BadRowsAnswer lists the rows that are not imported: the first thousand of all. They are kept for a day.
	BadRowsAnswer struct {
		Rows  []imports.BadRow `json:"rows"`
		Total int64            `json:"total"`
	}
)

const maxImports = 1000 // listed

func (s *Surface) importRoutes() []api.Route {
	route := func(method, path string, request, response any, h api.Handler, doc string) api.Route {
		r := api.Route{Method: method, Path: "/admin/v1/imports" + path, Auth: api.AdminKey, Shape: api.Problem, Request: request, Response: response, Handler: h, Doc: doc}.With(inWorkspace)
		if request != nil {
			r.MaxBody = maxBody
		}
		return r
	}
	part := route(http.MethodPut, "/{import_id}/parts/{part}", nil, Import{}, s.putImportPart, "Gives an import a part of its file.").
		With(api.Text("sha256", 64, "The SHA-256 of the part, in lower-case hex.").Needed())
	part.MaxBody = imports.PartSize
	return []api.Route{
		route(http.MethodGet, "", nil, ImportsAnswer{}, s.listImports, "Lists imports, newest first."),
		route(http.MethodPost, "", ImportRequest{}, Import{}, s.beginImport, "Begins an import whose file is uploaded, or finds it again."),
		part,
		route(http.MethodPost, "/{import_id}/finish", nil, Import{}, s.finishImport, "Starts an import whose parts are all there."),
		route(http.MethodPost, "/{import_id}/cancel", nil, Import{}, s.cancelImport, "Ends an import; rows that are imported stay."),
		route(http.MethodGet, "/{import_id}", nil, Import{}, s.readImport, "Tells how far an import is."),
		route(http.MethodGet, "/{import_id}/bad_rows", nil, BadRowsAnswer{}, s.badRows, "Lists the rows of an import that are not imported."),
	}
}

// importOf describes a job.
func (s *Surface) importOf(c *api.Call, j *job.Job) (Import, error) {
	spec, p, err := imports.Read(j)
	if err != nil {
		return Import{}, err
	}
	out := Import{
		ID: j.ID, Name: spec.Name, State: j.State, Stage: imports.State(j, &p), Error: j.Error, Created: j.Created, Updated: j.Updated, Size: max(spec.Size, p.Size),
		Part: imports.PartSize, Rows: p.Rows, Bad: p.Bad, Sent: p.Done, Applied: p.Applied,
	}
	out.Parts = imports.Parts(out.Size)
	if out.Next = out.Parts; j.State == job.Preparing {
		have, err := s.o.Store.JobParts(c.R.Context(), j.Key, int(out.Parts))
		if err != nil {
			return Import{}, err
		}
		out.Next = 0
		for out.Next < int64(len(have)) && have[out.Next] == out.Next {
			out.Next++
		}
	}
	return out, nil
}

func (s *Surface) beginImport(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	var in ImportRequest
	if err := c.Decode(&in, true); err != nil {
		return err
	}
	spec := &imports.Spec{
		Name: in.Name, Type: in.Type, Identifier: in.Identifier, ObjectType: in.ObjectType, Mode: in.Mode, Format: in.Format, Map: in.Map, Size: in.Size,
		Print: in.Print, Surface: ingest.FromAdmin,
	}
	switch err := spec.Check(); {
	case err != nil:
		return err
	case in.Size == 0:
		return fault.Field("size", "must not be 0: the file is empty")
	case len(in.Name) > 1000 || len(in.Print) > 100:
		return fault.Field("name", "must be at most 1000 bytes, and print 100")
	}
	if in.Print != "" {
		known, err := s.knownImport(c, w.ID, &in)
		if err != nil {
			return err
		}
		if known != nil {
			out, err := s.importOf(c, known)
			if err != nil {
				return err
			}
			out.Known = true
			return c.JSON(http.StatusOK, out)
		}
	}
	if in.Find {
		return fault.New(fault.NotFound, "this file is not being imported in this way, and was not in the last 24 hours")
	}
	j, err := app.CreateImport(c.R.Context(), s.o.Store, nil, w.ID, spec, job.Preparing)
	if err != nil {
		return err
	}
	out, err := s.importOf(c, &j)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, out)
}

// knownImport finds the import of the same print that is open, or is done since less than a day; nil if there is none.
func (s *Surface) knownImport(c *api.Call, ws int64, in *ImportRequest) (*job.Job, error) {
	j, _, err := app.FindImport(c.R.Context(), s.o.Store, ws, func(j *job.Job, spec *imports.Spec) bool {
		return spec.Print == in.Print && spec.Size == in.Size && j.State != job.Failed && !(j.State == job.Done && in.Again)
	})
	return j, err
}

// importJob finds the import in the path, or is NotFound.
func (s *Surface) importJob(c *api.Call) (*job.Job, error) {
	w, err := s.workspace(c.R.Context(), c.Query("workspace"))
	if err != nil {
		return nil, err
	}
	id, err := c.ParamID("import_id")
	if err != nil {
		return nil, err
	}
	j, err := s.o.Store.Job(c.R.Context(), job.Key{Workspace: w.ID, Kind: imports.Kind, ID: id})
	if err == nil && j == nil {
		err = fault.New(fault.NotFound, "there is no such import")
	}
	return j, err
}

// putImportPart keeps a part whose size and hash are right. Sending it again does nothing.
func (s *Surface) putImportPart(c *api.Call) error {
	j, err := s.importJob(c)
	if err != nil {
		return err
	}
	spec, _, err := imports.Read(j)
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(c.Param("part"), 10, 64)
	sum := sha256.Sum256(c.Body)
	switch {
	case err != nil || n < 0 || n >= imports.Parts(spec.Size):
		return fault.Field("part", "must be a number from 0, of as many as the file has")
	case int64(len(c.Body)) != min(imports.PartSize, spec.Size-n*imports.PartSize):
		return fault.New(fault.Invalid, "the part must have %d bytes", min(imports.PartSize, spec.Size-n*imports.PartSize))
	case c.Query("sha256") != hex.EncodeToString(sum[:]):
		return fault.Field("sha256", "is not the SHA-256 of the part, in hex: it was changed on its way")
	}
	b, err := imports.Pack(c.Body)
	if err != nil {
		return err
	}
	if err := s.o.Store.AddToJob(c.R.Context(), j.Key, n, b); err != nil {
		return started(err)
	}
	return c.JSON(http.StatusOK, Import{ID: j.ID, Name: spec.Name, State: j.State, Stage: "preprocessing", Size: spec.Size, Created: j.Created, Updated: j.Updated, Parts: imports.Parts(spec.Size), Next: n + 1, Part: imports.PartSize})
}

// started says that it is too late.
func started(err error) error {
	if errors.Is(err, job.ErrFenced) {
		return fault.New(fault.Conflict, "the import has begun, or is over")
	}
	return err
}

func (s *Surface) finishImport(c *api.Call) error {
	j, err := s.importJob(c)
	if err != nil {
		return err
	}
	out, err := s.importOf(c, j)
	switch {
	case err != nil:
		return err
	case j.State == job.Preparing && out.Next < out.Parts:
		return fault.New(fault.Conflict, "part %d is missing", out.Next)
	case j.State == job.Preparing:
		if err := s.o.Store.StartJob(c.R.Context(), j.Key, ""); err != nil {
			return started(err)
		}
		if s.o.Wake != nil {
			s.o.Wake(imports.Kind)
		}
		out.State = job.Queued
	}
	return c.JSON(http.StatusOK, out)
}

func (s *Surface) cancelImport(c *api.Call) error {
	j, err := s.importJob(c)
	if err != nil {
		return err
	}
	switch err := s.o.Store.CancelJob(c.R.Context(), j.Key); {
	case errors.Is(err, job.ErrFenced):
		return fault.New(fault.Conflict, "the import is over")
	case err != nil:
		return err
	}
	return s.readImport(c)
}

func (s *Surface) readImport(c *api.Call) error {
	j, err := s.importJob(c)
	if err != nil {
		return err
	}
	out, err := s.importOf(c, j)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, out)
}

func (s *Surface) listImports(c *api.Call) error {
	w, err := s.workspace(c.R.Context(), c.Query("workspace"))
	if err != nil {
		return err
	}
	all, err := s.o.Store.Jobs(c.R.Context(), w.ID, imports.Kind, maxImports)
	if err != nil {
		return err
	}
	out := ImportsAnswer{Imports: []Import{}}
	for i := range all {
		one, err := s.importOf(c, &all[i])
		if err != nil {
			return err
		}
		out.Imports = append(out.Imports, one)
	}
	return c.JSON(http.StatusOK, out)
}

func (s *Surface) badRows(c *api.Call) error {
	j, err := s.importJob(c)
	if err != nil {
		return err
	}
	_, p, err := imports.Read(j)
	if err != nil {
		return err
	}
	out := BadRowsAnswer{Rows: []imports.BadRow{}, Total: p.Bad}
	rows, err := imports.Bad(c.R.Context(), s.o.Store, j.Key)
	if err != nil {
		return err
	}
	out.Rows = append(out.Rows, rows...)
	return c.JSON(http.StatusOK, out)
}
