package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"rapport.example/internal/api/admin"
)

// TestClients registers an OAuth client and makes an agent key with a limit, which holds for the App API and the tools alike.
func TestClients(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, t.TempDir())
	c := client{t, url}
	c.do("agents", "clients", "add", "desk", "--redirect", "http://127.0.0.1/callback", "--redirect", "desk.assistant://done")
	if out := c.do("agents", "clients", "list"); !strings.Contains(out, "desk.assistant://done") {
		t.Errorf("clients: %s", out)
	}
	if out := c.do("agents", "clients", "remove", "desk"); !strings.Contains(out, "has ended") {
		t.Errorf("remove: %s", out)
	}
	for _, path := range []string{"/v1/campaigns", "/mcp"} {
		var key admin.Secret
		if err := json.Unmarshal([]byte(c.do("keys", "create", "--kind", "agent", "--limit", "1", "--json")), &key); err != nil {
			t.Fatal(err)
		}
		if key.PerMinute != 1 {
			t.Errorf("the key is %+v", key)
		}
		var last *http.Response
		for range 2 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+key.Secret)
			if last, err = http.DefaultTransport.RoundTrip(req); err != nil {
				t.Fatal(err)
			}
			if err := last.Body.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if last.StatusCode != http.StatusTooManyRequests || last.Header.Get("Retry-After") == "" {
			t.Errorf("the second request to %s is answered %d", path, last.StatusCode)
		}
	}
}
