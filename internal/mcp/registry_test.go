package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"rapport.example/internal/api"
	"rapport.example/internal/api/app"
	"rapport.example/internal/api/track"
	"rapport.example/internal/audit"
	"rapport.example/internal/catalog"
	"rapport.example/internal/workspace"
)

var update = flag.Bool("update", false, "rewrite golden files")

// registry is a server with all tools, connected to nothing.
func registry(t *testing.T) *Server {
	t.Helper()
	guide, err := catalog.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{
		URL: "http://127.0.0.1:1", Key: "agk_none", Scopes: workspace.Scopes(), Secret: []byte("secret"), Now: time.Now,
		Guide: func(context.Context) (*catalog.Catalog, error) { return guide, nil }, Operations: operations(),
		Recorded: func(func(*audit.Entry) error) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// operations are those of the routes, as the server tells them to the tools.
func operations() []Operation {
	var out []Operation
	for _, routes := range [][]api.Route{app.Routes(app.Options{}), track.Routes(track.Options{})} {
		for _, r := range routes {
			out = append(out, Operation{
				Method: r.Method, Path: r.Path, Track: strings.HasPrefix(r.Path, "/api/"), Built: r.Doc != app.NotBuilt, Own: r.Own, Agent: r.Agent, Doc: r.Doc, Fields: []string{},
			})
		}
	}
	return out
}

// listed are the tools as a client with all scopes is told of them.
func listed(t *testing.T, s *Server, sel Selection) *sdk.ListToolsResult {
	t.Helper()
	near, far := sdk.NewInMemoryTransports()
	served, err := s.view(sel, s.o.Scopes).Connect(t.Context(), far, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = served.Close() })
	c, err := sdk.NewClient(&sdk.Implementation{Name: "test"}, nil).Connect(t.Context(), near, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	l, err := c.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var everything = Selection{Toolsets: []string{"all"}}

// asMap is a JSON value as tests look at it.
func asMap(t *testing.T, v any) map[string]any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

var toolName = regexp.MustCompile(`^[a-z]+(_[a-z]+)+$`)

// forbidden are fields that no tool may take: they would let an agent choose recipients or what this program fetches.
var forbidden = []string{"bcc", "cc", "fake_bcc", "headers", "reply_to", "url", "uri", "data_file_url", "per_user_data", "send_to_unsubscribed", "send_now", "attachments"}

// TestRules holds every tool to the conventions, whichever toolset it is in.
func TestRules(t *testing.T) {
	t.Parallel()
	s := registry(t)
	byName := map[string]*tool{}
	for i := range s.tools {
		byName[s.tools[i].name] = &s.tools[i]
	}
	all := listed(t, s, everything).Tools
	if len(all) != len(s.tools) || len(byName) != len(all) {
		t.Fatalf("%d tools are listed of %d, with %d names", len(all), len(s.tools), len(byName))
	}
	for _, tool := range all {
		t.Run(tool.Name, func(t *testing.T) {
			t.Parallel()
			if !toolName.MatchString(tool.Name) || len(tool.Name) > 40 {
				t.Error("the name is not verb_object of at most 40 characters")
			}
			if n := len(tool.Description); n < 60 || n > 250 || strings.ContainsAny(tool.Description, "*`#\n") {
				t.Errorf("description of %d characters, want 60 to 250 without markup", n)
			}
			if (tool.Title == "") != tool.Annotations.ReadOnlyHint || !slices.Contains(workspace.Scopes(), byName[tool.Name].scope) {
				t.Errorf("title %q, scope %q", tool.Title, byName[tool.Name].scope)
			}
			a := asMap(t, tool.Annotations)
			for _, hint := range []string{"destructiveHint", "openWorldHint"} { // the others are left out when they are false
				if _, ok := a[hint]; !ok {
					t.Errorf("%s is not stated", hint)
				}
			}
			in, out := asMap(t, tool.InputSchema), asMap(t, tool.OutputSchema)
			for side, schema := range map[string]map[string]any{"input": in, "output": out} {
				if schema["type"] != "object" {
					t.Errorf("the %s schema is %v, want an object", side, schema["type"])
				}
				plainSchema(t, side, schema)
			}
			if in["additionalProperties"] != false {
				t.Error("unknown fields are taken")
			}
			fields, _ := in["properties"].(map[string]any)
			has := func(names ...string) {
				for _, name := range names {
					if fields[name] == nil {
						t.Errorf("takes no %s", name)
					}
				}
			}
			if strings.HasPrefix(tool.Name, "list_") || strings.HasPrefix(tool.Name, "search_") {
				has("limit", "cursor")
				if props, _ := out["properties"].(map[string]any); props["items"] == nil || props["next_cursor"] == nil {
					t.Error("answers no items with next_cursor")
				}
			}
			if !tool.Annotations.ReadOnlyHint {
				has("dry_run", "idempotency_key")
			}
			for _, name := range forbidden {
				if fields[name] != nil {
					t.Errorf("takes %s", name)
				}
			}
			for _, word := range []string{"/v1/send", "newsletter", "bcc"} {
				if b, _ := json.Marshal(in); bytes.Contains(b, []byte(word)) || strings.Contains(tool.Name, word) {
					t.Errorf("mentions %s", word)
				}
			}
		})
	}
}

// plainSchema refuses what some clients cannot read: unions with null, and booleans for schemas but additionalProperties false.
func plainSchema(t *testing.T, at string, schema map[string]any) {
	t.Helper()
	if _, union := schema["type"].([]any); union {
		t.Errorf("%s: the type is a union %v", at, schema["type"])
	}
	visit := func(name string, v any) {
		switch v := v.(type) {
		case map[string]any:
			plainSchema(t, at+"."+name, v)
		case bool:
			if name != "additionalProperties" || v {
				t.Errorf("%s.%s is the schema %v", at, name, v)
			}
		}
	}
	visit("items", schema["items"])
	visit("additionalProperties", schema["additionalProperties"])
	props, _ := schema["properties"].(map[string]any)
	for name, v := range props {
		visit(name, v)
	}
}

// TestHints: a tool that leaves a hint open, or contradicts itself, cannot be declared.
func TestHints(t *testing.T) {
	t.Parallel()
	for _, h := range []hints{{}, {readOnly: yes, destructive: no, idempotent: yes}, {readOnly: no, idempotent: no, openWorld: no}, {yes, yes, yes, no}} {
		if _, err := h.annotations(); err == nil {
			t.Errorf("%+v was taken", h)
		}
	}
}

// TestToolsnaps keeps each tool in a file: a change that an agent would notice shows up in review. A tool without a file, and a
// file without a tool, fail.
func TestToolsnaps(t *testing.T) {
	t.Parallel()
	const dir = "testdata/toolsnaps"
	files, err := filepath.Glob(dir + "/*.json")
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for _, f := range files {
		left[f] = true
	}
	for _, tool := range listed(t, registry(t), everything).Tools {
		file := filepath.Join(dir, tool.Name+".json")
		delete(left, file)
		golden(t, file, append(indented(t, tool), '\n'))
	}
	for f := range left {
		if *update {
			if err := os.Remove(f); err != nil {
				t.Error(err)
			}
			continue
		}
		t.Errorf("%s is the file of no tool", f)
	}
}

// indented is a value as JSON with sorted keys.
func indented(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.MarshalIndent(asMap(t, v), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// golden holds what a file says.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Errorf("%v (make it with -update)", err)
		return
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-golden +got):\n%s", file, diff)
	}
}

// hintsOf are the hints that a tool states with yes.
func hintsOf(a *sdk.ToolAnnotations) string {
	var out []string
	for _, h := range []struct {
		is   bool
		name string
	}{{a.ReadOnlyHint, "reads"}, {*a.DestructiveHint, "overwrites"}, {a.IdempotentHint, "repeatable"}, {*a.OpenWorldHint, "reaches people"}} {
		if h.is {
			out = append(out, h.name)
		}
	}
	return fmt.Sprint(strings.Join(out, ", "))
}
