package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rapport.example/internal/api/app"
	"rapport.example/internal/audience"
	"rapport.example/internal/definition"
	"rapport.example/internal/delivery"
	"rapport.example/internal/event"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

// TestMembershipsFromScratch does random things to a workspace and holds that every membership that the engine kept up to
// date step by step is the one that the person's whole history gives now. New definitions take hold within their op.
func TestMembershipsFromScratch(t *testing.T) {
	t.Parallel()
	fromScratch(t, 0)
}

// TestBuildsFromScratch is the same where new definitions are built beside what goes on: while a build runs, people come and change,
// time passes, and definitions change again.
func TestBuildsFromScratch(t *testing.T) {
	t.Parallel()
	fromScratch(t, 1)
}

func fromScratch(t *testing.T, chunk int) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, func(w *world) { w.chunk = chunk })
		checks, steps := 0, 0
		rapid.Check(t, func(rt *rapid.T) {
			ws, err := db.CreateWorkspace(t.Context(), "", 0)
			if err != nil {
				t.Fatal(err)
			}
			w.ws = ws.ID
			x := &random{world: w, rt: rt}
			x.define()
			for i := range rapid.IntRange(2, 8).Draw(rt, "frames") {
				x.frame()
				steps++
				if i == 2 { // columns are there from now on
					x.check()
					checks++
				}
			}
			x.check()
			checks++
		})
		t.Logf("after %d steps, %d times, memberships, a scan and columns were what evaluation from scratch says", steps, checks)
	})
}

// random draws what happens to one workspace.
type random struct {
	*world
	rt   *rapid.T
	put  int // segments that there are
	live *definition.Set
	said []string
	sent []string // public ids of messages that left
	gate *held    // holds back documents that have something to learn; nil = none does
}

func (x *random) pick(label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(x.rt, label)
}

// frame draws a few ops that lie in one frame.
func (x *random) frame() {
	switch x.pick("what", "people", "people", "people", "clock", "define", "send") {
	case "send":
		x.send()
	case "clock":
		x.later(time.Duration(rapid.SampledFrom([]int{1, 30, 60, 60 * 23, 60 * 24, 60 * 48}).Draw(x.rt, "minutes")) * time.Minute)
	case "define":
		x.define()
	default:
		ops := make([]ingest.Op, rapid.IntRange(1, 5).Draw(x.rt, "ops"))
		for i := range ops {
			ops[i] = x.one()
		}
		x.do(ops...)
	}
}

func (x *random) later(d time.Duration) {
	x.say("clock +%s", d)
	x.advance(d)
}

func (x *random) say(format string, v ...any) { x.said = append(x.said, fmt.Sprintf(format, v...)) }

// send makes a message to somebody and hands it over.
func (x *random) send() {
	who, of := x.pick("who", "a", "b", "c"), int64(0)
	set, _, err := x.db.DefinitionSets(x.t.Context(), x.ws)
	if err != nil {
		x.t.Fatal(err)
	}
	if x.pick("message", "receipt", "none") == "receipt" {
		of = set.TransactionalBySlug("receipt").ID
	}
	op := x.op(ingest.Send, ingest.SendPayload{By: ingest.By{ID: who}, Transactional: of, To: "a@example.com", From: "b@example.com", Subject: "s", Body: "b"})
	x.say("send %d to %s", of, who)
	x.do(op)
	m := mail{world: x.world, public: id.Delivery(x.db.Secret(), x.ws, "op:"+op.ID)}
	if d, err := x.db.Delivery(x.t.Context(), x.ws, m.public); err != nil || d == nil { // whoever is suppressed gets none
		return
	}
	x.sent = append(x.sent, m.public)
	state := rapid.SampledFrom([]delivery.State{delivery.Sent, delivery.Sent, delivery.Failed, delivery.Bounced}).Draw(x.rt, "state")
	x.say("outcome %s", state)
	x.do(m.outcome(m.claimed(), state, ""))
}

