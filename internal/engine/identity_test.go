package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"rapport.example/internal/api/app"
	"rapport.example/internal/definition"
	"rapport.example/internal/engine"
	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// identityDefinitions is a workspace whose journeys wait longer than a test's clock moves, and then send one message.
const identityDefinitions = `schema: 1
workspace: identities
identifiers: [id, email, phone]
segments:
  - {id: pros, conditions: {attribute: plan, is: pro}}
  - {id: buyers, conditions: {event: buy, performed: true}}
  - {id: team, manual: true}
senders: [{id: hello, name: Acme, email: hello@acme.example}]
campaigns:
  - {id: each, state: running, trigger: {event: buy}, frequency: every_time, workflow: [{id: wait, delay: 3000d}, {id: mail, email: {from: hello, to: "{{customer.email}}", subject: Hi, body: Hi}}]}
  - {id: first, state: running, trigger: {event: buy}, frequency: once, workflow: [{id: wait, delay: 3000d}, {id: mail, email: {from: hello, to: "{{customer.email}}", subject: Hi, body: Hi}}]}
  - {id: pros, state: running, trigger: {enters_segment: pros}, frequency: once, workflow: [{id: wait, delay: 3000d}, {id: mail, email: {from: hello, to: "{{customer.email}}", subject: Hi, body: Hi}}]}
`

var (
	identityNames     = []string{"id:a", "id:b", "id:c", "email:x@example.com", "email:y@example.com", "email:z@example.com", "phone:+15550100001", "phone:+15550100002"}
	identityAnonymous = []string{"", "", "n1", "n2", "n3"}
)

// identities does the same to an engine's workspace and to the model.
type identities struct {
	*world
	log   *memLog
	ws    int64
	ahead int64 // of the workspace's clock
	m     *model
	team  int64 // number of the segment
	said  []string
}

func newIdentities(w *world, log *memLog, partition int32) *identities {
	w.t.Helper()
	ws, err := w.db.CreateWorkspace(w.t.Context(), "", partition)
	if err != nil {
		w.t.Fatal(err)
	}
	x := &identities{world: w, log: log, ws: ws.ID, m: newModel(), team: 3}
	doc, err := definition.ParseFile("test.yaml", []byte(identityDefinitions))
	if err != nil {
		w.t.Fatal(err)
	}
	plan := definition.Diff(nil, doc, false)
	x.log.append(x.op(ingest.Define, plan.Payload()))
	return x
}

func (x *identities) op(kind ingest.Kind, payload any) ingest.Op {
	o := x.world.op(kind, payload)
	o.Workspace = x.ws
	return o
}

func (x *identities) say(format string, v ...any) { x.said = append(x.said, fmt.Sprintf(format, v...)) }

func by(name string) ingest.By {
	kind, v, _ := strings.Cut(name, ":")
	switch kind {
	case "id":
		return ingest.By{ID: v}
	case "phone":
		return ingest.By{Phone: v}
	}
	return ingest.By{Email: strings.ToUpper(v[:1]) + v[1:]} // the case of an email means nothing
}

// pick chooses one of several; it is a rapid generator or a random number.
type pick func(label string, n int) int

func of[T any](p pick, label string, from ...T) T { return from[p(label, len(from))] }

// draw makes one op and tells the model.
func (x *identities) draw(p pick) ingest.Op {
	a, b := of(p, "who", identityNames...), of(p, "other", identityNames...)
	anonymous := of(p, "anonymous", identityAnonymous...)
	switch what := of(p, "op", "identify", "identify", "event", "event", "anonymous", "anonymous", "merge", "merge", "delete", "suppress", "unsuppress", "pick", "send"); what {
	case "identify":
		return x.identify(a, of(p, "body", nil, []string{b}), anonymous, of(p, "plan", "", "pro", "free", "-"))
	case "event":
		return x.event(a, anonymous, of(p, "name", "buy", "see"), of(p, "days back", 0, 0, 2, 4, 40))
	case "anonymous":
		return x.event("", of(p, "anonymous", identityAnonymous[1:]...), of(p, "name", "buy", "see"), of(p, "days back", 0, 0, 2, 4, 40))
	case "merge":
		return x.merge(a, b)
	case "pick":
		x.say("pick %s", a)
		x.m.pick(a)
		return x.op(ingest.SegmentAdd, ingest.SegmentPayload{Segment: x.team, People: []ingest.By{by(a)}})
	case "send":
		x.say("send to %s", a)
		x.m.send(a)
		return x.op(ingest.Send, ingest.SendPayload{By: by(a), To: "a@example.com", From: "b@example.com", Subject: "x", Body: "x"})
	default:
		return x.removal(what, a)
	}
}

