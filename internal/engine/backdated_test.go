package engine_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/app"
	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/message"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

const offers = `schema: 1
workspace: w
segments:
  - id: viewers
    name: Viewers
    conditions: {event: viewed}
campaigns:
  - id: offer
    name: Offer
    state: running
    trigger: {event: viewed}
    frequency: every_time
    workflow:
      - id: mail
        email: {from: a@acme.example, reply_to: b@acme.example, to: "{{ customer.email }}", subject: s, body: "{{ event.sku }}"}
`

// TestBackdated sends events of several ages and types: all are kept with their time and data as they came, and count for the
// segment; events that are at most 72 hours old start the campaign, pages and screens none. What an event says of addresses
// goes before the campaign's own.
func TestBackdated(t *testing.T) {
	t.Parallel()
	const data = `{"sku":"ü 1","recipient":"team@x.example","from_address":"bot@x.example","reply_to":"r@x.example","n":1.0,"list":[1,null]}`
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(offers)
		for _, tt := range []struct {
			id    string
			typ   event.Type
			age   time.Duration
			sends bool
		}{
			{"now", event.Track, 0, true},
			{"edge", event.Track, 72*time.Hour - 2*time.Second, true},
			{"old", event.Track, 72*time.Hour + 2*time.Second, false},
			{"very-old", event.Track, 400 * 24 * time.Hour, false},
			{"page", event.Page, 0, false},
			{"screen", event.Screen, 0, false},
		} {
			w.identify(tt.id, `{"email":"`+tt.id+`@example.com"}`)
			at := w.clock().Add(-tt.age).Unix()
			sent, members := len(w.out.actions()), w.members("viewers")
			w.do(w.op(ingest.Event, ingest.EventPayload{By: ingest.By{ID: tt.id}, Type: uint8(tt.typ), Name: "viewed", Timestamp: at, Data: parse(t, data)}))
			page, _, err := db.Activities(t.Context(), w.ws, app.ActivityQuery{Type: tt.typ, Limit: 1})
			if err != nil || len(page) != 1 || page[0].At != at*1000 || page[0].Name != "viewed" {
				t.Fatalf("%s: %+v, %v", tt.id, page, err)
			}
			if diff := cmp.Diff(data, string(page[0].Data)); diff != "" {
				t.Errorf("%s: data (-want +got):\n%s", tt.id, diff)
			}
			counts := int64(0)
			if tt.typ == event.Track {
				counts = 1
			}
			if got := w.members("viewers") - members; got != counts {
				t.Errorf("%s: %d new members, want %d", tt.id, got, counts)
			}
			if !tt.sends {
				continue // the end of the test looks at how many there are
			}
			w.eventually("the mail of "+tt.id, func() bool { return len(w.out.actions()) == sent+1 })
			w.out.mu.Lock()
			job := w.out.jobs[sent]
			w.out.mu.Unlock()
			mail, err := message.Render(job.Email, nil, job.From, job.Scope, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"<team@x.example>", "<bot@x.example>", "<r@x.example>"}, append(mail.To, mail.From, mail.ReplyTo)); diff != "" {
				t.Errorf("%s: to, from and reply-to (-want +got):\n%s", tt.id, diff)
			}
		}
		if diff := cmp.Diff([]string{"segment viewers entered", "campaign offer not started"}, w.why("old")); diff != "" {
			t.Errorf("why of old (-want +got):\n%s", diff)
		}
		w.advance(time.Hour)
		if got := w.out.actions(); len(got) != 2 {
			t.Errorf("%d mails, want 2", len(got))
		}
	})
}
