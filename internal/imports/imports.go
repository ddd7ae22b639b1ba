// Package imports reads files of people, events, objects and relationships into the ingest log. A file lies in the database, in
// parts; a job (package job) checks it from end to end and then gives its rows to the log, each applied once whatever breaks.
package imports

import (
	"encoding/json"
	"fmt"
	"time"

	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/job"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
)

// Kind is the kind of these jobs.
const Kind = "import"

// Bounds; ours, the vendor tells none.
const (
	MaxSize    = 1 << 30 // bytes of a file
	MaxRow     = 1 << 20 // bytes of a row
	MaxColumns = 1000    // of a CSV file
	MaxBad     = 1000    // bad rows that are kept; all are counted
	maxBroken  = 1000    // rows that are no CSV at all, beyond which the file is none
	PartSize   = job.PartSize
)

// How long things last.
const (
	KeepFile = 24 * time.Hour      // what was uploaded or fetched, and the bad rows, from when the import was over
	KeepRow  = 90 * 24 * time.Hour // the word that there was one
)

// Type says what the rows are.
type Type string

// The types, in the vendor's words.
const (
	People        Type = "people"
	Events        Type = "event"
	Objects       Type = "object"
	Relationships Type = "relationship"
)

// Mode says which rows are applied.
type Mode string

// The modes, in the vendor's words. OnlyNew and OnlyExisting are about the people, or the objects, of rows that make them.
const (
	All          Mode = "all"
	OnlyNew      Mode = "only_new"
	OnlyExisting Mode = "only_existing"
)

// Format is how a file is written.
type Format string

// The formats; "" is told by the first byte that is no space: { begins JSON Lines.
const (
	CSV   Format = "csv"
	JSONL Format = "jsonl"
)

// Spec is what a job is to import.
type Spec struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Type        Type   `json:"type"`
	Identifier  string `json:"identifier,omitempty"`  // of people: id, email or cio_id
	ObjectType  int64  `json:"object_type,omitempty"` // of objects and relationships whose rows tell none
	Mode        Mode   `json:"mode"`
	Format      Format `json:"format,omitempty"`
	// Map gives columns, or members of a line, other names; "" leaves one out.
	Map     map[string]string `json:"map,omitempty"`
	URL     string            `json:"url,omitempty"`   // where the file is fetched from; "" = it was uploaded
	Print   string            `json:"print,omitempty"` // of an uploaded file and how it is read, by which an upload is found again
	Size    int64             `json:"size,omitempty"`  // bytes of an upload
	Surface ingest.Surface    `json:"surface"`         // where it was ordered
}

// Check tells whether the order makes sense, naming the field that does not in the vendor's words.
func (s *Spec) Check() error {
	switch s.Type {
	case People, Events, Objects, Relationships:
	default:
		return fault.Field("type", "must be people, event, object or relationship")
	}
	byID := s.Identifier == "id" || s.Identifier == "email" || s.Identifier == "cio_id"
	if !byID && (s.Type != Objects || s.Identifier != "") {
		return fault.Field("identifier", "must be id, email or cio_id")
	}
	switch {
	case s.Mode != All && s.Mode != OnlyNew && s.Mode != OnlyExisting:
		return fault.Field("data_to_process", "must be all, only_new or only_existing")
	case s.Mode != All && s.Type != People && s.Type != Objects:
		return fault.Field("data_to_process", "must be all: only imports of people and objects make something new")
	case s.Mode == OnlyNew && s.Type == People && s.Identifier == "cio_id":
		return fault.Field("data_to_process", "must not be only_new: nobody new has a cio_id")
	case s.ObjectType < 0 || s.ObjectType > object.MaxType:
		return fault.Field("object_type_id", "must be the number of an object type, from 1")
	case s.ObjectType == 0 && s.Type == Objects:
		return fault.Field("object_type_id", "is required")
	case s.Format != "" && s.Format != CSV && s.Format != JSONL:
		return fault.Field("format", "must be csv or jsonl")
	case s.Size < 0 || s.Size > MaxSize:
		return fault.Field("size", "must be at most %d bytes", MaxSize)
	case len(s.Map) > MaxColumns:
		return fault.Field("map", "names more than %d columns", MaxColumns)
	}
	return nil
}

// Stage is how far an import is.
type Stage string

// The stages of a job that runs; the zero Stage is before Fetched.
const (
	Fetched   Stage = "preprocessed"
	Checking  Stage = "validating"
	Checked   Stage = "validated"
	Importing Stage = "importing"
)

// Progress is how far a job is.
type Progress struct {
	Stage   Stage `json:"stage,omitempty"`
	Size    int64 `json:"size"`              // bytes of the file
	Rows    int64 `json:"rows"`              // that are good; grows until Checked
	Bad     int64 `json:"bad"`               // that are not; grows until Checked
	Done    int64 `json:"done"`              // good rows that are durable in the log
	Batch   int64 `json:"batch"`             // of the next rows, from 0
	Row     int64 `json:"row,omitempty"`     // rows that were read, good or bad, before Offset
	Offset  int64 `json:"offset,omitempty"`  // of the next row
	Applied int64 `json:"applied,omitempty"` // good rows that are applied
}

// BadRow is a row that is not imported. It has nothing of what the row says: only names of columns.
type BadRow struct {
	Row    int64  `json:"row"` // from 1; the header of a CSV file does not count
	Reason string `json:"reason"`
}

// Read reads what a job is to do and how far it is.
func Read(j *job.Job) (s Spec, p Progress, err error) {
	if err := json.Unmarshal(j.Spec, &s); err != nil {
		return s, p, fmt.Errorf("read the order of import %d: %w", j.ID, err)
	}
	if len(j.Progress) > 0 {
		if err := json.Unmarshal(j.Progress, &p); err != nil {
			return s, p, fmt.Errorf("read the progress of import %d: %w", j.ID, err)
		}
	}
	return s, p, nil
}

// State is the vendor's word for where an import stands.
func State(j *job.Job, p *Progress) string {
	switch {
	case j.State == job.Done:
		return "imported"
	case j.State == job.Failed && j.Error == job.Canceled:
		return "canceled"
	case j.State == job.Failed:
		return "failed"
	case p.Stage == "":
		return "preprocessing"
	}
	return string(p.Stage)
}

// identifierTypes are the identifiers that rows name people by.
var identifierTypes = map[string]person.KeyType{"id": person.ByID, "email": person.ByEmail, "cio_id": person.ByCIO}