func (x *identities) identify(path string, body []string, anonymous, plan string) ingest.Op {
	attributes := map[string]string{}
	for _, name := range body {
		attributes[kindOf(name)] = strings.TrimPrefix(name, kindOf(name)+":")
	}
	if anonymous != "" {
		attributes["anonymous_id"] = anonymous
	}
	if plan != "" {
		attributes["plan"] = strings.TrimPrefix(plan, "-")
	}
	text, err := json.Marshal(attributes)
	if err != nil {
		x.t.Fatal(err)
	}
	o := x.op(ingest.Identify, ingest.IdentifyPayload{By: by(path), Attributes: parse(x.t, string(text))})
	x.say("identify %s %s", path, text)
	x.m.identify(o.Received+x.ahead, path, body, anonymous, plan)
	return o
}

func (x *identities) event(who, anonymous, name string, back int) ingest.Op {
	pl := ingest.EventPayload{Anonymous: anonymous, Type: 1, Name: name}
	if who != "" {
		pl.By = by(who)
	}
	now := x.clock().UnixMilli() + x.ahead
	if back > 0 {
		pl.Timestamp = now/1000 - int64(back)*86400
	}
	o := x.op(ingest.Event, pl)
	now = o.Received + x.ahead
	at := now
	if back > 0 {
		at = pl.Timestamp * 1000
	}
	x.say("event %s of %q as %q at %d", name, who, anonymous, at)
	if who == "" {
		x.m.anonymousEvent(now, anonymous, name, at)
	} else {
		x.m.event(now, who, anonymous, name, at)
	}
	return o
}

func (x *identities) merge(primary, secondary string) ingest.Op {
	o := x.op(ingest.Merge, ingest.MergePayload{Primary: by(primary), Secondary: by(secondary)})
	x.say("merge %s with %s", primary, secondary)
	x.m.merge(o.Received+x.ahead, primary, secondary)
	return o
}

func (x *identities) removal(what, who string) ingest.Op {
	x.say("%s %s", what, who)
	kind := map[string]ingest.Kind{"delete": ingest.Delete, "suppress": ingest.Suppress, "unsuppress": ingest.Unsuppress}[what]
	if what == "unsuppress" {
		delete(x.m.suppressed, who)
	} else {
		x.m.remove(who, what == "suppress")
	}
	return x.op(kind, ingest.PersonPayload{By: by(who)})
}

// later moves the workspace's clock.
func (x *identities) later(d time.Duration) ingest.Op {
	x.say("clock +%s", d)
	x.ahead += d.Milliseconds()
	return x.op(ingest.Clock, ingest.ClockPayload{Advance: d.Milliseconds()})
}

// frame draws what one frame holds.
func (x *identities) frame(p pick) []ingest.Op {
	if of(p, "frame", "people", "people", "people", "clock") == "clock" {
		return []ingest.Op{x.later(of(p, "later", time.Minute, 4*time.Minute, 6*time.Minute, 50*time.Hour, 12*24*time.Hour, 31*24*time.Hour))}
	}
	ops := make([]ingest.Op, 1+p("ops", 7))
	for i := range ops {
		ops[i] = x.draw(p)
	}
	return ops
}

