package definition

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/event"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

const unseenFile = `schema: 1
workspace: acme
segments:
  - id: a
    conditions:
      all:
        - {attribute: plann, is: pro}
        - {attribute: "orders[0].total", greater: 5}
        - {attribute: addresss.city, is: Bonn}
        - {attribute: email, exists: true}
        - {attribute: cio_subscription_preferences.topics.topic_1, is_not: false}
        - {attribute: first.name, is: Ada}
        - {attribute: shoe_size, exists: true}
        - {not: {event: purchse, within: 3d}}
        - {event: purchase}
        - {event: /pricing}
        - {event: /price, type: page}
  - {id: m, manual: true}
campaigns:
  - id: c
    trigger: {event: singed_up}
    filter: {any: [{attribute: plan, is: pro}, {attribute: pln, is: pro}]}
    workflow:
      - id: b
        branch:
          - {if: {segment: m}, then: []}
          - {if: {not: {event: purchas}}, then: [{id: e, exit: true}]}
`

// TestUnseen holds the names that nobody was seen with to a warning each, with what is spelled alike.
func TestUnseen(t *testing.T) {
	t.Parallel()
	var s Seen
	plan := Diff(nil, parse(t, unseenFile), false)
	if err := Check(nil, plan.Payload()); err != nil {
		t.Fatal(err)
	}
	put := plan.Payload().Put
	if got := s.UnseenBy(put); got != nil {
		t.Errorf("UnseenBy with nothing seen = %v, want nothing", got)
	}
	s.Person(&person.Document{
		Attributes: []person.Attribute{{Name: "plan", Value: value.True}, {Name: "address", Value: value.True}, {Name: "orders", Value: value.True}, {Name: "first.name", Value: value.True}},
		Named:      []person.Named{{Name: event.ChainName(event.Track, "purchase")}, {Name: event.ChainName(event.Page, "/pricing")}},
	})
	s.Event(event.Track, "signed_up")
	want := []string{
		`segments.a.conditions.all[0].attribute: nobody was seen with an attribute plann; did you mean plan?`,
		`segments.a.conditions.all[2].attribute: nobody was seen with an attribute addresss; did you mean address?`,
		`segments.a.conditions.all[6].attribute: nobody was seen with an attribute shoe_size`,
		`segments.a.conditions.all[7].not.event: no event "purchse" was seen; did you mean purchase?`,
		`segments.a.conditions.all[9].event: no event "/pricing" was seen; did you mean the page of this name?`,
		`segments.a.conditions.all[10].event: no page "/price" was seen`,
		`campaigns.c.trigger.event: no event "singed_up" was seen; did you mean signed_up?`,
		`campaigns.c.filter.any[1].attribute: nobody was seen with an attribute pln; did you mean plan?`,
		`campaigns.c.workflow[0].branch[1].if.not.event: no event "purchas" was seen; did you mean purchase?`,
	}
	var got []string
	for _, f := range s.UnseenBy(put) {
		got = append(got, f.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("UnseenBy (-want +got):\n%s", diff)
	}
}
