package definition

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/tools/txtar"

	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

var update = flag.Bool("update", false, "rewrite the expected messages in testdata")

func archive(t testing.TB, name string) []txtar.File {
	t.Helper()
	return txtar.Parse(readFile(t, name)).Files
}

func parse(t testing.TB, yaml string) *Document {
	t.Helper()
	d, err := ParseFile("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatalf("ParseFile() = %v", err)
	}
	return d
}

func TestExample(t *testing.T) {
	t.Parallel()
	d := parse(t, string(readFile(t, "testdata/onboarding.yaml")))
	var got []string
	for _, def := range d.Definitions {
		got = append(got, def.Kind+"."+def.Slug)
	}
	want := []string{"senders.hello", "layouts.plain", "segments.paying", "segments.vip", "campaigns.onboarding", "campaigns.thank_payers", "transactional.receipt"}
	if diff := cmp.Diff(want, got); diff != "" || d.Workspace != "acme" || d.Schema != 1 {
		t.Errorf("ParseFile() = %s %d, (-want +got):\n%s", d.Workspace, d.Schema, diff)
	}
	if diff := cmp.Diff(string(readFile(t, "testdata/onboarding.yaml")), string(readFile(t, "../../examples/onboarding.yaml"))); diff != "" {
		t.Errorf("examples/onboarding.yaml differs from testdata:\n%s", diff)
	}
}

// TestBadFiles: each file is refused at a place and field, with what was expected: its first line says how.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	a := txtar.Parse(readFile(t, "testdata/bad.txtar"))
	for i, f := range a.Files {
		want, yaml, _ := strings.Cut(string(f.Data), "\n")
		_, err := ParseFile(f.Name, []byte(yaml))
		var fe *FileError
		if !errors.As(err, &fe) || !fault.Is(err, fault.Invalid) {
			t.Errorf("ParseFile(%s) = %v, want a FileError of kind invalid", f.Name, err)
			continue
		}
		got := "# " + strings.TrimPrefix(err.Error(), f.Name+":")
		if *update {
			a.Files[i].Data = []byte(got + "\n" + yaml)
			continue
		}
		if got != want {
			t.Errorf("ParseFile(%s) = %s\nwant %s", f.Name, got, want)
		}
	}
	if *update {
		writeFile(t, "testdata/bad.txtar", txtar.Format(a))
	}
}

// TestSchemaAgrees holds the schema and the parsers to the same answer. What a schema cannot say is in bad-go.txtar.
func TestSchemaAgrees(t *testing.T) {
	t.Parallel()
	answer := func(t *testing.T, yaml []byte) (schema, parsers bool) {
		t.Helper()
		v, marks, err := readYAML(yaml)
		if err != nil {
			t.Fatal(err)
		}
		misfits, err := checkSchema(v)
		if err != nil {
			t.Fatal(err)
		}
		d := &Document{marks: marks, paths: map[string]string{}}
		return len(misfits) == 0, d.read(v) == nil
	}
	for _, f := range archive(t, "testdata/good.txtar") {
		if schema, parsers := answer(t, f.Data); !schema || !parsers {
			_, err := ParseFile(f.Name, f.Data)
			t.Errorf("%s: schema says %t, parsers %t, want both to accept it (%v)", f.Name, schema, parsers, err)
		}
	}
	for _, f := range archive(t, "testdata/bad.txtar") {
		if strings.HasPrefix(f.Name, "yaml-") {
			continue
		}
		schema, parsers := answer(t, f.Data)
		if parsers || schema != strings.HasPrefix(f.Name, "go-") {
			t.Errorf("%s: schema says %t, parsers %t", f.Name, schema, parsers)
		}
	}
}

func TestSchemaDescribesEverything(t *testing.T) {
	t.Parallel()
	if got := value.Value(mustParse(t, SchemaJSON)).Get("$id").Text(); got != SchemaID {
		t.Errorf("$id = %s, want %s", got, SchemaID)
	}
	v := mustParse(t, SchemaJSON)
	described := func(p value.Value) bool {
		if p.Get("description") != nil {
			return true
		}
		at := v
		for _, part := range strings.Split(strings.TrimPrefix(p.Get("$ref").Text(), "#/"), "/") {
			at = at.Get(part)
		}
		return at.Get("description") != nil
	}
	for name, def := range v.Get("$defs").Fields() {
		for k, p := range def.Get("properties").Fields() {
			if !described(p) && name != "whole" && name != "arm" {
				t.Errorf("%s.%s has no description for editors", name, k)
			}
		}
		if def.Get("type").Text() == "object" && def.Get("additionalProperties") == nil {
			t.Errorf("%s is open to unknown keys", name)
		}
	}
}

func mustParse(t testing.TB, data []byte) value.Value {
	t.Helper()
	v, err := value.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestLocate(t *testing.T) {
	t.Parallel()
	d := parse(t, `schema: 1
workspace: acme
campaigns:
  - id: c
    trigger: {event: go}
    filter: {segment: pying}
    workflow:
      - id: x
        exit: true
`)
	plan := Diff(nil, d, false)
	err := d.Locate(Check(nil, plan.Payload()))
	const want = "test.yaml:6:14: campaigns.c.filter.segment: there is no segment pying"
	if err == nil || err.Error() != want {
		t.Errorf("Locate() = %v, want %s", err, want)
	}
	other := fault.Field("segments.elsewhere.conditions", "wrong")
	if got := d.Locate(other); !cmp.Equal(got, error(other), cmpopts.EquateErrors()) {
		t.Errorf("Locate() of another definition = %v, want it unchanged", got)
	}
}

func writeFile(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
