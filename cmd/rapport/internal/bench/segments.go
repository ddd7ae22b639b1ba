package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"rapport.example/internal/audience"
	"rapport.example/internal/definition"
	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/heap"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
	"rapport.example/internal/store"
	"rapport.example/internal/value"
)

const (
	eventsPerPerson = 20
	mailsPerPerson  = 3
	seedStep        = 5000 // people of one transaction
	segmentRoom     = 256 << 20
	warmAsks        = 21
)

// asked are the conditions that are put to everybody. The events that they ask for are counted already.
var asked = []struct{ name, condition string }{
	{"three lines", `{"all":[{"attribute":"plan","is":"pro"},{"attribute":"last_login","after":"30d ago"},{"event":"purchase","at_least":3,"within":"30d"}]}`},
	{"event properties", `{"event":"purchase","at_least":1,"within":"30d","where":{"property":"amount","greater":80}}`},
	{"nested three deep", `{"any":[{"all":[{"attribute":"plan","is":"pro"},{"any":[{"attribute":"country","is":["DE","FR"]},{"attribute":"score","at_least":50}]}]},` +
		`{"all":[{"none":[{"attribute":"newsletter","is":true}]},{"event":"viewed","at_least":5,"within":"14d"}]}]}`},
	{"messages", `{"all":[{"message":"sent","transactional":"receipt","at_least":2,"within":"30d"},{"message":"opened","transactional":"receipt","not_performed":true,"within":"30d"}]}`},
}

// never are conditions whose events nothing counts: everybody's history is read for them.
var never = []struct{ name, condition string }{
	{"events", `{"event":"logged_in","at_least":3,"within":"30d"}`},
	{"event properties", `{"event":"viewed","at_least":4,"within":"40d","where":{"property":"amount","less":50}}`},
	{"nested three deep", `{"any":[{"all":[{"attribute":"plan","is":"pro"},{"any":[{"attribute":"country","is":["DE","FR"]},{"event":"purchase","at_least":2,"where":{"property":"amount","less":10}}]}]},` +
		`{"all":[{"none":[{"attribute":"newsletter","is":true}]},{"event":"viewed","at_least":5,"within":"14d","where":{"property":"product","contains":"7"}}]}]}`},
}

// everybody is an engine with its store in this process, whose people and their history are written directly.
type everybody struct {
	alone
	dir, url string
	people   *audience.Audiences
	plans    int // definitions that were applied
}

// segments measures conditions put to everybody, and the building of a segment.
func (x *run) segments(ctx context.Context) (err error) {
	db, err := x.database(ctx, "segments")
	if err != nil {
		return err
	}
	e := &everybody{dir: filepath.Join(x.dir, "segments"), url: db.url}
	defer func() { err = errors.Join(err, e.close()) }()
	if err := e.open(ctx); err != nil {
		return err
	}
	var base strings.Builder
	base.WriteString("schema: 1\nworkspace: bench\ntransactional:\n  - {id: receipt, from: a@bench.example, subject: Receipt, body: Paid}\nsegments:\n")
	for i, a := range asked {
		fmt.Fprintf(&base, "  - {id: a%d, name: Asked %d, conditions: %s}\n", i, i, a.condition)
	}
	if err := e.define(ctx, base.String()); err != nil {
		return err
	}
	if err := x.fill(ctx, e); err != nil {
		return fmt.Errorf("write people: %w", err)
	}
	if err := db.settle(ctx); err != nil {
		return err
	}
	for range x.o.Rounds {
		if err := errors.Join(x.askEverybody(ctx, e), x.askNever(ctx, e)); err != nil {
			return err
		}
	}
	for range x.o.Rounds {
		for _, b := range []struct{ what, condition string }{{"segment", asked[0].condition}, {"segment on messages", asked[len(asked)-1].condition}} {
			if err := x.buildSegment(ctx, e, base.String(), b.what, b.condition); err != nil {
				return fmt.Errorf("build: %w", err)
			}
		}
	}
	if err := x.throttled(ctx, e, base.String()); err != nil {
		return fmt.Errorf("ingestion beside a build: %w", err)
	}
	if err := x.buildSegment(ctx, e, base.String(), "segment on events never counted", never[1].condition); err != nil {
		return fmt.Errorf("build from history: %w", err)
	}
	return x.sizes(ctx, e, base.String())
}

