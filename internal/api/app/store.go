package app

import (
	"context"

	"rapport.example/internal/definition"
	"rapport.example/internal/delivery"
	"rapport.example/internal/event"
	"rapport.example/internal/person"
	"rapport.example/internal/workspace"
)

// Store is what the surface reads. Everything is of one workspace; nothing of another one is ever returned.
type Store interface {
	DataIndex
	Audiences
	Workspace(ctx context.Context, id int64) (w workspace.Workspace, found bool, err error)
	// FindPerson is nil if the identifier finds nobody.
	FindPerson(ctx context.Context, workspace int64, by person.Identifier) (*person.Document, error)
	// SegmentBuilds lists how far the making of segments' membership is; a segment that is not among them is finished.
	SegmentBuilds(ctx context.Context, workspace int64) ([]definition.Build, error)
	// Memberships brings Segments of people's documents, all of one workspace, up to what was built since these were written.
	Memberships(ctx context.Context, workspace int64, docs ...*person.Document) error
	// ReadPeople reads the people who exist, by ordinal.
	ReadPeople(ctx context.Context, workspace int64, ordinals []uint32) (map[uint32]*person.Document, error)
	CountPeople(ctx context.Context, workspace int64) (int64, error)
	// CurrentDefinitions lists the living definitions of a kind, by id; kind "" is all.
	CurrentDefinitions(ctx context.Context, workspace int64, kind string) ([]definition.Row, error)
	// CampaignVersions lists all versions of a campaign, by id and version; id 0 is all campaigns.
	CampaignVersions(ctx context.Context, workspace, id int64) ([]definition.Row, error)
	CountMembers(ctx context.Context, workspace, segment int64) (int64, error)
	// Members lists up to limit ordinals above after of the people in a segment, ascending.
	Members(ctx context.Context, workspace, segment int64, after uint32, limit int) ([]uint32, error)
	Searches
	Objects
	Exports
	Optouts
	Timelines
	// Delivery is nil if there is none of this public id.
	Delivery(ctx context.Context, workspace int64, public string) (*delivery.Delivery, error)
	// ArchivedMessage is what a delivery said, a delivery.Said as JSON; nil if that is not kept.
	ArchivedMessage(ctx context.Context, workspace, delivery int64) ([]byte, error)
	CountSent(ctx context.Context, workspace int64) (int64, error)
}

// Timelines are the lists that run from the newest to the oldest. next is the From of the following page, 0 at the end;
// a page may be short, even empty, while next is not 0.
type Timelines interface {
	// Timeline walks one person's activities from q.From, the newest of which is Document.LastActivity; 0 is none.
	Timeline(ctx context.Context, workspace int64, q ActivityQuery) (page []event.Activity, next int64, err error)
	// Activities lists the workspace's.
	Activities(ctx context.Context, workspace int64, q ActivityQuery) (page []event.Activity, next int64, err error)
	Deliveries(ctx context.Context, workspace int64, q DeliveryQuery) (page []delivery.Delivery, next int64, err error)
}

// DeliveryQuery selects deliveries.
type DeliveryQuery struct {
	From          int64    // number that the page starts at, 0 = the newest
	Person        uint32   // 0 = anybody's
	Campaign      int64    // 0 = any
	Action        int64    // numeric id of a workflow step, 0 = any
	Transactional int64    // 0 = any
	Metrics       []string // only deliveries that have them all
	Since         int64    // created at or after, Unix ms of the workspace's clock
	Until         int64    // created before; 0 = no bound
	Limit         int      // at least 1
}
