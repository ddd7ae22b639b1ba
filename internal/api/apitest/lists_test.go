package apitest_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"rapport.example/internal/api"
	"rapport.example/internal/api/apitest"
	"rapport.example/internal/api/app"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// lists are requests of every paged list of the App API, by route. A route that is built wants one here.
var lists = []struct{ route, target, body string }{
	{"POST /v1/customers", "/v1/customers", `{"filter":{"attribute":{"field":"plan","operator":"eq","value":"pro"}}}`},
	{"POST /v1/customers", "/v1/customers", `{"filter":{"and":[{"segment":{"id":1}},{"attribute":{"field":"email","operator":"exists"}}]}}`},
	{"GET /v1/segments/{segment_id}/membership", "/v1/segments/1/membership", ""},
	{"GET /v1/customers/{customer_id}/activities", "/v1/customers/s0/activities", ""},
	{"GET /v1/activities", "/v1/activities", ""},
	{"GET /v1/activities", "/v1/activities?type=event&name=look", ""},
	{"GET /v1/customers/{customer_id}/messages", "/v1/customers/s0/messages", ""},
	{"GET /v1/messages", "/v1/messages", ""},
	{"GET /v1/messages", "/v1/messages?metric=sent&type=email", ""},
	{"GET /v1/campaigns/{campaign_id}/messages", "/v1/campaigns/1/messages", ""},
	{"GET /v1/transactional/{transactional_id}/messages", "/v1/transactional/1/messages", ""},
	{"GET /v1/customers/{customer_id}/relationships", "/v1/customers/s0/relationships", ""},
	{"GET /v1/objects/{type_id}/{object_id}/relationships", "/v1/objects/1/hub/relationships", ""},
	{"GET /v1/optouts", "/v1/optouts", ""},
	{"GET /v1/optouts", "/v1/optouts?from=%2B15550100001", ""},
	{"GET /v1/sender_identities", "/v1/sender_identities?sort=desc", ""},
	{"POST /v1/objects", "/v1/objects", `{"object_type_id":"1","filter":{"object_attribute":{"field":"kind","operator":"exists"}}}`},
}

const listsFile = `schema: 1
workspace: lists
segments:
  - {id: team, manual: true}
senders:
  - {id: hello, name: Acme, email: hello@acme.example}
  - {id: t0, name: s0, email: s0@acme.example}
  - {id: t1, name: s1, email: s1@acme.example}
  - {id: t2, name: s2, email: s2@acme.example}
  - {id: t3, name: s3, email: s3@acme.example}
  - {id: t4, name: s4, email: s4@acme.example}
  - {id: t5, name: s5, email: s5@acme.example}
  - {id: t6, name: s6, email: s6@acme.example}
  - {id: t7, name: s7, email: s7@acme.example}
campaigns:
  - id: welcome
    state: running
    trigger: {event: join}
    frequency: every_time
    workflow:
      - {id: mail, email: {from: hello, to: "{{customer.email}}", subject: Hi, body: "<p>Hi</p>"}}
transactional:
  - {id: receipt, name: Receipt, from: hello, subject: Receipt, body: "<p>Thanks</p>"}
`

// walker reads lists of a workspace whose people s0, s1, … and objects o0, o1, … stay, while v0, v1, … and w0, w1, … come and go.
type walker struct {
	*nodes
	mux   *api.Mux
	built map[string]bool // routes
}

func newWalker(t *testing.T, db *store.DB) *walker {
	n := newNodes(t, db)
	w := &walker{n, n.node(), map[string]bool{}}
	for _, r := range w.mux.Routes() {
		w.built[r.Method+" "+r.Path] = r.Doc != app.NotBuilt
	}
	return w
}

// call sends a request, by a Track key to the Track API.
func (w *walker) call(method, target, body string) []byte {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, target, strings.NewReader(body))
	if strings.HasPrefix(target, "/api/") {
		r.SetBasicAuth(site, trackKey)
	} else {
		r.Header.Set("Authorization", "Bearer "+apitest.AppKey)
	}
	a := httptest.NewRecorder()
	if w.mux.ServeHTTP(a, r); a.Code/100 != 2 {
		w.t.Errorf("%s %s %s = %d %s", method, target, body, a.Code, a.Body) // writers have goroutines of their own
	}
	return a.Body.Bytes()
}

const person, thing = `{"type":"person","identifiers":{"id":%q},"action":%s}`, `{"type":"object","identifiers":{"object_type_id":"1","object_id":%q},"action":%s}`

func relates(action, object string) string {
	return fmt.Sprintf(`%q,"cio_relationships":[{"identifiers":{"object_type_id":"1","object_id":%q}}]`, action, object)
}

