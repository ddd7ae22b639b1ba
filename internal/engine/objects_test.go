package engine_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

// related is a workspace's objects and relationships, kept in the simplest way. Attributes are one, role: what it was set to,
// "" once it was removed, and nothing before.
type related struct {
	people  map[string]*relatedPerson
	objects map[string]map[string]string            // attributes by id
	visits  map[string]map[string]map[string]string // of visitors, by anonymous id and object
	owner   map[string]*relatedPerson               // of anonymous ids
}

type relatedPerson struct {
	id      string
	objects map[string]map[string]string // attributes of the relationship by object
}

// set writes role; "-" removes it.
func set(attributes map[string]string, role string) {
	_, had := attributes["role"]
	switch {
	case role == "-" && had:
		attributes["role"] = ""
	case role != "" && role != "-":
		attributes["role"] = role
	}
}

func fill(to, from map[string]string) {
	for k, v := range from {
		if _, had := to[k]; !had {
			to[k] = v
		}
	}
}

func (m *related) find(who string) *relatedPerson {
	if m.people[who] == nil {
		m.people[who] = &relatedPerson{who, map[string]map[string]string{}}
	}
	return m.people[who]
}

func (m *related) object(id string) map[string]string {
	if m.objects[id] == nil {
		m.objects[id] = map[string]string{}
	}
	return m.objects[id]
}

func join(list map[string]map[string]string, id, role string) {
	if list[id] == nil {
		list[id] = map[string]string{}
	}
	set(list[id], role)
}

func (m *related) relate(who, id, role string) {
	m.object(id)
	join(m.find(who).objects, id, role)
}

func (m *related) await(anonymous, id, role string) {
	m.object(id)
	if p := m.owner[anonymous]; p != nil {
		join(p.objects, id, role)
		return
	}
	if m.visits[anonymous] == nil {
		m.visits[anonymous] = map[string]map[string]string{}
	}
	join(m.visits[anonymous], id, role)
}

func (m *related) receive(who, anonymous string) {
	p := m.find(who)
	if m.owner[anonymous] != nil {
		return
	}
	m.owner[anonymous] = p
	for id, attributes := range m.visits[anonymous] {
		join(p.objects, id, "")
		fill(p.objects[id], attributes)
	}
	delete(m.visits, anonymous)
}

func (m *related) merge(primary, secondary string) {
	p, s := m.people[primary], m.people[secondary]
	if p == nil || s == nil || p == s {
		return
	}
	for id, attributes := range s.objects {
		join(p.objects, id, "")
		fill(p.objects[id], attributes)
	}
	for k, owner := range m.owner {
		if owner == s {
			m.owner[k] = p
		}
	}
	delete(m.people, secondary)
}

func (m *related) remove(who string) {
	p := m.people[who]
	if p == nil {
		return
	}
	maps.DeleteFunc(m.owner, func(_ string, o *relatedPerson) bool { return o == p })
	delete(m.people, who)
}

func (m *related) destroy(id string) {
	delete(m.objects, id)
	for _, p := range m.people {
		delete(p.objects, id)
	}
	for _, list := range m.visits {
		delete(list, id)
	}
}

func shown(attributes map[string]string) string {
	if attributes["role"] == "" {
		return "{}"
	}
	return `{"role":"` + attributes["role"] + `"}`
}

// state is every object with its people, and who they are.
func (m *related) state() map[string][]string {
	out := map[string][]string{}
	for id, attributes := range m.objects {
		out[id] = []string{shown(attributes)}
		for _, p := range m.people {
			if rel := p.objects[id]; rel != nil {
				out[id] = append(out[id], p.id+" "+shown(rel))
			}
		}
		slices.Sort(out[id][1:])
	}
	return out
}

func role(s string) value.Value {
	switch s {
	case "":
		return nil
	case "-":
		return value.Value(`{"role":null}`)
	}
	return value.Value(`{"role":"` + s + `"}`)
}

