package track

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"rapport.example/internal/api"
	"rapport.example/internal/api/app"
	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

// full are calls with every field that the vendor documents, and a value that is right for each. A path's fields are in
// braces: {identifier=5}.
var full = []struct{ method, path, body string }{
	{"GET", "/api/v1/accounts/region", ``},
	{"PUT", "/api/v1/customers/{identifier=5}", `{"id":"5","email":"a@b.example","cio_id":"0a0b","anonymous_id":"a","created_at":1700000000,"_timestamp":1767400000,"_update":true,` +
		`"unsubscribed":"true","cio_subscription_preferences":{"topics":{"topic_1":true}},"cio_subscription_preferences.topics.topic_2":false,"plan":"pro",` +
		`"cio_relationships":{"action":"add_relationships","relationships":[{"identifiers":{"object_type_id":"1","object_id":"x"},"relationship_attributes":{"role":"owner"}}]}}`},
	{"DELETE", "/api/v1/customers/{identifier=5}", ``},
	{"PUT", "/api/v1/customers/{identifier=5}/devices", `{"device":{"id":"t","platform":"ios","last_used":1700000000,"attributes":{"device_os":"17","push_enabled":"true","_last_status":"sent"}}}`},
	{"DELETE", "/api/v1/customers/{identifier=5}/devices/{device_id=t}", ``},
	{"POST", "/api/v1/customers/{identifier=5}/suppress", ``},
	{"POST", "/api/v1/customers/{identifier=5}/unsuppress", ``},
	{"POST", "/api/v1/customers/{identifier=5}/events", `{"name":"bought","type":"event","id":"01H8XGJ5W0ABCDEFGHJKMNPQRS","timestamp":1700000000,"anonymous_id":"a",` +
		`"data":{"recipient":"a@b.example","from_address":"c@d.example","reply_to":"e@f.example","total":1}}`},
	{"POST", "/api/v1/events", `{"name":"looked","type":"page","id":"01H8XGJ5W0ABCDEFGHJKMNPQRS","timestamp":1700000000,"anonymous_id":"a","data":{"recipient":"a@b.example"}}`},
	{"POST", "/api/v1/merge_customers", `{"primary":{"id":"1"},"secondary":{"email":"a@b.example"}}`},
	{"POST", "/api/v1/segments/{segment_id=4}/add_customers?id_type={id_type=email}", `{"ids":["a@b.example"]}`},
	{"POST", "/api/v1/segments/{segment_id=4}/remove_customers?id_type={id_type=id}", `{"ids":["5"]}`},
	{"POST", "/api/v1/forms/{form_id=f}/submit", `{"data":{"email":"a@b.example","id":"5","first_name":"Ada","form_name":"f"}}`},
	{"POST", "/api/v1/metrics", `{"delivery_id":"dgOne","metric":"clicked","timestamp":1700000000,"recipient":"t","reason":"why","href":"https://acme.example/"}`},
	{"POST", "/api/v1/push/events", `{"delivery_id":"dgOne","event":"opened","device_id":"t","timestamp":1700000000}`},
	{"POST", "/push/events", `{"delivery_id":"dgOne","event":"converted","device_id":"t","timestamp":1700000000}`},
	{"POST", "/api/v1/cio_deliveries/events", `{"type":"in_app","payload":{"delivery_id":"dgOne","event":"clicked","timestamp":1700000000,"metadata":{"action_name":"buy"}}}`},
	{"POST", "/unsubscribe/{delivery_id=dgOne}", `{"unsubscribe":true}`},
	{"POST", "/api/v2/batch", `{"batch":[{"type":"person","action":"event","identifiers":{"id":"5"},"name":"bought"}]}`},
}

