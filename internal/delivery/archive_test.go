package delivery_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/delivery"
	"rapport.example/internal/message"
)

// TestArchived: a message that is handed over is archived before, as it was rendered and readable; one that is not handed over
// is not, and neither is one that must not be kept.
func TestArchived(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testArchived)
}

func testArchived(t *testing.T) {
	var mu sync.Mutex
	got := map[int64]delivery.Said{}
	f := &far{}
	w := f.worker(func(o *delivery.Options) {
		o.Archive = func(_ context.Context, a delivery.Archive) {
			mu.Lock()
			defer mu.Unlock()
			var said delivery.Said
			if err := json.Unmarshal(a.Doc, &said); err != nil || a.Workspace != 1 || a.Created != 77 {
				t.Errorf("archived %+v, %v", a, err)
			}
			got[a.Delivery] = said
		}
		o.Refused = func(_ context.Context, _ int64, address, _ string) (string, error) {
			return map[string]string{"refused@example.com": "it bounced"}[address], nil
		}
	})
	jobs := []delivery.Job{job(1), job(2), job(3), job(4)}
	for i := range jobs {
		jobs[i].Delivery.Created = 77
	}
	*jobs[0].Email = message.Email{
		From: "Grüße <hello@acme.example>", To: "{{ customer.name }} <{{ customer.email }}>", CC: "b@example.com, refused@example.com", BCC: "c@example.com",
		Subject: "Für {{ customer.name }}", Body: "<p>Hi &amp; {{ customer.name }}</p>", Preheader: " {{ customer.name }}: ", ReplyTo: "help@acme.example",
		Headers: []message.Header{{Name: "X-One", Value: "ü"}}, FakeBCC: true,
	}
	jobs[1].Unkept = true
	jobs[2].Email.Body = "{{ customer.nothing }}"
	jobs[3].Email.To = "refused@example.com"
	w.Start()
	w.Hand(jobs)
	synctest.Wait()
	w.Stop()
	mu.Lock()
	defer mu.Unlock()
	want := map[int64]delivery.Said{1: {
		From: `Grüße <hello@acme.example>`, ReplyTo: "help@acme.example", Recipient: `"Ada" <ada@example.com>`, CC: "b@example.com", BCC: "c@example.com",
		FakeBCC: true, Subject: "Für Ada", Preheader: "Ada:", Headers: []delivery.SaidHeader{{Name: "X-One", Value: "ü"}},
	}}
	for id, said := range got {
		if said.Body == "" || said.Plain == "" {
			t.Errorf("%d: no body: %+v", id, said)
		}
		said.Body, said.Plain = "", ""
		got[id] = said
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("archived (-want +got):\n%s", diff)
	}
}
