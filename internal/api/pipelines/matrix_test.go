package pipelines_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api"
	"rapport.example/internal/api/pipelines"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

// good are messages that strict mode takes, by path and, for track, by event.
var good = []struct{ path, body string }{
	{"identify", `{"userId":"u1","anonymousId":"a1","messageId":"m1","timestamp":"2026-01-01T00:00:00Z","sentAt":"2026-01-01T00:00:00Z","traits":{"email":"u1@example.com","createdAt":"2026-01-01T00:00:00Z"},"context":{"library":{"name":"x"}},"integrations":{"All":true}}`},
	{"track", `{"userId":"u1","anonymousId":"a1","event":"Seen","properties":{"n":1},"messageId":"m1","timestamp":"2026-01-01T00:00:00Z"}`},
	{"track", `{"userId":"u1","event":"Device Created or Updated","properties":{"app_version":"1"},"context":{"device":{"token":"t1","type":"ios"}}}`},
	{"track", `{"userId":"u1","event":"Device Deleted","context":{"device":{"token":"t1"}}}`},
	{"track", `{"userId":"u1","event":"User Deleted"}`},
	{"track", `{"userId":"u1","event":"Report Delivery Event","properties":{"deliveryId":"d1","metric":"opened","recipient":"t1","reason":"r","href":"https://acme.example/"}}`},
	{"page", `{"userId":"u1","name":"Home","category":"c","properties":{"url":"https://acme.example/"}}`},
	{"screen", `{"anonymousId":"a1","name":"Cart","category":"c","properties":{"n":1}}`},
	{"group", `{"userId":"u1","groupId":"g1","traits":{"name":"Acme","object_type_id":"1","createdAt":"2026-01-01T00:00:00Z","relationshipAttributes":{"role":"x"}}}`},
	{"group", `{"anonymousId":"a1","groupId":"g1"}`},
	{"track", `{"userId":"u1","event":"Relationship Deleted","properties":{"objectId":"g1","objectTypeId":"1"}}`},
	{"track", `{"anonymousId":"a1","event":"Object Deleted","properties":{"objectId":"g1","objectTypeId":"1"}}`},
	{"alias", `{"userId":"u1","previousId":"a2"}`},
	{"track", `{"userId":"u2","event":"User Suppressed"}`},
	{"track", `{"userId":"u2","event":"User Unsuppressed"}`},
	{"track", `{"userId":"u1","event":"Report Content Event","properties":{"actionType":"viewed_content","contentId":1,"templateId":2}}`},
	{"batch", `{"batch":[{"type":"track","userId":"u1","event":"Seen"}],"writeKey":"` + writeKey + `","sentAt":"2026-01-01T00:00:00Z","context":{"ip":"192.0.2.1"},"integrations":{"All":true}}`},
}

// bad are the values that each member is given in turn.
var bad = []struct {
	name string
	v    value.Value
}{
	{"missing", nil},
	{"null", value.NullValue},
	{"empty", value.Quote("")},
	{"blank", value.Quote(" \t")},
	{"number", value.Value("12.5")},
	{"zero", value.Value("0")},
	{"negative", value.Value("-1")},
	{"milliseconds", value.Value("1700000000000")},
	{"huge", value.Value("1e400000")},
	{"the year 1", value.Quote("0001-01-01T00:00:00Z")},
	{"boolean", value.True},
	{"no", value.False},
	{"text", value.Quote("text")},
	{"list", value.Value(`["x"]`)},
	{"object", value.Value(`{"x":1}`)},
	{"empty list", value.Value("[]")},
	{"empty object", value.Value("{}")},
	{"many", value.Value("[" + strings.TrimSuffix(strings.Repeat(`"x",`, 1001), ",") + "]")},
	{"deep", value.Value(strings.Repeat("[", 70) + strings.Repeat("]", 70))},
	{"long", value.Quote(strings.Repeat("x", 151))},
	{"very long", value.Quote(strings.Repeat("x", 5000))},
	{"NUL", value.Quote("a\x00b")},
	{"half a surrogate", value.Value(`"a\ud800b"`)},
	{"no UTF-8", value.Value("\"a\xffb\"")},
	{"twice", value.Quote("again")},
	{"other case", nil},
	{"value in other case", nil},
}

