package api

import (
	"strings"
	"testing"
)

// FuzzAuthenticate sends made-up Authorization headers: what is let in holds a secret that is there, under each kind of
// authentication, the second time as the first.
func FuzzAuthenticate(f *testing.F) {
	for _, h := range []string{basic("site:same"), basic("site2:same"), basic("write:"), "Bearer app", "bearer  agk_1 ", "Basic !!!", "Bearer", "Basic OjpbOg==", "\x00"} {
		f.Add(h)
	}
	s := tenants()
	f.Fuzz(func(t *testing.T, header string) {
		k := newKeys(t, s)
		for auth := TrackKey; auth <= AgentKey; auth++ {
			a, err := k.Authenticate(header, auth, start)
			b, again := k.Authenticate(header, auth, start)
			if (err == nil) != (again == nil) || err == nil && a.Credential.ID != b.Credential.ID {
				t.Fatalf("%q: %v, then %v", header, err, again)
			}
			if err != nil {
				continue
			}
			_, rest, _ := strings.Cut(header, " ")
			user, pass, _ := decodeBasic(strings.TrimSpace(rest))
			held := false
			for _, c := range s.creds {
				for _, secret := range []string{strings.TrimSpace(rest), user, pass} {
					e := k.snap.Load().find(c.Kind, c.SiteID, secret)
					held = held || e != nil && e.credential.ID == a.Credential.ID
				}
			}
			if !held {
				t.Fatalf("%q was let in as credential %d", header, a.Credential.ID)
			}
		}
	})
}
