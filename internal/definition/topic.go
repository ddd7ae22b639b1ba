package definition

import (
	"maps"
	"slices"
	"strconv"

	"golang.org/x/text/language"

	"rapport.example/internal/fault"
	"rapport.example/internal/journey"
	"rapport.example/internal/message"
	"rapport.example/internal/value"
)

// Topic is the current version of a subscription topic.
type Topic struct {
	ID                      int64
	Slug, Name, Description string
	Subscribed              bool                 // whoever never said anything about it gets its messages
	Languages               map[string]TopicText // by language, as message.LanguageCode takes it
}

// TopicText is what a topic is called in another language; what is "" is as in the topic itself.
type TopicText struct{ Name, Description string }

// Key is the topic's name among preferences, like topic_4.
func (t *Topic) Key() string { return "topic_" + strconv.FormatInt(t.ID, 10) }

// Wants tells whether somebody with these preferences (person.Preferences) gets the topic's messages.
func (t *Topic) Wants(preferences value.Value) bool {
	on, ok := preferences.Get("topics").Get(t.Key()).Bool()
	if !ok {
		return t.Subscribed
	}
	return on
}

// In is what the topic is called in a language: the form of an Accept-Language field (RFC 9110 section 12.5.4), of which one tag is
// the simplest. de-AT finds de where there is no de-AT. What fits no language of the topic, or is no such field, finds its own name.
func (t *Topic) In(accept string) TopicText {
	own := TopicText{t.Name, t.Description}
	if len(t.Languages) == 0 || accept == "" {
		return own
	}
	wanted, _, err := language.ParseAcceptLanguage(accept)
	if err != nil {
		return own
	}
	codes, tags := slices.Sorted(maps.Keys(t.Languages)), []language.Tag{language.Und}
	for _, code := range codes {
		tags = append(tags, language.Make(code))
	}
	_, i, sure := language.NewMatcher(tags).Match(wanted...)
	if i == 0 || sure < language.High {
		return own
	}
	text := t.Languages[codes[i-1]]
	if text.Name == "" {
		text.Name = own.Name
	}
	if text.Description == "" {
		text.Description = own.Description
	}
	return text
}

// ParseTopic reads a subscription topic: id, name, description, subscribed_by_default, which is true if left out, and languages.
func ParseTopic(doc value.Value) (*Topic, error) {
	if doc.Kind() != value.Object {
		return nil, fault.New(fault.Invalid, "a topic must be a mapping")
	}
	if err := journey.Only(doc, "", "id", "name", "description", "subscribed_by_default", "languages"); err != nil {
		return nil, err
	}
	t := &Topic{Subscribed: true}
	var err error
	if t.Slug, t.Name, t.Description, err = journey.Head(doc); err != nil {
		return nil, err
	}
	switch v := doc.Get("subscribed_by_default"); {
	case v == nil || v.Kind() == value.Null:
	case v.Kind() != value.Bool:
		return nil, fault.Field("subscribed_by_default", "must be true or false")
	default:
		t.Subscribed = value.Equal(v, value.True)
	}
	t.Languages, err = topicLanguages(doc.Get("languages"))
	return t, err
}

func topicLanguages(list value.Value) (map[string]TopicText, error) {
	if list == nil || list.Kind() == value.Null {
		return nil, nil
	}
	if list.Kind() != value.Object {
		return nil, fault.Field("languages", "must be a mapping of languages, like de, to name and description")
	}
	out := map[string]TopicText{}
	for code, doc := range list.Fields() {
		path := "languages." + code
		switch {
		case !message.LanguageCode(code):
			return nil, fault.Field("languages", "%q is no language; write it as de or pt-BR", code)
		case len(out) == message.MaxLanguages:
			return nil, fault.Field("languages", "must be at most %d", message.MaxLanguages)
		case doc.Kind() != value.Object:
			return nil, fault.Field(path, "must be a mapping with name and description")
		}
		if err := journey.Only(doc, path, "name", "description"); err != nil {
			return nil, err
		}
		var text TopicText
		for _, name := range [...]string{"name", "description"} {
			if v := doc.Get(name); v != nil && v.Kind() != value.Null && v.Kind() != value.String {
				return nil, fault.Field(path+"."+name, "must be text")
			}
		}
		text.Name, text.Description = doc.Get("name").Text(), doc.Get("description").Text()
		if text == (TopicText{}) {
			return nil, fault.Field(path, "must say something: name or description")
		}
		out[code] = text
	}
	return out, nil
}
