package journey

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"rapport.example/internal/event"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// TestScripts plays testdata/*.txtar: one person on virtual time. A file holds a campaign and a script of lines
//
//	at 0s event signed_up {"source":"web"}      the person's event; it triggers the campaign that listens to it
//	at 0s set plan "pro"                        an attribute changes; null clears it
//	at 0s enter paying / at 0s leave paying     a segment's member; entering triggers the campaign that waits for it
//	at 72h want send nudge                      what is decided at that moment, in order, nothing left out
//
// A want line may go on with a colon and the beginning of the reason.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			play(t, txtar.Parse(data))
		})
	}
}

func play(t *testing.T, a *txtar.Archive) {
	t.Helper()
	w := world{t: t, attributes: map[string]value.Value{}, facts: map[uint64]person.Fact{}, segments: map[string]bool{}}
	var want []string
	for _, f := range a.Files {
		switch f.Name {
		case "campaign":
			w.c = parseYAML(t, f.Data)
		case "script":
			for line := range strings.Lines(string(f.Data)) {
				if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
					continue
				}
				when, what := moment(t, line)
				if said, ok := strings.CutPrefix(what, "want "); ok {
					want = append(want, fmt.Sprintf("%s %s", clock(when), said))
					continue
				}
				w.run(when)
				w.do(what)
			}
		}
	}
	w.run(100 * 365 * 86_400_000)
	got := slices.Clone(w.got)
	for i := range min(len(got), len(want)) {
		if strings.HasPrefix(got[i], want[i]) {
			got[i] = want[i]
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("decisions (-want +got):\n%s", d)
	}
}

func parseYAML(t *testing.T, data []byte) *Campaign {
	t.Helper()
	j, err := yaml.YAMLToJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	v, err := value.Parse(j)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse(v)
	if err != nil {
		t.Fatalf("Parse() = %v", err)
	}
	return c
}

// start is the virtual time 0s: 2026-01-01.
const start = 1_767_225_600_000

func moment(t *testing.T, line string) (ms int64, what string) {
	t.Helper()
	rest, ok := strings.CutPrefix(line, "at ")
	when, what, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 {
		t.Fatalf("%q is not at TIME WHAT", line)
	}
	if when != "0s" {
		var err error
		if ms, err = segment.ParseDuration(when); err != nil {
			t.Fatal(err)
		}
	}
	return ms, strings.TrimSpace(what)
}

func clock(ms int64) string {
	if ms == 0 {
		return "0s"
	}
	return segment.Duration(ms)
}

// world is the person, and what an engine would keep for them.
type world struct {
	t          *testing.T
	c          *Campaign
	now        int64 // since start
	attributes map[string]value.Value
	facts      map[uint64]person.Fact
	segments   map[string]bool
	entry      person.Entry
	live       []Journey
	ids        int64
	got        []string
}

type view struct {
	*world
	data value.Value
}

func (v view) Attribute(name string) value.Value { return v.attributes[name] }
func (v view) Data() value.Value                 { return v.data }
func (v view) Fact(key uint64) person.Fact       { return v.facts[key] }
func (v view) Member(slug string) bool           { return v.segments[slug] }
func (v view) Devices() []person.Device          { return nil }
func (v view) Related(int64) []object.Link       { return nil }
func (v view) Since() int64                      { return start }

// run fires what is due until then.
func (w *world) run(until int64) {
	w.t.Helper()
	for {
		next := -1
		for i, j := range w.live {
			if j.Due <= start+until && (next < 0 || j.Due < w.live[next].Due) {
				next = i
			}
		}
		if next < 0 {
			w.now = until
			return
		}
		w.now = w.live[next].Due - start
		w.decide(w.live[next], Due)
	}
}

// do carries one script line out.
func (w *world) do(what string) {
	w.t.Helper()
	verb, rest, _ := strings.Cut(what, " ")
	name, arg, _ := strings.Cut(rest, " ")
	switch verb {
	case "event":
		w.happen(name, value.Value(arg))
	case "set":
		w.attributes[name] = value.Value(arg)
		if arg == "null" {
			delete(w.attributes, name)
		}
		w.changed()
	case "enter":
		w.segments[name] = true
		if w.c.Trigger.Segment == name {
			w.begin(nil)
		}
		w.changed()
	case "leave":
		delete(w.segments, name)
		w.changed()
	default:
		w.t.Fatalf("unknown line %q", what)
	}
}

func (w *world) happen(name string, data value.Value) {
	for _, n := range w.c.Conditions() {
		for _, s := range n.Specs() {
			if s.Type == event.Track && s.Name == name && s.Matches(data) {
				f := w.facts[s.Key]
				segment.Observe(&f, start+w.now, s.Keep)
				w.facts[s.Key] = f
			}
		}
	}
	if w.c.Trigger.Event == name && w.c.Trigger.Where.Eval(view{w, data}, start+w.now).Match {
		var ev value.Builder
		ev.Set("name", value.Quote(name)).Set("data", data)
		w.begin(ev.Value())
	}
	w.changed()
}

func (w *world) begin(ev value.Value) {
	w.ids++
	j := Journey{ID: w.ids, Entered: start + w.now, Event: ev}
	w.live = append(w.live, j)
	w.decide(j, Begin)
}

func (w *world) changed() {
	for _, j := range slices.Clone(w.live) {
		w.decide(j, Changed)
	}
}

func (w *world) decide(j Journey, s Stimulus) {
	w.t.Helper()
	before := slices.Clone(j.Visits)
	next, acts := Decide(w.c, j, s, w.entry, view{w, j.Event.Get("data")}, start+w.now)
	if d := cmp.Diff(before, j.Visits); d != "" {
		w.t.Errorf("Decide changed its argument:\n%s", d)
	}
	for _, a := range acts {
		verb := a.Outcome
		switch a.Kind {
		case Enter:
			w.entry.Times, w.entry.Last = w.entry.Times+1, start+w.now
		case Send:
			verb = "send"
			if a.Visit != 1 {
				w.t.Errorf("visit %d of %s, want 1", a.Visit, a.Node)
			}
		case Schedule:
			if a.Due != next.Due && a.Due <= start+w.now {
				w.t.Errorf("due %d, journey says %d", a.Due, next.Due)
			}
		case Trace, End:
		}
		if a.Node != "" {
			verb += " " + a.Node
		}
		if a.Reason == "" || a.Outcome == "" {
			w.t.Errorf("action %+v says nothing for the trace", a)
		}
		w.got = append(w.got, fmt.Sprintf("%s %s: %s", clock(w.now), verb, a.Reason))
	}
	w.live = slices.DeleteFunc(w.live, func(x Journey) bool { return x.ID == j.ID })
	if next.Status != 0 {
		w.live = append(w.live, next)
	}
}
