package segment

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"rapport.example/internal/event"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// The naive evaluator answers conditions over the whole list of events. It shares nothing with the package but the JSON
// that it writes: its own tree, its own arithmetic, no facts and no next moments.

// history is everything that is known about one person.
type history struct {
	created    int64
	attributes map[string]string // JSON
	events     []event.Activity  // in the order of their arrival
	members    map[string]bool
	devices    []person.Device
	links      []object.Link
}

// naive is one condition of the test's own making.
type naive struct {
	json  string
	holds func(h *history, now int64) bool
	edges func(h *history) []int64 // moments at which the answer may change
	leaf  bool                     // one operator or one event condition, whose next moment must be exact
}

func drawCondition(t *rapid.T, depth int) naive {
	if depth > 0 && rapid.IntRange(0, 2).Draw(t, "group") > 0 {
		return drawGroup(t, depth)
	}
	switch rapid.IntRange(0, 10).Draw(t, "leaf") {
	case 0:
		return drawMember(t)
	case 1:
		return drawMoment(t)
	case 2:
		return drawNumber(t)
	case 6:
		return drawDates(t)
	case 7, 8:
		return drawElements(t)
	case 9:
		return drawDevice(t)
	case 10:
		return drawObject(t)
	default:
		return drawEvent(t)
	}
}

func drawGroup(t *rapid.T, depth int) naive {
	word := rapid.SampledFrom([]string{"all", "any", "none", "not"}).Draw(t, "word")
	children := make([]naive, rapid.IntRange(1, 3).Draw(t, "children"))
	parts := make([]string, len(children))
	for i := range children {
		children[i] = drawCondition(t, depth-1)
		parts[i] = children[i].json
	}
	return naive{
		json: fmt.Sprintf(`{%q:[%s]}`, word, strings.Join(parts, ",")),
		holds: func(h *history, now int64) bool {
			met := 0
			for _, c := range children {
				if c.holds(h, now) {
					met++
				}
			}
			switch word {
			case "all":
				return met == len(children)
			case "any":
				return met > 0
			default:
				return met == 0
			}
		},
		edges: func(h *history) (out []int64) {
			for _, c := range children {
				out = append(out, c.edges(h)...)
			}
			return out
		},
	}
}

func noEdges(*history) []int64 { return nil }

func drawMember(t *rapid.T) naive {
	slug := rapid.SampledFrom([]string{"vip", "staff"}).Draw(t, "slug")
	in := rapid.Bool().Draw(t, "in")
	return naive{
		leaf: true, json: fmt.Sprintf(`{"segment":%q,"in":%v}`, slug, in), edges: noEdges,
		holds: func(h *history, _ int64) bool { return h.members[slug] == in },
	}
}

func drawNumber(t *rapid.T) naive {
	word := rapid.SampledFrom([]string{"is", "is_not", "greater", "less", "at_least", "at_most"}).Draw(t, "operator")
	n := rapid.IntRange(0, 3).Draw(t, "number")
	return naive{
		leaf: true, json: fmt.Sprintf(`{"attribute":"n",%q:%d}`, word, n), edges: noEdges,
		holds: func(h *history, _ int64) bool {
			var have int
			if _, err := fmt.Sscan(h.attributes["n"], &have); err != nil {
				return word == "is_not"
			}
			return map[string]bool{"is": have == n, "is_not": have != n, "greater": have > n, "less": have < n, "at_least": have >= n, "at_most": have <= n}[word]
		},
	}
}

// drawMoment asks for a moment relative to now, for one or for two of them.
func drawMoment(t *rapid.T) naive {
	from, to := rapid.IntRange(-6, 6).Draw(t, "after"), rapid.IntRange(-6, 6).Draw(t, "before")
	which := rapid.IntRange(0, 2).Draw(t, "which")
	if which == 2 && to <= from {
		which = 0
	}
	text := func(s int) string {
		switch {
		case s == 0:
			return "now"
		case s < 0:
			return fmt.Sprintf("%ds ago", -s)
		default:
			return fmt.Sprintf("in %ds", s)
		}
	}
	json := [...]string{
		fmt.Sprintf(`{"attribute":"t","after":%q}`, text(from)),
		fmt.Sprintf(`{"attribute":"t","before":%q}`, text(to)),
		fmt.Sprintf(`{"attribute":"t","after":%q,"before":%q}`, text(from), text(to)),
	}[which]
	at := func(h *history) (ms int64, ok bool) {
		var sec float64
		_, err := fmt.Sscan(h.attributes["t"], &sec)
		return int64(sec*1000 + 0.5), err == nil
	}
	return naive{
		leaf: which < 2, json: json,
		holds: func(h *history, now int64) bool {
			ms, ok := at(h)
			after, before := ms > now+int64(from)*1000, ms < now+int64(to)*1000
			return ok && (after || which == 1) && (before || which == 0)
		},
		edges: func(h *history) []int64 {
			ms, _ := at(h)
			return []int64{ms - int64(from)*1000, ms - int64(to)*1000}
		},
	}
}