// report is one of a message that left.
func (x *random) report() ingest.Op {
	pl := ingest.MetricPayload{Public: x.pick("message", x.sent...), Metric: x.pick("metric", "delivered", "opened", "clicked", "clicked", "bounced", "dropped", "unsubscribed")}
	if pl.Metric == "clicked" {
		pl.Href = x.pick("href", "", "https://a.example", "https://b.example")
	}
	if back := rapid.IntRange(-1, 50).Draw(x.rt, "hours back"); back > 0 {
		pl.Timestamp = x.workspaceNow()/1000 - int64(back)*3600
	}
	x.say("report %s %s at %d", pl.Metric, pl.Href, pl.Timestamp)
	return x.op(ingest.Metric, pl)
}

func (x *random) workspaceNow() int64 {
	w, _, err := x.db.Workspace(x.t.Context(), x.ws)
	if err != nil {
		x.t.Fatal(err)
	}
	return w.Now(x.clock())
}

func (x *random) one() ingest.Op {
	ops := []string{"identify", "identify", "event", "event", "event", "device", "device", "object", "object", "relate", "relate", "relate", "visitor", "merge", "delete", "suppress", "unsuppress", "segment"}
	if len(x.sent) > 0 {
		ops = append(ops, "report", "report", "report")
	}
	by := ingest.By{ID: x.pick("who", "a", "b", "c")}
	switch what := x.pick("op", ops...); what {
	case "report":
		return x.report()
	case "identify":
		attributes := x.pick("attributes", `{"plan":"pro"}`, `{"plan":"free"}`, `{"plan":""}`, `{"age":1}`, `{"age":5}`, `{"plan":"pro","age":3}`,
			`{"trips":[{"to":"x","at":1767225600},{"to":"y","at":1767312000}]}`, `{"trips":[{"to":"x","at":1767312000},{"to":"y"}]}`, `{"trips":{"to":"x"}}`, `{"trips":""}`, `{"email":"x@example.com"}`)
		x.say("identify %s %s", by.ID, attributes)
		return x.op(ingest.Identify, ingest.IdentifyPayload{By: by, Attributes: parse(x.t, attributes)})
	case "event":
		pl := ingest.EventPayload{By: by, Type: 1, Name: x.pick("name", "buy", "see"), Data: parse(x.t, x.pick("data", `{"kind":"x"}`, `{"kind":"y"}`))}
		if back := rapid.IntRange(-1, 50).Draw(x.rt, "hours back"); back > 0 {
			pl.Timestamp = x.workspaceNow()/1000 - int64(back)*3600
		}
		x.say("event %s %s %s at %d", by.ID, pl.Name, pl.Data, pl.Timestamp)
		return x.op(ingest.Event, pl)
	case "device":
		pl := ingest.DevicePayload{By: by, Token: x.pick("token", "t1", "t2", "t3"), Platform: x.pick("platform", "ios", "android")}
		if x.pick("device", "add", "add", "delete") == "delete" {
			x.say("undevice %s %s", by.ID, pl.Token)
			return x.op(ingest.DeleteDevice, pl)
		}
		if back := rapid.IntRange(0, 50).Draw(x.rt, "hours back"); back > 0 {
			pl.LastUsed = x.workspaceNow()/1000 - int64(back)*3600
		}
		pl.Attributes = parse(x.t, x.pick("device attributes", "", `{"_last_status":"sent"}`, `{"_last_status":""}`))
		x.say("device %s %s %s %d %s", by.ID, pl.Token, pl.Platform, pl.LastUsed, pl.Attributes)
		return x.op(ingest.AddDevice, pl)
	case "object":
		k := object.Key{Type: 1, ID: x.pick("object", "o1", "o2")}
		if x.pick("what of it", "change", "change", "change", "delete") == "delete" {
			x.say("delete object %s", k.ID)
			return x.op(ingest.DeleteObject, ingest.ObjectPayload{Object: k})
		}
		attributes := x.pick("object attributes", `{"plan":"team"}`, `{"plan":"free"}`, `{"plan":""}`, `{"other":1}`, fmt.Sprintf(`{"renews":%d}`, x.workspaceNow()/1000+3600))
		x.say("object %s %s", k.ID, attributes)
		return x.op(ingest.Object, ingest.ObjectPayload{Object: k, Attributes: parse(x.t, attributes)})
	case "relate":
		pl := ingest.RelatePayload{By: by, Relations: []ingest.Relation{{Object: object.Key{Type: int64(rapid.IntRange(1, 2).Draw(x.rt, "type")), ID: x.pick("object", "o1", "o2")}}}}
		if x.pick("how", "join", "join", "part") == "part" {
			x.say("unrelate %s %v", by.ID, pl.Relations[0].Object)
			return x.op(ingest.Unrelate, pl)
		}
		pl.Relations[0].Attributes = parse(x.t, x.pick("relationship", "", `{"role":"admin"}`, `{"role":"user"}`, `{"role":""}`))
		x.say("relate %s %v %s", by.ID, pl.Relations[0].Object, pl.Relations[0].Attributes)
		return x.op(ingest.Relate, pl)
	case "visitor":
		visitor := x.pick("visitor", "v1", "v2")
		if x.pick("what of them", "relate", "become") == "become" {
			x.say("visitor %s is %s", visitor, by.ID)
			return x.op(ingest.Identify, ingest.IdentifyPayload{By: by, Attributes: parse(x.t, fmt.Sprintf(`{"anonymous_id":%q}`, visitor))})
		}
		x.say("visitor %s is related to o1", visitor)
		return x.op(ingest.Object, ingest.ObjectPayload{
			Object:    object.Key{Type: 1, ID: "o1"},
			Relations: []ingest.Relation{{Anonymous: visitor, Attributes: parse(x.t, `{"role":"admin"}`)}},
		})
	case "merge":
		into := ingest.By{ID: x.pick("into", "a", "b", "c")}
		x.say("merge %s into %s", by.ID, into.ID)
		return x.op(ingest.Merge, ingest.MergePayload{Primary: into, Secondary: by})
	case "segment":
		x.say("%s is picked", by.ID)
		return x.op(ingest.SegmentAdd, ingest.SegmentPayload{Segment: x.segment("picked"), People: []ingest.By{by}})
	default:
		x.say("%s %s", what, by.ID)
		return x.op(map[string]ingest.Kind{"delete": ingest.Delete, "suppress": ingest.Suppress, "unsuppress": ingest.Unsuppress}[what], ingest.PersonPayload{By: by})
	}
}

