package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rapport.example/internal/api/app"
	"rapport.example/internal/audience"
	"rapport.example/internal/definition"
	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// held lets jobs of one phase of builds wait at an ordinal until it is opened: before they read documents, or once they have read them.
type held struct {
	*store.DB
	mu    sync.Mutex
	phase definition.BuildState
	from  uint32
	read  bool
	freed chan struct{} // nil = nothing is held

	waiting atomic.Int64 // jobs that are held
	parts   atomic.Int64 // how often history was begun to be counted
}

// hold holds jobs of the phase back, and those of others no longer; read says that they have read their documents then.
func (h *held) hold(phase definition.BuildState, from uint32, read bool) {
	h.open()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase, h.from, h.read, h.freed = phase, from, read, make(chan struct{})
}

func (h *held) open() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.freed != nil {
		close(h.freed)
		h.freed = nil
	}
}

// Documents is part of audience.Source.
func (h *held) Documents(ctx context.Context, ws int64, from, to uint32, each func(uint32, []byte) error) error {
	h.mu.Lock()
	phase, first, read, freed := h.phase, h.from, h.read, h.freed
	h.mu.Unlock()
	if freed == nil || to <= first {
		return h.DB.Documents(ctx, ws, from, to, each)
	}
	now, err := phaseOf(ctx, h.DB, ws)
	if err != nil {
		return err
	}
	if now != phase {
		return h.DB.Documents(ctx, ws, from, to, each)
	}
	wait := func() error {
		h.waiting.Add(1)
		defer h.waiting.Add(-1)
		select {
		case <-freed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if !read {
		if err := wait(); err != nil {
			return err
		}
	}
	if err = h.DB.Documents(ctx, ws, from, to, each); err == nil && read {
		err = wait()
	}
	return err
}

// LastEvent is part of audience.Source.
func (h *held) LastEvent(ctx context.Context, ws int64) (int64, error) {
	h.parts.Add(1)
	return h.DB.LastEvent(ctx, ws)
}

// phaseOf is how far the builds of a workspace are.
func phaseOf(ctx context.Context, db *store.DB, ws int64) (definition.BuildState, error) {
	builds, err := db.SegmentBuilds(ctx, ws)
	for _, b := range builds {
		if b.State != definition.Finished {
			return b.State, err
		}
	}
	return definition.Finished, err
}

// at tells where the sweep stands, and of which phase it is.
func (w *world) at() (phase definition.BuildState, sweep int64) {
	w.t.Helper()
	phase, err := phaseOf(w.t.Context(), w.db, w.ws)
	if err != nil {
		w.t.Fatal(err)
	}
	x, _, err := w.db.Workspace(w.t.Context(), w.ws)
	if err != nil {
		w.t.Fatal(err)
	}
	return phase, x.Sweep
}

// reaches waits until the sweep of a phase stands at an ordinal.
func (w *world) reaches(phase definition.BuildState, sweep int64) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("the sweep of %v stands at %d", phase, sweep), func() bool {
		p, s := w.at()
		return p == phase && s == sweep
	})
}

// unknown lists who of every so many people has a document without the facts that their history gives, of all event conditions of the definitions.
func (w *world) unknown(every uint32) (out []string) {
	w.t.Helper()
	set, _, err := w.db.DefinitionSets(w.t.Context(), w.ws)
	if err != nil {
		w.t.Fatal(err)
	}
	docs, err := w.db.NewestPeople(w.t.Context(), w.ws, 0, 5000)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range docs {
		if d.Ordinal%every != 0 {
			continue
		}
		var history []event.Activity
		if d.LastActivity != 0 {
			history, _, err = w.db.Timeline(w.t.Context(), w.ws, app.ActivityQuery{From: d.LastActivity, Limit: 1000})
			if err != nil {
				w.t.Fatal(err)
			}
		}
		for _, f := range set.Facts() {
			if have, want := d.Fact(f.Key), rebuilt(f.FactSpec, history); !sameFact(have, want, f.Keep) {
				out = append(out, d.ID)
				break
			}
		}
	}
	slices.Sort(out)
	return out
}

func rebuilt(spec segment.FactSpec, history []event.Activity) person.Fact {
	var of []event.Activity
	for _, a := range history {
		if name, ok := a.Chained(); ok && a.Type == spec.Type && name == spec.Name {
			of = append(of, a)
		}
	}
	return segment.Rebuild(spec, of)
}

