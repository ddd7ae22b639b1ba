package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api"
	"rapport.example/internal/api/apitest"
	"rapport.example/internal/api/app"
	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

func bits(tb testing.TB, ordinals ...uint32) []byte {
	tb.Helper()
	b, err := roaring.BitmapOf(ordinals...).ToBytes()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// TestRoutes holds every route to the rules of the surface: a key is asked for, limits are set, and errors have the
// shape of the endpoint.
func TestRoutes(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.Options(t, storetest.SQLite))
	seed(t, db)
	s := newSurface(t, db, db, false)
	for _, r := range s.mux.Routes() {
		if r.Auth != api.AppKey || r.Limit == api.Unlimited || r.Doc == "" {
			t.Errorf("%s %s: auth %d, limit %d, doc %q", r.Method, r.Path, r.Auth, r.Limit, r.Doc)
		}
		path := strings.NewReplacer("{", "", "}", "").Replace(r.Path)
		req := httptest.NewRequestWithContext(t.Context(), r.Method, path, nil)
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, req)
		var body struct {
			Meta struct {
				Error  string
				Status int
			}
			Errors []struct{ Detail, Status string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Errorf("%s %s: %v", r.Method, r.Path, err)
		}
		if w.Code != http.StatusUnauthorized || body.Meta.Status != 401 || (r.Shape == api.AppErrors) != (len(body.Errors) == 1) {
			t.Errorf("%s %s without a key = %d %s", r.Method, r.Path, w.Code, w.Body)
		}
		if got := s.send(t, r.Method, path, "{").Code; got >= 500 && got != http.StatusNotImplemented {
			t.Errorf("%s %s = %d, want no 500", r.Method, r.Path, got)
		}
	}
}

// TestHostileInput sends what strangers send to every route that reads: never a 500, whatever stands in the path.
func TestHostileInput(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		seed(t, db)
		s := newSurface(t, db, db, false)
		for _, bad := range []string{"", "%00", "%ff", "%2F", "a%2Fb", "%25", "+", "@", "é", "cio_", "-1", "0", "99999999999999999999", strings.Repeat("x", 2000), "'; DROP TABLE people; --"} {
			if !strings.HasPrefix(bad, "%") && bad != "a%2Fb" {
				bad = url.PathEscape(bad)
			}
			for _, r := range s.mux.Routes() {
				if r.Method != http.MethodGet {
					continue
				}
				path := r.Path
				for _, p := range []string{"{customer_id}", "{segment_id}", "{campaign_id}", "{message_id}"} {
					path = strings.ReplaceAll(path, p, bad)
				}
				for _, q := range []string{
					"?id_type=email", "?id_type=cio_id", "?id_type=phone", "?start=" + bad, "?limit=" + bad, "?type=" + bad + "&name=" + bad,
					"?metric=" + bad, "?campaign_id=" + bad, "?start_ts=" + bad, "?email=" + bad, "?customer_id=" + bad, "?action_id=9007199254740993",
				} {
					if w := s.send(t, r.Method, path+q, ""); w.Code >= 500 && w.Code != http.StatusNotImplemented {
						t.Errorf("GET %s%s = %d %s", path, q, w.Code, w.Body)
					}
				}
			}
		}
	})
}

// TestStale tells readers when acknowledged writes may be missing.
func TestStale(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.Options(t, storetest.SQLite))
	seed(t, db)
	for _, stale := range []bool{false, true} {
		w := newSurface(t, db, db, stale).send(t, http.MethodGet, "/v1/customers/1/attributes", "")
		if got := w.Header().Get(app.StaleHeader) == "true"; got != stale || w.Code != http.StatusOK {
			t.Errorf("stale = %v, want %v; status %d", got, stale, w.Code)
		}
	}
}

