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
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestIdentityConflicts goes through who is meant by an identify and what becomes of identifiers (track-api §5, ADR 3). There are
// person 1 with id a and email x@…, person 2 with id b only, and person 3 with email z@… only.
func TestIdentityConflicts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path, body string   // <cio 1> is the cio id of person 1
		want             []string // people who changed or are new, and why something was not applied
	}{
		{"their own identifiers", "id:a", `{"email":"x@example.com"}`, nil},
		{"an email means the same in any case", "email:X@Example.com", `{"id":"a"}`, nil},
		{"another spelling", "id:a", `{"email":"X@example.com"}`, []string{"1 a X@example.com"}},
		{"an email that is free", "id:b", `{"email":"new@example.com"}`, []string{"2 b new@example.com"}},
		{"an id that is free", "email:z@example.com", `{"id":"new"}`, []string{"3 new z@example.com"}},
		{"nobody is known", "id:new", `{"email":"new@example.com"}`, []string{"4 new new@example.com"}},
		{"the path's id is new, the body's email known", "id:new", `{"email":"Z@example.com"}`, []string{"3 new Z@example.com"}},
		{"the path's email is new, the body's id known", "email:new@example.com", `{"id":"b"}`, []string{"2 b new@example.com"}},
		{
			"the path's id is new, the body's email belongs to somebody with an id", "id:new", `{"email":"x@example.com"}`,
			[]string{"4 new ", "email belongs to another person"},
		},
		{"path and body are different people", "id:b", `{"email":"z@example.com"}`, []string{"email belongs to another person"}},
		{"path and body are different people, by email", "email:z@example.com", `{"id":"a"}`, []string{"id belongs to another person"}},
		{"an id that is set stays", "id:a", `{"id":"c"}`, []string{"id is set already; changing it takes cio_… in the path"}},
		{"an email that is set stays", "id:a", `{"email":"new@example.com"}`, []string{"email is set already; changing it takes cio_… in the path"}},
		{"changed by cio id", "cio:<cio 1>", `{"id":"c","email":"new@example.com"}`, []string{"1 c new@example.com"}},
		{
			"not taken from others by cio id", "cio:<cio 1>", `{"id":"b","email":"z@example.com"}`,
			[]string{"email belongs to another person", "id belongs to another person"},
		},
		{"a cio id that nobody has", "cio:nobody", `{"id":"a","plan":"pro"}`, []string{"no person has this cio_id"}},
		{"a cio id in the body", "id:new", `{"cio_id":"<cio 3>"}`, []string{"3 new z@example.com"}},
		{"another's cio id in the body", "id:a", `{"cio_id":"<cio 2>"}`, []string{"cio_id is not this person's"}},
		{"a cio id in the body that nobody has", "id:new", `{"cio_id":"nobody"}`, []string{"no person has this cio_id"}},
		{"an email that is none", "id:b", `{"email":"nobody"}`, []string{"email has a value that cannot be one"}},
		{"empty identifiers are as good as none", "id:a", `{"email":"","id":null}`, nil},
		{"_update with nobody", "id:new", `{"_update":true,"email":"new@example.com"}`, []string{"_update is set and nobody matches"}},
		{"_update with somebody by the body", "id:new", `{"_update":true,"email":"z@example.com"}`, []string{"3 new z@example.com"}},
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
				w.do(
					w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: "a"}, Attributes: parse(t, `{"email":"x@example.com"}`)}),
					w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: "b"}}),
					w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{Email: "z@example.com"}}),
				)
				before, cio := w.everybody(t)
				pl := ingest.IdentifyPayload{Attributes: parse(t, cio.Replace(test.body)), UpdateOnly: strings.Contains(test.body, "_update")}
				switch kind, v, _ := strings.Cut(cio.Replace(test.path), ":"); kind {
				case "id":
					pl.By.ID = v
				case "email":
					pl.By.Email = v
				default:
					pl.By.CIO = v
				}
				w.do(w.op(ingest.Identify, pl))
				after, _ := w.everybody(t)
				got := slices.DeleteFunc(after, func(s string) bool { return slices.Contains(before, s) })
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

// everybody lists people with their identifiers, and puts their cio ids for <cio n>.
func (w *world) everybody(t *testing.T) ([]string, *strings.Replacer) {
	t.Helper()
	docs, err := w.db.NewestPeople(t.Context(), w.ws, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var out, cio []string
	for _, d := range docs {
		out = append(out, fmt.Sprintf("%d %s %s", d.Ordinal, d.ID, d.Email))
		cio = append(cio, fmt.Sprintf("<cio %d>", d.Ordinal), d.CIO)
	}
	return out, strings.NewReplacer(cio...)
}
