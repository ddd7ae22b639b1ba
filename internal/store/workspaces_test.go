package store_test

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/engine"
	"rapport.example/internal/fault"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/workspace"
)

func TestCreateWorkspace(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		if _, err := db.CreateWorkspace(ctx, "", -1); !fault.Is(err, fault.Conflict) {
			t.Errorf("CreateWorkspace without partitions = %v, want a conflict", err)
		}
		if err := db.EnsurePartitions(ctx, 2); err != nil {
			t.Fatal(err)
		}
		var want []workspace.Workspace
		for i, tt := range []struct {
			name      string
			partition int32
			want      int32
		}{{"", -1, 0}, {"", -1, 1}, {"Acme", -1, 0}, {"Other", 0, 0}} {
			w, err := db.CreateWorkspace(ctx, tt.name, tt.partition)
			if err != nil || w.ID != int64(i+1) || w.Name != tt.name || w.Partition != tt.want || w.Created == 0 {
				t.Fatalf("CreateWorkspace(%q, %d) = %+v, %v", tt.name, tt.partition, w, err)
			}
			want = append(want, w)
		}
		if _, err := db.CreateWorkspace(ctx, "Acme", -1); !fault.Is(err, fault.Conflict) {
			t.Errorf("a name twice = %v, want a conflict", err)
		}
		if _, err := db.CreateWorkspace(ctx, "X", 2); !fault.Is(err, fault.Invalid) {
			t.Errorf("an unknown partition = %v, want invalid", err)
		}
		got, err := db.Workspaces(ctx)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Workspaces: %v (-want +got):\n%s", err, diff)
		}
		l := lease(t, db)
		within(t, db, l, func(tx engine.Tx) error {
			got, err := tx.Workspaces(ctx)
			same(t, "of partition 0", []workspace.Workspace{want[0], want[2], want[3]}, got, err)
			return nil
		})
	})
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		var want []workspace.Credential
		for _, c := range []workspace.Credential{
			{Workspace: 1, Kind: workspace.Track, Name: "n", SiteID: "site", Prefix: "abc", Hash: workspace.Hash("a"), Created: 5, Expires: 6},
			{Workspace: 1, Kind: workspace.Track, SiteID: "other", Hash: workspace.Hash("a"), Created: 5},
			{Workspace: 1, Kind: workspace.Agent, Hash: workspace.Hash("a"), Scopes: []string{"read", "write"}, Created: 7},
			{Kind: workspace.Admin, Hash: workspace.Hash("b"), Created: 8},
		} {
			got, err := db.CreateCredential(ctx, c)
			c.ID = int64(len(want) + 1)
			if diff := cmp.Diff(c, got); err != nil || diff != "" {
				t.Fatalf("CreateCredential: %v (-want +got):\n%s", err, diff)
			}
			want = append(want, c)
		}
		if _, err := db.CreateCredential(ctx, want[2]); !fault.Is(err, fault.Conflict) {
			t.Errorf("a credential twice = %v, want a conflict", err)
		}
		if err := db.Revoke(ctx, 99); !fault.Is(err, fault.NotFound) {
			t.Errorf("Revoke(99) = %v, want not found", err)
		}
		if err := db.Revoke(ctx, 2); err != nil {
			t.Fatal(err)
		}
		if err := db.TouchCredentials(ctx, map[int64]int64{1: 60_000, 4: 120_000, 77: 1}); err != nil {
			t.Fatal(err)
		}
		if err := db.TouchCredentials(ctx, map[int64]int64{1: 5}); err != nil {
			t.Fatal(err)
		}
		want[0].LastUsed, want[3].LastUsed = 60_000, 120_000
		got, err := db.Credentials(ctx)
		if err != nil || len(got) != 4 || got[1].Revoked == 0 {
			t.Fatalf("Credentials() = %+v, %v", got, err)
		}
		want[1].Revoked = got[1].Revoked
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Credentials (-want +got):\n%s", diff)
		}
	})
}

// TestRotateCredential: the new key and the end of the old one are one change, which an old key takes once.
func TestRotateCredential(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		for _, c := range []workspace.Credential{
			{Workspace: 1, Kind: workspace.App, Hash: workspace.Hash("a"), Created: 5},
			{Workspace: 1, Kind: workspace.App, Hash: workspace.Hash("b"), Created: 5, Expires: 9},
			{Workspace: 1, Kind: workspace.App, Hash: workspace.Hash("c"), Created: 5, Revoked: 6},
		} {
			if _, err := db.CreateCredential(ctx, c); err != nil {
				t.Fatal(err)
			}
		}
		before, err := db.Credentials(ctx)
		if err != nil {
			t.Fatal(err)
		}
		next := workspace.Credential{Workspace: 1, Kind: workspace.App, Hash: workspace.Hash("n"), Created: 7}
		for id, ends := range map[int64]int64{2: 10, 3: 10, 99: 10} { // ends before, revoked, unknown
			if _, err := db.RotateCredential(ctx, id, ends, next); !fault.Is(err, fault.Conflict) {
				t.Errorf("RotateCredential(%d) = %v, want a conflict", id, err)
			}
		}
		same := next
		same.Hash = before[1].Hash
		if _, err := db.RotateCredential(ctx, 1, 10, same); !fault.Is(err, fault.Conflict) {
			t.Errorf("RotateCredential to a secret that is there = %v, want a conflict", err)
		}
		if after, err := db.Credentials(ctx); err != nil || !cmp.Equal(before, after) {
			t.Errorf("what was refused changed something: %v %s", err, cmp.Diff(before, after))
		}
		got, err := db.RotateCredential(ctx, 1, 10, next)
		next.ID = 4
		if err != nil || !cmp.Equal(next, got) {
			t.Fatalf("RotateCredential() = %+v, %v, want %+v", got, err, next)
		}
		if _, err := db.RotateCredential(ctx, 1, 10, workspace.Credential{Workspace: 1, Kind: workspace.App, Hash: workspace.Hash("m")}); !fault.Is(err, fault.Conflict) {
			t.Errorf("RotateCredential of a key that was replaced = %v, want a conflict", err)
		}
		after, err := db.Credentials(ctx)
		want := append(before, next)
		want[0].Expires, want[0].Replaced = 10, 4
		if diff := cmp.Diff(want, after); err != nil || diff != "" {
			t.Errorf("Credentials: %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestAllowAddresses(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		list := func(texts ...string) (out []netip.Prefix) {
			for _, s := range texts {
				out = append(out, netip.MustParsePrefix(s))
			}
			return out
		}
		for _, step := range []struct {
			workspace int64
			give      []netip.Prefix
			want      map[int64][]netip.Prefix
		}{
			{1, list("192.0.2.0/24", "10.0.0.0/8", "10.0.0.0/8"), map[int64][]netip.Prefix{1: list("10.0.0.0/8", "192.0.2.0/24")}},
			{2, list("2001:db8::/32"), map[int64][]netip.Prefix{1: list("10.0.0.0/8", "192.0.2.0/24"), 2: list("2001:db8::/32")}},
			{1, list("192.0.2.7/32"), map[int64][]netip.Prefix{1: list("192.0.2.7/32"), 2: list("2001:db8::/32")}},
			{2, nil, map[int64][]netip.Prefix{1: list("192.0.2.7/32")}},
		} {
			if err := db.AllowAddresses(ctx, step.workspace, step.give); err != nil {
				t.Fatal(err)
			}
			got, err := db.AllowedAddresses(ctx)
			if err != nil || !reflect.DeepEqual(step.want, got) {
				t.Errorf("AllowedAddresses() = %v, %v, want %v", got, err, step.want)
			}
		}
	})
}
