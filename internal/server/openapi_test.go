package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"rapport.example/internal/api/openapi"
	"rapport.example/internal/config"
	"rapport.example/internal/server"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/workspace"
)

var update = flag.Bool("update", false, "write what the server answers into internal/api/openapi/examples")

// started runs a server on SQLite until the test ends.
func started(t *testing.T, limits string) server.Info {
	t.Helper()
	return startedOn(t, "", limits)
}

// startedOn runs a server on a PostgreSQL database, or with "" on SQLite.
func startedOn(t *testing.T, database, limits string) server.Info {
	t.Helper()
	o := config.Serve{DatabaseURL: database, Listen: "127.0.0.1:0", Data: t.TempDir(), Limits: limits, LimitTrack: 100, LimitApp: 10, LimitSend: 100, LimitOpen: 100, LimitPipelines: 100, LimitArchive: 100, ArchiveDays: 30}
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan server.Info, 1), make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, o, slog.New(slog.DiscardHandler), func(i server.Info) { ready <- i })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case i := <-ready:
		return i
	case <-time.After(time.Minute):
		t.Fatal("the server does not start")
	}
	return server.Info{}
}

// keyed sets the key that an API asks for.
func keyed(r *http.Request, i server.Info, kind workspace.Kind) {
	for _, c := range i.Credentials {
		switch {
		case c.Kind != kind:
		case kind == workspace.Track:
			r.SetBasicAuth(c.SiteID, c.Secret)
		case kind == workspace.Write:
			r.SetBasicAuth(c.Secret, "")
		default:
			r.Header.Set("Authorization", "Bearer "+c.Secret)
		}
	}
}

// secret is the first key of a kind.
func secret(i server.Info, kind workspace.Kind) string {
	for _, c := range i.Credentials {
		if c.Kind == kind {
			return c.Secret
		}
	}
	return ""
}

func call(t *testing.T, i server.Info, kind workspace.Kind, method, url, body string) (int, string, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, i.URL+url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	keyed(r, i, kind)
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, 8<<20))
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("Content-Type"), b
}

