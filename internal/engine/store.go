package engine

import (
	"context"
	"time"

	"rapport.example/internal/audience"
	"rapport.example/internal/definition"
	"rapport.example/internal/delivery"
	"rapport.example/internal/event"
	"rapport.example/internal/journey"
	objects "rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/timer"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

// Store is what the engine needs kept. Every method is safe for concurrent use by different partitions.
type Store interface {
	audience.Source
	// PackedTimers shows the timers of a workspace's blocks, in no particular order.
	PackedTimers(ctx context.Context, workspace int64, each func(timer.Timer)) error
	// Partitions lists all partitions' ids.
	Partitions(ctx context.Context) ([]int32, error)
	// Acquire takes the partition's lease for owner until now+ttl, if it is free, run out, already owner's, or steal is
	// set (by a process that knows that it is alone). Each success raises the epoch. ok is false if another holds it.
	Acquire(ctx context.Context, partition int32, owner string, ttl time.Duration, steal bool) (lease Lease, ok bool, err error)
	// Renew prolongs the lease to now+ttl; ErrFenced if the epoch is no longer the lease's.
	Renew(ctx context.Context, lease Lease, ttl time.Duration) error
	// Release gives the lease back, so that another may take it at once. Losing it before is no error.
	Release(ctx context.Context, lease Lease) error
	// Transact runs fn in one synced transaction that locks the partition's row and has checked that lease.Epoch is still
	// its epoch (ErrFenced otherwise). It commits when fn returns nil, else rolls back and returns fn's error.
	Transact(ctx context.Context, lease Lease, fn func(Tx) error) error
	// Transient reports whether err is worth repeating the same transaction: lost connection, serialization failure,
	// busy database, full disk.
	Transient(err error) bool
}

// Lease is the right to read one partition.
type Lease struct {
	Partition  int32
	Owner      string
	Epoch      int64
	Checkpoint uint64 // sequence of the last applied frame when the lease was taken
	Stream     string // identity of the stream that Checkpoint belongs to, "" if none was read yet
}

// Tx is one open transaction of the engine. Its methods are for one goroutine. All look-ups are set-based: a handful of
// statements whatever the number of arguments; results come in no particular order unless stated.
type Tx interface {
	// Advance moves the partition's checkpoint; ErrGap unless it stands at from.
	Advance(ctx context.Context, from, to uint64, stream string) error
	// Savepoint runs fn so that its writes are undone when it fails; the transaction stays usable.
	Savepoint(ctx context.Context, fn func() error) error

	// Workspaces lists all workspaces of the lease's partition.
	Workspaces(ctx context.Context) ([]workspace.Workspace, error)
	// Counters reads all counters of a workspace by name; missing ones are 0.
	Counters(ctx context.Context, workspace int64) (map[string]int64, error)
	// Definitions lists the current, not deleted definitions of a workspace, and with old also every earlier version of
	// campaigns that journeys may still run on. Of segments that are being built the versions that answer meanwhile are there, too.
	Definitions(ctx context.Context, workspace int64, old bool) ([]definition.Row, error)

	// Builds lists how far segments' memberships are, Counted since when documents count what.
	Builds(ctx context.Context, workspace int64) ([]definition.Build, error)
	Counted(ctx context.Context, workspace int64) ([]definition.Counted, error)

	Resolve(ctx context.Context, keys []person.Key) (map[person.Key]uint32, error)
	People(ctx context.Context, refs []person.Ref) ([]*person.Document, error)
	// PeopleFrom lists up to limit documents with ordinals in [from, to), ascending.
	PeopleFrom(ctx context.Context, workspace int64, from, to uint32, limit int) ([]*person.Document, error)
	Journeys(ctx context.Context, refs []person.Ref) ([]journey.Journey, error)
	// History walks the chains of activities of one type and name from their heads, newest first within each chain.
	History(ctx context.Context, workspace int64, heads []int64) ([]event.Activity, error)
	// Past walks people's activities from their heads down to the newest one that was received before Since, and returns
	// their events and messages. A person's first 10,000 activities are walked. taken is how many of the heads were read: those
	// whose activities weigh no more than bytes together, and at least the first, whose oldest are left out if need be.
	Past(ctx context.Context, heads []Head, bytes int64) (all []event.Activity, taken int, err error)
	// Anonymous reads nobody's events under anonymous ids that were received at or after Since, the newest 10,000 of each,
	// bounded in bytes as Past.
	Anonymous(ctx context.Context, refs []AnonymousRef, bytes int64) (all []event.Activity, taken int, err error)
	// Timers lists up to limit timers of a workspace due at or before until, by due time, then person, kind, ref.
	Timers(ctx context.Context, workspace, until int64, limit int) ([]timer.Timer, error)
	// NextTimer is the earliest due time of a workspace's timers, 0 if there is none.
	NextTimer(ctx context.Context, workspace int64) (int64, error)
	Deliveries(ctx context.Context, refs []DeliveryRef) ([]delivery.Delivery, error)
	// PublicDeliveries reads the deliveries that exist by their public ids.
	PublicDeliveries(ctx context.Context, keys []DeliveryKey) ([]delivery.Delivery, error)
	// DueDeliveries lists queued deliveries of a workspace with Due ≤ now, oldest first; and in-flight ones with Lease < now.
	DueDeliveries(ctx context.Context, workspace, now int64, limit int) ([]delivery.Delivery, error)
	// NextDelivery is the earliest of queued deliveries' Due and in-flight ones' Lease in a workspace, 0 if there is none.
	NextDelivery(ctx context.Context, workspace int64) (int64, error)
	// Suppressed tells which of the hashes are in the workspace's suppression list.
	Suppressed(ctx context.Context, workspace int64, hashes [][]byte) (map[string]bool, error)
	// EventIDs reads which ids are known under the days that they name, with when they were received.
	EventIDs(ctx context.Context, ids []EventID) ([]EventID, error)
	// Requests reads the requests that are known by these hashes.
	Requests(ctx context.Context, keys []RequestKey) ([]Request, error)
	// Objects reads the objects that exist; Relationships all of these people's; Visits all that wait under anonymous ids.
	Objects(ctx context.Context, keys []ObjectKey) ([]objects.Object, error)
	Relationships(ctx context.Context, people []person.Ref) ([]objects.Relationship, error)
	Visits(ctx context.Context, anonymous []person.Key) ([]Visit, error)
	// NumberedObjects reads the objects of these numbers that are of the type; PeopleOfObjects calls each with everybody who is
	// related to one of these objects, once for each of them.
	NumberedObjects(ctx context.Context, refs []TypedRef) ([]objects.Object, error)
	PeopleOfObjects(ctx context.Context, refs []ObjectRef, each func(person.Ref)) error
	// Forms reads the forms that exist.
	Forms(ctx context.Context, refs []FormRef) ([]Form, error)
	// PieceKeys lists the pieces of a workspace's bitmaps whose number is from or higher, by number and piece.
	PieceKeys(ctx context.Context, workspace, from int64) ([]PieceKey, error)
	// Tally notes how many people are in each of a workspace's segments where that is another number than the last that was noted,
	// as of at, and forgets what was noted for moments before.
	Tally(ctx context.Context, workspace, at, before int64) error
	// PackEvents packs the first whole EventPiece of a workspace's activities from the sequence from on that is not packed, if there is
	// one up to the activity last, and answers from which sequence on some are not. Deleting a person unpacks what is packed with them.
	PackEvents(ctx context.Context, workspace, from, last int64) (next int64, err error)
	// Pieces reads pieces of segment bitmaps; missing ones are absent from the result.
	Pieces(ctx context.Context, keys []PieceKey) (map[PieceKey][]byte, error)

	// Expire deletes up to limit of a workspace's oldest decisions, and of its activities without a person, that are from
	// before a moment (Unix ms of the workspace's clock), and says how many it deleted.
	Expire(ctx context.Context, workspace, before int64, limit int) (int64, error)
	// ExpireRequests deletes up to limit of a workspace's requests that were received before a moment (Unix ms, real time),
	// and says how many it deleted.
	ExpireRequests(ctx context.Context, workspace, before int64, limit int) (int64, error)
	// ExpireArchives deletes up to limit of a workspace's oldest archived messages that are from before a moment (Unix ms of the
	// workspace's clock), and says how many it deleted.
	ExpireArchives(ctx context.Context, workspace, before int64, limit int) (int64, error)
	// DropEventIDs forgets the ids of the partition's oldest day, if it is before a day, and says whether it was.
	DropEventIDs(ctx context.Context, before int64) (bool, error)

	// Write carries all changes out in bulk statements, keys sorted.
	Write(ctx context.Context, c *Changes) error
}

// Head is the newest activity of a person, and until when their history matters.
type Head struct{ Workspace, Seq, Since int64 }

// AnonymousRef names nobody's events by their anonymous id. Since is used for reading.
type AnonymousRef struct {
	Workspace int64
	ID        string
	Since     int64
}

// ActivityRef names an activity.
type ActivityRef struct{ Workspace, Seq int64 }

// Optout says that a person wants nothing from a sender, as a phone number, over a channel.
type Optout struct {
	Workspace int64
	Person    uint32
	Channel   string // sms or whatsapp
	From      string
}

// Move says that a person's deliveries and opt-outs are another's from now on.
type Move struct {
	Workspace int64
	From, To  uint32
}

// DeliveryRef names a delivery by number.
type DeliveryRef struct{ Workspace, ID int64 }

// SegmentRef names a segment, or another bitmap by its number (see bitmaps.go).
type SegmentRef struct{ Workspace, Segment int64 }

// MovePieces says that a bitmap, all pieces of it, is another from now on.
type MovePieces struct {
	SegmentRef
	To int64
}

// CountedRow says since when a workspace's documents count an event condition.
type CountedRow struct {
	Workspace int64
	definition.Counted
}

// PieceKey names a piece of 65,536 ordinals of a segment's membership bitmap.
type PieceKey struct {
	Workspace, Segment int64
	Piece              uint32
}

// Piece is a piece's new content; Count 0 deletes it.
type Piece struct {
	PieceKey
	Count int64
	Bits  []byte // roaring bitmap in its portable serialization, of ordinal % 65536
}

// Decision is one row of the trace that answers "why".
type Decision struct {
	Workspace int64
	Seq       int64 // per workspace, from 1
	Person    uint32
	At        int64  // Unix ms of the workspace's clock
	Kind      string // segment, campaign, step, message, identity
	Subject   string // what was decided about: a slug, or slug/node
	Version   int64  // of the definition that decided
	Outcome   string // entered, left, started, not started, waiting, branched, sent, not sent, exited, …
	Reason    string // one English sentence
	Detail    value.Value
	Campaign  int64
	Prev      int64 // Seq of the person's previous decision
}

// Changes is everything that one transaction writes. Slices of documents and deliveries hold whole rows: insert or
// replace. A key appears at most once in a slice; Drop slices are carried out before Put slices.
type Changes struct {
	Workspaces     []workspace.Workspace // name, clock, gen, sweep, sweep_end are written
	Counters       []Counter
	DropKeys       []person.Key
	PutKeys        []KeyRow
	DropPeople     []DropPerson
	Moves          []Move // before DropPeople
	DropActivities []ActivityRef
	DropAnonymous  []AnonymousRef // activities of nobody
	PutPeople      []*person.Document
	Passed         []person.Ref     // of these, who need not be remembered for what comes next
	NewPeople      []person.Ref     // those who did not exist before: nothing else is stored of them
	Activities     []event.Activity // appended; Seq is new
	Decisions      []Decision       // appended; Seq is new
	DropJourneys   []JourneyRef
	PutJourneys    []journey.Journey
	DropTimers     []timer.Timer       // before PutTimers; those that are not there are passed over
	PutTimers      []timer.Timer       // those that are there stay
	TimerBlocks    []TimerBlock        // new
	NewDeliveries  []delivery.Delivery // inserted; one that exists for (journey, action, visit) is left as it is
	PutDeliveries  []delivery.Delivery // replaced by number
	DropPieces     []SegmentRef
	MovePieces     []MovePieces // after DropPieces
	Pieces         []Piece      // after MovePieces
	DropBuilds     []SegmentRef
	Builds         []definition.Build // inserted, or replaced by segment
	DropCounted    []CountedRow
	PutCounted     []CountedRow
	Definitions    []definition.Row // a new version; the earlier current one of the same id stops being current
	PutForms       []Form
	DropObjects    []ObjectRef // with their relationships and what waits for visitors
	PutObjects     []objects.Object
	DropRelations  []RelationRef
	PutRelations   []objects.Relationship
	DropVisits     []person.Key // all that wait under these anonymous ids
	PutVisits      []Visit
	EventIDs       []EventID    // one that is there is known from Received on
	Requests       []Request    // inserted, or replaced by key
	Unmailable     []Unmailable // one that is there stays
	EarlyOptouts   []Optout     // deleted before Moves, which moves them too
	DropOptouts    []Optout     // after Moves
	PutOptouts     []Optout
	Suppress       []Suppression
	Unsuppress     []Suppression
}

// TimerBlock is timers of people's segments that are kept together until the first of them is due. Then they are timers like others.
type TimerBlock struct {
	Workspace, ID int64         // ID counts from 1 within the workspace
	Timers        []timer.Timer // at least one, all of kind Segment, by due time
}

// Counter is a workspace counter's new last value.
type Counter struct {
	Workspace int64
	Name      string
	Last      int64
}

// KeyRow says that a key finds a person.
type KeyRow struct {
	person.Key
	Person uint32
}

// JourneyRef names a live journey.
type JourneyRef struct {
	Workspace int64
	Person    uint32
	ID        int64
}

// DropPerson deletes a document with everything of the person: the chains of activities and decisions that start at
// the heads, timers, journeys, deliveries' recipient, subject, data and person, and mailbox copies.
type DropPerson struct {
	person.Ref
	LastActivity, LastDecision int64
}

// Suppression is the keyed hash of a suppressed identifier.
type Suppression struct {
	Workspace int64
	Hash      []byte
	Created   int64
}

// Unmailable is an address that mail servers refuse, or whose owner has called our mail spam. It is apart from people and their
// suppression (product-semantics A.20): whoever has the address stays, and whoever gets it later is not mailed either.
type Unmailable struct {
	Workspace int64  // 0 = all
	Hash      []byte // AddressHash
	Domain    string // of the sender, lower case; "" = all
	Category  string // bounces, spam or manual
	Created   int64  // Unix ms of the workspace's clock
}
