package audience

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"rapport.example/internal/fault"
)

// Audiences answers queries, from columns where it can. Columns are kept of workspaces whose partition this process owns, for only
// then it hears of every change. It is safe for concurrent use.
type Audiences struct {
	src   Source
	room  int64
	gate  *semaphore.Weighted // one history in memory at a time
	clock atomic.Int64
	scans *semaphore.Weighted

	mu     sync.Mutex
	spaces map[int64]*space
}

// New returns Audiences over a source, whose columns take up to room bytes in memory.
func New(src Source, room int64) *Audiences {
	return &Audiences{src: src, room: room, gate: semaphore.NewWeighted(1), scans: semaphore.NewWeighted(1), spaces: map[int64]*space{}}
}

// Ask answers a query about as of now: what was changed before is in the answer if its partition is owned here, and writes that come
// in meanwhile may be or not. What no columns can answer, or have no room for, is answered by Read, one query after the other: whoever
// asks a lot waits, and leaves the processors to others.
func (a *Audiences) Ask(ctx context.Context, q Query) (out *Answer, err error) {
	if q.Tree, err = q.Set.Resolve(q.Tree); err != nil {
		return nil, err
	}
	a.mu.Lock()
	s := a.spaces[q.Workspace]
	a.mu.Unlock()
	if s != nil && a.room > 0 {
		if out, err := s.ask(ctx, a, q); err == nil || !errors.Is(err, errNoRoom) {
			return out, err
		}
	}
	if err := a.scans.Acquire(ctx, 1); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "too many conditions are being counted: ask again in a moment")
	}
	defer a.scans.Release(1)
	return read(ctx, a.src, a.gate, q)
}

// Hold says that from now on every change of the workspace's people is told to Touch.
func (a *Audiences) Hold(workspace int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.spaces[workspace]; s != nil {
		s.touchAll()
		return
	}
	a.spaces[workspace] = newSpace()
}

// Release says that changes are no longer told. What is known of the workspace is forgotten.
func (a *Audiences) Release(workspace int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.spaces, workspace)
}

// Touch says that documents were committed, or deleted.
func (a *Audiences) Touch(workspace int64, people []uint32) {
	a.mu.Lock()
	s := a.spaces[workspace]
	a.mu.Unlock()
	if s != nil {
		s.touch(people)
	}
}

// Bytes is how much room all columns take.
func (a *Audiences) Bytes() int64 {
	a.mu.Lock()
	all := slices.Collect(maps.Values(a.spaces))
	a.mu.Unlock()
	n := int64(0)
	for _, s := range all {
		s.asking.Lock()
		n += s.bytes()
		s.asking.Unlock()
	}
	return n
}

// makeRoom takes the columns out that were not asked for longest until there is room for need bytes more, and reports whether there is.
// Those of the newest query of the asking space stay, as do those of spaces that are asked at this moment.
func (a *Audiences) makeRoom(asking *space, need int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	free := []*space{asking}
	total := asking.bytes() + need
	for _, s := range a.spaces {
		if s == asking {
			continue
		}
		if s.asking.TryLock() {
			defer s.asking.Unlock()
			free = append(free, s)
			total += s.bytes()
		}
	}
	for total > a.room {
		var from *space
		var key columnKey
		oldest := int64(0)
		for _, s := range free {
			if k, at := s.oldest(s == asking); at != 0 && (oldest == 0 || at < oldest) {
				from, key, oldest = s, k, at
			}
		}
		if from == nil {
			return false
		}
		before := from.bytes()
		from.remove(key)
		total -= before - from.bytes()
	}
	return true
}