// check compares everything that the workspace has with the model, and in the end whom the waiting journeys write to. The
// engine must have applied everything; apply applies one more frame.
func (x *identities) check(fail func(string, ...any), apply func(...ingest.Op)) {
	x.t.Helper()
	op := x.later(time.Millisecond)
	apply(op)
	now := op.Received + x.ahead - 1
	if diff := cmp.Diff(x.m.state(now), x.state(now), cmpopts.EquateEmpty()); diff != "" {
		fail("state (-model +engine):\n%s\n%s", diff, strings.Join(x.said, "\n"))
	}
	for _, name := range identityNames {
		kind, v, _ := strings.Cut(name, ":")
		t := map[string]person.KeyType{"id": person.ByID, "email": person.ByEmail, "phone": person.ByPhone}[kind]
		x.finds(fail, person.Identifier{Type: t, Value: v}, x.m.find(name))
	}
	for _, id := range identityAnonymous[2:] {
		x.finds(fail, person.Identifier{Type: person.ByAnonymous, Value: id}, x.m.anonymous(id))
	}
	apply(x.later(3001 * 24 * time.Hour))
	got := map[uint32]int{}
	page, next, err := x.db.Deliveries(x.t.Context(), x.ws, app.DeliveryQuery{Limit: 10_000})
	if err != nil || next != 0 {
		x.t.Fatalf("deliveries: %v, next %d", err, next)
	}
	for _, d := range page {
		if d.Person != 0 {
			got[d.Person]++
		}
	}
	if diff := cmp.Diff(x.m.mails(), got, cmpopts.EquateEmpty()); diff != "" {
		fail("messages by person (-model +engine):\n%s\n%s", diff, strings.Join(x.said, "\n"))
	}
}

func (x *identities) finds(fail func(string, ...any), i person.Identifier, want *modelPerson) {
	x.t.Helper()
	d, err := x.db.FindPerson(x.t.Context(), x.ws, i)
	if err != nil {
		x.t.Fatal(err)
	}
	if (d == nil) != (want == nil) || d != nil && d.Ordinal != want.ordinal {
		fail("%v finds %v, the model says %v\n%s", i, d, want, strings.Join(x.said, "\n"))
	}
}

// state reads what the database has.
func (x *identities) state(now int64) state {
	x.t.Helper()
	ctx, out := x.t.Context(), state{People: map[uint32]personState{}}
	rows, next, err := x.db.Activities(ctx, x.ws, app.ActivityQuery{Limit: 10_000})
	if err != nil || next != 0 {
		x.t.Fatalf("activities: %v, next %d", err, next)
	}
	owned := map[uint32]int{} // activities by the person that the row names
	for _, a := range rows {
		owned[a.Person]++
		if a.Person == 0 && a.Type == event.Track && a.Received >= now-month {
			out.Nobody = append(out.Nobody, told(a))
		}
	}
	slices.Sort(out.Nobody)
	docs, err := x.db.NewestPeople(ctx, x.ws, 0, 1000)
	if err != nil {
		x.t.Fatal(err)
	}
	for _, d := range docs {
		var n int
		out.People[d.Ordinal], n = x.person(d)
		if n != owned[d.Ordinal] {
			x.t.Errorf("person %d: %d activities are in the chain, %d rows are theirs", d.Ordinal, n, owned[d.Ordinal])
		}
		delete(owned, d.Ordinal)
	}
	delete(owned, 0)
	if len(owned) != 0 {
		x.t.Errorf("activities of people who are gone: %v", owned)
	}
	x.pieces(out)
	if left := x.timersBeside(x.ws, docs); left != 0 {
		x.t.Errorf("%d timers beside those that the people and their journeys wait for", left)
	}
	return out
}

func told(a event.Activity) string {
	return modelEvent{name: a.Name, at: a.At, anonymous: a.Anonymous}.String()
}

var identitySegments = []string{1: "pros", 2: "buyers", 3: "team"}

