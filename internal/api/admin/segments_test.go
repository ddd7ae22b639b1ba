package admin_test

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/api/app"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

const segmentsFile = `schema: 1
workspace: acme
segments:
  - {id: staff, manual: true}
  - id: paying
    name: Paying
    conditions: {all: [{attribute: plan, is: pro}, {not: {segment: staff}}]}
  - id: big
    conditions: {attribute: seats, at_least: 3}
campaigns:
  - id: onboarding
    state: running
    trigger: {enters_segment: paying}
    workflow: [{id: wait, delay: 3d}]
`

// seeded has six people: 1 to 4 are pro, 4 to 6 have three seats or more, and 1 is staff.
func seeded(t *testing.T, db *store.DB) *server {
	t.Helper()
	s := newServer(t, db, nil)
	call[any](s, "POST", "apply", admin.ApplyRequest{YAML: segmentsFile}, 200)
	for i := 1; i <= 6; i++ {
		plan := "free"
		if i <= 4 {
			plan = "pro"
		}
		s.Do(s.Identify(fmt.Sprint(i), fmt.Sprintf(`{"plan":%q,"seats":%d,"email":"p%d@example.com"}`, plan, i-1, i)))
	}
	s.Do(s.Op(ingest.SegmentAdd, ingest.SegmentPayload{Segment: 1, People: []ingest.By{{ID: "1"}}}))
	return s
}

// TestSegments: what segments are, how many are in them, and what uses them.
func TestSegments(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := seeded(t, db)
		got := call[admin.SegmentsAnswer](s, "GET", "segments?limit=2", nil, 200)
		more := call[admin.SegmentsAnswer](s, "GET", "segments?limit=2&start="+url.QueryEscape(got.Next), nil, 200)
		var said []string
		for _, g := range slices.Concat(got.Segments, more.Segments) {
			users := []string{}
			for _, u := range g.UsedBy {
				users = append(users, u.Kind+"."+u.Slug)
			}
			said = append(said, fmt.Sprintf("%s %s %s %d used by %s: %s", g.Slug, g.Type, g.State, g.Count, users, g.Sentence))
		}
		want := []string{
			"staff manual finished 1 used by [segments.paying]: ",
			`paying dynamic finished 3 used by [campaigns.onboarding]: plan is "pro", and not (in segment staff)`,
			"big dynamic finished 3 used by []: seats is at least 3",
		}
		if diff := cmp.Diff(want, said); diff != "" || more.Next != "" {
			t.Errorf("segments (-want +got):\n%s\nthen %q", diff, more.Next)
		}
		one := call[admin.SegmentDetail](s, "GET", "segments/paying", nil, 200)
		tree := &app.Line{Condition: "all of", Parts: []app.Line{
			{Condition: `plan is "pro"`}, {Condition: "none of", Parts: []app.Line{{Condition: "in segment staff"}}},
		}}
		if diff := cmp.Diff(tree, one.Tree); diff != "" || one.Definition.Get("id").Text() != "paying" || one.Updated == 0 {
			t.Errorf("paying = %+v (-want +got):\n%s", one, diff)
		}
		if byNumber := call[admin.SegmentDetail](s, "GET", fmt.Sprint("segments/", one.ID), nil, 200); byNumber.Slug != "paying" {
			t.Errorf("by number = %+v", byNumber)
		}
		over := call[admin.OverlapAnswer](s, "GET", "segments/paying/overlap?with=big", nil, 200)
		if over.Count != 3 || over.Other != 3 || over.Both != 1 || over.With.Slug != "big" {
			t.Errorf("overlap = %+v", over)
		}
		for path, status := range map[string]int{
			"segments/none": 404, "segments/99": 404, "segments/paying/overlap": 400, "segments/paying/overlap?with=none": 400,
			"segments/none/members": 404, "segments/paying/members?start=x": 400, "segments/paying/counts?range=91d": 400,
			"segments/paying/counts?step=1m": 400, "segments/paying/counts?range=x": 400, "segments?workspace=none": 404,
		} {
			call[problem](s, "GET", path, nil, status)
		}
	})
}

// TestSegmentMembersWhilePaged: whoever stays in the segment is listed once, whatever happens to others between the pages.
func TestSegmentMembersWhilePaged(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := seeded(t, db)
		var got []string
		next := ""
		for page := 0; ; page++ {
			a := call[admin.MembersAnswer](s, "GET", "segments/paying/members?limit=1&start="+url.QueryEscape(next), nil, 200)
			for _, p := range a.People {
				got = append(got, p.ID)
			}
			if next = a.Next; next == "" {
				break
			}
			if page == 0 { // 2 was listed and leaves, and comes back behind the cursor; 7 comes
				s.Do(s.Identify("2", `{"plan":"free"}`), s.Identify("7", `{"plan":"pro"}`), s.Identify("2", `{"plan":"pro"}`))
			}
		}
		if diff := cmp.Diff([]string{"2", "3", "4", "7"}, got); diff != "" {
			t.Errorf("members (-want +got):\n%s", diff)
		}
	})
}

