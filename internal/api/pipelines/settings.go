package pipelines

import (
	"net/http"
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

// settings tells a library where this server is. A key that is not one is a 404, at which the libraries give up.
func (s *surface) settings(c *api.Call) error {
	key := c.Param("write_key")
	if _, err := s.o.Keys.Secret(workspace.Write, key, c.Now); err != nil {
		return fault.New(fault.NotFound, "there is no such write key")
	}
	protocol, host := "http", c.R.Host
	if c.R.TLS != nil || c.R.Header.Get("X-Forwarded-Proto") == "https" { // who says so untruly misleads nobody else
		protocol = "https"
	}
	if scheme, rest, ok := strings.Cut(s.o.BaseURL, "://"); ok {
		protocol, host = scheme, strings.TrimSuffix(rest, "/")
	}
	return c.JSON(http.StatusOK, Settings{Integrations: map[string]Integration{
		"Customer.io Data Pipelines": {APIKey: key, APIHost: host + "/v1", Protocol: protocol},
	}})
}