// fullPairs are the operations of version 2 in the same way.
var fullPairs = []string{
	`{"type":"person","action":"identify","identifiers":{"id":"5"},"timestamp":1767400000,"attributes":{"email":"a@b.example","_update":true,"plan":"pro"},` +
		`"cio_relationships":[{"identifiers":{"object_type_id":"1","object_id":"x"},"relationship_attributes":{"role":"owner"}}]}`,
	`{"type":"person","action":"delete","identifiers":{"email":"a@b.example"}}`,
	`{"type":"person","action":"suppress","identifiers":{"cio_id":"0a0b"}}`,
	`{"type":"person","action":"unsuppress","identifiers":{"id":"5"}}`,
	`{"type":"person","action":"event","identifiers":{"id":"5"},"name":"bought","id":"01H8XGJ5W0ABCDEFGHJKMNPQRS","timestamp":1700000000,"attributes":{"recipient":"a@b.example"}}`,
	`{"type":"person","action":"page","identifiers":{"email":"a@b.example"},"name":"https://acme.example/","id":"01H8XGJ5W0ABCDEFGHJKMNPQRS","timestamp":1700000000,"attributes":{"path":"/"}}`,
	`{"type":"person","action":"screen","identifiers":{"id":"5"},"name":"home","id":"01H8XGJ5W0ABCDEFGHJKMNPQRS","timestamp":1700000000,"attributes":{"tab":1}}`,
	`{"type":"person","action":"add_relationships","identifiers":{"id":"5"},"timestamp":1767400000,"cio_relationships":[{"identifiers":{"object_type_id":"1","object_id":"x"},"relationship_attributes":{"role":"owner"}}]}`,
	`{"type":"person","action":"delete_relationships","identifiers":{"id":"5"},"cio_relationships":[{"identifiers":{"object_type_id":"1","object_id":"x"}}]}`,
	`{"type":"person","action":"add_device","identifiers":{"id":"5"},"device":{"token":"t","platform":"ios","last_used":1700000000,"attributes":{"device_os":"17"}}}`,
	`{"type":"person","action":"delete_device","identifiers":{"id":"5"},"device":{"token":"t"}}`,
	`{"type":"person","action":"merge","primary":{"id":"5"},"secondary":{"cio_id":"0a0b"}}`,
	`{"type":"object","action":"identify","identifiers":{"object_type_id":"1","object_id":"x"},"timestamp":1767400000,"attributes":{"name":"Acme"},"cio_relationships":[{"identifiers":{"id":"5"},"relationship_attributes":{"role":"owner"}}]}`,
	`{"type":"object","action":"identify_anonymous","identifiers":{"object_type_id":"1","object_id":"x"},"attributes":{"name":"Acme"},"cio_relationships":[{"identifiers":{"anonymous_id":"a"},"relationship_attributes":{"role":"owner"}}]}`,
	`{"type":"object","action":"delete","identifiers":{"cio_object_id":"ob01"}}`,
	`{"type":"object","action":"add_relationships","identifiers":{"object_type_id":"1","object_id":"x"},"cio_relationships":[{"identifiers":{"email":"a@b.example"},"relationship_attributes":{"role":"owner"}}]}`,
	`{"type":"object","action":"delete_relationships","identifiers":{"object_type_id":"1","object_id":"x"},"cio_relationships":[{"identifiers":{"cio_id":"0a0b"}}]}`,
	`{"type":"delivery","action":"event","identifiers":{"id":"dgOne"},"name":"opened","timestamp":1700000000,"attributes":{"device_token":"t"}}`,
}

// variants are what becomes of the value of a field: none, of each wrong type, empty, too long, too many, wrongly encoded.
var variants = []struct{ name, json string }{
	{"missing", ""},
	{"null", "null"},
	{`""`, `""`},
	{"spaces", `" \t"`},
	{"7", "7"},
	{"0", "0"},
	{"-1", "-1"},
	{"1.5", "1.5"},
	{"milliseconds", "1700000000000"},
	{"1e400000", "1e400000"},
	{"-1e400000", "-1e400000"},
	{"true", "true"},
	{"false", "false"},
	{`"text"`, `"text"`},
	{"[]", "[]"},
	{"{}", "{}"},
	{"an object", `{"x":1}`},
	{"301 in an object", attributes(person.MaxAttributes + 1)},
	{"deepest", strings.Repeat("[", 70) + strings.Repeat("]", 70)},
	{"name in capitals", ""},
	{"value in capitals", ""},
	{"twice", `"again"`},
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
	{"escaped twice", "a%2540b.example"},
	{"a plus", "a+b"},
	{"0", "0"},
	{"1.5", "1.5"},
	{"in capitals", ""},
	{"of 5000 bytes", strings.Repeat("x", 5000)},
	{"NUL", "a%00b"},
	{"no UTF-8", "a%ffb"},
}

