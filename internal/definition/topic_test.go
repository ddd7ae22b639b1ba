package definition

import (
	"testing"

	"rapport.example/internal/value"
)

func TestTopicsInLanguages(t *testing.T) {
	t.Parallel()
	topic, err := ParseTopic(value.Value(`{"id":"news","name":"News","description":"Once a month","languages":{` +
		`"de":{"name":"Neues","description":"Einmal im Monat"},"de-AT":{"name":"Neuigkeiten"},"pt-BR":{"description":"Uma vez por mês"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for accept, want := range map[string]TopicText{
		"":                       {"News", "Once a month"},
		"de":                     {"Neues", "Einmal im Monat"},
		"de-CH, en;q=0.5":        {"Neues", "Einmal im Monat"},
		"de-AT":                  {"Neuigkeiten", "Once a month"},
		"fr, de;q=0.8":           {"Neues", "Einmal im Monat"},
		"pt-BR":                  {"News", "Uma vez por mês"},
		"fr":                     {"News", "Once a month"},
		"*":                      {"News", "Once a month"},
		"no such field; at=all,": {"News", "Once a month"},
	} {
		if got := topic.In(accept); got != want {
			t.Errorf("in %q it is called %v, want %v", accept, got, want)
		}
	}
}
