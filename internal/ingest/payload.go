package ingest

import (
	"encoding/json"
	"fmt"

	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// By names the person that an op is about: exactly one member is set.
type By struct {
	ID    string `json:"id,omitempty"`
	Email string `json:"email,omitempty"`
	CIO   string `json:"cio_id,omitempty"` // without the cio_ prefix
	Phone string `json:"phone,omitempty"`  // E.164, as person.ParsePhone writes it
}

// ByIdentifier is the By of a parsed identifier.
func ByIdentifier(i person.Identifier) By {
	switch i.Type {
	case person.ByEmail:
		return By{Email: i.Value}
	case person.ByCIO:
		return By{CIO: i.Value}
	case person.ByPhone:
		return By{Phone: i.Value}
	default:
		return By{ID: i.Value}
	}
}

// Identifier is the identifier that is set; the zero Identifier if none is.
func (b By) Identifier() person.Identifier {
	switch {
	case b.CIO != "":
		return person.Identifier{Type: person.ByCIO, Value: b.CIO}
	case b.Email != "":
		return person.Identifier{Type: person.ByEmail, Value: b.Email}
	case b.ID != "":
		return person.Identifier{Type: person.ByID, Value: b.ID}
	case b.Phone != "":
		return person.Identifier{Type: person.ByPhone, Value: b.Phone}
	}
	return person.Identifier{}
}

// Whom an op may be about: somebody, or an object, that is not there yet, or that is.
const (
	OnlyNew      = "new"
	OnlyExisting = "existing"
)

// The payloads of the op kinds.
type (
	// IdentifyPayload sets attributes. ID, Email and CIO in Attributes are identifiers and follow track-api §5.
	IdentifyPayload struct {
		By         By          `json:"by"`
		Attributes value.Value `json:"attributes,omitempty"`  // an object as it came in, reserved names included
		UpdateOnly bool        `json:"update_only,omitempty"` // _update: never create
		Timestamp  int64       `json:"timestamp,omitempty"`   // Unix seconds from _timestamp; 0 = receive time
		Relate     value.Value `json:"relate,omitempty"`      // a RelatePayload with nothing but Relations and Drop
		Only       string      `json:"only,omitempty"`        // OnlyNew or OnlyExisting; else nothing happens, and nothing is noted
	}
	// ObjectPayload creates an object or sets its attributes, and relates people to it. For DeleteObject, only Object is set.
	ObjectPayload struct {
		Object     object.Key  `json:"object"`
		Attributes value.Value `json:"attributes,omitempty"`
		Relations  []Relation  `json:"relations,omitempty"` // each names a person or a visitor
		Timestamp  int64       `json:"timestamp,omitempty"` // Unix seconds; 0 = receive time
		Only       string      `json:"only,omitempty"`      // as in IdentifyPayload
	}
	// RelatePayload is that of Relate and Unrelate: either By and the objects that the relations name, or Object and people.
	RelatePayload struct {
		By        By         `json:"by,omitzero"`
		Object    object.Key `json:"object,omitzero"`
		Relations []Relation `json:"relations,omitempty"`
		Drop      bool       `json:"drop,omitempty"`      // within an identify: drop them
		Timestamp int64      `json:"timestamp,omitempty"` // Unix seconds; 0 = receive time
	}
	// Relation names one end of a relationship, the other being the payload's, and what is known of it.
	Relation struct {
		Object     object.Key  `json:"object,omitzero"`
		By         By          `json:"by,omitzero"`
		Anonymous  string      `json:"anonymous_id,omitempty"` // a visitor, who has no other identifier
		Attributes value.Value `json:"attributes,omitempty"`
	}
	// PersonPayload is that of Delete, Suppress and Unsuppress.
	PersonPayload struct {
		By By `json:"by"`
	}
	// OptoutPayload changes the opt-outs that it names.
	OptoutPayload struct {
		By      By       `json:"by"`
		Optouts []Optout `json:"optouts"`
	}
	// Optout is a sender, as the phone number that messages come from, from whom somebody wants nothing, or something again.
	Optout struct {
		Channel string `json:"channel"`
		From    string `json:"from"`
		Out     bool   `json:"out,omitempty"`
	}
	// MergePayload makes Secondary a part of Primary. As an Alias, Secondary may be an anonymous id instead: if it is an ID that
	// nobody has, Primary receives it.
	MergePayload struct {
		Primary   By   `json:"primary"`
		Secondary By   `json:"secondary"`
		Alias     bool `json:"alias,omitempty"`
	}
	// RefusedPayload says why messages are not applied that a surface answered as if they were.
	RefusedPayload struct {
		By     By     `json:"by,omitzero"`     // whom they were about, where that is known
		Event  bool   `json:"event,omitempty"` // they were events, page or screen views
		Reason string `json:"reason"`          // names no data of anybody
		Count  int64  `json:"count"`           // how many such messages the request had
	}
	// EventPayload records an event. By is empty for an anonymous one. With both, the person receives the anonymous id.
	// Neither is an invite event: it belongs to nobody, and data.recipient says whom it is for.
	EventPayload struct {
		By        By          `json:"by,omitzero"`
		Anonymous string      `json:"anonymous_id,omitempty"`
		Type      uint8       `json:"type"` // event.Track, event.Page or event.Screen
		Name      string      `json:"name"`
		ID        string      `json:"id,omitempty"`        // the caller's ULID
		Timestamp int64       `json:"timestamp,omitempty"` // Unix seconds; 0 = receive time
		Data      value.Value `json:"data,omitempty"`      // an object, or absent
	}
	// DevicePayload adds a device, or deletes the one with Token.
	DevicePayload struct {
		By         By          `json:"by"`
		Token      string      `json:"token"`
		Platform   string      `json:"platform,omitempty"`
		LastUsed   int64       `json:"last_used,omitempty"` // Unix seconds; 0 = receive time
		Attributes value.Value `json:"attributes,omitempty"`
	}
	// FormPayload is a form's submission. By is empty if no field is an identifier: then only the form comes to be.
	FormPayload struct {
		Form   string      `json:"form"` // the caller's form_id
		By     By          `json:"by,omitzero"`
		Fields value.Value `json:"fields,omitempty"` // an object of strings, identifiers among them
	}
	// SegmentPayload changes the members of a manual segment.
	SegmentPayload struct {
		Segment int64 `json:"segment"` // numeric id
		People  []By  `json:"people"`
		Ignored int64 `json:"ignored,omitempty"` // entries of the request that cannot be identifiers of its type
	}
	// DefinePayload saves and deletes definitions, all in one step.
	DefinePayload struct {
		Name   string       `json:"name,omitempty"` // names the workspace, if set
		Put    []Definition `json:"put,omitempty"`
		Delete []Definition `json:"delete,omitempty"` // Body is not used
	}
	// Definition is one definition document: see package definition for kinds and bodies.
	Definition struct {
		Kind string      `json:"kind"`
		Slug string      `json:"slug"`
		Body value.Value `json:"body,omitempty"`
	}
	// ClockPayload moves the workspace's clock.
	ClockPayload struct {
		Advance int64 `json:"advance"` // ms, > 0
	}
	// SendPayload is a transactional email. Content fields override the template's where set.
	SendPayload struct {
		By                 By                `json:"by"`
		Transactional      int64             `json:"transactional,omitempty"` // numeric id, 0 = none: content is in the payload
		To                 string            `json:"to,omitempty"`
		From               string            `json:"from,omitempty"`
		Subject            string            `json:"subject,omitempty"`
		Body               string            `json:"body,omitempty"`
		BodyPlain          string            `json:"body_plain,omitempty"`
		Preheader          string            `json:"preheader,omitempty"`
		ReplyTo            string            `json:"reply_to,omitempty"`
		CC                 string            `json:"cc,omitempty"`
		BCC                string            `json:"bcc,omitempty"`
		FakeBCC            bool              `json:"fake_bcc,omitempty"`
		Headers            map[string]string `json:"headers,omitempty"`
		Language           string            `json:"language,omitempty"` // "" = the person's
		Data               value.Value       `json:"data,omitempty"`     // message_data, Liquid's trigger
		SendAt             int64             `json:"send_at,omitempty"`  // Unix seconds, 0 = now
		Tracked            *bool             `json:"tracked,omitempty"`  // nil = the template's, else true
		SendToUnsubscribed *bool             `json:"send_to_unsubscribed,omitempty"`
		DisableRetention   bool              `json:"disable_message_retention,omitempty"`
		DisableCSS         bool              `json:"disable_css_preprocessing,omitempty"`
	}
	// OutcomePayload says what became of a claimed delivery. It is applied only if Epoch is still the delivery's.
	OutcomePayload struct {
		Delivery  int64  `json:"delivery"` // number
		Epoch     int64  `json:"epoch"`
		State     uint8  `json:"state"` // delivery.Sent, Failed, Bounced, Suppressed, or Queued for "try again at RetryAt"
		Reason    string `json:"reason,omitempty"`
		Recipient string `json:"recipient,omitempty"`
		Domain    string `json:"domain,omitempty"`  // of the sender's address
		Refused   string `json:"refused,omitempty"` // the address that a refusal is about, "" = nobody knows which
		Subject   string `json:"subject,omitempty"`
		RetryAt   int64  `json:"retry_at,omitempty"` // Unix ms, real time
		At        int64  `json:"at"`                 // Unix ms, real time, when it was known
	}
	// MetricPayload says what became of a delivery, or how its person reacted.
	MetricPayload struct {
		Delivery  int64       `json:"delivery,omitempty"`    // number; 0 = Public names it
		Public    string      `json:"delivery_id,omitempty"` // public id, as somebody with a key wrote it
		Metric    string      `json:"metric"`                // a word of delivery.Metrics, unsubscribed or resubscribed
		Href      string      `json:"href,omitempty"`
		Reason    string      `json:"reason,omitempty"`
		Device    string      `json:"device,omitempty"`    // token of the device that a push went to
		Timestamp int64       `json:"timestamp,omitempty"` // Unix seconds; 0 = receive time
		Data      value.Value `json:"data,omitempty"`      // an in-app message's metadata
	}
)

// Encode returns a payload struct as an op's payload.
func Encode(payload any) (value.Value, error) {
	b, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("encode op payload: %w", err)
	}
	return value.Parse(b)
}

// Decode reads an op's payload into the struct of its kind.
func Decode[T any](op *Op) (T, error) {
	var p T
	if err := json.Unmarshal(op.Payload, &p); err != nil {
		return p, fmt.Errorf("decode payload of op %s: %w", op.ID, err)
	}
	return p, nil
}
