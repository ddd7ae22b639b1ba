package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"rapport.example/internal/workspace"
)

// KeyStore is what Keys needs kept.
type KeyStore interface {
	// Credentials lists all credentials, revoked ones too.
	Credentials(ctx context.Context) ([]workspace.Credential, error)
	Workspaces(ctx context.Context) ([]workspace.Workspace, error)
	// AllowedAddresses lists from where keys may be used, by workspace; a workspace that is not in it allows all addresses.
	AllowedAddresses(ctx context.Context) (map[int64][]netip.Prefix, error)
}

// KeyOptions says how Keys works.
type KeyOptions struct {
	Store KeyStore
	Every time.Duration // between refreshes; 0 = 2 s
	// Touch notes when credentials were last used: Unix ms by credential id, to the minute. nil = it is not noted.
	Touch func(ctx context.Context, used map[int64]int64) error
	// Announce tells the other nodes that something about keys changed; gone are those that are no good from now on. They give
	// it to their Heard. nil = there are no others.
	Announce func(gone []int64) error
	Log      *slog.Logger
}

// Keys holds all credentials and workspaces in memory, so that known keys are answered while the database is down. What
// changes is told to every node at once (Changed, Heard); a node that was not told learns it at the next refresh.
// It is safe for concurrent use.
type Keys struct {
	o    KeyOptions
	snap atomic.Pointer[snapshot]

	mu      sync.Mutex // one refresh at a time; guards touched
	gone    atomic.Pointer[map[int64]bool]
	touched map[int64]int64
	heard   chan struct{} // capacity 1
	cancel  context.CancelFunc
	done    chan struct{}
}

// snapshot is all credentials as of one refresh, with the headers that were found good since.
type snapshot struct {
	entries    map[entryKey]*entry
	workspaces map[int64]*workspace.Workspace
	order      []workspace.Workspace
	allowed    map[int64][]netip.Prefix

	mu      sync.RWMutex
	headers map[headerKey]*entry
}

type entryKey struct {
	kind workspace.Kind
	site string
	hash [32]byte
}

type headerKey struct {
	auth   Auth
	header string
}

type entry struct {
	credential workspace.Credential
	used       *atomic.Int64 // shared by the entries of one credential in all snapshots
}

// NewKeys returns Keys that know nobody until the first Refresh.
func NewKeys(o KeyOptions) *Keys {
	if o.Every == 0 {
		o.Every = 2 * time.Second
	}
	k := &Keys{o: o, touched: map[int64]int64{}, heard: make(chan struct{}, 1)}
	k.snap.Store(&snapshot{headers: map[headerKey]*entry{}})
	k.gone.Store(&map[int64]bool{})
	return k
}

// Start reads all keys once and then refreshes them in the background until Stop. It fails if that first read fails.
func (k *Keys) Start(ctx context.Context) error {
	if err := k.Refresh(ctx); err != nil {
		return err
	}
	loop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k.cancel, k.done = cancel, make(chan struct{})
	go k.run(loop, k.done)
	return nil
}

// Stop ends the background refresh and notes the last uses. Twice is harmless.
func (k *Keys) Stop() {
	if k.cancel == nil {
		return
	}
	k.cancel()
	<-k.done
	k.cancel = nil
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := k.touch(ctx); err != nil {
		k.o.Log.Warn("could not note when keys were last used", "error", err)
	}
}

func (k *Keys) run(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	t := time.NewTicker(k.o.Every)
	defer t.Stop()
	down := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-k.heard:
		}
		err := errors.Join(k.Refresh(ctx), k.touch(ctx))
		if err != nil && !down && ctx.Err() == nil {
			k.o.Log.Warn("could not refresh keys; those known go on working", "error", err)
		}
		down = err != nil
	}
}

