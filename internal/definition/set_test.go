package definition

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/value"
)

// ground keeps rows as a store would.
type ground struct {
	t        testing.TB
	rows     []Row
	gen      int64
	counters map[string]int64
}

func newGround(t testing.TB) *ground {
	t.Helper()
	return &ground{t: t, counters: map[string]int64{}}
}

// save applies p at now = 1000 × generation and returns what changed.
func (g *ground) save(p ingest.DefinePayload) []Row {
	g.t.Helper()
	changed, err := Apply(g.rows, p, g.gen+1, 1000*(g.gen+1), func(kind string) int64 {
		g.counters[kind]++
		return g.counters[kind]
	})
	if err != nil {
		g.t.Fatalf("Apply() = %v", err)
	}
	if len(changed) > 0 {
		g.gen++
	}
	for _, c := range changed {
		for i := range g.rows {
			if g.rows[i].Kind == c.Kind && g.rows[i].ID == c.ID {
				g.rows[i].Current = false
			}
		}
	}
	g.rows = append(g.rows, changed...)
	g.rows = slices.DeleteFunc(g.rows, func(r Row) bool { return r.Deleted || !r.Current && r.Kind != Campaigns })
	return changed
}

// apply saves a file, as the command does.
func (g *ground) apply(yaml string, prune bool) Plan {
	g.t.Helper()
	plan := Diff(g.rows, parse(g.t, yaml), prune)
	if err := Check(g.rows, plan.Payload()); err != nil {
		g.t.Fatalf("Check() = %v", err)
	}
	g.save(plan.Payload())
	return plan
}

func (g *ground) set() *Set {
	g.t.Helper()
	s, err := Compile(g.rows)
	if err != nil {
		g.t.Fatalf("Compile() = %v", err)
	}
	return s
}

func TestCompileExample(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.apply(string(readFile(t, "testdata/onboarding.yaml")), false)
	s := g.set()
	paying := s.SegmentBySlug("paying")
	if paying == nil || paying != s.Segment(paying.ID) || paying.Manual || paying.Gen != 1 || paying.Created != 1000 {
		t.Errorf("segment paying = %+v", paying)
	}
	if vip := s.SegmentBySlug("vip"); vip == nil || !vip.Manual || vip.Condition != nil {
		t.Errorf("segment vip = %+v, want a manual one", vip)
	}
	if got := s.SegmentsByAttribute("plan"); len(got) != 1 || got[0] != paying {
		t.Errorf("SegmentsByAttribute(plan) = %v", got)
	}
	if got := s.SegmentsByChain(event.ChainName(event.Track, "purchase")); len(got) != 1 || got[0] != paying {
		t.Errorf("SegmentsByChain(purchase) = %v", got)
	}
	for name, keep := range map[string]int{"purchase": 1, "activated": 0, "signed_up": -1} {
		facts := s.FactsOf(event.ChainName(event.Track, name))
		if keep < 0 && len(facts) == 0 {
			continue
		}
		if len(facts) != 1 || facts[0].Keep != keep || facts[0].Born != 1 || s.Facts()[facts[0].Key] != facts[0] {
			t.Errorf("FactsOf(%s) = %+v, want one that keeps %d", name, facts, keep)
		}
	}
	c := s.CampaignsByEvent("signed_up")
	if len(c) != 1 || c[0].Slug != "onboarding" || c[0].Once || c[0] != s.Campaign(c[0].ID, 1) || c[0] != s.Campaign(c[0].ID, 0) {
		t.Fatalf("CampaignsByEvent(signed_up) = %v", c)
	}
	var emails []string
	for _, e := range c[0].Emails() {
		emails = append(emails, fmt.Sprintf("%s %d", e.Slug, e.ActionID))
	}
	if diff := cmp.Diff([]string{"welcome 1", "nudge 5"}, emails); diff != "" {
		t.Errorf("Emails() (-want +got):\n%s", diff)
	}
	if s.Sender("hello") == nil || s.Layout("plain") == nil || s.TransactionalBySlug("Receipt") == nil || s.TransactionalBySlug("RECEIPT") != s.Transactional(1) {
		t.Error("sender, layout or transactional message is missing")
	}
}

func TestTopologicalOrder(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.apply(`schema: 1
workspace: acme
segments:
  - id: c
    conditions: {all: [{segment: b}, {not_segment: a}]}
  - id: b
    conditions: {segment: a}
  - id: a
    manual: true
`, false)
	s := g.set()
	var got []string
	for i, seg := range s.Segments() {
		if seg.Order != i {
			t.Errorf("Order of %s = %d, want %d", seg.Slug, seg.Order, i)
		}
		got = append(got, seg.Slug)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" {
		t.Errorf("Segments() (-want +got):\n%s", diff)
	}
	if got := s.SegmentsBySegment("a"); len(got) != 2 {
		t.Errorf("SegmentsBySegment(a) = %v, want b and c", got)
	}
}

