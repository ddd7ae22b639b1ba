package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"rapport.example/internal/api"
	"rapport.example/internal/api/app"
	"rapport.example/internal/definition"
	"rapport.example/internal/engine"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/workspace"
)

// The archives in testdata/bad hold what every operation answers to bad input, a file for each area and a section for each
// operation. A line is a case: its kind, the target and, where there is one, the body; its answer is indented under it and
// written by -update. @x300@ stands for 300 x, @id@ for the id in the last answer to a POST that was ok. The kinds:
//
//	ok       is answered with success, and shows that the cases beside it fail for what is wrong with them alone
//	type     a value of the wrong type or form
//	missing  something is not there that must be
//	big      too large, too long, too many
//	unknown  names what there is not
//	foreign  names what another workspace has
//	state    asks for what things do not allow as they are
//	filter   a list that goes on with the cursor of its ok, with another filter than that has
//
// An operation must have ok or, where the test's few things do not allow that, state; unknown if its path has parameters; type if it has a body; and, if it is a paged list, an ok
// whose page is not the last.
var kinds = []string{"ok", "type", "missing", "big", "unknown", "foreign", "state", "filter"}

// badCase is one line of an archive.
type badCase struct {
	kind, target, body string
	want               string
}

var repeated = regexp.MustCompile(`@(.)(\d+)@`)

// moment is a time in seconds: some are of now.
var moment = regexp.MustCompile(`\b[1-9]\d{9}\b`)

// made finds the id of what an answer is about.
var made = regexp.MustCompile(`^\{"\w+":\{"id":(\d+)`)

func expand(s string) string {
	return repeated.ReplaceAllStringFunc(s, func(m string) string {
		p := repeated.FindStringSubmatch(m)
		n, _ := strconv.Atoi(p[2]) // digits
		return strings.Repeat(p[1], n)
	})
}

func parseCases(t *testing.T, file string, section txtar.File) (out []badCase) {
	t.Helper()
	for line := range strings.SplitSeq(strings.TrimRight(string(section.Data), "\n"), "\n") {
		if strings.HasPrefix(line, " ") && len(out) > 0 {
			out[len(out)-1].want += strings.TrimSpace(line) + "\n"
			continue
		}
		kind, rest, ok := strings.Cut(line, " ")
		target, body, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if !ok || !slices.Contains(kinds, kind) || !strings.HasPrefix(target, "/") {
			t.Fatalf("%s: %s: not a case: %q", file, section.Name, line)
		}
		out = append(out, badCase{kind, target, strings.TrimSpace(body), ""})
	}
	return out
}

func formatCases(list []badCase) []byte {
	var b bytes.Buffer
	for _, c := range list {
		fmt.Fprintf(&b, "%-7s %s", c.kind, c.target)
		if c.body != "" {
			b.WriteString(" " + c.body)
		}
		b.WriteString("\n        " + strings.TrimSpace(c.want) + "\n")
	}
	return b.Bytes()
}

// hostile is the surface with a twin: workspace 3 has what workspace 1 has.
type hostile struct {
	*surface
	routes map[string]api.Route // by "METHOD /path"
	tokens map[string]string    // a good cursor of each paged list
	made   string               // id in the last answer to a POST
}

