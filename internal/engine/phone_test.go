package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rapport.example/internal/api/app"
	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

const (
	phonesOn  = "schema: 1\nworkspace: w\nidentifiers: [id, email, phone]\n"
	phonesOff = "schema: 1\nworkspace: w\nidentifiers: [id, email]\n"
)

// TestPhone goes through what becomes of phone numbers where they identify. Before each case there are person 1 with id a and
// phone +15550100001, person 2 with id b and, from before phones identified, a plain attribute phone +15550100002, and person 3
// with phone +15550100003 only.
func TestPhone(t *testing.T) {
	t.Parallel()
	identify := func(by ingest.By, attributes string) func(*world) ingest.Op {
		return func(w *world) ingest.Op {
			return w.op(ingest.Identify, ingest.IdentifyPayload{By: by, Attributes: parse(w.t, attributes)})
		}
	}
	person1 := func(w *world) ingest.By { return ingest.By{CIO: w.person("a").CIO} }
	tests := []struct {
		name string
		do   []func(*world) ingest.Op
		want []string // people who changed or are new, and why something was not applied
	}{
		{"nobody is known", []func(*world) ingest.Op{identify(ingest.By{Phone: "+15550100009"}, `{"plan":"pro"}`)}, []string{"4  +15550100009 plan=pro"}},
		{"somebody is known", []func(*world) ingest.Op{identify(ingest.By{Phone: "+15550100001"}, `{"plan":"pro"}`)}, []string{"1 a +15550100001 plan=pro"}},
		{"their own, written otherwise", []func(*world) ingest.Op{identify(ingest.By{ID: "a"}, `{"phone":"+1 (555) 010-0001"}`)}, nil},
		{"free, in the body", []func(*world) ingest.Op{identify(ingest.By{ID: "c"}, `{"phone":"+1 555 010 0009"}`)}, []string{"4 c +15550100009"}},
		{"the path's id is new, the body's phone known", []func(*world) ingest.Op{identify(ingest.By{ID: "c"}, `{"phone":"+15550100003"}`)}, []string{"3 c +15550100003"}},
		{"the path's phone is new, the body's id known", []func(*world) ingest.Op{identify(ingest.By{Phone: "+15550100009"}, `{"id":"b"}`)}, []string{"2 b +15550100009"}},
		{
			"somebody else's",
			[]func(*world) ingest.Op{identify(ingest.By{ID: "b"}, `{"phone":"+15550100001"}`)},
			[]string{"phone belongs to another person"},
		},
		{
			"set already",
			[]func(*world) ingest.Op{identify(ingest.By{ID: "a"}, `{"phone":"+15550100009"}`)},
			[]string{"phone is set already; changing it takes cio_… in the path"},
		},
		{
			"set already, with the cio id",
			[]func(*world) ingest.Op{func(w *world) ingest.Op { return identify(person1(w), `{"phone":"+15550100009"}`)(w) }},
			[]string{"1 a +15550100009"},
		},
		{
			"the number before is free",
			[]func(*world) ingest.Op{
				func(w *world) ingest.Op { return identify(person1(w), `{"phone":"+15550100009"}`)(w) },
				identify(ingest.By{Phone: "+15550100001"}, `{}`),
			},
			[]string{"1 a +15550100009", "4  +15550100001"},
		},
		{"no number", []func(*world) ingest.Op{identify(ingest.By{ID: "a"}, `{"phone":"0555 0100"}`)}, []string{"phone has a value that cannot be one"}},
		{"empty changes nothing", []func(*world) ingest.Op{identify(ingest.By{ID: "a"}, `{"phone":""}`)}, nil},
		{"a plain one becomes an identifier", []func(*world) ingest.Op{identify(ingest.By{ID: "b"}, `{"phone":"+15550100002"}`)}, []string{"2 b +15550100002"}},
		{"a plain one goes", []func(*world) ingest.Op{identify(ingest.By{ID: "b"}, `{"phone":null}`)}, []string{"2 b "}},
		{
			"a plain one finds nobody",
			[]func(*world) ingest.Op{identify(ingest.By{Phone: "+15550100002"}, `{}`)},
			[]string{"4  +15550100002"},
		},
		{
			"suppressed with its person",
			[]func(*world) ingest.Op{
				func(w *world) ingest.Op { return w.op(ingest.Suppress, ingest.PersonPayload{By: ingest.By{ID: "a"}}) },
				identify(ingest.By{Phone: "+15550100001"}, `{}`), identify(ingest.By{ID: "b"}, `{"phone":"+15550100001"}`),
			},
			[]string{"gone 1", "phone is suppressed", "the identifier is suppressed"},
		},
		{
			"deleted and free",
			[]func(*world) ingest.Op{
				func(w *world) ingest.Op {
					return w.op(ingest.Delete, ingest.PersonPayload{By: ingest.By{Phone: "+15550100001"}})
				},
				identify(ingest.By{ID: "c"}, `{"phone":"+15550100001"}`),
			},
			[]string{"4 c +15550100001", "gone 1"},
		},
		{
			"carried by a merge",
			[]func(*world) ingest.Op{
				identify(ingest.By{ID: "c"}, `{}`),
				func(w *world) ingest.Op {
					return w.op(ingest.Merge, ingest.MergePayload{Primary: ingest.By{ID: "c"}, Secondary: ingest.By{Phone: "+15550100003"}})
				},
			},
			[]string{"4 c +15550100003", "gone 3"},
		},
		{
			"not carried to somebody with a plain one",
			[]func(*world) ingest.Op{
				func(w *world) ingest.Op {
					return w.op(ingest.Merge, ingest.MergePayload{Primary: ingest.By{ID: "b"}, Secondary: ingest.By{Phone: "+15550100003"}})
				},
			},
			[]string{"gone 3"},
		},
		{
			"off again, by phone",
			[]func(*world) ingest.Op{
				func(w *world) ingest.Op {
					w.apply(phonesOff)
					return identify(ingest.By{Phone: "+15550100001"}, `{}`)(w)
				},
			},
			[]string{"phone does not identify people in this workspace"},
		},
		{
			"off again, plain as it is next written",
			[]func(*world) ingest.Op{
				func(w *world) ingest.Op {
					w.apply(phonesOff)
					return identify(ingest.By{ID: "a"}, `{"phone":"call me"}`)(w)
				},
				identify(ingest.By{ID: "b"}, `{"phone":"+15550100001"}`),
			},
			[]string{"1 a  phone=call me", "2 b  phone=+15550100001"},
		},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				ws, err := db.CreateWorkspace(t.Context(), "", 0)
				if err != nil {
					t.Fatal(err)
				}
				w.ws = ws.ID
				w.do(identify(ingest.By{ID: "a"}, `{}`)(w), identify(ingest.By{ID: "b"}, `{"phone":"+15550100002"}`)(w))
				w.apply(phonesOn)
				w.do(identify(ingest.By{ID: "a"}, `{"phone":"+15550100001"}`)(w), identify(ingest.By{Phone: "+15550100003"}, `{}`)(w))
				before := w.phones(t)
				ops := []ingest.Op{}
				for _, op := range test.do {
					ops = append(ops, op(w))
				}
				w.do(ops...)
				after := w.phones(t)
				got := []string{}
				for ordinal, s := range after {
					if s != before[ordinal] {
						got = append(got, s)
					}
				}
				for ordinal := range before {
					if after[ordinal] == "" {
						got = append(got, fmt.Sprintf("gone %d", ordinal))
					}
				}
				page, _, err := db.Activities(t.Context(), w.ws, app.ActivityQuery{Type: event.FailedChange, Limit: 10})
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range page {
					got = append(got, a.Data.Get("reason").Text())
				}
				slices.Sort(got)
				if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("changes (-want +got):\n%s", diff)
				}
			})
		}
	})
}

// phones lists people with their id, phone and attributes, and holds phones to their keys.
func (w *world) phones(t *testing.T) map[uint32]string {
	t.Helper()
	docs, err := w.db.NewestPeople(t.Context(), w.ws, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	out := map[uint32]string{}
	for _, d := range docs {
		var b strings.Builder
		fmt.Fprintf(&b, "%d %s %s", d.Ordinal, d.ID, d.Phone)
		for _, a := range d.Attributes {
			fmt.Fprintf(&b, " %s=%s", a.Name, a.Value.Text())
		}
		out[d.Ordinal] = b.String()
		if d.Phone == "" {
			continue
		}
		found, err := w.db.FindPerson(t.Context(), w.ws, person.Identifier{Type: person.ByPhone, Value: d.Phone})
		if err != nil || found == nil || found.Ordinal != d.Ordinal {
			t.Errorf("phone %s does not find person %d: %v, %v", d.Phone, d.Ordinal, found, err)
		}
	}
	return out
}
