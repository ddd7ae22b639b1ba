package track

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"rapport.example/internal/api"
	"rapport.example/internal/value"
)

// full are calls with every field that the vendor documents, and a value that is right for each. A path's fields are in
// braces: {identifier=5}.
var full = []struct{ method, path, body string }{
	{"PUT", "/api/v1/customers/{identifier=5}", `{"id":"5","email":"a@b.example","cio_id":"0a0b","anonymous_id":"a","created_at":1700000000,"_timestamp":1700000000,"_update":true,` +
		`"unsubscribed":"true","cio_subscription_preferences":{"topics":{"topic_1":true}},"cio_subscription_preferences.topics.topic_2":false,"plan":"pro"}`},
	{"DELETE", "/api/v1/customers/{identifier=5}", ``},
	{"PUT", "/api/v1/customers/{identifier=5}/devices", `{"device":{"id":"t","platform":"ios","last_used":1700000000,"attributes":{"device_os":"17","push_enabled":"true","_last_status":"sent"}}}`},
	{"DELETE", "/api/v1/customers/{identifier=5}/devices/{device_id=t}", ``},
	{"POST", "/api/v1/customers/{identifier=5}/suppress", ``},
	{"POST", "/api/v1/customers/{identifier=5}/events", `{"name":"bought","type":"event","id":"01H8XGJ5W0ABCDEFGHJKMNPQRS","timestamp":1700000000,"anonymous_id":"a",` +
		`"data":{"recipient":"a@b.example","from_address":"c@d.example","reply_to":"e@f.example","total":1}}`},
	{"POST", "/api/v1/events", `{"name":"looked","type":"page","id":"01H8XGJ5W0ABCDEFGHJKMNPQRS","timestamp":1700000000,"anonymous_id":"a","data":{"recipient":"a@b.example"}}`},
	{"POST", "/api/v1/merge_customers", `{"primary":{"id":"1"},"secondary":{"email":"a@b.example"}}`},
	{"POST", "/api/v1/segments/{segment_id=4}/add_customers?id_type={id_type=email}", `{"ids":["a@b.example"]}`},
	{"POST", "/api/v1/forms/{form_id=f}/submit", `{"data":{"email":"a@b.example","id":"5","first_name":"Ada","form_name":"f"}}`},
	{"POST", "/api/v1/metrics", `{"delivery_id":"dgOne","metric":"clicked","timestamp":1700000000,"recipient":"t","reason":"why","href":"https://acme.example/"}`},
	{"POST", "/api/v1/push/events", `{"delivery_id":"dgOne","event":"opened","device_id":"t","timestamp":1700000000}`},
	{"POST", "/api/v1/cio_deliveries/events", `{"type":"in_app","payload":{"delivery_id":"dgOne","event":"clicked","timestamp":1700000000,"metadata":{"action_name":"buy"}}}`},
	{"POST", "/unsubscribe/{delivery_id=dgOne}", `{"unsubscribe":true}`},
}

// fullPairs are the operations of version 2 in the same way.
var fullPairs = []string{
	`{"type":"person","action":"identify","identifiers":{"id":"5"},"timestamp":1700000000,"attributes":{"email":"a@b.example","_update":true,"plan":"pro"}}`,
	`{"type":"person","action":"delete","identifiers":{"email":"a@b.example"}}`,
	`{"type":"person","action":"suppress","identifiers":{"cio_id":"0a0b"}}`,
	`{"type":"person","action":"event","identifiers":{"id":"5"},"name":"bought","id":"01H8XGJ5W0ABCDEFGHJKMNPQRS","timestamp":1700000000,"attributes":{"recipient":"a@b.example"}}`,
	`{"type":"person","action":"add_device","identifiers":{"id":"5"},"device":{"token":"t","platform":"ios","last_used":1700000000,"attributes":{"device_os":"17"}}}`,
	`{"type":"person","action":"delete_device","identifiers":{"id":"5"},"device":{"token":"t"}}`,
	`{"type":"person","action":"merge","primary":{"id":"5"},"secondary":{"cio_id":"0a0b"}}`,
	`{"type":"delivery","action":"event","identifiers":{"id":"dgOne"},"name":"opened","timestamp":1700000000,"attributes":{"device_token":"t"}}`,
}

// variants are what becomes of the value of a field: none, of each wrong type, empty, too long, too many, wrongly encoded.
var variants = []struct{ name, json string }{
	{"missing", ""},
	{"null", "null"},
	{`""`, `""`},
	{"spaces", `" \t"`},
	{"7", "7"},
	{"1e400", "1e400"},
	{"true", "true"},
	{`"text"`, `"text"`},
	{"[]", "[]"},
	{"{}", "{}"},
	{"name in capitals", ""},
	{"value in capitals", ""},
	{"of 5000 bytes", `"` + strings.Repeat("x", 5000) + `"`},
	{"1001 in a list", "[" + strings.TrimSuffix(strings.Repeat("1,", 1001), ",") + "]"},
	{"NUL", `"a\u0000b"`},
	{"half a surrogate", `"a\ud800b"`},
	{"no UTF-8", "\"a\xffb\""},
}

