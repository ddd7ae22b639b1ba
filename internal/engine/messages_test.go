package engine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/delivery"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

const aboutMessages = `
schema: 1
workspace: acme
senders: [{id: hello, email: hello@acme.example}]
segments:
  - {id: reached, conditions: {message: sent, campaign: onboarding, action: welcome}}
  - {id: readers, conditions: {message: opened, campaign: onboarding, within: 30d}}
  - {id: starters, conditions: {message: clicked, link: "https://acme.example/start", at_least: 2}}
  - {id: refused, conditions: {any: [{message: bounced}, {message: failed}, {message: suppressed}, {message: unsubscribed}]}}
  - {id: receipted, conditions: {message: sent, transactional: receipt}}
campaigns:
  - id: onboarding
    state: running
    trigger: {event: signed_up}
    workflow: [{id: welcome, email: {from: hello, to: "{{customer.email}}", subject: Welcome, body: Hello}}]
  - id: thanks
    state: running
    trigger: {enters_segment: readers}
    workflow: [{id: thank, email: {from: hello, to: "{{customer.email}}", subject: Thanks, body: Thank you}}]
transactional:
  - {id: receipt, from: hello, subject: Receipt, body: Paid}
`

// started begins the onboarding of a person, whose welcome is in flight then.
func started(w *world, who string) *mail {
	w.t.Helper()
	w.identify(who, `{"email":"`+who+`@example.com"}`)
	w.track(who, "signed_up", "")
	m := &mail{world: w, who: who}
	w.eventually("the welcome", func() bool {
		w.out.mu.Lock()
		defer w.out.mu.Unlock()
		i := slices.IndexFunc(w.out.jobs, func(j delivery.Job) bool { return j.Person.ID == who && j.Delivery.Action == "welcome" })
		if i >= 0 {
			m.public = w.out.jobs[i].Delivery.Public
		}
		return i >= 0
	})
	return m
}

func (m *mail) clicked(href string) ingest.Op {
	m.t.Helper()
	return m.op(ingest.Metric, ingest.MetricPayload{Public: m.public, Metric: "clicked", Href: href})
}

// isIn says which segments the person is in, by slug and in order.
func (w *world) isIn(who string) []string {
	w.t.Helper()
	var out []string
	d := w.person(who)
	set, _, err := w.db.DefinitionSets(w.t.Context(), w.ws)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range set.Segments() {
		if _, in := d.Member(s.ID); in {
			out = append(out, s.Slug)
		}
	}
	slices.Sort(out)
	return out
}

// TestMessageSegments walks from the send to the click: each report moves its segments at once, a campaign begins by one, and the
// window passes.
func TestMessageSegments(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(aboutMessages)
		m := started(w, "1")
		step := func(what string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, w.isIn("1")); diff != "" {
				t.Errorf("after %s (-want +got):\n%s", what, diff)
			}
		}
		step("the claim")
		w.do(m.outcome(m.claimed(), delivery.Sent, ""))
		step("the hand-over", "reached")
		w.do(m.clicked("https://acme.example/other"))
		step("a click, which is an open", "reached", "readers")
		w.eventually("thanks", func() bool { return slices.Contains(w.out.actions(), "thank") })
		w.do(m.clicked("https://acme.example/start"), m.report("opened", 0, ""))
		step("one click on the link", "reached", "readers")
		w.do(m.clicked("https://acme.example/start"))
		step("two", "reached", "readers", "starters")
		w.advance(30*24*time.Hour - time.Minute)
		step("almost 30 days", "reached", "readers", "starters")
		w.advance(time.Minute)
		step("30 days", "reached", "starters")
		w.do(m.report("opened", 0, ""))
		step("another open", "reached", "readers", "starters")
		w.do(m.report("unsubscribed", 0, ""))
		step("an unsubscribe", "reached", "readers", "refused", "starters")
		if got := w.out.actions(); !slices.Equal(got, []string{"welcome", "thank"}) { // by default once
			t.Errorf("messages %v", got)
		}
	})
}

