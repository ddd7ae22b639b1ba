package segment

import (
	"slices"
	"strconv"
	"strings"

	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

// Bounds of a condition.
const (
	MaxDepth  = 32                             // groups within groups, an event's where counted as one
	MaxLeaves = 500                            // conditions, those of where counted too
	maxValues = 1000                           // of is, is_not, one_of, contains, not_contains
	maxCount  = 10_000                         // of at_least, at_most, exactly: so many times are kept per person
	maxWindow = 10 * 366 * 24 * 60 * 60 * 1000 // ms
)

// Parse reads a condition as it stands in a workspace file, as JSON. path leads its error messages to the place: they are
// of kind Invalid and name the field. An empty path names fields from the top of doc.
func Parse(doc value.Value, path string) (*Node, error) {
	p := parser{}
	n, err := p.node(doc, path, 0, anywhere)
	if err != nil {
		return nil, err
	}
	n.walk(func(n *Node) { n.heading = n.head() })
	return n, nil
}

type parser struct{ leaves int }

// place says what makes sense at a point of the document.
type place uint8

const (
	anywhere       place = iota
	inWhere              // of an event condition: properties alone, and nothing that moves with the clock
	inHas                // properties alone
	inDevice             // where of a device condition: properties alone
	inObject             // where of an object condition: properties alone
	inRelationship       // relationship of an object condition: properties alone
)

// String names what the place's properties are of.
func (at place) String() string {
	return [...]string{"", "the event", "what is in the attribute", "the device", "the object", "the relationship"}[at]
}

// The words of the language, by the kind of node that they belong to.
const (
	groupWords   = "all any none not"
	subjectWords = "attribute property event message segment not_segment device object"
	leafWords    = "is is_not one_of exists greater less at_least at_most contains not_contains before after is_timestamp has"
	eventWords   = "event type at_least at_most exactly performed not_performed within first last where"
)

// node parses a group or a leaf.
func (p *parser) node(doc value.Value, path string, depth int, at place) (*Node, error) {
	if depth > MaxDepth {
		return nil, fault.Field(path, "is nested deeper than %d groups", MaxDepth)
	}
	if doc.Kind() != value.Object {
		return nil, fault.Field(path, "must be a condition: an object with all, any, none, attribute, event, message, device, object or segment")
	}
	head, err := p.head(doc, path)
	if err != nil {
		return nil, err
	}
	switch head {
	case "all", "any", "none", "not":
		return p.group(head, doc.Get(head), join(path, head), depth, at)
	}
	if p.leaves++; p.leaves > MaxLeaves {
		return nil, fault.Field(path, "has more than %d conditions", MaxLeaves)
	}
	if at != anywhere && head != "property" {
		return nil, fault.Field(path, "must look at a property of %s: {property: name, is: value}", at)
	}
	n, err := p.leaf(head, doc, path, depth, at)
	if err != nil {
		return nil, err
	}
	n.at = join(path, head)
	return n, nil
}

func (p *parser) leaf(head string, doc value.Value, path string, depth int, at place) (*Node, error) {
	switch head {
	case "attribute":
		return p.compared(doc, path, head, attribute, depth, at)
	case "property":
		return p.compared(doc, path, head, property, depth, at)
	case "event":
		return p.happened(doc, path, depth)
	case "message":
		return parseMessage(doc, path)
	case "device":
		return p.device(doc, path, depth)
	case "object":
		return p.related(doc, path, depth)
	default:
		return parseMember(doc, path, head)
	}
}

// head finds the one word that says what kind of node doc is.
func (p *parser) head(doc value.Value, path string) (string, error) {
	head, heads := "", strings.Fields(groupWords+" "+subjectWords)
	for k := range doc.Fields() {
		switch {
		case !slices.Contains(heads, k):
		case head == "":
			head = k
		default:
			return "", fault.Field(join(path, k), "cannot stand beside %s: make each a condition of its own in all or any", head)
		}
	}
	if slices.Contains(strings.Fields(groupWords), head) {
		for k := range doc.Fields() {
			if k != head {
				return "", fault.Field(join(path, k), "cannot stand beside %s: a group has nothing but its conditions", head)
			}
		}
	}
	if head != "" {
		return head, nil
	}
	known := strings.Fields("segment not_segment event message device object " + groupWords + " attribute property " + leafWords)
	for k := range doc.Fields() {
		if !slices.Contains(known, k) {
			return "", unknown(path, k, known)
		}
	}
	for k := range doc.Fields() {
		return "", fault.Field(path, "has %s, but nothing to apply it to: add attribute, property, event or message", k)
	}
	return "", fault.Field(path, "is empty: write all, any, none, attribute, event, message, device, object or segment")
}

func (p *parser) group(word string, v value.Value, path string, depth int, at place) (*Node, error) {
	n := &Node{kind: none}
	switch word {
	case "all":
		n.kind = all
	case "any":
		n.kind = anyOf
	}
	if word == "not" && v.Kind() == value.Object {
		c, err := p.node(v, path, depth+1, at)
		if err != nil {
			return nil, err
		}
		n.children = []*Node{c}
		return n, nil
	}
	if v.Kind() != value.Array {
		return nil, fault.Field(path, "must be a list of conditions")
	}
	for e := range v.Elements() {
		c, err := p.node(e, path+"["+strconv.Itoa(len(n.children))+"]", depth+1, at)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, c)
	}
	if len(n.children) == 0 {
		return nil, fault.Field(path, "must have at least one condition")
	}
	return n, nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// only refuses members other than the words.
func only(doc value.Value, path string, words ...string) error {
	for k := range doc.Fields() {
		if !slices.Contains(words, k) {
			return unknown(path, k, words)
		}
	}
	return nil
}

// unknown says what may have been meant: a word that is spelled alike, or this language's word for one of another.
func unknown(path, key string, known []string) error {
	if instead := elsewhere(key); instead != "" {
		return fault.Field(join(path, key), "%s", instead)
	}
	near := synonym(key)
	if !slices.Contains(known, near) {
		near = fault.Nearest(key, known)
	}
	if near != "" {
		return fault.Field(join(path, key), "is not known here; did you mean %s?", near)
	}
	return fault.Field(join(path, key), "is not known here; known are %s", strings.Join(known, ", "))
}

// elsewhere says of what has no word of its own where else it is found, or that it cannot be asked yet.
func elsewhere(key string) string {
	switch strings.ToLower(key) {
	case "topic", "topics", "subscribed", "subscription", "subscribed_to":
		return "is an attribute here: {attribute: cio_subscription_preferences.topics.topic_1, is_not: false} is true of who is subscribed by default and did not leave"
	case "newsletter", "newsletters", "converted", "conversion":
		return "is not available yet: conditions cannot ask for newsletters or conversions"
	}
	return ""
}

// synonym is our word for what other condition languages call so.
func synonym(key string) string {
	for _, words := range [...]string{
		"is = == eq equal equals", "is_not != <> ne neq not_equal not_equals", "one_of in any_of values",
		"greater > gt more more_than greater_than", "less < lt fewer less_than fewer_than",
		"at_least >= gte count times min", "at_most <= lte max", "contains includes like", "not_contains not_like excludes",
		"exists present is_set", "within window last period in_last", "where filter filters properties", "first first_performed", "last last_performed latest",
		"has where_any any_element elem_match has_property", "is_timestamp timestamp is_date", "all and", "any or", "attribute attr field trait", "event name event_name page screen",
	} {
		if list := strings.Fields(words); slices.Contains(list, strings.ToLower(key)) {
			return list[0]
		}
	}
	return ""
}
