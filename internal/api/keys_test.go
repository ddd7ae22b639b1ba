package api

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rapport.example/internal/workspace"
)

func basic(userinfo string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(userinfo))
}

func tenants() *keyStore {
	key := func(id, ws int64, kind workspace.Kind, site, secret string) workspace.Credential {
		return workspace.Credential{ID: id, Workspace: ws, Kind: kind, SiteID: site, Hash: workspace.Hash(secret)}
	}
	expiring, revoked := key(6, 1, workspace.App, "", "expiring"), key(7, 1, workspace.App, "", "revoked")
	expiring.Expires, revoked.Revoked = start.Add(time.Minute).UnixMilli(), 1
	return &keyStore{
		spaces: []workspace.Workspace{{ID: 1, Partition: 4}, {ID: 2}},
		creds: []workspace.Credential{
			key(1, 1, workspace.Track, "site", "same"), key(2, 2, workspace.Track, "site2", "same"), key(3, 1, workspace.App, "", "app"),
			key(4, 0, workspace.Admin, "", "admin"), key(5, 1, workspace.Agent, "", "agk_1"), expiring, revoked,
			key(8, 1, workspace.Write, "", "write"), key(9, 99, workspace.App, "", "orphan"),
		},
	}
}

func newKeys(t *testing.T, s *keyStore) *Keys {
	t.Helper()
	k := NewKeys(KeyOptions{Store: s, Log: slog.New(slog.DiscardHandler)})
	if err := k.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	k := newKeys(t, tenants())
	for _, tt := range []struct {
		header string
		auth   Auth
		want   int64 // credential; 0 = refused
	}{
		{basic("site:same"), TrackKey, 1},
		{basic("site2:same"), TrackKey, 2},
		{basic("site3:same"), TrackKey, 0},
		{"Bearer app", AppKey, 3},
		{"bearer  app ", AppKey, 3},
		{"Bearer app", AdminKey, 0},
		{"Bearer admin", AdminKey, 4},
		{"Bearer agk_1", AgentKey, 5},
		{"Bearer agk_1", AppKey, 5},
		{"Bearer agk_1", TrackKey, 5},
		{"Bearer agk_1", AdminKey, 0},
		{"Bearer app", AgentKey, 0},
		{"Bearer expiring", AppKey, 6},
		{"Bearer revoked", AppKey, 0},
		{"Bearer orphan", AppKey, 0},
		{basic("write:"), WriteKey, 8},
		{basic("write:same"), WriteKey, 8},
		{basic("site:same"), WriteKey, 0},
		{"", AppKey, 0},
		{"Bearer ", AppKey, 0},
		{"app", AppKey, 0},
		{"Bearer site:same", TrackKey, 0},
	} {
		for range 2 { // the second time from the remembered headers
			a, err := k.Authenticate(tt.header, tt.auth, start)
			if err == nil != (tt.want != 0) || err == nil && a.Credential.ID != tt.want {
				t.Errorf("%q as %d: %+v, %v", tt.header, tt.auth, a, err)
			}
		}
	}
	if _, err := k.Authenticate("Bearer expiring", AppKey, start.Add(time.Minute)); err == nil {
		t.Error("an expired key was let in")
	}
	if a, err := k.Secret(workspace.Admin, "admin", start); err != nil || a.Credential.ID != 4 || a.Workspace.ID != 0 {
		t.Errorf("Secret: %+v, %v", a, err)
	}
	if w, ok := k.Workspace(1); !ok || w.Partition != 4 {
		t.Errorf("Workspace: %+v", w)
	}
}

func TestKeysOutliveTheDatabase(t *testing.T) {
	t.Parallel()
	s := tenants()
	k := newKeys(t, s)
	s.err = errors.New("down")
	if err := k.Refresh(t.Context()); err == nil {
		t.Fatal("Refresh hid the error")
	}
	if _, err := k.Authenticate("Bearer app", AppKey, start); err != nil {
		t.Errorf("a known key was refused while the database is down: %v", err)
	}
	k.Forget(3)
	if _, err := k.Authenticate("Bearer app", AppKey, start); err == nil {
		t.Error("a forgotten key was let in from the remembered headers")
	}
	s.err = nil
	if err := k.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Authenticate("Bearer app", AppKey, start); err == nil {
		t.Error("a refresh brought a forgotten key back")
	}
}

func TestRevocationElsewhere(t *testing.T) {
	t.Parallel()
	s := tenants()
	k := newKeys(t, s)
	if _, err := k.Authenticate("Bearer app", AppKey, start); err != nil {
		t.Fatal(err)
	}
	s.creds[2].Revoked = 1
	if err := k.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Authenticate("Bearer app", AppKey, start); err == nil {
		t.Error("a revoked key was let in after the refresh")
	}
}

