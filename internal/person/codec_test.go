package person

import (
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/value"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func sample() *Document {
	return &Document{
		Ref: Ref{Workspace: 3, Ordinal: 70_000},
		CIO: "abcdefghij234567", ID: "u/7", Email: "Ada@example.com",
		Created: 1_700_000_000_123, FirstEvent: 1_600_000_000_000, Unsubscribed: true,
		Attributes: []Attribute{
			{"plan", value.Value(`"pro"`), 1_700_000_000},
			{"score", value.Value(`1e400000`), 1_700_000_001},
			{"gone", nil, 0},
			{"address", value.Value(`{"city":"Köln","zip":[1,null]}`), -5},
		},
		Devices:  []Device{{"tok", "ios", 1_700_000_002, value.Value(`{"a":true}`)}, {Token: "t2", Platform: "android"}},
		Segments: []Membership{{1, 1_700_000_000_000}, {9, 0}},
		Facts: []Fact{
			{Key: 1<<63 + 5, First: 1_600_000_000_000, Count: 3, Newest: []int64{1_700_000_000_000, 1_690_000_000_000}},
			{Key: 7, First: -4, Count: 1, Newest: []int64{-4}},
			{Key: 8, First: 5, Count: 40},
		},
		Entries:      []Entry{{4, 1_700_000_000_000, 2}},
		LastActivity: 900, LastDecision: 31,
		Named: []Named{{"\x01signed_up", 880}, {"\x02/home", 900}},
		Gen:   12, Due: 1_800_000_000_000,
		Phone: "+4915112345678", UnsubscribedAt: 1_700_000_003,
		Anonymous: []Dated{{"anon-1", 1_700_000_000_500}, {"anon/2", 0}},
		Removed:   []Dated{{"old", 1_700_000_004}},
	}
}

// first is the sample as version 1 could hold it.
func first() *Document {
	d := sample()
	d.Phone, d.UnsubscribedAt, d.Anonymous, d.Removed = "", 0, nil, nil
	return d
}

func TestCodecRoundTrip(t *testing.T) {
	t.Parallel()
	for _, want := range []*Document{sample(), {Ref: Ref{1, 1}}, {Ref: Ref{1, 2}, CIO: "x", Due: -1}} {
		got, err := Decode(want.Ref, want.Encode([]byte("prefix"))[len("prefix"):])
		if err != nil {
			t.Fatalf("Decode: %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("document (-want +got):\n%s", diff)
		}
	}
}

// TestCodecGolden makes a change of the stored format a visible diff.
func TestCodecGolden(t *testing.T) {
	t.Parallel()
	name := filepath.Join("testdata", "document-2.hex")
	got := hex.EncodeToString(sample().Encode(nil)) + "\n"
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("encoding (-want +got):\n%s", diff)
	}
	for name, doc := range map[string]*Document{"document-1.hex": first(), "document-2.hex": sample()} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		d, err := Decode(doc.Ref, raw)
		if err != nil {
			t.Fatalf("Decode of %s: %v", name, err)
		}
		if diff := cmp.Diff(doc, d); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDecodeDamaged(t *testing.T) {
	t.Parallel()
	good := sample().Encode(nil)
	for n := range good {
		if _, err := Decode(Ref{1, 1}, good[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("Decode of the first %d bytes = %v, want ErrCorrupt", n, err)
		}
	}
	for name, data := range map[string][]byte{
		"newer version": append([]byte{3}, good[1:]...),
		"trailing byte": append(good[:len(good):len(good)], 0),
		"huge count":    append([]byte{1, 0, 0, 0, 0, 0, 0}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1),
		"huge string":   {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"long varint":   {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
	} {
		if _, err := Decode(Ref{1, 1}, data); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: Decode = %v, want ErrCorrupt", name, err)
		}
	}
}

// TestDecodeAppendKeepsNeighbours guards the shared room that newest times are cut from.
func TestDecodeAppendKeepsNeighbours(t *testing.T) {
	t.Parallel()
	d, err := Decode(sample().Ref, sample().Encode(nil))
	if err != nil {
		t.Fatal(err)
	}
	d.Facts[0].Newest = append(d.Facts[0].Newest, 42)
	d.Attributes[0].Value = append(d.Attributes[0].Value, 'x')
	if diff := cmp.Diff(sample().Facts[1], d.Facts[1]); diff != "" {
		t.Errorf("neighbour (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(sample().Attributes[1:], d.Attributes[1:]); diff != "" {
		t.Errorf("neighbours (-want +got):\n%s", diff)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(sample().Encode(nil))
	f.Add((&Document{}).Encode(nil))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		ref := Ref{1, 1}
		d, err := Decode(ref, data)
		if err != nil {
			return
		}
		again, err := Decode(ref, d.Encode(nil))
		if err != nil {
			t.Fatalf("Decode of what Encode wrote: %v", err)
		}
		if diff := cmp.Diff(d, again); diff != "" {
			t.Fatalf("decoded again (-want +got):\n%s", diff)
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	d := sample()
	data := d.Encode(nil)
	b.Run("op=encode", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 2*len(data))
		for b.Loop() {
			buf = d.Encode(buf[:0])
		}
	})
	b.Run("op=decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Decode(d.Ref, data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
