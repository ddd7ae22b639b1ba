package filter_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"rapport.example/internal/fault"
	"rapport.example/internal/filter"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

var update = flag.Bool("update", false, "rewrite the archives in testdata")

func parse(tb testing.TB, text string) value.Value {
	tb.Helper()
	v, err := value.Parse([]byte(text))
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return v
}

// TestErrors holds what is said of filters that are refused, and that the JSON path of what is wrong leads it.
func TestErrors(t *testing.T) {
	t.Parallel()
	const file = "testdata/errors.txtar"
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := &txtar.Archive{Comment: a.Comment}
	for _, f := range a.Files {
		text, _, _ := strings.Cut(string(f.Data), "\n# ")
		text = strings.TrimSpace(text)
		read := filter.People
		if strings.HasPrefix(f.Name, "objects") {
			read = filter.Objects
		}
		_, err := read(parse(t, text), "filter")
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: error %v, want one of kind invalid", f.Name, err)
			continue
		}
		got.Files = append(got.Files, txtar.File{Name: f.Name, Data: fmt.Appendf(nil, "%s\n# %v\n", text, err)})
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(txtar.Format(a)), string(txtar.Format(got))); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	const leaf = `{"segment":{"id":1}}`
	nested := func(n int) string {
		return strings.Repeat(`{"not":`, n) + leaf + strings.Repeat(`}`, n)
	}
	leaves := func(n int) string {
		return `{"or":[` + strings.Repeat(leaf+",", n-1) + leaf + `]}`
	}
	field := func(n int) string {
		return `{"attribute":{"field":"` + strings.Repeat("f", n) + `","operator":"eq","value":"x"}}`
	}
	val := func(n int) string {
		return `{"attribute":{"field":"f","operator":"eq","value":"` + strings.Repeat("x", n-2) + `"}}`
	}
	for text, want := range map[string]string{
		nested(filter.MaxDepth): "", leaves(filter.MaxLeaves): "", field(filter.MaxField): "", val(filter.MaxValue): "",
		nested(filter.MaxDepth + 1):   "is nested deeper than 32 levels",
		leaves(filter.MaxLeaves + 1):  "filter.or[100].segment: is one too many",
		field(filter.MaxField + 1):    "filter.attribute.field: must be",
		val(filter.MaxValue + 1):      "filter.attribute.value: is longer than",
		`{"not":` + leaves(101) + `}`: "filter.not.or[100].segment: is one too many",
	} {
		_, err := filter.People(parse(t, text), "filter")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("People(%.60s…) = %v, want %q", text, err, want)
		}
	}
}

// TestMatch holds filters against one person.
func TestMatch(t *testing.T) {
	t.Parallel()
	ada := &person.Document{
		CIO: "aaaaaaaaaaaaaaaa", ID: "1", Email: "Ada@Example.com", Phone: "+15550100123", Unsubscribed: true,
		Segments: []person.Membership{{Segment: 4}},
	}
	for name, v := range map[string]string{
		"plan": `"pro"`, "age": `36`, "size": `"36.0"`, "beta": `true`, "tags": `["a","b"]`, "address": `{"city":"Oslo"}`, "a.b": `"dotted"`, "nothing": `null`,
	} {
		ada.Attributes = append(ada.Attributes, person.Attribute{Name: name, Value: parse(t, v)})
	}
	eq := func(field, v string) string {
		return `{"attribute":{"field":"` + field + `","operator":"eq","value":` + v + `}}`
	}
	exists := func(field string) string {
		return `{"attribute":{"field":"` + field + `","operator":"exists"}}`
	}
	for text, want := range map[string]bool{
		eq("plan", `"pro"`): true, eq("plan", `"Pro"`): false, eq("other", `"pro"`): false,
		eq("age", `36`): true, eq("age", `"36"`): true, eq("age", `"36.0"`): true, eq("age", `37`): false, eq("size", `36`): true, eq("size", `"36"`): false,
		eq("beta", `true`): true, eq("beta", `"true"`): true, eq("beta", `false`): false,
		eq("tags", `"b"`): true, eq("tags", `"c"`): false, eq("address.city", `"Oslo"`): true, eq("a.b", `"dotted"`): true, eq("address", `"Oslo"`): false,
		eq("id", `"1"`): true, eq("id", `1`): true, eq("id", `"01"`): false, eq("id", `1.0`): false,
		eq("email", `" ada@example.COM "`): true, eq("email", `"ada"`): false, eq("phone", `"+15550100123"`): true,
		eq("cio_id", `"aaaaaaaaaaaaaaaa"`): true, eq("cio_id", `"cio_aaaaaaaaaaaaaaaa"`): true, eq("cio_id", `"b"`): false,
		eq("unsubscribed", `"true"`): true, eq("unsubscribed", `false`): false,
		exists("plan"): true, exists("nothing"): false, exists("other"): false, exists("address.city"): true, exists("address.zip"): false, exists("email"): true,
		`{"segment":{"id":4}}`: true, `{"segment":{"id":"4"}}`: true, `{"segment":{"id":5}}`: false,
		`{"id":4}`: true, `{"field":"plan","operator":"eq","value":"pro"}`: true, `{"value":"","operator":"exists","field":"plan"}`: true,
		`{"field":"plan","operator":"exists","value":"true"}`:   true,
		`{"and":[` + exists("plan") + `,{"segment":{"id":5}}]}`: false, `{"or":[{"segment":{"id":5}},` + exists("plan") + `]}`: true,
		`{"not":{"and":[{"id":4},{"id":5}]}}`: true, `{"not":{"or":[{"id":4},{"id":5}]}}`: false,
	} {
		f, err := filter.People(parse(t, text), "filter")
		if err != nil {
			t.Errorf("People(%s): %v", text, err)
			continue
		}
		if got := f.Match(filter.Person{Document: ada}); got != want {
			t.Errorf("Match(%s) = %v, want %v", text, got, want)
		}
		again, err := filter.People(f.JSON(), "filter")
		if err != nil || !value.Equal(again.JSON(), f.JSON()) {
			t.Errorf("People(%s) = %s, %v, want the same filter again", f.JSON(), again.JSON(), err)
		}
	}
	if !(*filter.Filter)(nil).Match(filter.Person{Document: ada}) {
		t.Error("no filter leaves somebody out")
	}
}