func newHostile(t *testing.T, db *store.DB) *hostile {
	t.Helper()
	seed(t, db)
	w, err := db.CreateWorkspace(t.Context(), "twin", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.CreateCredential(t.Context(), workspace.Credential{Workspace: w.ID, Kind: workspace.App, Hash: workspace.Hash("twin")}); err != nil {
		t.Fatal(err)
	}
	c := changes(t)
	moveTo(c, w.ID)
	c.Definitions = append(c.Definitions, definition.Row{
		Workspace: 1, Kind: definition.Segments, ID: 4, Version: 1, Slug: "spare", Body: parse(t, `{"id":"spare","manual":true}`), Gen: 1, Current: true, Created: start, Updated: start,
	})
	for i := range 4 { // so that the lists of the broadcasts have two pages
		d := c.NewDeliveries[0]
		d.Workspace, d.ID, d.Public, d.Campaign, d.Journey = []int64{1, w.ID}[i%2], int64(900+i), fmt.Sprint("of-a-broadcast-", i), 3, 0
		c.NewDeliveries = append(c.NewDeliveries, d)
	}
	lease, ok, err := db.Acquire(t.Context(), 0, "test", time.Hour, true)
	if err != nil || !ok {
		t.Fatalf("Acquire = %v, %v", ok, err)
	}
	if err := db.Transact(t.Context(), lease, func(tx engine.Tx) error { return tx.Write(t.Context(), c) }); err != nil {
		t.Fatal(err)
	}
	h := &hostile{newSurface(t, db, db, false), map[string]api.Route{}, map[string]string{}, ""}
	for _, r := range h.mux.Routes() {
		if r.Doc != app.NotBuilt {
			h.routes[r.Method+" "+r.Path] = r
		}
	}
	return h
}

// moveTo keeps the changes of workspace 1 alone and makes them another workspace's.
func moveTo(c *engine.Changes, id int64) {
	all := reflect.ValueOf(c).Elem()
	for i := range all.NumField() {
		list := all.Field(i)
		if list.Kind() != reflect.Slice {
			continue
		}
		kept := reflect.MakeSlice(list.Type(), 0, list.Len())
		for j := range list.Len() {
			field := reflect.Indirect(list.Index(j)).FieldByName("Workspace")
			if field.Int() == 1 {
				field.SetInt(id)
				kept = reflect.Append(kept, list.Index(j))
			}
		}
		list.Set(kept)
	}
	for i := range c.NewDeliveries {
		c.NewDeliveries[i].Public += "-twin" // which is one delivery's everywhere
	}
}

// ask sends a request and says what was answered in one line: the status and, unless it is success, the body.
func (h *hostile) ask(t *testing.T, key, method, target, body string) (*httptest.ResponseRecorder, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, r)
	if w.Code < 300 {
		return w, strconv.Itoa(w.Code)
	}
	return w, fmt.Sprintf("%d %s", w.Code, strings.TrimSpace(w.Body.String()))
}

// refused reports an answer that is a defect of ours, or an error not in the shape of the route.
func refused(t *testing.T, r *api.Route, what string, w *httptest.ResponseRecorder) {
	t.Helper()
	var v struct {
		Meta   struct{ Error *string }
		Errors []struct{ Detail, Status string }
	}
	switch err := json.Unmarshal(w.Body.Bytes(), &v); {
	case w.Code >= 500:
		t.Errorf("%s: %d %s", what, w.Code, w.Body)
	case w.Code < 400:
	case err != nil,
		r.Shape == api.MetaError && v.Meta.Error == nil,
		r.Shape == api.AppErrors && (len(v.Errors) == 0 || v.Errors[0].Status != strconv.Itoa(w.Code) || v.Errors[0].Detail == ""):
		t.Errorf("%s: %d %s, which is not in the route's shape", what, w.Code, w.Body)
	}
}

// TestBadInput sends the cases of the archives on every database, and asks for cases of every operation.
func TestBadInput(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		h := newHostile(t, db)
		seen := map[string][]badCase{}
		for _, file := range files {
			in, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			out := &txtar.Archive{Comment: in.Comment}
			for _, section := range in.Files {
				name := section.Name
				r, ok := h.routes[name]
				if _, twice := seen[name]; !ok || twice {
					t.Errorf("%s: there is no operation %s, or it has two sections", file, name)
					continue
				}
				cases := parseCases(t, file, section)
				h.answer(t, &r, cases)
				seen[name] = cases
				out.Files = append(out.Files, txtar.File{Name: name, Data: formatCases(cases)})
			}
			got := txtar.Format(out)
			if *update && db.Backend() == storetest.SQLite {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if diff := cmp.Diff(string(txtar.Format(in)), string(got)); diff != "" && !*update {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		}
		for name, r := range h.routes {
			h.complete(t, name, &r, seen[name])
			for _, c := range seen[name] {
				if c.want != "accepted" { // or the handler looks for what is not there
					h.foreign(t, &r, &c)
				}
			}
		}
		h.cursors(t, seen)
	})
}

