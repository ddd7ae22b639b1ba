// Package export writes what a workspace holds into files: its people, its deliveries. A file is made in the background by a job
// (package job) from one state of the database, in parts, and fetched by a signed link.
package export

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rapport.example/internal/delivery"
	"rapport.example/internal/fault"
	"rapport.example/internal/filter"
	"rapport.example/internal/job"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// Kind is the kind of these jobs.
const Kind = "export"

// How long things last.
const (
	KeepFile = 24 * time.Hour      // a file, from when it was done
	KeepRow  = 90 * 24 * time.Hour // the word that there was one
	LinkFor  = 15 * time.Minute    // a link
)

// Type says what is in a file.
type Type string

// The types, in the vendor's words.
const (
	Customers  Type = "customers"
	Deliveries Type = "deliveries"
)

// Format is how a file is written.
type Format string

// The formats. Deliveries are CSV only.
const (
	CSV   Format = "csv"
	JSONL Format = "jsonl"
)

// Spec is what a job is to export.
type Spec struct {
	Type        Type           `json:"type"`
	Format      Format         `json:"format"`
	Description string         `json:"description"`         // for people; it outlives the filter and has no values of it
	Filter      value.Value    `json:"filter,omitempty"`    // of Customers: what filter.People reads; nil = everybody
	Deliveries  DeliveryFilter `json:"deliveries,omitzero"` // of Deliveries
}

// DeliveryFilter selects deliveries, and what is told of their recipients.
type DeliveryFilter struct {
	Campaign      int64    `json:"campaign,omitempty"` // 0 = any, as of the next ones
	Action        int64    `json:"action,omitempty"`
	Transactional int64    `json:"transactional,omitempty"`
	Newsletter    int64    `json:"newsletter,omitempty"` // there are none yet: nothing is of one
	Template      int64    `json:"template,omitempty"`   // the action's number, or that of the transactional message
	Metric        string   `json:"metric,omitempty"`     // only those that have it; "" = all
	Since         int64    `json:"since"`                // created at or after, Unix ms of the workspace's clock
	Until         int64    `json:"until"`                // created before
	Attributes    []string `json:"attributes,omitempty"` // of the recipients, as further columns
}

// Always is an Until that nothing lies behind.
const Always = 1<<63 - 1

// Progress is how far a job is.
type Progress struct {
	Total  int64 `json:"total"`  // rows that the file will have; 0 while they are being counted
	Rows   int64 `json:"rows"`   // rows that are kept in parts
	Parts  int64 `json:"parts"`  // numbered from 0
	Packed int64 `json:"packed"` // bytes of all parts
	Size   int64 `json:"size"`   // bytes of the file
}

// Read reads what a job is to do and how far it is.
func Read(j *job.Job) (s Spec, p Progress, err error) {
	if err := json.Unmarshal(j.Spec, &s); err != nil {
		return s, p, fmt.Errorf("read the order of export %d: %w", j.ID, err)
	}
	if len(j.Progress) > 0 {
		if err := json.Unmarshal(j.Progress, &p); err != nil {
			return s, p, fmt.Errorf("read the progress of export %d: %w", j.ID, err)
		}
	}
	return s, p, nil
}

// Store is where exports come from.
type Store interface {
	// Export runs fn on one state of the database, which later writes do not change, whatever time it takes.
	Export(ctx context.Context, workspace int64, fn func(Snapshot) error) error
}

// Snapshot is one state of a workspace. It is used by one goroutine.
type Snapshot interface {
	// People calls each for everybody who meets the filter, by ordinal. An error of each ends it and is returned as it is.
	People(ctx context.Context, f *filter.Filter, each func(*person.Document) error) error
	// Deliveries lists up to limit deliveries that f selects, but for Newsletter, Template and Metric, with numbers above after,
	// ascending, without their Data and claim.
	Deliveries(ctx context.Context, f *DeliveryFilter, after int64, limit int) ([]delivery.Delivery, error)
	// ReadPeople reads those of the people who exist, by ordinal.
	ReadPeople(ctx context.Context, ordinals []uint32) (map[uint32]*person.Document, error)
}

// Job is the kind of job that writes what store holds.
func Job(store Store) job.Kind {
	return job.Kind{
		Name: Kind, Keep: job.Retention{File: KeepFile, Row: KeepRow, Spec: forget},
		Run: func(ctx context.Context, t *job.Task) error { return run(ctx, store, t) },
	}
}

// forget keeps of an order what lists show: not the filter, which may name people by their addresses.
func forget(order json.RawMessage) json.RawMessage {
	var s Spec
	if json.Unmarshal(order, &s) != nil {
		return json.RawMessage(`{}`)
	}
	s.Filter, s.Deliveries = nil, DeliveryFilter{}
	b, err := json.Marshal(s)
	if err != nil {
		return json.RawMessage(`{}`)
	}
	return b
}

// run makes the whole file. What an attempt before it has left is thrown away: its rows are of another state.
func run(ctx context.Context, store Store, t *job.Task) error {
	spec, _, err := Read(&t.Job)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the order cannot be read")
	}
	f := &file{task: t}
	if err := t.Save(ctx, f.done); err != nil {
		return err
	}
	if err := t.Clear(ctx); err != nil {
		return err
	}
	return store.Export(ctx, t.Workspace, func(s Snapshot) error {
		if spec.Type == Deliveries {
			return writeDeliveries(ctx, s, &spec.Deliveries, f)
		}
		return writePeople(ctx, s, &spec, f)
	})
}