// TestSendBad holds each refusal of a send to status 400 and a message that names the field, and to no op.
func TestSendBad(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.Options(t, storetest.SQLite))
	seed(t, db)
	const whole = `"identifiers":{"id":"1"},"to":"a@example.com","transactional_message_id":"receipt"`
	many := strings.TrimSuffix(strings.Repeat("a@example.com,", 16), ",")
	for _, c := range []struct{ body, field string }{
		{``, "not valid JSON"},
		{`[]`, "must be a JSON object"},
		{`{`, "not valid JSON"},
		{`{"a":"\u0000"}`, "NUL"},
		{`{"a":"\ud800"}`, "not valid JSON"},
		{`{"to":"a@example.com","transactional_message_id":1}`, "identifiers"},
		{`{"identifiers":{},"to":"a@example.com","transactional_message_id":1}`, "identifiers"},
		{`{"identifiers":{"id":"1","email":"a@example.com"},"to":"a@example.com","transactional_message_id":1}`, "identifiers"},
		{`{"identifiers":{"phone":"1"},"to":"a@example.com","transactional_message_id":1}`, "identifiers.phone"},
		{`{"identifiers":{"email":"nobody"},"to":"a@example.com","transactional_message_id":1}`, "identifiers.email"},
		{`{"identifiers":{"id":["1"]},"to":"a@example.com","transactional_message_id":1}`, "identifiers.id"},
		{`{"identifiers":{"id":"` + strings.Repeat("x", 151) + `"},"to":"a@example.com","transactional_message_id":1}`, "identifiers.id"},
		{`{"identifiers":{"id":"1"},"transactional_message_id":1}`, "to"},
		{`{"identifiers":{"id":"1"},"to":"nobody","transactional_message_id":1}`, "to"},
		{`{"identifiers":{"id":"1"},"to":"` + many + `","transactional_message_id":1}`, "16 recipients"},
		{`{"identifiers":{"id":"1"},"to":"a@example.com\nBcc: x@example.com","transactional_message_id":1}`, "to"},
		{`{"identifiers":{"id":"1"},"to":"a@example.com","transactional_message_id":99}`, "transactional_message_id"},
		{`{"identifiers":{"id":"1"},"to":"a@example.com","transactional_message_id":"nothing"}`, "transactional_message_id"},
		{`{"identifiers":{"id":"1"},"to":"a@example.com","transactional_message_id":1.5}`, "transactional_message_id"},
		{`{"identifiers":{"id":"1"},"to":"a@example.com","transactional_message_id":true}`, "transactional_message_id"},
		{`{"identifiers":{"id":"1"},"to":"a@example.com","subject":"s","body":"b"}`, "from"},
		{`{"identifiers":{"id":"1"},"to":"a@example.com","from":"hello","body":"b"}`, "subject"},
		{`{"identifiers":{"id":"1"},"to":"a@example.com","from":"hello","subject":"s"}`, "body"},
		{`{"identifiers":{"id":"1"},"to":"a@example.com","from":"nosuch","subject":"s","body":"b"}`, "from"},
		{`{"identifiers":{"id":"1"},"to":"a@example.com","from":9,"subject":"s","body":"b"}`, "from"},
		{`{` + whole + `,"subject":"{{ broken"}`, "subject"},
		{`{` + whole + `,"body":"{% if %}"}`, "body"},
		{`{` + whole + `,"subject":1}`, "subject"},
		{`{` + whole + `,"message_data":[1]}`, "message_data"},
		{`{` + whole + `,"tracked":"maybe"}`, "tracked"},
		{`{` + whole + `,"send_at":"soon"}`, "send_at"},
		{`{` + whole + `,"send_at":1e400000}`, "send_at"},
		{`{` + whole + `,"send_at":1775174401}`, "send_at"},
		{`{` + whole + `,"send_at":1767312000000}`, "send_at"},
		{`{` + whole + `,"headers":"{"}`, "headers"},
		{`{` + whole + `,"headers":1}`, "headers"},
		{`{` + whole + `,"headers":{"a b":"c"}}`, "headers"},
		{`{` + whole + `,"headers":{"X-A":"1\r\nBcc: x"}}`, "headers.X-A"},
		{`{` + whole + `,"headers":{"X-A":{}}}`, "headers.X-A"},
		{`{` + whole + `,"attachments":{"a.txt":"aGk="}}`, "attachments"},
		{`{` + whole + `,"queue_draft":true}`, "queue_draft"},
		{`{` + whole + `,"language":"d e"}`, "language"},
		{`{` + whole + `,"auto_create":true}`, "auto_create"},
		{`{` + whole + `,"body_amp":"<html>"}`, "body_amp"},
	} {
		s := newSurface(t, db, db, false)
		w := s.send(t, http.MethodPost, "/v1/send/email", c.body)
		var body struct{ Meta struct{ Error string } }
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != http.StatusBadRequest || !strings.Contains(body.Meta.Error, c.field) || len(s.log.ops) > 0 {
			t.Errorf("%.120s\n= %d %s, %d ops; want 400 that names %s", c.body, w.Code, w.Body, len(s.log.ops), c.field)
		}
	}
}

