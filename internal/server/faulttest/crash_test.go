package faulttest

import (
	"fmt"
	"testing"
	"time"

	"rapport.example/internal/delivery"
)

// TestKill kills the server again and again under load.
func TestKill(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		mails := newPeer(t)
		p.smtp = mails.url
		n := p.start(t)
		n.apply(t, example(t))
		l, stop := begin(t, n)
		db := p.sql(t)
		const rounds = 6
		for round := range rounds {
			pause(t.Context(), 700*time.Millisecond+time.Duration(round)*37*time.Millisecond)
			l.target.Store(nil)
			n.crash(t, p, db)
			n = p.start(t)
			l.target.Store(&n.url)
		}
		before := l.count()
		within(t, time.Minute, "the last start takes events", func() bool { return l.count() > before+100 })
		stop()
		l.check(t, n, db)
		if twice := mails.twice("Thank you"); len(twice) > 0 {
			t.Errorf("%v got a message twice", twice)
		}
	})
}

// TestKillBeforeApply keeps the engine from applying what is acknowledged and kills the server: a restart finds it.
func TestKillBeforeApply(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		n := p.start(t)
		n.apply(t, example(t))
		n.identify(t, "1", `{"email":"a@example.com","plan":"pro"}`)
		db := p.sql(t)
		within(t, time.Minute, "the person is there", func() bool { return count(t, db, `SELECT COUNT(*) FROM people`) == 1 })
		for round := range int64(3) {
			hold, err := db.BeginTx(t.Context(), nil) // immediate on SQLite: nobody else writes
			if err != nil {
				t.Fatal(err)
			}
			if p.database != "" {
				if _, err := hold.ExecContext(t.Context(), `SELECT id FROM partitions FOR UPDATE`); err != nil {
					t.Fatal(err)
				}
			}
			n.track(t, "1", "purchase")
			n.kill()
			if err := hold.Rollback(); err != nil {
				t.Fatal(err)
			}
			n.crash(t, p, db)
			const events = `SELECT COUNT(*) FROM activities WHERE type = 1`
			if got := count(t, db, events); got != round {
				t.Fatalf("%d events are applied before the restart, want %d", got, round)
			}
			n = p.start(t)
			within(t, time.Minute, fmt.Sprintf("event %d is found again", round), func() bool { return count(t, db, events) == round+1 })
		}
		if got := count(t, db, `SELECT SUM(count) FROM segment_pieces`); got != 1 {
			t.Errorf("%d people are paying, want 1", got)
		}
	})
}

// TestKillInHandOver kills the server while the mail server has a message in whole and has not answered: nobody knows
// what became of it, the row says so, and it is not sent again.
func TestKillInHandOver(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		mails := newPeer(t)
		p.smtp = mails.url
		n := p.start(t)
		n.apply(t, example(t))
		mails.stallNow()
		n.identify(t, "1", `{"email":"a@example.com","plan":"pro"}`)
		n.track(t, "1", "signed_up")
		within(t, time.Minute, "the mail server has the message", func() bool { return mails.to("a@example.com", "Welcome") == 1 })
		db := p.sql(t)
		n.crash(t, p, db)
		mails.answerAgain()
		// A claim lasts a minute. The test does not wait for that: it says that the minute is over.
		if _, err := db.ExecContext(t.Context(), fmt.Sprintf(`UPDATE deliveries SET lease = 1 WHERE state = %d`, delivery.InFlight)); err != nil {
			t.Fatal(err)
		}
		n = p.start(t)
		within(t, time.Minute, "the row says outcome unknown", func() bool {
			return count(t, db, fmt.Sprintf(`SELECT COUNT(*) FROM deliveries WHERE state = %d AND reason <> ''`, delivery.OutcomeUnknown)) == 1
		})
		n.identify(t, "2", `{"email":"b@example.com","plan":"pro"}`)
		n.track(t, "2", "signed_up")
		within(t, time.Minute, "others get theirs", func() bool { return mails.to("b@example.com", "Welcome") == 1 })
		if got := mails.to("a@example.com", "Welcome"); got != 1 {
			t.Errorf("%d messages, want the one that was cut off", got)
		}
	})
}
