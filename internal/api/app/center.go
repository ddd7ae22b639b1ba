package app

import (
	"net/http"

	"rapport.example/internal/api"
	"rapport.example/internal/workspace"
)

// CenterAnswer is a link to the page where a person chooses topics, good for a day.
type CenterAnswer struct {
	Token string `json:"token"`
	URL   string `json:"url"`
}

// centerRoute is a read by its method alone: whoever has the link may write what the person wants, so it takes the scope of that.
func (s *surface) centerRoute() api.Route {
	r := s.get("/v1/subscription_center/{customer_id}/token", CenterAnswer{}, s.center, "Makes a link to the page where a person chooses topics.").With(api.IDType)
	r.Scope, r.Agent = workspace.WriteScope, workspace.WriteLive
	return r
}

func (s *surface) center(c *api.Call) error {
	d, err := s.person(c)
	if err != nil {
		return err
	}
	token, url := s.centers.Link(c.Workspace, d.CIO, c.Now)
	return c.JSON(http.StatusOK, CenterAnswer{token, url})
}