// TestRefreshLoop runs the loop on virtual time: it refreshes every two seconds, notes last uses once per minute and
// stops.
func TestRefreshLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := tenants()
		var notes []map[int64]int64
		k := NewKeys(KeyOptions{Store: s, Log: slog.New(slog.DiscardHandler), Touch: func(_ context.Context, used map[int64]int64) error {
			notes = append(notes, used)
			return nil
		}})
		if err := k.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		at := start.Add(30 * time.Second)
		for range 5 {
			if _, err := k.Authenticate("Bearer app", AppKey, at); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}
		k.Stop()
		k.Stop()
		if len(notes) != 1 || notes[0][3] != start.UnixMilli() {
			t.Errorf("notes %v", notes)
		}
	})
}

// TestAllowedAddresses: the list holds for what a workspace's own servers use, and for nobody else's.
func TestAllowedAddresses(t *testing.T) {
	t.Parallel()
	s := tenants()
	s.from = map[int64][]netip.Prefix{1: {netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}}
	k := newKeys(t, s)
	var routes []Route
	for auth, path := range map[Auth]string{TrackKey: "/track", AppKey: "/app", AdminKey: "/admin", WriteKey: "/write"} {
		r := route(http.MethodGet, path, AppErrors, echo)
		r.Auth, r.Agent = auth, workspace.Read
		routes = append(routes, r)
	}
	m := newMux(t, Options{Keys: k}, routes...)
	for _, tt := range []struct {
		path, key, from string
		want            int
	}{
		{"/app", "Bearer app", "192.0.2.7:1", 200},
		{"/app", "Bearer app", "[::ffff:192.0.2.7]:1", 200},
		{"/app", "Bearer app", "[2001:db8::1%eth0]:1", 200},
		{"/app", "Bearer app", "192.0.3.7:1", 403},
		{"/app", "Bearer app", "[2001:db9::1]:1", 403},
		{"/app", "Bearer app", "", 403},
		{"/app", "Bearer wrong", "192.0.3.7:1", 401},
		{"/app", "Bearer agk_1", "192.0.3.7:1", 403},
		{"/track", basic("site:same"), "192.0.3.7:1", 403},
		{"/track", basic("site2:same"), "192.0.3.7:1", 200}, // of another workspace
		{"/write", basic("write:"), "192.0.3.7:1", 200},
		{"/admin", "Bearer admin", "192.0.3.7:1", 200},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, tt.path, http.NoBody)
		r.RemoteAddr = tt.from
		r.Header.Set("Authorization", tt.key)
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		if w.Code != tt.want || w.Code == 403 && !strings.Contains(w.Body.String(), `"status":"403"`) {
			t.Errorf("%s with %s from %q: %d %s, want %d", tt.path, tt.key, tt.from, w.Code, w.Body, tt.want)
		}
	}
}

// TestAnnouncements: what one node changes, the others go by at once, also while neither can read the database.
func TestAnnouncements(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := tenants()
		quiet := slog.New(slog.DiscardHandler)
		far := NewKeys(KeyOptions{Store: s, Every: time.Hour, Log: quiet})
		if err := far.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer far.Stop()
		broken := errors.New("the log is down")
		var down error
		near := NewKeys(KeyOptions{Store: s, Log: quiet, Announce: func(gone []int64) error {
			if down == nil {
				far.Heard(gone)
			}
			return down
		}})
		if err := near.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		good := func(k *Keys, header string) bool {
			_, err := k.Authenticate(header, AppKey, start)
			return err == nil
		}
		s.creds = append(s.creds, workspace.Credential{ID: 20, Workspace: 1, Kind: workspace.App, Hash: workspace.Hash("new")})
		if err := near.Changed(t.Context()); err != nil {
			t.Fatal(err)
		}
		if synctest.Wait(); !good(near, "Bearer new") || !good(far, "Bearer new") {
			t.Error("a new key is not known everywhere")
		}
		s.err = errors.New("the database is down")
		if err := near.Changed(t.Context(), 20); err == nil {
			t.Error("Changed hid that this node could not read the keys")
		}
		if good(near, "Bearer new") || good(far, "Bearer new") {
			t.Error("a revoked key is good somewhere")
		}
		synctest.Wait()
		s.err, down = nil, broken
		if err := near.Changed(t.Context(), 3); err != nil || good(near, "Bearer app") {
			t.Errorf("Changed without the log: %v", err)
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	k := newKeys(t, tenants())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				if _, err := k.Authenticate(basic("site:same"), TrackKey, start.Add(time.Duration(j)*time.Second)); err != nil {
					t.Error(err)
				}
				if i == 0 && j%20 == 0 {
					if err := k.Refresh(t.Context()); err != nil {
						t.Error(err)
					}
					k.Forget(int64(1000 + j))
				}
			}
		})
	}
	wg.Wait()
}
