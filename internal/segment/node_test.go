package segment

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

func TestMentions(t *testing.T) {
	t.Parallel()
	n := mustParse(t, `{"any":[{"attribute":"address.city","is":"Bonn"},{"attribute":"address","exists":true},{"not":{"event":"a","within":"3d","where":{"property":"p","is":1}}},
		{"event":"/x","type":"page","not_performed":true},{"not_segment":"vip"},{"segment":"vip"}]}`)
	want := Mentions{
		Attributes: []string{"address.city", "address"},
		Chains:     []string{event.ChainName(event.Track, "a"), event.ChainName(event.Page, "/x")},
		Segments:   []string{"vip"},
	}
	if diff := cmp.Diff(want, n.Mentions()); diff != "" {
		t.Errorf("Mentions (-want +got):\n%s", diff)
	}
	for text, want := range map[string]bool{
		`{"event":"a","not_performed":true,"within":"3d"}`:           true,
		`{"none":[{"event":"a","exactly":0,"within":"3d"}]}`:         true,
		`{"event":"a","at_most":0,"within":"3d"}`:                    true,
		`{"event":"a","at_most":1,"within":"3d"}`:                    false,
		`{"event":"a","not_performed":true}`:                         false,
		`{"none":[{"event":"a","within":"3d"},{"segment":"staff"}]}`: false,
		`{"attribute":"created_at","before":"3d ago","exists":true}`: false,
	} {
		if got := mustParse(t, text).Mentions().Age; got != want {
			t.Errorf("Mentions(%s).Age = %v, want %v", text, got, want)
		}
	}
	if diff := cmp.Diff(Mentions{}, (*Node)(nil).Mentions()); diff != "" {
		t.Errorf("Mentions of nil: %s", diff)
	}
}

