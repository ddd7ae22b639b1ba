package person

import (
	"slices"

	"rapport.example/internal/value"
)

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
// Writes are ordered by at: one that is older than what is there, or than its removal, does nothing.
func (d *Document) Set(name string, v value.Value, at int64) (before value.Value, verdict Verdict) {
	a, gone := d.attribute(name), d.removed(name)
	switch {
	case gone >= 0 && at < d.Removed[gone].At:
		return nil, Stale
	case a != nil && at < a.At:
		return a.Value, Stale
	case name == Preferences:
		v = d.keepMembers(v, at)
		gone = d.removed(name)
	}
	switch {
	case a == nil && v.Empty():
		if gone >= 0 {
			d.Removed[gone].At = at
		}
		return nil, Same
	case a == nil && len(d.Attributes) >= MaxAttributes:
		return nil, Full
	case a == nil:
		if gone >= 0 {
			d.Removed = slices.Delete(d.Removed, gone, gone+1)
		}
		d.Attributes = append(d.Attributes, Attribute{name, v, at})
		return nil, Changed
	case v.Empty():
		before = a.Value
		d.Attributes = slices.DeleteFunc(d.Attributes, func(x Attribute) bool { return x.Name == name })
		d.MarkRemoved(name, at)
		return before, Changed
	}
	before, a.At = a.Value, at
	if value.Equal(before, v) {
		return before, Same
	}
	a.Value = v
	return before, Changed
}

// MarkRemoved notes that an attribute that is not there was removed as of at (Unix seconds), so that an older write does not
// bring it back. Of more than MaxRemoved the oldest is forgotten.
func (d *Document) MarkRemoved(name string, at int64) {
	if i := d.removed(name); i >= 0 {
		d.Removed[i].At = max(d.Removed[i].At, at)
		return
	}
	d.Removed = append(d.Removed, Dated{name, at})
	if len(d.Removed) > MaxRemoved {
		oldest := 0
		for i, r := range d.Removed {
			if r.At < d.Removed[oldest].At {
				oldest = i
			}
		}
		d.Removed = slices.Delete(d.Removed, oldest, oldest+1)
	}
}

// removed is the index of an attribute's removal, -1 if there is none.
func (d *Document) removed(name string) int {
	return slices.IndexFunc(d.Removed, func(r Dated) bool { return r.Name == name })
}
