package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/imports"
	"rapport.example/internal/ingest"
	"rapport.example/internal/job"
	"rapport.example/internal/value"
)

type (
	// Import is a file that is being read, or was. Times are real ones, Unix seconds.
	Import struct {
		ID              int64  `json:"id"`
		CreatedAt       int64  `json:"created_at"`
		UpdatedAt       int64  `json:"updated_at"`
		Name            string `json:"name"`
		Description     string `json:"description"`
		RowsToImport    int64  `json:"rows_to_import"` // good rows; grows while the file is checked
		RowsImported    int64  `json:"rows_imported"`  // of them, that are applied
		State           string `json:"state"`
		Type            string `json:"type"`
		Identifier      string `json:"identifier"`
		DataToProcess   string `json:"data_to_process"`
		PeopleToProcess string `json:"people_to_process"` // always all
		ObjectTypeID    *int64 `json:"object_type_id"`    // null if the order had none
		Error           string `json:"error"`
	}

	// ImportAnswer wraps an Import.
	ImportAnswer struct {
		Import Import `json:"import"`
	}

	// ImportRequest orders an import.
	ImportRequest struct {
		Import ImportOrder `json:"import"`
	}

	// ImportOrder says what to import.
	ImportOrder struct {
		Name            string      `json:"name"`
		DataFileURL     string      `json:"data_file_url"`
		Type            string      `json:"type"`       // people, event, object or relationship
		Identifier      string      `json:"identifier"` // id, email or cio_id
		ObjectTypeID    value.Value `json:"object_type_id,omitempty"`
		DataToProcess   string      `json:"data_to_process,omitempty"`   // all, only_new or only_existing; default all
		PeopleToProcess string      `json:"people_to_process,omitempty"` // all, which is the default
		Description     string      `json:"description,omitempty"`
	}
)

const (
	maxImportName = 1000 // bytes; of descriptions, too
	maxImportURL  = 8000 // bytes
)

func (s *surface) importRoutes() []api.Route {
	return []api.Route{
		{
			Method: http.MethodPost, Path: "/v1/imports", Auth: api.AppKey, Limit: api.LimitApp, Shape: api.AppErrors, MaxBody: MaxPeople,
			Request: ImportRequest{}, Response: ImportAnswer{}, Handler: s.orderImport, Doc: "Begins an import of a file that is fetched.",
		},
		s.get("/v1/imports/{import_id}", ImportAnswer{}, s.getImport, "Tells how far an import is."),
	}
}

func (s *surface) orderImport(c *api.Call) error {
	var in ImportRequest
	if err := c.Decode(&in, false); err != nil {
		return err
	}
	spec, err := importSpec(&in.Import)
	if err != nil {
		return err
	}
	if key := c.R.Header.Get("Idempotency-Key"); key != "" {
		sum := sha256.Sum256(fmt.Appendf(nil, "import %d %s", c.Credential.ID, key))
		spec.Print = hex.EncodeToString(sum[:])
		if known, err := s.orderedBefore(c, spec); known || err != nil {
			return err
		}
	}
	j, err := CreateImport(c.R.Context(), s.o.Store, s.o.Wake, c.Workspace, spec, job.Queued)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, ImportAnswer{describeImport(&j, spec, &imports.Progress{})})
}

// orderedBefore answers an order that came before under its Idempotency-Key. It knows of an import until its file is forgotten; of two
// orders in the same moment the second waits for the first, if they reach the same node.
func (s *surface) orderedBefore(c *api.Call, spec *imports.Spec) (known bool, err error) {
	j, before, err := FindImport(c.R.Context(), s.o.Store, c.Workspace, func(_ *job.Job, x *imports.Spec) bool { return x.Print == spec.Print })
	if err != nil || j == nil {
		return false, err
	}
	if !reflect.DeepEqual(&before, spec) {
		return false, api.OtherRequest()
	}
	_, p, err := imports.Read(j)
	if err != nil {
		return false, err
	}
	c.W.Header().Set("Idempotent-Replayed", "true")
	return true, c.JSON(http.StatusOK, ImportAnswer{describeImport(j, spec, &p)})
}

