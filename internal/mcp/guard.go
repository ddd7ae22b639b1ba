package mcp

import (
	"encoding/base64"
	"slices"
	"strings"
)

// addresses are the members of an event's data that change who gets the campaign's mail or whom it comes from.
var addresses = []string{"recipient", "from_address", "reply_to", "cc", "bcc", "fake_bcc"}

// ownAddress refuses data of an event that would send a campaign's mail to somebody else, or in somebody else's name.
func ownAddress(field string, data map[string]any) error {
	for k := range data {
		if slices.Contains(addresses, strings.ToLower(k)) {
			return &toolError{
				Code: "policy_blocked", Field: field, Message: "the data of an event must not say who gets mail or whom it comes from",
				Hint: "call it something else than " + strings.Join(addresses, ", "),
			}
		}
	}
	return nil
}

// scrub takes the connection's keys out of what a back end says, should it repeat them.
func (c *Client) scrub(text string) string {
	for _, header := range []string{c.o.Track, c.o.App} {
		_, secret, _ := strings.Cut(header, " ")
		all := []string{secret}
		if pair, err := base64.StdEncoding.DecodeString(secret); err == nil && strings.HasPrefix(header, "Basic ") {
			_, password, _ := strings.Cut(string(pair), ":")
			all = append(all, string(pair), password)
		}
		for _, s := range all {
			if len(s) >= leastSecret {
				text = strings.ReplaceAll(text, s, hidden)
			}
		}
	}
	return text
}

// leastSecret is the shortest secret that is looked for: a shorter one is found in any text.
const leastSecret = 6

// ownWill refuses an operation of a batch that subscribes or unsubscribes somebody, or says in an event who gets mail.
func ownWill(op map[string]any) error {
	attributes, _ := op["attributes"].(map[string]any)
	if action := textOf(op["action"]); action == "event" || action == "page" || action == "screen" {
		return ownAddress("operations", attributes)
	}
	for k := range attributes {
		if k == "unsubscribed" || strings.HasPrefix(k, "cio_subscription_preferences") {
			return &toolError{
				Code: "policy_blocked", Field: "operations", Message: "subscriptions have a tool of their own", Hint: "use set_subscription, which asks where the person agreed",
			}
		}
	}
	return nil
}