// segment is a segment's number.
func (x *random) segment(slug string) int64 {
	rows, err := x.db.CurrentDefinitions(x.t.Context(), x.ws, definition.Segments)
	if err != nil {
		x.t.Fatal(err)
	}
	i := slices.IndexFunc(rows, func(r definition.Row) bool { return r.Slug == slug })
	if i < 0 {
		x.t.Fatalf("no segment %s", slug)
	}
	return rows[i].ID
}

// define replaces all dynamic segments. A segment mentions earlier ones only.
func (x *random) define() {
	pl := ingest.DefinePayload{Put: []ingest.Definition{
		{Kind: definition.Segments, Slug: "picked", Body: parse(x.t, `{"id":"picked","manual":true}`)},
		{Kind: definition.Transactionals, Slug: "receipt", Body: parse(x.t, `{"id":"receipt","from":"b@example.com","subject":"s","body":"b"}`)},
	}}
	n := rapid.IntRange(1, 4).Draw(x.rt, "segments")
	for i := range n {
		slug := fmt.Sprintf("s%d", i)
		body := fmt.Sprintf(`{"id":%q,"conditions":%s}`, slug, x.condition(i, 2))
		x.say("define %s", body)
		pl.Put = append(pl.Put, ingest.Definition{Kind: definition.Segments, Slug: slug, Body: parse(x.t, body)})
	}
	for i := n; i < x.put; i++ {
		pl.Delete = append(pl.Delete, ingest.Definition{Kind: definition.Segments, Slug: fmt.Sprintf("s%d", i)})
	}
	x.put = n
	x.do(x.op(ingest.Define, pl))
}

