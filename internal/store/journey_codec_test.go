package store_test

import (
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/journey"
	"rapport.example/internal/store"
	"rapport.example/internal/value"
)

func sampleJourney() journey.Journey {
	return journey.Journey{Status: journey.Waiting, Node: "wait", Due: 1_700_000_000_000, Entered: -1, Visits: []journey.Visit{{Node: "a", Times: 1}, {Node: "b", Times: 300}}, Event: value.Value(`{"name":"x"}`)}
}

func TestJourneyCodec(t *testing.T) {
	t.Parallel()
	for want, j := range map[string]journey.Journey{
		"01020477616974" + "80a0abfef962" + "01" + "02" + "016102" + "0162d804" + "0c7b226e616d65223a2278227d": sampleJourney(),
		"0101000000" + "00" + "00": {Status: journey.Retrying},
	} {
		data := store.EncodeJourney(j)
		if got := hex.EncodeToString(data); got != want {
			t.Errorf("encoding = %s, want %s", got, want)
		}
		var got journey.Journey
		if err := store.DecodeJourney(&got, data); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(j, got); diff != "" {
			t.Errorf("journey (-want +got):\n%s", diff)
		}
		for n := range data {
			if err := store.DecodeJourney(new(journey.Journey), data[:n]); err == nil {
				t.Errorf("the first %d bytes were accepted", n)
			}
		}
	}
}

func FuzzDecodeJourney(f *testing.F) {
	f.Add(store.EncodeJourney(sampleJourney()))
	f.Add([]byte{1, 1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var j, again journey.Journey
		if store.DecodeJourney(&j, data) != nil {
			return
		}
		if err := store.DecodeJourney(&again, store.EncodeJourney(j)); err != nil {
			t.Fatalf("decode again: %v", err)
		}
		if diff := cmp.Diff(j, again); diff != "" {
			t.Fatalf("decoded again (-want +got):\n%s", diff)
		}
	})
}
