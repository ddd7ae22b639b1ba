package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/audience"
	"rapport.example/internal/definition"
	"rapport.example/internal/engine"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// buildFile is a workspace file with a segment of buyers, one that depends on it, and campaigns for the people of the first: one for those who
// are new, one for those who are there as well.
func buildFile(buyers string) string {
	return `schema: 1
workspace: builds
segments:
  - {id: buyers, conditions: ` + buyers + `}
  - {id: pros, conditions: {all: [{segment: buyers}, {attribute: plan, is: pro}]}}
campaigns:
  - {id: news, name: News, state: running, trigger: {enters_segment: buyers}, frequency: every_time, workflow: [{id: wait, delay: 1d}]}
  - {id: everyone, name: Everyone, state: running, trigger: {enters_segment: buyers, audience: current_and_new}, frequency: every_time, workflow: [{id: wait, delay: 1d}]}
`
}

const (
	oneBought = `{event: purchase, within: 30d}`
	seenTwice = `{any: [{event: purchase, at_least: 2}, {event: seen, at_least: 2, within: 20d}]}`
)

// begun counts how often the person has begun each campaign.
func (w *world) begun(by string) map[string]int {
	out := map[string]int{}
	for _, line := range w.why(by) {
		if c, ok := strings.CutSuffix(line, " started"); ok && !strings.HasSuffix(c, " not") {
			out[strings.TrimPrefix(c, "campaign ")]++
		}
	}
	return out
}

// quiet waits until nothing is being built and nobody is to begin a campaign.
func (w *world) quiet(what string) {
	w.t.Helper()
	w.eventually(what, w.settled)
}

// in lists who is in a segment, by id.
func (w *world) in(slug string) []string {
	w.t.Helper()
	rows, err := w.db.CurrentDefinitions(w.t.Context(), w.ws, definition.Segments)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, r := range rows {
		if r.Slug != slug {
			continue
		}
		members, err := w.db.Members(w.t.Context(), w.ws, r.ID, 0, 1000)
		if err != nil {
			w.t.Fatal(err)
		}
		docs, err := w.db.ReadPeople(w.t.Context(), w.ws, members)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, o := range members {
			out = append(out, docs[o].ID)
		}
	}
	slices.Sort(out)
	return out
}

// crowd makes people: bN bought N times, sN was seen N times, in two plans.
func (w *world) crowd() {
	w.t.Helper()
	var ops []ingest.Op
	for _, id := range []string{"b0", "b1", "b2", "s1", "s2", "x1", "x2"} {
		plan := "free"
		if id[1] == '2' {
			plan = "pro"
		}
		ops = append(ops, w.op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{ID: id}, Attributes: parse(w.t, fmt.Sprintf(`{"plan":%q}`, plan))}))
		for range int(id[1] - '0') {
			ops = append(ops, w.event(id, map[byte]string{'b': "purchase", 's': "seen", 'x': "other"}[id[0]]))
		}
	}
	w.do(ops...)
}

func (w *world) event(by, name string) ingest.Op {
	return w.op(ingest.Event, ingest.EventPayload{By: ingest.By{ID: by}, Type: 1, Name: name})
}

