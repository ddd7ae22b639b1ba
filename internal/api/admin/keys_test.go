package admin_test

import (
	"fmt"
	"testing"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/api/admin"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestRotate: both keys are good during the overlap, then the new one alone; it is like the old one.
func TestRotate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := newServer(t, db, nil)
		good := func(k admin.Secret, at time.Time) bool {
			header, auth := "Bearer "+k.Secret, api.AppKey
			if k.SiteID != "" {
				header, auth = "Basic "+basic(k.SiteID, k.Secret), api.TrackKey
			}
			_, err := s.Keys.Authenticate(header, auth, at)
			return err == nil
		}
		rotate := func(id int64, overlap string) admin.Rotation {
			return call[admin.Rotation](s, "POST", fmt.Sprintf("keys/%d/rotate", id), admin.RotateRequest{Overlap: overlap}, 201)
		}
		for _, in := range []admin.KeyRequest{{Kind: "app", Name: "n", Scopes: []string{"read"}, ExpiresIn: "30d"}, {Kind: "track"}} {
			old := call[admin.Secret](s, "POST", "keys", in, 201)
			next := rotate(old.ID, "")
			now, later := s.Now(), s.Now().Add(24*time.Hour+time.Second)
			if !good(old, now) || !good(next.Secret, now) || good(old, later) || !good(next.Secret, later) {
				t.Errorf("%s: old %v, new %v; after the overlap %v, %v", in.Kind, good(old, now), good(next.Secret, now), good(old, later), good(next.Secret, later))
			}
			lived, lives := old.Expires-old.Created, next.Expires-next.Created
			if next.Replaces != old.ID || next.SiteID != old.SiteID || next.Name != old.Name || fmt.Sprint(next.Scopes) != fmt.Sprint(old.Scopes) ||
				old.Expires == 0 != (next.Expires == 0) || old.Expires != 0 && (lives-lived > 1 || lived-lives > 1) {
				t.Errorf("%+v was replaced by %+v, want one like it", old, next)
			}
			call[problem](s, "POST", fmt.Sprintf("keys/%d/rotate", old.ID), admin.RotateRequest{}, 409)
			if last := rotate(next.ID, "0s"); good(next.Secret, s.Now()) || !good(last.Secret, s.Now()) {
				t.Error("a key without overlap goes on working")
			}
			for _, k := range call[admin.KeysAnswer](s, "GET", "keys", nil, 200).Keys {
				if k.ID == old.ID && (k.Replaced != next.ID || k.Expires != next.Ends) {
					t.Errorf("the old key is listed as %+v", k)
				}
			}
		}
		call[problem](s, "POST", "keys/99/rotate", admin.RotateRequest{}, 404)
		call[problem](s, "POST", "keys/1/rotate", admin.RotateRequest{Overlap: "soon"}, 400)
		call[problem](s, "POST", "keys/1/rotate", admin.RotateRequest{ExpiresIn: "-1h"}, 400)
		call[problem](s, "POST", "keys/x/rotate", admin.RotateRequest{}, 400)
	})
}
