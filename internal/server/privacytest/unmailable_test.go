package privacytest

import (
	"net/http"
	"strings"
	"testing"

	"rapport.example/internal/config"
)

// TestUnmailable: an address that bounced is not mailed again, whoever has it, until it is taken off the list; the list holds
// nothing readable, and is no part of a person. The development mailbox refuses the domains bounce.*.
func TestUnmailable(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o config.Serve) {
		r := run(t, o)
		r.apply(t, file("alpha"))
		const bad, good = "ada@bounce.example.com", "eve@example.com"
		sent := 0
		send := func(id, to, want string) {
			t.Helper()
			r.must(t, first.app, http.MethodPost, "/v1/send/email", `{"transactional_message_id":"receipt","to":"`+to+`","identifiers":{"id":"`+id+`"},"message_data":{"number":"1"}}`)
			sent++
			state, db := 0, r.database(t)
			within(t, "the mail is done with", func() bool {
				err := db.QueryRowContext(t.Context(), `SELECT state FROM deliveries WHERE id = $1`, sent).Scan(&state)
				return err == nil && state > 2
			})
			if state != map[string]int{"is sent": 3, "bounces": 5, "is suppressed": 6}[want] {
				t.Fatalf("mail %d to %s has state %d, want that it %s", sent, to, state, want)
			}
		}
		entries := func(address, want string) {
			t.Helper()
			if got := strings.TrimSpace(r.must(t, first.adm, http.MethodGet, "/admin/v1/unmailable/"+address, "")); strings.Count(got, `"category":"`+want+`"`) != 1 && (want != "" || got != `{"entries":[]}`) {
				t.Errorf("entries of %s: %s, want %q", address, got, want)
			}
		}
		r.identify(t, first, "ada", `{"email":"`+bad+`","first_name":"Ada"}`)
		r.identify(t, first, "eve", `{"email":"`+good+`","first_name":"Eve"}`)
		send("ada", bad, "bounces")
		entries("Ada@Bounce.EXAMPLE.com", "bounces")
		send("ada", bad, "is suppressed")
		send("eve", "Ada <ADA@bounce.example.com>", "is suppressed")
		send("eve", good, "is sent")
		r.remove(t, "delete", "ada")
		r.identify(t, first, "new-ada", `{"email":"`+bad+`","first_name":"Ada"}`)
		send("new-ada", bad, "is suppressed")
		if held := holdingTable(t, r.database(t), "unmailable", []string{"ada", "example"}); len(held) > 0 {
			if len(held) != 1 || !strings.Contains(held[0], "unmailable.domain") {
				t.Errorf("the list holds %v", held)
			}
		}
		if status, body := r.call(t, first.adm, http.MethodDelete, "/admin/v1/unmailable/"+bad, ""); status != http.StatusNoContent {
			t.Fatalf("%d %s", status, body)
		}
		if status, _ := r.call(t, first.adm, http.MethodDelete, "/admin/v1/unmailable/"+bad, ""); status != http.StatusNotFound {
			t.Errorf("a second removal: %d", status)
		}
		entries(bad, "")
		send("new-ada", bad, "bounces")
		r.must(t, first.adm, http.MethodPut, "/admin/v1/unmailable/"+good, "")
		entries(good, "manual")
		send("eve", good, "is suppressed")
		// Of several recipients, nobody knows whom a refusal was about; suppressed ones are left out.
		send("eve", "new@example.com, x@bounce.example.com", "bounces")
		entries("new@example.com", "")
		entries("x@bounce.example.com", "")
		send("eve", "new@example.com, "+good, "is sent")
		mails := r.must(t, first.adm, http.MethodGet, "/admin/v1/mailbox?limit=50", "")
		if strings.Count(mails, "new@example.com") == 0 || strings.Count(mails, good) != 2 { // in the one mail from before
			t.Errorf("a suppressed second recipient: %s", mails)
		}
		if status, _ := r.call(t, first.adm, http.MethodPut, "/admin/v1/unmailable/nobody", ""); status != http.StatusBadRequest {
			t.Errorf("what is no address: %d", status)
		}
	})
}