// TestBuild builds a new segment and an edited one over people who are there already. The old membership answers until the new one is
// complete, and its dependent changes with it; campaigns begin for whom they want; states are told.
func TestBuild(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var err error
		gate := &gated{DB: db}
		w := newWorld(t, db, func(w *world) { w.chunk, w.store = 1, gate })
		w.crowd()
		w.apply(buildFile(oneBought))
		w.quiet("the first build")
		if diff := cmp.Diff([]string{"b1", "b2"}, w.in("buyers")); diff != "" {
			t.Errorf("buyers (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]int{"everyone": 1}, w.begun("b1")); diff != "" {
			t.Errorf("campaigns of b1, who bought before (-want +got):\n%s", diff)
		}
		gate.shut()
		w.apply(buildFile(seenTwice))
		w.do(w.event("s1", "seen"))     // enters what is built, by something new
		w.do(w.event("b0", "purchase")) // enters what answers, but not what is built
		if diff := cmp.Diff([]string{"b0", "b1", "b2"}, w.in("buyers")); diff != "" {
			t.Errorf("buyers while the new condition is built (-want +got):\n%s", diff)
		}
		var builds []definition.Build
		w.eventually("everybody is asked, behind the gate", func() bool {
			builds, err = db.SegmentBuilds(t.Context(), w.ws)
			return err != nil || len(builds) > 0 && builds[0].State == definition.AskPeople
		})
		if err != nil || len(builds) != 2 || builds[0].State >= definition.Finished || builds[1].State != builds[0].State {
			t.Errorf("builds = %+v, %v, want both under way", builds, err)
		}
		w.apply(strings.Replace(buildFile(seenTwice), "name: News", "name: Other news", 1)) // nothing that the build would not know
		if again, err := db.SegmentBuilds(t.Context(), w.ws); err != nil || !cmp.Equal(builds, again) {
			t.Errorf("builds after a campaign was renamed = %+v, %v, want %+v", again, err, builds)
		}
		gate.open()
		w.quiet("the second build")
		if diff := cmp.Diff([]string{"b2", "s1", "s2"}, w.in("buyers")); diff != "" {
			t.Errorf("buyers of the new condition (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"b2", "s2"}, w.in("pros")); diff != "" {
			t.Errorf("pros of the new condition (-want +got):\n%s", diff)
		}
		for id, want := range map[string]map[string]int{
			"b0": {"news": 1, "everyone": 1}, // entered what answered then
			"b1": {"everyone": 1}, "b2": {"everyone": 1},
			"s1": {"news": 1, "everyone": 1}, // has entered since
			"s2": {"everyone": 1},            // was there already
			"x2": {},
		} {
			if diff := cmp.Diff(want, w.begun(id)); diff != "" {
				t.Errorf("campaigns of %s (-want +got):\n%s", id, diff)
			}
		}
		w.advance(21 * 24 * time.Hour)
		if diff := cmp.Diff([]string{"b2"}, w.in("buyers")); diff != "" {
			t.Errorf("buyers three weeks later (-want +got):\n%s", diff)
		}
	})
}

// TestCountsOverTime notes by the hour how many are in a segment: a count for each change, none while nothing changes, and the one
// that held when the time that is asked for began.
func TestCountsOverTime(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply("schema: 1\nworkspace: counts\nsegments:\n  - {id: buyers, conditions: {event: purchase, within: 3h}}\n")
		rows, err := db.CurrentDefinitions(t.Context(), w.ws, definition.Segments)
		if err != nil {
			t.Fatal(err)
		}
		counts := func(since int64) (out []int64) {
			all, err := db.SegmentCounts(t.Context(), w.ws, rows[0].ID, since, 1<<60, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range all {
				if c.At%time.Hour.Milliseconds() != 0 {
					t.Errorf("%d is no hour", c.At)
				}
				out = append(out, c.People)
			}
			return out
		}
		w.eventually("a first count", func() bool { return slices.Equal(counts(0), []int64{0}) })
		w.do(w.event("1", "purchase"), w.event("2", "purchase"))
		w.advance(time.Hour)
		w.eventually("the hour with two", func() bool { return slices.Equal(counts(0), []int64{0, 2}) })
		w.advance(time.Hour)
		w.advance(2 * time.Hour)
		w.eventually("the hour without any", func() bool { return slices.Equal(counts(0), []int64{0, 2, 0}) })
		if got, want := counts(epoch.Add(90*time.Minute).UnixMilli()), []int64{2, 0}; !slices.Equal(got, want) {
			t.Errorf("counts since the second hour = %v, want %v", got, want)
		}
		w.do(w.op(ingest.Define, ingest.DefinePayload{Delete: []ingest.Definition{{Kind: definition.Segments, Slug: "buyers"}}}))
		if got := counts(0); len(got) != 0 {
			t.Errorf("counts of a deleted segment = %v", got)
		}
	})
}

// gated holds jobs of builds back: they read nobody while it is shut.
type gated struct {
	*store.DB
	mu     sync.Mutex
	closed bool
}

var errShut = errors.New("the gate is shut")

func (g *gated) shut() { g.mu.Lock(); g.closed = true; g.mu.Unlock() }
func (g *gated) open() { g.mu.Lock(); g.closed = false; g.mu.Unlock() }