// come are the operations that make a person who is in every list, and an object of s0.
func come(who, what string) []string {
	return []string{
		fmt.Sprintf(person, who, fmt.Sprintf(`"identify","attributes":{"email":"%s@example.com","plan":"pro"}`, who)),
		fmt.Sprintf(person, who, relates("add_relationships", "hub")),
		fmt.Sprintf(person, who, `"event","name":"look"`), fmt.Sprintf(person, who, `"event","name":"join"`),
		fmt.Sprintf(thing, what, `"identify","attributes":{"kind":"x"}`), fmt.Sprintf(person, "s0", relates("add_relationships", what)),
	}
}

func (w *walker) batch(ops ...string) {
	w.t.Helper()
	w.call(http.MethodPost, "/api/v2/batch", `{"batch":[`+strings.Join(ops, ",")+`]}`)
}

func (w *walker) send(who string) {
	w.t.Helper()
	w.call(http.MethodPost, "/v1/send/email", fmt.Sprintf(`{"transactional_message_id":1,"to":"%s@example.com","identifiers":{"id":%q}}`, who, who))
}

func (w *walker) member(who, do string) {
	w.t.Helper()
	w.call(http.MethodPost, "/api/v1/segments/1/"+do+"_customers", fmt.Sprintf(`{"ids":[%q]}`, who))
}

func (w *walker) optOut(who string, sender int) {
	w.t.Helper()
	if w.built["GET /v1/optouts"] {
		w.call(http.MethodPut, "/v1/customers/"+who+"/optouts", fmt.Sprintf(`{"optouts":[{"channel":"sms","from":"+1555010000%d","optout":true}]}`, sender))
	}
}

// seed makes those who stay, and between them some who do not.
func (w *walker) seed() {
	w.t.Helper()
	w.Define(listsFile)
	const people = 8
	for i := range people {
		w.batch(append(come(fmt.Sprint("s", i), fmt.Sprint("o", i)), come(fmt.Sprint("v", i), fmt.Sprint("w", i))...)...)
		w.member(fmt.Sprint("s", i), "add")
		w.member(fmt.Sprint("v", i), "add")
		w.send(fmt.Sprint("s", i))
		w.send("s0")
		w.optOut(fmt.Sprint("s", i), 1)
		w.optOut(fmt.Sprint("v", i), 1)
	}
	w.Sent(2*people + 2*people)
}

// change does something that changes lists, but nothing of those who stay that lists show.
func (w *walker) change(draw func(n int) int) {
	n := draw(10)
	gone, stays := fmt.Sprint("v", n), fmt.Sprint("s", n%8)
	what := fmt.Sprint("w", n)
	switch []string{"come", "go", "look", "attribute", "part", "leave", "join", "send"}[draw(8)] {
	case "come":
		w.batch(come(gone, what)...)
		w.member(gone, "add")
	case "go":
		w.batch(fmt.Sprintf(person, gone, `"delete"`), fmt.Sprintf(thing, what, `"delete"`))
	case "look":
		w.batch(fmt.Sprintf(person, stays, `"event","name":"look"`), fmt.Sprintf(person, gone, `"event","name":"look"`))
	case "attribute":
		w.batch(fmt.Sprintf(person, stays, fmt.Sprintf(`"identify","attributes":{"n":%d}`, draw(1000))), fmt.Sprintf(person, gone, `"identify","attributes":{"plan":"free"}`))
		w.optOut(stays, draw(9))
	case "part":
		w.batch(fmt.Sprintf(person, gone, relates("delete_relationships", "hub")), fmt.Sprintf(person, "s0", relates("delete_relationships", what)))
	case "leave":
		w.member(gone, "remove")
	case "join":
		w.batch(fmt.Sprintf(person, stays, `"event","name":"join"`), fmt.Sprintf(person, gone, `"event","name":"join"`))
	case "send":
		w.send(gone)
		w.send(stays)
	}
}

// page reads one page: what its items are told apart by, and those of them that stay.
func (w *walker) page(method, target, body string) (all, staying []string, next string) {
	w.t.Helper()
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(w.call(method, target, body), &answer); err != nil {
		w.t.Fatal(err)
	}
	for _, name := range []string{"messages", "activities", "cio_relationships", "identifiers", "sender_identities", "optouts"} {
		var items []struct {
			ID          json.RawMessage
			CIO         string `json:"cio_id"`
			Object      string `json:"cio_object_id"`
			Identifiers struct {
				CIO    string `json:"cio_id"`
				Object string `json:"cio_object_id"`
			}
		}
		var raw []json.RawMessage
		if answer[name] == nil {
			continue
		}
		if err := json.Unmarshal(answer[name], &items); err != nil {
			w.t.Fatal(err)
		}
		if err := json.Unmarshal(answer[name], &raw); err != nil {
			w.t.Fatal(err)
		}
		for i, it := range items {
			key := strings.Join([]string{it.CIO, it.Object, it.Identifiers.CIO, it.Identifiers.Object}, "")
			if key == "" {
				key = string(it.ID)
			}
			all = append(all, key)
			if stay.Match(raw[i]) {
				staying = append(staying, key)
			}
		}
	}
	if err := json.Unmarshal(answer["next"], &next); err != nil {
		w.t.Fatalf("%s %s has no next: %v", method, target, err)
	}
	return all, staying, next
}

