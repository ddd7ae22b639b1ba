// Package ingest is the durable log: an accepted write becomes an Op, ops become frames, and a request is answered when
// its frame is on disk. The engine reads the frames of a partition strictly in sequence.
package ingest

import (
	"time"

	"rapport.example/internal/value"
)

// OpVersion is the version of the op envelope and of its payloads that this program writes. A node that meets a newer
// one stops reading its partition instead of guessing.
const OpVersion = 1

// KeyedVersion is that of an op with an Idempotency-Key, which has Once behind the request id.
const KeyedVersion = 2

// OnceFor is how long an Idempotency-Key is known.
const OnceFor = 24 * time.Hour

// Once is what an op carries of the Idempotency-Key that its request came with: of all requests with one Hash within OnceFor,
// the ops of one Nonce are applied, those of the request that came first.
type Once struct {
	Hash  [16]byte // of the key, the workspace and the credential
	Print [16]byte // of the request
	Nonce [8]byte  // of this request: its ops share it
}

// Kind says what an op does. The values are stored in the log: never renumber.
type Kind uint8

// The op kinds; each has a payload type in payload.go.
const (
	Identify     Kind = 1
	Delete       Kind = 2
	Event        Kind = 3 // a person's or an anonymous event, page or screen view
	AddDevice    Kind = 4
	DeleteDevice Kind = 5
	Suppress     Kind = 6
	Unsuppress   Kind = 7
	SegmentAdd   Kind = 8
	SegmentDrop  Kind = 9
	Define       Kind = 10 // definitions saved or deleted, or the workspace named
	Clock        Kind = 11 // the workspace's test clock moves forward
	Send         Kind = 12 // a transactional message
	Outcome      Kind = 13 // what became of a claimed delivery
	Metric       Kind = 14 // an open, a click, an unsubscribe of a delivery
	Merge        Kind = 15 // two people become one
	Object       Kind = 16 // an object created or changed
	DeleteObject Kind = 17
	Relate       Kind = 18 // relationships between people and objects set
	Unrelate     Kind = 19 // and dropped
	Form         Kind = 20 // a form submitted
	Refused      Kind = 21 // a message that was answered as if taken, and is not applied
	Optouts      Kind = 22 // what somebody does not want to get, and from whom
)

// Surface says where an op came in. The values are stored: never renumber.
type Surface uint8

// The surfaces.
const (
	FromTrack     Surface = 1
	FromApp       Surface = 2
	FromAdmin     Surface = 3
	FromLink      Surface = 4
	FromDelivery  Surface = 5
	FromPipelines Surface = 6
)

// Op is one accepted write in one neutral form, whatever surface it came in by. Its time is its receive time.
type Op struct {
	Version    uint8
	Workspace  int64
	Received   int64  // Unix ms, real time, when the request was read
	ID         string // ULID
	Surface    Surface
	Credential int64  // id of the key that was used, 0 = none
	Request    string // request id, for the log and for support
	PersonID   uint64 // reserved for a later resolve-then-shard stage; 0
	Kind       Kind
	Once       *Once       // nil without an Idempotency-Key
	Payload    value.Value // an object; its members by Kind are those of payload.go
}

// Position is where an op lies in the log.
type Position struct {
	Partition int32
	Seq       uint64 // sequence of the frame in the partition's stream, from 1
	Index     int    // of the op within the frame
}

// Frame is a group of ops that were made durable together: one message of the partition's stream.
type Frame struct {
	Partition int32
	Seq       uint64
	ID        string // ULID, also the message id under which a doubtful publish is repeated
	Ops       []Op
}