// TestRefused: what only the whole workspace can know.
func TestRefused(t *testing.T) {
	t.Parallel()
	const mail = `email: {from: hello, to: "{{ customer.email }}", subject: Hi, layout: plain, body: Hi}`
	for name, c := range map[string]struct{ yaml, field, msg string }{
		"circle": {`segments:
  - {id: a, conditions: {segment: b}}
  - {id: b, conditions: {any: [{segment: c}, {attribute: x, is: y}]}}
  - {id: c, conditions: {segment: a}}
`, "segments.a.conditions.segment", "segments refer to each other in a circle: a → b → c → a"},
		"itself": {`segments:
  - {id: a, conditions: {not_segment: a}}
`, "segments.a.conditions.not_segment", "segments refer to each other in a circle: a → a"},
		"segment of segment": {`segments:
  - {id: paying, manual: true}
  - {id: b, conditions: {segment: payng}}
`, "segments.b.conditions.segment", "there is no segment payng, did you mean paying?"},
		"segment of filter": {`campaigns:
  - {id: c, trigger: {event: go}, filter: {segment: s}, workflow: [{id: e, exit: true}]}
`, "campaigns.c.filter.segment", "there is no segment s"},
		"segment of trigger": {`campaigns:
  - {id: c, trigger: {enters_segment: s}, workflow: [{id: e, exit: true}]}
`, "campaigns.c.trigger.enters_segment", "there is no segment s"},
		"segment of branch": {`campaigns:
  - id: c
    trigger: {event: go}
    workflow:
      - {id: w, delay: 1d}
      - id: b
        branch:
          - {if: {attribute: x, exists: true}, then: [{id: b2, branch: [{if: {segment: s}, then: []}]}]}
`, "campaigns.c.workflow[1].branch[0].then[0].branch[0].if.segment", "there is no segment s"},
		"sender": {`senders: [{id: hallo, email: hello@acme.example}]
layouts: [{id: plain, body: "{{ content }}"}]
campaigns:
  - {id: c, trigger: {event: go}, workflow: [{id: m, ` + mail + `}]}
`, "campaigns.c.workflow[0].email.from", "there is no sender hello, did you mean hallo?"},
		"layout": {`senders: [{id: hello, email: hello@acme.example}]
transactional:
  - {id: r, from: hello, subject: Hi, body: Hi, layout: nice}
`, "transactional.r.layout", "there is no layout nice"},
		"case": {`transactional:
  - {id: r, from: a@acme.example, subject: Hi, body: Hi}
  - {id: R, from: a@acme.example, subject: Hi, body: Hi}
`, "transactional.R.id", "differs from r in case only"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := Diff(nil, parse(t, "schema: 1\nworkspace: acme\n"+c.yaml), false)
			err := Check(nil, plan.Payload())
			want := &fault.Error{Kind: fault.Invalid, Field: c.field, Msg: c.msg}
			if diff := cmp.Diff(error(want), err, cmpopts.EquateComparable()); err == nil || err.Error() != want.Error() {
				t.Errorf("Check() = %v, want %v %s", err, want, diff)
			}
		})
	}
}

// TestFacts: conditions that several definitions share are counted once, for the one that looks furthest back.
func TestFacts(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	const head = "schema: 1\nworkspace: acme\n"
	segment := func(id string, least int) string {
		return fmt.Sprintf("  - {id: %s, conditions: {event: buy, at_least: %d, within: 30d}}\n", id, least)
	}
	campaign := func(state, condition string) string {
		return "campaigns:\n  - {id: c, state: " + state + ", trigger: {event: go}, filter: " + condition + ", workflow: [{id: e, exit: true}]}\n"
	}
	check := func(keep int, born int64, others ...string) {
		t.Helper()
		s := g.set()
		facts := s.FactsOf(event.ChainName(event.Track, "buy"))
		if len(facts) != 1 || facts[0].Keep != keep || facts[0].Born != born {
			t.Fatalf("FactsOf(buy) = %+v, want one that keeps %d, born %d", facts, keep, born)
		}
		if len(s.Facts()) != 1+len(others) {
			t.Errorf("%d facts, want %d", len(s.Facts()), 1+len(others))
		}
		for _, o := range others {
			if len(s.FactsOf(event.ChainName(event.Track, o))) != 1 {
				t.Errorf("FactsOf(%s) is empty", o)
			}
		}
	}
	g.apply(head+"segments:\n"+segment("a", 1), false)
	check(1, 1)
	g.apply(head+"segments:\n"+segment("b", 3), false)
	check(3, 2)
	g.apply(head+"segments:\n"+segment("c", 3), false)
	check(3, 3)
	g.apply(head+"segments:\n"+segment("a", 1), true)
	check(1, 1)
	g.apply(head+campaign("draft", "{event: old}"), false)
	check(1, 1) // a draft asks for nothing
	g.apply(head+campaign("running", "{event: old}"), false)
	check(1, 1, "old")
	g.apply(head+campaign("running", "{event: new}"), false)
	check(1, 1, "old", "new") // journeys may still run on the old version
}

