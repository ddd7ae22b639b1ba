package app

import (
	"slices"
	"strconv"
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/person"
)

// ActivityQuery selects activities. Fields that are empty select nothing away.
type ActivityQuery struct {
	From       int64      // sequence that the page starts at; see the methods of Timelines for 0
	Type       event.Type // 0 = any
	Name       string     // the name as it is stored
	Named      string     // the name of an event, page, screen or form, or an attribute that changed
	ObjectType string     // the number of the type of objects that it is about
	Living     bool       // without what is left of deleted people
	Limit      int        // at least 1
}

// Any says that the query wants everything.
func (q ActivityQuery) Any() bool {
	return q.Type == 0 && q.Name == "" && q.Named == "" && q.ObjectType == "" && !q.Living
}

// ByData says that type and name do not always tell whether the query wants an activity.
func (q ActivityQuery) ByData() bool {
	return q.ObjectType != "" || q.Named != "" && (q.Type == 0 || q.Type == event.AttributeChange)
}

// MayWant says whether the query may want an activity of a type and name. Where ByData is false, it does.
func (q ActivityQuery) MayWant(t event.Type, name string) bool {
	switch {
	case q.Type != 0 && q.Type != t, q.Name != "" && q.Name != name, q.Living && (t == event.Deleted || t == event.Suppressed):
		return false
	case q.Named == "", t == event.AttributeChange:
		return true
	default:
		return ownName(t) && q.Named == name
	}
}

// Wants says whether the query wants an activity.
func (q ActivityQuery) Wants(a *event.Activity) bool {
	if !q.MayWant(a.Type, a.Name) || q.ObjectType != "" && a.Data.Get("object_type_id").Text() != q.ObjectType {
		return false
	}
	return q.Named == "" || a.Type != event.AttributeChange || a.Data.Get(q.Named) != nil
}

// ownName says that activities of a type have the name of what happened.
func ownName(t event.Type) bool {
	return t == event.Track || t == event.Page || t == event.Screen || t == event.Form
}

// Words of the vendor for activities that this program has none of, or has as another type.
var otherTypes = []string{
	"failed_batch_update", "failed_object_journeys", "failed_query_collection", "relationship_attribute_change",
	"relationship_failed_attribute_change", "skipped_update", "stripe_event", "webhook_event",
}

// Words for what happens to objects and relationships, after _o:TYPE: and _r:TYPE:, and what they are here. 0 is nothing.
var objectTypes = map[string]struct {
	t    event.Type
	name string
}{
	"_o:create": {event.ObjectChange, "created"}, "_o:attribute_change": {event.ObjectChange, "updated"}, "_o:delete": {event.ObjectChange, "deleted"},
	"_o:add_relationship": {event.AddRelation, ""}, "_o:delete_relationship": {event.DeleteRelation, ""},
	"_o:failed_attribute_change": {}, "_r:attribute_change": {}, "_r:failed_attribute_change": {},
}

// activityParams are those that select activities.
var activityParams = []api.Param{
	api.Text("type", 100, "The type of activity, such as event, page, attribute_change or opened_email."),
	api.Text("name", max(event.MaxName, person.MaxAttributeName), "The name of an event, page, screen or form, or of an attribute that changed."),
	api.Bool("deleted", "Lists what is left of deleted people, too."),
}

// activityQuery reads type, name and deleted. none says that there cannot be such activities. An activity of a deleted person
// is listed if deleted asks for it, or the type does.
func (s *surface) activityQuery(c *api.Call, list, person string) (q ActivityQuery, p page, none bool, err error) {
	word, name, deleted := c.Query("type"), c.Query("name"), c.QueryBool("deleted")
	if p, err = s.page(c, list, word, name, person, strconv.FormatBool(deleted)); err != nil {
		return q, p, false, err
	}
	q = ActivityQuery{From: p.from, Named: name, Limit: p.limit, Living: person == "" && word == "" && !deleted}
	none, err = q.ofType(word)
	return q, p, none, err
}

// ofType has the query want activities of the type that a word names.
func (q *ActivityQuery) ofType(word string) (none bool, err error) {
	if word == "" {
		return false, nil
	}
	if t, ok := event.TypeOf(word); ok && t != event.Message {
		q.Type = t
		return false, nil
	}
	if kind, number, what, ok := objectWord(word); ok {
		is := objectTypes[kind+":"+what]
		q.Type, q.Name, q.ObjectType = is.t, is.name, number
		return is.t == 0, nil
	}
	if metric, ok := strings.CutSuffix(word, "_email"); ok && slices.Contains(metrics, metric) {
		q.Type, q.Name = event.Message, word
		return q.Named != "", nil // they have no name
	}
	if slices.Contains(otherTypes, word) || otherChannel(word) {
		return true, nil
	}
	return false, fault.Field("type", "is not a type of activity")
}

// objectWord takes _o:3:create apart; ok is false if the word is none of objects or relationships.
func objectWord(word string) (kind, number, what string, ok bool) {
	parts := strings.Split(word, ":")
	if len(parts) != 3 {
		return "", "", "", false
	}
	n, err := strconv.ParseUint(parts[1], 10, 31)
	_, ok = objectTypes[parts[0]+":"+parts[2]]
	return parts[0], strconv.FormatUint(n, 10), parts[2], ok && err == nil && n > 0
}

// otherChannel says that a word tells a metric of a message of another channel than email.
func otherChannel(word string) bool {
	word = strings.TrimPrefix(word, "secondary:") // of those that get a copy, in older documents
	channels := append([]string{"action", "content"}, messageTypes...)
	return slices.ContainsFunc(channels, func(channel string) bool {
		metric, ok := strings.CutSuffix(word, "_"+channel)
		return ok && (metric == "viewed" || metric == "triggered" || slices.Contains(metrics, metric))
	})
}

// typeWord is what an activity's type is called; Message is called by what happened to the message.
func typeWord(a *event.Activity) string {
	switch a.Type {
	case event.Message:
		return a.Name
	case event.ObjectChange:
		words := map[string]string{"created": "create", "updated": "attribute_change", "deleted": "delete"}
		return "_o:" + a.Data.Get("object_type_id").Text() + ":" + words[a.Name]
	default:
		return a.Type.String()
	}
}
