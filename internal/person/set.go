package person

import "rapport.example/internal/value"

// Verdict is what became of a write to one attribute.
type Verdict uint8

// The verdicts.
const (
	Same    Verdict = iota // the value was there already; its time may have moved
	Changed                // set, replaced or removed
	Stale                  // a later write is there; nothing was done
	Full                   // the person has MaxAttributes already; nothing was done
)

// Set writes an attribute as of at (Unix seconds) and returns the value before. Null and the empty string remove it.
// Writes are ordered by at: one that is older than what is there does nothing. A removal keeps no time, so an older
// write that comes after it sets the attribute again.
func (d *Document) Set(name string, v value.Value, at int64) (before value.Value, verdict Verdict) {
	a := d.attribute(name)
	switch {
	case a == nil && v.Empty():
		return nil, Same
	case a == nil && len(d.Attributes) >= MaxAttributes:
		return nil, Full
	case a == nil:
		d.Attributes = append(d.Attributes, Attribute{name, v, at})
		return nil, Changed
	case at < a.At:
		return a.Value, Stale
	case v.Empty():
		before = a.Value
		for i := range d.Attributes {
			if d.Attributes[i].Name == name {
				d.Attributes = append(d.Attributes[:i], d.Attributes[i+1:]...)
				break
			}
		}
		return before, Changed
	}
	before, a.At = a.Value, at
	if value.Equal(before, v) {
		return before, Same
	}
	a.Value = v
	return before, Changed
}