// person is a document and its history, with the number of activities in it.
func (x *identities) person(d *person.Document) (personState, int) {
	x.t.Helper()
	s := personState{Plan: d.Get("plan").Text(), Entries: map[string]int64{}}
	if d.ID != "" {
		s.Names = append(s.Names, "id:"+d.ID)
	}
	if d.Email != "" {
		s.Names = append(s.Names, "email:"+person.FoldEmail(d.Email))
	}
	if d.Phone != "" {
		s.Names = append(s.Names, "phone:"+d.Phone)
	}
	for _, a := range d.Anonymous {
		s.Anonymous = append(s.Anonymous, a.Name)
	}
	for _, m := range d.Segments {
		s.Segments = append(s.Segments, identitySegments[m.Segment])
	}
	for _, e := range d.Entries {
		s.Entries[[]string{1: "each", 2: "first", 3: "pros"}[e.Campaign]] = e.Times
	}
	for _, list := range [][]string{s.Names, s.Anonymous, s.Segments} {
		slices.Sort(list)
	}
	history, next, err := x.db.Timeline(x.t.Context(), x.ws, app.ActivityQuery{From: d.LastActivity, Limit: 10_000})
	if err != nil || next != 0 {
		x.t.Fatalf("history: %v, next %d", err, next)
	}
	for _, a := range slices.Backward(history) {
		if a.Type == event.Track {
			s.History = append(s.History, told(a))
		}
	}
	return s, len(history)
}

// pieces holds that the segments' bitmaps say what the documents say.
func (x *identities) pieces(s state) {
	x.t.Helper()
	for number, name := range identitySegments {
		if name == "" {
			continue
		}
		var want []uint32
		for ordinal, p := range s.People {
			if slices.Contains(p.Segments, name) {
				want = append(want, ordinal)
			}
		}
		slices.Sort(want)
		got, err := x.db.Members(x.t.Context(), x.ws, int64(number), 0, 1000)
		if err != nil {
			x.t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			x.t.Errorf("%s lists %v, the documents say %v", name, got, want)
		}
	}
}

// crashing is a database whose process dies at a chosen call within a transaction, or just after a commit, and comes back.
type crashing struct {
	*store.DB
	mu    sync.Mutex
	left  int  // calls until then; less than 0 = never
	after bool // count commits instead of calls
}

// at sets when the next crash happens.
func (c *crashing) at(left int, after bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.after = left, after
}

// survived reports whether the crash that was set did not happen, and sets none.
func (c *crashing) survived() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.left
	c.left = -1
	return was >= 0
}

func (c *crashing) step(after bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left < 0 || c.after != after {
		return nil
	}
	if c.left--; c.left < 0 {
		return errLost
	}
	return nil
}

// Transact is part of engine.Store.
func (c *crashing) Transact(ctx context.Context, lease engine.Lease, fn func(engine.Tx) error) error {
	err := c.DB.Transact(ctx, lease, func(tx engine.Tx) error { return fn(crashingTx{tx, c}) })
	if err == nil {
		err = c.step(true)
	}
	return err
}

// Transient is part of engine.Store.
func (c *crashing) Transient(err error) bool { return flakyTransient(c.DB, err) }

// crashingTx counts the calls that change or read people; the others are passed on.
type crashingTx struct {
	engine.Tx
	c *crashing
}

// Advance is part of engine.Tx.
func (t crashingTx) Advance(ctx context.Context, from, to uint64, stream string) error {
	if err := t.c.step(false); err != nil {
		return err
	}
	return t.Tx.Advance(ctx, from, to, stream)
}

// Resolve is part of engine.Tx.
func (t crashingTx) Resolve(ctx context.Context, keys []person.Key) (map[person.Key]uint32, error) {
	if err := t.c.step(false); err != nil {
		return nil, err
	}
	return t.Tx.Resolve(ctx, keys)
}

// People is part of engine.Tx.
func (t crashingTx) People(ctx context.Context, refs []person.Ref) ([]*person.Document, error) {
	if err := t.c.step(false); err != nil {
		return nil, err
	}
	return t.Tx.People(ctx, refs)
}

// Past is part of engine.Tx.
func (t crashingTx) Past(ctx context.Context, heads []engine.Head, bytes int64) ([]event.Activity, int, error) {
	if err := t.c.step(false); err != nil {
		return nil, 0, err
	}
	return t.Tx.Past(ctx, heads, bytes)
}

// Write is part of engine.Tx. It fails before its statements, and once more behind them.
func (t crashingTx) Write(ctx context.Context, c *engine.Changes) error {
	if err := t.c.step(false); err != nil {
		return err
	}
	if err := t.Tx.Write(ctx, c); err != nil {
		return err
	}
	return t.c.step(false)
}

