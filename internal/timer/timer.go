// Package timer is due-time work as data: a wait is a row, and nothing sleeps for it.
package timer

// Kind says whom a due timer wakes. The values are stored: never renumber.
type Kind uint8

// The kinds.
const (
	Segment Kind = 1 // the person's segment conditions are looked at again; Ref 0
	Journey Kind = 2 // a journey's delay has passed, or its entry retry ran out; Ref = journey id
)

// Timer is one wait. Workspace, Person, Kind and Ref are its key: scheduling again moves it.
type Timer struct {
	Workspace int64
	Person    uint32
	Kind      Kind
	Ref       int64
	Due       int64 // Unix ms of the workspace's clock
}
