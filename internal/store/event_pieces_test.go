package store_test

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"rapport.example/internal/audience"
	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

// packEvents packs one piece from the workspace's first activity on.
func packEvents(t *testing.T, db *store.DB, l engine.Lease, ws, last int64) (next int64, err error) {
	t.Helper()
	err = db.Transact(t.Context(), l, func(tx engine.Tx) error {
		next, err = tx.PackEvents(t.Context(), ws, 0, last)
		return err
	})
	return next, err
}

func TestEventPieceCodec(t *testing.T) {
	t.Parallel()
	events := []event.Activity{
		{Person: 7, Type: event.Track, Name: "a", At: 1_700_000_000_000, Data: value.Value(`{"n":1}`)},
		{Person: 1 << 31, Type: event.Page, Name: "b", At: -5},
		{Person: 8, Type: event.Track, Name: "a", At: 1_699_999_999_999},
	}
	data := store.EncodeEvents(events)
	const want = "0102" + "020161" + "02" + "1c1a64" + "07000000" + "08000000" + "0780a0abfef9620102" + "0700" + "7b226e223a317d" +
		"020262" + "01" + "0a081c" + "00000080" + "0109" + "0100"
	if got := hex.EncodeToString(data); got != want {
		t.Errorf("encoding = %s, want %s", got, want)
	}
	for _, chain := range []string{event.ChainName(event.Track, "a"), event.ChainName(event.Page, "b"), event.ChainName(event.Page, "a")} {
		var got, want []event.Activity
		for _, a := range events {
			if event.ChainName(a.Type, a.Name) == chain {
				want = append(want, event.Activity{Person: a.Person, At: a.At, Data: a.Data})
			}
		}
		err := store.DecodeEvents(data, chain, func(who uint32, at int64, d value.Value) error {
			a := event.Activity{Person: who, At: at}
			if len(d) > 0 {
				a.Data = d
			}
			got = append(got, a)
			return nil
		})
		if diff := gocmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("events of %q: %v (-want +got):\n%s", chain, err, diff)
		}
	}
}

func FuzzDecodeEvents(f *testing.F) {
	f.Add(store.EncodeEvents([]event.Activity{{Person: 7, Type: event.Track, Name: "a", At: 5, Data: value.Value(`{"n":1}`)}, {Person: 1, Type: event.Page, Name: "b"}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		err := store.DecodeEvents(data, event.ChainName(event.Track, "a"), func(uint32, int64, value.Value) error { n++; return nil })
		if err == nil && n > len(data)*engine.EventPiece {
			t.Fatalf("%d events in %d bytes", n, len(data))
		}
	})
}

// TestEvents reads everybody's events from rows, from pieces, and from both, after some people have gone; nothing of other workspaces.
func TestEvents(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := lease(t, db)
		const people, last = 90, 3*engine.EventPiece + 100
		heads := map[person.Ref]int64{}
		var all []event.Activity
		c := &engine.Changes{}
		for seq := int64(1); seq <= last; seq++ {
			a := event.Activity{Workspace: 1, Seq: seq, Person: uint32(seq*7%people) + 1, Type: event.Track, Name: "a", At: seq * 1000 % 777_777}
			switch seq % 5 {
			case 0:
				a.Type = event.Page
			case 1:
				a.Name, a.Data = "b", value.Value(fmt.Sprintf(`{"n":%d}`, seq))
			case 2:
				a.Type = event.AttributeChange
				if seq%3 == 0 {
					a.Type, a.Name = event.Message, "sent_email"
					if seq%2 == 0 { // counted before
						a.Data = value.Value(`{"repeated":true}`)
					}
				}
			case 3:
				if seq%2 == 0 {
					a.Person = 0
				}
			}
			if a.Person != 0 {
				ref := person.Ref{Workspace: 1, Ordinal: a.Person}
				a.Prev, heads[ref] = heads[ref], seq
			}
			c.Activities = append(c.Activities, a)
			all = append(all, a)
		}
		c.Activities = append(c.Activities, event.Activity{Workspace: 2, Seq: 5, Person: 1, Type: event.Track, Name: "a", At: 1})
		write(t, db, l, c)
		wanted := []audience.Wanted{
			{Chain: event.ChainName(event.Track, "a"), After: math.MinInt64},
			{Chain: event.ChainName(event.Track, "b"), After: 400_000},
			{Chain: event.ChainName(event.Page, "a"), After: 700_000},
			{Chain: event.ChainName(event.Message, "sent"), After: math.MinInt64},
		}
		check := func(what string) {
			t.Helper()
			for _, r := range [][2]int64{{0, last + 1}, {1, 10}, {100, 2 * engine.EventPiece}, {engine.EventPiece, last + 1}, {5000, 5000}, {4000, 4100}} {
				var got, want []string
				say := func(i int, who uint32, at int64, data value.Value) error {
					got = append(got, fmt.Sprint(i, who, at, string(data)))
					return nil
				}
				if err := db.Events(t.Context(), 1, r[0], r[1], wanted, say); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				for _, a := range all {
					name, ok := a.Chained()
					i := slices.IndexFunc(wanted, func(w audience.Wanted) bool { return w.Chain == event.ChainName(a.Type, name) && a.At > w.After })
					if ok && i >= 0 && a.Person != 0 && a.Seq >= r[0] && a.Seq < r[1] {
						want = append(want, fmt.Sprint(i, a.Person, a.At, string(a.Data)))
					}
				}
				slices.SortFunc(got, cmp.Compare)
				slices.SortFunc(want, cmp.Compare)
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Fatalf("%s, from %d to %d (-want +got):\n%s", what, r[0], r[1], diff)
				}
			}
		}
		pack := func(want int64) {
			t.Helper()
			if next, err := packEvents(t, db, l, 1, last); err != nil || next != want*engine.EventPiece {
				t.Fatalf("PackEvents = %d, %v, want %d", next, err, want*engine.EventPiece)
			}
		}
		check("from rows")
		pack(1)
		check("the first piece packed")
		pack(2)
		pack(3)
		check("all packed")
		pack(3) // the last piece is not whole
		if n := count(t, db, "event_pieces"); n != 3 {
			t.Errorf("%d pieces, want 3", n)
		}
		for _, gone := range []uint32{8, 15} {
			ref := person.Ref{Workspace: 1, Ordinal: gone}
			write(t, db, l, &engine.Changes{DropPeople: []engine.DropPerson{{Ref: ref, LastActivity: heads[ref]}}})
			all = slices.DeleteFunc(all, func(a event.Activity) bool { return a.Person == gone })
			if n := count(t, db, "event_pieces"); n != 0 {
				t.Errorf("%d pieces are left with events of who has gone", n)
			}
			check("somebody has gone")
			pack(1)
			check("packed again")
		}
		if id, err := db.LastEvent(t.Context(), 1); err != nil || id != last {
			t.Errorf("LastEvent = %d, %v, want %d", id, err, last)
		}
	})
}