// TestPreview: the count is exact, each line has its own, and the outermost all tells whom a line alone keeps out.
func TestPreview(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := seeded(t, db)
		ask := func(conditions string, samples int) admin.PreviewAnswer {
			return call[admin.PreviewAnswer](s, "POST", "segments/preview", app.PreviewRequest{Conditions: value.Value(conditions), Samples: &samples}, 200)
		}
		got := ask(`{"all":[{"attribute":"plan","is":"pro"},{"any":[{"attribute":"seats","at_least":3},{"segment":"staff"}]},{"event":"login"}]}`, 10)
		n := func(n int64) *int64 { return &n }
		want := app.Line{Condition: "all of", Count: n(0), Parts: []app.Line{
			{Condition: `plan is "pro"`, Count: n(4), Alone: n(0)},
			{Condition: "any of", Count: n(4), Alone: n(0), Parts: []app.Line{
				{Condition: "seats is at least 3", Count: n(3)}, {Condition: "in segment staff", Count: n(1)},
			}},
			{Condition: `event "login" happened at least once`, Count: n(0), Alone: n(2)},
		}}
		if diff := cmp.Diff(want, got.Tree); diff != "" || got.Count != 0 || got.People != 6 || len(got.Samples) != 0 {
			t.Errorf("preview = %+v (-want +got):\n%s", got, diff)
		}
		nobody := []app.Warning{{
			Field: "conditions.all[2].event", Message: `nobody meets: event "login" happened at least once (names and values are case-sensitive)`, // nobody had any event yet
		}}
		if diff := cmp.Diff(nobody, got.Warnings); diff != "" {
			t.Errorf("warnings (-want +got):\n%s", diff)
		}
		got = ask(`{"attribute":"seats","exists":true}`, 2)
		if got.Count != 6 || len(got.Samples) != 2 || got.Samples[0].ID == "" || got.Method != "scan" {
			t.Errorf("everybody = %+v", got)
		}
		for body, field := range map[string]string{
			`{}`:                                     "conditions",
			`{"conditions":{"all":[]}}`:              "conditions.all",
			`{"conditions":{"property":"x","is":1}}`: "conditions",
			`{"conditions":{"all":[{"attribute":"a","is":1},{"not":{"segment":"payin"}}]}}`: "conditions.all[1].not.segment",
			`{"conditions":{"any":[{"attributed":"a","is":1}]}}`:                            "conditions.any[0].attributed",
			`{"conditions":{"attribute":"a","is":1},"samples":1000}`:                        "samples",
		} {
			p := call[problem](s, "POST", "segments/preview", value.Value(body), 400)
			if p.Field != field || p.Detail == "" {
				t.Errorf("%s: %+v, want the field %s", body, p, field)
			}
		}
	})
}