func (x *random) condition(earlier, depth int) string {
	kinds := []string{"attribute", "age", "trips", "event", "event", "not", "dates", "message", "message", "device", "object", "object"}
	if depth > 0 {
		kinds = append(kinds, "all", "any", "none")
	}
	if earlier > 0 {
		kinds = append(kinds, "segment")
	}
	switch kind := x.pick("condition", kinds...); kind {
	case "attribute":
		return `{"attribute":"plan","is":"pro"}`
	case "age":
		return fmt.Sprintf(`{"attribute":"age","at_least":%d}`, rapid.IntRange(1, 5).Draw(x.rt, "age"))
	case "trips":
		return x.pick("trips", `{"attribute":"trips[].to","is":"y"}`, `{"attribute":"trips[0].to","is_not":"x"}`, `{"attribute":"trips[].at","after":"now"}`, `{"attribute":"trips[-1].at","is_timestamp":true}`,
			`{"attribute":"trips","has":{"all":[{"property":"to","is":"x"},{"property":"at","before":"in 12h"}]}}`)
	case "dates":
		c := fmt.Sprintf(`{"event":%q,`, x.pick("name", "buy", "see"))
		c += x.pick("dates", `"first":{"before":"1d ago"}`, `"first":{"after":"1d ago"}`, `"last":{"before":"1h ago"}`, `"last":{"after":"1d ago","before":"1h ago"}`, `"first":{"before":"1d ago"},"last":{"after":"1h ago"}`)
		return c + x.pick("where", "", `,"where":{"all":[{"property":"kind","is":"x"}]}`) + "}"
	case "event", "not":
		c := fmt.Sprintf(`{"event":%q`, x.pick("name", "buy", "see"))
		if kind == "not" {
			c += `,"not_performed":true`
		} else {
			c += fmt.Sprintf(`,"at_least":%d`, rapid.IntRange(1, 3).Draw(x.rt, "times"))
		}
		c += x.pick("within", "", `,"within":"1h"`, `,"within":"1d"`, `,"within":"2d"`)
		return c + x.pick("where", "", `,"where":{"all":[{"property":"kind","is":"x"}]}`) + "}"
	case "message":
		word := x.pick("word", "sent", "delivered", "opened", "clicked", "bounced", "failed", "suppressed", "unsubscribed")
		c := fmt.Sprintf(`{"message":%q`, word) + x.pick("of", "", `,"transactional":"receipt"`)
		if word == "clicked" {
			c += x.pick("link", "", `,"link":"https://a.example"`, `,"link":["https://a.example","https://b.example"]`)
		}
		c += x.pick("often", "", `,"at_least":2`, `,"not_performed":true`, `,"at_most":1`, `,"last":{"before":"1d ago"}`)
		if strings.Contains(c, "last") {
			return c + "}"
		}
		return c + x.pick("within", "", `,"within":"1h"`, `,"within":"1d"`, `,"within":"2d"`) + "}"
	case "device":
		return fmt.Sprintf(`{"device":%v%s}`, rapid.Bool().Draw(x.rt, "has"), x.pick("where", "", `,"where":{"property":"platform","is":"ios"}`,
			`,"where":{"property":"last_used","after":"1d ago"}`, `,"where":{"all":[{"property":"status","is":"sent"},{"property":"last_used","before":"2h ago"}]}`))
	case "object":
		return fmt.Sprintf(`{"object":1,"related":%v%s%s}`, rapid.Bool().Draw(x.rt, "related"), x.pick("where", "", `,"where":{"property":"plan","is":"team"}`,
			`,"where":{"property":"renews","after":"now"}`), x.pick("relationship", "", `,"relationship":{"property":"role","is":"admin"}`))
	case "segment":
		slug := x.pick("slug", "picked", fmt.Sprintf("s%d", rapid.IntRange(0, earlier-1).Draw(x.rt, "earlier")))
		return fmt.Sprintf(`{"segment":%q,"in":%v}`, slug, rapid.Bool().Draw(x.rt, "in"))
	default:
		parts := make([]string, rapid.IntRange(1, 3).Draw(x.rt, "parts"))
		for i := range parts {
			parts[i] = x.condition(earlier, depth-1)
		}
		return fmt.Sprintf(`{%q:[%s]}`, kind, strings.Join(parts, ","))
	}
}