// TestIdentityModel does random things to people under few, conflicting identities, with crashes in between, and holds
// the end to the model.
func TestIdentityModel(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		c := &crashing{DB: db, left: -1}
		w.eng.Stop()
		w.store = c
		w.start()
		rapid.Check(t, func(rt *rapid.T) {
			p := func(label string, n int) int { return rapid.IntRange(0, n-1).Draw(rt, label) }
			x := newIdentities(w, w.log, 0)
			apply := func(ops ...ingest.Op) { w.wait(x.log.append(ops...)) }
			for range 1 + p("rounds", 5) {
				c.at(of(p, "crash", -1, p("at", 40)), of(p, "after", false, true))
				var seq uint64
				for range 1 + p("frames", 2) {
					seq = x.log.append(x.frame(p)...)
				}
				if of(p, "restart", false, false, false, true) { // wherever the engine is now
					w.eng.Stop()
					w.start()
				}
				w.wait(seq)
			}
			c.survived()
			x.check(rt.Fatalf, apply)
		})
	})
}

// cut applies the ops as so many frames, the same ones in another cut at each crash point.
func (x *identities) cut(ops []ingest.Op, frames int) {
	x.t.Helper()
	var seq uint64
	for frame := range slices.Chunk(ops, (len(ops)+frames-1)/frames) {
		seq = x.log.append(frame...)
	}
	x.wait(seq)
}

// identityScript touches every way in which people and identities meet, in few frames.
func identityScript(x *identities) [][]ingest.Op {
	return [][]ingest.Op{
		{
			x.event("", "n1", "buy", 0), x.event("", "n1", "buy", 4), x.identify("id:a", []string{"email:x@example.com"}, "n1", "pro"),
			x.event("", "n1", "see", 0), x.event("id:b", "", "buy", 2), x.identify("id:b", nil, "n2", "free"), x.event("", "n3", "see", 0),
		},
		{
			x.merge("email:x@example.com", "id:b"), x.identify("id:b", []string{"email:y@example.com"}, "n2", ""), x.event("id:c", "n3", "buy", 0),
			x.merge("id:b", "id:c"), x.merge("id:b", "id:a"), x.draw(fixed("send", "id:b")),
		},
		{x.later(31 * 24 * time.Hour)},
		{
			x.event("email:z@example.com", "", "buy", 0), x.identify("email:z@example.com", nil, "", "pro"), x.event("id:c", "", "see", 0),
			x.merge("email:z@example.com", "id:b"), x.merge("id:c", "email:z@example.com"), x.draw(fixed("send", "id:c")),
		},
		{
			x.identify("id:b", nil, "", "pro"), x.merge("id:b", "id:c"), x.removal("suppress", "id:c"), x.identify("id:a", nil, "n2", "pro"),
			x.identify("id:c", []string{"email:y@example.com"}, "", ""), x.identify("id:b", []string{"email:y@example.com"}, "", ""),
		},
	}
}

// fixed makes draw make one op.
func fixed(op, who string) pick {
	return func(label string, n int) int {
		switch label {
		case "op":
			return slices.Index([]string{"identify", "identify", "event", "event", "anonymous", "anonymous", "merge", "merge", "delete", "suppress", "unsuppress", "pick", "send"}, op)
		case "who":
			return slices.Index(identityNames, who)
		}
		return 0
	}
}

// TestIdentityCrashPoints dies at every call of every transaction in turn, and after every commit.
func TestIdentityCrashPoints(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		c := &crashing{DB: db, left: -1}
		w.eng.Stop()
		w.store = c
		w.start()
		for _, after := range []bool{false, true} {
			for n := 0; ; n++ {
				x := newIdentities(w, w.log, 0)
				c.at(n, after)
				for _, ops := range identityScript(x) {
					x.cut(ops, 1+n%3)
				}
				last := c.survived()
				x.check(t.Fatalf, func(ops ...ingest.Op) { w.wait(x.log.append(ops...)) })
				if last {
					t.Logf("after commits %v: %d crash points", after, n)
					break
				}
			}
		}
	})
}