// sameFact leaves out newest times that nobody asks for any more.
func sameFact(a, b person.Fact, keep int) bool {
	newest := func(f person.Fact) []int64 { return f.Newest[:min(len(f.Newest), keep)] }
	return a.Count == b.Count && a.First == b.First && slices.Equal(newest(a), newest(b))
}

// fromHistory holds memberships to what everybody's stored history says, whatever documents have counted. No condition may refer to another segment.
func (w *world) fromHistory(fail func(format string, v ...any), where string) {
	w.t.Helper()
	op := w.op(ingest.Clock, ingest.ClockPayload{Advance: 1}) // everything due by now has fired
	w.do(op)
	set, _, err := w.db.DefinitionSets(w.t.Context(), w.ws)
	if err != nil {
		w.t.Fatal(err)
	}
	nothing, err := definition.Compile(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	x, _, err := w.db.Workspace(w.t.Context(), w.ws)
	if err != nil {
		w.t.Fatal(err)
	}
	now := op.Received + x.Clock
	for _, seg := range set.Segments() {
		if seg.Manual {
			continue
		}
		want, err := audience.Read(w.t.Context(), w.db, audience.Query{Workspace: w.ws, Set: nothing, Tree: seg.Condition, Now: now})
		if err != nil {
			w.t.Fatal(err)
		}
		preview, err := w.people.Ask(w.t.Context(), audience.Query{Workspace: w.ws, Set: set, Tree: seg.Condition, Now: now})
		if err != nil {
			w.t.Fatal(err)
		}
		members, err := w.db.Membership(w.t.Context(), w.ws, seg.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		if !members.Equals(want.Members) || !preview.Members.Equals(want.Members) {
			fail("%s: %s has %v, a preview finds %v, everybody's history says %v", where, seg.Slug, members, preview.Members, want.Members)
		}
	}
}

// file is a workspace file with these segments, of an id and a condition each.
func segmentsFile(segments ...string) string {
	var b strings.Builder
	b.WriteString("schema: 1\nworkspace: learning\nsegments:\n")
	for i := 0; i < len(segments); i += 2 {
		fmt.Fprintf(&b, "  - {id: %s, conditions: %s}\n", segments[i], segments[i+1])
	}
	return b.String()
}

// few makes twelve people: pN bought N%3 times and was seen N%4 times.
func (w *world) few() {
	w.t.Helper()
	var ops []ingest.Op
	for n := range 12 {
		id := fmt.Sprintf("p%02d", n)
		ops = append(ops, w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: id}, Attributes: parse(w.t, `{"plan":"pro"}`)}))
		for range n % 3 {
			ops = append(ops, w.event(id, "purchase"))
		}
		for range n % 4 {
			ops = append(ops, w.event(id, "seen"))
		}
	}
	w.do(ops...)
}

// TestDocumentsLearn: membership answers before documents have counted what it asks for. They learn it afterwards, one after the other, and
// whoever asks meanwhile is answered from their history. What every document has counted is not looked for again.
func TestDocumentsLearn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		gate := &held{DB: db}
		w := newWorld(t, db, func(w *world) { w.chunk, w.store = 1, gate })
		w.few()
		gate.hold(definition.Finished, 8, true)
		w.apply(segmentsFile("buyers", `{event: purchase, at_least: 2, within: 30d}`))
		w.reaches(definition.Finished, 8)
		if diff := cmp.Diff([]string{"p02", "p05", "p08", "p11"}, w.in("buyers")); diff != "" {
			t.Errorf("buyers while documents learn (-want +got):\n%s", diff)
		}
		w.fromHistory(t.Errorf, "while documents learn")
		if diff := cmp.Diff([]string{"p07", "p08", "p10", "p11"}, w.unknown(1)); diff != "" {
			t.Errorf("who has not learned (-want +got):\n%s", diff)
		}
		w.do(w.event("p10", "purchase"), w.event("p00", "purchase")) // p10 learns with it
		if diff := cmp.Diff([]string{"p02", "p05", "p08", "p10", "p11"}, w.in("buyers")); diff != "" {
			t.Errorf("buyers after a purchase (-want +got):\n%s", diff)
		}
		w.fromHistory(t.Errorf, "after a purchase")
		if got, want := w.why("p10"), []string{"segment buyers entered"}; !slices.Equal(got, want) {
			t.Errorf("why of p10 = %v, want %v", got, want)
		}
		gate.open()
		w.quiet("documents have learned")
		if got := w.unknown(1); len(got) > 0 {
			t.Errorf("%v have not learned", got)
		}
		w.fromHistory(t.Errorf, "after documents have learned")
		gate.hold(definition.Finished, 1, false) // whoever were to learn now would wait
		w.apply(segmentsFile("buyers", `{event: purchase, at_least: 2, within: 30d}`, "again", `{event: purchase, within: 20d}`))
		w.reaches(definition.Finished, 0)
		w.fromHistory(t.Errorf, "without anything to learn")
		w.advance(31 * 24 * time.Hour)
		if got := w.in("buyers"); len(got) > 0 {
			t.Errorf("%v are still in a window of 30 days a month later", got)
		}
	})
}

