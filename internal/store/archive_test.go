package store_test

import (
	"fmt"
	"sync"
	"testing"

	"rapport.example/internal/delivery"
	"rapport.example/internal/engine"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestArchive: what messages said is there when it is asked for, the last of each, belongs to one workspace, and is gone with
// the person, also for those that were archived while the person was deleted; a merge brings it along.
func TestArchive(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := lease(t, db)
		sent := func(id int64, who uint32) delivery.Delivery {
			return delivery.Delivery{Workspace: 1, ID: id, Public: fmt.Sprint("d", id), Person: who, Visit: 1, State: delivery.Sent}
		}
		c := &engine.Changes{PutPeople: []*person.Document{doc(1, 1), doc(1, 2), doc(1, 3)}}
		for id := int64(1); id <= 300; id++ {
			c.NewDeliveries = append(c.NewDeliveries, sent(id, uint32(id%3+1)))
		}
		write(t, db, l, c)
		said := func(id int64, text string) {
			db.Archive(t.Context(), delivery.Archive{Workspace: 1, Delivery: id, Created: id, Doc: []byte(text)})
		}
		var wg sync.WaitGroup
		for id := int64(1); id <= 300; id++ {
			wg.Go(func() {
				said(id, "first")
				said(id, fmt.Sprint("last ", id))
			})
		}
		wg.Wait()
		said(301, "of no delivery")
		look := func(ws, id int64, want string) {
			t.Helper()
			if got, err := db.ArchivedMessage(t.Context(), ws, id); string(got) != want || err != nil {
				t.Errorf("ArchivedMessage(%d, %d) = %q, %v, want %q", ws, id, got, err, want)
			}
		}
		look(1, 300, "last 300")
		look(1, 1, "last 1")
		look(1, 301, "")
		look(2, 1, "")
		if n := count(t, db, `archives`); n != 300 {
			t.Errorf("%d archives, want 300", n)
		}
		// 1 becomes part of 2, 3 is deleted; the same write says of one of 3's deliveries that it is nobody's, as what became of it came
		// with the deletion.
		nobodys := sent(2, 0)
		write(t, db, l, &engine.Changes{
			PutDeliveries: []delivery.Delivery{nobodys},
			Moves:         []engine.Move{{Workspace: 1, From: 1, To: 2}}, DropPeople: []engine.DropPerson{{Ref: doc(1, 1).Ref}, {Ref: doc(1, 3).Ref}},
		})
		said(2, "of a deleted person")
		look(1, 3, "last 3")   // of 1 before
		look(1, 301, "")       // never there
		look(1, 2, "")         // of 3
		said(3, "of a merged") // who is archived as 2's
		look(1, 3, "of a merged")
		if n := count(t, db, `archives`); n != 200 {
			t.Errorf("%d archives after the deletion, want 200", n)
		}
		expire := func(limit int, want int64) {
			t.Helper()
			err := db.Transact(t.Context(), l, func(tx engine.Tx) error {
				n, err := tx.ExpireArchives(t.Context(), 1, 51, limit)
				if n != want {
					t.Errorf("ExpireArchives = %d, want %d", n, want)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
		expire(30, 30)
		expire(30, 3) // of the numbers 1 to 50 a third was of 3
		look(1, 51, "last 51")
		look(1, 49, "")
	})
}