// keys are the variants of the Authorization.
var keys = []struct{ name, header string }{
	{"missing", ""},
	{"Basic alone", "Basic"},
	{"no base64", "Basic !!!"},
	{"cut base64", basic[:len(basic)-3]},
	{"no colon", "Basic " + base64.StdEncoding.EncodeToString([]byte("site"))},
	{"no password", "Basic " + base64.StdEncoding.EncodeToString([]byte("site:"))},
	{"NUL", "Basic " + base64.StdEncoding.EncodeToString([]byte("site:key\x00"))},
	{"no UTF-8", "Basic " + base64.StdEncoding.EncodeToString([]byte("site:\xff"))},
	{"key in capitals", "Basic " + base64.StdEncoding.EncodeToString([]byte("SITE:KEY"))},
	{"Bearer", "Bearer site:key"},
	{"of 5000 bytes", "Basic " + base64.StdEncoding.EncodeToString([]byte("site:"+strings.Repeat("x", 5000)))},
	{"scheme in capitals", "BASIC" + basic[len("Basic"):]},
	{"not padded", strings.TrimRight(basic, "=")},
	{"standard alphabet", "Basic " + base64.StdEncoding.EncodeToString([]byte("s?te:k~y>"))},
	{"URL alphabet", "Basic " + base64.URLEncoding.EncodeToString([]byte("s?te:k~y>"))},
}

