package segment

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

// FuzzParse feeds Parse strangers' JSON. What it takes must come back from its canonical form as the same condition, and
// be usable; what it refuses must be a fault of kind invalid.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/conditions/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(files, "testdata/errors.txtar") {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			for line := range strings.Lines(string(file.Data)) {
				f.Add([]byte(strings.TrimPrefix(line, "condition ")))
			}
		}
	}
	for _, s := range []string{`{"attribute":"é","is":["",1e400,-0]}`, `{"not":[{"attribute":"t","before":"-1.5"}]}`, `{"attribute":"n","greater":"-.5e-7"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		doc, err := value.Parse(raw)
		if err != nil {
			return
		}
		n, err := Parse(doc, "conditions")
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("Parse(%s) = %v, want a fault of kind invalid", doc, err)
			}
			return
		}
		n = mustResolve(t, n)
		checkAgain(t, n)
		b := newBody(epoch)
		b.properties, b.attributes["t"], b.attributes["é"] = doc, doc, value.Quote(string(raw))
		specs := specsOf(n)
		for i := range int64(3) {
			for _, s := range specs {
				b.observe(specs, event.Activity{Type: s.Type, Name: s.Name, At: epoch + i, Data: doc})
			}
			r := n.Eval(b, epoch+i)
			lines := n.Explain(b, epoch+i)
			if r.Next != 0 && r.Next <= epoch+i || lines[0].Match != r.Match || lines[0].Next != r.Next {
				t.Fatalf("Eval(%s) = %v, explained as %v", n.Canonical(), r, lines[0])
			}
		}
		n.Mentions()
	})
}

// FuzzRead holds the readers that do not allocate to those of package value.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		`1`, `-1.5e3`, `"12"`, `" 7\t"`, `"0x10"`, `"1_000"`, `"Inf"`, `1e400`, `"-1e400"`, `"tRue"`, `"falſe"`, `false`, `1700000000.123`,
		`"2026-01-02"`, `"2026-01-02T03:04:05Z"`, `"2026-01-02T03:04:05.999999999"`, `"2026-01-02 03:04:05.5"`, `"2026-01-02T03:04:05+14:00"`, `"2026-02-30"`, `253402300799.9996`, `-62135596801`, `"2026-01-02T03:04:05-0700"`, `"\u0000"`, `"0000-01-01"`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := value.Parse(raw)
		if err != nil {
			return
		}
		wantNumber, wantOK := v.Number()
		if n, ok := readNumber(v); ok != wantOK || n.f != wantNumber {
			t.Errorf("readNumber(%s) = %v, %v, want %v, %v", v, n.f, ok, wantNumber, wantOK)
		}
		wantBool, wantOK := v.Bool()
		if b, ok := readBool(v); ok != wantOK || b != wantBool {
			t.Errorf("readBool(%s) = %v, %v, want %v, %v", v, b, ok, wantBool, wantOK)
		}
		wantTime, wantOK := v.Time()
		if ms, ok := readTime(v); ok != wantOK || ok && (ms-wantTime.UnixMilli() > 1 || wantTime.UnixMilli()-ms > 1) {
			t.Errorf("readTime(%s) = %d, %v, want %d, %v", v, ms, ok, wantTime.UnixMilli(), wantOK)
		}
	})
}
