package privacytest

import (
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"rapport.example/internal/config"
)

// tables lists the database's tables.
func tables(t *testing.T, db *sql.DB, o config.Serve) (out []string) {
	t.Helper()
	query := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if o.DatabaseURL != "" {
		query = `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`
	}
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		out = append(out, name)
	}
	if err := rows.Err(); err != nil || len(out) < 12 {
		t.Fatalf("tables %v, %v", out, err)
	}
	return out
}

// holding lists in which columns of which tables one of the secrets stands, in any case.
func holding(t *testing.T, db *sql.DB, o config.Serve, secrets []string) (out []string) {
	t.Helper()
	for _, table := range tables(t, db, o) {
		out = append(out, holdingTable(t, db, table, secrets)...)
	}
	return out
}

func holdingTable(t *testing.T, db *sql.DB, table string, secrets []string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT * FROM `+table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		fields := make([]any, len(columns))
		pointers := make([]any, len(columns))
		for i := range fields {
			pointers[i] = &fields[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			t.Fatal(err)
		}
		for i, f := range fields {
			text := fmt.Sprint(f)
			if b, ok := f.([]byte); ok {
				text = string(b)
			}
			for _, secret := range secrets {
				if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
					out = append(out, fmt.Sprintf("%s.%s holds %s", table, columns[i], secret))
				}
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// secretsOf fills a workspace with a person of whom there is something in every table, before they exist and after,
// and returns what must be gone in the end.
func (r *running) secretsOf(t *testing.T) []string {
	t.Helper()
	const id, email = "customer-4711", "Grace.Secret@Example.com"
	event := func(name, data string) { r.track(t, first, id, name, data) }
	r.identify(t, first, "other", `{"email":"other@example.com","first_name":"Other"}`)
	// Somebody else's writes name the person before there is one.
	r.identify(t, first, id, `{"_update":true,"first_name":"too early"}`)
	r.identify(t, first, "grace.secret@example.com", `{"_update":true,"first_name":"too early"}`)
	r.must(t, first.basic(), http.MethodDelete, "/api/v1/customers/"+id+"/devices/device-token-of-grace", "")
	pipelines := func(path, body string) { r.must(t, first.write+":", http.MethodPost, "/v1/"+path, body) }
	refused := func() {
		for _, body := range []string{
			`{"userId":"` + id + `","traits":["Grace-attribute"]}`, `{"userId":"` + id + `","traits":{"first_name":"Grace-attribute"`,
			`{"userId":"` + id + `","traits":{"email":"grace.secret"},"timestamp":"Grace-attribute","context":"Grace-attribute"}`,
		} {
			pipelines("identify", body)
			pipelines("track", body)
			pipelines("alias", body)
		}
		pipelines("alias", `{"userId":"nobody","previousId":"grace.second@example.com"}`)
	}
	refused()
	pipelines("track", `{"anonymousId":"visitor-grace","event":"grace-event-name","properties":{"a":"Grace-event-data"}}`)
	pipelines("track", `{"anonymousId":"former-visitor-grace","event":"grace-event-name","properties":{"a":"Grace-event-data"}}`)
	r.identify(t, first, id, `{"email":"`+email+`","plan":"pro","first_name":"Grace-attribute","too_long":"`+strings.Repeat("Grace-attribute", 100)+`","nested":{"a":["Grace-nested"]}}`)
	r.identify(t, first, id, `{"plan":"basic","first_name":"Grace-renamed"}`)
	r.identify(t, first, id, `{"email":"grace.second@example.com"}`) // refused: it is set
	r.identify(t, first, "other", `{"email":"`+email+`"}`)           // refused: it is hers
	r.identify(t, first, id, `{"plan":"pro","first_name":"Grace-attribute","phone":"+15554711001"}`)
	r.identify(t, first, id, `{"phone":"+15554711002"}`)         // refused: it is set
	r.identify(t, first, "other", `{"phone":"+1 555 471 1001"}`) // refused: it is hers
	refused()
	pipelines("identify", `{"userId":"`+id+`","anonymousId":"visitor-grace","traits":{"first_name":"Grace-attribute"}}`)
	pipelines("alias", `{"userId":"`+id+`","previousId":"former-visitor-grace"}`)
	pipelines("track", `{"anonymousId":"visitor-grace","event":"grace-event-name","properties":{"a":"Grace-event-data"}}`)
	entity := func(body string) { r.must(t, first.basic(), http.MethodPost, "/api/v2/entity", body) }
	for _, visitor := range []string{"visitor-grace", "last-visitor-grace"} { // the first is hers already
		entity(`{"type":"object","action":"identify_anonymous","identifiers":{"object_type_id":"1","object_id":"acme"},"cio_relationships":[{"identifiers":{"anonymous_id":"` + visitor + `"},"relationship_attributes":{"role":"Grace-role"}}]}`)
	}
	r.identify(t, first, id, `{"anonymous_id":"last-visitor-grace"}`)
	entity(`{"type":"person","action":"identify","identifiers":{"phone":"+15554711001"},"attributes":{"last_name":"Grace-attribute"}}`)
	if status, said := r.call(t, first.app, http.MethodPut, "/v1/customers/"+id+"/optouts", `{"optouts":[{"from":"Grace-sender","optout":true}]}`); status != http.StatusNoContent {
		t.Fatalf("an opt-out: %d %s", status, said)
	}
	entity(`{"type":"person","action":"add_relationships","identifiers":{"id":"` + id + `"},"cio_relationships":[{"identifiers":{"object_type_id":"1","object_id":"other"},"relationship_attributes":{"role":"Grace-role"}}]}`)
	event("signed_up", `{"token":"Grace-event-data"}`)
	event("grace-event-name", `{"a":{"b":"Grace-event-data"}}`)
	r.must(t, first.basic(), http.MethodPut, "/api/v1/customers/"+id+"/devices", `{"device":{"id":"device-token-of-grace","platform":"ios","attributes":{"a":"Grace-device"}}}`)
	r.must(t, first.basic(), http.MethodPost, "/api/v1/segments/2/add_customers", `{"ids":["`+id+`"]}`)
	send := func(to, template string) {
		r.must(t, first.app, http.MethodPost, "/v1/send/email", `{"transactional_message_id":"`+template+`","to":"`+to+`","identifiers":{"id":"`+id+`"},"message_data":{"number":"Grace-message-data"}}`)
	}
	send(email, "receipt")
	send("Grace Elsewhere <grace.elsewhere@example.com>", "receipt")
	send(email, "broken")
	r.must(t, first.app, http.MethodPost, "/v1/send/email", `{"transactional_message_id":"receipt","to":"`+email+`","identifiers":{"id":"`+id+`"},"message_data":{"number":"Grace-unkept"},"disable_message_retention":true}`)
	cio := found(cioIDs, r.must(t, first.app, http.MethodGet, "/v1/customers/"+id+"/attributes", ""))
	if len(cio) != 1 {
		t.Fatalf("cio ids: %v", cio)
	}
	r.identify(t, first, "cio_"+cio[0], `{"id":"customer-4712"}`) // and a former id
	return []string{
		"customer-4711", "customer-4712", "grace.secret", "grace.second", "grace.elsewhere", "device-token-of-grace", "Grace-attribute", "Grace-renamed",
		"Grace-nested", "Grace-event-data", "grace-event-name", "Grace-device", "Grace-message-data", "Grace-unkept", "visitor-grace", "Grace-role", "Grace-sender", "Grace Elsewhere", cio[0], "5554711",
	}
}

// TestRemoval scans every column of every table for what was known about a deleted or suppressed person.
func TestRemoval(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"delete", "suppress"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, o config.Serve) {
				r := run(t, o)
				r.apply(t, file("alpha"))
				secrets := r.secretsOf(t)
				within(t, "four mails are sent and one is not", func() bool {
					list := r.must(t, first.app, http.MethodGet, "/v1/messages?limit=50", "")
					return strings.Count(list, `"sent":`) >= 4 && len(found(messageIDs, list)) == 5
				})
				db := r.database(t)
				for _, m := range found(messageIDs, r.must(t, first.app, http.MethodGet, "/v1/messages?limit=50", "")) { // also waits for the archive
					if _, said := r.call(t, first.app, http.MethodGet, "/v1/messages/"+m+"/archived_message", ""); strings.Contains(said, "Grace-unkept") {
						t.Errorf("what must not be kept was archived: %s", said)
					}
				}
				before := strings.Join(holding(t, db, o, secrets), "\n")
				for _, table := range []string{"people", "identifiers", "activities", "deliveries", "mailbox", "archives", "relationships", "optouts"} {
					if !strings.Contains(before, table+".") {
						t.Errorf("before: nothing in %s; the scan sees:\n%s", table, before)
					}
				}
				mails := r.must(t, first.adm, http.MethodGet, "/admin/v1/mailbox?limit=50", "")
				r.remove(t, how, "customer-4712")
				for _, link := range found(links, mails) { // they go on working, and say nothing
					method := http.MethodGet
					if strings.Contains(link, "/e/u/") {
						method = http.MethodPost
					}
					if status, _ := r.call(t, "", method, strings.TrimPrefix(link, r.url), ""); status >= 400 {
						t.Errorf("a link of a removed person's mail: %d", status)
					}
				}
				_, gone := r.call(t, first.app, http.MethodGet, "/v1/activities?limit=100&deleted=true", "") // waits for what the links have reported
				if !strings.Contains(gone, `"profile_delete"`) {
					t.Errorf("no activity tells of the deletion: %s", gone)
				}
				for _, secret := range secrets {
					if strings.Contains(strings.ToLower(gone), strings.ToLower(secret)) {
						t.Errorf("activities of deleted people name %s", secret)
					}
				}
				if left := holding(t, db, o, secrets); len(left) > 0 {
					t.Errorf("left behind: %s", strings.Join(left, ", "))
				}
				var hashes int
				if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM suppressions`).Scan(&hashes); err != nil || hashes != map[string]int{"delete": 0, "suppress": 4}[how] {
					t.Errorf("%d suppressed identifiers, %v", hashes, err)
				}
			})
		})
	}
}

