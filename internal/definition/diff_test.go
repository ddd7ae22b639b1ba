package definition

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rapport.example/internal/value"
)

func names(list []Change) string {
	var out []string
	for _, c := range list {
		s := c.Kind + "." + c.Slug
		if len(c.Fields) > 0 {
			s += "(" + strings.Join(c.Fields, " ") + ")"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestDiff(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	example := string(readFile(t, "testdata/onboarding.yaml"))
	if p := g.apply(example, false); len(p.Add) != 7 || p.Same != 0 || p.Empty() {
		t.Errorf("first apply: %+v", p)
	}
	if p := g.apply(example, true); !p.Empty() || p.Same != 7 {
		t.Errorf("second apply: %+v, want no change", p)
	}
	edited := strings.NewReplacer("delay: 3d", "delay: 2d", "name: Receipt", "name: Quittung", "is: pro\n", "is: team\n").Replace(example)
	p := g.apply(edited, false)
	if got, want := names(p.Change), "campaigns.onboarding(filter.any workflow.wait_three_days.delay) transactional.receipt(name)"; got != want {
		t.Errorf("change = %s, want %s", got, want)
	}
	part := "schema: 1\nworkspace: acme\nsenders:\n  - {id: hello, email: hello@acme.example, name: Acme}\n"
	if p := g.apply(part, false); !p.Empty() {
		t.Errorf("a part in another order of keys: %+v, want no change", p)
	}
	p = g.apply(part, true)
	if got, want := names(p.Remove), "transactional.receipt campaigns.onboarding campaigns.thank_payers segments.paying segments.vip layouts.plain"; got != want {
		t.Errorf("remove = %s, want %s", got, want)
	}
	if p := g.apply(part, true); !p.Empty() {
		t.Errorf("second prune: %+v, want no change", p)
	}
}

// TestPruneKeepsWhatIsReferred: a file that leaves out a sender which its own campaign names is refused as a whole.
func TestPruneKeepsWhatIsReferred(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	example := string(readFile(t, "testdata/onboarding.yaml"))
	g.apply(example, false)
	from, to := strings.Index(example, "# Who mail comes from."), strings.Index(example, "# The HTML around")
	without := parse(t, example[:from]+example[to:])
	keep := Diff(g.rows, without, false)
	if err := Check(g.rows, keep.Payload()); err != nil || !keep.Empty() {
		t.Errorf("without prune: %v, %+v", err, keep)
	}
	plan := Diff(g.rows, without, true)
	const want = "campaigns.onboarding.workflow[0].email.from: there is no sender hello"
	if err := Check(g.rows, plan.Payload()); err == nil || err.Error() != want {
		t.Errorf("Check() = %v, want %s", err, want)
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	files := archive(t, "testdata/good.txtar")
	for _, f := range append(files, struct {
		Name string
		Data []byte
	}{"example", readFile(t, "testdata/onboarding.yaml")}) {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			g := newGround(t)
			d := parse(t, string(f.Data))
			p := Diff(nil, d, false)
			g.save(p.Payload())
			out, err := Export(d.Workspace, g.rows)
			if err != nil {
				t.Fatalf("Export() = %v", err)
			}
			back := parse(t, string(out))
			if p := Diff(g.rows, back, true); !p.Empty() || back.Workspace != d.Workspace {
				t.Errorf("applying the export changes %+v\n%s", p, out)
			}
			again, err := Export(d.Workspace, g.rows)
			if diff := cmp.Diff(string(out), string(again)); diff != "" || err != nil {
				t.Errorf("a second export differs: %v %s", err, diff)
			}
		})
	}
}

func TestExportReads(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.apply(string(readFile(t, "testdata/onboarding.yaml")), false)
	out, err := Export("acme", g.rows)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		writeFile(t, "testdata/export.yaml", out)
	}
	if diff := cmp.Diff(string(readFile(t, "testdata/export.yaml")), string(out)); diff != "" {
		t.Errorf("Export() (-want +got):\n%s", diff)
	}
}

// TestWriteYAML: any JSON object comes back as it was.
func TestWriteYAML(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ \t\n#:|>{}\[\],&*!%@'"\\a-c0-9-]{0,12}`),
		rapid.SampledFrom([]string{"", "true", "null", "~", "3d", "1e5", "0x10", "- a", "a: b", "a\nb", "a\n", "\na", " a\nb", "a\n\n b\n", "a \nb\n", "…", "2026-01-31", "{{ x }}", "\u0085", "a\r\nb"}))
	var doc func(depth int) *rapid.Generator[value.Value]
	doc = func(depth int) *rapid.Generator[value.Value] {
		return rapid.Custom(func(t *rapid.T) value.Value {
			switch k := rapid.IntRange(0, 6).Draw(t, "kind"); {
			case k == 0:
				return rapid.SampledFrom([]value.Value{value.NullValue, value.True, value.False}).Draw(t, "word")
			case k == 1:
				return rapid.SampledFrom([]value.Value{value.Value("0"), value.Value("-1.50"), value.Value("1e9"), value.Value("12345678901234567890123")}).Draw(t, "number")
			case k < 4 || depth == 0:
				return value.Quote(text.Draw(t, "text"))
			case k == 4:
				out := []byte{'['}
				for i, e := range rapid.SliceOfN(doc(depth-1), 0, 4).Draw(t, "list") {
					if i > 0 {
						out = append(out, ',')
					}
					out = append(out, e...)
				}
				return append(out, ']')
			default:
				var b value.Builder
				for _, name := range rapid.SliceOfNDistinct(text, 0, 4, rapid.ID[string]).Draw(t, "names") {
					b.Set(name, doc(depth-1).Draw(t, "member"))
				}
				return b.Value()
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		var b value.Builder
		v := b.Set("doc", doc(3).Draw(t, "doc")).Value()
		out, err := writeYAML(v)
		if err != nil {
			t.Fatalf("writeYAML(%s) = %v", v, err)
		}
		back, _, err := readYAML(out)
		if err != nil || !value.Equal(back, v) {
			t.Fatalf("writeYAML(%s) reads back as %s, %v:\n%s", v, back, err, out)
		}
	})
}

// FuzzParseFile: no file makes the reader panic or hang, and what it takes can be written and read again.
func FuzzParseFile(f *testing.F) {
	f.Add(readFile(f, "testdata/onboarding.yaml"))
	for _, name := range []string{"testdata/good.txtar", "testdata/bad.txtar"} {
		for _, file := range archive(f, name) {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParseFile("f", data)
		if err != nil {
			return
		}
		plan := Diff(nil, d, false)
		rows, err := preview(nil, plan.Payload())
		if err != nil {
			t.Fatalf("Apply() of a file that was read = %v", err)
		}
		if _, err := Export(d.Workspace, rows); err != nil {
			t.Fatalf("Export() = %v", err)
		}
	})
}