// TestSpecs holds keys apart that must be and together that may be, and to their values: documents are stored with them.
func TestSpecs(t *testing.T) {
	t.Parallel()
	base := mustParse(t, `{"event":"a","where":{"property":"p","after":"2026-01-01","exists":true}}`).Specs()[0]
	for text, same := range map[string]bool{
		`{"event":" a ","at_least":7,"within":"3d","where":{"all":[{"property":"p","exists":true,"after":1767225600}]}}`: true,
		`{"event":"b","where":{"property":"p","after":"2026-01-01","exists":true}}`:                                      false,
		`{"event":"a","type":"page","where":{"property":"p","after":"2026-01-01","exists":true}}`:                        false,
		`{"event":"a","where":{"property":"p","after":"2026-01-02","exists":true}}`:                                      false,
		`{"event":"a"}`: false,
	} {
		if got := mustParse(t, text).Specs()[0]; (got.Key == base.Key) != same {
			t.Errorf("Specs(%s) has the same key: %v, want %v", text, !same, same)
		}
	}
	for text, want := range map[string]uint64{
		`{"event":"activated"}`: 0xdcdecef8c29b4bf1,
		`{"event":"purchase","type":"screen","within":"30d","where":{"any":[{"property":"kind","is":["book","cd"]},{"property":"total","at_least":100}]}}`: 0x989b6e709211180b,
	} {
		if got := mustParse(t, text).Specs()[0].Key; got != want {
			t.Errorf("key of %s = %#x, want %#x", text, got, want)
		}
	}
	for text, keep := range map[string]int{
		`{"event":"a","at_least":3,"within":"1d"}`: 3, `{"event":"a","at_most":3,"within":"1d"}`: 4, `{"event":"a","exactly":3,"within":"1d"}`: 4,
		`{"event":"a","not_performed":true,"within":"1d"}`: 1, `{"event":"a","at_least":3}`: 0,
	} {
		if got := mustParse(t, text).Specs()[0].Keep; got != keep {
			t.Errorf("Keep of %s = %d, want %d", text, got, keep)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	n := mustParse(t, `{"all":[{"attribute":"plan","is":"pro"},{"none":[{"event":"login","not_performed":true,"within":"30d"},{"segment":"vip"}]},
		{"event":"a","at_least":2,"within":"1d"},{"event":"b"},{"property":"x","exists":false}]}`)
	b := newBody(epoch)
	b.attributes["plan"] = mustValue(t, `"team"`)
	for i := range int64(3) {
		b.observe(specsOf(n), event.Activity{Type: event.Track, Name: "a", At: epoch + i})
	}
	want := []Line{
		{0, "all of", "", false, 0},
		{1, `plan is "pro"`, `"team"`, false, 0},
		{1, "none of", "", true, epoch + 30*day},
		{2, `event "login" did not happen within the last 30 days`, "never, but the profile is younger than 30 days", false, epoch + 30*day},
		{2, "in segment vip", "is not a member", false, 0},
		{1, `event "a" happened at least twice within the last day`, "at least twice in the window, last 2026-01-01 00:00:00 UTC", true, epoch + 1 + day},
		{1, `event "b" happened at least once`, "never", false, 0},
		{1, "the event's x is not set", "not set", true, 0},
	}
	if diff := cmp.Diff(want, n.Explain(b, epoch+hour)); diff != "" {
		t.Errorf("Explain (-want +got):\n%s", diff)
	}
	// A fact that was counted before this condition asked for times has none yet.
	n = mustParse(t, `{"event":"a","at_most":2,"at_least":0,"within":"1d"}`)
	b.facts[n.Specs()[0].Key] = person.Fact{First: epoch, Count: 9}
	if got := n.Explain(b, epoch)[0].Value; got != "9 times in all" {
		t.Errorf("Explain of an uncounted fact = %q", got)
	}
}

// TestExplainDevices: what the devices that meet a condition have is said, some of them, and never a token.
func TestExplainDevices(t *testing.T) {
	t.Parallel()
	b := newBody(epoch)
	value := func(condition string) string { return mustParse(t, condition).Explain(b, epoch)[0].Value }
	if got, want := value(`{"device":true,"where":{"property":"platform","is":"ios"}}`), "no device"; got != want {
		t.Errorf("value = %q, want %q", got, want)
	}
	for _, platform := range []string{"ios", "android", "ios", "ios", "ios"} {
		b.devices = append(b.devices, person.Device{Token: "secret", Platform: platform, Attributes: mustValue(t, `{"app_version":"5.1"}`)})
	}
	for condition, want := range map[string]string{
		`{"device":true}`: "5 devices",
		`{"device":true,"where":{"all":[{"property":"platform","is":"android"},{"property":"app_version","exists":true}]}}`: `1 of 5 devices: platform "android", app_version "5.1"`,
		`{"device":false,"where":{"property":"platform","is":"ios"}}`:                                                       `4 of 5 devices: platform "ios"; platform "ios"; platform "ios"; and 1 more`,
		`{"device":true,"where":{"property":"platform","is":"tv"}}`:                                                         "0 of 5 devices",
	} {
		if got := value(condition); got != want {
			t.Errorf("value of %s = %q, want %q", condition, got, want)
		}
	}
	b.devices = b.devices[:1]
	if got, want := value(`{"device":true,"where":{"property":"platform","is":"ios"}}`), `1 device: platform "ios"`; got != want {
		t.Errorf("value = %q, want %q", got, want)
	}
}

// TestExplainObjects names the objects that meet a condition, with what it looks at.
func TestExplainObjects(t *testing.T) {
	t.Parallel()
	b := newBody(epoch)
	b.links = []object.Link{
		link(t, 1, "acme", `{"plan":"team"}`, `{"role":"admin"}`), link(t, 1, "globex inc", `{"plan":"free"}`, `{"role":"admin"}`), link(t, 2, "x", "", ""),
	}
	for condition, want := range map[string]string{
		`{"object":3}`: "no object",
		`{"object":2}`: "1 object: x",
		`{"object":1,"where":{"property":"plan","is":"team"},"relationship":{"property":"role","is":"admin"}}`: `1 of 2 objects: acme, plan "team", role "admin"`,
		`{"object":1,"relationship":{"property":"role","is":"admin"},"related":false}`:                         `2 objects: acme, role "admin"; "globex inc", role "admin"`,
	} {
		if got := mustParse(t, condition).Explain(b, epoch)[0].Value; got != want {
			t.Errorf("value of %s = %q, want %q", condition, got, want)
		}
	}
}

// TestNil holds the nil condition to "always": a campaign without a filter.
func TestNil(t *testing.T) {
	t.Parallel()
	var n *Node
	if got := n.Eval(newBody(epoch), epoch); got != (Result{Match: true}) {
		t.Errorf("Eval = %v", got)
	}
	if n.Sentence() != "always" || n.Canonical() != nil || n.Specs() != nil || n.Explain(newBody(epoch), epoch) != nil {
		t.Errorf("nil says %q, %s, %v", n.Sentence(), n.Canonical(), n.Specs())
	}
}

func TestTooManyLeaves(t *testing.T) {
	t.Parallel()
	many := func(n int) value.Value {
		list := value.Value(`{"any":[{"segment":"a"}`)
		for range n - 2 {
			list = append(list, `,{"segment":"a"}`...)
		}
		return mustValue(t, string(list)+`,{"not":{"event":"e","where":{"property":"p","is":1}}}]}`)
	}
	if _, err := Parse(many(MaxLeaves-1), ""); err != nil {
		t.Errorf("Parse of %d leaves: %v", MaxLeaves, err)
	}
	if _, err := Parse(many(MaxLeaves), ""); err == nil || err.Error() != "any[499].not.where: has more than 500 conditions" {
		t.Errorf("Parse of %d leaves: %v", MaxLeaves+1, err)
	}
}

// TestMany holds trees far beyond the bounds to a quick answer with the place.
func TestMany(t *testing.T) {
	t.Parallel()
	wide := `{"any":[` + strings.Repeat(`{"all":[{"attribute":"a","is":1}]},`, 9_999) + `{"segment":"a"}]}`
	nested := func(n int) string { return strings.Repeat(`{"not":`, n) + `{"segment":"a"}` + strings.Repeat(`}`, n) }
	for name, c := range map[string]struct{ text, want string }{
		"10,000 beside each other":      {wide, "conditions.any[500].all[0]: has more than 500 conditions"},
		"40 in each other":              {nested(40), "conditions" + strings.Repeat(".not", 33) + ": is nested deeper than 32 groups"},
		"40 objects within one another": {`{"attribute":"a","has":` + strings.Repeat(`{"property":"b","has":`, 38) + `{"property":"c","is":1}` + strings.Repeat(`}`, 39), "conditions" + strings.Repeat(".has", 33) + ": is nested deeper than 32 groups"},
	} {
		_, err := Parse(mustValue(t, c.text), "conditions")
		if !fault.Is(err, fault.Invalid) || err.Error() != c.want {
			t.Errorf("%s: Parse = %v, want %s", name, err, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	n := mustParse(t, `{"any":[{"attribute":"orders[].total","has":{"property":"p","is":1}},{"not":{"event":"/x","type":"page","where":{"property":"p","is":1}}},{"all":[{"segment":"a","in":false},{"not_segment":"b"}]}]}`)
	want := []Name{
		{At: "conditions.any[0].attribute", Attribute: ParsePath("orders[].total")},
		{At: "conditions.any[1].not.event", Event: "/x", Type: event.Page},
		{At: "conditions.any[2].all[0].segment", Segment: "a"},
		{At: "conditions.any[2].all[1].not_segment", Segment: "b"},
	}
	if diff := cmp.Diff(want, n.Names(), cmp.AllowUnexported(Path{})); diff != "" {
		t.Errorf("Names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"orders[].total", "orders", "orders[]"}, want[0].Attribute.Starts()); diff != "" {
		t.Errorf("Starts (-want +got):\n%s", diff)
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"90s": 90 * second, " 15m ": 15 * minute, "2h": 2 * hour, "30d": 30 * day, "3w": 3 * week, "1d12h": 36 * hour, "1h1h": 2 * hour, "3660d": maxWindow,
		"": 0, "d": 0, "5": 0, "5x": 0, "-5d": 0, "1.5d": 0, "1d 2h": 0, "0s": 0, "3661d": 0, "1000000000s": 0, "５d": 0,
	} {
		got, err := ParseDuration(text)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("ParseDuration(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestParseMoment(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"now"`: `"now"`, `" NOW "`: `"now"`, `"30d ago"`: `"30d ago"`, `"-30d"`: `"30d ago"`, `"in 3d"`: `"in 3d"`, `"3d"`: `"in 3d"`, `"+3d"`: `"in 3d"`, `"in 2w"`: `"in 14d"`,
		`"1d12h ago"`: `"36h ago"`, `1767225600`: `1767225600`, `"1767225600"`: `1767225600`, `"2026-01-01"`: `1767225600`, `"2026-01-01T02:00:00+02:00"`: `1767225600`,
		`1767225600.5`: `"2026-01-01T00:00:00.5Z"`, `-1.5`: `"1969-12-31T23:59:58.5Z"`, `"-30"`: `-30`,
	} {
		m, err := parseMoment(mustValue(t, text), "")
		if err != nil || string(m.literal()) != want {
			t.Errorf("parseMoment(%s) = %s, %v, want %s", text, m.literal(), err, want)
			continue
		}
		again, err := parseMoment(m.literal(), "")
		if err != nil || again != m {
			t.Errorf("parseMoment(%s) again = %v, %v, want %v", m.literal(), again, err, m)
		}
	}
}
