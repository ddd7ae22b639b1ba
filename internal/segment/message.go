package segment

import (
	"slices"
	"strings"

	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

// A message condition asks for what became of messages to the person. It is an event condition over activities of type
// event.Message: their names say what happened, their data which message it was.

// Named is what a message condition names, by the ids that authors give: a campaign, perhaps one step of it, or a transactional
// message.
type Named struct{ Campaign, Action, Transactional string }

// messages are those that a message condition asks for.
type messages struct {
	Named
	links []operand // clicked: any of them; none = any link
	path  string    // where the condition stands in its document
}

const messageWords = "message campaign action transactional link first last at_least at_most exactly performed not_performed within"

// parseMessage reads a message condition. What it names has no number yet: until Resolve it is met by no message.
func parseMessage(doc value.Value, path string) (*Node, error) {
	if err := unavailable(doc, path); err != nil {
		return nil, err
	}
	if err := only(doc, path, strings.Fields(messageWords)...); err != nil {
		return nil, err
	}
	word, err := parseBehaviour(doc.Get("message"), join(path, "message"))
	if err != nil {
		return nil, err
	}
	m := &messages{path: path}
	for _, n := range [...]struct {
		word string
		to   *string
	}{{"campaign", &m.Campaign}, {"action", &m.Action}, {"transactional", &m.Transactional}} {
		v := doc.Get(n.word)
		if v == nil {
			continue
		}
		if *n.to = v.Text(); v.Kind() != value.String || *n.to == "" {
			return nil, fault.Field(join(path, n.word), "must be an id, as text")
		}
	}
	switch link := doc.Get("link"); {
	case m.Action != "" && m.Campaign == "":
		return nil, fault.Field(join(path, "action"), "stands with campaign only, whose step it is")
	case m.Transactional != "" && m.Campaign != "":
		return nil, fault.Field(join(path, "transactional"), "cannot stand beside campaign: a message is of the one or the other")
	case link != nil && word != "clicked":
		return nil, fault.Field(join(path, "link"), "stands with message: clicked only")
	case link != nil:
		if m.links, err = parseLinks(link, join(path, "link")); err != nil {
			return nil, err
		}
	}
	c := &count{spec: FactSpec{Type: event.Message, Name: word}, most: -1, messages: m}
	if err := c.bounds(doc, path); err != nil {
		return nil, err
	}
	c.number(0)
	return &Node{kind: happened, name: word, event: c}, nil
}

// unavailable refuses what the vendor's conditions can ask for, but nothing here knows of.
func unavailable(doc value.Value, path string) error {
	for word := range doc.Fields() {
		switch word {
		case "newsletter", "broadcast":
			return fault.Field(join(path, word), "is not available yet: messages are of a campaign or transactional")
		case "human", "machine", "prefetched":
			return fault.Field(join(path, word), "is not available yet: opens and clicks by programs are not told apart from those by people")
		}
	}
	switch word := doc.Get("message").Text(); word {
	case "converted":
		return fault.Field(join(path, "message"), "converted is not available yet: conversions are not attributed to messages")
	case "human_opened", "human_clicked", "machine_opened", "machine_clicked", "prefetch_opened", "prefetch_clicked":
		return fault.Field(join(path, "message"), "%s is not available yet: opens and clicks by programs are not told apart from those by people", word)
	}
	return nil
}

func parseBehaviour(v value.Value, path string) (string, error) {
	const words = "sent delivered opened clicked bounced failed suppressed spammed unsubscribed"
	word := v.Text()
	if known, _ := event.Behaviour(word); known != "" && v.Kind() == value.String {
		return known, nil
	}
	known := strings.Join(strings.Fields(words), ", ")
	if near := fault.Nearest(word, strings.Fields(words+" dropped")); near != "" && v.Kind() == value.String {
		return "", fault.Field(path, "%q is not known here; did you mean %s?", word, near)
	}
	return "", fault.Field(path, "must be what became of the message: %s", known)
}

func parseLinks(v value.Value, path string) ([]operand, error) {
	links, err := operands(v, path, opContains)
	for _, l := range links {
		if l.kind != value.String {
			return nil, fault.Field(path, "must be the address of a link, or a list of them")
		}
	}
	return links, err
}

// Resolve is n with the numbers of what its message conditions name, for which it asks: a step's, or that of the campaign or
// transactional message. Under the number 0 a condition is met by no message. Errors are those of number,
// which is told where in the document the condition stands. A tree without names is n itself.
func (n *Node) Resolve(number func(of Named, path string) (int64, error)) (*Node, error) {
	if n == nil {
		return nil, nil
	}
	if n.kind == happened && n.event.messages != nil {
		m := n.event.messages
		if m.Named == (Named{}) {
			return n, nil
		}
		id, err := number(m.Named, m.path)
		if err != nil {
			return nil, err
		}
		c := *n.event
		c.number(id)
		out := *n
		out.event = &c
		return &out, nil
	}
	out := n
	for i, c := range n.children {
		r, err := c.Resolve(number)
		if err != nil {
			return nil, err
		}
		if r == c {
			continue
		}
		if out == n {
			clone := *n
			clone.children = slices.Clone(n.children)
			out = &clone
		}
		out.children[i] = r
	}
	return out, nil
}

// number makes the filter of a message condition on the data of activities, once the number of what it names is known.
func (c *count) number(id int64) {
	var list []*Node
	m := c.messages
	add := func(name string, vals ...operand) {
		list = append(list, &Node{kind: property, path: ParsePath(name), tests: []test{{op: opIs, vals: vals}}})
	}
	switch {
	case m.Action != "": // its number is of one campaign
		add("action_id", literal(value.Int(id)))
	case m.Campaign != "":
		add("campaign_id", literal(value.Int(id)))
	case m.Transactional != "":
		add("transactional_message_id", literal(value.Int(id)))
	}
	if len(m.links) > 0 {
		add("href", m.links...)
	}
	c.spec.Where = nil
	if len(list) > 0 {
		c.spec.Where = &Node{kind: all, children: list}
	}
	c.spec.Key = c.spec.key()
}

func (m *messages) canonical(b *value.Builder, word string) {
	b.Set("message", value.Quote(word))
	for _, n := range [...]struct{ word, id string }{{"campaign", m.Campaign}, {"action", m.Action}, {"transactional", m.Transactional}} {
		if n.id != "" {
			b.Set(n.word, value.Quote(n.id))
		}
	}
	if len(m.links) > 0 {
		b.Set("link", literals(m.links))
	}
}

// say says what happened to the messages, or with never that it did not.
func (m *messages) say(name string, never bool) string {
	what := "any message"
	switch {
	case m.Action != "":
		what = "message " + word(m.Action) + " of campaign " + word(m.Campaign)
	case m.Campaign != "":
		what += " of campaign " + word(m.Campaign)
	case m.Transactional != "":
		what = "transactional message " + word(m.Transactional)
	}
	link := "any link"
	if len(m.links) > 0 {
		link = list(m.links, " or ")
	}
	say := map[string][2]string{
		"sent":         {"was sent " + what, "was not sent " + what},
		"delivered":    {"received " + what, "did not receive " + what},
		"opened":       {"opened " + what, "did not open " + what},
		"clicked":      {"clicked " + link + " in " + what, "did not click " + link + " in " + what},
		"bounced":      {"had " + what + " bounce", "did not have " + what + " bounce"},
		"failed":       {"had " + what + " fail", "did not have " + what + " fail"},
		"suppressed":   {"had " + what + " suppressed", "did not have " + what + " suppressed"},
		"spammed":      {"marked " + what + " as spam", "did not mark " + what + " as spam"},
		"unsubscribed": {"unsubscribed through " + what, "did not unsubscribe through " + what},
	}[name]
	if never {
		return say[1]
	}
	return say[0]
}
