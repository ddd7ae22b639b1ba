package definition

import (
	"testing"

	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/value"
)

// messagesFile is a workspace whose segment asks for the message of a campaign.
func messagesFile(steps, condition string) string {
	return `
schema: 1
workspace: acme
senders: [{id: hello, email: hello@acme.example}]
segments:
  - {id: readers, conditions: ` + condition + `}
campaigns:
  - {id: other, trigger: {event: x}, workflow: [{id: first, delay: 1d}]}
  - {id: onboarding, trigger: {event: go}, workflow: [` + steps + `]}
transactional:
  - {id: Receipt, from: hello, subject: s, body: b}
`
}

const (
	welcomeStep = `{id: welcome, email: {from: hello, to: a@acme.example, subject: s, body: b}}`
	nudgeStep   = `{id: nudge, email: {from: hello, to: a@acme.example, subject: s, body: b}}`
)

// matches asks the one message condition of the set for a message.
func matches(t *testing.T, s *Set, chain, data string) bool {
	t.Helper()
	facts := s.FactsOf(event.ChainName(event.Message, chain))
	if len(facts) != 1 {
		t.Fatalf("%d conditions ask for %s, want one", len(facts), chain)
	}
	v, err := value.Parse([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return facts[0].Matches(v)
}

func TestMessageNumbers(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.apply(messagesFile(welcomeStep+","+nudgeStep, `{message: opened, campaign: onboarding, action: nudge}`), false)
	nudge := g.set().named["onboarding"].Nodes[1].ActionID
	if s := g.set(); !matches(t, s, "opened", `{"campaign_id":2,"action_id":`+string(value.Int(nudge))+`}`) || matches(t, s, "opened", `{"campaign_id":2,"action_id":99}`) {
		t.Error("the step's opens are not found by its number alone")
	}
	// The step goes: what became of its messages stays known.
	before := g.set().SegmentBySlug("readers").Condition.Specs()[0].Key
	g.apply(messagesFile(welcomeStep, `{message: opened, campaign: onboarding, action: nudge}`), false)
	if after := g.set().SegmentBySlug("readers").Condition.Specs()[0].Key; after != before {
		t.Errorf("key %#x, was %#x before the step went", after, before)
	}
	g.apply(messagesFile(welcomeStep, `{message: sent, transactional: receipt}`), false)
	if s := g.set(); !matches(t, s, "sent", `{"transactional_message_id":1}`) || matches(t, s, "sent", `{"transactional_message_id":2}`) || matches(t, s, "sent", `{}`) {
		t.Error("the transactional message is not found by its number alone")
	}
}

func TestMessageReferences(t *testing.T) {
	t.Parallel()
	for condition, want := range map[string]string{
		`{message: sent, campaign: onbording}`:                               "segments.readers.conditions.campaign: there is no campaign onbording, did you mean onboarding?",
		`{all: [{message: sent, campaign: onboarding, action: wellcome}]}`:   "segments.readers.conditions.all[0].action: campaign onboarding has no step wellcome, did you mean welcome?",
		`{message: sent, campaign: other, action: first}`:                    "segments.readers.conditions.action: first of campaign other sends no message",
		`{none: [{attribute: a, is: b}, {message: sent, transactional: x}]}`: "segments.readers.conditions.none[1].transactional: there is no transactional message x",
	} {
		g := newGround(t)
		plan := Diff(g.rows, parse(t, messagesFile(welcomeStep, condition)), false)
		err := Check(g.rows, plan.Payload())
		if !fault.Is(err, fault.Invalid) || err.Error() != want {
			t.Errorf("%s: %v, want %s", condition, err, want)
		}
	}
}

// TestMessageGone holds that what a segment asks for cannot be deleted, and that what an old version of a campaign asks for can.
func TestMessageGone(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	g.apply(messagesFile(welcomeStep, `{message: sent, campaign: onboarding}`), false)
	gone := ingest.DefinePayload{Delete: []ingest.Definition{{Kind: Campaigns, Slug: "onboarding"}}}
	const want = "segments.readers.conditions.campaign: there is no campaign onboarding"
	if err := Check(g.rows, gone); err == nil || err.Error() != want {
		t.Errorf("Check of the deletion = %v, want %s", err, want)
	}
	filter := func(f string) string {
		return "\nschema: 1\nworkspace: acme\ncampaigns:\n  - {id: asking, state: running, trigger: {event: y}, filter: " + f + ", workflow: [{id: w, delay: 1d}]}\n"
	}
	g = newGround(t)
	g.apply(messagesFile(welcomeStep, `{message: sent}`), false)
	g.apply(filter(`{message: opened, campaign: onboarding}`), false)
	asking := g.set().named["asking"].ID
	g.apply(filter(`{message: opened}`), false)
	g.save(gone)
	old := g.set().Campaign(asking, 1)
	if old == nil || old.Filter == nil {
		t.Fatalf("the first version is %+v, want it kept with its filter", old)
	}
	if spec := old.Filter.Specs()[0]; spec.Matches(value.Value(`{"campaign_id":2}`)) {
		t.Error("a condition on a campaign that is gone is met")
	}
}
