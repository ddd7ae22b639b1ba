package privacytest

import (
	"net/http"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"rapport.example/internal/config"
)

// behind makes requests as a trusted proxy does for a client.
type behind struct{ key, client string }

// RoundTrip is part of http.RoundTripper.
func (b behind) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", b.client)
	return bearer(b.key).RoundTrip(r)
}

// TestAllowedAddresses: keys open nothing from elsewhere, neither directly nor by way of an agent's tools, and what an agent's
// tools ask this server for counts as asked from where the agent is.
func TestAllowedAddresses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o config.Serve) {
		o.TrustedProxies = "127.0.0.1"
		r := run(t, o)
		r.must(t, first.adm, http.MethodPut, "/admin/v1/allowed_addresses", `{"allow":["192.0.2.9"]}`)
		status := func(key, client, path string) int {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := behind{key, client}.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode
		}
		for _, key := range []string{first.app, first.agent} {
			if in, out := status(key, "192.0.2.9", "/v1/workspaces"), status(key, "192.0.2.8", "/v1/workspaces"); in != http.StatusOK || out != http.StatusForbidden {
				t.Errorf("from the address %d, from another %d", in, out)
			}
		}
		if in := status(first.adm, "192.0.2.8", "/admin/v1/keys"); in != http.StatusOK {
			t.Errorf("operators are shut out: %d", in)
		}
		connect := func(client string) (*sdk.ClientSession, error) {
			transport := &sdk.StreamableClientTransport{Endpoint: r.url + "/mcp", HTTPClient: &http.Client{Transport: behind{first.agent, client}}, DisableStandaloneSSE: true}
			return sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), transport, nil)
		}
		if _, err := connect("192.0.2.8"); err == nil {
			t.Error("an agent gets in from another address")
		}
		s, err := connect("192.0.2.9")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close() // what the tool answered is what counts
		res, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: "get_workspace"})
		if err != nil || res.IsError {
			t.Errorf("a tool of an agent that is allowed: %+v, %v", res, err)
		}
	})
}

// TestGuessedAgentKeys: whoever tries agent keys is turned away by their address; a good key from there goes on.
func TestGuessedAgentKeys(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o config.Serve) {
		o.TrustedProxies, o.Limits, o.LimitOpen = "127.0.0.1", "vendor", 0.01
		r := run(t, o)
		for n, want := range []int{http.StatusUnauthorized, http.StatusTooManyRequests} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/mcp", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := behind{"agk_guess", "192.0.2.9"}.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if h := resp.Header; resp.StatusCode != want || h.Get("RateLimit-Limit") != "1" || (h.Get("Retry-After") != "") != (n == 1) || h.Get("X-Request-Id") == "" {
				t.Errorf("try %d: %d %v, want %d", n+1, resp.StatusCode, resp.Header, want)
			}
		}
		transport := &sdk.StreamableClientTransport{Endpoint: r.url + "/mcp", HTTPClient: &http.Client{Transport: behind{first.agent, "192.0.2.9"}}, DisableStandaloneSSE: true}
		s, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), transport, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close() // that it is there is what counts
	})
}
