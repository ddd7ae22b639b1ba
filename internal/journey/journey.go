// Package journey knows campaigns and the way of one person through one of them. Decide is pure: from a definition, a
// state, facts and a moment it says what happens next; somebody else makes it happen.
package journey

import "rapport.example/internal/value"

// Status says what a journey waits for. The values are stored: never renumber.
type Status uint8

// The statuses.
const (
	Retrying Status = 1 // triggered, but the entry filter was false; looked at again for 30 minutes
	Waiting  Status = 2 // in a delay until Due
)

// Journey is one person's pass through one campaign, kept while it is live.
type Journey struct {
	Workspace int64
	ID        int64
	Person    uint32
	Campaign  int64 // numeric id
	Version   int64 // of the campaign that the journey runs on
	Status    Status
	Node      string      // slug of the node that it stands on
	Due       int64       // Unix ms of the workspace's clock
	Entered   int64       // Unix ms of the workspace's clock
	Visits    []Visit     // passes through message nodes so far
	Event     value.Value // the triggering event as {"name":…,"timestamp":…,"data":{…}}, nil for segment triggers
}

// Visit counts passes through one node.
type Visit struct {
	Node  string
	Times int64
}