// check compares with everything evaluated anew.
func (x *random) check() {
	ctx := x.t.Context()
	x.eventually("what is built is complete", func() bool {
		if x.gate == nil {
			return x.settled()
		}
		phase, _ := x.at()
		return phase == definition.Finished && x.nobodyWaits()
	})
	op := x.op(ingest.Clock, ingest.ClockPayload{Advance: 1}) // everything due by now has fired
	x.do(op)
	w, _, err := x.db.Workspace(ctx, x.ws)
	if err != nil {
		x.t.Fatal(err)
	}
	now := op.Received + w.Clock
	rows, err := x.db.CurrentDefinitions(ctx, x.ws, "")
	if err != nil {
		x.t.Fatal(err)
	}
	set, err := definition.Compile(rows)
	if err != nil {
		x.t.Fatal(err)
	}
	if x.live, _, err = x.db.DefinitionSets(ctx, x.ws); err != nil {
		x.t.Fatal(err)
	}
	docs, err := x.db.NewestPeople(ctx, x.ws, 0, 100)
	if err != nil {
		x.t.Fatal(err)
	}
	if err := x.db.Memberships(ctx, x.ws, docs...); err != nil {
		x.t.Fatal(err)
	}
	if left := x.timersBeside(x.ws, docs); left != 0 && (x.chunk == 0 || left < 0) { // builds arm some more
		x.rt.Fatalf("%d timers beside those that people wait for\n%s", left, strings.Join(x.said, "\n"))
	}
	want := map[int64][]uint32{}
	asked, some := x.ask(), []uint32(nil)
	for _, d := range slices.Backward(docs) {
		history, next, err := x.db.Timeline(ctx, x.ws, app.ActivityQuery{From: d.LastActivity, Limit: 1000})
		if err != nil || next != 0 {
			x.t.Fatalf("history: %v, next %d", err, next)
		}
		s := scratch{d, history, map[string]bool{}, map[uint64]segment.FactSpec{}, x.links(d)}
		for _, seg := range set.Segments() {
			_, in := d.Member(seg.ID)
			if seg.Manual {
				s.members[seg.Slug] = in
				continue
			}
			s.greedy(seg.Condition)
			s.members[seg.Slug] = seg.Condition.Eval(s, now).Match
			if s.members[seg.Slug] {
				want[seg.ID] = append(want[seg.ID], d.Ordinal)
			}
			if in != s.members[seg.Slug] {
				x.rt.Fatalf("%s is in %s: %v, from scratch %v\n%s\nat %d", d.ID, seg.Slug, in, s.members[seg.Slug], strings.Join(x.said, "\n"), now)
			}
		}
		if s.greedy(asked); asked.Eval(s, now).Match {
			some = append(some, d.Ordinal)
		}
	}
	for _, seg := range set.Segments() {
		if seg.Manual {
			continue
		}
		members, err := x.db.Members(ctx, x.ws, seg.ID, 0, 100)
		if err != nil {
			x.t.Fatal(err)
		}
		n, err := x.db.CountMembers(ctx, x.ws, seg.ID)
		if err != nil {
			x.t.Fatal(err)
		}
		if !slices.Equal(members, want[seg.ID]) || n != int64(len(members)) {
			x.rt.Fatalf("%s lists %v and counts %d, from scratch %v\n%s", seg.Slug, members, n, want[seg.ID], strings.Join(x.said, "\n"))
		}
		x.everybody(x.live, seg.Condition, now, want[seg.ID])
	}
	x.everybody(x.live, asked, now, some)
}

