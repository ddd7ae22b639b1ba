package store_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/delivery"
	"rapport.example/internal/engine"
	"rapport.example/internal/fault"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

func TestSaveMail(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := lease(t, db)
		write(t, db, l, &engine.Changes{PutPeople: []*person.Document{doc(1, 2)}})
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Go(func() {
				m := store.Mail{Workspace: 1, Delivery: int64(i), Person: 2, Sender: "a@x", Recipient: "b@y", Subject: "s\x00", Source: []byte{0, 0xff}, Created: 9}
				if err := db.SaveMail(t.Context(), m); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			if err := db.SaveMail(t.Context(), store.Mail{Workspace: 1}); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if n := count(t, db, `mailbox WHERE person = 0`); n != 1 {
			t.Errorf("%d mails of nobody, want 1", n)
		}
		if n := count(t, db, `mailbox WHERE workspace = 1 AND person = 2 AND sender = 'a@x' AND recipient = 'b@y' AND source IS NOT NULL AND created = 9`); n != 300 {
			t.Errorf("%d mails, want 300", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = db.SaveMail(ctx, store.Mail{}) // either way is right; Close must wait for it
	})
}

// TestSaveMailOfMerged: a mail that was claimed before its person was merged belongs to whom they were merged into.
func TestSaveMailOfMerged(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := lease(t, db)
		write(t, db, l, &engine.Changes{
			PutPeople:     []*person.Document{doc(1, 2), doc(1, 3)},
			NewDeliveries: []delivery.Delivery{{Workspace: 1, ID: 7, Public: "p", Person: 2}},
		})
		write(t, db, l, &engine.Changes{
			Moves: []engine.Move{{Workspace: 1, From: 2, To: 3}}, DropPeople: []engine.DropPerson{{Ref: person.Ref{Workspace: 1, Ordinal: 2}}},
		})
		if err := db.SaveMail(t.Context(), store.Mail{Workspace: 1, Delivery: 7, Person: 2, Source: []byte("m")}); err != nil {
			t.Fatal(err)
		}
		if n := count(t, db, `mailbox WHERE person = 3`); n != 1 {
			t.Errorf("%d mails of the person who is left, want 1", n)
		}
	})
}

// TestBackup copies while a writer goes on: the copy is of one moment, with its checkpoint.
func TestBackup(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		path := filepath.Join(t.TempDir(), "rapport.db")
		if db.Backend() == storetest.Postgres {
			if err := db.BackupTo(t.Context(), path); !fault.Is(err, fault.Unsupported) {
				t.Errorf("BackupTo = %v, want unsupported", err)
			}
			return
		}
		l, stop, done := lease(t, db), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for n := uint64(0); ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				err := db.Transact(t.Context(), l, func(tx engine.Tx) error {
					if err := tx.Advance(t.Context(), n, n+1, "s"); err != nil {
						return err
					}
					return tx.Write(t.Context(), &engine.Changes{PutPeople: []*person.Document{doc(1, uint32(n+1))}})
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		}()
		if err := db.BackupTo(t.Context(), path); err != nil {
			t.Fatalf("BackupTo: %v", err)
		}
		close(stop)
		<-done
		if err := db.BackupTo(t.Context(), path); !fault.Is(err, fault.Conflict) {
			t.Errorf("BackupTo an existing file = %v, want a conflict", err)
		}
		o := storetest.Options(t, storetest.SQLite)
		o.Dir = filepath.Dir(path)
		copied := storetest.Open(t, o)
		at, err := copied.Checkpoint(t.Context(), 0)
		if n := count(t, copied, "people"); err != nil || uint64(n) != at {
			t.Errorf("the copy has %d people at checkpoint %d, %v, want as many", n, at, err)
		}
		if diff := cmp.Diff(db.Secret(), copied.Secret()); diff != "" {
			t.Errorf("secret (-want +got):\n%s", diff)
		}
	})
}
