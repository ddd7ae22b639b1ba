package admin

import (
	"context"

	"rapport.example/internal/api/app"
	"rapport.example/internal/definition"
	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/person"
	"rapport.example/internal/workspace"
)

// Store is what the surface needs kept. Everything but workspaces, credentials and partitions is of one workspace.
type Store interface {
	People
	Mailbox
	Exports
	Imports
	app.Objects
	Agents
	app.DataIndex
	Reports
	Addresses
	app.Audiences
	Segments
	Workspaces(ctx context.Context) ([]workspace.Workspace, error)
	// CreateWorkspace is a Conflict if another one has this name. A negative partition means the next one in turn.
	CreateWorkspace(ctx context.Context, name string, partition int32) (workspace.Workspace, error)
	Credentials(ctx context.Context) ([]workspace.Credential, error)
	CreateCredential(ctx context.Context, c workspace.Credential) (workspace.Credential, error)
	Revoke(ctx context.Context, id int64) error
	// RotateCredential keeps a new credential and lets the one with an id, whose place it takes, end at a moment, Unix ms; both or
	// none. It is a Conflict if that one has ended by then, was revoked or was replaced already.
	RotateCredential(ctx context.Context, id, ends int64, next workspace.Credential) (workspace.Credential, error)
	// CurrentDefinitions lists the living definitions of a kind, by kind and id; kind "" is all.
	CurrentDefinitions(ctx context.Context, workspace int64, kind string) ([]definition.Row, error)
	// Unmailable lists what keeps a workspace from mailing an address.
	Unmailable(ctx context.Context, workspace int64, address string) ([]engine.Unmailable, error)
	// AddUnmailable keeps all workspaces from mailing an address; RemoveUnmailable takes the entries of one and of all away
	// and says how many there were.
	AddUnmailable(ctx context.Context, address string) error
	RemoveUnmailable(ctx context.Context, workspace int64, address string) (int64, error)
	// Forms lists up to limit forms with ids after one, by id; "" is before the first.
	Forms(ctx context.Context, workspace int64, after string, limit int) ([]engine.Form, error)
	CountMembers(ctx context.Context, workspace, segment int64) (int64, error)
	PartitionStates(ctx context.Context) ([]PartitionState, error)
	Counts(ctx context.Context, workspace int64) (Counts, error)
}

// People are the reads about people.
type People interface {
	app.Timelines
	// FindPerson is nil if the identifier finds nobody.
	FindPerson(ctx context.Context, workspace int64, by person.Identifier) (*person.Document, error)
	// Memberships brings Segments of people's documents, all of one workspace, up to what was built since these were written.
	Memberships(ctx context.Context, workspace int64, docs ...*person.Document) error
	// ReadPeople reads the people who exist, by ordinal.
	ReadPeople(ctx context.Context, workspace int64, ordinals []uint32) (map[uint32]*person.Document, error)
	// Rejections lists up to limit activities that say what was accepted and not applied, newest first, from sequence from
	// down; 0 is the newest.
	Rejections(ctx context.Context, workspace, from int64, limit int) ([]event.Activity, error)
	// Decisions walks a person's decisions from sequence from, the newest of which is Document.LastDecision; campaign 0 is
	// all. next is the from of the following page, 0 at the end; a page may be short while next is not 0.
	Decisions(ctx context.Context, workspace, from, campaign int64, limit int) (page []engine.Decision, next int64, err error)
}

// Mailbox is the development mailbox.
type Mailbox interface {
	// Mails lists mails, newest first.
	Mails(ctx context.Context, workspace int64, q MailQuery) ([]Mail, error)
	// Mail is nil if there is none; workspace 0 is any.
	Mail(ctx context.Context, workspace, id int64) (*Mail, error)
}

// Mail is one mail that the development mailbox took.
type Mail struct {
	ID        int64 // ascending
	Workspace int64
	Delivery  string // public id, "" = none
	Person    uint32
	From, To  string // as in the headers
	Subject   string
	Created   int64  // Unix ms: of the workspace's clock once its outcome is applied, real time before
	Source    []byte // the whole message, RFC 5322; nil if it was not asked for
}

// MailQuery selects mails.
type MailQuery struct {
	From     int64  // newest id, 0 = the newest there is
	To       string // "" = any; else part of the recipient, in any case
	Person   uint32 // 0 = anybody
	Delivery string // public id, "" = any
	Source   bool   // read Source too
	Limit    int
}

// PartitionState is a partition's row.
type PartitionState struct {
	ID         int64  `json:"id"`
	Owner      string `json:"owner"` // "" = nobody
	Epoch      int64  `json:"epoch"`
	LeaseUntil int64  `json:"lease_until"` // Unix ms, real time
	Checkpoint int64  `json:"checkpoint"`  // sequence of the last applied frame
	Stream     string `json:"stream"`
}

// Counts says how much a workspace holds.
type Counts struct {
	People     int64 `json:"people"`
	Activities int64 `json:"activities"` // ever recorded
	Deliveries int64 `json:"deliveries"` // ever made
	Queued     int64 `json:"queued"`
	InFlight   int64 `json:"in_flight"`
	Journeys   int64 `json:"journeys"`
	Timers     int64 `json:"timers"`
	Mails      int64 `json:"mails"` // in the development mailbox
}
