package person_test

import (
	"fmt"
	"testing"

	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// TestSetOrder writes one attribute in several orders: whatever comes later by its time stands, a removal too.
func TestSetOrder(t *testing.T) {
	t.Parallel()
	type write struct {
		v    string // "" removes
		at   int64
		want person.Verdict
	}
	for name, c := range map[string]struct {
		writes []write
		want   string
	}{
		"older after newer":             {[]write{{"new", 20, person.Changed}, {"old", 10, person.Stale}}, "new"},
		"of the same second":            {[]write{{"one", 10, person.Changed}, {"two", 10, person.Changed}}, "two"},
		"older after removal":           {[]write{{"old", 10, person.Changed}, {"", 20, person.Changed}, {"late", 15, person.Stale}}, ""},
		"newer after removal":           {[]write{{"old", 10, person.Changed}, {"", 20, person.Changed}, {"new", 30, person.Changed}}, "new"},
		"older removal":                 {[]write{{"new", 20, person.Changed}, {"", 10, person.Stale}}, "new"},
		"older after two removals":      {[]write{{"old", 10, person.Changed}, {"", 20, person.Changed}, {"", 40, person.Same}, {"late", 30, person.Stale}}, ""},
		"the same again moves on":       {[]write{{"a", 10, person.Changed}, {"a", 30, person.Same}, {"b", 20, person.Stale}}, "a"},
		"older removal after a later":   {[]write{{"a", 10, person.Changed}, {"", 30, person.Changed}, {"", 20, person.Stale}, {"b", 25, person.Stale}}, ""},
		"removed, set anew and so on":   {[]write{{"a", 1, person.Changed}, {"", 2, person.Changed}, {"b", 3, person.Changed}, {"", 4, person.Changed}, {"c", 3, person.Stale}}, ""},
		"removal of what was not there": {[]write{{"", 20, person.Same}, {"a", 10, person.Changed}}, "a"},
	} {
		var d person.Document
		for i, w := range c.writes {
			v := value.NullValue
			if w.v != "" {
				v = value.Quote(w.v)
			}
			if _, got := d.Set("x", v, w.at); got != w.want {
				t.Errorf("%s: write %d: %v, want %v", name, i+1, got, w.want)
			}
		}
		if got := d.Get("x").Text(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestRemovedBound remembers the newest removals only, and they survive the stored form.
func TestRemovedBound(t *testing.T) {
	t.Parallel()
	d := person.Document{Ref: person.Ref{Workspace: 1, Ordinal: 1}, CIO: "c"}
	for i := range person.MaxRemoved + 5 {
		name := fmt.Sprintf("a%d", i)
		d.Set(name, value.True, int64(i))
		d.Set(name, value.NullValue, int64(i))
	}
	again, err := person.Decode(d.Ref, d.Encode(nil))
	if err != nil || len(again.Removed) != person.MaxRemoved || again.Removed[0].Name != "a5" {
		t.Fatalf("%d removals from %v, %v", len(again.Removed), again.Removed[:1], err)
	}
	if _, got := again.Set("a50", value.True, 49); got != person.Stale {
		t.Errorf("an older write after the removal: %v", got)
	}
	if _, got := again.Set("a1", value.True, 0); got != person.Changed {
		t.Errorf("an older write after a removal that was forgotten: %v", got)
	}
}