// Documents is part of audience.Source.
func (g *gated) Documents(ctx context.Context, ws int64, from, to uint32, each func(uint32, []byte) error) error {
	g.mu.Lock()
	shut := g.closed
	g.mu.Unlock()
	if shut {
		return errShut
	}
	return g.DB.Documents(ctx, ws, from, to, each)
}

// dying loses its process at a transaction: before it, or after its commit. Nothing comes through from then on.
type dying struct {
	*store.DB
	mu        sync.Mutex
	left      int  // transactions until the crash; negative = never
	committed bool // the last one is committed
	dead      bool
}

var errDead = errors.New("the process is gone")

// Transact is part of engine.Store.
func (c *dying) Transact(ctx context.Context, lease engine.Lease, fn func(engine.Tx) error) error {
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return errDead
	}
	now := c.left == 0
	c.left--
	c.dead = now
	c.mu.Unlock()
	if now && !c.committed {
		return errDead
	}
	if err := c.DB.Transact(ctx, lease, fn); err != nil || !now {
		return err
	}
	return errDead
}

func (c *dying) crashAt(n int, committed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.committed = n, committed
}

func (c *dying) crashed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

// TestBuildsSurviveCrashes kills the process at every transaction of an edit of a segment that another one refers to and campaigns begin
// with, and of what follows until documents know what was counted, before it and after its commit. Until the new membership takes its place
// the old one answers, also after the restart; then everybody is where their whole history says, and nobody has begun a campaign twice
// or wrongly.
func TestBuildsSurviveCrashes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, func(w *world) { w.chunk = 1 })
		asking, learning := 0, 0 // crashes
		for n, done := 0, false; !done; n++ {
			for _, committed := range []bool{false, true} {
				over, phase, sweep := w.crash(n, committed)
				switch {
				case over:
					done = true
				case phase == definition.AskPeople:
					asking++
				case phase == definition.Finished && sweep > 1:
					learning++
				}
			}
			if n > 200 {
				t.Fatal("the build does not end")
			}
		}
		if asking == 0 || learning == 0 {
			t.Errorf("%d crashes while people were asked, %d while documents learned, want both", asking, learning)
		}
	})
}

