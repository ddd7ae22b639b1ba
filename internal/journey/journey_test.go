package journey

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/fault"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

func parseJSON(t testing.TB, doc string) *Campaign {
	t.Helper()
	c, err := Parse(value.Value(doc))
	if err != nil {
		t.Fatalf("Parse() = %v", err)
	}
	return c
}

const twoSteps = `{"id":"c","state":"running","frequency":"every_time","trigger":{"event":"go"},"workflow":[{"id":"w","delay":"1d"},{"id":"x","exit":true}]}`

func TestDefaults(t *testing.T) {
	t.Parallel()
	c := parseJSON(t, `{"id":"c","trigger":{"enters_segment":"s"},"workflow":[{"id":"w","delay":"1d"}],"_actions":{"w":7,"gone":3}}`)
	if c.State != Draft || !c.Once || c.Trigger.Current || c.Name != "c" || c.Type() != "segment" || c.Filter != nil {
		t.Errorf("Parse() = %+v", c)
	}
	if n, ok := c.Node("w"); !ok || n.ActionID != 7 || n.Delay != 86_400_000 || n.Path != "workflow[0]" {
		t.Errorf("Node(w) = %+v, %t", n, ok)
	}
	if _, ok := c.Node("gone"); ok {
		t.Error("Node(gone) exists")
	}
	if _, ok := c.Email("w"); ok || len(c.Emails()) != 0 || len(c.Conditions()) != 0 {
		t.Error("a delay counts as email")
	}
	if c := parseJSON(t, twoSteps); c.Type() != "event" {
		t.Errorf("Type() = %s, want event", c.Type())
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		`[]`: "a campaign must be a mapping",
		`{"id":"c","trigger":{"event":"go"},"workflow":[{"id":"a","exit":true}],"stat":"running"}`:               "stat: unknown key, did you mean state?",
		`{"id":"c","trigger":{"event":""},"workflow":[{"id":"a","exit":true}]}`:                                  "trigger.event: must be an event's name of 1 to 100 bytes",
		`{"id":"c","name":5,"trigger":{"event":"go"},"workflow":[{"id":"a","exit":true}]}`:                       "name: must be text",
		`{"id":"c","trigger":{"event":"go"},"workflow":[{"id":"a","exit":true}],"_actions":{"a":"x"}}`:           "_actions: must hold whole numbers",
		`{"id":"c","trigger":{"event":"go"},"workflow":["a"]}`:                                                   "workflow[0]: must be a mapping with id and one of email, delay, branch, exit",
		`{"id":"c","trigger":{"event":"go"},"workflow":[{"id":"a","branch":[5]}]}`:                               "workflow[0].branch[0]: must be a mapping with if and then, or with else",
		`{"id":"c","trigger":{"event":"go"},"filter":{"attribute":"x"},"workflow":[{"id":"a","exit":true}]}`:     "filter: says nothing about attribute",
		`{"id":"c","trigger":{"event":"go"},"workflow":[` + deep(MaxDepth+1) + `]}`:                              "branches nest deeper than 12 levels",
		`{"id":"c","trigger":{"event":"go"},"workflow":[` + strings.Repeat(`{"id":"a","exit":true},`, 2) + `5]}`: "workflow[1].id: a is the id of another step",
	} {
		_, err := Parse(value.Value(doc))
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%.80s) = %v, want %s", doc, err, want)
		}
	}
}

// deep nests branches.
func deep(n int) string {
	s := ""
	for i := range n {
		s = `{"id":"b` + strings.Repeat("x", i) + `","branch":[{"if":{"attribute":"x","exists":true},"then":[` + s + `]}]}`
	}
	return s
}

// TestNothingToDo: a stimulus that does not concern the journey changes and says nothing.
func TestNothingToDo(t *testing.T) {
	t.Parallel()
	c := parseJSON(t, twoSteps)
	subj := view{world: &world{}}
	for name, x := range map[string]struct {
		j    Journey
		what Stimulus
		now  int64
	}{
		"changed while waiting": {Journey{Status: Waiting, Node: "w", Due: 10}, Changed, 5},
		"due too early":         {Journey{Status: Waiting, Node: "w", Due: 10}, Due, 9},
		"begun already":         {Journey{Status: Waiting, Node: "w", Due: 10}, Begin, 20},
		"not begun":             {Journey{}, Due, 20},
	} {
		next, acts := Decide(c, x.j, x.what, person.Entry{}, subj, x.now)
		if diff := cmp.Diff(x.j, next); diff != "" || len(acts) != 0 {
			t.Errorf("%s: Decide() = %+v, actions %+v, want nothing", name, next, acts)
		}
	}
	next, acts := Decide(c, Journey{Status: Waiting, Node: "elsewhere", Due: 10}, Due, person.Entry{}, subj, 10)
	if next.Status != 0 || len(acts) != 1 || acts[0].Kind != End || acts[0].Outcome != "exited" {
		t.Errorf("a step that is not there: %+v %+v, want an exit", next, acts)
	}
}

