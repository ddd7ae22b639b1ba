package app_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/app"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

// TestOptouts sets, takes back and lists opt-outs; they go along with merges, also with what changed them in the same frame, and
// are gone with the person.
func TestOptouts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, s := live(t, db)
		w.Do(w.Identify("a", `{}`), w.Identify("b", `{}`), w.Identify("c", `{}`), w.Identify("d", `{}`))
		put := func(who, list string) {
			t.Helper()
			call[struct{}](t, s, http.MethodPut, "/v1/customers/"+who+"/optouts", `{"optouts":[`+list+`]}`, http.StatusNoContent)
		}
		want := func(who string, want ...app.Optout) {
			t.Helper()
			got := call[app.OptoutsAnswer](t, s, "GET", "/v1/customers/"+who+"/optouts", "", 200).Optouts
			if diff := cmp.Diff(append([]app.Optout{}, want...), got); diff != "" {
				t.Errorf("opt-outs of %s (-want +got):\n%s", who, diff)
			}
		}
		one, two, chat := app.Optout{Channel: "sms", From: "+15550100001"}, app.Optout{Channel: "sms", From: "+15550100002"}, app.Optout{Channel: "whatsapp", From: "shop"}
		put("a", `{"from":"+1 (555) 010-0001","optout":true},{"from":"shop","optout":true,"channel":"whatsapp"},{"from":"+15550100002","optout":true},{"from":"+15550100002","optout":false}`)
		put("b", `{"from":"+15550100001","optout":true},{"from":"+15550100002","optout":true}`)
		want("a", one, chat)
		want("b", one, two)
		want("c")
		put("b", `{"from":"+15550100001","optout":false},{"from":"+15550100009","optout":false}`)
		want("b", two)

		first := call[app.AllOptoutsAnswer](t, s, "GET", "/v1/optouts?limit=1", "", 200)
		second := call[app.AllOptoutsAnswer](t, s, "GET", "/v1/optouts?limit=1&start="+first.Next, "", 200)
		if len(first.Optouts) != 1 || *first.Optouts[0].CustomerID != "a" || len(second.Optouts) != 1 || *second.Optouts[0].CustomerID != "b" || second.Next != "" {
			t.Errorf("pages %+v, %+v", first, second)
		}
		if of := call[app.AllOptoutsAnswer](t, s, "GET", "/v1/optouts?from=%2B15550100002", "", 200).Optouts; len(of) != 1 || *of[0].CustomerID != "b" || !cmp.Equal(of[0].Optouts, []app.Optout{two}) {
			t.Errorf("of a sender %+v", of)
		}

		// In one frame: b takes two back and c opts out of one, d of all; then a becomes a part of b, and c of d.
		sets := func(who string, o app.Optout, out bool) ingest.Op {
			return w.Op(ingest.Optouts, ingest.OptoutPayload{By: ingest.By{ID: who}, Optouts: []ingest.Optout{{Channel: o.Channel, From: o.From, Out: out}}})
		}
		merge := func(primary, secondary string) ingest.Op {
			return w.Op(ingest.Merge, ingest.MergePayload{Primary: ingest.By{ID: primary}, Secondary: ingest.By{ID: secondary}})
		}
		w.Do(sets("b", two, false), sets("b", one, false), sets("a", chat, false), sets("c", one, true), sets("d", two, true), merge("b", "a"), merge("d", "c"), sets("d", two, false), sets("d", chat, true))
		want("b", one) // a had opted out of it
		want("d", one, chat)
		w.Do(sets("d", one, false), merge("b", "d"), sets("b", one, false))
		want("b", chat)
		put("b", `{"from":"shop","optout":true}`)
		w.Do(w.Op(ingest.Delete, ingest.PersonPayload{By: ingest.By{ID: "b"}}))
		if left := call[app.AllOptoutsAnswer](t, s, "GET", "/v1/optouts", "", 200).Optouts; len(left) != 0 {
			t.Errorf("left %+v", left)
		}
		if rows, err := db.Optouts(t.Context(), 1, "", 0, 10); err != nil || len(rows) != 0 {
			t.Errorf("rows %+v, %v", rows, err)
		}
	})
}
