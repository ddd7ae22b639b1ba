package audience

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"pgregory.net/rapid"

	"rapport.example/internal/definition"
	"rapport.example/internal/event"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

const epoch = int64(1_700_000_000_000)

// crowd is a source in memory, with the whole history of everybody.
type crowd struct {
	mu       sync.Mutex
	people   map[uint32]*person.Document
	history  map[uint32][]event.Activity
	rows     []event.Activity // by sequence, from 1
	segments map[int64]*roaring.Bitmap
	links    map[uint32][]object.Link
}

func (c *crowd) LastPerson(context.Context, int64) (uint32, error) {
	last := uint32(0)
	for o := range c.people {
		last = max(last, o)
	}
	return last, nil
}

func (c *crowd) People(_ context.Context, _ int64, from, to uint32, each func(uint32) error) error {
	for _, o := range slices.Sorted(maps.Keys(c.people)) {
		if o >= from && o < to {
			if err := each(o); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *crowd) Documents(_ context.Context, _ int64, from, to uint32, each func(uint32, []byte) error) error {
	return c.People(context.Background(), 1, from, to, func(o uint32) error { return each(o, c.people[o].Encode(nil)) })
}

func (c *crowd) Pick(_ context.Context, _ int64, people []uint32, each func(uint32, []byte) error) error {
	for _, o := range people {
		if d := c.people[o]; d != nil {
			if err := each(o, d.Encode(nil)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *crowd) Walk(_ context.Context, _ int64, heads []int64, each func(event.Activity) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, head := range heads {
		for at := head; at != 0; at = c.rows[at-1].PrevNamed {
			if err := each(c.rows[at-1]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *crowd) LastEvent(context.Context, int64) (int64, error) { return int64(len(c.rows)), nil }

func (c *crowd) Events(_ context.Context, _, from, to int64, wanted []Wanted, each func(int, uint32, int64, value.Value) error) error {
	for i := len(c.rows); i > 0; i-- {
		a := &c.rows[i-1]
		if a.Seq < from || a.Seq >= to || c.people[a.Person] == nil || !slices.Contains(seqs(c.history[a.Person]), a.Seq) {
			continue
		}
		for j, w := range wanted {
			if w.Chain == event.ChainName(a.Type, a.Name) && a.At > w.After {
				if err := each(j, a.Person, a.At, a.Data); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (c *crowd) Related(_ context.Context, _ int64, types []int64, from, to uint32, each func(object.Link) error) error {
	for o, links := range c.links {
		for _, l := range links {
			if o >= from && o < to && c.people[o] != nil && slices.Contains(types, l.Object.Type) {
				if err := each(l); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func seqs(history []event.Activity) (out []int64) {
	for _, a := range history {
		out = append(out, a.Seq)
	}
	return out
}

func (c *crowd) related(o uint32, typ int64) []object.Link {
	return slices.DeleteFunc(slices.Clone(c.links[o]), func(l object.Link) bool { return l.Object.Type != typ })
}

func (c *crowd) Membership(_ context.Context, _, segment int64) (*roaring.Bitmap, error) {
	return c.segments[segment].Clone(), nil
}

// put draws a person anew, their document complete for one of the generations.
func (c *crowd) put(t *rapid.T, set *definition.Set, o uint32) {
	d := &person.Document{Ref: person.Ref{Workspace: 1, Ordinal: o}, CIO: fmt.Sprint(o), Created: epoch + int64(rapid.IntRange(0, 6).Draw(t, "created"))*1000}
	d.Gen = int64(rapid.IntRange(1, 3).Draw(t, "generation"))
	for _, name := range []string{"plan", "n", "t", "o", "l"} {
		values := map[string][]string{
			"plan": {"", `"pro"`, `"free"`, `"Pro"`, `null`, `["pro",1]`, `true`}, "n": {"", "0", "1", "2", `"2"`, `"x"`},
			"t": {"", "1700000001", "1700000002.5", "1700000004", `"2023-11-14T22:13:23Z"`, `"no"`}, "o": {"", `{"a":{"b":1}}`, `{"a":[1,2]}`, "3"},
			"l": {"", `[]`, `[{"s":"x","n":1},{"s":"y","n":2,"t":1700000004}]`, `[{"s":"x","n":2,"t":1700000002}]`, `[{"s":null},7,{"t":"2023-11-14T22:13:21Z"}]`, `{"s":"x","n":2}`, `[["x"],"y"]`},
		}[name]
		if v := rapid.SampledFrom(values).Draw(t, name); v != "" {
			d.Attributes = append(d.Attributes, person.Attribute{Name: name, Value: value.Value(v)})
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "devices") {
		d.Devices = append(d.Devices, person.Device{
			Token: "secret", Platform: rapid.SampledFrom([]string{"ios", "android"}).Draw(t, "platform"),
			LastUsed: epoch/1000 + int64(rapid.IntRange(0, 6).Draw(t, "used")), Attributes: value.Value(rapid.SampledFrom([]string{"", `{"device_os":"17"}`}).Draw(t, "os")),
		})
	}
	c.history[o], c.links[o] = nil, nil
	for range rapid.IntRange(0, 3).Draw(t, "objects") {
		l := object.Link{Object: &object.Object{Type: int64(rapid.IntRange(1, 2).Draw(t, "type"))}, Relationship: &object.Relationship{Person: o}}
		l.Object.Attributes.Set(value.Value(rapid.SampledFrom([]string{`{"plan":"team"}`, `{"t":1700000003}`}).Draw(t, "object")), 1)
		l.Relationship.Attributes.Set(value.Value(rapid.SampledFrom([]string{`{}`, `{"role":"admin"}`}).Draw(t, "relationship")), 1)
		c.links[o] = append(c.links[o], l)
	}
	for range rapid.IntRange(0, 5).Draw(t, "events") {
		a := event.Activity{
			Person: o, Seq: int64(len(c.rows) + 1), Type: event.Track, Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"),
			At: epoch + int64(rapid.IntRange(0, 8).Draw(t, "at"))*1000, Data: value.Value(rapid.SampledFrom([]string{`{"k":1}`, `{"k":2}`, ""}).Draw(t, "data")),
		}
		chain := event.ChainName(a.Type, a.Name)
		if i := slices.IndexFunc(d.Named, func(n person.Named) bool { return n.Name == chain }); i >= 0 {
			a.PrevNamed, d.Named[i].Seq = d.Named[i].Seq, a.Seq
		} else {
			d.Named = append(d.Named, person.Named{Name: chain, Seq: a.Seq})
		}
		if d.FirstEvent == 0 || a.At < d.FirstEvent {
			d.FirstEvent = a.At
		}
		c.rows, c.history[o] = append(c.rows, a), append(c.history[o], a)
	}
	for _, f := range set.Facts() {
		if d.Gen < f.Born && len(of(c.history[o], f.FactSpec)) > 0 {
			d.Facts = append(d.Facts, person.Fact{Key: f.Key, Count: 9, First: epoch, Newest: []int64{epoch + 9000}}) // from an earlier time
		} else if fact := segment.Rebuild(f.FactSpec, of(c.history[o], f.FactSpec)); fact.Count > 0 {
			d.Facts = append(d.Facts, fact)
		}
	}
	slices.SortFunc(d.Facts, func(a, b person.Fact) int { return int(a.Key>>1) - int(b.Key>>1) })
	c.people[o] = d
}

func of(history []event.Activity, spec segment.FactSpec) (out []event.Activity) {
	for _, a := range history {
		if a.Type == spec.Type && a.Name == spec.Name {
			out = append(out, a)
		}
	}
	return out
}

// whole shows a person to conditions with their whole history.
type whole struct {
	c    *crowd
	d    *person.Document
	set  *definition.Set
	tree *segment.Node
}

func (w whole) Attribute(name string) value.Value { return w.d.Get(name) }
func (w whole) Data() value.Value                 { return nil }
func (w whole) Since() int64                      { return w.d.Since() }
func (w whole) Devices() []person.Device          { return w.d.Devices }
func (w whole) Related(typ int64) []object.Link   { return w.c.related(w.d.Ordinal, typ) }
func (w whole) Member(slug string) bool {
	seg := w.set.SegmentBySlug(slug)
	return seg != nil && w.c.segments[seg.ID].Contains(w.d.Ordinal)
}

func (w whole) Fact(key uint64) (f person.Fact) {
	for _, spec := range w.tree.Specs() {
		if spec.Key == key {
			spec.Keep = 100
			f = segment.Rebuild(spec, of(w.c.history[w.d.Ordinal], spec))
		}
	}
	return f
}

// drawTree draws a condition of all that there is.
func drawTree(t *rapid.T, depth int) string {
	if depth > 0 && rapid.IntRange(0, 2).Draw(t, "group") > 0 {
		parts := make([]string, rapid.IntRange(1, 3).Draw(t, "children"))
		for i := range parts {
			parts[i] = drawTree(t, depth-1)
		}
		return fmt.Sprintf(`{%q:[%s]}`, rapid.SampledFrom([]string{"all", "any", "none"}).Draw(t, "word"), strings.Join(parts, ","))
	}
	if rapid.IntRange(0, 4).Draw(t, "when") == 0 {
		return fmt.Sprintf(`{"event":%q,%s%s}`, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name"), rapid.SampledFrom([]string{
			`"first":{"before":"2s ago"}`, `"first":{"after":"3s ago"}`, `"last":{"before":"2s ago"}`, `"last":{"after":"now"}`, `"last":{"after":"5s ago","before":"1s ago"}`,
			`"first":{"before":"in 1s"},"last":{"after":"2023-11-14T22:13:23Z"}`,
		}).Draw(t, "dates"), rapid.SampledFrom([]string{"", `,"where":{"property":"k","is":1}`}).Draw(t, "where"))
	}
	if rapid.Bool().Draw(t, "event") {
		within := rapid.SampledFrom([]string{"", `,"within":"2s"`, `,"within":"5s"`}).Draw(t, "within")
		return fmt.Sprintf(`{"event":%q,%s%s%s}`, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name"),
			rapid.SampledFrom([]string{`"at_least":1`, `"at_least":2`, `"at_most":1`, `"exactly":0`, `"exactly":2`, `"at_least":1,"at_most":2`}).Draw(t, "times"), within,
			rapid.SampledFrom([]string{"", `,"where":{"property":"k","is":1}`}).Draw(t, "where"))
	}
	return rapid.SampledFrom([]string{
		`{"attribute":"plan","is":"pro"}`, `{"attribute":"plan","is_not":["pro","free"]}`, `{"attribute":"plan","contains":"R"}`, `{"attribute":"plan","exists":false}`,
		`{"attribute":"n","at_least":1}`, `{"attribute":"n","less":2,"greater":0}`, `{"attribute":"t","after":"2s ago"}`, `{"attribute":"t","before":"now"}`,
		`{"attribute":"t","after":"4s ago","before":"1s ago"}`, `{"attribute":"t","is":1700000001}`, `{"attribute":"o.a.b","is":1}`, `{"attribute":"o","exists":true}`,
		`{"attribute":"cio_id","contains":"1"}`, `{"segment":"some"}`, `{"not_segment":"some"}`, `{"device":true}`,
		`{"device":true,"where":{"all":[{"property":"platform","is":"ios"},{"property":"last_used","after":"3s ago"}]}}`,
		`{"device":false,"where":{"property":"os","is":17}}`, `{"object":2}`, `{"object":1,"where":{"property":"plan","is":"team"},"related":false}`,
		`{"object":1,"where":{"property":"t","after":"2s ago"},"relationship":{"property":"role","is":"admin"}}`,
		`{"attribute":"t","is_timestamp":true}`, `{"attribute":"t","is_timestamp":false}`, `{"attribute":"o.a[1]","is":2}`, `{"attribute":"l[0].s","is":"x"}`, `{"attribute":"l[-1].n","exists":false}`,
		`{"attribute":"l[].s","is":"x"}`, `{"attribute":"l[].s","is_not":"x"}`, `{"attribute":"l[].n","greater":0,"less":2}`, `{"attribute":"l[].t","after":"2s ago","before":"now"}`,
		`{"attribute":"l","has":{"all":[{"property":"s","is":"x"},{"property":"n","is":2}]}}`, `{"attribute":"l[]","has":{"property":"t","before":"1s ago"}}`, `{"attribute":"l[0]","has":{"not":{"property":"n","is":1}}}`,
	}).Draw(t, "leaf")
}

// compiled is the workspace's definitions: a segment that others refer to, and one of each generation whose events are counted.
func compiled(t *rapid.T) *definition.Set {
	body := func(id, rest string) value.Value { return value.Value(fmt.Sprintf(`{"id":%q,%s}`, id, rest)) }
	rows := []definition.Row{{Kind: definition.Segments, ID: 1, Version: 1, Slug: "some", Gen: 1, Current: true, Body: body("some", `"manual":true`)}}
	for i, gen := range []int64{2, 3} {
		slug := fmt.Sprintf("s%d", i)
		rows = append(rows, definition.Row{
			Kind: definition.Segments, ID: int64(i + 2), Version: 1, Slug: slug, Gen: gen, Current: true,
			Body: body(slug, `"conditions":`+drawTree(t, 1)),
		})
	}
	set, err := definition.Compile(rows)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestEverybody holds what columns and a scan answer, line by line, to the tree evaluated person by person on their whole history,
// while people come, change and go. With little room some columns make place for others, and some never fit.
func TestEverybody(t *testing.T) {
	t.Parallel()
	conditions, people := 0, uint64(0)
	rapid.Check(t, func(t *rapid.T) {
		set := compiled(t)
		c := &crowd{people: map[uint32]*person.Document{}, history: map[uint32][]event.Activity{}, segments: map[int64]*roaring.Bitmap{1: roaring.New()}, links: map[uint32][]object.Link{}}
		a := New(c, rapid.SampledFrom([]int64{64 << 20, 1_500_000, 1000}).Draw(t, "room"))
		a.Hold(1)
		// A column is as long as the largest ordinal: most people are the first few, so that there is time for many conditions.
		few, far := []uint32{1, 2, 3, 63, 64, 65, 66}, []uint32{1, 2, 3, 64, 65, 65_534, 65_535, 65_536, 65_537, 131_071, 131_072}
		ordinals := rapid.SampledFrom(rapid.SampledFrom([][]uint32{few, few, few, few, few, few, few, far}).Draw(t, "ordinals"))
		for range rapid.IntRange(1, 4).Draw(t, "steps") {
			for range rapid.IntRange(0, 6).Draw(t, "changes") {
				o := ordinals.Draw(t, "ordinal")
				c.segments[1].Remove(o)
				if rapid.IntRange(0, 4).Draw(t, "gone") == 0 {
					delete(c.people, o)
				} else {
					c.put(t, set, o)
					if rapid.Bool().Draw(t, "some") {
						c.segments[1].Add(o)
					}
				}
				a.Touch(1, []uint32{o})
			}
			for range 2 {
				people += c.check(t, a, set)
				conditions++
			}
		}
	})
	t.Logf("%d conditions, put to %d people in all by columns, by a scan and with history counted first, were what evaluation from scratch says", conditions, people)
}

// check compares what everybody answers to a condition, and says how many they are.
func (c *crowd) check(t *rapid.T, a *Audiences, set *definition.Set) uint64 {
	text := drawTree(t, 3)
	tree, err := segment.Parse(value.Value(text), "conditions")
	if err != nil {
		t.Fatal(err)
	}
	q := Query{Workspace: 1, Set: set, Tree: tree, Now: epoch + int64(rapid.IntRange(0, 12).Draw(t, "now"))*1000, Samples: 3}
	want := c.naive(q)
	asks := map[string]func() (*Answer, error){
		"columns": func() (*Answer, error) { return a.Ask(context.Background(), q) },
		"scan":    func() (*Answer, error) { return Read(context.Background(), c, q) },
		"history": func() (*Answer, error) { return c.counted(q) },
	}
	if rapid.IntRange(0, 7).Draw(t, "also") == 0 { // it takes whole blocks
		end := rapid.SampledFrom([]uint32{3 << pieceBits, 1<<pieceBits + 1, 64}).Draw(t, "end")
		asks["told"] = func() (*Answer, error) { return c.told(q, end) }
	}
	for name, ask := range asks {
		got, err := ask()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !got.Members.Equals(want.Members) || got.People != want.People || got.Count != want.Count || !slices.Equal(got.Lines, want.Lines) {
			t.Fatalf("%s of %s: %v of %d, %v\nwant %v of %d, %v", name, text, got.Members, got.People, got.Lines, want.Members, want.People, want.Lines)
		}
		if len(got.Samples) != min(3, int(got.Count)) || !slices.IsSorted(got.Samples) || slices.ContainsFunc(got.Samples, func(o uint32) bool { return !want.Members.Contains(o) }) {
			t.Fatalf("%s of %s: samples %v of %v", name, text, got.Samples, want.Members)
		}
	}
	return uint64(len(c.people))
}

// counted is Read with everybody's events counted first, however few they are.
func (c *crowd) counted(q Query) (*Answer, error) {
	ctx, lines, specs := context.Background(), lay(q.Tree), countedOf(q.Set, []*segment.Node{q.Tree})
	members, err := membersOf(ctx, c, q.Workspace, q.Set, []*segment.Node{q.Tree})
	if err != nil {
		return nil, err
	}
	past := newHistory(specs, afterOf(lines, q.Now), 0, 3<<pieceBits, historyRoom)
	if err := past.read(ctx, c, q.Workspace, int64(len(c.rows))); err != nil {
		return nil, err
	}
	p := part{members: roaring.New(), lines: make([]Line, len(lines))}
	err = scanRange(ctx, c, q.Workspace, specs, typesOf([]*segment.Node{q.Tree}), past, members, 0, 3<<pieceBits, func(who *Person) error {
		p.count(lines, who, q.Now)
		return nil
	})
	return gather([]part{p}, q.Samples), err
}

// told is an answer from columns of which the history tells what it can, however few events there are, up to an ordinal where it ends.
func (c *crowd) told(q Query, end uint32) (*Answer, error) {
	ctx, lines, s := context.Background(), lay(q.Tree), newSpace()
	keys, _, ok := columnsOf(lines)
	if !ok {
		return c.counted(q)
	}
	all := countedOf(q.Set, []*segment.Node{q.Tree})
	past := newHistory(all, nil, 0, end, historyRoom)
	if err := past.read(ctx, c, q.Workspace, int64(len(c.rows))); err != nil {
		return nil, err
	}
	members, err := membersOf(ctx, c, q.Workspace, q.Set, []*segment.Node{q.Tree})
	if err != nil {
		return nil, err
	}
	parts := make([]part, 3)
	for i := range parts {
		s.blocks = append(s.blocks, newBlock())
		if err := s.readBlock(ctx, New(c, 64<<20), q.Workspace, all, past, keys, i, false); err != nil {
			return nil, err
		}
		parts[i] = s.blocks[i].ask(lines, q.Now, members, uint32(i)<<pieceBits)
	}
	return gather(parts, q.Samples), nil
}

// naive asks every person for every line.
func (c *crowd) naive(q Query) *Answer {
	out := &Answer{Members: roaring.New()}
	for o, d := range c.people {
		out.People++
		lines := q.Tree.Explain(whole{c, d, q.Set, q.Tree}, q.Now)
		if out.Lines == nil {
			out.Lines = make([]Line, len(lines))
		}
		var wrong []int
		for i, l := range lines {
			if l.Match {
				out.Lines[i].Count++
			} else if l.Depth == 1 && lines[0].Sentence == "all of" {
				wrong = append(wrong, i)
			}
		}
		if len(wrong) == 1 {
			out.Lines[wrong[0]].Alone++
		}
		if lines[0].Match {
			out.Members.Add(o)
		}
	}
	if out.Lines == nil {
		out.Lines = make([]Line, len(lay(q.Tree)))
	}
	out.Count = int64(out.Members.GetCardinality())
	return out
}
