package app_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/apitest"
	"rapport.example/internal/api/app"
	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/object"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

// everything leaves an activity of each kind that there is: ada lives, bob is deleted, eve suppressed.
func everything(w *apitest.World) {
	acme := object.Key{Type: 1, ID: "acme"}
	member := []ingest.Relation{{Object: acme, Attributes: value.Value(`{"role":"admin"}`)}}
	by := ingest.By{ID: "ada"}
	w.Do(
		w.Identify("ada", `{"plan":"free"}`), w.Identify("ada", `{"plan":"pro","email":"ada@example.com"}`),
		w.Event("ada", "signed_up", `{"plan":"free"}`),
		w.Op(ingest.Event, ingest.EventPayload{By: by, Type: uint8(event.Page), Name: "https://acme.example/plan"}),
		w.Op(ingest.Event, ingest.EventPayload{By: by, Type: uint8(event.Screen), Name: "plan"}),
		w.Op(ingest.AddDevice, ingest.DevicePayload{By: by, Token: "t", Platform: "ios"}),
		w.Op(ingest.Object, ingest.ObjectPayload{Object: acme, Attributes: value.Value(`{"plan":"team"}`)}),
		w.Op(ingest.Object, ingest.ObjectPayload{Object: acme, Attributes: value.Value(`{"plan":"big"}`)}),
		w.Op(ingest.Object, ingest.ObjectPayload{Object: object.Key{Type: 2, ID: "go"}}),
		w.Op(ingest.Relate, ingest.RelatePayload{By: by, Relations: member}),
		w.Op(ingest.Unrelate, ingest.RelatePayload{By: by, Relations: member}),
		w.Op(ingest.DeleteObject, ingest.ObjectPayload{Object: object.Key{Type: 1, ID: "none"}}),
		w.Op(ingest.DeleteObject, ingest.ObjectPayload{Object: object.Key{Type: 2, ID: "go"}}),
		w.Event("bob", "plan", `{}`), w.Op(ingest.Delete, ingest.PersonPayload{By: ingest.By{ID: "bob"}}),
		w.Op(ingest.Suppress, ingest.PersonPayload{By: ingest.By{ID: "eve"}}),
	)
}

// told is what an activity says, in a line.
func told(a app.Activity) string {
	who := "-"
	if a.CustomerID != nil {
		who = *a.CustomerID
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", a.Type, who, a.Name))
}

// walk is all pages of a list of activities.
func walk(tb testing.TB, s *surface, path string, limit int) (all []app.Activity) {
	tb.Helper()
	for next, n := "", 0; n < 10_000; n++ {
		page := call[app.ActivitiesAnswer](tb, s, "GET", fmt.Sprintf("%s&limit=%d&start=%s", path, limit, next), "", 200)
		all = append(all, page.Activities...)
		if next = page.Next; next == "" {
			return all
		}
	}
	tb.Fatalf("%s has no end", path)
	return nil
}

// TestActivitiesByType holds type, name and deleted to the activities that they select, in the workspace's list and in a person's.
func TestActivitiesByType(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		w, s := live(t, db)
		everything(w)
		sent := call[app.SendAnswer](t, s, "POST", "/v1/send/email",
			`{"identifiers":{"id":"ada"},"to":"ada@example.com","from":"a@example.com","subject":"s","body":"b"}`, 200)
		w.Sent(1)
		w.Do(w.Op(ingest.Metric, ingest.MetricPayload{Public: sent.DeliveryID, Metric: "opened"}))
		tests := []struct {
			query string
			want  []string
		}{
			{"type=event", []string{"event ada signed_up"}},
			{"type=page", []string{"page ada https://acme.example/plan"}},
			{"type=event&name=plan", nil}, // bob's went with him
			{"name=plan", []string{"screen ada plan", "attribute_change ada"}},
			{"name=signed_up", []string{"event ada signed_up"}},
			{"type=attribute_change&name=email", []string{"attribute_change ada"}},
			{"type=attribute_change&name=nothing", nil},
			{"type=profile_create", []string{"profile_create ada"}},
			{"type=device_change", []string{"device_change ada added"}},
			{"type=profile_delete", []string{"profile_delete -"}},
			{"type=profile_delete&deleted=false", []string{"profile_delete -"}},
			{"type=suppressed", []string{"suppressed -"}},
			{"type=failed_attribute_change", []string{"failed_attribute_change -"}},
			{"type=add_relationship", []string{"add_relationship ada"}},
			{"type=_o:1:add_relationship", []string{"_o:1:add_relationship ada"}},
			{"type=_o:2:add_relationship", nil},
			{"type=_o:1:delete_relationship", []string{"_o:1:delete_relationship ada"}},
			{"type=_o:1:create", []string{"_o:1:create -"}},
			{"type=_o:2:create", []string{"_o:2:create -"}},
			{"type=_o:1:attribute_change", []string{"_o:1:attribute_change -", "_o:1:attribute_change -"}},
			{"type=_o:1:delete", nil},
			{"type=_o:2:delete", []string{"_o:2:delete -"}},
			{"type=_r:1:attribute_change", nil},
			{"type=_o:3:create", nil},
			{"type=sent_email", []string{"sent_email ada"}},
			{"type=opened_email", []string{"opened_email ada"}},
			{"type=sent_email&name=x", nil},
			{"type=opened_push", nil},
			{"type=delivered_twilio", nil},
			{"type=skipped_update", nil},
			{"type=webhook_event", nil},
			{"type=secondary:opened_email", nil},
			{"type=triggered_email", nil},
			{"type=stripe_event", nil},
		}
		for _, tt := range tests {
			for _, limit := range []int{1, 100} {
				var got []string
				for _, a := range walk(t, s, "/v1/activities?"+tt.query, limit) {
					got = append(got, told(a))
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("%s, %d a page (-want +got):\n%s", tt.query, limit, diff)
				}
				want := slices.DeleteFunc(slices.Clone(tt.want), func(line string) bool { return !strings.Contains(line, " ada") })
				got = nil
				for _, a := range walk(t, s, "/v1/customers/ada/activities?"+tt.query, limit) {
					got = append(got, told(a))
				}
				if len(want)+len(got) > 0 && !slices.Equal(want, got) {
					t.Errorf("ada's %s, %d a page = %q, want %q", tt.query, limit, got, want)
				}
			}
		}
		for _, word := range []string{"nothing", "message", "sent_pigeon", "_o:1:nothing", "_o:0:create", "_o::create", "_o:<object_type_id>:create", "_r:1:create"} {
			call[any](t, s, "GET", "/v1/activities?type="+url.QueryEscape(word), "", 400)
			call[any](t, s, "GET", "/v1/customers/ada/activities?type="+url.QueryEscape(word), "", 400)
		}
	})
}