// drawDates asks when an event happened first or last: before or after a moment, or both.
func drawDates(t *rapid.T) naive {
	word := rapid.SampledFrom([]string{"first", "last"}).Draw(t, "which")
	after, before := rapid.IntRange(-6, 6).Draw(t, "after"), rapid.IntRange(-6, 6).Draw(t, "before")
	fixed := rapid.Bool().Draw(t, "fixed")
	bounds := rapid.IntRange(0, 2).Draw(t, "bounds")
	if bounds == 2 && before <= after {
		bounds = 0
	}
	moment := func(s int) (json string, at func(now int64) int64) {
		if fixed {
			ms := epoch + int64(s)*1000
			return fmt.Sprint(ms / 1000), func(int64) int64 { return ms }
		}
		return fmt.Sprintf("%q", strings.ReplaceAll(fmt.Sprintf("%+ds", s), "+0s", "now")), func(now int64) int64 { return now + int64(s)*1000 }
	}
	afterJSON, afterAt := moment(after)
	beforeJSON, beforeAt := moment(before)
	dates := [...]string{`"after":` + afterJSON, `"before":` + beforeJSON, `"after":` + afterJSON + `,"before":` + beforeJSON}[bounds]
	when := func(h *history) (ms int64, ok bool) {
		for _, a := range h.events {
			if a.Type == event.Track && a.Name == "a" && (!ok || a.At < ms == (word == "first")) {
				ms, ok = a.At, true
			}
		}
		return ms, ok
	}
	return naive{
		leaf: bounds < 2, json: fmt.Sprintf(`{"event":"a",%q:{%s}}`, word, dates),
		holds: func(h *history, now int64) bool {
			ms, ok := when(h)
			return ok && (bounds == 1 || ms > afterAt(now)) && (bounds == 0 || ms < beforeAt(now))
		},
		edges: func(h *history) []int64 {
			ms, _ := when(h)
			return []int64{ms - int64(after)*1000, ms - int64(before)*1000}
		},
	}
}

// element is what the elements of the attribute l are, if they are objects.
type element struct {
	S *string  `json:"s"`
	T *float64 `json:"t"`
}

func (h *history) elements(t *rapid.T) (all []element) {
	var raw []json.RawMessage
	if json.Unmarshal([]byte(h.attributes["l"]), &raw) != nil {
		return nil
	}
	for _, r := range raw {
		var e element
		if r[0] == '{' {
			if err := json.Unmarshal(r, &e); err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
	}
	return all
}

// drawElements asks of the elements of a list.
func drawElements(t *rapid.T) naive {
	off := rapid.IntRange(-4, 4).Draw(t, "offset")
	moment := strings.ReplaceAll(fmt.Sprintf("%+ds", off), "+0s", "now")
	s := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "s")
	is := func(e element) bool { return e.S != nil && *e.S == s }
	ms := func(e element) int64 { return int64(math.Round(*e.T * 1000)) }
	ahead := func(e element, now int64) bool { return e.T != nil && ms(e) > now+int64(off)*1000 }
	one := func(holds func(e element, now int64) bool) func(*history, int64) bool {
		return func(h *history, now int64) bool {
			return slices.ContainsFunc(h.elements(t), func(e element) bool { return holds(e, now) })
		}
	}
	c := [...]struct {
		json  string
		holds func(*history, int64) bool
	}{
		{fmt.Sprintf(`{"attribute":"l[].s","is":%q}`, s), one(func(e element, _ int64) bool { return is(e) })},
		{fmt.Sprintf(`{"attribute":"l[].s","is_not":%q}`, s), func(h *history, now int64) bool { return !slices.ContainsFunc(h.elements(t), is) }},
		{fmt.Sprintf(`{"attribute":"l[].t","after":%q}`, moment), one(ahead)},
		{fmt.Sprintf(`{"attribute":"l","has":{"all":[{"property":"s","is":%q},{"property":"t","after":%q}]}}`, s, moment), one(func(e element, now int64) bool { return is(e) && ahead(e, now) })},
		{fmt.Sprintf(`{"attribute":"l[]","has":{"any":[{"property":"s","is_not":%q},{"property":"t","is_timestamp":true}]}}`, s), one(func(e element, _ int64) bool { return !is(e) || e.T != nil })},
		{fmt.Sprintf(`{"attribute":"l[0].t","is_timestamp":%v}`, s == "x"), func(h *history, _ int64) bool {
			var raw []json.RawMessage
			first := element{}
			if json.Unmarshal([]byte(h.attributes["l"]), &raw) == nil && len(raw) > 0 && raw[0][0] == '{' {
				first = h.elements(t)[0]
			}
			return (first.T != nil) == (s == "x")
		}},
	}[rapid.IntRange(0, 5).Draw(t, "of elements")]
	return naive{
		json: c.json, holds: c.holds,
		edges: func(h *history) (out []int64) {
			for _, e := range h.elements(t) {
				if e.T != nil {
					out = append(out, ms(e)-int64(off)*1000)
				}
			}
			return out
		},
	}
}

