package pipelines

import (
	"net/http"
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

// settings tells a library where this server is. A key that is not one is a 404, at which the libraries give up. It counts
// against the limit of the workspace, for the browsers of a site may all come from the address of a proxy.
func (s *surface) settings(c *api.Call) error {
	key := c.Param("write_key")
	if err := s.admit(c, value.Quote(key)); err != nil {
		if !fault.Is(err, fault.Unauthorized) {
			return err
		}
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
