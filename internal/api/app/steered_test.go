package app_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/api/app"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

const steered = `schema: 1
workspace: acme
senders:
  - {id: hello, name: Acme, email: hello@acme.example}
  - {id: help, email: help@acme.example}
topics:
  - {id: news, name: News, languages: {de: {name: Neues, description: Jeden Monat}}}
  - {id: offers, subscribed_by_default: false}
campaigns:
  - id: welcome
    state: running
    trigger: {event: signed_up}
    frequency: every_time
    workflow:
      - id: who
        branch:
          - if: {attribute: plan, is: none}
            then: [{id: stop, exit: true}]
          - else:
              - id: mail
                email:
                  from: hello
                  to: "{{ customer.email }}"
                  subject: Hello
                  body: <p>Hello</p>
                  topic: news
                  languages: {de: {subject: Hallo}}
  - id: offer
    state: running
    trigger: {event: looked}
    frequency: every_time
    workflow: [{id: offer, email: {from: hello, to: "{{ customer.email }}", subject: Offer, body: Offer, topic: offers}}]
transactional:
  - {id: receipt, from: hello, subject: Receipt, body: Thanks, topic: news, languages: {de: {subject: Beleg, body: Danke}}}
`

// TestSteered changes what messages say over the API, and sees it in the next mails: in the person's language, and only to those
// who subscribed to the topic.
func TestSteered(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, s := live(t, db)
		w.Define(steered)
		w.Do(w.Identify("en", `{"email":"en@example.com"}`), w.Identify("de", `{"email":"de@example.com","language":"de"}`))
		subjects := func(n int) (out []string) {
			t.Helper()
			w.Sent(n)
			for _, j := range w.Jobs() {
				out = append(out, j.Person.ID+" "+j.Email.Subject)
			}
			slices.Sort(out)
			return out[:]
		}
		w.Do(w.Event("en", "signed_up", `{}`), w.Event("de", "signed_up", `{}`))
		if diff := cmp.Diff([]string{"de Hallo", "en Hello"}, subjects(2)); diff != "" {
			t.Errorf("before (-want +got):\n%s", diff)
		}
		campaigns := call[app.CampaignsAnswer](t, s, "GET", "/v1/campaigns", "", 200).Campaigns
		path := "/v1/campaigns/1/actions"
		actions := call[app.ActionsAnswer](t, s, "GET", path, "", 200).Actions
		if len(campaigns) != 2 || len(actions) != 1 || actions[0].Name != "mail" || *actions[0].TopicID != 1 {
			t.Fatalf("campaigns %+v, actions %+v", campaigns, actions)
		}
		one := path + "/" + string(rune('0'+actions[0].ID))
		changed := call[app.ActionAnswer](t, s, "PUT", one, `{"subject":"Hi","from_id":2,"headers":[{"name":"X-A","value":"b"}],"name":"ignored","id":7}`, 200).Action
		if changed.Subject != "Hi" || changed.From != "help@acme.example" || changed.Headers != `[{"name":"X-A","value":"b"}]` || changed.ID != actions[0].ID || changed.Name != "mail" {
			t.Errorf("changed %+v", changed)
		}
		if in := call[app.ActionAnswer](t, s, "PUT", one+"/language/de", `{"subject":"Servus"}`, 200).Action; in.Subject != "Servus" || in.Body != "<p>Hello</p>" || in.Language != "de" {
			t.Errorf("in German %+v", in)
		}
		w.Do(w.Event("en", "signed_up", `{}`), w.Event("de", "signed_up", `{}`))
		if diff := cmp.Diff([]string{"de Hallo", "de Servus", "en Hello", "en Hi"}, subjects(4)); diff != "" {
			t.Errorf("after (-want +got):\n%s", diff)
		}

		// Nobody subscribed to offers but en; de left news.
		w.Do(w.Identify("en", `{"cio_subscription_preferences.topics.topic_2":true}`), w.Identify("de", `{"cio_subscription_preferences":{"topics":{"topic_1":false}}}`))
		w.Do(w.Event("en", "looked", `{}`), w.Event("de", "looked", `{}`), w.Event("de", "signed_up", `{}`), w.Event("en", "signed_up", `{}`))
		if diff := cmp.Diff([]string{"de Hallo", "de Servus", "en Hello", "en Hi", "en Hi", "en Offer"}, subjects(6)); diff != "" {
			t.Errorf("by topic (-want +got):\n%s", diff)
		}
		left := call[app.MessagesAnswer](t, s, "GET", "/v1/customers/de/messages?limit=2", "", 200).Messages
		for _, m := range left {
			if m.Failure == nil || *m.Failure != "the person is not subscribed to the topic news" && *m.Failure != "the person is not subscribed to the topic offers" {
				t.Errorf("left out: %+v", m)
			}
		}
		topics := call[app.PreferencesAnswer](t, s, "GET", "/v1/customers/de/subscription_preferences", "", 200).Customer.Topics
		if diff := cmp.Diff([]app.PersonTopic{{ID: 1, Name: "News"}, {ID: 2, Name: "offers"}}, topics); diff != "" {
			t.Errorf("preferences (-want +got):\n%s", diff)
		}
		topics = call[app.PreferencesAnswer](t, s, "GET", "/v1/customers/de/subscription_preferences?language=de-AT", "", 200).Customer.Topics
		if diff := cmp.Diff([]app.PersonTopic{{ID: 1, Name: "Neues", Description: "Jeden Monat"}, {ID: 2, Name: "offers"}}, topics); diff != "" {
			t.Errorf("preferences in German (-want +got):\n%s", diff)
		}

		// A transactional message goes to everybody, in the language that the request names.
		call[app.LanguageAnswer](t, s, "PUT", "/v1/transactional/1/language/de", `{"subject":"Ihr Beleg"}`, 200)
		call[app.ContentAnswer](t, s, "PUT", "/v1/transactional/1/content/1", `{"subject":"Your receipt"}`, 200)
		for _, language := range []string{`"de"`, `"fr"`, `null`} {
			call[app.SendAnswer](t, s, "POST", "/v1/send/email", `{"identifiers":{"id":"en"},"to":"en@example.com","transactional_message_id":"receipt","language":`+language+`}`, 200)
		}
		if got := subjects(9); !slices.Contains(got, "en Ihr Beleg") || len(slices.DeleteFunc(got, func(s string) bool { return s != "en Your receipt" })) != 2 {
			t.Errorf("sent %q", subjects(9))
		}
	})
}
