package admin_test

import (
	"fmt"
	"testing"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/api/admin"
	"rapport.example/internal/api/apitest"
	"rapport.example/internal/fault"
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

// TestAllowedAddresses: a list counts at once, is shown as it is understood, and is of one workspace.
func TestAllowedAddresses(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := newServer(t, db, nil)
		set := func(list ...string) []string {
			return call[admin.AllowedAddresses](s, "PUT", "allowed_addresses", admin.AllowedAddresses{Allow: list}, 200).Allow
		}
		app := call[admin.Secret](s, "POST", "keys", admin.KeyRequest{Kind: "app"}, 201)
		from := func(remote string) error {
			a, err := s.Keys.Authenticate("Bearer "+app.Secret, api.AppKey, s.Now())
			if err != nil {
				return err
			}
			return a.From(remote)
		}
		if got := call[admin.AllowedAddresses](s, "GET", "allowed_addresses", nil, 200).Allow; len(got) != 0 || got == nil || from("192.0.2.1:1") != nil {
			t.Errorf("without a list %v, %v", got, from("192.0.2.1:1"))
		}
		want := []string{"10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"}
		if got := set("2001:db8::5/32", "10.2.3.4/8", "::ffff:192.0.2.7"); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the list is %v, want %v", got, want)
		}
		if from("10.9.9.9:1") != nil || from("192.0.2.7:1") != nil || !fault.Is(from("192.0.2.8:1"), fault.Forbidden) {
			t.Errorf("from 10.9.9.9: %v, from 192.0.2.7: %v, from 192.0.2.8: %v", from("10.9.9.9:1"), from("192.0.2.7:1"), from("192.0.2.8:1"))
		}
		for _, bad := range []string{`{}`, `{"allow":null}`, `{"allow":["x"]}`, `{"allow":["10.0.0.0/33"]}`, `{"allow":"10.0.0.0/8"}`, `{"allow":[""]}`, `{"deny":[]}`} {
			if w := s.request("PUT", "/admin/v1/allowed_addresses", bad, "Authorization", "Bearer "+apitest.AdminKey); w.Code != 400 {
				t.Errorf("%s = %d %s", bad, w.Code, w.Body)
			}
		}
		call[problem](s, "PUT", "allowed_addresses?workspace=none", admin.AllowedAddresses{Allow: []string{}}, 404)
		if call[admin.AllowedAddresses](s, "PUT", "allowed_addresses", map[string]any{"allow": []string{}}, 200); from("192.0.2.8:1") != nil {
			t.Error("an empty list does not allow all")
		}
	})
}
