package engine_test

import (
	"testing"

	"rapport.example/internal/ingest"
	"rapport.example/internal/object"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestOnly: ops for the new or for the existing alone, among them people who would be found by an identifier of the body. What is
// left out leaves nothing.
func TestOnly(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.identify("1", `{"email":"a@example.com","n":0}`)
		w.do(w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{Email: "lone@example.com"}, Attributes: parse(t, `{"n":0}`)}))
		w.do(w.op(ingest.Object, ingest.ObjectPayload{Object: object.Key{Type: 1, ID: "old"}, Attributes: parse(t, `{"n":0}`)}))
		for _, c := range []struct {
			id, email string
			only      string
			n         string // of whoever has the id afterwards; "none" = nobody has
		}{
			{"1", "", ingest.OnlyNew, "0"},
			{"1", "", ingest.OnlyExisting, "1"},
			{"2", "", ingest.OnlyExisting, "none"},
			{"2", "", ingest.OnlyNew, "1"},
			{"3", "lone@example.com", ingest.OnlyNew, "none"}, // the email has somebody, who has no id yet
			{"4", "a@example.com", ingest.OnlyExisting, "none"},
			{"4", "a@example.com", ingest.OnlyNew, "1"}, // 1 has that email and an id: 4 is another one
			{"3", "lone@example.com", ingest.OnlyExisting, "1"},
		} {
			attributes := `{"n":1}`
			if c.email != "" {
				attributes = `{"n":1,"email":"` + c.email + `"}`
			}
			w.do(w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: c.id}, Only: c.only, Attributes: parse(t, attributes)}))
			got := "none"
			if d := w.person(c.id); d != nil {
				got = d.Get("n").Text()
			}
			if got != c.n {
				t.Errorf("%s of %s %s: n is %s, want %s", c.only, c.id, c.email, got, c.n)
			}
		}
		for _, c := range []struct{ id, only, n string }{
			{"old", ingest.OnlyNew, "0"}, {"old", ingest.OnlyExisting, "1"}, {"new", ingest.OnlyExisting, "none"}, {"new", ingest.OnlyNew, "1"},
		} {
			k := object.Key{Type: 1, ID: c.id}
			w.do(w.op(ingest.Object, ingest.ObjectPayload{Object: k, Only: c.only, Attributes: parse(t, `{"n":1}`)}))
			o, err := db.FindObject(t.Context(), w.ws, k)
			if err != nil {
				t.Fatal(err)
			}
			got := "none"
			if o != nil {
				got = o.Attributes.Get("n").Text()
			}
			if got != c.n {
				t.Errorf("%s of the object %s: n is %s, want %s", c.only, c.id, got, c.n)
			}
		}
	})
}
