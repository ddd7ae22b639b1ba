package filter_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rapport.example/internal/fault"
	"rapport.example/internal/filter"
	"rapport.example/internal/value"
)

// subject is a small world: attributes hold text, and segments are a bit set.
type subject struct {
	attributes map[string]string
	segments   int
}

func (s subject) Attribute(path string) value.Value {
	v, ok := s.attributes[path]
	if !ok {
		return nil
	}
	return value.Quote(v)
}

func (s subject) Member(segment int64) bool { return s.segments&(1<<segment) != 0 }

// draw makes a random filter as text, with what it means.
func draw(t *rapid.T, depth int) (text string, holds func(subject) bool) {
	field, word := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "field"), rapid.SampledFrom([]string{"x", "y"}).Draw(t, "value")
	bare := rapid.Bool().Draw(t, "bare")
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if depth == 0 {
		kind %= 3
	}
	leaf := func(name, body string) string {
		if bare {
			return body
		}
		return `{"` + name + `":` + body + `}`
	}
	switch kind {
	case 0:
		n := rapid.Int64Range(1, 3).Draw(t, "segment")
		return leaf("segment", fmt.Sprintf(`{"id":%d}`, n)), func(s subject) bool { return s.Member(n) }
	case 1:
		return leaf("attribute", `{"field":"`+field+`","operator":"eq","value":"`+word+`"}`), func(s subject) bool { return s.attributes[field] == word }
	case 2:
		return leaf("attribute", `{"field":"`+field+`","operator":"exists"}`), func(s subject) bool { return s.attributes[field] != "" }
	case 3:
		text, holds := draw(t, depth-1)
		return `{"not":` + text + `}`, func(s subject) bool { return !holds(s) }
	}
	var parts []string
	var all []func(subject) bool
	for range rapid.IntRange(1, 3).Draw(t, "parts") {
		text, holds := draw(t, depth-1)
		parts, all = append(parts, text), append(all, holds)
	}
	count := func(s subject) (n int) {
		for _, h := range all {
			if h(s) {
				n++
			}
		}
		return n
	}
	if kind == 4 {
		return `{"and":[` + strings.Join(parts, ",") + `]}`, func(s subject) bool { return count(s) == len(all) }
	}
	return `{"or":[` + strings.Join(parts, ",") + `]}`, func(s subject) bool { return count(s) > 0 }
}

// TestMatchAgainstMeaning holds random filters to what they mean for every subject of the small world.
func TestMatchAgainstMeaning(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text, holds := draw(t, 3)
		f, err := filter.People(value.Value(text), "")
		if err != nil {
			t.Fatalf("People(%s): %v", text, err)
		}
		again, err := filter.People(f.JSON(), "")
		if err != nil || !value.Equal(again.JSON(), f.JSON()) {
			t.Fatalf("%s comes back as %s, %v", f.JSON(), again.JSON(), err)
		}
		words := []string{"", "x", "y"}
		for i := range 27 * 8 {
			s := subject{map[string]string{}, i / 27 * 2}
			for j, name := range []string{"a", "b", "c"} {
				if w := words[i/[]int{1, 3, 9}[j]%3]; w != "" {
					s.attributes[name] = w
				}
			}
			if got, want := f.Match(s), holds(s); got != want {
				t.Fatalf("Match(%s) of %v = %v, want %v", text, s, got, want)
			}
		}
	})
}

// FuzzParse feeds strangers' JSON. What is taken comes back from its JSON as the same filter; what is refused is an Invalid
// fault of a field.
func FuzzParse(f *testing.F) {
	b, err := os.ReadFile("testdata/errors.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f.Add([]byte(line))
	}
	for _, s := range []string{
		`{"and":[{"not":{"id":"7"}},{"or":[{"segment":{"id":7}},{"field":"a.b","operator":"eq","value":-0}]}]}`,
		`{"attribute":{"field":"é","operator":"eq","value":1e400}}`, `{"object_attribute":{"field":"name","operator":"eq","value":true,"type_id":"1"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		doc, err := value.Parse(raw)
		if err != nil {
			return
		}
		for i, read := range []func(value.Value, string) (*filter.Filter, error){filter.People, filter.Objects} {
			got, err := read(doc, "filter")
			if err != nil {
				if !fault.Is(err, fault.Invalid) || !strings.HasPrefix(err.Error(), "filter") {
					t.Errorf("%s: error %v, want an invalid field", doc, err)
				}
				continue
			}
			if n := len(got.Leaves()); n < 1 || n > filter.MaxLeaves {
				t.Errorf("%s has %d leaves", doc, n)
			}
			got.Match(subject{map[string]string{"a": strconv.Itoa(i)}, i})
			again, err := read(got.JSON(), "filter")
			if err != nil || !value.Equal(again.JSON(), got.JSON()) {
				t.Errorf("%s comes back as %s, %v", got.JSON(), again.JSON(), err)
			}
		}
	})
}