// stay finds the ids of those who stay.
var stay = regexp.MustCompile(`"[so]\d+"`)

// walk reads a list page by page, with something between the pages.
func (w *walker) walk(method, target, body string, limit int, between func()) (all, staying []string) {
	w.t.Helper()
	join := "?"
	if strings.Contains(target, "?") {
		join = "&"
	}
	next := ""
	for range 2000 {
		a, s, n := w.page(method, fmt.Sprintf("%s%slimit=%d&start=%s", target, join, limit, url.QueryEscape(next)), body)
		all, staying = append(all, a...), append(staying, s...)
		if next = n; next == "" {
			return all, staying
		}
		between()
	}
	w.t.Fatalf("%s %s does not end", method, target)
	return nil, nil
}

// TestListsWhileWritersRun walks every paged list while people, objects, memberships, relationships, events and messages come and
// go between the pages: what was there before and stays is listed exactly once, and nothing twice.
func TestListsWhileWritersRun(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWalker(t, db)
		w.complete()
		w.seed()
		for _, l := range lists {
			if !w.built[l.route] {
				continue
			}
			method, _, _ := strings.Cut(l.route, " ")
			rapid.Check(t, func(rt *rapid.T) {
				limit := rapid.SampledFrom([]int{1, 2, 3, 7, 20}).Draw(rt, "limit")
				_, before := w.walk(method, l.target, l.body, 100, func() {})
				if len(before) < 8 {
					rt.Fatalf("%s %s lists %d items that stay, want more", l.route, l.target, len(before))
				}
				left := 10 // writes, so that a list that grows at its end has one
				all, _ := w.walk(method, l.target, l.body, limit, func() {
					for n := rapid.IntRange(0, 2).Draw(rt, "changes"); n > 0 && left > 0; n, left = n-1, left-1 {
						w.change(func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "drawn") })
					}
				})
				if wrong := compare(before, all); wrong != "" {
					rt.Fatalf("%s %s in pages of %d: %s", l.route, l.target, limit, wrong)
				}
			})
		}
		w.race()
	})
}

// compare says what of a list is not as it must be: twice there, or gone though it stays.
func compare(before, all []string) string {
	times := map[string]int{}
	for _, key := range all {
		if times[key]++; times[key] > 1 {
			return key + " is listed twice"
		}
	}
	for _, key := range before {
		if times[key] != 1 {
			return fmt.Sprintf("%s, which stays, is listed %d times", key, times[key])
		}
	}
	return ""
}

// race walks every list while writers write at the same time. A page lets them begin one change each, so that lists do not grow
// faster than they are walked.
func (w *walker) race() {
	w.t.Helper()
	turns := make(chan struct{}, 2)
	var writers sync.WaitGroup
	defer writers.Wait()
	defer close(turns)
	for seed := range uint64(2) {
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(1, seed))
			for range turns {
				w.change(rnd.IntN)
			}
		})
	}
	for _, l := range lists {
		if !w.built[l.route] {
			continue
		}
		method, _, _ := strings.Cut(l.route, " ")
		_, before := w.walk(method, l.target, l.body, 100, func() {})
		left := 20
		turn := func() {
			for n := 0; n < 2 && left > 0; n++ {
				select {
				case turns <- struct{}{}:
					left--
				default: // they are at it
				}
			}
		}
		turn()
		all, _ := w.walk(method, l.target, l.body, 5, turn)
		if wrong := compare(before, all); wrong != "" {
			w.t.Errorf("%s %s while writers run: %s", l.route, l.target, wrong)
		}
	}
}

// complete asks for a request of every paged list that there is.
func (w *walker) complete() {
	w.t.Helper()
	have := []string{"GET /v1/broadcasts/{broadcast_id}/messages"} // nothing starts a broadcast yet, so that the list is empty
	for _, l := range lists {
		have = append(have, l.route)
	}
	for _, r := range w.mux.Routes() {
		v := reflect.ValueOf(r.Response)
		if !strings.HasPrefix(r.Path, "/v1/") || r.Doc == app.NotBuilt || v.Kind() != reflect.Struct {
			continue
		}
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if route := r.Method + " " + r.Path; name == "next" && !slices.Contains(have, route) {
				w.t.Fatalf("%s is a paged list that is not walked: add it to lists", route)
			}
		}
	}
}