// TestFields takes every field of every operation through all that can be wrong with it, in both modes, and compares the
// answers and what the engine notes with testdata/fields.txtar: variants that fare alike share a line. A route or an
// operation without an example here fails it, as does a write that is accepted and leaves no op.
func TestFields(t *testing.T) {
	t.Parallel()
	const file = "testdata/fields.txtar"
	want, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	log := &memory{}
	m := &matrix{t: t, log: log, mux: muxOf(t, log, one{}, api.Limits{}), effects: newEffects(t, storetest.Open(t, storetest.Options(t, storetest.SQLite)))}
	m.effects.delivery(1)
	m.effects.w.Do(m.effects.w.Identify("5", `{"email":"a@b.example"}`))
	got := &txtar.Archive{Comment: want.Comment}
	routes, operated := map[string]bool{"POST /api/v2/entity": true}, map[pair]bool{}
	for _, c := range full {
		name := c.method + " " + given.ReplaceAllString(c.path, "}")
		route, _, _ := strings.Cut(name, "?")
		routes[route] = true
		got.Files = append(got.Files, txtar.File{Name: name, Data: m.call(c.method, c.path, c.body)})
	}
	for _, op := range fullPairs {
		p := pair{value.Value(op).Get("type").Text(), value.Value(op).Get("action").Text()}
		operated[p] = true
		got.Files = append(got.Files, txtar.File{Name: "v2 " + p.kind + " " + p.action, Data: m.call(http.MethodPost, entityPath, op)})
	}
	for _, r := range Routes(Options{}) {
		if !routes[r.Method+" "+r.Path] {
			t.Errorf("%s %s has no example", r.Method, r.Path)
		}
	}
	for p := range operations {
		if !operated[p] {
			t.Errorf("%s %s has no example", p.kind, p.action)
		}
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

const entityPath = "/api/v2/entity"

// matrix sends variants of calls and prints the answers.
type matrix struct {
	t       *testing.T
	mux     *api.Mux
	log     *memory
	effects *effects

	right value.Value // payload of the call as it should be
	sent  value.Value // value of the field that is wrong
}

// outcome is what became of one variant.
type outcome struct {
	field, name string
	answer      string
	ops         []ingest.Op // without strict mode
	refused     bool        // in strict mode only
}

func (m *matrix) call(method, path, body string) []byte {
	m.right, m.sent = nil, nil
	all := []outcome{m.try("", "", method, fill(path, "", ""), body)}
	for _, k := range keys {
		all = append(all, m.try("Authorization", k.name, method, fill(path, "", ""), body, "Authorization", k.header))
	}
	for _, name := range parameters(path) {
		for _, v := range inPath {
			text := v.text
			if v.name == "in capitals" {
				text = strings.ToUpper(valueOf(path, name))
			}
			plain, err := url.PathUnescape(text)
			if err != nil {
				m.t.Fatal(err)
			}
			m.sent = value.Quote(plain)
			all = append(all, m.try("{"+name+"}", v.name, method, fill(path, name, text), body))
		}
	}
	for _, field := range members(value.Value(body), "") {
		for _, v := range variants {
			var b strings.Builder
			m.sent = value.Value(v.json)
			change(&b, value.Value(body), "", field, v.name, v.json)
			all = append(all, m.try(field, v.name, method, fill(path, "", ""), b.String()))
		}
	}
	m.become(all)
	return printed(all)
}

// try sends a variant without strict mode and in it. An operation is sent in a batch as well, where it must fare alike.
func (m *matrix) try(field, name, method, path, body string, headers ...string) outcome {
	m.t.Helper()
	o := outcome{field: field, name: name}
	var ok bool
	if o.answer, ok = m.one(method, path, body, headers...); ok {
		o.ops = m.log.ops
	}
	if path == entityPath && field != "" {
		in, _ := m.one(method, "/api/v2/batch", `{"batch":[`+body+`]}`, headers...)
		if in != o.answer && !strings.HasPrefix(in, "400 the body is not valid JSON") {
			m.t.Errorf("%.200s: %s, but %s in a batch", body, o.answer, in)
		}
	}
	strict, taken := m.one(method, path, body, append(headers, "X-Strict-Mode", "1")...)
	if o.refused = ok && !taken; o.answer != strict {
		o.answer += "\n\t\tstrict: " + strict
	}
	return o
}

// one tells the status with the message or the op, and whether that is a success.
func (m *matrix) one(method, path, body string, headers ...string) (answer string, ok bool) {
	m.t.Helper()
	m.log.ops, m.log.calls = nil, 0
	w := send(m.t, m.mux, method, path, body, append(headers, "Content-Type", "application/json")...)
	ok = w.Code < http.StatusMultiStatus
	keyless := len(headers) > 1 && headers[0] == "Authorization" // a report without a key is nobody's, if it names no delivery
	if w.Code >= 500 || ok && len(m.log.ops) == 0 && method != http.MethodGet && !keyless {
		m.t.Errorf("%s %.100s %.200q: %d %s with %d ops", method, path, body, w.Code, w.Body, len(m.log.ops))
	}
	said, _, cut := strings.Cut(message(w.Body.Bytes()), " not valid JSON: ")
	if cut { // what follows is the parser's
		said += " not valid JSON"
	}
	for i := range m.log.ops {
		checkOp(m.t, &m.log.ops[i])
		said += " " + kinds[m.log.ops[i].Kind] + " " + m.told(m.log.ops[i].Payload)
	}
	return fmt.Sprintf("%d%s", w.Code, said), ok
}

// become applies the ops, those that end somebody excepted, and adds to the answers why the engine did not apply them or
// not whole. What it says of the right call is left out. Where strict mode would have refused there must be a reason,
// or it is told that there is none.
func (m *matrix) become(all []outcome) {
	m.t.Helper()
	w, id := m.effects.w, m.right.Get("id")
	var ops []ingest.Op
	applied := map[string]bool{}
	for _, o := range all {
		if o.name == "milliseconds" && strings.HasSuffix(o.field, "timestamp") {
			continue // it lies so far ahead that all that follows would be late
		}
		for _, op := range o.ops {
			switch op.Kind {
			case ingest.Delete, ingest.Suppress, ingest.Merge, ingest.DeleteObject:
				return
			case ingest.Event:
				if bytes.Equal(op.Payload.Get("id"), id) { // else all would be repeats of the first
					op.Payload = without(op.Payload, "id")
				}
			default:
			}
			op.Workspace = w.Workspace.ID
			ops, applied[op.ID] = append(ops, op), true
		}
	}
	if len(ops) == 0 {
		return
	}
	w.Do(ops...)
	why := m.reasons()
	for i := range all {
		o := &all[i]
		var said []string
		for _, op := range o.ops {
			for _, reason := range why[op.ID] {
				if i == 0 || !slices.Contains(why[ops[0].ID], reason) {
					said = append(said, reason)
				}
			}
		}
		switch {
		case len(said) > 0:
			slices.Sort(said)
			o.answer += "\n\t\tnoted: " + strings.Join(slices.Compact(said), "; ")
		case o.refused && len(o.ops) > 0 && applied[o.ops[0].ID]:
			o.answer += "\n\t\tnothing noted"
		}
	}
}

// reasons are those of the failures that the engine has noted since it was asked last, by op.
func (m *matrix) reasons() map[string][]string {
	m.t.Helper()
	out := map[string][]string{}
	for newest, from := int64(0), int64(0); ; {
		list, next, err := m.effects.w.DB.Activities(m.t.Context(), m.effects.w.Workspace.ID, app.ActivityQuery{From: from, Limit: 1000})
		if err != nil {
			m.t.Fatal(err)
		}
		known := next == 0
		for _, a := range list {
			if known = known || a.Seq <= m.effects.last; a.Seq <= m.effects.last {
				continue
			}
			newest = max(newest, a.Seq)
			if a.Type == event.FailedChange || a.Type == event.FailedEvent {
				op := a.Data.Get("op").Text()
				out[op] = append(out[op], late.ReplaceAllString(m.effects.out(a.Data.Get("reason").Text()), "attributes were"))
			}
		}
		if from = next; known {
			m.effects.last = max(newest, m.effects.last)
			return out
		}
	}
}

var late = regexp.MustCompile(`attribute \S+ was`)

// printed shows the outcomes, those of a field with the same answer on one line.
func printed(all []outcome) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "as it should be\n\t%s\n", all[0].answer)
	for rest := all[1:]; len(rest) > 0; {
		n := 0
		var g group
		for ; n < len(rest) && rest[n].field == rest[0].field; n++ {
			g.add(rest[n].name, rest[n].answer)
		}
		g.print(&out, rest[0].field)
		rest = rest[n:]
	}
	return out.Bytes()
}

