package person_test

import (
	"testing"

	"pgregory.net/rapid"

	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// TestPreferences holds the order of writes of members and of the whole.
func TestPreferences(t *testing.T) {
	t.Parallel()
	const whole, one, two, sms = person.Preferences, person.Preferences + ".topics.topic_1", person.Preferences + ".topics.topic_2", person.Preferences + ".channels.sms"
	type write struct {
		name, v string
		at      int64
		verdict person.Verdict
	}
	tests := []struct {
		name   string
		writes []write
		want   string
		at     int64
	}{
		{"a member of nothing", []write{{one, `false`, 5, person.Changed}}, `{"topics":{"topic_1":false}}`, 5},
		{"text", []write{{one, `"False"`, 5, person.Changed}}, `{"topics":{"topic_1":false}}`, 5},
		{"another member", []write{{one, `false`, 5, person.Changed}, {sms, `true`, 3, person.Changed}}, `{"topics":{"topic_1":false},"channels":{"sms":true}}`, 5},
		{"an older write of a member", []write{{one, `false`, 5, person.Changed}, {one, `true`, 4, person.Stale}}, `{"topics":{"topic_1":false}}`, 5},
		{"the same again", []write{{one, `false`, 5, person.Changed}, {one, `false`, 6, person.Same}}, `{"topics":{"topic_1":false}}`, 6},
		{"an older write than the whole", []write{{whole, `{"topics":{}}`, 5, person.Changed}, {one, `false`, 4, person.Stale}}, `{"topics":{}}`, 5},
		{
			"the whole replaces members",
			[]write{{one, `false`, 5, person.Changed}, {whole, `{"topics":{"topic_2":true}}`, 5, person.Changed}},
			`{"topics":{"topic_2":true}}`, 5,
		},
		{
			"the whole leaves later members",
			[]write{{one, `false`, 7, person.Changed}, {two, `true`, 3, person.Changed}, {whole, `{"topics":{"topic_3":true}}`, 5, person.Changed}},
			`{"topics":{"topic_3":true,"topic_1":false}}`, 7,
		},
		{
			"taking the whole away leaves later members",
			[]write{{whole, `{"topics":{"topic_2":true}}`, 1, person.Changed}, {one, `false`, 7, person.Changed}, {whole, `null`, 5, person.Changed}},
			`{"topics":{"topic_1":false}}`, 7,
		},
		{"a member is taken out", []write{{whole, `{"topics":{"topic_1":true}}`, 1, person.Changed}, {one, `""`, 2, person.Changed}}, `{"topics":{}}`, 2},
		{"and an older write does not bring it back", []write{{whole, `{"topics":{}}`, 1, person.Changed}, {one, `null`, 3, person.Same}, {one, `true`, 2, person.Stale}}, `{"topics":{}}`, 3},
		{"nothing is taken out of nothing", []write{{one, `null`, 3, person.Same}, {one, `true`, 2, person.Stale}}, ``, 0},
		{"what is no object", []write{{whole, `"x"`, 1, person.Changed}, {one, `true`, 2, person.Changed}}, `{"topics":{"topic_1":true}}`, 2},
		{"the removed whole", []write{{whole, `{}`, 1, person.Changed}, {whole, `null`, 4, person.Changed}, {one, `true`, 3, person.Stale}, {one, `true`, 4, person.Changed}, {whole, `{}`, 3, person.Stale}}, `{"topics":{"topic_1":true}}`, 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &person.Document{}
			for _, w := range test.writes {
				set := d.Set
				if of, problem := person.ParsePreference(w.name, value.Value(w.v)); of && problem == "" {
					set = d.SetPreference
				}
				if _, verdict := set(w.name, value.Value(w.v), w.at); verdict != w.verdict {
					t.Errorf("%v: %v", w, verdict)
				}
			}
			if got := string(d.Get(whole)); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			for i := range d.Attributes {
				if at := d.ChangedAt(&d.Attributes[i]); at != test.at {
					t.Errorf("changed at %d, want %d", at, test.at)
				}
			}
		})
	}
}

// TestPreferencesInAnyOrder holds that writes of different times come to the same, however they arrive.
func TestPreferencesInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type write struct {
			name string
			v    value.Value
			at   int64
		}
		var writes []write
		for i := range rapid.IntRange(1, 8).Draw(t, "writes") {
			w := write{person.Preferences, value.Value(rapid.SampledFrom([]string{`{}`, `{"topics":{"topic_1":true,"topic_2":false}}`, `null`}).Draw(t, "whole")), int64(i + 1)}
			if topic := rapid.IntRange(0, 3).Draw(t, "topic"); topic > 0 {
				w.name += ".topics.topic_" + string(rune('0'+topic))
				w.v = value.Value(rapid.SampledFrom([]string{`true`, `false`, `null`}).Draw(t, "member"))
			}
			writes = append(writes, w)
		}
		apply := func(order []write) map[string]string {
			d := &person.Document{}
			for _, w := range order {
				if of, _ := person.ParsePreference(w.name, w.v); of {
					d.SetPreference(w.name, w.v, w.at)
				} else {
					d.Set(w.name, w.v, w.at)
					if w.v.Empty() {
						d.MarkRemoved(w.name, w.at)
					}
				}
			}
			out := map[string]string{}
			for k, v := range d.Get(person.Preferences).Get("topics").Fields() {
				out[k] = string(v)
			}
			return out
		}
		inOrder, other := apply(writes), apply(rapid.Permutation(writes).Draw(t, "order"))
		if len(inOrder) != len(other) {
			t.Fatalf("%v in order, %v else", inOrder, other)
		}
		for k, v := range inOrder {
			if other[k] != v {
				t.Fatalf("%v in order, %v else", inOrder, other)
			}
		}
	})
}

// TestParsePreference holds which members can be written alone.
func TestParsePreference(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, v string
		of, ok  bool
	}{
		{person.Preferences, `{}`, false, true},
		{person.Preferences + "s.topics.topic_1", `true`, false, true},
		{person.Preferences + ".topics.topic_1", `true`, true, true},
		{person.Preferences + ".topics.topic_1", `"FALSE"`, true, true},
		{person.Preferences + ".topics.topic_1", `1`, true, false},
		{person.Preferences + ".topics.topic_1", `{}`, true, false},
		{person.Preferences + ".topics", `true`, true, false},
		{person.Preferences + ".topics.", `true`, true, false},
		{person.Preferences + ".topics.a.b", `true`, true, false},
		{person.Preferences + ".others.a", `true`, true, false},
	} {
		if of, problem := person.ParsePreference(test.name, value.Value(test.v)); of != test.of || (problem == "") != test.ok {
			t.Errorf("%s=%s: %v, %q", test.name, test.v, of, problem)
		}
	}
}