// drawDevice asks for a device, or for none, of a platform or used lately or both.
func drawDevice(t *rapid.T) naive {
	has, ios, s := rapid.Bool().Draw(t, "has"), rapid.Bool().Draw(t, "ios"), int64(rapid.IntRange(0, 4).Draw(t, "seconds"))
	where := []string{`{"property":"platform","is":"ios"}`, fmt.Sprintf(`{"property":"last_used","after":"%ds ago"}`, s)}
	if s == 0 {
		where = where[:1]
	}
	if !ios {
		where = where[1:]
	}
	json := fmt.Sprintf(`{"device":%v`, has)
	if len(where) > 0 {
		json += fmt.Sprintf(`,"where":{"all":[%s]}`, strings.Join(where, ","))
	}
	return naive{
		json: json + "}",
		holds: func(h *history, now int64) bool {
			for _, d := range h.devices {
				if (!ios || d.Platform == "ios") && (s == 0 || d.LastUsed*1000 > now-s*1000) {
					return has
				}
			}
			return !has
		},
		edges: func(h *history) (out []int64) {
			for _, d := range h.devices {
				out = append(out, d.LastUsed*1000+s*1000)
			}
			return out
		},
	}
}

// drawObject asks for a relationship, or for none, with an object that has a moment lately, by a relationship that has one ahead.
func drawObject(t *rapid.T) naive {
	is, back, ahead := rapid.Bool().Draw(t, "related"), int64(rapid.IntRange(0, 4).Draw(t, "back")), int64(rapid.IntRange(0, 4).Draw(t, "ahead"))
	json := fmt.Sprintf(`{"object":1,"related":%v`, is)
	if back > 0 {
		json += fmt.Sprintf(`,"where":{"property":"t","after":"%ds ago"}`, back)
	}
	if ahead > 0 {
		json += fmt.Sprintf(`,"relationship":{"property":"t","before":"in %ds"}`, ahead)
	}
	at := func(a object.Attributes) int64 { n, _ := a.Get("t").Number(); return int64(n) * 1000 }
	return naive{
		json: json + "}",
		holds: func(h *history, now int64) bool {
			for _, l := range h.links {
				if l.Object.Type == 1 && (back == 0 || at(l.Object.Attributes) > now-back*1000) && (ahead == 0 || at(l.Relationship.Attributes) < now+ahead*1000) {
					return is
				}
			}
			return !is
		},
		edges: func(h *history) (out []int64) {
			for _, l := range h.links {
				out = append(out, at(l.Object.Attributes)+back*1000, at(l.Relationship.Attributes)-ahead*1000)
			}
			return out
		},
	}
}

func drawEvent(t *rapid.T) naive {
	name := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "event")
	typ := rapid.SampledFrom([]event.Type{event.Track, event.Track, event.Page}).Draw(t, "type")
	window := int64(rapid.IntRange(0, 6).Draw(t, "window")) * 1000
	kind := rapid.SampledFrom([]string{"", "", ` ,"where":{"property":"k","is":1}`, ` ,"where":{"not":{"property":"k","is":"1"}}`}).Draw(t, "where")
	least, most, bounds := int64(0), int64(1<<40), ""
	k := int64(rapid.IntRange(0, 3).Draw(t, "count"))
	switch word := rapid.SampledFrom([]string{"", "at_least", "at_most", "exactly", "performed", "not_performed", "range"}).Draw(t, "bound"); word {
	case "":
		least = 1
	case "performed", "not_performed":
		yes := rapid.Bool().Draw(t, "yes")
		bounds = fmt.Sprintf(`,%q:%v`, word, yes)
		if yes == (word == "performed") {
			least = 1
		} else {
			most = 0
		}
	case "range":
		least, most = k, k+1
		bounds = fmt.Sprintf(`,"at_least":%d,"at_most":%d`, least, most)
	case "at_least":
		least = k + 1
		bounds = fmt.Sprintf(`,"at_least":%d`, least)
	default:
		if most = k; word == "exactly" {
			least = k
		}
		bounds = fmt.Sprintf(`,%q:%d`, word, k)
	}
	json := fmt.Sprintf(`{"event":%q,"type":%q%s%s`, name, typ, bounds, kind)
	if window != 0 {
		json += fmt.Sprintf(`,"within":"%ds"`, window/1000)
	}
	counted := func(a event.Activity) bool {
		one := string(a.Data) == `{"k":1}`
		return a.Type == typ && a.Name == name && (kind == "" || one != strings.Contains(kind, "not"))
	}
	return naive{
		leaf: true, json: json + "}",
		holds: func(h *history, now int64) bool {
			n := int64(0)
			for _, a := range h.events {
				if counted(a) && (window == 0 || a.At+window > now) {
					n++
				}
			}
			if window != 0 && most == 0 && now < h.age()+window {
				return false
			}
			return n >= least && n <= most
		},
		edges: func(h *history) []int64 {
			out := []int64{h.age() + window}
			for _, a := range h.events {
				out = append(out, a.At+window)
			}
			return out
		},
	}
}

