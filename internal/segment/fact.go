package segment

import (
	"slices"

	"rapport.example/internal/event"
	"rapport.example/internal/person"
)

// Observe counts one more event at its own time at (Unix ms), which may lie anywhere, and keeps the newest keep times.
func Observe(f *person.Fact, at int64, keep int) {
	if f.Count == 0 || at < f.First {
		f.First = at
	}
	f.Count++
	i, _ := slices.BinarySearchFunc(f.Newest, at, func(have, at int64) int {
		switch {
		case have > at: // newest first
			return -1
		case have < at:
			return 1
		}
		return 0
	})
	if i < keep {
		f.Newest = slices.Insert(f.Newest, i, at)
	}
	if len(f.Newest) > keep {
		f.Newest = f.Newest[:keep]
	}
}

// Rebuild counts from history what Observe would have counted as it happened.
func Rebuild(spec FactSpec, history []event.Activity) person.Fact {
	f := person.Fact{Key: spec.Key}
	for i := range history {
		if spec.Matches(history[i].Data) {
			Observe(&f, history[i].At, spec.Keep)
		}
	}
	return f
}