func (r *running) remove(t *testing.T, how, id string) {
	t.Helper()
	if how == "delete" {
		r.must(t, first.basic(), http.MethodDelete, "/api/v1/customers/"+id, "")
	} else {
		r.must(t, first.basic(), http.MethodPost, "/api/v1/customers/"+id+"/suppress", "")
	}
	if status, body := r.call(t, first.app, http.MethodGet, "/v1/customers/"+id+"/attributes", ""); status != http.StatusNotFound {
		t.Fatalf("still there: %d %s", status, body)
	}
}

// TestRemovalInFlight removes a person while their mails are being handed over: what the mail server answers afterwards
// brings nothing back.
func TestRemovalInFlight(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o config.Serve) {
		p := newPeer(t)
		p.hold()
		o.SMTPURL = "smtp://" + p.addr + "?tls=off"
		r := run(t, o)
		r.apply(t, file("alpha"))
		people := map[string]string{"one": "flight.one@example.com", "two": "bounce.two@example.com", "three": "later.three@example.com", "four": "broken.four@example.com"}
		for id, email := range people {
			r.identify(t, first, id, `{"email":"`+email+`","first_name":"Flight-attribute"}`)
			r.track(t, first, id, "signed_up", `{"token":"Flight-event"}`)
		}
		within(t, "mails are being handed over", func() bool { return p.count() >= 2 })
		for id := range people {
			r.remove(t, "delete", id)
		}
		p.letGo()
		db := r.database(t)
		within(t, "no delivery is in flight", func() bool {
			var n int
			if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM deliveries WHERE state = 2`).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n == 0
		})
		if left := holding(t, db, o, []string{"flight.one", "bounce.two", "later.three", "broken.four", "Flight-attribute", "Flight-event"}); len(left) > 0 {
			t.Errorf("left behind: %s", strings.Join(left, ", "))
		}
	})
}
