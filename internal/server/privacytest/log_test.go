package privacytest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"rapport.example/internal/config"
)

// poison makes the database refuse what one event would write, as only data can be at fault for.
func (r *running) poison(t *testing.T) {
	t.Helper()
	statements := []string{`CREATE TRIGGER poison BEFORE INSERT ON activities WHEN NEW.name = 'poisoned' BEGIN SELECT RAISE(ABORT, 'poisoned'); END`}
	if r.o.DatabaseURL != "" {
		statements = []string{`ALTER TABLE activities ADD CONSTRAINT poison CHECK (name <> 'poisoned')`}
	}
	db := r.database(t)
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

var address = regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z0-9.]+`)

// TestLog holds the program's log, from info on, free of people and secrets, through the main job and what can go wrong.
func TestLog(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o config.Serve) {
		p := newPeer(t)
		o.SMTPURL = "smtp://mailuser:mailpassword-secret@" + p.addr + "?tls=off"
		r := run(t, o)
		r.apply(t, file("alpha"))
		r.poison(t)
		secrets := []string{"mailpassword-secret", first.track, first.app, first.agent, first.write, first.adm, "wrong-secret", "Log-attribute", "Log-event", "Log-message-data", "log-token", "person-id-of", "example.com"}
		for _, who := range []string{"ada", "bounce", "later", "broken"} {
			r.identify(t, first, "person-id-of-"+who, `{"email":"`+who+`@example.com","plan":"pro","first_name":"Log-attribute","long":"`+strings.Repeat("Log-attribute", 100)+`"}`)
			r.track(t, first, "person-id-of-"+who, "signed_up", `{"token":"Log-event"}`)
			r.track(t, first, "person-id-of-"+who, "poisoned", `{"token":"Log-event"}`)
			for _, template := range []string{"receipt", "broken"} {
				r.must(t, first.app, http.MethodPost, "/v1/send/email", `{"transactional_message_id":"`+template+`","to":"`+who+`@example.com","identifiers":{"id":"person-id-of-`+who+`"},"message_data":{"number":"Log-message-data"}}`)
			}
		}
		r.must(t, first.basic(), http.MethodPost, "/api/v1/customers/person-id-of-ada/suppress", "")
		for _, auth := range []string{"", "wrong-secret", first.site + ":wrong-secret", "agk_wrong-secret"} {
			for _, path := range []string{"/api/v1/customers/person-id-of-ada", "/v1/customers/person-id-of-ada/attributes", "/admin/v1/status", "/mcp", "/v1/identify", "/e/c/log-token", "/e/u/log-token", "/log-token?email=ada@example.com"} {
				r.call(t, auth, http.MethodPost, path, `{"email":"ada@example.com","a":"Log-attribute"`)
				r.call(t, auth, http.MethodGet, path, "")
			}
		}
		for _, body := range []string{`{"email":"ada@example.com","a":"Log-attribute`, `{"email":"ada@example.com","a":"\u0000Log-attribute"}`, `["Log-attribute"]`} {
			r.call(t, first.basic(), http.MethodPut, "/api/v1/customers/person-id-of-ada", body)
			r.call(t, first.basic(), http.MethodPost, "/api/v2/batch", body)
			r.call(t, first.app, http.MethodPost, "/v1/send/email", body)
			r.call(t, first.write+":", http.MethodPost, "/v1/batch", body)
			r.call(t, first.adm, http.MethodPost, "/admin/v1/apply", body)
		}
		db := r.database(t)
		within(t, "nothing is in flight, and what can be sent is", func() bool {
			var n int
			if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM deliveries WHERE state = 2 OR state = 1 AND attempts = 0`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n == 0 && strings.Count(r.log.text(), "op rejected") >= 4 // what comes later is not applied before
		})
		r.stop()
		text := r.log.text()
		if n := strings.Count(text, "op rejected"); n != 4 {
			t.Errorf("%d rejected ops are logged, want 4", n)
		}
		check(t, text, secrets)

		// Once more with a mail server that is not there and a password in its address.
		o.SMTPURL = "smtp://mailuser:mailpassword-secret@127.0.0.1:1?tls=off"
		r = run(t, o)
		r.identify(t, first, "person-id-of-eve", `{"email":"eve@example.com","first_name":"Log-attribute"}`)
		r.track(t, first, "person-id-of-eve", "signed_up", `{"token":"Log-event"}`)
		db = r.database(t)
		within(t, "an attempt has failed", func() bool {
			var n int
			if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM deliveries WHERE reason LIKE '%cannot be reached%'`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n > 0
		})
		r.stop()
		check(t, r.log.text(), secrets)
	})
}

// check looks for secrets as they are and in base64, and for anything with the shape of an address.
func check(t *testing.T, text string, secrets []string) {
	t.Helper()
	for _, s := range secrets {
		for _, form := range []string{s, base64.StdEncoding.EncodeToString([]byte(s)), fmt.Sprintf("%x", s)} {
			if i := strings.Index(text, form); i >= 0 {
				t.Errorf("the log tells %q: …%s…", s, text[max(0, i-200):min(len(text), i+100)])
			}
		}
	}
	if found := address.FindString(text); found != "" {
		t.Errorf("the log tells the address %s", found)
	}
	if t.Failed() {
		t.Logf("the log:\n%s", text)
	}
}