// answer fills in what the cases are answered.
func (h *hostile) answer(t *testing.T, r *api.Route, cases []badCase) {
	t.Helper()
	name := r.Method + " " + r.Path
	for i := range cases {
		c := &cases[i]
		target := expand(strings.ReplaceAll(c.target, "@id@", h.made))
		if c.kind == "filter" {
			target = withStart(target, h.tokens[name])
		}
		h.log.ops = nil
		w, text := h.ask(t, "app", r.Method, target, expand(c.body))
		if c.kind == "ok" && len(h.log.ops) > 0 { // nothing applies the op here, so what the handler looks up afterwards is not there
			c.want = "accepted"
			continue
		}
		refused(t, r, name+": "+c.kind+" "+c.target, w)
		if m := made.FindSubmatch(w.Body.Bytes()); c.kind == "ok" && r.Method == http.MethodPost && m != nil {
			h.made = string(m[1])
		}
		if (w.Code < 300) != (c.kind == "ok") && !(c.kind == "unknown" || c.kind == "foreign" || c.kind == "big") {
			t.Errorf("%s: %s %s: %s", name, c.kind, c.target, text)
		}
		var page struct{ Next string }
		if c.kind == "ok" && json.Unmarshal(w.Body.Bytes(), &page) == nil && page.Next != "" {
			h.tokens[name] = page.Next
		}
		if w.Code < 300 && c.kind != "ok" { // what is not found may be an empty list
			text += " " + moment.ReplaceAllString(strings.TrimSpace(w.Body.String()), "@time@")
		}
		c.want = text
	}
}

// What is only in workspace 1, and only in workspace 2. It may stand in an answer that repeats the question.
var (
	ofFirst = []string{"aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "Onboarding", "Paying", "go-101", "signed_up", "acme.example", `"d1"`}
	ofOther = []string{"cccccccccccccccc", "secret"}
)

// foreign asks what was asked of workspace 1 with the key of workspace 2: neither is answered with what is the other's.
func (h *hostile) foreign(t *testing.T, r *api.Route, c *badCase) {
	t.Helper()
	target, body := expand(strings.ReplaceAll(c.target, "@id@", h.made)), expand(c.body)
	for key, marks := range map[string][]string{"app": ofOther, "other": ofFirst} {
		w, _ := h.ask(t, key, r.Method, target, body)
		refused(t, r, key+" "+target, w)
		for _, mark := range marks {
			if strings.Contains(w.Body.String(), mark) && !strings.Contains(target+body, mark) {
				t.Errorf("%s %s with the key of %q has %q, which is of another workspace: %s", r.Method, target, key, mark, w.Body)
			}
		}
	}
}

func withStart(target, token string) string {
	if strings.Contains(target, "?") {
		return target + "&start=" + url.QueryEscape(token)
	}
	return target + "?start=" + url.QueryEscape(token)
}

// paged tells whether an operation's answers have a cursor.
func paged(r *api.Route) bool {
	v := reflect.ValueOf(r.Response)
	if v.Kind() != reflect.Struct {
		return false
	}
	for i := range v.NumField() {
		if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); name == "next" {
			return true
		}
	}
	return false
}

// complete asks for the cases that an operation must have.
func (h *hostile) complete(t *testing.T, name string, r *api.Route, cases []badCase) {
	t.Helper()
	has := func(kind string) bool {
		return slices.ContainsFunc(cases, func(c badCase) bool { return c.kind == kind })
	}
	need := []string{"ok"}
	if has("state") {
		need = nil
	}
	if strings.Contains(r.Path, "{") {
		need = append(need, "unknown")
	}
	if r.MaxBody > 0 {
		need = append(need, "type")
	}
	for _, kind := range need {
		if !has(kind) {
			t.Errorf("%s has no case of kind %s: add it to a file in testdata/bad, then go test -run BadInput -update", name, kind)
		}
	}
	if paged(r) && h.tokens[name] == "" {
		t.Errorf("%s is a paged list, and none of its ok cases has a next page: its cursors are not tested", name)
	}
}