func (e *everybody) open(ctx context.Context) (err error) {
	if e.db == nil {
		if e.db, err = openStore(ctx, e.dir, e.url); err != nil {
			return err
		}
	}
	if e.log == nil {
		e.log = newMemory()
	}
	e.people = audience.New(e.db, segmentRoom)
	e.eng = engine.New(engine.Options{
		Store: e.db, People: e.people, Log: e.log, Deliver: nobody{}, Secret: e.db.Secret(), Owner: "bench", Alone: true, Confine: heap.Confine,
		Now: time.Now, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	return e.eng.Start(ctx)
}

// define applies a workspace file as the whole of the definitions.
func (e *everybody) define(ctx context.Context, yaml string) error {
	doc, err := definition.ParseFile("bench.yaml", []byte(yaml))
	if err != nil {
		return err
	}
	rows, err := e.db.CurrentDefinitions(ctx, 1, "")
	if err != nil {
		return err
	}
	plan := definition.Diff(rows, doc, true)
	payload, err := ingest.Encode(plan.Payload())
	if err != nil {
		return err
	}
	now := time.Now()
	return e.apply(ctx, [][]ingest.Op{{{
		Version: ingest.OpVersion, Workspace: 1, Received: now.UnixMilli(), ID: id.New(now), Surface: ingest.FromAdmin, Kind: ingest.Define, Payload: payload,
	}}})
}

// built waits until every segment's membership is written.
func (e *everybody) built(ctx context.Context) error {
	return e.until(ctx, func() (bool, error) {
		builds, err := e.db.SegmentBuilds(ctx, 1)
		return !slices.ContainsFunc(builds, func(b definition.Build) bool { return b.State != definition.Finished }), err
	})
}

// learned waits until documents have counted everything.
func (e *everybody) learned(ctx context.Context) error {
	return e.until(ctx, func() (bool, error) {
		w, _, err := e.db.Workspace(ctx, 1)
		return w.Sweep == 0, err
	})
}

func (e *everybody) until(ctx context.Context, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
}

// fill writes people with ten attributes, twenty events and what became of three messages each, as if the engine had. It is not running meanwhile.
func (x *run) fill(ctx context.Context, e *everybody) error {
	e.eng.Stop()
	_, set, err := e.db.DefinitionSets(ctx, 1)
	if err != nil {
		return err
	}
	w, _, err := e.db.Workspace(ctx, 1)
	if err != nil {
		return err
	}
	lease, ok, err := e.db.Acquire(ctx, 0, "bench", time.Hour, true)
	if err != nil || !ok {
		return errors.Join(err, errors.New("the lease is not free"))
	}
	m := maker{set: set, gen: w.Gen, now: time.Now().UnixMilli(), seed: x.seed}
	for first := int64(0); first < x.seed.people; first += seedStep {
		x.progress("people with their history", int(first), x.o.People)
		c := &engine.Changes{}
		for n := first; n < min(first+seedStep, x.seed.people); n++ {
			m.person(c, n)
		}
		c.Counters = []engine.Counter{{Workspace: 1, Name: "activity", Last: m.seq}, {Workspace: 1, Name: "person", Last: min(first+seedStep, x.seed.people)}}
		if err := e.db.Transact(ctx, lease, func(tx engine.Tx) error { return tx.Write(ctx, c) }); err != nil {
			return err
		}
	}
	if err := e.pack(ctx, lease, m.seq); err != nil {
		return err
	}
	if err := e.db.Release(ctx, lease); err != nil {
		return err
	}
	x.progress("people with their history", x.o.People, x.o.People)
	if err := e.db.Close(); err != nil {
		return err
	}
	e.db = nil
	return e.reopen(ctx)
}

// pack packs all events, as the engine does behind its writes.
func (e *everybody) pack(ctx context.Context, lease engine.Lease, last int64) error {
	for next, before := int64(0), int64(-1); next != before; {
		before = next
		err := e.db.Transact(ctx, lease, func(tx engine.Tx) (err error) {
			next, err = tx.PackEvents(ctx, 1, next, last)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// reopen opens the same store again.
func (e *everybody) reopen(ctx context.Context) (err error) {
	o := store.Options{Dir: e.dir, Now: time.Now}
	if e.url != "" {
		o.Dir, o.URL = "", e.url
	}
	if e.db, err = store.Open(ctx, o); err != nil {
		return err
	}
	return e.open(ctx)
}

// maker makes people as the engine would have written them.
type maker struct {
	set  *definition.Set
	gen  int64
	now  int64
	seq  int64
	seed *traffic
}

func (m *maker) person(c *engine.Changes, n int64) {
	r := mix(n)
	d := &person.Document{
		Ref: person.Ref{Workspace: 1, Ordinal: uint32(n + 1)}, CIO: "c" + strconv.FormatInt(n, 36), ID: "u" + strconv.FormatInt(n, 10), //nolint:gosec // at most ten million
		Created: m.now - 90*24*3600_000, Gen: m.gen,
	}
	for _, a := range []struct {
		name string
		v    value.Value
	}{
		{"first_name", value.Quote(fmt.Sprintf("Person %d", n))},
		{"plan", value.Quote(pick(plans, r))},
		{"country", value.Quote(pick(countries, r>>8))},
		{"score", value.Int(int64(r >> 16 % 100))},
		{"company", value.Quote(fmt.Sprintf("Company %d", r>>24%5000))},
		{"locale", value.Quote("en")},
		{"newsletter", value.OfBool(r>>40%2 == 0)},
		{"last_login", value.Int(m.now/1000 - int64(mix(-n)%(90*24*3600)))},
		{"age", value.Int(int64(18 + r>>44%60))},
		{"city", value.Quote(fmt.Sprintf("City %d", r>>50%300))},
	} {
		d.Attributes = append(d.Attributes, person.Attribute{Name: a.name, Value: a.v, At: m.now / 1000})
	}
	heads := map[string]int{}
	for i := range int64(eventsPerPerson) {
		q := mix(n*eventsPerPerson + i + 1<<40)
		at := m.now - int64(q>>8%(60*24*3600_000))
		m.note(c, d, heads, event.Activity{
			Type: event.Track, Name: pick([]string{"viewed", "viewed", "purchase", "logged_in"}, q), At: at,
			Data: value.Value(fmt.Appendf(nil, `{"amount":%d,"product":"sku-%d"}`, q>>40%100, q>>48%1000)),
		})
		if d.FirstEvent == 0 || at < d.FirstEvent {
			d.FirstEvent = at
		}
	}
	for i := range int64(mailsPerPerson) {
		q := mix(n*mailsPerPerson + i + 1<<41)
		at, metrics := m.now-int64(q>>8%(60*24*3600_000)), []string{"sent_email", "opened_email", "clicked_email"}
		for k, name := range metrics[:1+q>>40%3] {
			data := fmt.Appendf(nil, `{"delivery_id":"d%d-%d","transactional_message_id":%d}`, n, i, 1+q>>48%2)
			m.note(c, d, heads, event.Activity{Type: event.Message, Name: name, At: at + int64(k)*60_000, Data: data})
		}
	}
	c.PutPeople = append(c.PutPeople, d)
	c.NewPeople = append(c.NewPeople, d.Ref)
	for _, k := range d.Keys() {
		c.PutKeys = append(c.PutKeys, engine.KeyRow{Key: k, Person: d.Ordinal})
	}
}

// note appends an activity to a person's history; heads are where the document's chains are.
func (m *maker) note(c *engine.Changes, d *person.Document, heads map[string]int, a event.Activity) {
	m.seq++
	a.Workspace, a.Seq, a.Person, a.Received, a.Prev, d.LastActivity = 1, m.seq, d.Ordinal, a.At, d.LastActivity, m.seq
	name, _ := a.Chained()
	chain := event.ChainName(a.Type, name)
	if k, ok := heads[chain]; ok {
		a.PrevNamed, d.Named[k].Seq = d.Named[k].Seq, a.Seq
	} else {
		heads[chain] = len(d.Named)
		d.Named = append(d.Named, person.Named{Name: chain, Seq: a.Seq})
	}
	for _, f := range m.set.FactsOf(chain) {
		if f.Matches(a.Data) {
			k := slices.IndexFunc(d.Facts, func(have person.Fact) bool { return have.Key == f.Key })
			if k < 0 {
				k = len(d.Facts)
				d.Facts = append(d.Facts, person.Fact{Key: f.Key})
			}
			segment.Observe(&d.Facts[k], a.At, f.Keep)
		}
	}
	c.Activities = append(c.Activities, a)
}

// askEverybody measures each condition with nothing in memory, from columns, and by a scan alone.
func (x *run) askEverybody(ctx context.Context, e *everybody) error {
	set, _, err := e.db.DefinitionSets(ctx, 1)
	if err != nil {
		return err
	}
	for _, c := range asked {
		tree, err := segment.Parse(value.Value(c.condition), "conditions")
		if err != nil {
			return err
		}
		if tree, err = set.Resolve(tree); err != nil {
			return err
		}
		q := audience.Query{Workspace: 1, Set: set, Tree: tree, Now: time.Now().UnixMilli(), Samples: 10}
		fresh := audience.New(e.db, segmentRoom)
		fresh.Hold(1)
		began := time.Now()
		first, err := fresh.Ask(ctx, q)
		if err != nil {
			return err
		}
		x.r.add(key{"everybody, " + c.name + ": cold", 0, "ms"}, ms(time.Since(began)))
		var took []time.Duration
		for range warmAsks {
			began := time.Now()
			got, err := fresh.Ask(ctx, q)
			if err != nil {
				return err
			}
			took = append(took, time.Since(began))
			if !got.Columns || got.Count != first.Count || got.People != x.seed.people {
				return fmt.Errorf("%s: %d of %d people, from columns: %v; before %d", c.name, got.Count, got.People, got.Columns, first.Count)
			}
		}
		slices.Sort(took)
		x.r.add(key{"everybody, " + c.name + ": warm", 0, "ms"}, ms(quantile(took, 0.5)))
		x.r.add(key{"everybody, " + c.name + ": columns", 0, "MiB"}, float64(fresh.Bytes())/(1<<20))
		began = time.Now()
		read, err := audience.Read(ctx, e.db, q)
		if err != nil {
			return err
		}
		x.r.add(key{"everybody, " + c.name + ": scan", 0, "ms"}, ms(time.Since(began)))
		if !read.Members.Equals(first.Members) {
			return fmt.Errorf("%s: columns find %d people, a scan %d", c.name, first.Count, read.Count)
		}
		x.r.add(key{"everybody, " + c.name + ": people", 0, "%"}, 100*float64(read.Count)/float64(read.People))
	}
	return nil
}

// askNever measures conditions that take everybody's history: by a scan, and with nothing in memory until columns hold the answer.
func (x *run) askNever(ctx context.Context, e *everybody) error {
	set, _, err := e.db.DefinitionSets(ctx, 1)
	if err != nil {
		return err
	}
	for _, c := range never {
		tree, err := segment.Parse(value.Value(c.condition), "conditions")
		if err != nil {
			return err
		}
		q := audience.Query{Workspace: 1, Set: set, Tree: tree, Now: time.Now().UnixMilli()}
		took := [2]time.Duration{}
		var counts [2]int64
		fresh := audience.New(e.db, segmentRoom)
		fresh.Hold(1)
		for i, ask := range [2]func() (*audience.Answer, error){
			func() (*audience.Answer, error) { return audience.Read(ctx, e.db, q) },
			func() (*audience.Answer, error) { return fresh.Ask(ctx, q) },
		} {
			began := time.Now()
			got, err := ask()
			if err != nil {
				return err
			}
			took[i], counts[i] = time.Since(began), got.Count
		}
		if counts[0] != counts[1] {
			return fmt.Errorf("%s: a scan finds %d people, columns %d", c.name, counts[0], counts[1])
		}
		x.r.add(key{"everybody, never counted " + c.name + ": scan", 0, "ms"}, ms(took[0]))
		x.r.add(key{"everybody, never counted " + c.name + ": cold", 0, "ms"}, ms(took[1]))
	}
	return nil
}

// buildSegment measures from saving a segment to its membership being complete, and the memory meanwhile; then from there to documents
// having counted its events, if they have not.
func (x *run) buildSegment(ctx context.Context, e *everybody, base, what, condition string) error {
	debug.FreeOSMemory() // what was used before would else be used again, and not show
	before, err := resident()
	if err != nil {
		return err
	}
	watched := watchMemory()
	began := time.Now()
	if err = e.define(ctx, e.more(base, condition)); err == nil {
		err = e.built(ctx)
	}
	took := time.Since(began)
	memory := watched.most()
	if err != nil {
		return err
	}
	x.r.add(key{what + " saved to membership written", 0, "ms"}, ms(took))
	x.r.add(key{"memory while a " + what + " is built, on top", 0, "MB"}, memory-before)
	if w, _, err := e.db.Workspace(ctx, 1); err != nil || w.Sweep == 0 {
		return err
	}
	watched, began = watchMemory(), time.Now()
	err = e.learned(ctx)
	x.r.add(key{what + ": membership written to documents written", 0, "ms"}, ms(time.Since(began)))
	x.r.add(key{"memory while documents learn of a " + what + ", on top", 0, "MB"}, watched.most()-before)
	return err
}

// memoryWatch looks how much memory this process has.
type memoryWatch struct {
	stop, stopped chan struct{}
	max           float64
}

func watchMemory() *memoryWatch {
	w := &memoryWatch{stop: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		defer close(w.stopped)
		for {
			if n, err := resident(); err == nil {
				w.max = max(w.max, n)
			}
			select {
			case <-w.stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return w
}

// most ends the watch and answers the most that there was, in MB.
func (w *memoryWatch) most() float64 {
	close(w.stop)
	<-w.stopped
	return w.max
}

// more is base with a segment that was never there.
func (e *everybody) more(base, condition string) string {
	e.plans++
	return base + fmt.Sprintf("  - {id: built%d, name: Built %d, conditions: %s}\n", e.plans, e.plans, condition)
}

// throttled measures how long events take to be applied, at half of what can be, with nothing beside them and while segments are built.
func (x *run) throttled(ctx context.Context, e *everybody, base string) error {
	t := &traffic{people: x.seed.people, offset: 1 << 51}
	ceiling, err := e.steady(ctx, t, x.o.Load/2)
	if err != nil {
		return err
	}
	for _, name := range [...]string{"nothing beside", "a segment is built"} {
		began, builds, saved := time.Now(), 0, time.Time{}
		lags, err := e.pace(ctx, t, ceiling/2, func() (more bool, err error) {
			if name == "nothing beside" {
				return time.Since(began) < x.o.Load, nil
			}
			w, _, err := e.db.Workspace(ctx, 1)
			if err != nil || w.Sweep != 0 {
				return true, err
			}
			if builds > 0 {
				x.r.add(key{"segment saved to membership written, at half the ceiling", 0, "ms"}, ms(time.Since(saved)))
			}
			if builds == 3 {
				return false, nil
			}
			builds, saved = builds+1, time.Now()
			return true, e.define(ctx, e.more(base, asked[0].condition))
		})
		if err != nil {
			return err
		}
		slices.Sort(lags)
		x.r.add(key{"events at half the ceiling, " + name + ": lag p50", 0, "ms"}, ms(quantile(lags, 0.5)))
		x.r.add(key{"events at half the ceiling, " + name + ": lag p99", 0, "ms"}, ms(quantile(lags, 0.99)))
	}
	return nil
}

// pace lets events come in at a rate while more holds. It answers how long after its time the first event of each frame was applied.
func (e *everybody) pace(ctx context.Context, t *traffic, rate float64, more func() (bool, error)) (lags []time.Duration, err error) {
	began, sent := time.Now(), int64(0)
	for {
		on, err := more()
		if err != nil || !on {
			return lags, err
		}
		n := int64(rate*time.Since(began).Seconds()) - sent
		if n > 0 {
			frames, err := framesOf(sent, n, func(i int64, at time.Time, opID string) (ingest.Op, error) { return view(t, i, at, opID) })
			if err != nil {
				return nil, err
			}
			if err := e.apply(ctx, frames); err != nil {
				return nil, err
			}
			lags = append(lags, time.Since(began)-time.Duration(float64(sent)/rate*float64(time.Second)))
			sent += n
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// sizes measures what a thousand segments cost in store.
func (x *run) sizes(ctx context.Context, e *everybody, base string) error {
	var b strings.Builder
	b.WriteString(base)
	for i := range 1000 - len(asked) {
		c := fmt.Sprintf(`{"all":[{"attribute":"company","is":"Company %d"},{"event":"purchase","at_least":%d,"within":"%dd"}]}`, i*5, 1+i%3, 1+i%30)
		fmt.Fprintf(&b, "  - {id: many%d, name: Many %d, conditions: %s}\n", i, i, c)
	}
	began := time.Now()
	if err := e.define(ctx, b.String()); err != nil {
		return err
	}
	if err := e.built(ctx); err != nil {
		return err
	}
	x.r.add(key{"a thousand segments saved to membership written", 0, "ms"}, ms(time.Since(began)))
	w, err := watch(ctx, e.dir, e.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	for _, q := range []struct{ name, unit, sql string }{
		{"a thousand segments: bytes of a document", "bytes", `SELECT CAST(avg(length(doc)) AS BIGINT) FROM people`},
		{"a thousand segments: timers of a thousand people", "", `SELECT CAST(1000.0 * ((SELECT count(*) FROM timers) + (SELECT coalesce(sum(timers), 0) FROM timer_blocks)) / (SELECT count(*) FROM people) AS BIGINT)`},
		{"a thousand segments: bitmaps", "kB", `SELECT CAST(coalesce(sum(length(bits)), 0) / 1000 AS BIGINT) FROM segment_pieces`},
	} {
		n, err := w.number(ctx, q.sql)
		if err != nil {
			return err
		}
		x.r.add(key{q.name, 0, q.unit}, float64(n))
	}
	return err
}

// resident is how much memory this process has now, in MB.
func resident() (float64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("this process's memory (this needs Linux): %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 64)
			return kb / 1024, err
		}
	}
	return 0, errors.New("this process's memory cannot be read")
}