// TestLearningOvertakesNothing: while documents learn, a moment passes at which somebody would leave, but for an event that is acknowledged
// and still to be applied. They do not leave, whether documents wait for it or learn as of the newest op.
func TestLearningOvertakesNothing(t *testing.T) {
	t.Parallel()
	for name, op := range map[string]bool{"nothing came after the build": false, "an op came after the build": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				gate := &held{DB: db}
				w := newWorld(t, db, func(w *world) { w.chunk, w.store = 1, gate })
				w.few()
				gate.hold(definition.Finished, 1, true)
				w.apply(segmentsFile("buyers", `{event: purchase, within: 1d}`))
				w.reaches(definition.Finished, 1)
				if op {
					w.do(w.event("p03", "other"))
				}
				w.log.stop()
				w.later(23 * time.Hour)
				w.log.append(w.event("p01", "purchase"))
				w.later(2 * time.Hour)
				gate.open()
				if op {
					w.reaches(definition.Finished, 0)
				} else {
					w.turns(200)
				}
				if got := w.why("p01"); len(got) > 0 {
					t.Errorf("%v before the event was applied", got)
				}
				w.log.run()
				w.quiet("documents have learned")
				w.eventually("the others have left", func() bool { return slices.Equal(w.in("buyers"), []string{"p01"}) })
				if got := w.why("p01"); len(got) > 0 {
					t.Errorf("%v, who bought before their day was over", got)
				}
			})
		})
	}
}

// turns waits until the engine has looked at the time so often.
func (w *world) turns(n int) {
	w.t.Helper()
	read := func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }
	until := read().Add(time.Duration(n) * time.Millisecond)
	w.eventually("the engine goes on", func() bool { return read().After(until) })
}

// TestDefinitionsChangeWhileDocumentsLearn: a condition more, one that has gone and come back, and the end of what is built, all while some documents
// have learned and others have not.
func TestDefinitionsChangeWhileDocumentsLearn(t *testing.T) {
	t.Parallel()
	const bought, seen, often = `{event: purchase, at_least: 2, within: 30d}`, `{event: seen, at_least: 3}`, `{event: purchase, at_least: 5, within: 30d}`
	for name, steps := range map[string][]string{
		"a new condition":           {segmentsFile("a", bought), segmentsFile("a", bought, "b", seen)},
		"a larger count":            {segmentsFile("a", bought), segmentsFile("a", bought, "b", often)},
		"another condition":         {segmentsFile("a", bought), segmentsFile("a", seen)},
		"one that comes back":       {segmentsFile("a", bought), segmentsFile("a", seen), segmentsFile("a", bought)},
		"one that stands still":     {segmentsFile("a", bought, "b", seen), strings.Replace(segmentsFile("a", bought, "b", seen), bought, bought+", archived: true", 1)},
		"a name":                    {segmentsFile("a", bought), strings.Replace(segmentsFile("a", bought), "id: a", "id: a, name: Buyers", 1)},
		"a campaign's own question": {segmentsFile("a", bought), segmentsFile("a", bought) + fmt.Sprintf(askingCampaign, seen)},
		"the end of it":             {segmentsFile("a", bought), "schema: 1\nworkspace: learning\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				gate := &held{DB: db}
				w := newWorld(t, db, func(w *world) { w.chunk, w.store = 1, gate })
				w.few()
				for i, file := range steps {
					gate.hold(definition.Finished, uint32(4+2*i), i%2 == 0) //nolint:gosec // few
					w.replace(file)
					w.eventually("memberships are written", func() bool {
						phase, sweep := w.at()
						return phase == definition.Finished && (sweep == 0 || sweep == int64(4+2*i))
					})
					w.fromHistory(t.Errorf, fmt.Sprintf("step %d", i))
				}
				gate.open()
				w.quiet("documents have learned")
				w.fromHistory(t.Errorf, "in the end")
				if got := w.unknown(1); len(got) > 0 {
					t.Errorf("%v have not learned", got)
				}
			})
		})
	}
}