// links are a person's relationships as they are stored.
func (x *random) links(d *person.Document) (out []object.Link) {
	list, err := x.db.ObjectsOf(x.t.Context(), d.Ref, 0, 100)
	if err != nil {
		x.t.Fatal(err)
	}
	for i := range list {
		o, err := x.db.FindObject(x.t.Context(), x.ws, object.Key{CIO: list[i].Object.CIO})
		if err != nil || o == nil {
			x.t.Fatalf("object %v: %v, %v", list[i], o, err)
		}
		out = append(out, object.Link{Object: o, Relationship: &object.Relationship{Attributes: list[i].Relationship}})
	}
	return out
}

// ask draws a condition that no segment need have, and that nothing need be counted for.
func (x *random) ask() *segment.Node {
	text := x.condition(x.put, 2)
	n, err := segment.Parse(parse(x.t, text), "conditions")
	if err == nil {
		n, err = x.live.Resolve(n)
	}
	if err != nil {
		x.t.Fatal(err)
	}
	x.say("ask %s", text)
	return n
}

// everybody holds what a scan of all documents and what columns answer to those who are meant.
func (x *random) everybody(set *definition.Set, tree *segment.Node, now int64, want []uint32) {
	q := audience.Query{Workspace: x.ws, Set: set, Tree: tree, Now: now, Samples: 2}
	read, err := audience.Read(x.t.Context(), x.db, q)
	if err != nil {
		x.t.Fatal(err)
	}
	asked, err := x.people.Ask(x.t.Context(), q)
	if err != nil {
		x.t.Fatal(err)
	}
	for name, got := range map[string]*audience.Answer{"a scan": read, "columns": asked} {
		if !slices.Equal(got.Members.ToArray(), want) || got.Count != int64(len(want)) || got.Lines[0].Count != got.Count {
			x.rt.Fatalf("%s: %s finds %v and counts %d, from scratch %v\n%s", tree.Sentence(), name, got.Members, got.Count, want, strings.Join(x.said, "\n"))
		}
	}
	if m := tree.Mentions(); asked.Columns == (m.Devices || len(m.Objects) > 0) {
		x.rt.Fatalf("%s was asked of columns: %v", tree.Sentence(), asked.Columns)
	}
}

// greedy makes facts keep what the tree needs: conditions may share a fact, which keeps what the greediest needs.
func (s scratch) greedy(tree *segment.Node) {
	for _, spec := range tree.Specs() {
		if spec.Keep >= s.specs[spec.Key].Keep {
			s.specs[spec.Key] = spec
		}
	}
}

// scratch shows a person to conditions as their attributes and their whole history have them.
type scratch struct {
	doc     *person.Document
	history []event.Activity
	members map[string]bool
	specs   map[uint64]segment.FactSpec
	links   []object.Link
}

// Attribute is part of segment.Subject.
func (s scratch) Attribute(name string) value.Value { return s.doc.Get(name) }

// Data is part of segment.Subject.
func (s scratch) Data() value.Value { return nil }

// Devices is part of segment.Subject.
func (s scratch) Devices() []person.Device { return s.doc.Devices }

// Related is part of segment.Subject.
func (s scratch) Related(typ int64) []object.Link {
	return slices.DeleteFunc(slices.Clone(s.links), func(l object.Link) bool { return l.Object.Type != typ })
}

// Member is part of segment.Subject.
func (s scratch) Member(slug string) bool { return s.members[slug] }

// Fact is part of segment.Subject.
func (s scratch) Fact(key uint64) person.Fact {
	spec := s.specs[key]
	var of []event.Activity
	for _, a := range s.history {
		if name, ok := a.Chained(); ok && a.Type == spec.Type && name == spec.Name {
			of = append(of, a)
		}
	}
	return segment.Rebuild(spec, of)
}

// Since is part of segment.Subject.
func (s scratch) Since() int64 {
	since := s.doc.Created
	for _, a := range s.history {
		if a.Type == event.Track {
			since = min(since, a.At)
		}
	}
	return since
}
