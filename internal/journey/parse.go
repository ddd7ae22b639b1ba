package journey

import (
	"fmt"
	"regexp"
	"strings"

	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// ActionsKey is the private member of a stored campaign document that maps node slugs to numeric action ids. It is
// written by package definition and never by an author.
const ActionsKey = "_actions"

var slugForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)

// CheckSlug refuses an author's id that is not 1 to 100 ASCII letters, digits, "_" and "-", starting with a letter
// or digit. It is the rule for the ids of all definitions and of workflow nodes.
func CheckSlug(field string, v value.Value) (string, error) {
	s := v.Text()
	if v.Kind() != value.String || !slugForm.MatchString(s) {
		return "", fault.Field(field, "must be 1 to 100 letters, digits, _ or -, starting with a letter or digit")
	}
	return s, nil
}

// Parse reads a campaign document as it stands in a workspace file. An error is a *fault.Error of kind Invalid whose
// Field is the dotted path within the document.
func Parse(doc value.Value) (*Campaign, error) {
	if doc.Kind() != value.Object {
		return nil, fault.Field("", "a campaign must be a mapping")
	}
	if err := Only(doc, "", "id", "name", "description", "state", "trigger", "filter", "frequency", "workflow", ActionsKey); err != nil {
		return nil, err
	}
	c := &Campaign{State: Draft, Once: true, byslug: map[string]int{}}
	for _, step := range []func(value.Value) error{c.head, c.trigger, c.entry, c.workflow} {
		if err := step(doc); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Head reads what every named definition begins with: id, name, which defaults to the id, and description.
func Head(doc value.Value) (slug, name, description string, err error) {
	if slug, err = CheckSlug("id", doc.Get("id")); err != nil {
		return "", "", "", err
	}
	if name, err = text(doc, "name"); err != nil {
		return "", "", "", err
	}
	if name == "" {
		name = slug
	}
	description, err = text(doc, "description")
	return slug, name, description, err
}

// head reads what the campaign is called and whether it runs.
func (c *Campaign) head(doc value.Value) (err error) {
	if c.Slug, c.Name, c.Description, err = Head(doc); err != nil {
		return err
	}
	c.State, err = oneOf(doc, "", "state", Draft, Running, Stopped)
	return err
}

func (c *Campaign) trigger(doc value.Value) error {
	t := doc.Get("trigger")
	if t.Kind() != value.Object {
		return fault.Field("trigger", "must be a mapping with event or enters_segment")
	}
	ev, seg := t.Get("event"), t.Get("enters_segment")
	switch {
	case t.Get("broadcast") != nil:
		return c.broadcast(t)
	case ev != nil && seg != nil:
		return fault.Field("trigger", "must have either event or enters_segment, not both")
	case ev != nil:
		return c.eventTrigger(t, ev)
	case seg != nil:
		return c.segmentTrigger(t, seg)
	}
	if err := Only(t, "trigger", "event", "where", "enters_segment", "audience", "broadcast"); err != nil {
		return err
	}
	return fault.Field("trigger", "must have event, enters_segment or broadcast")
}

// broadcast is a campaign that a program starts for an audience, through the App API.
func (c *Campaign) broadcast(t value.Value) error {
	if err := Only(t, "trigger", "broadcast"); err != nil {
		return err
	}
	if !value.Equal(t.Get("broadcast"), value.True) {
		return fault.Field("trigger.broadcast", "must be true; other triggers are event and enters_segment")
	}
	c.Trigger.Broadcast = true
	return nil
}

func (c *Campaign) eventTrigger(t, ev value.Value) error {
	if err := Only(t, "trigger", "event", "where"); err != nil {
		return err
	}
	c.Trigger.Event = ev.Text()
	if ev.Kind() != value.String || c.Trigger.Event == "" || len(c.Trigger.Event) > event.MaxName {
		return fault.Field("trigger.event", "must be an event's name of 1 to %d bytes", event.MaxName)
	}
	where := t.Get("where")
	if where == nil {
		return nil
	}
	var err error
	if c.Trigger.Where, err = segment.Parse(where, "trigger.where"); err != nil {
		return err
	}
	if m := c.Trigger.Where.Mentions(); len(m.Attributes)+len(m.Chains)+len(m.Segments)+len(m.Objects) > 0 || m.Devices {
		return fault.Field("trigger.where", "looks at the event's data alone: use property conditions here, and filter for what is known about the person")
	}
	return nil
}

func (c *Campaign) segmentTrigger(t, seg value.Value) (err error) {
	if err := Only(t, "trigger", "enters_segment", "audience"); err != nil {
		return err
	}
	if c.Trigger.Segment, err = CheckSlug("trigger.enters_segment", seg); err != nil {
		return err
	}
	audience, err := oneOf(t, "trigger", "audience", "new_only", "current_and_new")
	c.Trigger.Current = audience == "current_and_new"
	return err
}

// entry reads who may start, and how often.
func (c *Campaign) entry(doc value.Value) (err error) {
	if f := doc.Get("filter"); f != nil {
		if c.Filter, err = segment.Parse(f, "filter"); err != nil {
			return err
		}
	}
	frequency, err := oneOf(doc, "", "frequency", "once", "every_time")
	c.Once = frequency == "once"
	return err
}

// Only refuses members that are not known, naming the nearest known one.
func Only(v value.Value, path string, known ...string) error {
	for k := range v.Fields() {
		found := false
		for _, n := range known {
			found = found || n == k
		}
		if found {
			continue
		}
		if near := fault.Nearest(k, known); near != "" {
			return fault.Field(join(path, k), "unknown key, did you mean %s?", near)
		}
		return fault.Field(join(path, k), "unknown key, expected one of %s", strings.Join(visible(known), ", "))
	}
	return nil
}

// visible leaves private keys out of what an author is told.
func visible(names []string) []string {
	var out []string
	for _, n := range names {
		if !strings.HasPrefix(n, "_") {
			out = append(out, n)
		}
	}
	return out
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// text reads optional text; null, as an empty YAML value is, is none.
func text(v value.Value, name string) (string, error) {
	t := v.Get(name)
	switch t.Kind() {
	case value.Absent, value.Null:
		return "", nil
	case value.String:
		return t.Text(), nil
	default:
		return "", fault.Field(name, "must be text")
	}
}

// oneOf reads a word; the first of words is the default.
func oneOf(v value.Value, path, name string, words ...string) (string, error) {
	t := v.Get(name)
	if t == nil {
		return words[0], nil
	}
	for _, w := range words {
		if t.Kind() == value.String && t.Text() == w {
			return w, nil
		}
	}
	return "", fault.Field(join(path, name), "must be one of %s", strings.Join(words, ", "))
}

// delay reads a duration like 90s, 15m, 72h, 3d or 1d12h as milliseconds.
func delay(v value.Value, path string) (int64, error) {
	if v.Kind() != value.String {
		return 0, fault.Field(path, "must be a duration like 15m, 72h or 3d")
	}
	ms, err := segment.ParseDuration(v.Text())
	if err != nil {
		return 0, fault.Field(path, "%s", err)
	}
	return ms, nil
}

// index is the path of an element of a list.
func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