// TestMessageRefused moves segments by what the engine decides itself: consent is looked at when a message is claimed, and an
// unsubscribe by way of a message is two things at once. What is said twice of a message counts once.
func TestMessageRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(aboutMessages)
		w.identify("1", `{"email":"1@example.com","unsubscribed":true}`)
		w.track("1", "signed_up", "")
		w.eventually("the suppression", func() bool { return slices.Contains(w.isIn("1"), "refused") })

		m := started(w, "2")
		w.do(m.outcome(m.claimed(), delivery.Failed, "refused"))
		if diff := cmp.Diff([]string{"refused"}, w.isIn("2")); diff != "" {
			t.Errorf("after a failure (-want +got):\n%s", diff)
		}
	})
}

// TestMessageOnce counts each message once, but for what people do with it.
func TestMessageOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(`
schema: 1
workspace: acme
segments:
  - {id: delivered1, conditions: {message: delivered, exactly: 1}}
  - {id: bounced1, conditions: {message: bounced, exactly: 1}}
  - {id: opened3, conditions: {message: opened, exactly: 3}}
  - {id: clicked2, conditions: {message: clicked, exactly: 2}}
  - {id: unsubscribed2, conditions: {message: unsubscribed, exactly: 2}}
`)
		m := newMail(w, "1")
		w.do(m.outcome(m.claimed(), delivery.Sent, ""))
		w.do(m.report("delivered", 0, ""), m.report("delivered", 0, ""), m.clicked(""), m.clicked(""), m.report("opened", 0, ""))
		w.do(m.report("delivered", 0, ""), m.report("opened", 0, ""), m.report("bounced", 0, ""), m.report("bounced", 0, ""))
		w.do(m.report("unsubscribed", 0, ""), m.report("resubscribed", 0, ""), m.report("unsubscribed", 0, ""))
		if diff := cmp.Diff([]string{"bounced1", "clicked2", "delivered1", "opened3", "unsubscribed2"}, w.isIn("1")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestMessageMerge brings what became of messages in the last 30 days, counted and not counted before, and a deletion takes it.
func TestMessageMerge(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		segments := func(more string) string {
			return "\nschema: 1\nworkspace: acme\nsegments:\n  - {id: opened2, conditions: {message: opened, exactly: 2}}\n" + more
		}
		w.apply(segments(""))
		w.identify("new", `{}`)
		w.advance(10 * 24 * time.Hour)
		m := newMail(w, "old")
		w.do(m.outcome(m.claimed(), delivery.Sent, ""), m.report("opened", 0, ""))
		w.advance(31 * 24 * time.Hour)
		w.do(m.report("opened", 0, ""), m.report("opened", 0, ""), m.report("delivered", 0, ""))
		w.do(w.op(ingest.Merge, ingest.MergePayload{Primary: ingest.By{ID: "new"}, Secondary: ingest.By{ID: "old"}}))
		if diff := cmp.Diff([]string{"opened2"}, w.isIn("new")); diff != "" {
			t.Errorf("after the merge (-want +got):\n%s", diff)
		}
		w.do(m.report("opened", 0, ""))
		w.apply(segments("  - {id: delivered1, conditions: {message: delivered, exactly: 1}}\n  - {id: opened3, conditions: {message: opened, exactly: 3}}\n"))
		if diff := cmp.Diff([]string{"delivered1", "opened3"}, w.isIn("new")); diff != "" {
			t.Errorf("after another open of the same message, and a new condition (-want +got):\n%s", diff)
		}
		// What is older than 30 days is left behind, though the message itself went along: it was not sent to this person as far as conditions
		// know, nor within a longer window, and what was known of it then is not reported anew. What happens to it from now on counts.
		w.do(m.report("sent", 0, ""), m.report("clicked", 0, ""))
		w.apply(segments("  - {id: sent1, conditions: {message: sent}}\n  - {id: unsent35, conditions: {message: sent, not_performed: true, within: 35d}}\n" +
			"  - {id: opened3, conditions: {message: opened, exactly: 3}}\n  - {id: clicked1, conditions: {message: clicked, exactly: 1}}\n  - {id: delivered1, conditions: {message: delivered}}\n"))
		if diff := cmp.Diff([]string{"clicked1", "delivered1", "opened3", "unsent35"}, w.isIn("new")); diff != "" {
			t.Errorf("of what is older (-want +got):\n%s", diff)
		}
		w.do(w.op(ingest.Delete, ingest.PersonPayload{By: ingest.By{ID: "new"}}), m.report("opened", 0, ""))
		if got := w.members("opened3") + w.members("delivered1"); got != 0 {
			t.Errorf("after the deletion %d members, want none", got)
		}
	})
}
