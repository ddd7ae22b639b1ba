package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"

	"rapport.example/internal/workspace"
)

type (
	listContentIn struct {
		Type string `json:"type" enum:"senders,topics,channels,object_types"`
		page
	}
	contentRow struct {
		ID          text `json:"id"`
		Name        text `json:"name"`
		Email       text `json:"email,omitempty"`
		Description text `json:"description,omitempty"`
		Default     bool `json:"subscribed_by_default,omitempty"`
	}

	saveContentIn struct {
		Kind      string  `json:"kind" enum:"campaign,broadcast,transactional"`
		ID        string  `json:"id" jsonschema:"of the campaign or message"`
		ContentID string  `json:"content_id" jsonschema:"of one of its actions, as get_message shows them"`
		Language  string  `json:"language,omitempty" jsonschema:"of a campaign or broadcast; default the action itself"`
		Subject   *string `json:"subject,omitempty"`
		Preheader *string `json:"preheader_text,omitempty"`
		Body      *string `json:"body,omitempty" jsonschema:"HTML with Liquid"`
		Plain     *string `json:"body_plain,omitempty"`
		writing
	}
)

func (s *Server) contentTools() error {
	return errors.Join(
		declare(s, spec{
			setContent, "list_content", "List content", "Lists what messages are made with: senders, subscription topics, channels or types of objects.",
			workspace.Read, reads, false,
		}, s.listContent),
		declare(s, spec{
			setContent, "save_content", "Change what a message says",
			"Changes the subject, preheader or body of one email of a campaign, broadcast or transactional message. It holds for what is sent from now on.",
			workspace.WriteLive, live, false,
		}, s.saveContent),
	)
}

// lists are the paths of what list_content lists, and the names in their answers.
var lists = map[string]struct{ path, key string }{
	"senders": {"/v1/sender_identities", "sender_identities"}, "topics": {"/v1/subscription_topics", "topics"},
	"channels": {"/v1/subscription_channels", "channels"}, "object_types": {"/v1/object_types", "types"},
}

func (s *Server) listContent(ctx context.Context, c *Client, in listContentIn) (out listOut[contentRow], err error) {
	l, ok := lists[in.Type]
	if !ok {
		return out, invalid("type", "must be senders, topics, channels or object_types")
	}
	return paged(s, in.page, "list_content", []any{in.Type}, func(limit int, start string) ([]contentRow, string, error) {
		return readList(ctx, c, l.path, nil, l.key, limit, start, func(r contentRow) contentRow { return r })
	})
}

var languageCode = regexp.MustCompile(`^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$`)

// mostBefore is how much of the values before an answer shows.
const mostBefore = 8_000

func (s *Server) saveContent(ctx context.Context, c *Client, in saveContentIn) (out writeOut, err error) {
	k, ok := kinds[in.Kind]
	if !ok {
		return out, invalid("kind", "must be campaign, broadcast or transactional")
	}
	for field, v := range map[string]string{"id": in.ID, "content_id": in.ContentID} {
		if err := number(field, v); err != nil {
			return out, err
		}
	}
	path, key := k.path+"/"+in.ID+k.actions+"/"+in.ContentID, "action"
	switch {
	case in.Kind == "transactional" && in.Language != "":
		return out, invalid("language", "is told by content_id: each language of a transactional message has its own")
	case in.Kind == "transactional":
		path, key = k.path+"/"+in.ID+"/content/"+in.ContentID, "content"
	case in.Language != "" && !languageCode.MatchString(in.Language):
		return out, invalid("language", "must be a code like fr or pt-BR")
	case in.Language != "":
		path += "/language/" + escaped(in.Language)
	}
	var was map[string]json.RawMessage
	if err := c.read(ctx, path, nil, &was); err != nil {
		return out, err
	}
	before := map[string]json.RawMessage{}
	if err := json.Unmarshal(was[key], &before); err != nil {
		return out, unexpected()
	}
	body := map[string]any{}
	out.Undo = "save_content with the values before"
	for _, f := range [...]struct {
		name string
		v    *string
	}{{"subject", in.Subject}, {"preheader_text", in.Preheader}, {"body", in.Body}, {"body_plain", in.Plain}} {
		if f.v == nil {
			continue
		}
		var old text
		if raw := before[f.name]; raw != nil {
			if err := old.UnmarshalJSON(raw); err != nil {
				return out, unexpected()
			}
		}
		body[f.name] = *f.v
		ch := change{Field: f.name, Before: cutTo(string(old), mostBefore), After: cutTo(clean(*f.v), 300)}
		if ch.Before != string(old) {
			out.Undo = "the text before is too long to show whole: keep what get_message shows first"
		}
		out.Changes = append(out.Changes, ch)
	}
	if len(body) == 0 {
		return out, invalid("subject", "or preheader_text, body or body_plain must be given")
	}
	err = c.send(ctx, in.writing, call{class: appClass, method: http.MethodPut, path: path, body: body}, &out, nil)
	return out, err
}
