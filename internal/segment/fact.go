package segment

import (
	"slices"

	"rapport.example/internal/event"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// Observe counts one more event at its own time at (Unix ms), which may lie anywhere, also behind events that were
// counted before, and keeps the newest keep times. The order of calls does not matter. f.Newest is changed in place.
func Observe(f *person.Fact, at int64, keep int) {
	if f.Count == 0 || at < f.First {
		f.First = at
	}
	f.Count++
	if len(f.Newest) > keep { // a definition that asked for more has gone
		f.Newest = f.Newest[:keep]
	}
	i := len(f.Newest)
	for i > 0 && f.Newest[i-1] < at {
		i--
	}
	switch {
	case i >= keep:
	case len(f.Newest) < keep:
		f.Newest = slices.Insert(f.Newest, i, at)
	default: // full: the oldest makes room
		copy(f.Newest[i+1:], f.Newest[i:keep-1])
		f.Newest[i] = at
	}
}

// Rebuild counts from history what Observe would have counted as it happened. history holds the person's events of the
// spec's type and name; newest first is the quickest order, but any gives the same.
func Rebuild(spec FactSpec, history []event.Activity) person.Fact {
	f := person.Fact{Key: spec.Key}
	for i := range history {
		if spec.Matches(history[i].Data) {
			Observe(&f, history[i].At, spec.Keep)
		}
	}
	return f
}

// Matches reports whether an event with this data counts. It depends on nothing else: Parse refuses moments relative to
// now in an event condition's where, since an event is counted once and not looked at again.
func (f *FactSpec) Matches(data value.Value) bool { return f.Where.on(data, 0).Match }