// TestObjectsModel does random things to objects and people, several in a frame, and holds the database to the model.
func TestObjectsModel(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		rapid.Check(t, func(rt *rapid.T) {
			ws, err := db.CreateWorkspace(t.Context(), "", 0)
			if err != nil {
				t.Fatal(err)
			}
			w.ws = ws.ID
			m := &related{map[string]*relatedPerson{}, map[string]map[string]string{}, map[string]map[string]map[string]string{}, map[string]*relatedPerson{}}
			var said []string
			pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(rt, label) }
			one := func() ingest.Op {
				who, other, id, r, visitor := pick("who", "a", "b", "c"), pick("other", "a", "b", "c"), pick("object", "x", "y", "z"), pick("role", "", "u", "v", "-"), pick("visitor", "n1", "n2")
				key := object.Key{Type: 1, ID: id}
				what := pick("op", "object", "relate", "relate", "unrelate", "visit", "receive", "merge", "delete", "destroy", "identify")
				said = append(said, strings.Join([]string{what, who, other, id, r, visitor}, " "))
				switch what {
				case "object":
					set(m.object(id), r)
					m.relate(who, id, "")
					return w.op(ingest.Object, ingest.ObjectPayload{Object: key, Attributes: role(r), Relations: []ingest.Relation{{By: ingest.By{ID: who}}}})
				case "relate":
					m.relate(who, id, r)
					return w.op(ingest.Relate, ingest.RelatePayload{By: ingest.By{ID: who}, Relations: []ingest.Relation{{Object: key, Attributes: role(r)}}})
				case "unrelate":
					if p := m.people[who]; p != nil {
						delete(p.objects, id)
					}
					return w.op(ingest.Unrelate, ingest.RelatePayload{Object: key, Relations: []ingest.Relation{{By: ingest.By{ID: who}}}})
				case "visit":
					m.await(visitor, id, r)
					return w.op(ingest.Object, ingest.ObjectPayload{Object: key, Relations: []ingest.Relation{{Anonymous: visitor, Attributes: role(r)}}})
				case "receive":
					m.receive(who, visitor)
					return w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: who}, Attributes: value.Value(`{"anonymous_id":"` + visitor + `"}`)})
				case "merge":
					m.merge(who, other)
					return w.op(ingest.Merge, ingest.MergePayload{Primary: ingest.By{ID: who}, Secondary: ingest.By{ID: other}})
				case "delete":
					m.remove(who)
					return w.op(ingest.Delete, ingest.PersonPayload{By: ingest.By{ID: who}})
				case "destroy":
					m.destroy(id)
					return w.op(ingest.DeleteObject, ingest.ObjectPayload{Object: key})
				default:
					m.relate(who, id, r)
					rel, err := ingest.Encode(ingest.RelatePayload{Relations: []ingest.Relation{{Object: key, Attributes: role(r)}}})
					if err != nil {
						t.Fatal(err)
					}
					return w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: who}, Relate: rel})
				}
			}
			for range rapid.IntRange(1, 6).Draw(rt, "frames") {
				ops := make([]ingest.Op, rapid.IntRange(1, 6).Draw(rt, "ops"))
				for i := range ops {
					ops[i] = one()
				}
				said = append(said, "--")
				w.do(ops...)
			}
			if diff := cmp.Diff(m.state(), stored(t, db, ws.ID)); diff != "" {
				rt.Fatalf("objects (-want +got):\n%s\nafter\n%s", diff, strings.Join(said, "\n"))
			}
		})
	})
}

// stored is the model's state as the database has it, from both ends.
func stored(t *testing.T, db *store.DB, ws int64) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, key := range []string{"x", "y", "z"} {
		o, err := db.FindObject(t.Context(), ws, object.Key{Type: 1, ID: key})
		if err != nil {
			t.Fatal(err)
		}
		if o == nil {
			continue
		}
		out[key] = []string{string(o.Attributes.Values())}
		people, err := db.PeopleOf(t.Context(), ws, o.Number, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range people {
			d, err := db.FindPerson(t.Context(), ws, person.Identifier{Type: person.ByCIO, Value: id.CIO(db.Secret(), ws, r.Person)})
			if err != nil || d == nil {
				t.Fatalf("person %d of %q: %v", r.Person, key, err)
			}
			out[key] = append(out[key], fmt.Sprintf("%s %s", d.ID, r.Relationship.Values()))
			theirs, err := db.ObjectsOf(t.Context(), d.Ref, o.Number-1, 1)
			if err != nil || len(theirs) != 1 || theirs[0].Object.ID != key {
				t.Fatalf("objects of person %d: %+v, %v", r.Person, theirs, err)
			}
		}
		slices.Sort(out[key][1:])
	}
	return out
}