// TestSendLogDown answers 503 in the shape of the endpoint, with a time to come back.
func TestSendLogDown(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.Options(t, storetest.SQLite))
	seed(t, db)
	for _, fail := range []error{errors.New("broken pipe"), fault.New(fault.Unavailable, "the log is full")} {
		s := newSurface(t, db, db, false)
		s.log.fail = fail
		w := s.send(t, http.MethodPost, "/v1/send/email", `{"identifiers":{"id":"1"},"to":"a@example.com","from":"a@example.com","subject":"s","body":"b"}`)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "pipe") {
			t.Errorf("%v: %d %q %s", fail, w.Code, w.Header().Get("Retry-After"), w.Body)
		}
	}
}

func live(tb testing.TB, db *store.DB) (*apitest.World, *surface) {
	tb.Helper()
	w := apitest.New(tb, db)
	mux, err := api.NewMux(api.Options{Keys: w.Keys, Now: w.Now, Log: quiet()},
		app.Routes(app.Options{Store: db, Log: w, Secret: db.Secret(), Fresh: w.Fresh, Applied: w.Applied}))
	if err != nil {
		tb.Fatal(err)
	}
	return w, &surface{mux: mux}
}

// call sends a request with the World's key and decodes the answer.
func call[T any](tb testing.TB, s *surface, method, path, body string, status int) T {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+apitest.AppKey)
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	var out T
	if w.Code != status {
		tb.Fatalf("%s %s = %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			tb.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
		}
	}
	return out
}

// TestSegmentLife creates a manual segment, fills, reads and deletes it, each seen at once by the next call.
func TestSegmentLife(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		w, s := live(t, db)
		made := call[app.SegmentAnswer](t, s, "POST", "/v1/segments", `{"segment":{"name":"Über VIPs!","description":"d"}}`, 200).Segment
		if made.ID == 0 || made.Name != "Über VIPs!" || made.Type != "manual" || made.State != "finished" {
			t.Errorf("created %+v", made)
		}
		twin := call[app.SegmentAnswer](t, s, "POST", "/v1/segments", `{"segment":{"name":"Über VIPs!"}}`, 200).Segment
		if twin.ID == made.ID {
			t.Errorf("a second segment of the same name is the first one: %+v", twin)
		}
		w.Do(w.Identify("7", `{"email":"g@example.com"}`), w.Op(ingest.SegmentAdd, ingest.SegmentPayload{Segment: made.ID, People: []ingest.By{{ID: "7"}}}))
		path := fmt.Sprintf("/v1/segments/%d", made.ID)
		if n := call[app.CountAnswer](t, s, "GET", path+"/customer_count", "", 200).Count; n != 1 {
			t.Errorf("customer_count = %d, want 1", n)
		}
		if ids := call[app.MembersAnswer](t, s, "GET", path+"/membership", "", 200).IDs; !cmp.Equal(ids, []string{"7"}) {
			t.Errorf("membership = %q", ids)
		}
		call[any](t, s, "DELETE", path, "", 204)
		call[any](t, s, "GET", path, "", 404)
		if got := call[app.PersonSegmentsAnswer](t, s, "GET", "/v1/customers/7/segments", "", 200).Segments; len(got) != 0 {
			t.Errorf("segments of 7 = %+v, want none", got)
		}
	})
}

// TestPreview: a condition on a campaign's messages is counted from history; warnings and errors have the place within the conditions.
func TestPreview(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		w, s := live(t, db)
		w.Define(`schema: 1
workspace: acme
senders: [{id: hello, email: hello@acme.example}]
campaigns:
  - id: welcome
    state: running
    trigger: {event: signed_up}
    workflow: [{id: hi, email: {from: hello, to: "{{customer.email}}", subject: Hi, body: <p>Hi</p>}}]
`)
		w.Do(w.Identify("1", `{"email":"a@example.com"}`), w.Identify("2", `{"email":"b@example.com"}`), w.Event("1", "signed_up", `{}`))
		w.Sent(1)
		const ask = `{"conditions":{"any":[{"message":"sent","campaign":%q},{"event":"signed_upp"}]}}`
		got := call[app.PreviewAnswer](t, s, "POST", "/v1/segments/preview", fmt.Sprintf(ask, "welcome"), 200)
		if got.Count != 1 || got.People != 2 || len(got.Identifiers) != 1 || *got.Identifiers[0].ID != "1" || *got.Tree.Parts[0].Count != 1 {
			t.Errorf("preview = %+v", got)
		}
		want := []app.Warning{{Field: "conditions.any[1].event", Message: `no event "signed_upp" was seen; did you mean signed_up?`}}
		if diff := cmp.Diff(want, got.Warnings); diff != "" {
			t.Errorf("warnings (-want +got):\n%s", diff)
		}
		type detail struct{ Detail string }
		refused := call[struct{ Errors []detail }](t, s, "POST", "/v1/segments/preview", fmt.Sprintf(ask, "welcom"), 400)
		if diff := cmp.Diff([]detail{{"conditions.any[0].campaign: there is no campaign welcom, did you mean welcome?"}}, refused.Errors); diff != "" {
			t.Errorf("an unknown campaign (-want +got):\n%s", diff)
		}
	})
}

