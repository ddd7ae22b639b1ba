package segment

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"rapport.example/internal/event"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// TestEvalAgainstNaive holds, for random conditions and histories, answers to those of the naive evaluator at every moment
// at which anything could change, and next moments to the next change that the naive evaluator finds: never later, for
// single conditions exact, and never in the past.
func TestEvalAgainstNaive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, h := drawCondition(t, rapid.IntRange(0, 3).Draw(t, "depth")), drawHistory(t)
		doc, err := value.Parse([]byte(c.json))
		if err != nil {
			t.Fatal(err)
		}
		n, err := Parse(doc, "")
		if err != nil {
			t.Fatalf("Parse(%s): %v", c.json, err)
		}
		b, moments := h.body(n), c.moments(h)
		for i, now := range moments {
			want := c.holds(h, now)
			got := n.Eval(b, now)
			if got.Match != want {
				t.Fatalf("Eval(%s) at %s = %v, want %v", c.json, sayStamp(now), got.Match, want)
			}
			change := int64(0)
			for _, m := range moments[i+1:] {
				if c.holds(h, m) != want {
					change = m
					break
				}
			}
			switch {
			case got.Next != 0 && got.Next <= now:
				t.Fatalf("Eval(%s) at %s: next %s is not ahead", c.json, sayStamp(now), sayStamp(got.Next))
			case change != 0 && (got.Next == 0 || got.Next > change):
				t.Fatalf("Eval(%s) at %s: next %s, but it changes at %s", c.json, sayStamp(now), sayStamp(got.Next), sayStamp(change))
			case c.leaf && got.Next != change:
				t.Fatalf("Eval(%s) at %s: next %s, want %s", c.json, sayStamp(now), sayStamp(got.Next), sayStamp(change))
			}
		}
	})
}

// TestOneTimer holds that whoever looks again at each next moment, and at no other, sees every change: that is what the
// engine does.
func TestOneTimer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, h := drawCondition(t, rapid.IntRange(0, 3).Draw(t, "depth")), drawHistory(t)
		doc, err := value.Parse([]byte(c.json))
		if err != nil {
			t.Fatal(err)
		}
		n, err := Parse(doc, "")
		if err != nil {
			t.Fatal(err)
		}
		b, moments := h.body(n), c.moments(h)
		r := n.Eval(b, moments[0])
		looks := 0
		for _, now := range moments {
			for r.Next != 0 && r.Next <= now {
				if looks++; looks > 1000 {
					t.Fatalf("%s: looked again %d times", c.json, looks)
				}
				r = n.Eval(b, r.Next)
			}
			if want := c.holds(h, now); r.Match != want {
				t.Fatalf("%s: at %s believed %v, is %v", c.json, sayStamp(now), r.Match, want)
			}
		}
	})
}

// TestFactsAgainstRebuild holds facts counted one by one, in whatever order events come, to those built from history.
func TestFactsAgainstRebuild(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, h := drawCondition(t, 2), drawHistory(t)
		doc, err := value.Parse([]byte(c.json))
		if err != nil {
			t.Fatal(err)
		}
		n, err := Parse(doc, "")
		if err != nil {
			t.Fatal(err)
		}
		b := h.body(n)
		for _, s := range specsOf(n) {
			var chain []event.Activity
			for _, a := range slices.Backward(h.events) {
				if a.Type == s.Type && a.Name == s.Name {
					chain = append(chain, a)
				}
			}
			want := Rebuild(s, chain)
			got := b.Fact(s.Key)
			got.Key = s.Key
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s: counted (-rebuilt +counted):\n%s", c.json, diff)
			}
			checkFact(t, s, chain, got)
		}
	})
}

// checkFact compares with sorting everything.
func checkFact(t *rapid.T, s FactSpec, chain []event.Activity, got person.Fact) {
	var times []int64
	for _, a := range chain {
		if s.Matches(a.Data) {
			times = append(times, a.At)
		}
	}
	slices.Sort(times)
	slices.Reverse(times)
	want := person.Fact{Key: s.Key, Count: int64(len(times))}
	if len(times) > 0 {
		want.First = times[len(times)-1]
		want.Newest = times[:min(s.Keep, len(times))]
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("fact (-sorted +counted):\n%s", diff)
	}
}
