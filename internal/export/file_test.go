package export

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/filter"
	"rapport.example/internal/job"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// tray takes parts and looks at what there is of a file in memory each time.
type tray struct {
	t     *testing.T
	file  *file
	parts int64
	most  int
}

func (k *tray) Save(context.Context, any) error { return nil }

func (k *tray) Add(_ context.Context, part int64, b []byte, progress any) error {
	k.t.Helper()
	p, ok := progress.(Progress)
	if part != k.parts || !ok || p.Parts != part+1 {
		k.t.Errorf("part %d with progress %+v, want part %d", part, progress, k.parts)
	}
	k.parts++
	k.most = max(k.most, len(b))
	if n := k.file.packed.Cap(); n > 4*job.PartSize {
		k.t.Errorf("%d bytes of the file are in memory", n)
	}
	if k.file.unpacked > maxUnpacked+1<<20 {
		k.t.Errorf("a part has %d bytes unpacked", k.file.unpacked)
	}
	return nil
}

// crowd is a snapshot of n people with documents that all have the same attributes.
type crowd struct {
	Snapshot
	n    int
	make func(i int) *person.Document
}

func (c crowd) People(_ context.Context, _ *filter.Filter, each func(*person.Document) error) error {
	for i := range c.n {
		if err := each(c.make(i)); err != nil {
			return err
		}
	}
	return nil
}

// TestBounded: however long a file is and whatever is in it, one part of it is in memory, and parts are of about one size.
func TestBounded(t *testing.T) {
	t.Parallel()
	r := rand.NewChaCha8([32]byte{})
	random := make([]byte, 2000)
	for name, c := range map[string]struct {
		people int
		text   func() string
		parts  int64 // at least
	}{
		"packs badly": {4000, func() string { _, _ = r.Read(random); return hex.EncodeToString(random) }, 7},
		"packs well":  {4000, func() string { return strings.Repeat("x", 10_000) }, 3},
		"short":       {50, func() string { return "x" }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			k := &tray{t: t}
			k.file = &file{task: k}
			s := crowd{n: c.people, make: func(i int) *person.Document {
				return &person.Document{ID: fmt.Sprint(i), Attributes: []person.Attribute{{Name: "text", Value: value.Quote(c.text())}}}
			}}
			if err := writePeople(t.Context(), s, &Spec{Format: CSV}, k.file); err != nil {
				t.Fatal(err)
			}
			if k.parts < c.parts || k.parts > 4*c.parts || k.most > job.PartSize+128<<10 {
				t.Errorf("%d parts of %d bytes at most, want about %d", k.parts, k.most, c.parts)
			}
			if p := k.file.done; p.Rows != int64(c.people) || p.Total != p.Rows {
				t.Errorf("progress at the end: %+v, want %d rows", p, c.people)
			}
		})
	}
}

// TestColumns: with more names than columns nothing is lost, and few names are held.
func TestColumns(t *testing.T) {
	t.Parallel()
	c := newColumns(3)
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(1000) {
		c.add(fmt.Sprintf("%03d", i))
		if len(c.names) >= 6 {
			t.Fatalf("%d names are held", len(c.names))
		}
	}
	if diff := cmp.Diff([]string{"000", "001", "002"}, c.sorted()); diff != "" || !c.more {
		t.Errorf("columns, more %v (-want +got):\n%s", c.more, diff)
	}
	d := &person.Document{ID: "1"}
	for _, name := range []string{"a", "b", "created_at", "z"} {
		d.Attributes = append(d.Attributes, person.Attribute{Name: name, Value: value.Quote("=" + name)})
	}
	cells := make([]string, len(fixed)+2)
	fill(cells, map[string]int{"created_at": 3, "b": 6}, d)
	if diff := cmp.Diff([]string{"1", "", "", "=created_at", "0", "false", "=b", `{"a":"=a","z":"=z"}`}, cells); diff != "" {
		t.Errorf("cells (-want +got):\n%s", diff)
	}
}
