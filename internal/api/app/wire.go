package app

import "rapport.example/internal/value"

// The types below are what goes over the wire. Times are Unix seconds of the workspace's clock. Where the vendor answers
// null, the member is a pointer.
type (
	// Identifiers is the vendor's customer_identifiers.
	Identifiers struct {
		ID    *string `json:"id"`
		Email *string `json:"email"`
		CIO   *string `json:"cio_id"`
	}

	// Customer is a person with attributes; all values are text.
	Customer struct {
		ID           *string           `json:"id"`
		Identifiers  Identifiers       `json:"identifiers"`
		Attributes   map[string]string `json:"attributes"`
		Timestamps   map[string]int64  `json:"timestamps"`
		Unsubscribed bool              `json:"unsubscribed"`
		Devices      []Device          `json:"devices"`
	}

	// Device is a push device.
	Device struct {
		ID         string      `json:"id"`
		LastUsed   int64       `json:"last_used"`
		Platform   string      `json:"platform"`
		Attributes value.Value `json:"attributes,omitempty"`
	}

	// CustomerAnswer wraps a Customer.
	CustomerAnswer struct {
		Customer Customer `json:"customer"`
	}

	// CustomersAnswer answers the look-up of several people.
	CustomersAnswer struct {
		Customers []CustomerAnswer `json:"customers"`
	}

	// CustomersRequest asks for several people.
	CustomersRequest struct {
		IDs []value.Value `json:"ids"`
	}

	// SearchAnswer answers a look-up by email.
	SearchAnswer struct {
		Results []Identifiers `json:"results"`
	}

	// PersonSegment is a segment that a person is in.
	PersonSegment struct {
		ID          string `json:"id"`
		Name        string `json:"name"`
		Description string `json:"description"`
	}

	// PersonSegmentsAnswer lists a person's segments.
	PersonSegmentsAnswer struct {
		Segments []PersonSegment `json:"segments"`
	}

	// Activity is one thing that happened.
	Activity struct {
		ID           string      `json:"id"`
		Type         string      `json:"type"`
		Timestamp    int64       `json:"timestamp"`
		CustomerID   *string     `json:"customer_id"`
		Identifiers  Identifiers `json:"customer_identifiers"`
		AnonymousID  string      `json:"anonymous_id,omitempty"`
		DeliveryID   string      `json:"delivery_id,omitempty"`
		DeliveryType string      `json:"delivery_type,omitempty"`
		Name         string      `json:"name,omitempty"`
		URL          string      `json:"url,omitempty"`
		Data         value.Value `json:"data,omitempty"`
	}

	// ActivitiesAnswer is a page of activities.
	ActivitiesAnswer struct {
		Activities []Activity `json:"activities"`
		Next       string     `json:"next"`
	}

	// Message is one delivery. State says in our words where it stands; the vendor has only the metrics.
	Message struct {
		ID              string      `json:"id"`
		DeduplicateID   string      `json:"deduplicate_id"`
		TemplateID      *int64      `json:"msg_template_id"`
		OldTemplateID   *int64      `json:"message_template_id"` // the same under its older name
		ActionID        *int64      `json:"action_id"`
		ParentActionID  *int64      `json:"parent_action_id"`
		CustomerID      *string     `json:"customer_id"`
		Identifiers     Identifiers `json:"customer_identifiers"`
		Recipient       string      `json:"recipient"`
		Subject         string      `json:"subject"`
		Metrics         value.Value `json:"metrics"`
		Created         int64       `json:"created"`
		Failure         *string     `json:"failure_message"`
		CampaignID      *int64      `json:"campaign_id"`
		NewsletterID    *int64      `json:"newsletter_id"`
		ContentID       *int64      `json:"content_id"`
		BroadcastID     *int64      `json:"broadcast_id"`
		TransactionalID *int64      `json:"transactional_message_id"`
		TriggerEventID  *string     `json:"trigger_event_id"`
		Forgotten       bool        `json:"forgotten"`
		Type            string      `json:"type"`
		State           string      `json:"state"`
		Tracked         value.Value `json:"tracked_responses,omitempty"` // if asked for; only in-app messages have any
	}

	// MessagesAnswer is a page of messages.
	MessagesAnswer struct {
		Messages []Message `json:"messages"`
		Next     string    `json:"next"`
	}

	// MessageAnswer wraps a Message.
	MessageAnswer struct {
		Message Message `json:"message"`
	}

	// Segment is a group of people.
	Segment struct {
		ID            int64    `json:"id"`
		DeduplicateID string   `json:"deduplicate_id"`
		Name          string   `json:"name"`
		Description   string   `json:"description"`
		State         string   `json:"state"` // build while people are sorted into it, then finished
		Progress      *int64   `json:"progress"`
		Type          string   `json:"type"` // dynamic or manual
		Tags          []string `json:"tags"`
		CreatedAt     int64    `json:"created_at"`
		UpdatedAt     int64    `json:"updated_at"`
	}

	// SegmentsAnswer lists segments.
	SegmentsAnswer struct {
		Segments []Segment `json:"segments"`
	}

	// SegmentAnswer wraps a Segment.
	SegmentAnswer struct {
		Segment Segment `json:"segment"`
	}

	// SegmentRequest creates a manual segment.
	SegmentRequest struct {
		Segment struct {
			Name        string `json:"name"`
			Description string `json:"description"`
		} `json:"segment"`
	}

	// CountAnswer counts a segment's people.
	CountAnswer struct {
		Count int64 `json:"count"`
	}

	// MembersAnswer is a page of a segment's people. IDs holds "" for a person without id, so that both lists run alike.
	MembersAnswer struct {
		IDs         []string      `json:"ids"`
		Identifiers []Identifiers `json:"identifiers"`
		Next        string        `json:"next"`
	}

	// UsedBy lists the campaigns that look at a segment.
	UsedBy struct {
		Campaigns        []int64 `json:"campaigns"`
		SentNewsletters  []int64 `json:"sent_newsletters"`
		DraftNewsletters []int64 `json:"draft_newsletters"`
	}

	// UsedByAnswer wraps UsedBy.
	UsedByAnswer struct {
		UsedBy UsedBy `json:"used_by"`
	}

	// Campaign is a campaign as the vendor describes it. Members that belong to one kind of trigger are left out for others.
	Campaign struct {
		ID               int64    `json:"id"`
		DeduplicateID    string   `json:"deduplicate_id"`
		Name             string   `json:"name"`
		Description      string   `json:"description"`
		Type             string   `json:"type"` // segment or event
		Created          int64    `json:"created"`
		Updated          int64    `json:"updated"`
		Active           bool     `json:"active"`
		State            string   `json:"state"`
		Actions          []Action `json:"actions"`
		FirstStarted     int64    `json:"first_started"` // 0 = never
		Tags             []string `json:"tags"`
		EventName        string   `json:"event_name,omitempty"`
		TriggerSegments  []int64  `json:"trigger_segment_ids,omitempty"`
		FilterSegments   []int64  `json:"filter_segment_ids"`
		MessageTemplates []Action `json:"msg_templates,omitempty"`
	}

	// Action is a message of a workflow.
	Action struct {
		Type string `json:"type"`
		ID   int64  `json:"id"`
	}

	// CampaignsAnswer lists campaigns.
	CampaignsAnswer struct {
		Campaigns []Campaign `json:"campaigns"`
	}

	// CampaignAnswer wraps a Campaign.
	CampaignAnswer struct {
		Campaign Campaign `json:"campaign"`
	}

	// Workspace is the workspace of the key. TestClock is its time in RFC 3339 where that runs ahead of real time, which the vendor does
	// not have: what is sent with a time of today is as old there as the clock is ahead.
	Workspace struct {
		ID           int64  `json:"id"`
		Name         string `json:"name"`
		MessagesSent int64  `json:"messages_sent"`
		Billable     int64  `json:"billable_messages_sent"`
		People       int64  `json:"people"`
		ObjectTypes  int64  `json:"object_types"`
		Objects      int64  `json:"objects"`
		TestClock    string `json:"test_clock,omitempty"`
	}

	// WorkspacesAnswer lists the one workspace that an App key opens.
	WorkspacesAnswer struct {
		Workspaces []Workspace `json:"workspaces"`
	}

	// SendRequest documents the body of POST /v1/send/email; the handler reads the JSON itself.
	SendRequest struct {
		Identifiers     map[string]string `json:"identifiers"`
		Transactional   value.Value       `json:"transactional_message_id,omitempty"` // integer, or the message's name
		To              string            `json:"to"`
		From            string            `json:"from,omitempty"`
		Subject         string            `json:"subject,omitempty"`
		Body            string            `json:"body,omitempty"`
		BodyPlain       string            `json:"body_plain,omitempty"`
		Preheader       string            `json:"preheader,omitempty"`
		ReplyTo         string            `json:"reply_to,omitempty"`
		CC              string            `json:"cc,omitempty"`
		BCC             string            `json:"bcc,omitempty"`
		FakeBCC         bool              `json:"fake_bcc,omitempty"`
		Headers         value.Value       `json:"headers,omitempty"` // an object, or a JSON string of [{name,value}]
		Data            value.Value       `json:"message_data,omitempty"`
		SendAt          int64             `json:"send_at,omitempty"`
		Tracked         bool              `json:"tracked,omitempty"`
		ToUnsubscribed  bool              `json:"send_to_unsubscribed,omitempty"`
		NoRetention     bool              `json:"disable_message_retention,omitempty"`
		NoCSSProcessing bool              `json:"disable_css_preprocessing,omitempty"`
	}

	// SendAnswer is the answer of a send.
	SendAnswer struct {
		DeliveryID string `json:"delivery_id"`
		QueuedAt   int64  `json:"queued_at"`
		SendAt     int64  `json:"send_at,omitempty"`
	}
)
