// Package job is durable work in the background: exports, imports. A job is a row that says what to do and how far it is. It
// runs on one node at a time, under a lease with an epoch; a node that dies loses the lease and another goes on from the
// progress that was saved. What a job reads or makes lies beside it as numbered parts, so that every node can serve it.
package job

import (
	"encoding/json"
	"errors"
	"time"
)

// State is where a job stands.
type State string

// The states. Preparing, Queued and Running jobs are open: they are worked on or will be.
const (
	Preparing State = "preparing" // its parts are still coming in; nobody claims it
	Queued    State = "queued"
	Running   State = "running"
	Done      State = "done"
	Failed    State = "failed"
)

// Key names a job. ID counts from 1 in each workspace and kind and is never given twice.
type Key struct {
	Workspace int64
	Kind      string
	ID        int64
}

// Job is one piece of work. Times are Unix ms, real time.
type Job struct {
	Key
	State    State
	Spec     json.RawMessage // what to do; never changes while there is a file, see Retention
	Progress json.RawMessage // how far it is, as the kind's handler saved it; nil before
	Owner    string          // node that works on it, "" = nobody
	Epoch    int64           // of the newest claim
	Lease    int64           // an open job may be claimed from then on
	Attempts int64           // claims, without those that a stopping node gave back
	Reads    int64           // how often its file was fetched
	Expired  bool            // its file was deleted by age
	Created  int64
	Updated  int64  // last change of state or progress
	Error    string // of Failed: why, for the caller to read; of Queued: why the last try ended
}

// Open tells whether the job is still to be finished.
func (j *Job) Open() bool { return j.State != Done && j.State != Failed }

// PrepareIn is how long after its last part a job may stay Preparing; then its upload counts as broken off.
const PrepareIn = time.Hour

// PartSize is about how many bytes a part holds, packed.
const PartSize = 1 << 20

// MostOpen is how many open jobs of a kind a workspace may have.
const MostOpen = 100

// Canceled is the Error of a job that somebody ended: it is Failed, and what it had done stays done.
const Canceled = "canceled"

// ErrFenced is what a claim's later writes fail with once another has the job, or once it is over.
var ErrFenced = errors.New("job: somebody else has it, or it is over")

// Outcome is how a claim ends.
type Outcome struct {
	State State  // Done, Failed, or Queued: then it is tried again
	Error string // for people
	// Again is when a Queued job may be claimed, Unix ms.
	Again int64
	// Free leaves this claim out of the count of attempts.
	Free bool
}

// Retention is how long what is over is kept.
type Retention struct {
	File time.Duration // parts
	Row  time.Duration // the job itself
	// Spec is what is kept of Job.Spec once the file was deleted, for a spec may name people, who may be deleted since. nil = all.
	Spec func(json.RawMessage) json.RawMessage
}
