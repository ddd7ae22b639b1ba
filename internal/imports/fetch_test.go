package imports

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"rapport.example/internal/fault"
)

// TestPublic: which addresses count as the internet.
func TestPublic(t *testing.T) {
	t.Parallel()
	for a, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true, "172.32.0.1": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "127.255.0.9": false, "::1": false, "::": false, "0.0.0.0": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false,
		"169.254.169.254": false, "fe80::1%eth0": false, "fd00:ec2::254": false, "100.100.100.200": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false,
		"64:ff9b::7f00:1": false, "2002:7f00:1::": false, "::7f00:1": false, "224.0.0.1": false, "ff02::1": false, "255.255.255.255": false,
		"168.63.129.16": false, "198.18.0.1": false, "2001:db8::1": false, "fec0::1": false,
	} {
		if got := public(netip.MustParseAddr(a)); got != want {
			t.Errorf("public(%s) = %v, want %v", a, got, want)
		}
	}
}

// TestFetch: where a fetcher goes, and what it says of what it finds there.
func TestFetch(t *testing.T) {
	t.Parallel()
	var hidden bool
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hidden = true }))
	defer inner.Close()
	outer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch to := r.URL.Query().Get("to"); {
		case to != "":
			if r.Header.Get("Referer") != "" {
				t.Error("a redirect tells where it came from")
			}
			http.Redirect(w, r, to, http.StatusFound)
		case r.URL.Path == "/again":
			http.Redirect(w, r, "/again", http.StatusFound)
		case r.URL.Path == "/ok":
			fmt.Fprint(w, "the file")
		case r.URL.Path == "/large":
			w.Header().Set("Content-Length", fmt.Sprint(MaxSize+1))
		case r.URL.Path == "/short":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half")
		case r.URL.Path == "/down":
			w.WriteHeader(http.StatusBadGateway)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer outer.Close()
	address := strings.TrimPrefix(outer.URL, "http://")
	for name, c := range map[string]struct {
		hosts, url, body string
		kind             fault.Kind
		message          string
	}{
		"allowed":               {address, outer.URL + "/ok", "the file", 0, ""},
		"not allowed":           {"", outer.URL + "/ok", "", fault.Invalid, "not allowed"},
		"a name of loopback":    {"", strings.Replace(outer.URL, "127.0.0.1", "localhost", 1) + "/ok", "", fault.Invalid, "not allowed"},
		"mapped into IPv6":      {"", strings.Replace(outer.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1) + "/ok", "", fault.Invalid, "not allowed"},
		"another port":          {address, inner.URL, "", fault.Invalid, "not allowed"},
		"redirect into":         {address, outer.URL + "/?to=" + url.QueryEscape(inner.URL), "", fault.Invalid, "not allowed"},
		"redirect to metadata":  {address, outer.URL + "/?to=" + url.QueryEscape("http://169.254.169.254/latest"), "", fault.Invalid, "not allowed"},
		"redirect to a file":    {address, outer.URL + "/?to=" + url.QueryEscape("file:///etc/passwd"), "", fault.Invalid, "http or https"},
		"redirects within":      {address, outer.URL + "/?to=/ok", "the file", 0, ""},
		"redirects without end": {address, outer.URL + "/again", "", fault.Invalid, "more than 5 redirects"},
		"a file":                {address, "file:///etc/passwd", "", fault.Invalid, "http or https"},
		"not found":             {address, outer.URL + "/none", "", fault.Invalid, "answers 404"},
		"down":                  {address, outer.URL + "/down", "", fault.Unavailable, "answers 502"},
		"broken off":            {address, outer.URL + "/short", "", fault.Unavailable, "broke off"},
		"too large":             {address, outer.URL + "/large", "", fault.TooLarge, "larger than"},
	} {
		var got bytes.Buffer
		err := NewFetcher(c.hosts).Get(t.Context(), c.url, &got)
		switch {
		case c.message == "" && c.kind == 0:
			if err != nil || got.String() != c.body {
				t.Errorf("%s: %q, %v", name, got.String(), err)
			}
		case fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.message) || strings.Contains(err.Error(), "127.0.0.1"):
			t.Errorf("%s: %v, want %v with %q", name, err, c.kind, c.message)
		}
	}
	if hidden {
		t.Error("a server inside was reached")
	}
}
