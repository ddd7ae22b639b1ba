package faulttest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rapport.example/internal/delivery"
)

// TestStop stops within ten seconds and exits with 0, though a mail server does not answer and a request never ends; what
// was acknowledged until then is there after the next start.
func TestStop(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		mails := newPeer(t)
		p.smtp = mails.url
		n := p.start(t)
		n.apply(t, example(t))
		mails.stallNow()
		n.identify(t, "1", `{"email":"a@example.com","plan":"pro"}`)
		n.track(t, "1", "signed_up")
		within(t, time.Minute, "a message is on its way", func() bool { return mails.to("a@example.com", "Welcome") == 1 })
		c, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://")) // on loopback at once
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "POST /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ZmF1bHQtc2l0ZTpmYXVsdC10cmFjay1rZXk=\r\nContent-Length: 100\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			n.track(t, "1", fmt.Sprintf("e%d", i))
		}
		code, took := n.terminate(t)
		t.Logf("stopped after %s", took.Round(time.Millisecond))
		if code != 0 || took > 30*time.Second { // the promise is 10 s of a machine that does nothing else
			t.Errorf("exit code %d after %s, want 0 within 30 s", code, took)
		}
		mails.answerAgain()
		n = p.start(t)
		db := p.sql(t)
		within(t, time.Minute, "all events are applied", func() bool {
			return count(t, db, `SELECT COUNT(*) FROM activities WHERE type = 1`) == 51
		})
		within(t, time.Minute, "the row says outcome unknown", func() bool {
			return count(t, db, fmt.Sprintf(`SELECT COUNT(*) FROM deliveries WHERE state = %d`, delivery.OutcomeUnknown)) == 1
		})
		if code, took := n.terminate(t); code != 0 || took > 20*time.Second {
			t.Errorf("an idle server: exit code %d after %s", code, took)
		}
		if got := mails.to("a@example.com", "Welcome"); got != 1 {
			t.Errorf("%d messages, want the one whose answer never came", got)
		}
	})
}

// refused runs a second process that must end with an error.
func refused(t *testing.T, p place, listen string, want ...string) {
	t.Helper()
	out, err := p.command("--listen", listen).CombinedOutput()
	if err == nil {
		t.Errorf("the process ended without an error; want %q", want)
	}
	for _, w := range want {
		if !strings.Contains(string(out), w) {
			t.Errorf("it says %q, want %q in it", out, w)
		}
	}
	if lines := strings.Count(string(out), "\n"); lines > 3 {
		t.Errorf("it says %d lines:\n%s", lines, out)
	}
}

// TestRefused starts what cannot be: a second server on one folder, one on a port in use, one on a newer schema.
func TestRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		n := p.start(t)
		refused(t, p, "127.0.0.1:0", "served by another rapport already", fmt.Sprint(n.cmd.Process.Pid))
		other := p
		other.data = t.TempDir()
		refused(t, other, strings.TrimPrefix(n.url, "http://"), "is in use by another program")
		if code, _ := n.terminate(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if _, err := p.sql(t).ExecContext(t.Context(), `INSERT INTO migrations (name, applied) VALUES ('9999_future', 1)`); err != nil {
			t.Fatal(err)
		}
		refused(t, p, "127.0.0.1:0", "newer version", "9999_future")
	})
}

// TestDelete leaves nothing of a deleted person: document, identifiers, events, decisions, timers, journeys, what
// messages say about them, copies in the development mailbox.
func TestDelete(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		n := p.start(t)
		n.apply(t, example(t))
		for _, who := range []string{"1", "2"} {
			n.identify(t, who, fmt.Sprintf(`{"email":"secret%s@example.com","plan":"pro","first_name":"Secret%s"}`, who, who))
			n.track(t, who, "signed_up")
			n.track(t, who, "purchase")
		}
		db := p.sql(t)
		within(t, time.Minute, "both have two messages", func() bool { return count(t, db, `SELECT COUNT(*) FROM mailbox`) == 4 })
		within(t, time.Minute, "they are sent", func() bool { return count(t, db, `SELECT COUNT(*) FROM deliveries WHERE recipient <> ''`) == 4 })
		owned := func(ordinal int) (left []string) {
			for _, table := range []string{"people", "identifiers", "activities", "decisions", "timers", "journeys", "deliveries", "mailbox"} {
				if rows := count(t, db, fmt.Sprintf(`SELECT COUNT(*) FROM %s WHERE person = %d`, table, ordinal)); rows > 0 {
					left = append(left, fmt.Sprintf("%d of %s", rows, table))
				}
			}
			return left
		}
		if got := owned(1); len(got) != 8 {
			t.Fatalf("before: %v, want rows in all eight tables", got)
		}
		n.must(t, http.MethodDelete, "/api/v1/customers/1", "")
		within(t, time.Minute, "the person is gone", func() bool { return count(t, db, `SELECT COUNT(*) FROM people`) == 1 })
		if got := owned(1); len(got) > 0 {
			t.Errorf("left behind: %v", got)
		}
		for _, q := range []string{
			`SELECT COUNT(*) FROM deliveries WHERE recipient LIKE '%secret1%'`,
			`SELECT COUNT(*) FROM mailbox WHERE recipient LIKE '%secret1%'`,
			`SELECT COUNT(*) FROM identifiers WHERE value LIKE '%secret1%'`,
		} {
			if got := count(t, db, q); got != 0 {
				t.Errorf("%s: %d", q, got)
			}
		}
		if got := owned(2); len(got) != 8 {
			t.Errorf("of the other person only %v is left", got)
		}
		if got := count(t, db, `SELECT SUM(count) FROM segment_pieces`); got != 1 {
			t.Errorf("%d people are paying, want 1", got)
		}
		if p.database != "" {
			return
		}
		if code, _ := n.terminate(t); code != 0 { // nothing readable is left in the file either
			t.Errorf("exit code %d", code)
		}
		if _, err := db.ExecContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(filepath.Join(p.data, "rapport.db"))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"secret1@example.com", "Secret1"} {
			if bytes.Contains(file, []byte(secret)) {
				t.Errorf("the database file still holds %q", secret)
			}
		}
		if !bytes.Contains(file, []byte("secret2@example.com")) {
			t.Error("the file does not hold the other person; has it been written back?")
		}
	})
}
