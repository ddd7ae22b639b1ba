package bench

import (
	"fmt"
	"strings"
)

// definitions is the workspace file: 20 segments, half of which ask for attributes and half for events within a window,
// and 5 running campaigns of which three start for some of the traffic.
func definitions() string {
	var b strings.Builder
	b.WriteString(`schema: 1
workspace: bench
senders:
  - {id: bench, name: Bench, email: bench@rapport.example}
segments:
`)
	for i, cond := range []string{
		`{attribute: plan, is: pro}`,
		`{attribute: plan, is: [pro, team]}`,
		`{attribute: country, is: [DE, FR]}`,
		`{attribute: score, at_least: 50}`,
		`{attribute: score, less: 10}`,
		`{all: [{attribute: plan, is: free}, {attribute: country, is: SE}, {attribute: score, greater: 70}]}`,
		`{attribute: newsletter, is: true}`,
		`{attribute: email, contains: bench.example}`,
		`{attribute: deleted_at, exists: true}`,
		`{not: {attribute: locale, is: en}}`,
		`{event: viewed, at_least: 1, within: 7d}`,
		`{event: viewed, at_least: 3, within: 30d}`,
		`{event: searched, at_least: 2, within: 14d}`,
		`{event: logged_in, performed: false, within: 30d}`,
		`{event: purchase, at_least: 1, within: 30d}`,
		`{event: purchase, at_least: 5, within: 90d}`,
		`{event: purchase, at_least: 1, within: 30d, where: {property: amount, greater: 80}}`,
		`{all: [{event: cart_abandoned, at_least: 1, within: 3d}, {event: purchase, performed: false, within: 3d}]}`,
		`{any: [{event: signed_up, at_least: 1, within: 1d}, {attribute: plan, is: team}]}`,
		`{all: [{segment: s01}, {event: refunded, at_least: 1, within: 30d}]}`,
	} {
		fmt.Fprintf(&b, "  - {id: s%02d, name: Segment %d, conditions: %s}\n", i+1, i+1, cond)
	}
	fmt.Fprintf(&b, `campaigns:
  - id: mail
    name: Mail at once
    state: running
    trigger: {event: %s}
    frequency: every_time
    workflow:
      - id: now
        email:
          from: bench
          to: "{{ customer.email }}"
          subject: "%s {{ event.at }}"
          body: '<p>Hello {{ customer.first_name }}, you are on {{ customer.plan }}.</p><p><a href="https://rapport.example/start">Start</a></p>'
`, mailEvent, subjectWord)
	for _, c := range []struct{ id, trigger, rest string }{
		{"cart", "{event: cart_abandoned}", "filter: {attribute: plan, is: pro}\n    frequency: every_time"},
		{"dear", "{event: purchase, where: {property: amount, greater: 90}}", "filter: {attribute: country, is: [DE, FR]}\n    frequency: once"},
		{"active", "{enters_segment: s12}", "frequency: once"},
		{"refund", "{event: refunded}", "frequency: every_time"},
	} {
		fmt.Fprintf(&b, `  - id: %s
    name: Campaign %s
    state: running
    trigger: %s
    %s
    workflow:
      - {id: wait, delay: 3d}
      - id: later
        email: {from: bench, to: "{{ customer.email }}", subject: Later, body: <p>Later</p>}
`, c.id, c.id, c.trigger, c.rest)
	}
	return b.String()
}
