package engine_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/delivery"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestDeviceSegments holds that segments of devices follow whatever changes one: its attributes, the time, a push's fate, a new owner,
// a merge and its removal.
func TestDeviceSegments(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(`schema: 1
workspace: devices
segments:
  - {id: ios, conditions: {device: true, where: {property: platform, is: ios}}}
  - {id: bare, conditions: {device: false}}
  - {id: fresh, conditions: {device: true, where: {property: last_used, after: 2h ago}}}
  - {id: bounced, conditions: {device: true, where: {property: status, is: bounced}}}
`)
		want := func(what string, segments map[string][]string) {
			t.Helper()
			for slug, people := range segments {
				if diff := cmp.Diff(people, w.in(slug)); diff != "" {
					t.Errorf("%s: %s (-want +got):\n%s", what, slug, diff)
				}
			}
		}
		device := func(kind ingest.Kind, by, platform string) {
			t.Helper()
			w.do(w.op(kind, ingest.DevicePayload{By: ingest.By{ID: by}, Token: "t1", Platform: platform}))
		}
		m := newMail(w, "a")
		want("nobody has one", map[string][]string{"ios": nil, "bare": {"a"}})
		device(ingest.AddDevice, "a", "ios")
		want("a device was added", map[string][]string{"ios": {"a"}, "bare": nil, "fresh": {"a"}})
		w.do(m.outcome(m.claimed(), delivery.Sent, ""), w.op(ingest.Metric, ingest.MetricPayload{Public: m.public, Metric: "bounced", Device: "t1"}))
		want("a push has bounced", map[string][]string{"bounced": {"a"}})
		w.advance(2 * time.Hour)
		want("two hours later", map[string][]string{"fresh": nil, "ios": {"a"}})
		device(ingest.AddDevice, "b", "ios")
		want("another person has it", map[string][]string{"ios": {"b"}, "bare": {"a"}, "fresh": {"b"}, "bounced": nil})
		device(ingest.AddDevice, "b", "android")
		want("it is another platform", map[string][]string{"ios": nil, "bare": {"a"}})
		w.do(w.op(ingest.Merge, ingest.MergePayload{Primary: ingest.By{ID: "a"}, Secondary: ingest.By{ID: "b"}}))
		want("merged", map[string][]string{"bare": nil, "fresh": {"a"}})
		device(ingest.DeleteDevice, "a", "")
		want("it is gone", map[string][]string{"bare": {"a"}, "fresh": nil})
	})
}