// define gives the workspace what the examples are about, and sends a mail.
func define(t *testing.T, i server.Info) (delivery string) {
	t.Helper()
	file, err := os.ReadFile("testdata/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"file": "openapi.yaml", "yaml": string(file)})
	if err != nil {
		t.Fatal(err)
	}
	if status, _, answer := call(t, i, workspace.Admin, http.MethodPost, "/admin/v1/apply", string(body)); status != http.StatusOK {
		t.Fatalf("apply: %d %s", status, answer)
	}
	if status, _, answer := call(t, i, workspace.Track, http.MethodPut, "/api/v1/customers/7", `{"email":"ada@example.com","first_name":"Ada","plan":"pro"}`); status != http.StatusOK {
		t.Fatalf("identify: %d %s", status, answer)
	}
	object := `{"type":"object","action":"identify","identifiers":{"object_type_id":"1","object_id":"acme"},"attributes":{"name":"Acme"},"cio_relationships":[{"identifiers":{"id":"7"}}]}`
	if status, _, answer := call(t, i, workspace.Track, http.MethodPost, "/api/v2/entity", object); status != http.StatusOK {
		t.Fatalf("object: %d %s", status, answer)
	}
	_, _, answer := call(t, i, workspace.App, http.MethodPost, "/v1/send/email", `{"transactional_message_id":"receipt","to":"ada@example.com","identifiers":{"id":"7"},"message_data":{"number":1}}`)
	var sent struct {
		Delivery string `json:"delivery_id"`
	}
	if err := json.Unmarshal(answer, &sent); err != nil || sent.Delivery == "" {
		t.Fatalf("send: %s", answer)
	}
	// A read waits until all is applied: what names the delivery by its id alone does not. On a machine with much else to do the wait
	// can run out, and the read answers from what is there.
	for range 30 {
		status, _, answer := call(t, i, workspace.App, http.MethodGet, "/v1/messages/"+sent.Delivery, "")
		switch status {
		case http.StatusOK:
			return sent.Delivery
		case http.StatusNotFound:
		default:
			t.Fatalf("the delivery: %d %s", status, answer)
		}
	}
	t.Fatal("the delivery was not made within 30 reads")
	return ""
}

// TestOpenAPI calls every example of every document against a server, in order, and holds what is sent and what is answered to the
// document that this server serves. A route without an example, or an example without a route, is refused by OpenAPI itself.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]workspace.Kind{
		"track": workspace.Track, "app": workspace.App, "pipelines": workspace.Write, "admin": workspace.Admin,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.EachOptions(t, func(t *testing.T, o store.Options) {
				i := startedOn(t, o.URL, "off")
				delivery := define(t, i)
				examples, err := openapi.Examples(name)
				if err != nil {
					t.Fatal(err)
				}
				if o.URL != "" { // such a state is backed up with the database's own tools
					status, _, body := call(t, i, workspace.Admin, http.MethodPost, "/admin/v1/backup", "")
					if status != http.StatusNotImplemented {
						t.Errorf("a backup of PostgreSQL: %d %s", status, body)
					}
					examples = slices.DeleteFunc(examples, func(e openapi.Example) bool { return e.ID == "backUp" })
				}
				record := play(t, i, kind, name, delivery, examples)
				if *update && o.URL == "" {
					if err := os.WriteFile("../api/openapi/examples/"+name+".txt", record, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// play calls the examples, and returns them with what was answered now.
func play(t *testing.T, i server.Info, kind workspace.Kind, name, delivery string, examples []openapi.Example) []byte {
	t.Helper()
	doc := served(t, i, name)
	known := map[string]string{"delivery": delivery, "writeKey": secret(i, workspace.Write)}
	var record bytes.Buffer
	ids := map[string]bool{}
	for _, e := range examples {
		if ids[e.ID] {
			t.Errorf("%s is the id of two operations", e.ID)
		}
		ids[e.ID] = true
		kind := kind
		if strings.HasPrefix(e.Path, "/services/") {
			kind = workspace.Agent
		}
		status, media, body := settled(t, e, func() (int, string, []byte) {
			return call(t, i, kind, e.Method, openapi.Fill(e.URL, known), openapi.Fill(e.Raw, known))
		})
		if !*update && status != e.Status || status >= http.StatusBadRequest {
			t.Errorf("%s: %d %s, want %d", e.ID, status, body, e.Status)
		}
		var answer any
		if strings.Contains(media, "json") {
			if err := json.Unmarshal(body, &answer); err != nil {
				t.Errorf("%s: %v", e.ID, err)
			}
		}
		if !*update {
			doc.holds(t, e, answer)
			doc.bounds(t, e, func(q url.Values) (int, []byte) {
				at := openapi.Fill(e.URL, known)
				path, query, _ := strings.Cut(at, "?")
				all, err := url.ParseQuery(query)
				if err != nil {
					t.Fatal(err)
				}
				maps.Copy(all, q)
				status, _, body := call(t, i, kind, e.Method, path+"?"+all.Encode(), openapi.Fill(e.Raw, known))
				return status, body
			})
		}
		for n, from := range e.Keep {
			if known[n] = openapi.Member(answer, from); known[n] == "" {
				t.Errorf("%s: its answer has no %s: %s", e.ID, from, body)
			}
		}
		write(&record, e, status, media, body)
	}
	return record.Bytes()
}

// settled asks until the answer is no error and holds what is kept of it, a minute at most: mails are sent and files are made in the
// background.
func settled(t *testing.T, e openapi.Example, ask func() (int, string, []byte)) (status int, media string, body []byte) {
	t.Helper()
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for end := time.After(time.Minute); ; {
		status, media, body = ask()
		var answer any
		ready := status < http.StatusBadRequest && (len(e.Keep) == 0 || json.Unmarshal(body, &answer) == nil)
		for _, from := range e.Keep {
			ready = ready && openapi.Member(answer, from) != ""
		}
		if ready || e.Method != http.MethodGet {
			return status, media, body
		}
		select {
		case <-every.C:
		case <-end:
			return status, media, body
		}
	}
}

// secrets are not kept.
var secrets = regexp.MustCompile(`"secret":"[^"]*"`)

func write(out *bytes.Buffer, e openapi.Example, status int, media string, body []byte) {
	out.WriteString(e.ID + " " + e.Method + " " + e.Path)
	names := []string{}
	for n, from := range e.Keep {
		names = append(names, n+"="+from)
	}
	slices.Sort(names)
	for _, n := range names {
		out.WriteString(" " + n)
	}
	out.WriteString("\n> " + e.URL + "\n")
	if e.Raw != "" {
		out.WriteString("> " + e.Raw + "\n")
	}
	out.WriteString("< ")
	line, err := json.Marshal(status)
	if err != nil {
		return // a number
	}
	out.Write(line)
	var compact bytes.Buffer
	switch {
	case strings.Contains(media, "json") && json.Compact(&compact, body) == nil:
		out.WriteString(" " + secrets.ReplaceAllString(compact.String(), `"secret":"agk_…"`))
	case len(body) > 0:
		media, _, _ = strings.Cut(media, ";")
		out.WriteString(" " + media)
	}
	out.WriteString("\n\n")
}

// document is a served document, compiled.
type document struct {
	raw      any
	compiler *jsonschema.Compiler
}

func served(t *testing.T, i server.Info, name string) *document {
	t.Helper()
	status, _, body := call(t, i, "", http.MethodGet, "/openapi/"+name+".json", "")
	if status != http.StatusOK {
		t.Fatalf("the document: %d", status)
	}
	raw, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("doc.json", raw); err != nil {
		t.Fatal(err)
	}
	return &document{raw, c}
}

// holds says where an example, and what was answered now, are not as the document says.
func (d *document) holds(t *testing.T, e openapi.Example, answer any) {
	t.Helper()
	escaped := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(e.Path)
	at := "doc.json#/paths/" + escaped + "/" + strings.ToLower(e.Method)
	check := func(pointer string, v any) {
		s, err := d.compiler.Compile(at + pointer)
		if err != nil {
			t.Errorf("%s: %v", e.ID, err)
			return
		}
		if err := s.Validate(v); err != nil {
			t.Errorf("%s%s: %v", e.ID, pointer, err)
		}
	}
	if e.Body != nil {
		check("/requestBody/content/application~1json/schema", e.Body)
	}
	if e.Answer != nil {
		status, err := json.Marshal(e.Status)
		if err != nil {
			t.Error(err)
		}
		check("/responses/"+string(status)+"/content/application~1json/schema", e.Answer)
		check("/responses/"+string(status)+"/content/application~1json/schema", answer)
	}
}

// bounds asks for what is just within and just beyond what the document says of the parameters of the query, each of which has bounds. The server
// refuses the latter, but for limits that are too large, which it cuts.
func (d *document) bounds(t *testing.T, e openapi.Example, ask func(url.Values) (int, []byte)) {
	t.Helper()
	paths := d.raw.(map[string]any)["paths"].(map[string]any)
	o := paths[e.Path].(map[string]any)[strings.ToLower(e.Method)].(map[string]any)
	for _, p := range o["parameters"].([]any) {
		p := p.(map[string]any)
		name, in := p["name"], p["in"]
		if in != "query" {
			continue
		}
		schema := p["schema"].(map[string]any)
		good, bad := []string{}, []string{}
		whole := func(key string) int64 {
			t.Helper()
			n, ok := schema[key].(json.Number)
			v, err := n.Int64()
			if !ok || err != nil {
				t.Errorf("%s: %s has no %s: %v", e.ID, name, key, schema)
			}
			return v
		}
		if p["required"] == true {
			if status, body := ask(url.Values{name.(string): nil}); status != http.StatusBadRequest {
				t.Errorf("%s: without %s: %d %s, want 400", e.ID, name, status, body)
			}
		}
		switch {
		case name == "limit":
			most, usual := schema["maximum"].(json.Number), schema["default"].(json.Number)
			if least := schema["minimum"].(json.Number); least != "1" {
				t.Errorf("%s: the least limit is %s", e.ID, least)
			}
			good, bad = []string{"1", usual.String(), most.String(), most.String() + "0"}, []string{"0", "-1", "x"}
		case name == "start":
			bad = []string{"x", strings.Repeat("A", int(whole("maxLength"))+1)}
		case schema["enum"] != nil:
			bad = []string{"nothing-of-the-kind"}
			for _, word := range schema["enum"].([]any) {
				if status, body := ask(url.Values{name.(string): {word.(string)}}); status == http.StatusBadRequest && strings.Contains(string(body), "must be one of") {
					t.Errorf("%s: %s=%s is refused: %s", e.ID, name, word, body)
				}
			}
		case schema["type"] == "integer":
			least, most := whole("minimum"), whole("maximum")
			bad = []string{strconv.FormatInt(least-1, 10), strconv.FormatInt(most+1, 10), "x", "1.5"}
			if e.Method == http.MethodGet {
				good = []string{strconv.FormatInt(least, 10), strconv.FormatInt(most, 10)}
			}
		case schema["type"] == "boolean":
			if bad = []string{"maybe", "2"}; e.Method == http.MethodGet {
				good = []string{"true", "false", "1", "False"}
			}
		case schema["type"] == "string":
			bad = []string{strings.Repeat("ä", int(whole("maxLength"))+1)}
		default:
			t.Errorf("%s: %s is %v, which has no type", e.ID, name, schema)
		}
		for _, v := range good {
			if status, body := ask(url.Values{name.(string): {v}}); status != e.Status {
				t.Errorf("%s: %s=%s: %d %s", e.ID, name, v, status, body)
			}
		}
		for _, v := range bad {
			if status, body := ask(url.Values{name.(string): {v}}); status != http.StatusBadRequest {
				t.Errorf("%s: %s=%.20s: %d %s, want 400", e.ID, name, v, status, body)
			}
		}
	}
}