// TestSendBecomesDelivery holds the answered delivery id to that of the row that the engine makes.
func TestSendBecomesDelivery(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		w, s := live(t, db)
		sent := call[app.SendAnswer](t, s, "POST", "/v1/send/email",
			`{"identifiers":{"email":"new@example.com"},"to":"new@example.com","from":"a@example.com","subject":"s","body":"b","headers":{},"attachments":{}}`, 200)
		op := w.Ops()[0]
		if want := id.Delivery(db.Secret(), w.Workspace.ID, "op:"+op.ID); sent.DeliveryID != want {
			t.Errorf("delivery_id = %s, want %s", sent.DeliveryID, want)
		}
		got := call[app.MessageAnswer](t, s, "GET", "/v1/messages/"+sent.DeliveryID, "", 200).Message
		if got.ID != sent.DeliveryID || got.Identifiers.Email == nil || *got.Identifiers.Email != "new@example.com" {
			t.Errorf("message = %+v", got)
		}
	})
}

// TestReadYourWrites reads an attribute right after the write was acknowledged.
func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		w, s := live(t, db)
		for i := range 50 {
			if _, err := w.Append(t.Context(), 0, w.Identify("7", fmt.Sprintf(`{"n":%d}`, i))); err != nil {
				t.Fatal(err)
			}
			if got := call[app.CustomerAnswer](t, s, "GET", "/v1/customers/7/attributes", "", 200).Customer.Attributes["n"]; got != fmt.Sprint(i) {
				t.Fatalf("n = %s right after it was set to %d", got, i)
			}
		}
	})
}

// TestMembershipWhileChanging pages 10,000 people while half of them leave, come back or are deleted: each of the others
// is listed exactly once.
func TestMembershipWhileChanging(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		const people, step = 10_000, 1000
		w, s := live(t, db)
		seg := call[app.SegmentAnswer](t, s, "POST", "/v1/segments", `{"segment":{"name":"all"}}`, 200).Segment.ID
		by := func(i int) ingest.By { return ingest.By{ID: fmt.Sprintf("p%d", i)} }
		for at := 0; at < people; at += step {
			var ops []ingest.Op
			var who []ingest.By
			for i := at; i < at+step; i++ {
				ops, who = append(ops, w.Identify(by(i).ID, `{}`)), append(who, by(i))
			}
			w.Do(append(ops, w.Op(ingest.SegmentAdd, ingest.SegmentPayload{Segment: seg, People: who}))...)
		}
		r := rand.New(rand.NewPCG(1, 2))
		seen := map[string]int{}
		for next, pages := "", 0; ; pages++ {
			page := call[app.MembersAnswer](t, s, "GET", fmt.Sprintf("/v1/segments/%d/membership?limit=%d&start=%s", seg, 97+r.IntN(500), next), "", 200)
			for _, id := range page.IDs {
				seen[id]++
			}
			if next = page.Next; next == "" {
				break
			}
			change(w, r, seg, people, by)
		}
		for i := 1; i < people; i += 2 { // those with odd numbers never changed
			if n := seen[by(i).ID]; n != 1 {
				t.Fatalf("%s was listed %d times, want once", by(i).ID, n)
			}
		}
	})
}

// change moves some people with even numbers.
func change(w *apitest.World, r *rand.Rand, seg int64, people int, by func(int) ingest.By) {
	var out, in []ingest.By
	var ops []ingest.Op
	for range 100 {
		who := by(2 * r.IntN(people/2))
		switch r.IntN(5) {
		case 0:
			ops = append(ops, w.Op(ingest.Delete, ingest.PersonPayload{By: who}))
		case 1, 2:
			out = append(out, who)
		default:
			in = append(in, who)
		}
	}
	w.Do(append(ops, w.Op(ingest.SegmentDrop, ingest.SegmentPayload{Segment: seg, People: out}), w.Op(ingest.SegmentAdd, ingest.SegmentPayload{Segment: seg, People: in}))...)
}