// cursors tries on every paged list what is no cursor of it: those of all others, its own of another workspace, and other text.
func (h *hostile) cursors(t *testing.T, seen map[string][]badCase) {
	t.Helper()
	for name, own := range h.tokens {
		r := h.routes[name]
		ok := seen[name][slices.IndexFunc(seen[name], func(c badCase) bool { return c.kind == "ok" })]
		bad := map[string]string{"text": "x", "base64": "YWJjZGVmZ2hpamtsbW5vcA", "half": own[:len(own)/2], "long": strings.Repeat("A", 4000)}
		for other, token := range h.tokens {
			if other != name {
				bad["that of "+other] = token
			}
		}
		var page struct{ Next string }
		if w, text := h.ask(t, "twin", r.Method, ok.target, ok.body); json.Unmarshal(w.Body.Bytes(), &page) != nil || page.Next == "" {
			t.Errorf("%s: the twin has no next page: %s", name, text)
		}
		bad["that of another workspace"] = page.Next
		for what, token := range bad {
			if w, text := h.ask(t, "app", r.Method, withStart(ok.target, token), ok.body); w.Code != http.StatusBadRequest || !strings.Contains(text, "start") {
				t.Errorf("%s with a cursor that is %s: %s, want 400 that names start", name, what, text)
			}
		}
		if w, text := h.ask(t, "app", r.Method, withStart(ok.target, own), ok.body); w.Code != http.StatusOK {
			t.Errorf("%s with its own cursor: %s", name, text)
		}
	}
}

// oddValues are for parameters of paths and queries.
var oddValues = []string{
	"%00", "%ff", "-1", "0", "1.5", "1e9", "99999999999999999999", strings.Repeat("x", 3000), "..", "%2F", "%27%20OR%201%3D1", "%7B%7D", "cio_", "@", "%20", "null", "%F0%9F%98%80",
}

// oddJSON are for bodies, and for each member of them.
var oddJSON = []string{
	``, `null`, `[]`, `{}`, `{`, `"x"`, `5`, `-1`, `1.5`, `1e400`, `true`, `"\u0000"`, `"\ud800"`, "\"\xff\"", `[null]`, `[[]]`, `[{}]`, `{"x":{}}`, `99999999999999999999`,
	`"` + strings.Repeat("x", 5000) + `"`, strings.Repeat("[", 100) + strings.Repeat("]", 100),
}

// TestOddInput sends every operation what nobody should, in every parameter and every member: none is answered as a defect of ours.
func TestOddInput(t *testing.T) {
	t.Parallel()
	queries := parameters(t)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		h := newHostile(t, db)
		send := func(r *api.Route, target, body string) {
			w, _ := h.ask(t, "app", r.Method, target, body)
			refused(t, r, fmt.Sprintf("%s %.200s %.200s", r.Method, target, body), w)
		}
		for _, r := range h.routes {
			one := regexp.MustCompile(`\{\w+\}`)
			for _, odd := range oddValues {
				send(&r, one.ReplaceAllLiteralString(r.Path, odd), "{}")
			}
			for _, q := range queries {
				for _, odd := range []string{"%00", "-1", "99999999999999999999", oddValues[7], "%7B%7D", "%F0%9F%98%80"} {
					send(&r, one.ReplaceAllLiteralString(r.Path, "1")+"?"+q+"="+odd, "{}")
				}
			}
			if r.MaxBody == 0 {
				continue
			}
			for _, odd := range oddJSON {
				send(&r, one.ReplaceAllLiteralString(r.Path, "1"), odd)
				for _, m := range members(r.Request) {
					send(&r, one.ReplaceAllLiteralString(r.Path, "1"), fmt.Sprintf(`{%q:%s}`, m, odd))
				}
			}
		}
	})
}

// parameters are the query parameters that the package's code names.
func parameters(t *testing.T) (out []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`c\.Query\w*\("(\w+)"`).FindAllSubmatch(text, -1) {
			if !strings.HasSuffix(file, "_test.go") {
				out = append(out, string(m[1]))
			}
		}
	}
	out = append(out, "limit")
	slices.Sort(out)
	return slices.Compact(out)
}

// members are the names that a request's body may have.
func members(request any) (out []string) {
	v := reflect.ValueOf(request)
	if v.Kind() != reflect.Struct {
		return nil
	}
	for i := range v.NumField() {
		if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
			out = append(out, name)
		}
	}
	return out
}