// FindImport finds the newest import that is meant, nil if there is none.
func FindImport(ctx context.Context, store Exports, workspace int64, meant func(*job.Job, *imports.Spec) bool) (*job.Job, imports.Spec, error) {
	const most = 1000
	all, err := store.Jobs(ctx, workspace, imports.Kind, most)
	if err != nil {
		return nil, imports.Spec{}, err
	}
	for i := range all {
		spec, _, err := imports.Read(&all[i])
		if err != nil {
			return nil, spec, err
		}
		if meant(&all[i], &spec) {
			return &all[i], spec, nil
		}
	}
	return nil, imports.Spec{}, nil
}

// importSpec checks an order, naming the field that is wrong.
func importSpec(in *ImportOrder) (*imports.Spec, error) {
	u, err := url.Parse(in.DataFileURL)
	switch {
	case in.Name == "" || len(in.Name) > maxImportName:
		return nil, fault.Field("name", "must be 1 to %d bytes", maxImportName)
	case len(in.Description) > maxImportName:
		return nil, fault.Field("description", "must be at most %d bytes", maxImportName)
	case in.DataFileURL == "" || len(in.DataFileURL) > maxImportURL || err != nil:
		return nil, fault.Field("data_file_url", "must be an address with http or https")
	case in.PeopleToProcess != "" && in.PeopleToProcess != string(imports.All):
		return nil, fault.Field("people_to_process", "must be all")
	}
	if err := imports.CheckURL(u); err != nil {
		return nil, err
	}
	spec := &imports.Spec{
		Name: in.Name, Description: in.Description, Type: imports.Type(in.Type), Identifier: in.Identifier, Mode: imports.Mode(in.DataToProcess),
		URL: in.DataFileURL, Surface: ingest.FromApp,
	}
	if spec.Mode == "" {
		spec.Mode = imports.All
	}
	if !in.ObjectTypeID.Empty() {
		if spec.ObjectType, err = strconv.ParseInt(in.ObjectTypeID.Text(), 10, 64); err != nil || spec.ObjectType < 1 {
			return nil, fault.Field("object_type_id", "must be the number of an object type, from 1")
		}
	}
	return spec, spec.Check()
}

// CreateImport makes the job of an import. wake may be nil.
func CreateImport(ctx context.Context, store Exports, wake func(kind string), workspace int64, spec *imports.Spec, state job.State) (job.Job, error) {
	b, err := json.Marshal(spec)
	if err != nil {
		return job.Job{}, fmt.Errorf("encode the order of an import: %w", err)
	}
	j, err := store.CreateJob(ctx, workspace, imports.Kind, b, state)
	if err == nil && state == job.Queued && wake != nil {
		wake(imports.Kind)
	}
	return j, err
}

func (s *surface) getImport(c *api.Call) error {
	id, err := c.ParamID("import_id")
	if err != nil {
		return err
	}
	j, err := s.o.Store.Job(c.R.Context(), job.Key{Workspace: c.Workspace, Kind: imports.Kind, ID: id})
	if err != nil {
		return err
	}
	if j == nil {
		return fault.New(fault.NotFound, "there is no such import")
	}
	spec, p, err := imports.Read(j)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, ImportAnswer{describeImport(j, &spec, &p)})
}

func describeImport(j *job.Job, spec *imports.Spec, p *imports.Progress) Import {
	out := Import{
		ID: j.ID, CreatedAt: j.Created / 1000, UpdatedAt: j.Updated / 1000, Name: spec.Name, Description: spec.Description, RowsToImport: p.Rows,
		RowsImported: p.Applied, State: imports.State(j, p), Type: string(spec.Type), Identifier: spec.Identifier,
		DataToProcess: string(spec.Mode), PeopleToProcess: string(imports.All), Error: j.Error,
	}
	if spec.ObjectType > 0 {
		out.ObjectTypeID = &spec.ObjectType
	}
	return out
}
