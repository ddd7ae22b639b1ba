package pipelines

import "rapport.example/internal/value"

// The types below document the wire for the route table; messages are read from the JSON directly.
type (
	// Done is the empty object that every write is answered with.
	Done struct{}

	// Message is the body of every path but batch. Times are ISO 8601 text.
	Message struct {
		Type         string      `json:"type,omitempty"` // in a batch
		UserID       string      `json:"userId,omitempty"`
		AnonymousID  string      `json:"anonymousId,omitempty"`
		MessageID    string      `json:"messageId,omitempty"` // the same event sent again is not recorded again
		Event        string      `json:"event,omitempty"`     // track
		Name         string      `json:"name,omitempty"`      // page, screen
		Category     string      `json:"category,omitempty"`  // page, screen
		GroupID      string      `json:"groupId,omitempty"`   // group
		PreviousID   string      `json:"previousId,omitempty"`
		Traits       value.Value `json:"traits,omitempty"`     // identify, group
		Properties   value.Value `json:"properties,omitempty"` // track, page, screen
		Context      value.Value `json:"context,omitempty"`
		Integrations value.Value `json:"integrations,omitempty"`
		Timestamp    string      `json:"timestamp,omitempty"`
		SentAt       string      `json:"sentAt,omitempty"`
		WriteKey     string      `json:"writeKey,omitempty"` // where there is no Authorization
	}

	// Batch is the body of batch: its members besides batch hold for messages that do not have them.
	Batch struct {
		Batch        []Message   `json:"batch"`
		Context      value.Value `json:"context,omitempty"`
		Integrations value.Value `json:"integrations,omitempty"`
		SentAt       string      `json:"sentAt,omitempty"`
		WriteKey     string      `json:"writeKey,omitempty"`
	}

	// Settings is what the libraries ask for before they send anything.
	Settings struct {
		Integrations map[string]Integration `json:"integrations"`
		Metrics      Metrics                `json:"metrics"`
	}

	// Integration is where and how a library sends to.
	Integration struct {
		APIKey   string `json:"apiKey"`
		APIHost  string `json:"apiHost"`  // host and path, without a scheme
		Protocol string `json:"protocol"` // http or https
	}

	// Metrics says how much a library counts about itself: without it the browser library tells the vendor.
	Metrics struct {
		SampleRate int `json:"sampleRate"`
	}
)
