package faulttest

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"rapport.example/internal/store/storetest"
	"rapport.example/internal/store/storetest/cluster"
)

// TestLogDown turns writes away with 503 while the log is gone and takes them again when it is back.
func TestLogDown(t *testing.T) {
	t.Parallel()
	spec := natsSpec{Name: "alone", Dir: t.TempDir(), Port: ports(t, 1)[0]}
	log := spec.start(t)
	p := newPlace(t, storetest.SQLite)
	p.nats = spec.url()
	n := p.start(t)
	n.apply(t, example(t))
	n.identify(t, "1", `{"email":"a@example.com","plan":"pro"}`)
	log.kill()
	a, err := call(t.Context(), http.MethodPost, n.url+"/api/v1/customers/1/events", `{"name":"purchase"}`)
	if err != nil || a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("with the log down: %d %v %s %v, want 503 with Retry-After", a.status, a.header, a.body, err)
	}
	spec.start(t)
	within(t, time.Minute, "an event is taken again", func() bool {
		a, err := call(t.Context(), http.MethodPost, n.url+"/api/v1/customers/1/events", `{"name":"back"}`)
		return err == nil && a.status == http.StatusOK
	})
	db := p.sql(t)
	within(t, time.Minute, "it is applied", func() bool { return count(t, db, `SELECT COUNT(*) FROM activities WHERE name = 'back'`) >= 1 })
	if got := count(t, db, `SELECT COUNT(*) FROM activities WHERE name = 'purchase'`); got > 1 {
		t.Errorf("what was turned away is there %d times", got)
	}
}

const reminder = `
schema: 1
workspace: acme
senders:
  - {id: hello, name: Acme, email: hello@acme.example}
campaigns:
  - id: remind
    name: Remind
    state: running
    trigger: {event: signed_up}
    workflow:
      - {id: wait, delay: 20s}
      - id: activated_yet
        branch:
          - if: {event: activated, at_least: 1}
            then: [{id: done, exit: true}]
          - else:
              - id: nudge
                email: {from: hello, to: "{{ customer.email }}", subject: "A reminder", body: "<p>Go on</p>"}
`

// TestDatabaseDown goes on taking writes while PostgreSQL is gone. Their effects follow, in their order with what fell
// due meanwhile: who activated in time is not reminded.
func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	pg, err := cluster.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pg.Close(); err != nil {
			t.Error(err)
		}
	})
	mails := newPeer(t)
	p := place{data: t.TempDir(), database: pg.URL("postgres"), smtp: mails.url}
	n := p.start(t)
	n.apply(t, reminder)
	for who := range 2 {
		n.identify(t, fmt.Sprint(who), fmt.Sprintf(`{"email":"p%d@example.com"}`, who))
		n.track(t, fmt.Sprint(who), "signed_up")
	}
	began := time.Now()
	db := p.sql(t)
	within(t, time.Minute, "both wait", func() bool { return count(t, db, `SELECT COUNT(*) FROM journeys`) == 2 })
	var due int64
	if err := db.QueryRowContext(t.Context(), `SELECT MIN(due) FROM timers WHERE kind <> 1`).Scan(&due); err != nil {
		t.Fatal(err)
	}
	if err := pg.Kill(); err != nil {
		t.Fatal(err)
	}
	n.track(t, "0", "activated") // acknowledged although the database is down
	if late := time.Since(time.UnixMilli(due)); late >= 0 {
		t.Fatalf("the event was acknowledged %s too late to cancel anything; the machine is too slow", late)
	}
	for i := range 20 {
		n.identify(t, "new", fmt.Sprintf(`{"email":"new@example.com","i":%d}`, i))
	}
	if a, err := call(t.Context(), http.MethodGet, n.url+"/readyz", ""); err != nil || a.status != http.StatusServiceUnavailable {
		t.Errorf("readyz without a database: %d %v, want 503", a.status, err)
	}
	within(t, time.Minute, "the reminders are due", func() bool { return time.Since(time.UnixMilli(due)) > 500*time.Millisecond })
	if err := pg.Run(); err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, "who did not activate is reminded", func() bool { return mails.to("p1@example.com", "A reminder") == 1 })
	n.ready(t)
	within(t, time.Minute, "everything is applied", func() bool {
		a, err := call(t.Context(), http.MethodGet, n.url+"/v1/customers/new/attributes", "")
		return err == nil && a.status == http.StatusOK && count(t, db, `SELECT COUNT(*) FROM journeys`) == 0
	})
	if got := mails.to("p0@example.com", "A reminder"); got != 0 {
		t.Errorf("%d reminders to who activated in time", got)
	}
	t.Logf("database back and reminded %s after the start of the wait", time.Since(began).Round(time.Millisecond))
}