func TestDetail(t *testing.T) {
	t.Parallel()
	c := parseJSON(t, `{"id":"c","state":"running","trigger":{"event":"go"},"filter":{"all":[{"attribute":"a","is":"x"},{"any":[{"attribute":"b","is":1},{"attribute":"d","exists":true}]}]},"workflow":[{"id":"w","delay":"1d"}]}`)
	w := &world{attributes: map[string]value.Value{"a": value.Value(`"x"`)}}
	next, acts := Decide(c, Journey{ID: 1}, Begin, person.Entry{}, view{world: w}, start)
	if next.Status != Retrying || next.Due != start+RetryFor || len(acts) != 1 || acts[0].Kind != Schedule || acts[0].Due != next.Due {
		t.Fatalf("Decide() = %+v %+v, want a retry", next, acts)
	}
	const detail = `[{"condition":"all of","true":false},{"condition":"a is \"x\"","value":"\"x\"","true":true},{"condition":"any of","true":false},` +
		`{"condition":"b is 1","value":"not set","true":false},{"condition":"d is set","value":"not set","true":false}]`
	if diff := cmp.Diff(detail, string(acts[0].Detail)); diff != "" {
		t.Errorf("Detail (-want +got):\n%s", diff)
	}
	const reason = `the filter is not met yet: b is 1: false (not set); d is set: false (not set); it is looked at again`
	if !strings.HasPrefix(acts[0].Reason, reason) {
		t.Errorf("Reason = %s, want %s…", acts[0].Reason, reason)
	}
}

func TestDecisive(t *testing.T) {
	t.Parallel()
	line := func(depth int, s string, match bool) segment.Line {
		return segment.Line{Depth: depth, Sentence: s, Match: match}
	}
	for name, c := range map[string]struct {
		lines []segment.Line
		want  []int
	}{
		"leaf":       {[]segment.Line{line(0, "x", false)}, []int{0}},
		"all false":  {[]segment.Line{line(0, "all of", false), line(1, "x", true), line(1, "y", false)}, []int{2}},
		"any true":   {[]segment.Line{line(0, "any of", true), line(1, "x", true), line(1, "y", false)}, []int{1}},
		"none false": {[]segment.Line{line(0, "none of", false), line(1, "x", true), line(1, "y", false)}, []int{1}},
		"none true":  {[]segment.Line{line(0, "none of", true), line(1, "x", false), line(1, "y", false)}, []int{1, 2}},
		"nested":     {[]segment.Line{line(0, "all of", false), line(1, "none of", false), line(2, "x", true), line(2, "y", false), line(1, "z", true)}, []int{2}},
	} {
		if diff := cmp.Diff(c.want, decisive(c.lines, 0)); diff != "" {
			t.Errorf("%s: decisive() (-want +got):\n%s", name, diff)
		}
	}
}

// FuzzParse: no document makes Parse panic, and what it takes can be walked to an end.
func FuzzParse(f *testing.F) {
	f.Add([]byte(twoSteps))
	f.Add([]byte(`{"id":"c","state":"running","trigger":{"event":"go"},"workflow":[` + deep(3) + `]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := value.Parse(data)
		if err != nil {
			return
		}
		c, err := Parse(doc)
		if err != nil {
			return
		}
		now := int64(start)
		j, _ := Decide(c, Journey{ID: 1}, Begin, person.Entry{}, view{world: &world{}}, now)
		for range MaxNodes + 2 {
			if j.Status == 0 {
				return
			}
			now = j.Due
			j, _ = Decide(c, j, Due, person.Entry{}, view{world: &world{}}, now)
		}
		t.Fatalf("the journey does not end: %+v", j)
	})
}

func BenchmarkDecide(b *testing.B) {
	c := parseJSON(b, twoSteps)
	subj := view{world: &world{}}
	b.ReportAllocs()
	for b.Loop() {
		Decide(c, Journey{ID: 1}, Begin, person.Entry{}, subj, start)
	}
}
