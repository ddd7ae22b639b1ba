package app

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"rapport.example/internal/api"
	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/person"
	"rapport.example/internal/workspace"
)

type (
	// Description says what an attribute or an event is for.
	Description struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Privacy     int64  `json:"privacy_level"` // of attributes: 1 = sensitive
	}

	// AttributesRequest describes 1 to 100 attributes.
	AttributesRequest struct {
		Attributes []Description `json:"attributes"`
	}

	// EventsRequest describes 1 to 100 events.
	EventsRequest struct {
		Events []EventDescription `json:"events"`
	}

	// EventDescription says what an event is for.
	EventDescription struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	}
)

// DataIndex keeps what attributes and events are for.
type DataIndex interface {
	// Describe keeps descriptions of a kind, attribute or event, over those of the same names; nothing, if there were more than most
	// of the kind then, which is what it returns.
	Describe(ctx context.Context, workspace int64, kind string, list []Description, most int64) (total int64, err error)
	// Private lists the names of a kind that are sensitive: mostDescribed at most.
	Private(ctx context.Context, workspace int64, kind string) ([]string, error)
}

// The bounds of the data index.
const (
	maxDescriptions = 100 // of a request
	maxDescription  = 255 // characters
	mostDescribed   = 10_000
)

func (s *surface) dataIndexRoutes() []api.Route {
	post := func(path string, request any, h api.Handler, doc string) api.Route {
		return api.Route{
			Method: http.MethodPost, Path: "/v1/data_index/" + path, Auth: api.AppKey, Agent: workspace.Configure, Scope: workspace.WriteScope, Limit: api.LimitApp,
			Shape: api.AppErrors, MaxBody: 256 << 10, Request: request, Handler: h, Doc: doc,
		}
	}
	return []api.Route{
		post("attributes", AttributesRequest{}, s.describeAttributes, "Says what attributes are for, and which are sensitive."),
		post("events", EventsRequest{}, s.describeEvents, "Says what events are for."),
	}
}

func (s *surface) describeAttributes(c *api.Call) error {
	var in AttributesRequest
	if err := c.Decode(&in, false); err != nil {
		return err
	}
	return s.describe(c, "attribute", in.Attributes, person.MaxAttributeName)
}

func (s *surface) describeEvents(c *api.Call) error {
	var in EventsRequest
	if err := c.Decode(&in, false); err != nil {
		return err
	}
	list := make([]Description, len(in.Events))
	for i, e := range in.Events {
		list[i] = Description{Name: e.Name, Description: e.Description}
	}
	return s.describe(c, "event", list, event.MaxName)
}

// describe keeps descriptions, all or none; what is wrong with one is a 422 that points at it.
func (s *surface) describe(c *api.Call, kind string, list []Description, longest int) error {
	if len(list) == 0 || len(list) > maxDescriptions {
		return fault.Field(kind+"s", "must be a list of 1 to %d", maxDescriptions)
	}
	seen := map[string]bool{}
	for i, d := range list {
		at := fmt.Sprintf("%ss.%d.", kind, i)
		var err error
		switch {
		case strings.TrimSpace(d.Name) == "":
			err = fault.Field(at+"name", "must not be empty")
		case len(d.Name) > longest || !utf8.ValidString(d.Name) || strings.ContainsRune(d.Name+d.Description, 0):
			err = fault.Field(at+"name", "must be at most %d bytes of UTF-8 without NUL", longest)
		case seen[d.Name]:
			err = fault.Field(at+"name", "is named twice")
		case utf8.RuneCountInString(d.Description) > maxDescription:
			err = fault.Field(at+"description", "is longer than %d characters", maxDescription)
		case d.Privacy != 0 && d.Privacy != 1:
			err = fault.Field(at+"privacy_level", "must be 0 or 1")
		}
		if err != nil {
			return api.WithStatus(http.StatusUnprocessableEntity, err)
		}
		seen[d.Name] = true
	}
	total, err := s.o.Store.Describe(c.R.Context(), c.Workspace, kind, list, mostDescribed)
	if err != nil {
		return err
	}
	if total > mostDescribed {
		return api.WithStatus(http.StatusUnprocessableEntity, fault.Field(kind+"s", "would be more than %d that are described", mostDescribed))
	}
	return c.NoContent()
}
