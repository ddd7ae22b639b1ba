package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"rapport.example/internal/delivery"
	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/journey"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

// populate gives person n of workspace 1 one row of everything, with the word secret in each text of theirs, and two-row
// chains that other people's rows lie between.
func populate(t *testing.T, db *store.DB, l engine.Lease, n uint32, secret string) {
	t.Helper()
	d, at := doc(1, n), int64(n)*10
	d.Email, d.LastActivity, d.LastDecision = secret, at+5, at+5
	dl := fullDelivery(at)
	dl.Person, dl.Recipient, dl.Subject, dl.Reason, dl.Data = n, secret, secret, "550 <"+secret+">", value.Quote(secret)
	write(t, db, l, &engine.Changes{
		PutPeople: []*person.Document{d}, PutKeys: []engine.KeyRow{{Key: person.Key{Workspace: 1, Type: person.ByEmail, Value: secret}, Person: n}},
		Activities: []event.Activity{
			{Workspace: 1, Seq: at, Person: n, Type: event.Track, Name: "x", Data: value.Quote(secret)},
			{Workspace: 1, Seq: at + 5, Person: n, Type: event.Page, Name: "y", Data: value.Quote(secret), Prev: at},
		},
		Decisions: []engine.Decision{
			{Workspace: 1, Seq: at, Person: n, Detail: value.Quote(secret)},
			{Workspace: 1, Seq: at + 5, Person: n, Reason: secret, Prev: at},
		},
		PutJourneys:   []journey.Journey{{Workspace: 1, ID: at, Person: n, Campaign: 1, Version: 1, Event: value.Quote(secret)}},
		NewDeliveries: []delivery.Delivery{dl},
	})
	if err := db.SaveMail(t.Context(), store.Mail{Workspace: 1, Delivery: at, Person: n, Recipient: secret, Subject: secret, Source: []byte(secret)}); err != nil {
		t.Fatal(err)
	}
}

// TestDropPersonReallyDeletes looks for anything left of a deleted person, and for anything lost of another.
func TestDropPersonReallyDeletes(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.Open(t, o)
		l := lease(t, db)
		const gone, stays = "gone-person@example.com", "staying-person@example.com"
		populate(t, db, l, 1, gone)
		populate(t, db, l, 2, stays)
		if next, err := packEvents(t, db, l, 1, engine.EventPiece); err != nil || next != engine.EventPiece {
			t.Fatalf("PackEvents = %d, %v", next, err)
		}
		// In the same transaction as the deletion: a last event, a delivery, and the note that says that somebody was deleted.
		late := fullDelivery(99)
		late.Person, late.Recipient, late.Data = 1, gone, nil
		write(t, db, l, &engine.Changes{
			Activities:    []event.Activity{{Workspace: 1, Seq: 100, Person: 1, Data: value.Quote(gone), Prev: 15}, {Workspace: 1, Seq: 101, Type: event.Deleted}},
			NewDeliveries: []delivery.Delivery{late},
			DropKeys:      []person.Key{{Workspace: 1, Type: person.ByEmail, Value: gone}},
			DropPeople:    []engine.DropPerson{{Ref: person.Ref{Workspace: 1, Ordinal: 1}, LastActivity: 100, LastDecision: 15}},
		})
		for table, want := range map[string]int64{
			"people": 1, "identifiers": 1, "activities": 3, "decisions": 2, "journeys": 1, "mailbox": 1,
			"activities WHERE person = 2": 2, "decisions WHERE person = 2": 2, "deliveries": 3, "deliveries WHERE person = 2": 1,
			"deliveries WHERE person = 0 AND recipient = '' AND subject = '' AND reason = '' AND data IS NULL": 2,
			"mailbox WHERE person = 2": 1, "event_pieces": 0,
		} {
			if got := count(t, db, table); got != want {
				t.Errorf("%d rows in %s, want %d", got, table, want)
			}
		}
		// A mail that was on its way when its person was deleted is not kept.
		if err := db.SaveMail(t.Context(), store.Mail{Workspace: 1, Person: 1, Source: []byte(gone)}); err != nil {
			t.Fatal(err)
		}
		if n := count(t, db, "mailbox"); n != 1 {
			t.Errorf("%d mails, want 1", n)
		}
		if o.Dir == "" {
			return
		}
		// Nothing of the person may be left in the bytes of a backup, or of the file itself.
		path := filepath.Join(t.TempDir(), "copy.db")
		if err := db.BackupTo(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil { // writes the WAL back and removes it
			t.Fatal(err)
		}
		for _, path := range []string{path, filepath.Join(o.Dir, "rapport.db")} {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(data, []byte(gone)) || !bytes.Contains(data, []byte(stays)) {
				t.Errorf("%s still holds the deleted person, or lacks the other", path)
			}
		}
	})
}

// TestDamagedChainEnds: a chain that points forwards or to itself must not hang the partition.
func TestDamagedChainEnds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := lease(t, db)
		write(t, db, l, &engine.Changes{
			PutPeople:  []*person.Document{doc(1, 1)},
			Activities: []event.Activity{{Workspace: 1, Seq: 1, Prev: 2, PrevNamed: 2}, {Workspace: 1, Seq: 2, Prev: 1, PrevNamed: 1}, {Workspace: 1, Seq: 3, Prev: 3, PrevNamed: 3}},
		})
		within(t, db, l, func(tx engine.Tx) error {
			got, err := tx.History(t.Context(), 1, []int64{2, 3})
			if err != nil || len(got) != 3 {
				t.Errorf("History = %d rows, %v, want 3", len(got), err)
			}
			return err
		})
		write(t, db, l, &engine.Changes{DropPeople: []engine.DropPerson{{Ref: person.Ref{Workspace: 1, Ordinal: 1}, LastActivity: 3}}})
		if n := count(t, db, "activities"); n != 2 {
			t.Errorf("%d activities, want 2", n)
		}
	})
}