// replace applies a workspace file as the whole of the definitions.
func (w *world) replace(yaml string) {
	w.t.Helper()
	w.do(w.replacing(yaml))
}

func (w *world) replacing(yaml string) ingest.Op {
	w.t.Helper()
	doc, err := definition.ParseFile("test.yaml", []byte(yaml))
	if err != nil {
		w.t.Fatal(err)
	}
	rows, err := w.db.CurrentDefinitions(w.t.Context(), w.ws, "")
	if err != nil {
		w.t.Fatal(err)
	}
	plan := definition.Diff(rows, doc, true)
	return w.op(ingest.Define, plan.Payload())
}

// TestLearningFromScratch is TestBuildsFromScratch with some documents learning only when everything else is over: what happens meanwhile
// meets people of whom some know what was counted and others do not.
func TestLearningFromScratch(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		gate := &held{DB: db}
		w := newWorld(t, db, func(w *world) { w.chunk, w.store = 1, gate })
		rapid.Check(t, func(rt *rapid.T) {
			ws, err := db.CreateWorkspace(t.Context(), "", 0)
			if err != nil {
				t.Fatal(err)
			}
			w.ws = ws.ID
			gate.hold(definition.Finished, uint32(rapid.IntRange(1, 4).Draw(rt, "held from")), rapid.Bool().Draw(rt, "read before")) //nolint:gosec // few
			x := &random{world: w, rt: rt, gate: gate}
			x.define()
			for range rapid.IntRange(2, 8).Draw(rt, "frames") {
				x.frame()
			}
			x.check()
			gate.open()
			x.gate = nil
			x.check()
			if got := w.unknown(1); len(got) > 0 {
				rt.Fatalf("%v have not learned\n%s", got, strings.Join(x.said, "\n"))
			}
		})
	})
}

const (
	crowded    = 1700      // people, so many that their history is counted from everybody's events
	littleRoom = 1_000_000 // bytes, for 425 of them
)

// crowded makes people who bought and were seen some times each within the last forty days.
func (w *world) crowded() {
	w.t.Helper()
	for first := 0; first < crowded; first += 425 {
		var ops []ingest.Op
		for n := first; n < first+425; n++ {
			by := ingest.By{ID: fmt.Sprintf("p%04d", n)}
			ops = append(ops, w.op(ingest.Identify, ingest.IdentifyPayload{By: by, Attributes: parse(w.t, fmt.Sprintf(`{"n":%d}`, n%5))}))
			for i := range n % 4 {
				ago := time.Duration(n*7+i*11) % (40 * 24) * time.Hour
				ops = append(ops, w.op(ingest.Event, ingest.EventPayload{
					By: by, Type: 1, Name: [...]string{"purchase", "seen"}[(n+i)%2], Timestamp: epoch.Add(-ago).Unix(), Data: parse(w.t, fmt.Sprintf(`{"kind":%d}`, (n+i)%3)),
				}))
			}
		}
		w.do(ops...)
	}
}

// TestHistoryIsCountedInParts builds segments over people whose history has to be counted in several parts, while some of them change and time
// passes: before they are asked, between that and what they learn, and in the middle of it.
func TestHistoryIsCountedInParts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		gate := &held{DB: db}
		w := newWorld(t, db, func(w *world) { w.store, w.chunk, w.room = gate, 200, littleRoom })
		w.crowded()
		most := int64(0)
		rapid.Check(t, func(rt *rapid.T) {
			x, before := &random{world: w, rt: rt}, gate.parts.Load()
			while := rapid.SampledFrom([]definition.BuildState{definition.AskPeople, definition.Finished}).Draw(rt, "held while")
			from := uint32(rapid.IntRange(1, crowded).Draw(rt, "held from")) //nolint:gosec // few
			read := rapid.Bool().Draw(rt, "read before")
			x.say("%v held from %d, read before %v", while, from, read)
			gate.hold(while, from, read)
			x.askMany()
			w.eventually("it is held, or over", func() bool {
				_, sweep := w.at()
				return sweep == 0 || gate.waiting.Load() > 0
			})
			for range rapid.IntRange(0, 4).Draw(rt, "frames") {
				x.amongMany()
			}
			gate.open()
			w.eventually("documents have learned", w.settled)
			w.fromHistory(func(format string, v ...any) { rt.Fatalf(format+"\n%s", append(v, strings.Join(x.said, "\n"))...) }, "in the end")
			if got := w.unknown(uint32(rapid.IntRange(20, 40).Draw(rt, "every"))); len(got) > 0 { //nolint:gosec // few
				rt.Fatalf("%d have not learned, %s among them\n%s", len(got), got[0], strings.Join(x.said, "\n"))
			}
			most = max(most, gate.parts.Load()-before)
		})
		if most < 6 {
			t.Errorf("history was counted in %d parts, for a build and for what documents learn, want at least three of each", most)
		}
	})
}