func TestStarted(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	for i, c := range []struct {
		state, name string
		want        int64
	}{{"draft", "a", 0}, {"running", "a", 2}, {"running", "b", 2}, {"running", "c", 2}, {"stopped", "c", 0}, {"running", "c", 6}} {
		g.apply("schema: 1\nworkspace: acme\ncampaigns:\n  - {id: c, name: "+c.name+", state: "+c.state+", trigger: {event: go}, workflow: [{id: e, exit: true}]}\n", false)
		got := g.set().Campaign(1, 0)
		if got.Started != c.want || got.Gen != int64(i+1) || got.Version != int64(i+1) {
			t.Errorf("step %d: started %d, gen %d, version %d, want started %d", i, got.Started, got.Gen, got.Version, c.want)
		}
	}
	if g.set().Campaign(1, 2).Name != "a" || g.set().Campaign(1, 9) != nil {
		t.Error("old versions are not found by number")
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	body := func(s string) value.Value { return mustParse(t, []byte(s)) }
	put := func(kind, slug, s string) ingest.DefinePayload {
		return ingest.DefinePayload{Put: []ingest.Definition{{Kind: kind, Slug: slug, Body: body(s)}}}
	}
	got := g.save(put(Segments, "a", `{"id":"a","manual":true,"name":"A"}`))
	want := []Row{{Kind: Segments, ID: 1, Version: 1, Slug: "a", Body: body(`{"id":"a","manual":true,"name":"A"}`), Gen: 1, Current: true, Created: 1000, Updated: 1000}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("first (-want +got):\n%s", diff)
	}
	if got := g.save(put(Segments, "a", `{"name":"A","id":"a","manual":true}`)); len(got) != 0 {
		t.Errorf("the same in another order gives %v, want nothing", got)
	}
	got = g.save(put(Segments, "a", `{"id":"a","manual":true,"name":"B"}`))
	if len(got) != 1 || got[0].ID != 1 || got[0].Version != 2 || got[0].Created != 1000 || got[0].Updated != 2000 {
		t.Errorf("an edit gives %+v", got)
	}
	gone := ingest.DefinePayload{Delete: []ingest.Definition{{Kind: Segments, Slug: "a"}, {Kind: Segments, Slug: "never"}}}
	got = g.save(gone)
	if len(got) != 1 || !got[0].Deleted || !got[0].Current || got[0].Version != 3 || got[0].ID != 1 {
		t.Errorf("a deletion gives %+v", got)
	}
	if got = g.save(gone); len(got) != 0 {
		t.Errorf("a second deletion gives %+v, want nothing", got)
	}
	if got = g.save(put(Segments, "a", `{"id":"a","manual":true}`)); got[0].ID != 2 || got[0].Version != 1 {
		t.Errorf("a new one of the name gives %+v, want a new number", got)
	}
	for name, p := range map[string]ingest.DefinePayload{
		"kind":  put("snippets", "a", `{"id":"a"}`),
		"id":    put(Segments, "a", `{"id":"b"}`),
		"shape": put(Segments, "a", `[]`),
		"twice": {Put: []ingest.Definition{{Kind: Segments, Slug: "a", Body: body(`{"id":"a"}`)}}, Delete: []ingest.Definition{{Kind: Segments, Slug: "a"}}},
	} {
		if _, err := Apply(g.rows, p, 9, 9, func(string) int64 { return 9 }); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: Apply() = %v, want invalid", name, err)
		}
	}
}

// TestActions: a step's number stays with its id through edits, moves and absence, and is given once.
func TestActions(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	numbers := func(campaign string, workflow string) string {
		t.Helper()
		g.apply("schema: 1\nworkspace: acme\ncampaigns:\n  - {id: "+campaign+", trigger: {event: go}, workflow: "+workflow+"}\n", false)
		var out []string
		for _, c := range g.set().Campaigns() {
			if c.Slug == campaign {
				for _, n := range c.Nodes {
					out = append(out, fmt.Sprintf("%s=%d", n.Slug, n.ActionID))
				}
			}
		}
		return strings.Join(out, " ")
	}
	const branch = "{id: b, branch: [{if: {attribute: x, exists: true}, then: [{id: m, delay: 1d}]}, {else: [{id: n, delay: 1d}]}]}"
	for i, c := range []struct{ campaign, workflow, want string }{
		{"one", "[{id: a, delay: 1d}, {id: z, exit: true}]", "a=1 z=2"},
		{"two", "[{id: a, delay: 1d}]", "a=3"},
		{"one", "[" + branch + ", {id: a, delay: 2d}]", "b=4 m=5 n=6 a=1"},
		{"one", "[{id: z, exit: true}, {id: y, exit: true}, {id: m, delay: 1d}]", "z=2 y=7 m=5"},
	} {
		if got := numbers(c.campaign, c.workflow); got != c.want {
			t.Errorf("step %d: %s, want %s", i, got, c.want)
		}
	}
	for _, r := range g.rows {
		if r.Body.Get("_actions") == nil || r.Document().Get("_actions") != nil {
			t.Errorf("row %s %d: body %s, document %s", r.Slug, r.Version, r.Body, r.Document())
		}
	}
}
