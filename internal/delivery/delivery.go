// Package delivery keeps the state of each send and walks it through render, send and report.
//
// Exactly once means exactly one row: (journey, action, visit) is unique. Toward a provider it is at most once: a row is
// claimed as in flight under an epoch before anything leaves, and an in-flight row whose lease runs out becomes
// OutcomeUnknown and is never queued again by itself.
package delivery

import "rapport.example/internal/value"

// State is where a delivery stands. The values are stored: never renumber.
type State uint8

// The states.
const (
	Queued         State = 1 // waiting for its Due, real time
	InFlight       State = 2 // claimed under Epoch until Lease
	Sent           State = 3 // the provider took it
	Failed         State = 4 // it could not be made or was refused for good; Reason says why
	Bounced        State = 5 // the receiver refused it for good
	Suppressed     State = 6 // not sent: unsubscribed, suppressed or without address; Reason says which
	OutcomeUnknown State = 7 // the hand-over was cut off: it may or may not have been sent
)

// String is the state in the words of the product.
func (s State) String() string {
	return [...]string{"", "queued", "in flight", "sent", "failed", "bounced", "suppressed", "outcome unknown"}[s]
}

// Metrics returns the words by which what became of a message of a channel is reported: email, webhook, push, in_app, sms or
// slack (track-api §4); nil for another channel.
func Metrics(channel string) []string {
	switch channel {
	case "email", "webhook":
		return []string{"bounced", "clicked", "converted", "deferred", "delivered", "dropped", "opened", "spammed"}
	case "push":
		return []string{"converted", "delivered", "opened"}
	case "in_app":
		return []string{"clicked", "converted", "opened"}
	case "sms":
		return []string{"bounced", "clicked", "delivered", "opened"}
	case "slack":
		return []string{"clicked", "converted", "delivered", "opened"}
	}
	return nil
}

// Delivery is one message to one person.
type Delivery struct {
	Workspace     int64
	ID            int64  // number within the workspace, in order of creation
	Public        string // id.Delivery; what the outside world sees
	Person        uint32
	Campaign      int64  // numeric id, 0 = transactional
	Journey       int64  // journey id, 0 = transactional
	Action        string // the node's slug
	ActionID      int64  // the node's numeric id
	Visit         int64  // which pass through the node, from 1
	Transactional int64  // numeric id, 0 = none
	Version       int64  // version of the campaign or transactional definition that it is rendered from
	State         State
	Epoch         int64 // grows with each claim
	Due           int64 // Unix ms, real time; when Queued: not before this
	Lease         int64 // Unix ms, real time; when InFlight: unknown after this
	Attempts      int64
	Created       int64 // Unix ms of the workspace's clock
	Recipient     string
	Subject       string
	Reason        string
	Metrics       value.Value // {"created":unix s,"sent":…}: the first time of each metric
	TriggerEvent  string      // the caller's id of the event that started the journey, "" = none; only in what lists read
	Data          value.Value // {"event":…} or {"trigger":…} for Liquid; for sends {"send":SendPayload} too
}