// Refresh reads all keys now. When it fails, those known before stay.
func (k *Keys) Refresh(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	creds, err := k.o.Store.Credentials(ctx)
	if err != nil {
		return fmt.Errorf("read credentials: %w", err)
	}
	spaces, err := k.o.Store.Workspaces(ctx)
	if err != nil {
		return fmt.Errorf("read workspaces: %w", err)
	}
	allowed, err := k.o.Store.AllowedAddresses(ctx)
	if err != nil {
		return fmt.Errorf("read allowed addresses: %w", err)
	}
	s := k.build(creds, spaces)
	s.allowed = allowed
	k.snap.Store(s)
	return nil
}

func (k *Keys) build(creds []workspace.Credential, spaces []workspace.Workspace) *snapshot {
	used := map[int64]*atomic.Int64{}
	for _, e := range k.snap.Load().entries {
		used[e.credential.ID] = e.used
	}
	s := &snapshot{
		entries: map[entryKey]*entry{}, workspaces: map[int64]*workspace.Workspace{}, order: spaces,
		headers: map[headerKey]*entry{},
	}
	for i := range spaces {
		s.workspaces[spaces[i].ID] = &spaces[i]
	}
	for i := range creds {
		c := &creds[i]
		if c.Revoked != 0 {
			continue
		}
		u := used[c.ID]
		if u == nil {
			u = new(atomic.Int64)
			u.Store(c.LastUsed)
			k.touched[c.ID] = c.LastUsed
		}
		s.entries[entryKey{c.Kind, c.SiteID, c.Hash}] = &entry{*c, u}
	}
	return s
}

// touch hands on the uses that were not noted yet.
func (k *Keys) touch(ctx context.Context) error {
	if k.o.Touch == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	used := map[int64]int64{}
	for _, e := range k.snap.Load().entries {
		if at := e.used.Load(); at > k.touched[e.credential.ID] {
			used[e.credential.ID] = at
		}
	}
	if len(used) == 0 {
		return nil
	}
	if err := k.o.Touch(ctx, used); err != nil {
		return fmt.Errorf("note last use of keys: %w", err)
	}
	for id, at := range used {
		k.touched[id] = at
	}
	return nil
}

// Changed is called after a change of keys, their workspaces or what they allow was kept: this node and the others go by it from
// now on. gone are credentials that are no good any more. Its error says that this node does not know of the change yet; it
// will with the next refresh.
func (k *Keys) Changed(ctx context.Context, gone ...int64) error {
	for _, id := range gone {
		k.Forget(id)
	}
	if k.o.Announce != nil {
		if err := k.o.Announce(gone); err != nil {
			k.o.Log.Warn("could not tell other nodes of a change of keys; they go by it after their next refresh", "error", err)
		}
	}
	return k.Refresh(ctx)
}

// Heard takes what another node announced. It returns at once: credentials that are gone are refused when it does, all else
// is read in the background.
func (k *Keys) Heard(gone []int64) {
	for _, id := range gone {
		k.Forget(id)
	}
	select {
	case k.heard <- struct{}{}:
	default:
	}
}

// Forget refuses a credential from now on, whatever a refresh that is under way has read. Ids are never used again, so
// it is for good.
func (k *Keys) Forget(id int64) {
	for {
		old := k.gone.Load()
		if (*old)[id] {
			return
		}
		next := map[int64]bool{id: true}
		maps.Copy(next, *old)
		if k.gone.CompareAndSwap(old, &next) { // without k.mu: a refresh that waits for the database must not delay it
			return
		}
	}
}

func (k *Keys) forgotten(id int64) bool { return (*k.gone.Load())[id] }

// Workspace returns a workspace as of the last refresh.
func (k *Keys) Workspace(id int64) (workspace.Workspace, bool) {
	w := k.snap.Load().workspaces[id]
	if w == nil {
		return workspace.Workspace{}, false
	}
	return *w, true
}

// Workspaces lists all workspaces as of the last refresh, in the store's order. The slice is shared: never write to it.
func (k *Keys) Workspaces() []workspace.Workspace { return k.snap.Load().order }
