package audience

import (
	"cmp"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"rapport.example/internal/definition"
	"rapport.example/internal/event"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// Person is one stored person as conditions see them. It is valid during the call that it is handed to.
type Person struct {
	view    person.View
	members map[string]*roaring.Bitmap // of the segments that are mentioned
	rebuilt map[uint64]person.Fact     // facts that the document has not counted
	links   map[uint32][]object.Link   // by ordinal, of the types that are mentioned
}

var _ segment.Subject = (*Person)(nil)

// Ordinal is the person's.
func (p *Person) Ordinal() uint32 { return p.view.Ordinal() }

// Gen is the generation of definitions that the document is complete for.
func (p *Person) Gen() int64 { return p.view.Gen() }

// Due is the moment that the person's timer is armed for, as far as the document knows; 0 = none.
func (p *Person) Due() int64 { return p.view.Due() }

// Recounted are the facts that the document has not counted yet, with those that are empty; nil if it has counted all.
func (p *Person) Recounted() []person.Fact {
	out := make([]person.Fact, 0, len(p.rebuilt))
	for key, f := range p.rebuilt {
		f.Key, f.Newest = key, slices.Clone(f.Newest)
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b person.Fact) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// Attribute is part of segment.Subject.
func (p *Person) Attribute(name string) value.Value { return p.view.Get(name) }

// Data is part of segment.Subject: no event is at hand.
func (p *Person) Data() value.Value { return nil }

// Fact is part of segment.Subject.
func (p *Person) Fact(key uint64) person.Fact {
	if f, ok := p.rebuilt[key]; ok {
		return f
	}
	return p.view.Fact(key)
}

// Devices is part of segment.Subject. They have no tokens.
func (p *Person) Devices() []person.Device { return p.view.Devices() }

// Related is part of segment.Subject.
func (p *Person) Related(typ int64) (out []object.Link) {
	for _, l := range p.links[p.view.Ordinal()] {
		if l.Object.Type == typ {
			out = append(out, l)
		}
	}
	return out
}

// Member is part of segment.Subject.
func (p *Person) Member(slug string) bool {
	m := p.members[slug]
	return m != nil && m.Contains(p.view.Ordinal())
}

// Since is part of segment.Subject.
func (p *Person) Since() int64 { return p.view.Since() }

// counted is an event condition with what documents know of it.
type counted struct {
	segment.FactSpec
	chain string
	born  int64 // documents of this generation and later have counted it with keep; -1 = none has
	keep  int
}

// countedOf lists what the trees ask for, each condition once with the largest Keep.
func countedOf(set *definition.Set, trees []*segment.Node) []counted {
	specs := map[uint64]segment.FactSpec{}
	for _, tree := range trees {
		for _, spec := range tree.Specs() {
			if have, ok := specs[spec.Key]; !ok || spec.Keep > have.Keep {
				specs[spec.Key] = spec
			}
		}
	}
	return countedIn(set, specs)
}

// countedAll lists every event condition of the set.
func countedAll(set *definition.Set) []counted {
	specs := map[uint64]segment.FactSpec{}
	for key, f := range set.Facts() {
		specs[key] = f.FactSpec
	}
	return countedIn(set, specs)
}

func countedIn(set *definition.Set, specs map[uint64]segment.FactSpec) []counted {
	out := make([]counted, 0, len(specs))
	for _, spec := range specs {
		c := counted{FactSpec: spec, chain: event.ChainName(spec.Type, spec.Name), born: -1}
		if f := set.Facts()[spec.Key]; f != nil {
			c.born, c.keep, c.Keep = f.Born, f.Keep, max(f.Keep, c.Keep)
		}
		out = append(out, c)
	}
	return out
}

// missing reports whether the document alone cannot answer the condition, because events came in that it has not counted for it.
func (c *counted) missing(v *person.View) bool {
	if c.born >= 0 && v.Gen() >= c.born && c.keep >= c.Keep || v.Head(c.chain) == 0 {
		return false
	}
	if c.born < 0 || v.Gen() < c.born {
		return true
	}
	f := v.Fact(c.Key)
	return f.Count > int64(len(f.Newest)) && len(f.Newest) < c.Keep
}
