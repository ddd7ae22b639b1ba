package server

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

// TestClientAddress: a header says who asks only as far back as trusted proxies wrote it.
func TestClientAddress(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		name      string
		trusted   []netip.Prefix
		from      string
		forwarded []string
		inside    string
		want      string
	}{
		{"no proxy is trusted", nil, "10.0.0.1:5", []string{"192.0.2.1"}, "", "10.0.0.1:5"},
		{"not from a proxy", trusted, "192.0.2.9:5", []string{"192.0.2.1"}, "", "192.0.2.9:5"},
		{"one proxy", trusted, "10.0.0.1:5", []string{"192.0.2.1"}, "", "192.0.2.1:0"},
		{"what the client made up", trusted, "10.0.0.1:5", []string{"198.51.100.1, 192.0.2.1"}, "", "192.0.2.1:0"},
		{"two proxies", trusted, "10.0.0.1:5", []string{"198.51.100.1", "192.0.2.1, fd00::2"}, "", "192.0.2.1:0"},
		{"all trusted", trusted, "[fd00::1]:5", []string{"10.0.0.3, 10.0.0.2"}, "", "10.0.0.3:0"},
		{"no header", trusted, "10.0.0.1:5", nil, "", "10.0.0.1:5"},
		{"no address", trusted, "10.0.0.1:5", []string{"192.0.2.1, unknown"}, "", "10.0.0.1:5"},
		{"no address further back", trusted, "10.0.0.1:5", []string{"unknown, 10.0.0.2"}, "", "10.0.0.2:0"},
		{"from this process", nil, "127.0.0.1:5", []string{"192.0.2.1:77"}, "secret", "192.0.2.1:77"},
		{"from who would be this process", nil, "192.0.2.9:5", []string{"192.0.2.1"}, "guess", "192.0.2.9:5"},
	} {
		var got, mark string
		c := &callers{tt.trusted, "secret", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got, mark = r.RemoteAddr, r.Header.Get(insideHeader)
		})}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = tt.from
		for _, v := range tt.forwarded {
			r.Header.Add(forwardedHeader, v)
		}
		if tt.inside != "" {
			r.Header.Set(insideHeader, tt.inside)
		}
		c.ServeHTTP(httptest.NewRecorder(), r)
		if got != tt.want || mark != "" {
			t.Errorf("%s: from %s with mark %q, want %s", tt.name, got, mark, tt.want)
		}
	}
}