// crash runs a workspace's life with a crash at the n-th transaction of its build, and reports whether it was over before, and else where
// that stood.
func (w *world) crash(n int, committed bool) (over bool, phase definition.BuildState, sweep int64) {
	w.t.Helper()
	const dependent = "  - {id: pronews, name: For pros, state: running, trigger: {enters_segment: pros}, frequency: every_time, workflow: [{id: wait, delay: 1d}]}\n"
	ws, err := w.db.CreateWorkspace(w.t.Context(), "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	w.ws = ws.ID
	w.crowd()
	w.apply(buildFile(oneBought) + dependent)
	w.quiet("the first build")
	w.eng.Stop()
	c := &dying{DB: w.db, left: -1}
	w.store = c
	w.start()
	w.do(w.event("x1", "other"))
	c.crashAt(n, committed)
	doc, err := definition.ParseFile("test.yaml", []byte(buildFile(seenTwice)+dependent))
	if err != nil {
		w.t.Fatal(err)
	}
	plan := definition.Diff(nil, doc, false)
	where := fmt.Sprintf("crash at transaction %d, committed %v", n, committed)
	w.log.append(w.op(ingest.Define, plan.Payload()))
	last := w.log.append(w.event("s1", "seen"), w.event("b0", "purchase"), w.event("x2", "seen"), w.event("x2", "seen"))
	w.eventually("a crash, or the end", func() bool {
		w.oldOrNew(where)
		at, ok := w.eng.Applied(0)
		return c.crashed() || ok && at >= last && w.settled()
	})
	over = !c.crashed()
	w.eng.Stop()
	w.oldOrNew(where)
	phase, sweep = w.at()
	w.store = w.db
	w.start()
	w.eventually("the build after the restart", func() bool {
		w.oldOrNew(where)
		at, ok := w.eng.Applied(0)
		return ok && at >= last && w.settled()
	})
	for slug, want := range map[string][]string{"buyers": {"b2", "s1", "s2", "x2"}, "pros": {"b2", "s2", "x2"}} {
		if diff := cmp.Diff(want, w.in(slug)); diff != "" {
			w.t.Errorf("%s: %s (-want +got):\n%s", where, slug, diff)
		}
	}
	w.sameAsScan(where)
	if got := w.unknown(1); len(got) > 0 {
		w.t.Errorf("%s: %v have not learned", where, got)
	}
	for id, want := range map[string]map[string]int{
		"b1": {"everyone": 1}, "b2": {"everyone": 1}, "s2": {"everyone": 1}, "x1": {},
		"s1": {"everyone": 1, "news": 1}, "x2": {"everyone": 1, "news": 1, "pronews": 1}, // have entered since
	} {
		if diff := cmp.Diff(want, w.begun(id)); diff != "" {
			w.t.Errorf("%s: campaigns of %s (-want +got):\n%s", where, id, diff)
		}
	}
	return over, phase, sweep
}

// oldOrNew holds what answers while a segment and its dependent are edited to be the old membership of both or the new one of both.
func (w *world) oldOrNew(where string) {
	w.t.Helper()
	answers := func() (in [2]string, building bool) {
		builds, err := w.db.SegmentBuilds(w.t.Context(), w.ws)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, b := range builds {
			building = building || b.State != definition.Finished
		}
		return [2]string{fmt.Sprint(w.in("buyers")), fmt.Sprint(w.in("pros"))}, building
	}
	got, building := answers()
	if again, still := answers(); again != got || building != still { // it changed between two questions
		return
	}
	old := got[1] == "[b2]" && (got[0] == "[b1 b2]" || got[0] == "[b0 b1 b2]")
	if isNew := got[1] == "[b2 s2]" && (got[0] == "[b2 s2]" || got[0] == "[b2 s1 s2]") || got == [2]string{"[b2 s1 s2 x2]", "[b2 s2 x2]"}; old == isNew || building && isNew {
		w.t.Errorf("%s: buyers and pros are %v, building %v", where, got, building)
	}
}

// settled reports whether no build is under way, documents have learned everything, nobody is to begin a campaign and nobody to be looked at
// because of objects.
func (w *world) settled() bool {
	_, sweep := w.at()
	return sweep == 0 && w.nobodyWaits()
}

// nobodyWaits reports whether nobody is to begin a campaign or to be looked at because of objects.
func (w *world) nobodyWaits() bool {
	n, err := w.db.Waiting(w.t.Context(), w.ws)
	if err != nil {
		w.t.Fatal(err)
	}
	return n == 0
}

// sameAsScan holds memberships to what everybody's document and history say.
func (w *world) sameAsScan(where string) {
	w.t.Helper()
	set, _, err := w.db.DefinitionSets(w.t.Context(), w.ws)
	if err != nil {
		w.t.Fatal(err)
	}
	x, _, err := w.db.Workspace(w.t.Context(), w.ws)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, seg := range set.Segments() {
		q := audience.Query{Workspace: w.ws, Set: set, Tree: seg.Condition, Now: x.Now(w.clock())}
		got, err := audience.Read(w.t.Context(), w.db, q)
		if err != nil {
			w.t.Fatal(err)
		}
		members, err := w.db.Membership(w.t.Context(), w.ws, seg.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		if !members.Equals(got.Members) {
			w.t.Errorf("%s: %s has %v, a scan finds %v", where, seg.Slug, members, got.Members)
		}
	}
}

// TestArchive: an archived segment stands still and nothing may refer to it; without archived it is built anew.
func TestArchive(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, func(w *world) { w.chunk = 1 })
		w.crowd()
		file := func(rest string) string {
			return "schema: 1\nworkspace: a\nsegments:\n  - {id: buyers, conditions: {event: purchase, within: 30d}" + rest + "}\n"
		}
		w.apply(file(""))
		w.quiet("the first build")
		w.apply(file(", archived: true"))
		w.do(w.event("x1", "purchase"))
		if diff := cmp.Diff([]string{"b1", "b2"}, w.in("buyers")); diff != "" {
			t.Errorf("buyers of an archived segment (-want +got):\n%s", diff)
		}
		rows, err := db.CurrentDefinitions(t.Context(), w.ws, "")
		if err != nil {
			t.Fatal(err)
		}
		body := parse(t, `{"id":"others","conditions":{"not_segment":"buyers"}}`)
		err = definition.Check(rows, ingest.DefinePayload{Put: []ingest.Definition{{Kind: definition.Segments, Slug: "others", Body: body}}})
		if err == nil || !strings.Contains(err.Error(), "buyers is archived") {
			t.Errorf("a reference to an archived segment: %v", err)
		}
		w.apply(file(""))
		w.quiet("the build after the archive")
		if diff := cmp.Diff([]string{"b1", "b2", "x1"}, w.in("buyers")); diff != "" {
			t.Errorf("buyers after the archive (-want +got):\n%s", diff)
		}
	})
}

