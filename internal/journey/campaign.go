package journey

import (
	"rapport.example/internal/message"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// The states of a campaign. Only a running one starts journeys.
const (
	Draft   = "draft"
	Running = "running"
	Stopped = "stopped"
)

// Bounds of a campaign, so that one walk stays short and one document stays readable.
const (
	MaxNodes = 500
	MaxDepth = 12             // branches inside branches, each of which takes four of the levels that value.MaxDepth allows
	RetryFor = 30 * 60 * 1000 // ms for which a false entry filter of an event campaign is looked at again
)

// Campaign is one version of a campaign in the form that Decide walks. It is immutable once parsed and safe for
// concurrent use.
type Campaign struct {
	ID      int64 // numeric; set by package definition, as are Version, Gen and Started
	Version int64
	Gen     int64 // the workspace's generation when this version was saved
	Started int64 // the generation at which it last became running and has been since; 0 while it is not running

	Slug, Name, Description string
	State                   string // Draft, Running or Stopped

	Trigger Trigger
	Filter  *segment.Node // nil lets everybody in
	Once    bool          // frequency once: a person starts at most one journey, ever

	Nodes  []Node // the tree laid out flat, in document order
	First  int    // index of the first node
	byslug map[string]int
}

// Trigger is what starts a journey: an event, or the entry into a segment. Exactly one of Event and Segment is set.
type Trigger struct {
	Event   string
	Where   *segment.Node // on the event's data; nil matches always
	Segment string        // slug
	Current bool          // audience current_and_new: people who are in Segment already start too when the campaign does

	Broadcast bool // a program starts it, through the App API
}

// NodeKind says what a node of the workflow does.
type NodeKind uint8

// The node kinds.
const (
	KindEmail NodeKind = iota + 1
	KindDelay
	KindBranch
	KindExit
)

// Node is one step of the workflow.
type Node struct {
	Slug     string
	Path     string // where it stands in the document, like workflow[2].branch[0].then[0]
	Kind     NodeKind
	ActionID int64 // numeric, stable across edits and never reused; 0 if the campaign was never saved
	Next     int   // index of the node that follows, also behind a branch's arms; -1 = the workflow ends
	Email    *message.Email
	Delay    int64 // ms
	Arms     []Arm // tried in order; none true = Next
}

// Arm is one way out of a branch.
type Arm struct {
	If    *segment.Node // nil is the else arm, always true
	First int           // index of its first node; the branch's Next if it has none
}

// EmailNode is a message of the workflow.
type EmailNode struct {
	Slug     string
	ActionID int64
	Email    *message.Email
}

// Type is the App API's word for what triggers the campaign: event, segment or triggered_broadcast.
func (c *Campaign) Type() string {
	if c.Trigger.Broadcast {
		return "triggered_broadcast"
	}
	if c.Trigger.Event != "" {
		return "event"
	}
	return "segment"
}

// Conditions are the conditions whose facts must be kept for the campaign: its filter and those of its branches. The
// trigger's where looks at the event's data alone and needs none.
func (c *Campaign) Conditions() []*segment.Node {
	var out []*segment.Node
	if c.Filter != nil {
		out = append(out, c.Filter)
	}
	for i := range c.Nodes {
		for _, a := range c.Nodes[i].Arms {
			if a.If != nil {
				out = append(out, a.If)
			}
		}
	}
	return out
}

// Emails are the campaign's messages in document order.
func (c *Campaign) Emails() []EmailNode {
	var out []EmailNode
	for i := range c.Nodes {
		if n := &c.Nodes[i]; n.Email != nil {
			out = append(out, EmailNode{n.Slug, n.ActionID, n.Email})
		}
	}
	return out
}

// Email is the message node of this slug; ok is false if there is none.
func (c *Campaign) Email(node string) (EmailNode, bool) {
	i, ok := c.byslug[node]
	if !ok || c.Nodes[i].Email == nil {
		return EmailNode{}, false
	}
	return EmailNode{c.Nodes[i].Slug, c.Nodes[i].ActionID, c.Nodes[i].Email}, true
}

// Node is the node of this slug; ok is false if there is none.
func (c *Campaign) Node(slug string) (Node, bool) {
	i, ok := c.byslug[slug]
	if !ok {
		return Node{}, false
	}
	return c.Nodes[i], true
}

// Action is one thing that Decide wants done, with what the trace says about it. Kind Trace is only said, Enter also
// counts an entry of the person, Send makes a delivery, Schedule arms the journey's timer, End follows a finished walk.
type Action struct {
	Kind    ActionKind
	Node    string // slug of the node, "" for the campaign itself
	Visit   int64  // Send: the how-manieth pass through this node, from 1
	Due     int64  // Schedule: Unix ms of the workspace's clock
	Outcome string // a word or two: started, not started, waiting, branched, queued, finished, exited
	Reason  string // one English sentence
	Detail  value.Value
}

// ActionKind says what is to be done.
type ActionKind uint8

// The action kinds.
const (
	Enter ActionKind = iota + 1
	Send
	Schedule
	Trace
	End
)

// Stimulus is what makes a journey be looked at.
type Stimulus uint8

// The stimuli.
const (
	Begin   Stimulus = iota + 1 // the trigger has just fired; the journey has no status yet
	Changed                     // the person changed; matters to Retrying only
	Due                         // Journey.Due has been reached
)
