package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
}

// KeyOptions says how Keys works.
type KeyOptions struct {
	Store KeyStore
	Every time.Duration // between refreshes; 0 = 2 s
	// Touch notes when credentials were last used: Unix ms by credential id, to the minute. nil = it is not noted.
	Touch func(ctx context.Context, used map[int64]int64) error
	Log   *slog.Logger
}

// Keys holds all credentials and workspaces in memory, so that known keys are answered while the database is down. A
// key that another process revoked is refused after the next refresh, one that this process revoked at once: Forget.
// It is safe for concurrent use.
type Keys struct {
	o    KeyOptions
	snap atomic.Pointer[snapshot]

	mu      sync.Mutex // one refresh at a time; guards gone's writers and touched
	gone    atomic.Pointer[map[int64]bool]
	touched map[int64]int64
	cancel  context.CancelFunc
	done    chan struct{}
}

// snapshot is all credentials as of one refresh, with the headers that were found good since.
type snapshot struct {
	entries    map[entryKey]*entry
	workspaces map[int64]*workspace.Workspace
	order      []workspace.Workspace

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
	k := &Keys{o: o, touched: map[int64]int64{}}
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
	k.snap.Store(k.build(creds, spaces))
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

// Forget refuses a credential from now on, whatever a refresh that is under way has read. Ids are never used again, so
// it is for good.
func (k *Keys) Forget(id int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := map[int64]bool{id: true}
	for old := range *k.gone.Load() {
		next[old] = true
	}
	k.gone.Store(&next)
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
