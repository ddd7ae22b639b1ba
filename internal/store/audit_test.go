package store_test

import (
	"fmt"
	"sync"
	"testing"

	"rapport.example/internal/audit"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/workspace"
)

// TestAudit holds that entries of many at once make one chain for each workspace, without gaps.
func TestAudit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const writers, each = 4, 10
		var wg sync.WaitGroup
		for n := range writers {
			wg.Go(func() {
				for i := range each {
					e := audit.Entry{Workspace: int64(n%2 + 1), At: int64(i), ID: fmt.Sprint(n, i), Tool: "get_person", Outcome: "ok", Arguments: map[string]any{"limit": 5}}
					if err := db.AppendAudit(t.Context(), &e); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for ws := int64(1); ws <= 2; ws++ {
			list, err := db.Audit(t.Context(), ws, 0, false, 100)
			if err != nil {
				t.Fatal(err)
			}
			var c audit.Chain
			for i := range list {
				if err := c.Add(&list[i]); err != nil {
					t.Errorf("workspace %d: %v", ws, err)
				}
			}
			head, err := db.AuditHead(t.Context(), ws)
			if err != nil || head != c || head.Seq != writers*each/2 {
				t.Errorf("workspace %d: head %+v, %v, the chain ends at %+v", ws, head, err, c)
			}
			newest, err := db.Audit(t.Context(), ws, 0, true, 3)
			if err != nil || len(newest) != 3 || newest[0].Seq != head.Seq || newest[2].Seq != head.Seq-2 {
				t.Errorf("the newest: %+v, %v", newest, err)
			}
			if older, err := db.Audit(t.Context(), ws, 3, true, 5); err != nil || len(older) != 2 || older[0].Seq != 2 {
				t.Errorf("before the third: %+v, %v", older, err)
			}
		}
		if head, err := db.AuditHead(t.Context(), 9); err != nil || head != (audit.Chain{}) {
			t.Errorf("nobody's head: %+v, %v", head, err)
		}
	})
}

// TestAgentPolicy keeps what agents may do, of each workspace.
func TestAgentPolicy(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, p := range []workspace.AgentPolicy{{Stopped: true}, {Live: true}, {Stopped: true, Live: true}, {}} {
			if err := db.SetAgentPolicy(t.Context(), 1, p); err != nil {
				t.Fatal(err)
			}
			got, err := db.AgentPolicy(t.Context(), 1)
			other, err2 := db.AgentPolicy(t.Context(), 2)
			if err != nil || err2 != nil || got != p || other != (workspace.AgentPolicy{}) {
				t.Errorf("%+v, %v; another workspace: %+v, %v; want %+v", got, err, other, err2, p)
			}
		}
	})
}
