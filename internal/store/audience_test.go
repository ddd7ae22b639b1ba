package store_test

import (
	"testing"

	"rapport.example/internal/audience"
	"rapport.example/internal/definition"
	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

// TestReadMessages asks many people for what became of messages that nothing has counted: by channel and provider it has several
// names, and what is repeated of a message is not in its chain. Columns learn it from events alone.
func TestReadMessages(t *testing.T) {
	t.Parallel()
	const people = 3000
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l, ctx := lease(t, db), t.Context()
		c, seq := &engine.Changes{}, int64(0)
		for o := uint32(1); o <= people; o++ {
			d := &person.Document{Ref: person.Ref{Workspace: 1, Ordinal: o}, Created: 1, Gen: 1}
			note := func(a event.Activity) {
				seq++
				a.Workspace, a.Seq, a.Person, a.At, a.Prev = 1, seq, o, 1000, d.LastActivity
				d.LastActivity = seq
				name, ok := a.Chained()
				if !ok {
					c.Activities = append(c.Activities, a)
					return
				}
				chain := event.ChainName(a.Type, name)
				for i := range d.Named {
					if d.Named[i].Name == chain {
						a.PrevNamed, d.Named[i].Seq = d.Named[i].Seq, seq
					}
				}
				if a.PrevNamed == 0 {
					d.Named = append(d.Named, person.Named{Name: chain, Seq: seq})
				}
				c.Activities = append(c.Activities, a)
			}
			note(event.Activity{Type: event.Track, Name: "opened"})
			note(event.Activity{Type: event.Message, Name: "opened_email", Data: value.Value(`{"delivery_id":"a","campaign_id":7}`)})
			note(event.Activity{Type: event.Message, Name: "suppressed_email", Data: value.Value(`{"delivery_id":"a"}`)})
			note(event.Activity{Type: event.Message, Name: "dropped_email", Data: value.Value(`{"delivery_id":"a","repeated":true}`)})
			if o%2 == 0 {
				note(event.Activity{Type: event.Message, Name: "dropped_push", Data: value.Value(`{"delivery_id":"b"}`)})
			}
			if o%3 == 0 {
				note(event.Activity{Type: event.Message, Name: "opened_push", Data: value.Value(`{"delivery_id":"b","campaign_id":7}`)})
			}
			c.PutPeople, c.NewPeople = append(c.PutPeople, d), append(c.NewPeople, d.Ref)
		}
		if err := db.Transact(ctx, l, func(tx engine.Tx) error { return tx.Write(ctx, c) }); err != nil {
			t.Fatal(err)
		}
		set, err := definition.Compile([]definition.Row{{Kind: definition.Campaigns, ID: 7, Slug: "x", Version: 1, Current: true, Body: value.Value(
			`{"id":"x","trigger":{"event":"go"},"workflow":[{"id":"w","delay":"1d"}],"_actions":{"w":1}}`)}})
		if err != nil {
			t.Fatal(err)
		}
		for condition, want := range map[string]int64{
			`{"message":"opened"}`:                                            people,
			`{"message":"opened","campaign":"x","at_least":2}`:                people / 3,
			`{"message":"suppressed","exactly":1}`:                            people / 2,
			`{"all":[{"message":"dropped","at_least":2},{"event":"opened"}]}`: people / 2,
		} {
			doc, err := value.Parse([]byte(condition))
			if err != nil {
				t.Fatal(err)
			}
			tree, err := segment.Parse(doc, "")
			if err != nil {
				t.Fatal(err)
			}
			q := audience.Query{Workspace: 1, Set: set, Tree: tree, Now: 2000}
			got, err := audience.Read(ctx, db, q)
			if err != nil || got.Count != want || got.People != people {
				t.Errorf("%s: %+v, %v, want %d people", condition, got, err, want)
			}
			columns := audience.New(db, 64<<20)
			columns.Hold(1)
			if got, err := columns.Ask(ctx, q); err != nil || !got.Columns || got.Count != want || got.People != people {
				t.Errorf("%s: %+v, %v, want %d people from columns", condition, got, err, want)
			}
		}
	})
}
