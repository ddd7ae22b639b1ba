package segment

import (
	"slices"
	"testing"

	"rapport.example/internal/event"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// body is a person as the engine shows one to conditions.
type body struct {
	attributes map[string]value.Value
	properties value.Value
	facts      map[uint64]person.Fact
	members    map[string]bool
	devices    []person.Device
	links      []object.Link
	created    int64
	first      int64 // own time of the earliest event
	happened   bool  // any event at all
}

func newBody(created int64) *body {
	return &body{attributes: map[string]value.Value{}, facts: map[uint64]person.Fact{}, members: map[string]bool{}, created: created}
}

func (b *body) Attribute(name string) value.Value { return b.attributes[name] }
func (b *body) Data() value.Value                 { return b.properties }
func (b *body) Fact(key uint64) person.Fact       { return b.facts[key] }
func (b *body) Devices() []person.Device          { return b.devices }
func (b *body) Related(typ int64) []object.Link {
	return slices.DeleteFunc(slices.Clone(b.links), func(l object.Link) bool { return l.Object.Type != typ })
}
func (b *body) Member(slug string) bool { return b.members[slug] }
func (b *body) Since() int64 {
	if b.happened {
		return min(b.created, b.first)
	}
	return b.created
}

// observe counts an event for the conditions that ask for it, as the engine does.
func (b *body) observe(specs []FactSpec, a event.Activity) {
	if a.Type != event.Message && (!b.happened || a.At < b.first) {
		b.happened, b.first = true, a.At
	}
	name, ok := a.Chained()
	for _, s := range specs {
		if !ok || s.Type != a.Type || s.Name != name || !s.Matches(a.Data) {
			continue
		}
		f := b.facts[s.Key]
		f.Key = s.Key
		Observe(&f, a.At, s.Keep)
		b.facts[s.Key] = f
	}
}

// specsOf is n's specs with those of one key joined, as definition.Compile does.
func specsOf(n *Node) []FactSpec {
	var out []FactSpec
next:
	for _, s := range n.Specs() {
		for i := range out {
			if out[i].Key == s.Key {
				out[i].Keep = max(out[i].Keep, s.Keep)
				continue next
			}
		}
		out = append(out, s)
	}
	return out
}

func mustValue(t testing.TB, text string) value.Value {
	t.Helper()
	v, err := value.Parse([]byte(text))
	if err != nil {
		t.Fatalf("value.Parse(%s): %v", text, err)
	}
	return v
}

func mustParse(t testing.TB, text string) *Node {
	t.Helper()
	n, err := Parse(mustValue(t, text), "conditions")
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	return n
}

// mustResolve gives what message conditions name the numbers that activities in the archives have.
func mustResolve(t testing.TB, n *Node) *Node {
	t.Helper()
	numbers := map[Named]int64{{Campaign: "onboarding"}: 5, {Campaign: "onboarding", Action: "welcome"}: 7, {Transactional: "receipt"}: 3}
	out, err := n.Resolve(func(of Named, _ string) (int64, error) { return numbers[of], nil })
	if err != nil {
		t.Fatal(err)
	}
	return out
}