// TestBadInput gives every member of every message every kind of bad value, in strict mode and not. testdata/bad.txt says
// what is answered and what happens. Without strict mode the answer is always 200, and what is refused there is so in strict
// mode; its reason is told where the strict answer has another.
func TestBadInput(t *testing.T) {
	t.Parallel()
	h := newHarness(t, storetest.Open(t, storetest.Options(t, storetest.SQLite)), api.Limits{})
	var out bytes.Buffer
	for _, m := range good {
		v, err := value.Parse([]byte(m.body))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s %s\n", m.path, m.body)
		for _, member := range members("", v) {
			var outcomes []string
			values := map[string][]string{}
			for _, b := range bad {
				o := h.both(m.path, string(replaced(v, strings.Split(member, "."), b.name, b.v)))
				if values[o] == nil {
					outcomes = append(outcomes, o)
				}
				values[o] = append(values[o], b.name)
			}
			for _, o := range outcomes {
				fmt.Fprintf(&out, "  %s %s: %s\n", member, strings.Join(values[o], ", "), o)
			}
		}
	}
	const file = "testdata/bad.txt"
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range pipelines.Semantic() {
		if !slices.ContainsFunc(good, func(m struct{ path, body string }) bool { return value.Value(m.body).Get("event").Text() == event }) {
			t.Errorf("%s has no example", event)
		}
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// members are the paths of all members of an object, nested ones too.
func members(prefix string, v value.Value) []string {
	var out []string
	for name, f := range v.Fields() {
		out = append(out, prefix+name)
		if f.Kind() == value.Object && name != "integrations" && name != "library" {
			out = append(out, members(prefix+name+".", f)...)
		}
	}
	return out
}

// replaced is an object with one member replaced, missing or written in another case.
func replaced(v value.Value, path []string, how string, with value.Value) value.Value {
	var b value.Builder
	for name, f := range v.Fields() {
		switch {
		case name != path[0]:
			b.Set(name, f)
		case len(path) > 1:
			b.Set(name, replaced(f, path[1:], how, with))
		case how == "other case":
			b.Set(strings.ToUpper(name), f)
		case how == "value in other case" && f.Kind() == value.String:
			b.Set(name, value.Quote(strings.ToUpper(f.Text())))
		case how == "value in other case":
			b.Set(name, f)
		case how == "twice":
			b.Set(name, f).Set(name, with)
		default:
			b.Set(name, with)
		}
	}
	return b.Value()
}

// both sends a message without and in strict mode, and tells what came of it.
func (h *harness) both(path, body string) string {
	h.t.Helper()
	w := h.post("/v1/"+path, body)
	if w.Code != http.StatusOK || w.Body.String() != "{}\n" {
		h.t.Errorf("%s %s: %d %s", path, body, w.Code, w.Body)
	}
	var came []string
	refused := ""
	for i := range h.ops {
		o := &h.ops[i]
		if o.Kind != ingest.Refused {
			came = append(came, kinds[o.Kind])
			continue
		}
		p, err := ingest.Decode[ingest.RefusedPayload](o)
		if err != nil {
			h.t.Fatal(err)
		}
		refused = p.Reason
		came = append(came, "refused")
	}
	if len(came) == 0 {
		h.t.Errorf("%s %s: nothing was done, and nothing noted", path, body)
	}
	strict := h.post("/v1/"+path, body, "X-Strict-Mode", "1")
	if strict.Code == http.StatusOK {
		if refused != "" {
			h.t.Errorf("%s %s: refused as %q, but not in strict mode", path, body, refused)
		}
		return strings.Join(came, ", ")
	}
	told, err := value.Parse(strict.Body.Bytes())
	if err != nil {
		h.t.Fatal(err)
	}
	why := told.Get("message").Text()
	if strings.HasPrefix(why, api.NotJSON) {
		why = api.NotJSON // what follows is the parser's, and must not be in what is kept
	}
	if refused != "" && refused != why {
		came = append(came, strconv.Quote(refused))
	}
	return fmt.Sprintf("%s; strict %d %q", strings.Join(came, ", "), strict.Code, why)
}