// TestBuildsArmOnce builds segments one after the other: whoever has a timer that fires before a new one would gets no other, and everybody
// TestBuildsArmOnce builds segments one after the other: whoever has a timer that fires before a new one would gets no other, and all
// leave at their moment.
func TestBuildsArmOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, func(w *world) { w.chunk = 1 })
		w.crowd() // b1 and b2 have bought: their documents learn of it with the first build and arm a timer of their own
		file := "schema: 1\nworkspace: armed\nsegments:\n"
		for n, add := range []struct{ days, timers int }{{30, 4}, {40, 4}, {31, 4}, {10, 6}, {20, 6}} {
			file += fmt.Sprintf("  - {id: s%d, conditions: {event: purchase, within: %dd}}\n", add.days, add.days)
			w.replace(file)
			w.quiet("the build")
			c, err := db.Counts(t.Context(), w.ws)
			if err != nil || c.Timers != int64(add.timers) {
				t.Errorf("build %d, of %d days: %d timers, %v, want %d", n, add.days, c.Timers, err, add.timers)
			}
		}
		for _, days := range []int{10, 20, 30, 31, 40} {
			slug := fmt.Sprintf("s%d", days)
			if got := w.members(slug); got != 2 {
				t.Errorf("%d are in %s before its days are over, want 2", got, slug)
			}
			w.advance(epoch.AddDate(0, 0, days).Add(time.Minute).Sub(w.clockOf()))
			if got := w.members(slug); got != 0 {
				t.Errorf("%d are in %s when its days are over", got, slug)
			}
		}
		if c, err := db.Counts(t.Context(), w.ws); err != nil || c.Timers != 0 {
			t.Errorf("%d timers are left, %v", c.Timers, err)
		}
	})
}

// clockOf is the workspace's time.
func (w *world) clockOf() time.Time {
	w.t.Helper()
	ws, _, err := w.db.Workspace(w.t.Context(), w.ws)
	if err != nil {
		w.t.Fatal(err)
	}
	return time.UnixMilli(ws.Now(w.clock()))
}

// TestOneBoundForASweep: the heap is bounded from a sweep's first step to its last, without a gap, since each step would else begin with what the
// one before has left; it is free again when the sweep is over, and when the engine stops in the middle of one.
func TestOneBoundForASweep(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var mu sync.Mutex
		begun, held, bounds := 0, 0, 0
		w := newWorld(t, db, func(w *world) {
			w.chunk = 1
			w.confine = func() func() {
				mu.Lock()
				defer mu.Unlock()
				if begun++; held == 0 {
					bounds++
				}
				held++
				return func() {
					mu.Lock()
					defer mu.Unlock()
					held--
				}
			}
		})
		w.crowd()
		free := func() bool {
			mu.Lock()
			defer mu.Unlock()
			return held == 0
		}
		w.replace("schema: 1\nworkspace: bounded\nsegments:\n  - {id: bought, conditions: {event: purchase, within: 30d}}\n")
		w.quiet("the build")
		w.eventually("the end of the bound", free)
		if bounds != 1 || begun < 3 {
			t.Errorf("%d steps had %d bounds, want several steps and one bound", begun, bounds)
		}
		w.replace("schema: 1\nworkspace: bounded\nsegments:\n  - {id: bought, conditions: {event: purchase, within: 40d}}\n")
		w.eng.Stop()
		if !free() {
			t.Errorf("after Stop %d bounds are left", held)
		}
	})
}
