package apitest_test

import (
	"log/slog"
	"maps"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"rapport.example/internal/api"
	"rapport.example/internal/api/track"
	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/object"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestStrict asks for what cannot be applied: accepted with an activity, refused in strict mode without one. What can be
// applied is taken in both.
func TestStrict(t *testing.T) {
	t.Parallel()
	const unknown, segments = "cio_aaaaaaaaaaaaaaaa", "schema: 1\nworkspace: w\nsegments:\n  - id: hand\n    name: By hand\n    manual: true\n" +
		"  - id: paying\n    name: Paying\n    conditions: {attribute: plan, is: pro}\n"

	type call struct{ method, path, body string }
	v2 := func(text string) call { return call{"POST", "/api/v2/entity", text} }
	cases := map[string]struct {
		call   call
		status int // in strict mode
		says   string
	}{
		"event, cio_id":         {call{"POST", "/api/v1/customers/" + unknown + "/events", `{"name":"e"}`}, 404, "no such person"},
		"event":                 {call{"POST", "/api/v1/customers/new/events", `{"name":"e"}`}, 200, ""},
		"identify, cio_id":      {call{"PUT", "/api/v1/customers/" + unknown, `{"a":1}`}, 404, "no such person"},
		"identify, update":      {call{"PUT", "/api/v1/customers/new", `{"a":1,"_update":true}`}, 404, "_update"},
		"identify, update ada":  {call{"PUT", "/api/v1/customers/new", `{"a":1,"_update":true,"email":"ada@example.com"}`}, 404, "_update"},
		"identify, update bob":  {call{"PUT", "/api/v1/customers/new", `{"a":1,"_update":true,"email":"bob@example.com"}`}, 200, ""},
		"identify, reserved":    {call{"PUT", "/api/v1/customers/new", `{"_a":1}`}, 400, "must not start with _"},
		"identify":              {call{"PUT", "/api/v1/customers/new", `{"a":1}`}, 200, ""},
		"device, cio_id":        {call{"PUT", "/api/v1/customers/" + unknown + "/devices", `{"device":{"id":"t","platform":"ios"}}`}, 404, "no such person"},
		"device, none":          {call{"DELETE", "/api/v1/customers/ada/devices/t", ``}, 404, "no such device"},
		"merge, none":           {call{"POST", "/api/v1/merge_customers", `{"primary":{"id":"none"},"secondary":{"id":"ada"}}`}, 404, "primary"},
		"merge, other none":     {call{"POST", "/api/v1/merge_customers", `{"primary":{"id":"ada"},"secondary":{"id":"none"}}`}, 404, "secondary"},
		"merge, same":           {call{"POST", "/api/v1/merge_customers", `{"primary":{"id":"ada"},"secondary":{"id":"ada"}}`}, 400, "another person"},
		"merge, v2":             {v2(`{"type":"person","action":"merge","primary":{"id":"none"},"secondary":{"id":"ada"}}`), 404, "no such person"},
		"delete":                {call{"DELETE", "/api/v1/customers/nobody", ``}, 404, "no such person"},
		"unsuppress":            {call{"POST", "/api/v1/customers/ada/unsuppress", ``}, 404, "not suppressed"},
		"suppress":              {call{"POST", "/api/v1/customers/new/suppress", ``}, 200, ""},
		"suppressed event":      {call{"POST", "/api/v1/customers/gone/events", `{"name":"e"}`}, 409, "suppressed"},
		"suppressed identify":   {call{"PUT", "/api/v1/customers/gone", `{"a":1}`}, 409, "suppressed"},
		"suppressed device":     {call{"PUT", "/api/v1/customers/gone/devices", `{"device":{"id":"t","platform":"ios"}}`}, 409, "suppressed"},
		"suppressed form":       {call{"POST", "/api/v1/forms/f/submit", `{"data":{"id":"gone"}}`}, 409, "suppressed"},
		"form":                  {call{"POST", "/api/v1/forms/f/submit", `{"data":{"id":"new"}}`}, 204, ""},
		"segment, none":         {call{"POST", "/api/v1/segments/99/add_customers", `{"ids":["ada"]}`}, 404, "no such segment"},
		"segment, by condition": {call{"POST", "/api/v1/segments/2/add_customers", `{"ids":["ada"]}`}, 400, "not manual"},
		"segment":               {call{"POST", "/api/v1/segments/1/add_customers", `{"ids":["ada"]}`}, 200, ""},
		"delivery, v2":          {v2(`{"type":"delivery","action":"event","identifiers":{"id":"none"},"name":"opened","attributes":{"device_token":"t"}}`), 404, "no such delivery"},
		"object, cio":           {v2(`{"type":"object","action":"identify","identifiers":{"cio_object_id":"none"},"attributes":{"a":"1"}}`), 404, "no such object"},
		"object":                {v2(`{"type":"object","action":"identify","identifiers":{"object_type_id":"1","object_id":"new"},"attributes":{"a":"1"}}`), 200, ""},
		"object, delete none":   {v2(`{"type":"object","action":"delete","identifiers":{"object_type_id":"1","object_id":"none"}}`), 404, "no such object"},
		"object, suppressed":    {v2(`{"type":"object","action":"add_relationships","identifiers":{"object_type_id":"1","object_id":"acme"},"cio_relationships":[{"identifiers":{"id":"gone"}}]}`), 409, "suppressed"},
		"object, person's cio":  {v2(`{"type":"object","action":"add_relationships","identifiers":{"object_type_id":"1","object_id":"acme"},"cio_relationships":[{"identifiers":{"cio_id":"` + unknown[4:] + `"}}]}`), 404, "no such person"},
		"unrelate, none":        {v2(`{"type":"person","action":"delete_relationships","identifiers":{"id":"bob"},"cio_relationships":[{"identifiers":{"object_type_id":"1","object_id":"acme"}}]}`), 404, "no such relationship"},
		"identify and relate":   {v2(`{"type":"person","action":"identify","identifiers":{"id":"ada"},"attributes":{"b":1},"cio_relationships":[{"identifiers":{"cio_object_id":"none"}}]}`), 404, "no such object"},
		"relate":                {v2(`{"type":"person","action":"add_relationships","identifiers":{"id":"new"},"cio_relationships":[{"identifiers":{"object_type_id":"1","object_id":"acme"}}]}`), 200, ""},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newNodes(t, db)
		n.Define(segments)
		n.Do(n.Identify("ada", `{"email":"ada@example.com"}`), n.Op(ingest.Identify, ingest.IdentifyPayload{By: ingest.By{Email: "bob@example.com"}}),
			n.Op(ingest.Suppress, ingest.PersonPayload{By: ingest.By{ID: "gone"}}),
			n.Op(ingest.Object, ingest.ObjectPayload{Object: object.Key{Type: 1, ID: "acme"}}))
		mux, err := api.NewMux(api.Options{Keys: n.Keys, Now: n.Now, Log: slog.New(slog.DiscardHandler)},
			track.Routes(track.Options{Log: n, Keys: n.Keys, Deliveries: db, State: db, Fresh: n.Fresh}))
		if err != nil {
			t.Fatal(err)
		}
		before := 0
		for i, name := range slices.Sorted(maps.Keys(cases)) {
			tt := cases[name]
			for _, strict := range []string{"1", "0"} {
				who := "new" + strconv.Itoa(i)
				r := httptest.NewRequestWithContext(t.Context(), tt.call.method, strings.Replace(tt.call.path, "new", who, 1), strings.NewReader(strings.Replace(tt.call.body, "new", who, 1)))
				r.SetBasicAuth(site, trackKey)
				r.Header.Set("X-Strict-Mode", strict)
				w := httptest.NewRecorder()
				mux.ServeHTTP(w, r)
				failures, ok := 0, w.Code/100 == 2
				if strict == "1" {
					ok = w.Code == tt.status
				} else if tt.status >= 300 {
					failures = 1
				}
				if !ok || strict == "1" && !strings.Contains(w.Body.String(), tt.says) {
					t.Errorf("%s, strict %s: %d %s, want %d %q, or else 2xx", name, strict, w.Code, w.Body, tt.status, tt.says)
				}
				got := n.count(event.FailedChange, event.FailedEvent)
				if got-before != failures {
					t.Errorf("%s, strict %s: %d activities of failure, want %d", name, strict, got-before, failures)
				}
				before = got
			}
		}
	})
}