// TestPreviewWarns: names that nobody was seen with are warned of with what is spelled alike, and lines that nobody or everybody meets, each with
// its place; a line that is true for some people shows that its name is right.
func TestPreviewWarns(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := seeded(t, db)
		s.Do(s.Event("1", "purchase", `{}`))
		old := []ingest.Op{} // more people than names are gathered from, without a plan
		for i := range 600 {
			old = append(old, s.Identify(fmt.Sprint("new", i), `{"place":"Oslo"}`))
		}
		for _, c := range []struct {
			conditions string
			want       []app.Warning
		}{
			{`{"all":[{"attribute":"plam","is":"pro"},{"any":[{"attribute":"seats","at_least":3},{"event":"purchas"}]}]}`, []app.Warning{
				{Field: "conditions.all[0].attribute", Message: "nobody was seen with an attribute plam; did you mean plan?"},
				{Field: "conditions.all[1].any[1].event", Message: `no event "purchas" was seen; did you mean purchase?`},
			}},
			{`{"none":[{"attribute":"plam","is_not":"pro"},{"event":"purchase","type":"page"},{"event":"purchas","not_performed":true,"within":"30d"}]}`, []app.Warning{
				{Field: "conditions.none[0].attribute", Message: "nobody was seen with an attribute plam; did you mean plan?"},
				{Field: "conditions.none[1].event", Message: `no page "purchase" was seen; did you mean the event of this name?`},
				{Field: "conditions.none[2].event", Message: `no event "purchas" was seen; did you mean purchase?`},
			}},
			{`{"all":[{"attribute":"plan","is":"Pro"},{"attribute":"email","exists":true},{"attribute":"plan","is":"pro"},{"device":true}]}`, []app.Warning{
				{Field: "conditions.all[0].attribute", Message: `nobody meets: plan is "Pro" (names and values are case-sensitive)`},
				{Field: "conditions.all[1].attribute", Message: "everybody meets: email is set"},
				{Field: "conditions.all[3].device", Message: "nobody meets: has a device (names and values are case-sensitive)"},
			}},
		} {
			got := call[admin.PreviewAnswer](s, "POST", "segments/preview", app.PreviewRequest{Conditions: value.Value(c.conditions)}, 200)
			if diff := cmp.Diff(c.want, got.Warnings); diff != "" {
				t.Errorf("%s: warnings (-want +got):\n%s", c.conditions, diff)
			}
		}
		s.Do(old...)
		got := call[admin.PreviewAnswer](s, "POST", "segments/preview", app.PreviewRequest{Conditions: value.Value(`{"all":[{"attribute":"plan","is":"pro"},{"attribute":"seatz","is":1}]}`)}, 200)
		want := []app.Warning{{Field: "conditions.all[1].attribute", Message: "nobody was seen with an attribute seatz"}} // nor with seats, of the newest
		if diff := cmp.Diff(want, got.Warnings); diff != "" || got.Tree.Parts[0].Count == nil || *got.Tree.Parts[0].Count != 4 {
			t.Errorf("of names that only old people have %+v (-want +got):\n%s", got, diff)
		}
	})
}

const welcomeFile = `schema: 1
workspace: acme
senders: [{id: hello, email: hello@acme.example}]
campaigns:
  - id: welcome
    state: running
    trigger: {event: signed_up}
    workflow: [{id: hi, email: {from: hello, to: "{{customer.email}}", subject: Hi, body: <p>Hi</p>}}]
`

// TestPreviewOfCampaign: a condition on the messages of a campaign is counted from history, and one that is not there is named with its place.
func TestPreviewOfCampaign(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := newServer(t, db, nil)
		call[any](s, "POST", "apply", admin.ApplyRequest{YAML: welcomeFile}, 200)
		s.Do(s.Identify("1", `{"email":"a@example.com"}`), s.Identify("2", `{"email":"b@example.com"}`), s.Identify("3", `{}`))
		s.Do(s.Event("1", "signed_up", `{}`), s.Event("2", "signed_up", `{}`))
		s.Sent(2)
		ask := func(campaign string) value.Value {
			return value.Value(`{"conditions":{"all":[{"attribute":"id","is_not":"2"},{"message":"sent","campaign":"` + campaign + `","action":"hi"}]}}`)
		}
		got := call[admin.PreviewAnswer](s, "POST", "segments/preview", ask("welcome"), 200)
		if parts := got.Tree.Parts; got.Count != 1 || got.People != 3 || len(got.Samples) != 1 || got.Samples[0].ID != "1" || *parts[1].Count != 2 || *parts[1].Alone != 1 {
			t.Errorf("preview = %+v", got)
		}
		for campaign, detail := range map[string]string{"welcom": "there is no campaign welcom, did you mean welcome?", "x": "there is no campaign x"} {
			if p := call[problem](s, "POST", "segments/preview", ask(campaign), 400); p.Field != "conditions.all[1].campaign" || p.Detail != p.Field+": "+detail {
				t.Errorf("%s: %+v", campaign, p)
			}
		}
	})
}

// TestSegmentCounts: the count of each step is what held then, and the last one is of now.
func TestSegmentCounts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Helper()
		s := seeded(t, db)
		hour := func() {
			call[any](s, "POST", "clock", admin.ClockRequest{Advance: "1h"}, 200)
		}
		for range 3 {
			hour()
		}
		s.Do(s.Identify("2", `{"plan":"free"}`))
		for range 3 {
			hour()
		}
		got := call[admin.CountsAnswer](s, "GET", "segments/paying/counts?range=1d&step=1h", nil, 200)
		var counts []int64
		for _, p := range got.Points {
			counts = append(counts, p.People)
		}
		if short := slices.Compact(slices.Clone(counts)); len(counts) < 6 || !slices.Equal(short, []int64{0, 3, 2}) { // 0 before there was anybody
			t.Errorf("counts = %v", counts)
		}
		if got.Step != int64(time.Hour/time.Second) || got.Until-got.Since != 24*3600 {
			t.Errorf("counts = %+v", got)
		}
	})
}