// askMany replaces all segments by others, on events of some kinds. A campaign may ask for events, too.
func (x *random) askMany() {
	var segments []string
	for i := range rapid.IntRange(0, 3).Draw(x.rt, "segments") {
		c := fmt.Sprintf("{event: %s, ", x.pick("name", "purchase", "seen")) + x.pick("often", "at_least: 1", "at_least: 2", "at_most: 1", "not_performed: true")
		c += x.pick("within", "", ", within: 1d", ", within: 20d", ", within: 30d") + x.pick("where", "", ", where: {property: kind, is: 1}", ", where: {property: kind, less: 2}", ", where: {property: kind, greater: 0}") + "}"
		segments = append(segments, fmt.Sprintf("s%d", i), x.pick("beside", c, "{all: ["+c+", {attribute: n, at_least: 2}]}"))
	}
	campaign := x.pick("campaign", "", fmt.Sprintf(askingCampaign, "{event: seen, at_least: 2}"), fmt.Sprintf(askingCampaign, "{event: purchase, at_most: 1, where: {property: kind, is: 1}}"))
	x.say("segments %v %s", segments, campaign)
	x.replace(segmentsFile(segments...) + campaign)
}

const askingCampaign = "campaigns:\n  - {id: c, name: C, state: running, trigger: {event: x}, filter: %s, workflow: [{id: wait, delay: 1d}]}\n"

// amongMany draws what happens to some of many people. It happens at full hours, so that no answer changes while they are compared.
func (x *random) amongMany() {
	hour := x.workspaceNow() / 3600_000
	by := func() ingest.By {
		return ingest.By{ID: fmt.Sprintf("p%04d", rapid.IntRange(0, crowded-1).Draw(x.rt, "who"))}
	}
	var ops []ingest.Op
	for range rapid.IntRange(1, 6).Draw(x.rt, "ops") {
		who := by()
		switch what := x.pick("what", "event", "event", "event", "identify", "merge", "delete", "clock", "define"); what {
		case "event":
			pl := ingest.EventPayload{By: who, Type: 1, Name: x.pick("name", "purchase", "seen"), Data: parse(x.t, x.pick("data", `{"kind":0}`, `{"kind":1}`, `{"kind":2}`))}
			pl.Timestamp = (hour - int64(rapid.IntRange(0, 700).Draw(x.rt, "hours back"))) * 3600
			x.say("%s %s %s at %d", who.ID, pl.Name, pl.Data, pl.Timestamp)
			ops = append(ops, x.op(ingest.Event, pl))
		case "identify":
			ops = append(ops, x.op(ingest.Identify, ingest.IdentifyPayload{By: who, Attributes: parse(x.t, x.pick("n", `{"n":1}`, `{"n":3}`))}))
			x.say("identify %s", who.ID)
		case "merge":
			into := by()
			ops = append(ops, x.op(ingest.Merge, ingest.MergePayload{Primary: into, Secondary: who}))
			x.say("merge %s into %s", who.ID, into.ID)
		case "delete":
			ops = append(ops, x.op(ingest.Delete, ingest.PersonPayload{By: who}))
			x.say("delete %s", who.ID)
		case "clock":
			hours := rapid.SampledFrom([]int64{1, 24, 24 * 5}).Draw(x.rt, "hours")
			ops = append(ops, x.op(ingest.Clock, ingest.ClockPayload{Advance: hours * 3600_000}))
			x.say("clock +%dh", hours)
		default:
			x.do(ops...)
			ops = nil
			x.askMany()
		}
	}
	x.do(ops...)
}