// told is a payload: all of it for the right call, which comes first, then what is different from that.
func (m *matrix) told(payload value.Value) string {
	if m.right == nil {
		m.right = payload
		return string(payload)
	}
	was, is := flat(m.right, m.sent, ""), flat(payload, m.sent, "")
	var out []string
	for _, f := range was {
		if !slices.ContainsFunc(is, func(x leaf) bool { return x.path == f.path }) {
			out = append(out, "no "+f.path)
		}
	}
	for _, f := range is {
		switch text := string(f.v); {
		case slices.ContainsFunc(was, func(x leaf) bool { return x.path == f.path && bytes.Equal(x.v, f.v) }):
		case f.given:
			out = append(out, f.path+" as given")
		case len(text) > 120:
			out = append(out, fmt.Sprintf("%s=%s… (%d bytes)", f.path, strings.ToValidUTF8(text[:20], ""), len(text)))
		default:
			out = append(out, f.path+"="+text)
		}
	}
	if out == nil {
		return "as it should be"
	}
	return "but " + strings.Join(out, ", ")
}

// leaf is a member of a payload, at any depth. Given says that it is what was sent, or its text.
type leaf struct {
	path  string
	v     value.Value
	given bool
}

func flat(v, sent value.Value, prefix string) (out []leaf) {
	for name, f := range v.Fields() {
		given := len(sent) > 0 && (bytes.Equal(f, sent) || string(f) == strconv.Quote(string(sent)))
		if f.Kind() == value.Object && len(f) > len("{}") && !given {
			out = append(out, flat(f, sent, prefix+name+" ")...)
			continue
		}
		out = append(out, leaf{prefix + name, f, given})
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
	var out []string
	for i, n := 0, 0; i < len(said); i += n {
		for n = 0; i+n < len(said) && said[i+n] == said[i]; n++ {
		}
		if out = append(out, said[i]); n > 1 {
			out = append(out, fmt.Sprintf("the same %d times", n))
		}
	}
	told := strings.Join(out, "; ")
	if len(told) > 400 {
		told = fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(told[:100], ""), len(told))
	}
	return " " + told
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
		if mine && variant == "twice" && v.Kind() == value.Object {
			b.Write(f)
			b.WriteString("," + string(value.Quote(name)) + ":" + raw)
			return ","
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