// inPath are the variants of a value in a path or query, escaped.
var inPath = []struct{ name, text string }{
	{"missing", ""},
	{"a space", "%20"},
	{"7", "7"},
	{"-1", "-1"},
	{"text", "text"},
	{"cio_", "cio_"},
	{"cio_x", "cio_x"},
	{"an email", "a@b.example"},
	{"a slash", "a%2Fb"},
	{"dots", "%2e%2e"},
	{"in capitals", ""},
	{"of 5000 bytes", strings.Repeat("x", 5000)},
	{"NUL", "a%00b"},
	{"no UTF-8", "a%ffb"},
}

// TestFields takes every field of every operation through all that can be wrong with it, in both modes, and compares the
// answers with those in testdata/fields.txtar: variants that are answered alike share a line.
func TestFields(t *testing.T) {
	t.Parallel()
	const file = "testdata/fields.txtar"
	want, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	log := &memory{}
	m := &matrix{t: t, log: log, mux: muxOf(t, log, one{}, api.Limits{})}
	got := &txtar.Archive{Comment: want.Comment}
	for _, c := range full {
		got.Files = append(got.Files, txtar.File{Name: c.method + " " + given.ReplaceAllString(c.path, "}"), Data: m.call(c.method, c.path, c.body)})
	}
	for _, op := range fullPairs {
		v := value.Value(op)
		got.Files = append(got.Files, txtar.File{Name: "v2 " + v.Get("type").Text() + " " + v.Get("action").Text(), Data: m.call(http.MethodPost, "/api/v2/entity", op)})
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(txtar.Format(want)), string(txtar.Format(got))); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

// matrix sends variants of calls and prints the answers.
type matrix struct {
	t   *testing.T
	mux *api.Mux
	log *memory

	right value.Value // payload of the call as it should be
}

func (m *matrix) call(method, path, body string) []byte {
	var out bytes.Buffer
	m.right = nil
	fmt.Fprintf(&out, "as it should be\n\t%s\n", m.one(method, fill(path, "", ""), body))
	for _, name := range parameters(path) {
		var g group
		for _, v := range inPath {
			text := v.text
			if v.name == "in capitals" {
				text = strings.ToUpper(fill("{"+name+"="+valueOf(path, name)+"}", "", ""))
			}
			g.add(v.name, m.answer(method, fill(path, name, text), body))
		}
		g.print(&out, "{"+name+"}")
	}
	if body == "" {
		return out.Bytes()
	}
	for _, field := range members(value.Value(body), "") {
		var g group
		for _, v := range variants {
			var b strings.Builder
			change(&b, value.Value(body), "", field, v.name, v.json)
			g.add(v.name, m.answer(method, fill(path, "", ""), b.String()))
		}
		g.print(&out, field)
	}
	return out.Bytes()
}

// answer is the status with the message or the op, and that in strict mode where it is another.
func (m *matrix) answer(method, path, body string) string {
	lenient, strict := m.one(method, path, body), m.one(method, path, body, "X-Strict-Mode", "1")
	if lenient != strict {
		lenient += "\n\t\tstrict: " + strict
	}
	return lenient
}

func (m *matrix) one(method, path, body string, headers ...string) string {
	m.log.ops, m.log.calls = nil, 0
	w := send(m.t, m.mux, method, path, body, append(headers, "Content-Type", "application/json")...)
	if w.Code >= 500 {
		m.t.Errorf("%s %.100s %.200q: %d %s", method, path, body, w.Code, w.Body)
	}
	said, _, cut := strings.Cut(message(w.Body.Bytes()), " not valid JSON: ")
	if cut { // what follows is the parser's
		said += " not valid JSON"
	}
	for i := range m.log.ops {
		checkOp(m.t, &m.log.ops[i])
		said += " " + kinds[m.log.ops[i].Kind] + " " + m.told(m.log.ops[i].Payload)
	}
	return fmt.Sprintf("%d%s", w.Code, said)
}

// told is a payload: all of it for the right call, which comes first, then what is different from that.
func (m *matrix) told(payload value.Value) string {
	if m.right == nil {
		m.right = payload
		return string(payload)
	}
	was, is := flat(m.right), flat(payload)
	var out []string
	for _, f := range was {
		if !slices.ContainsFunc(is, func(x [2]string) bool { return x[0] == f[0] }) {
			out = append(out, "no "+f[0])
		}
	}
	for _, f := range is {
		if !slices.Contains(was, f) {
			out = append(out, f[0]+"="+f[1])
		}
	}
	if out == nil {
		return "as it should be"
	}
	return "but " + strings.Join(out, ", ")
}

// flat are the leaves of a payload with their paths. Long ones are cut.
func flat(v value.Value) (out [][2]string) {
	for _, path := range members(v, "") {
		leaf := v
		for name := range strings.SplitSeq(path, " ") {
			if leaf = leaf.Get(name); leaf == nil {
				break
			}
		}
		if leaf == nil || leaf.Kind() == value.Object && len(leaf) > len("{}") {
			continue // of a list, which is one leaf
		}
		text := string(leaf)
		if len(text) > 60 {
			text = fmt.Sprintf("%s… (%d bytes)", text[:20], len(text))
		}
		out = append(out, [2]string{path, text})
	}
	return out
}

// message is what an error's body says, in whatever shape.
func message(body []byte) string {
	var e struct {
		Meta struct {
			Error  string
			Errors []string
		}
		Errors []struct{ Field, Message string }
	}
	if len(body) == 0 || json.Unmarshal(body, &e) != nil {
		return ""
	}
	said := e.Meta.Errors
	if e.Meta.Error != "" {
		said = append(said, e.Meta.Error)
	}
	for _, one := range e.Errors {
		if one.Field != "" {
			one.Message = one.Field + ": " + one.Message
		}
		said = append(said, one.Message)
	}
	if len(said) == 0 {
		return ""
	}
	return " " + strings.Join(said, "; ")
}

// group gathers variants with the same answer.
type group struct {
	answers []string
	names   map[string][]string
}

func (g *group) add(name, answer string) {
	if g.names == nil {
		g.names = map[string][]string{}
	}
	if g.names[answer] == nil {
		g.answers = append(g.answers, answer)
	}
	g.names[answer] = append(g.names[answer], name)
}

func (g *group) print(out *bytes.Buffer, field string) {
	fmt.Fprintf(out, "%s\n", field)
	for _, answer := range g.answers {
		fmt.Fprintf(out, "\t%s: %s\n", strings.Join(g.names[answer], ", "), answer)
	}
}

// given is what a path gives a field.
var given = regexp.MustCompile(`=[^{}]*\}`)

// parameters are the names of the fields of a path.
func parameters(path string) (out []string) {
	for _, part := range strings.Split(path, "{")[1:] {
		name, _, _ := strings.Cut(part, "=")
		out = append(out, name)
	}
	return out
}

func valueOf(path, name string) string {
	_, rest, _ := strings.Cut(path, "{"+name+"=")
	v, _, _ := strings.Cut(rest, "}")
	return v
}

// fill gives the fields of a path their values, the one called name another.
func fill(path, name, text string) string {
	for _, n := range parameters(path) {
		v := valueOf(path, n)
		with := v
		if n == name {
			with = text
		}
		path = strings.Replace(path, "{"+n+"="+v+"}", with, 1)
	}
	return path
}

// members are the paths of all members of an object, those of its first element for a list.
func members(v value.Value, prefix string) (out []string) {
	for name, f := range v.Fields() {
		out = append(out, prefix+name)
		out = append(out, members(f, prefix+name+" ")...)
	}
	if v.Kind() == value.Array {
		for e := range v.Elements() {
			out = append(out, prefix+"0")
			out = append(out, members(e, prefix+"0 ")...)
			break
		}
	}
	return out
}

// change writes v with one field changed.
func change(b *strings.Builder, v value.Value, prefix, field, variant, raw string) {
	member := func(sep, name, at string, f value.Value) string {
		mine := at == field
		if mine && variant == "missing" {
			return sep
		}
		if mine && variant == "name in capitals" {
			name = strings.ToUpper(name)
		}
		b.WriteString(sep)
		if v.Kind() == value.Object {
			b.WriteString(string(value.Quote(name)) + ":")
		}
		switch {
		case !mine:
			change(b, f, at+" ", field, variant, raw)
		case variant == "value in capitals" && f.Kind() == value.String:
			b.Write(value.Quote(strings.ToUpper(f.Text())))
		case strings.HasSuffix(variant, "in capitals"):
			b.Write(f)
		default:
			b.WriteString(raw)
		}
		return ","
	}
	switch v.Kind() {
	case value.Object:
		b.WriteByte('{')
		sep := ""
		for name, f := range v.Fields() {
			sep = member(sep, name, prefix+name, f)
		}
		b.WriteByte('}')
	case value.Array:
		b.WriteByte('[')
		sep := ""
		for e := range v.Elements() {
			sep = member(sep, "", prefix+"0", e)
		}
		b.WriteByte(']')
	default:
		b.Write(v)
	}
}
