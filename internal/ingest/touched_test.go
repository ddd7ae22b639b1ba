package ingest

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// TestTouched holds that nobody who may have been changed by an op is told an earlier sequence, however many were touched since.
func TestTouched(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		u := newTouched()
		newest := map[string]uint64{} // by workspace and identifier
		wide := map[int64]uint64{}
		seq := uint64(0)
		for range rapid.IntRange(1, 12).Draw(t, "ops") {
			seq += uint64(rapid.IntRange(0, 2).Draw(t, "frame"))
			ws := rapid.Int64Range(1, 2).Draw(t, "workspace")
			id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "id")
			touch := func(i person.Identifier) { k := i.Key(ws); newest[fmt.Sprint(ws, k.Type, k.Value)] = seq }
			o := Op{Workspace: ws}
			switch rapid.SampledFrom([]string{"event", "identify", "email", "anonymous", "merge", "outcome", "many"}).Draw(t, "op") {
			case "event":
				o.Kind, o.Payload = Event, value.Value(`{"by":{"id":"`+id+`"},"type":1,"name":"x"}`)
			case "identify":
				o.Kind, o.Payload = Identify, value.Value(`{"by":{"id":"`+id+`"},"attributes":{"plan":"x","email":"A@example.com"}}`)
				touch(person.Identifier{Type: person.ByID, Value: id})
				touch(person.Identifier{Type: person.ByEmail, Value: "a@EXAMPLE.com"})
			case "email":
				o.Kind, o.Payload = Identify, value.Value(`{"by":{"email":"a@example.com"},"attributes":{"id":"`+id+`"}}`)
				touch(person.Identifier{Type: person.ByID, Value: id})
				touch(person.Identifier{Type: person.ByEmail, Value: "a@example.com"})
			case "anonymous":
				o.Kind, o.Payload = Identify, value.Value(`{"by":{"id":"`+id+`"},"attributes":{"anonymous_id":"x"}}`)
				wide[ws] = seq
			case "merge":
				o.Kind, o.Payload = Merge, value.Value(`{}`)
				wide[ws] = seq
			case "outcome":
				o.Kind, o.Payload = Outcome, value.Value(`{}`)
			case "many": // so many that the oldest are forgotten
				for i := range maxTouched + 10 {
					u.note(&Op{Workspace: ws, Kind: Identify, Payload: value.Value(fmt.Sprintf(`{"by":{"id":"n%d"}}`, i))}, seq)
				}
				continue
			}
			u.note(&o, seq)
		}
		for ws := int64(1); ws <= 2; ws++ {
			for _, i := range []person.Identifier{{Type: person.ByID, Value: "a"}, {Type: person.ByID, Value: "b"}, {Type: person.ByEmail, Value: "a@example.com"}, {Type: person.ByCIO, Value: "a"}} {
				k := i.Key(ws)
				want := max(wide[ws], newest[fmt.Sprint(ws, k.Type, k.Value)])
				if got := u.of(ws, []person.Identifier{i}); got < want || got > seq {
					t.Fatalf("workspace %d, %v: %d, want %d to %d", ws, i, got, want, seq)
				}
			}
		}
	})
}

// TestTouchedNarrow holds that what others get is not waited for.
func TestTouchedNarrow(t *testing.T) {
	t.Parallel()
	u := newTouched()
	for i := range 1000 {
		u.note(&Op{Workspace: 1, Kind: Identify, Payload: value.Value(fmt.Sprintf(`{"by":{"id":"n%d"}}`, i))}, uint64(i+1))
		u.note(&Op{Workspace: 1, Kind: Event, Payload: value.Value(`{"by":{"id":"n5"},"type":1,"name":"x"}`)}, uint64(i+1))
	}
	if got := u.of(1, []person.Identifier{{Type: person.ByID, Value: "n5"}, {Type: person.ByEmail, Value: "n@example.com"}}); got != 6 {
		t.Errorf("n5 was touched at %d, want 6", got)
	}
	if got := u.of(1, []person.Identifier{{Type: person.ByID, Value: "somebody"}}); got != 0 {
		t.Errorf("somebody was touched at %d, want 0", got)
	}
}
