package oauth_test

import (
	"net/http"
	"net/url"
	"testing"

	"golang.org/x/sync/errgroup"

	"rapport.example/internal/store/storetest"
)

// twoNodes are two servers over one PostgreSQL, each with connections of its own.
func twoNodes(t *testing.T) (one, two *site) {
	t.Helper()
	o := storetest.Options(t, storetest.Postgres)
	one = newSite(t, storetest.Open(t, o), nil)
	two = node(t, storetest.Open(t, o), nil)
	one.others, two.others = []*site{two}, []*site{one}
	return one, two
}

// at has a node know what the other one kept.
func (s *site) at(token string) bool {
	s.t.Helper()
	if err := s.keys.Refresh(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return s.good(token)
}

// TestTwoNodes: what one node began another one goes on with, and what ends on one is over on the other at once.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	one, two := twoNodes(t)
	code := one.code()
	first := two.wants("a code of the other node", exchange(code), 200, "")
	if !one.at(first.Access) || !two.good(first.Access) {
		t.Error("a token is not good on both nodes")
	}
	next := one.wants("a refresh on the first node", refresh(first.Refresh), 200, "")
	if two.at(first.Access) || !two.good(next.Access) {
		t.Error("after a refresh the second node takes the token of before, or not the new one")
	}
	two.wants("a refresh token that was used on the first node", refresh(first.Refresh), 400, "invalid_grant")
	if one.good(next.Access) { // it did not read anything since: it heard
		t.Error("a family that ended on the second node goes on at the first")
	}

	again := one.wants("another code", exchange(one.code()), 200, "")
	two.wants("its code a second time, on the second node", exchange(code), 400, "invalid_grant")
	if w := two.do(http.MethodPost, "/oauth/revoke", url.Values{"token": {again.Refresh}, "client_id": {"desk"}}); w.Code != http.StatusOK || one.good(again.Access) {
		t.Errorf("revoking on the second node answers %d and leaves the token good on the first", w.Code)
	}
}

// TestTwoNodesAtOnce: of requests with one code, or one refresh token, that reach two nodes at the same moment one gets tokens. The others
// are what a thief's would be, so that the grant is over.
func TestTwoNodesAtOnce(t *testing.T) {
	t.Parallel()
	one, two := twoNodes(t)
	race := func(what string, form url.Values) {
		t.Helper()
		var got [6]answer
		var status [6]int
		var g errgroup.Group
		begin := make(chan struct{})
		for i := range got {
			g.Go(func() error {
				<-begin
				got[i], status[i] = []*site{one, two}[i%2].token(form)
				return nil
			})
		}
		close(begin)
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		won := -1
		for i := range got {
			switch {
			case status[i] == http.StatusOK && won < 0:
				won = i
			case status[i] != http.StatusBadRequest || got[i].Error != "invalid_grant":
				t.Errorf("%s: request %d is answered %d %s, and %d won", what, i, status[i], got[i].Error, won)
			}
		}
		if won < 0 {
			t.Fatalf("%s: nobody won: %v", what, status)
		}
		if one.at(got[won].Access) || two.at(got[won].Access) {
			t.Errorf("%s: the winner's token outlives the second use", what)
		}
		two.wants(what+": the winner's refresh token", refresh(got[won].Refresh), 400, "invalid_grant")
	}
	for range 5 {
		race("a code", exchange(one.code()))
		race("a refresh token", refresh(two.wants("a code", exchange(one.code()), 200, "").Refresh))
	}
}
