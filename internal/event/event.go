// Package event knows what happened: the activities of people, in append order.
package event

import (
	"strings"

	"rapport.example/internal/value"
)

// Bounds of the vendor's Track API.
const (
	MaxName         = 100                 // bytes of an event name
	MaxData         = 100_000             // bytes of event data
	TriggerAge      = 72 * 60 * 60 * 1000 // ms; older events never start campaigns
	AnonymousRetain = 30 * 24 * 60 * 60 * 1000
)

// Type says what kind of activity a row is. The values are stored: never renumber.
type Type uint8

// The activity types; String gives the App API's words for them.
const (
	Track           Type = 1 // a person's event
	Page            Type = 2
	Screen          Type = 3
	AttributeChange Type = 4 // Data is {"name":{"from":…,"to":…}}
	FailedChange    Type = 5 // an identify that was dropped or partly dropped; Data {"reason":…,…}
	Created         Type = 6
	Deleted         Type = 7 // kept without data; Person is 0 afterwards
	DeviceChange    Type = 8
	Message         Type = 9  // Name is metric_channel, e.g. sent_email; Data {"delivery_id":…,…}
	FailedEvent     Type = 10 // an event that was accepted but not applied; Data {"reason":…}
	Suppressed      Type = 11
	Rejected        Type = 12 // an op that the engine could not apply; Data {"op":…,"reason":…}
	Merged          Type = 13 // somebody else became part of the person; Data says who and what came with them
	AnonymousMerge  Type = 14 // the person received an anonymous id; Data {"anonymous_id":…,"events":…}
	Form            Type = 15 // a form that the person submitted; Name is the form's id, Data its fields
	AddRelation     Type = 16 // the person is related to an object, or what is known of that changed; Data names the object
	DeleteRelation  Type = 17 // the person is no longer related to an object; Data names it
	ObjectChange    Type = 18 // of nobody: Name is created, updated or deleted, Data names the object and what changed
)

var words = map[Type]string{
	Track: "event", Page: "page", Screen: "screen", AttributeChange: "attribute_change", FailedChange: "failed_attribute_change",
	Created: "profile_create", Deleted: "profile_delete", DeviceChange: "device_change", Message: "message",
	FailedEvent: "failed_event", Suppressed: "suppressed", Rejected: "rejected",
	Merged: "profile_merge", AnonymousMerge: "anon_merge", Form: "form_submission",
	AddRelation: "add_relationship", DeleteRelation: "delete_relationship", ObjectChange: "object_change",
}

// String is the App API's word for the type.
func (t Type) String() string { return words[t] }

// TypeOf is the inverse of String; ok is false for an unknown word.
func TypeOf(word string) (t Type, ok bool) {
	for t, w := range words {
		if w == word {
			return t, true
		}
	}
	return 0, false
}

// ChainName is the key of the chain that an activity of this type and name belongs to.
func ChainName(t Type, name string) string { return string([]byte{byte(t)}) + name }

// OfChain is the type and name of a chain by its key; ok is false if that is none.
func OfChain(key string) (t Type, name string, ok bool) {
	if key == "" {
		return 0, "", false
	}
	return Type(key[0]), key[1:], true
}

// Activity is one row of the append-ordered activity table. Rows form two chains per person: all of the person's
// activities (Prev) and those that Chain names alike (PrevNamed).
type Activity struct {
	Workspace int64
	Seq       int64  // per workspace, from 1, in applied order
	Person    uint32 // 0 = anonymous or deleted
	Type      Type
	Name      string
	At        int64       // the activity's own time, Unix ms of the workspace's clock
	Received  int64       // when it was received, Unix ms of the workspace's clock
	ID        string      // the caller's ULID, "" if none
	Anonymous string      // the anonymous id, for events without a person
	Data      value.Value // an object or nil
	Prev      int64       // Seq of the person's previous activity, 0 = first
	PrevNamed int64       // Seq of the previous one of this chain, 0 = first, or the activity is in none
}

// Repeated is the member of a message's data that says that its metric was known of the message before.
const Repeated = "repeated"

// Shown is Data as others see it: without what is only kept to count by.
func (a *Activity) Shown() value.Value {
	if a.Type != Message || a.Data.Get(Repeated) == nil {
		return a.Data
	}
	var out value.Builder
	for k, v := range a.Data.Fields() {
		if k != Repeated {
			out.Set(k, v)
		}
	}
	return out.Value()
}

// Chained is the name within its type by which the activity is found in the person's history and counted: that of an event or a
// form, and for a message its Behaviour. ok is false for those that no condition can ask for. Opens, clicks and unsubscribes
// are found as often as they happened, everything else once for each message.
func (a *Activity) Chained() (name string, ok bool) {
	switch a.Type {
	case Track, Page, Screen, Form:
		return a.Name, true
	case Message:
		metric, _, _ := strings.Cut(a.Name, "_")
		name, again := Behaviour(metric)
		return name, name != "" && (again || a.Data.Get(Repeated) == nil)
	default:
		return "", false
	}
}

// Behaviour is what a metric of a message is called in conditions, "" if they cannot ask for it. again says that it can happen
// to one message more than once.
func Behaviour(metric string) (name string, again bool) {
	switch metric {
	case "opened", "clicked", "unsubscribed":
		return metric, true
	case "sent", "delivered", "bounced", "failed", "suppressed", "spammed":
		return metric, false
	case "dropped": // a provider's word
		return "suppressed", false
	}
	return "", false
}
