package ingest

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/value"
)

var update = flag.Bool("update", false, "rewrite golden files")

func sample() Frame {
	return Frame{ID: "01JZZZZZZZZZZZZZZZZZZZZZZZ", Ops: []Op{
		{Version: 1, Workspace: 7, Received: 1_700_000_000_123, ID: "01JAAAAAAAAAAAAAAAAAAAAAAA", Surface: FromTrack, Credential: 3, Request: "req-1", Kind: Identify, Payload: value.Value(`{"by":{"id":"1"}}`)},
		{Version: 1, Workspace: 1 << 40, Received: 1, ID: "01JBBBBBBBBBBBBBBBBBBBBBBB", Surface: FromApp, Kind: Send, Payload: value.Value(`{}`)},
	}}
}

// keyedSample has an op with an Idempotency-Key, too.
func keyedSample() Frame {
	f := sample()
	f.Ops = append(f.Ops, Op{
		Version: KeyedVersion, Workspace: 9, Received: 5, ID: "01JCCCCCCCCCCCCCCCCCCCCCCC", Surface: FromTrack, Kind: Event, Payload: value.Value(`{"name":"e"}`),
		Once: &Once{Hash: [16]byte{1, 15: 2}, Print: [16]byte{3, 15: 4}, Nonce: [8]byte{5, 7: 6}},
	})
	return f
}

// TestFrameGolden keeps the stored form fixed: a change of it is a change of docs/formats.md and of the version.
func TestFrameGolden(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]Frame{"frame-1.bin": sample(), "frame-1-keyed.bin": keyedSample()} {
		got, err := EncodeFrame(nil, &f)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: EncodeFrame (-golden +got):\n%s", name, diff)
		}
		back, err := DecodeFrame(want)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(f, back); diff != "" {
			t.Errorf("%s: DecodeFrame (-want +got):\n%s", name, diff)
		}
	}
}

// TestFrameDamage flips every byte in turn: each damage is noticed.
func TestFrameDamage(t *testing.T) {
	t.Parallel()
	f := keyedSample()
	data, err := EncodeFrame(nil, &f)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		bad := append([]byte(nil), data...)
		bad[i] ^= 0x40
		if _, err := DecodeFrame(bad); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
			t.Errorf("byte %d flipped: DecodeFrame = %v", i, err)
		}
		if _, err := DecodeFrame(data[:i]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut at %d: DecodeFrame = %v", i, err)
		}
	}
}

func TestNewerOp(t *testing.T) {
	t.Parallel()
	f := sample()
	f.Ops[1].Version = KeyedVersion + 1
	data, err := EncodeFrame(nil, &f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeFrame(data); !errors.Is(err, ErrNewer) {
		t.Errorf("DecodeFrame of a newer op = %v, want ErrNewer", err)
	}
}

// TestReadersAgree holds the hot path's readers to the general ones.
func TestReadersAgree(t *testing.T) {
	t.Parallel()
	want := IdentifyPayload{By: By{Email: "a@example.com"}, Attributes: value.Value(`{"plan":"pro","n":[1,{"x":null}]}`), UpdateOnly: true, Timestamp: 12}
	v, err := Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, ReadIdentify(v)); diff != "" {
		t.Errorf("ReadIdentify (-want +got):\n%s", diff)
	}
	ev := EventPayload{By: By{ID: "é\"1"}, Type: 2, Name: "p", ID: "x", Timestamp: 5, Data: value.Value(`{"a":"b"}`)}
	if v, err = Encode(ev); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ev, ReadEvent(v)); diff != "" {
		t.Errorf("ReadEvent (-want +got):\n%s", diff)
	}
	back, err := Decode[EventPayload](&Op{Payload: v})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ev, back); diff != "" {
		t.Errorf("Decode (-want +got):\n%s", diff)
	}
}

func FuzzDecodeFrame(f *testing.F) {
	s := sample()
	data, err := EncodeFrame(nil, &s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("RPTF"))
	f.Fuzz(func(t *testing.T, data []byte) {
		fr, err := DecodeFrame(data)
		if err != nil {
			return
		}
		again, err := EncodeFrame(nil, &fr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeFrame(again); err != nil {
			t.Fatalf("own frame: %v", err)
		}
	})
}