// age is the start of the profile's age.
func (h *history) age() int64 {
	start := h.created
	for _, a := range h.events {
		start = min(start, a.At)
	}
	return start
}

func drawHistory(t *rapid.T) *history {
	h := &history{attributes: map[string]string{}, members: map[string]bool{"vip": rapid.Bool().Draw(t, "vip"), "staff": rapid.Bool().Draw(t, "staff")}}
	h.created = drawAt(t)
	h.attributes["n"] = rapid.SampledFrom([]string{"", "0", "1", "2", "3"}).Draw(t, "n")
	if rapid.IntRange(0, 4).Draw(t, "timed") > 0 {
		ms := drawAt(t)
		h.attributes["t"] = fmt.Sprintf("%d.%03d", ms/1000, ms%1000)
	}
	h.attributes["l"] = rapid.SampledFrom([]string{"", `[]`, `"x"`, `{"s":"x"}`, "list"}).Draw(t, "l")
	if h.attributes["l"] == "list" {
		parts := make([]string, rapid.IntRange(1, 3).Draw(t, "elements"))
		for i := range parts {
			at := drawAt(t)
			parts[i] = fmt.Sprintf(rapid.SampledFrom([]string{`{"s":"x","t":%d.%03d}`, `{"t":%d.%03d}`, `{"s":"y","t":%d.%03d}`, `%d.%03d`}).Draw(t, "element"), at/1000, at%1000)
			if rapid.IntRange(0, 2).Draw(t, "timeless") == 0 {
				parts[i] = rapid.SampledFrom([]string{`{"s":"x"}`, `{"s":"y"}`, `{"s":null}`, `"x"`, `null`}).Draw(t, "element")
			}
		}
		h.attributes["l"] = "[" + strings.Join(parts, ",") + "]"
	}
	for range rapid.IntRange(0, 3).Draw(t, "devices") {
		h.devices = append(h.devices, person.Device{Platform: rapid.SampledFrom([]string{"ios", "android"}).Draw(t, "platform"), LastUsed: drawAt(t) / 1000})
	}
	for range rapid.IntRange(0, 3).Draw(t, "objects") {
		l := object.Link{Object: &object.Object{Type: int64(rapid.IntRange(1, 2).Draw(t, "type"))}, Relationship: &object.Relationship{}}
		for _, a := range []*object.Attributes{&l.Object.Attributes, &l.Relationship.Attributes} {
			*a = object.Attributes{{Name: "t", Value: value.Int(drawAt(t) / 1000)}}
		}
		h.links = append(h.links, l)
	}
	for range rapid.IntRange(0, 8).Draw(t, "events") {
		h.events = append(h.events, event.Activity{
			Type: rapid.SampledFrom([]event.Type{event.Track, event.Track, event.Track, event.Page}).Draw(t, "type"),
			Name: rapid.SampledFrom([]string{"a", "a", "b", "c"}).Draw(t, "name"),
			At:   drawAt(t),
			Data: value.Value(rapid.SampledFrom([]string{`{"k":1}`, `{"k":2}`, ""}).Draw(t, "data")),
		})
	}
	return h
}

// drawAt draws moments close together and often the same, near whole seconds, so that edges meet.
func drawAt(t *rapid.T) int64 {
	return epoch + int64(rapid.IntRange(0, 8).Draw(t, "s"))*1000 + int64(rapid.SampledFrom([]int{0, 0, 0, 0, 1, 999}).Draw(t, "ms"))
}

// body shows the history to the package, its facts counted in order of arrival.
func (h *history) body(n *Node) *body {
	b := newBody(h.created)
	for name, v := range h.attributes {
		if v != "" {
			b.attributes[name] = value.Value(v)
		}
	}
	b.devices, b.links = h.devices, h.links
	for slug, in := range h.members {
		b.members[slug] = in
	}
	for _, a := range h.events {
		b.observe(specsOf(n), a)
	}
	return b
}

// moments are all at which something could change, each with its neighbours, in order.
func (c *naive) moments(h *history) []int64 {
	var out []int64
	for _, e := range append(c.edges(h), h.created, epoch) {
		out = append(out, e-1, e, e+1)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
