package person

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rapport.example/internal/value"
)

// TestView holds the skipping reader to what the decoded document says.
func TestView(t *testing.T) {
	t.Parallel()
	var v View
	for _, d := range []*Document{sample(), {Ref: Ref{1, 1}}, {Ref: Ref{1, 2}, CIO: "x", Due: -1, Created: 5, FirstEvent: 4}, sample()} {
		if err := v.Reset(d.Ref, d.Encode(nil)); err != nil {
			t.Fatalf("Reset: %v", err)
		}
		for _, name := range []string{
			"id", "email", "cio_id", "anonymous_id", "phone", "unsubscribed", "_created_in_customerio_at", "plan", "score", "gone", "address",
			"address.city", "nothing", "",
		} {
			if diff := cmp.Diff(d.Get(name), v.Get(name)); diff != "" {
				t.Errorf("Get(%s) (-decoded +view):\n%s", name, diff)
			}
		}
		for _, key := range []uint64{1<<63 + 5, 7, 8, 9} {
			if diff := cmp.Diff(d.Fact(key), v.Fact(key)); diff != "" {
				t.Errorf("Fact(%d) (-decoded +view):\n%s", key, diff)
			}
		}
		for _, id := range []int64{0, 1, 9} {
			since, in := d.Member(id)
			if got, ok := v.Member(id); got != since || ok != in {
				t.Errorf("Member(%d) = %d, %v, want %d, %v", id, got, ok, since, in)
			}
		}
		devices := slices.Clone(d.Devices)
		for i := range devices {
			devices[i].Token = ""
		}
		if diff := cmp.Diff(devices, v.Devices()); diff != "" {
			t.Errorf("Devices (-decoded without tokens +view):\n%s", diff)
		}
		if v.Gen() != d.Gen || v.Due() != d.Due || v.Since() != d.Since() || v.Ordinal() != d.Ordinal {
			t.Errorf("view of %d: generation %d, due %d, since %d", v.Ordinal(), v.Gen(), v.Due(), v.Since())
		}
		for _, n := range append(d.Named, Named{Name: "\x01other"}) {
			if got := v.Head(n.Name); got != n.Seq {
				t.Errorf("Head(%q) = %d, want %d", n.Name, got, n.Seq)
			}
		}
		back, err := v.Document()
		if err != nil {
			t.Fatalf("Document: %v", err)
		}
		if diff := cmp.Diff(d, back); diff != "" {
			t.Errorf("document (-want +got):\n%s", diff)
		}
	}
}

// TestViewOfDamage: whatever is cut off, the view says so or answers, and never panics.
func TestViewOfDamage(t *testing.T) {
	t.Parallel()
	whole := sample().Encode(nil)
	var v View
	for n := range whole {
		if err := v.Reset(Ref{1, 1}, whole[:n]); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if err := v.Reset(Ref{1, 1}, append([]byte{200}, whole[1:]...)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a newer version: %v, want ErrCorrupt", err)
	}
}

// TestPass passes numbers as skip does, also past the end and over numbers that are too long.
func TestPass(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0x7f, 0x80, 0xff}), 0, 40).Draw(t, "data")
		n := rapid.IntRange(0, 20).Draw(t, "n")
		one, all := reader{data: data}, reader{data: data}
		for range n {
			one.skip()
		}
		all.pass(n)
		if one.at != all.at || one.bad != all.bad {
			t.Fatalf("pass ends at %d, bad %v; skip at %d, %v", all.at, all.bad, one.at, one.bad)
		}
	})
}

// BenchmarkView reads two facts and an attribute of a document with ten attributes, six chains and five facts.
func BenchmarkView(b *testing.B) {
	d := &Document{Ref: Ref{1, 1}, CIO: "c1", ID: "u1", Created: 1_700_000_000_000, LastActivity: 1 << 24}
	for i := range 10 {
		d.Attributes = append(d.Attributes, Attribute{Name: fmt.Sprint("attribute", i), Value: value.Quote(fmt.Sprint("value ", i)), At: 1_700_000_000})
	}
	for i := range 6 {
		d.Named = append(d.Named, Named{Name: fmt.Sprint("\x01event", i), Seq: 1<<24 + int64(i)})
	}
	for i := range 5 {
		f := Fact{Key: uint64(i) << 50, Count: 9}
		for k := range 9 {
			f.Newest = append(f.Newest, 1_700_000_000_000-int64(k)*10_000_000)
		}
		d.Facts = append(d.Facts, f)
	}
	data := d.Encode(nil)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	var v View
	for b.Loop() {
		if err := v.Reset(d.Ref, data); err != nil {
			b.Fatal(err)
		}
		if v.Fact(3<<50).Count+v.Fact(4<<50).Count != 18 || len(v.Get("attribute5")) == 0 {
			b.Fatal("not what was written")
		}
	}
}