// TestTimelinePages walks a person's activities and the workspace's in pages of several sizes, with and without filters:
// the pages together are the list.
func TestTimelinePages(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		w, s := live(t, db)
		var want []string
		var ops []ingest.Op
		for i := range 1300 { // more than one stretch of the walk
			who, name := fmt.Sprint(i%3), "common"
			if i%100 == 0 {
				who, name = "1", "rare"
				want = append(want, fmt.Sprint(i))
			}
			ops = append(ops, w.Event(who, name, fmt.Sprintf(`{"i":%d}`, i)))
		}
		w.Do(ops...)
		slices.Reverse(want)
		for _, path := range []string{"/v1/activities?", "/v1/customers/1/activities?", "/v1/activities?customer_id=1&"} {
			for _, limit := range []int{1, 3, 100} {
				var got []string
				for next := ""; ; {
					page := call[app.ActivitiesAnswer](t, s, "GET", fmt.Sprintf("%stype=event&name=rare&limit=%d&start=%s", path, limit, next), "", 200)
					for _, a := range page.Activities {
						got = append(got, a.Data.Get("i").Text())
					}
					if next = page.Next; next == "" {
						break
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s limit %d (-want +got):\n%s", path, limit, diff)
				}
			}
		}
		seen := map[string]bool{}
		for next := ""; ; {
			page := call[app.ActivitiesAnswer](t, s, "GET", "/v1/activities?limit=77&start="+next, "", 200)
			for _, a := range page.Activities {
				if seen[a.ID] {
					t.Fatalf("activity %s twice", a.ID)
				}
				seen[a.ID] = true
			}
			if next = page.Next; next == "" {
				break
			}
		}
		if len(seen) != 1303 { // and three people created
			t.Errorf("%d activities, want 1303", len(seen))
		}
	})
}

// FuzzStart sends made-up cursors: 200 for our own, 400 for all others, never a 500.
func FuzzStart(f *testing.F) {
	db := storetest.Open(f, storetest.Options(f, storetest.SQLite))
	seed(f, db)
	s := newSurface(f, db, db, false)
	for _, c := range []string{"", "x", "AAAAAAAAAAAAAAAAAAAA", "MQ", "%00"} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, start string) {
		for _, path := range []string{"/v1/activities", "/v1/messages", "/v1/segments/2/membership", "/v1/customers/1/activities"} {
			w := s.send(t, http.MethodGet, path+"?start="+url.QueryEscape(start), "")
			if want := http.StatusBadRequest; start != "" && w.Code != want || start == "" && w.Code != http.StatusOK {
				t.Errorf("%s start %q = %d %s", path, start, w.Code, w.Body)
			}
		}
	})
}

// FuzzSend sends made-up bodies: an op that decodes, or an error; never a 500.
func FuzzSend(f *testing.F) {
	db := storetest.Open(f, storetest.Options(f, storetest.SQLite))
	seed(f, db)
	for _, c := range []string{
		`{}`, `{"identifiers":{"id":"1"},"to":"a@example.com","transactional_message_id":"1"}`,
		`{"identifiers":{"email":"a@example.com"},"to":"a@example.com","from":"hello","subject":"s","body":"b","headers":"[{\"name\":\"X\",\"value\":\"y\"}]"}`,
		`{"identifiers":{"id":1},"to":"A <a@example.com>, b@example.com","transactional_message_id":"RECEIPT","send_at":1767400000,"message_data":{"a":[1]}}`,
	} {
		f.Add([]byte(c))
	}
	s := newSurface(f, db, db, false)
	f.Fuzz(func(t *testing.T, body []byte) {
		s.log.ops = nil
		w := s.send(t, http.MethodPost, "/v1/send/email", string(body))
		switch {
		case w.Code >= 500:
			t.Errorf("%d %s", w.Code, w.Body)
		case (w.Code == http.StatusOK) != (len(s.log.ops) == 1):
			t.Errorf("%d with %d ops", w.Code, len(s.log.ops))
		case w.Code == http.StatusOK:
			p, err := ingest.Decode[ingest.SendPayload](&s.log.ops[0])
			if err != nil || p.To == "" || p.By == (ingest.By{}) {
				t.Errorf("op %s: %v", s.log.ops[0].Payload, err)
			}
		}
	})
}
