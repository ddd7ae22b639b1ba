package track

import "rapport.example/internal/value"

// The types below document the wire for the route table. The hot handlers read the JSON directly instead of decoding it.
type (
	// Done is the empty object that every accepted write is answered with.
	Done struct{}

	// Region is the answer of accounts/region.
	Region struct {
		URL           string `json:"url"`
		Region        string `json:"region"`
		EnvironmentID int64  `json:"environment_id"`
	}

	// Attributes is the body of an identify: any attributes, and the reserved names.
	Attributes map[string]value.Value

	// DeviceBody is the body of PUT …/devices.
	DeviceBody struct {
		Device Device `json:"device"`
	}

	// Device is a push device. Unknown members count as attributes: the Python and Ruby clients put them there.
	Device struct {
		ID         string      `json:"id,omitempty"`    // v1
		Token      string      `json:"token,omitempty"` // v2
		Platform   string      `json:"platform"`        // ios or android
		LastUsed   int64       `json:"last_used,omitempty"`
		Attributes value.Value `json:"attributes,omitempty"`
	}

	// EventBody is the body of POST …/events and of POST /api/v1/events.
	EventBody struct {
		Name        string      `json:"name"`
		Type        string      `json:"type,omitempty"` // event, page or screen
		ID          string      `json:"id,omitempty"`   // ULID
		Timestamp   int64       `json:"timestamp,omitempty"`
		AnonymousID string      `json:"anonymous_id,omitempty"`
		Data        value.Value `json:"data,omitempty"`
	}

	// Merge is the body of merge_customers; each side has exactly one of id, email and cio_id.
	Merge struct {
		Primary   map[string]string `json:"primary"`
		Secondary map[string]string `json:"secondary"`
	}

	// Members is the body of the segment calls.
	Members struct {
		IDs []string `json:"ids"`
	}

	// FormBody is the body of POST …/forms/{form_id}/submit: the fields, an id or an email among them. Values are strings.
	FormBody struct {
		Data map[string]string `json:"data"`
	}

	// Metric is the body of POST /api/v1/metrics.
	Metric struct {
		DeliveryID string `json:"delivery_id"`
		Metric     string `json:"metric"` // bounced, clicked, converted, deferred, delivered, dropped, opened or spammed
		Timestamp  int64  `json:"timestamp,omitempty"`
		Recipient  string `json:"recipient,omitempty"`
		Reason     string `json:"reason,omitempty"`
		Href       string `json:"href,omitempty"`
	}

	// PushEvent is the body of POST …/push/events.
	PushEvent struct {
		DeliveryID string `json:"delivery_id"`
		Event      string `json:"event"` // converted, delivered or opened
		DeviceID   string `json:"device_id,omitempty"`
		Timestamp  int64  `json:"timestamp,omitempty"`
	}

	// InAppEvent is the body of POST /api/v1/cio_deliveries/events.
	InAppEvent struct {
		Type    string `json:"type"` // in_app
		Payload struct {
			DeliveryID string      `json:"delivery_id"`
			Event      string      `json:"event"` // clicked, converted or opened
			Timestamp  int64       `json:"timestamp,omitempty"`
			Metadata   value.Value `json:"metadata,omitempty"`
		} `json:"payload"`
	}

	// Unsubscribe is the body of POST /unsubscribe/{delivery_id}.
	Unsubscribe struct {
		Unsubscribe bool `json:"unsubscribe"` // false takes an unsubscribe back
	}

	// Operation is one v2 operation.
	Operation struct {
		Type        string            `json:"type"`
		Action      string            `json:"action"`
		Identifiers map[string]string `json:"identifiers,omitempty"`
		Name        string            `json:"name,omitempty"`
		ID          string            `json:"id,omitempty"`
		Timestamp   int64             `json:"timestamp,omitempty"`
		Attributes  value.Value       `json:"attributes,omitempty"`
		Device      *Device           `json:"device,omitempty"`
		Primary     map[string]string `json:"primary,omitempty"`   // of a merge
		Secondary   map[string]string `json:"secondary,omitempty"` // of a merge
	}

	// Batch is the body of /api/v2/batch.
	Batch struct {
		Batch []Operation `json:"batch"`
	}
)
