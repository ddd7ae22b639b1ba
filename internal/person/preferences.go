package person

import (
	"slices"
	"strings"

	"rapport.example/internal/value"
)

// Preferences is the attribute that says what somebody subscribed to, {"topics":{"topic_4":true},"channels":{"sms":false}}.
// A write of the whole replaces all of it; one of Preferences + ".topics.topic_4" changes that topic alone (track-api §5).
const Preferences = "cio_subscription_preferences"

// MaxPreferences is how long Preferences may become by writes of single members, in bytes.
const MaxPreferences = 16 << 10

const member = Preferences + "." // begins the names of members; their times stand in Document.Removed

// ParsePreference reads a write of one member of Preferences. of is false if the name is no member's; problem says what is
// wrong with a name or value that cannot be written.
func ParsePreference(name string, v value.Value) (of bool, problem string) {
	path, of := strings.CutPrefix(name, member)
	if !of {
		return false, ""
	}
	group, key, _ := strings.Cut(path, ".")
	if group != "topics" && group != "channels" || key == "" || strings.Contains(key, ".") || len(name) > MaxAttributeName {
		return true, "is not one of the members that are set alone, as " + member + "topics.topic_1 is"
	}
	if _, ok := v.Bool(); !ok && !v.Empty() {
		return true, "must be true or false"
	}
	return true, ""
}

// SetPreference writes a member of Preferences that ParsePreference took, as of at (Unix seconds); null and the empty string
// remove it. Writes of one member are ordered by at, and each against those of the whole, but not against other members.
// before is the whole. Full says that the person has no room for it.
func (d *Document) SetPreference(name string, v value.Value, at int64) (before value.Value, verdict Verdict) {
	a, gone := d.attribute(Preferences), d.removedAt(Preferences)
	if a != nil {
		before, gone = a.Value, a.At
	}
	if at < gone || at < d.removedAt(name) {
		return before, Stale
	}
	to := value.Value(nil)
	if on, ok := v.Bool(); ok {
		to = value.OfBool(on)
	}
	after := value.Value(nil)
	if a != nil || to != nil {
		after = withMember(before, name, to)
	}
	switch {
	case len(after) > MaxPreferences, a == nil && after != nil && len(d.Attributes) >= MaxAttributes:
		return before, Full
	case a == nil && after != nil:
		d.Attributes = append(d.Attributes, Attribute{Preferences, after, gone})
	case a != nil:
		a.Value = after
	}
	d.MarkRemoved(name, at)
	if value.Equal(before, after) {
		return before, Same
	}
	return before, Changed
}

// keepMembers is what a write of the whole as of at leaves: v, with the members that were written later as they are.
func (d *Document) keepMembers(v value.Value, at int64) value.Value {
	whole := d.Get(Preferences)
	d.Removed = slices.DeleteFunc(d.Removed, func(r Dated) bool {
		path, of := strings.CutPrefix(r.Name, member)
		if of && r.At > at {
			v = withMember(v, r.Name, whole.Path(path))
		}
		return of && r.At <= at
	})
	return v
}

// ChangedAt is when an attribute of the document was written last, be it a member of it, in Unix seconds.
func (d *Document) ChangedAt(a *Attribute) int64 {
	at := a.At
	if a.Name == Preferences {
		for _, r := range d.Removed {
			if strings.HasPrefix(r.Name, member) {
				at = max(at, r.At)
			}
		}
	}
	return at
}

func (d *Document) removedAt(name string) int64 {
	if i := d.removed(name); i >= 0 {
		return d.Removed[i].At
	}
	return 0
}

// withMember is a value of Preferences with one member set, or without it if v is nil.
func withMember(whole value.Value, name string, v value.Value) value.Value {
	group, key, _ := strings.Cut(strings.TrimPrefix(name, member), ".")
	return whole.With(group, whole.Get(group).With(key, v))
}