// TestRepeatedReports: a report that comes again is an activity like the first, and counts once for conditions; what an event's data say
// of themselves is theirs.
func TestRepeatedReports(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		w, s := live(t, db)
		w.Do(w.Identify("ada", `{"email":"ada@example.com"}`), w.Event("ada", "signed_up", `{"repeated":true}`))
		sent := call[app.SendAnswer](t, s, "POST", "/v1/send/email",
			`{"identifiers":{"id":"ada"},"to":"ada@example.com","from":"a@example.com","subject":"s","body":"b"}`, 200)
		w.Sent(1)
		for range 2 {
			w.Do(w.Op(ingest.Metric, ingest.MetricPayload{Public: sent.DeliveryID, Metric: "delivered"}))
		}
		report := fmt.Sprintf(`{"delivery_id":%q}`, sent.DeliveryID)
		for _, path := range []string{"/v1/activities", "/v1/customers/ada/activities"} {
			for typ, want := range map[string][]string{"delivered_email": {report, report}, "event": {`{"repeated":true}`}} {
				var got []string
				for _, a := range call[app.ActivitiesAnswer](t, s, "GET", path+"?type="+typ, "", 200).Activities {
					got = append(got, string(a.Data))
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s of %s (-want +got):\n%s", typ, path, diff)
				}
			}
		}
		got := call[app.PreviewAnswer](t, s, "POST", "/v1/segments/preview", `{"conditions":{"message":"delivered","exactly":1}}`, 200)
		if got.Count != 1 {
			t.Errorf("%d people had one message delivered, want 1: %+v", got.Count, got)
		}
	})
}

// TestActivitiesOfDeletedPeople lists what is left of people who were deleted where deleted asks for it, which names nobody.
func TestActivitiesOfDeletedPeople(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		w, s := live(t, db)
		everything(w)
		gone := func(a app.Activity) bool { return a.Type == "profile_delete" || a.Type == "suppressed" }
		with, without := walk(t, s, "/v1/activities?deleted=true", 7), walk(t, s, "/v1/activities?", 7)
		var left []string
		for _, a := range with {
			if gone(a) {
				left = append(left, told(a))
				if a.Identifiers != (app.Identifiers{}) || a.Data != nil || a.AnonymousID != "" {
					t.Errorf("%+v says more than that there was somebody", a)
				}
			}
		}
		if want := []string{"suppressed -", "profile_delete -"}; !slices.Equal(left, want) {
			t.Errorf("deleted=true lists %q of deleted people, want %q", left, want)
		}
		if diff := cmp.Diff(slices.DeleteFunc(with, gone), without); diff != "" {
			t.Errorf("without deleted (-want +got):\n%s", diff)
		}
		call[any](t, s, "GET", "/v1/activities?deleted=true&customer_id=bob", "", 404)
	})
}

// TestActivitiesByAttribute walks the changes of one attribute among many of others: the pages together are the list,
// though only the data of activities tell.
func TestActivitiesByAttribute(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		w, s := live(t, db)
		var ops []ingest.Op
		var want []string
		for i := range 900 {
			name := "common"
			if i%90 == 45 {
				name = "rare"
				want = append(want, fmt.Sprint(i))
			}
			ops = append(ops, w.Identify("1", fmt.Sprintf(`{%q:%d}`, name, i)))
		}
		w.Do(ops...)
		slices.Reverse(want)
		for _, path := range []string{"/v1/activities?name=rare", "/v1/activities?type=attribute_change&name=rare", "/v1/customers/1/activities?name=rare"} {
			for _, limit := range []int{1, 4, 100} {
				var got []string
				for _, a := range walk(t, s, path, limit) {
					got = append(got, string(a.Data.Get("rare").Get("to")))
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s limit %d (-want +got):\n%s", path, limit, diff)
				}
			}
		}
	})
}
