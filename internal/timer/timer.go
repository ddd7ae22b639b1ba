// Package timer is due-time work as data: a wait is a row, and nothing sleeps for it.
package timer

import "cmp"

// Kind says whom a due timer wakes. The values are stored: never renumber.
type Kind uint8

// The kinds.
const (
	Segment Kind = 1 // the person's segment conditions are looked at again; Ref 0
	Journey Kind = 2 // a journey's delay has passed, or its entry retry ran out; Ref = journey id
)

// Timer is one wait. It is its own key: who moves one drops that of the old time and puts that of the new.
type Timer struct {
	Workspace int64
	Person    uint32
	Kind      Kind
	Ref       int64
	Due       int64 // Unix ms of the workspace's clock
}

// Compare orders timers as they fire: by workspace, due time, person, kind and reference.
func (t Timer) Compare(u Timer) int {
	return cmp.Or(cmp.Compare(t.Workspace, u.Workspace), cmp.Compare(t.Due, u.Due), cmp.Compare(t.Person, u.Person),
		cmp.Compare(t.Kind, u.Kind), cmp.Compare(t.Ref, u.Ref))
}
