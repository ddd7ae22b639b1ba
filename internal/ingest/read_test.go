package ingest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/value"
)

// FuzzRead reads payloads of any JSON as the hot path does: where a payload is one of ours, it reads what Decode reads.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		`{"by":{"id":"5"},"attributes":{"a":1},"update_only":true,"only":"new","timestamp":1767312000}`, `{"by":{"email":"a@b.c"},"type":2,"name":"x","id":"01H","data":{}}`,
		`{"anonymous_id":"a","type":1,"name":"\u00e9"}`, `{"by":7,"timestamp":1e400000}`, `[]`, `null`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := value.Parse(raw)
		if err != nil {
			return
		}
		identify, event := ReadIdentify(v), ReadEvent(v)
		if b, err := Encode(identify); err == nil {
			if want, err := Decode[IdentifyPayload](&Op{Payload: b}); err != nil || !cmp.Equal(want, ReadIdentify(b)) {
				t.Fatalf("identify %s: %v", b, cmp.Diff(want, ReadIdentify(b)))
			}
		}
		if b, err := Encode(event); err == nil {
			if want, err := Decode[EventPayload](&Op{Payload: b}); err != nil || !cmp.Equal(want, ReadEvent(b)) {
				t.Fatalf("event %s: %v", b, cmp.Diff(want, ReadEvent(b)))
			}
		}
	})
}
