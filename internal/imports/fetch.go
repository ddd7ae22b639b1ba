package imports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"rapport.example/internal/fault"
)

// Bounds of a fetch.
const (
	fetchFor  = 30 * time.Minute // altogether
	fetchStep = 30 * time.Second // to connect, and until an answer begins
	maxHops   = 5                // redirects
)

// inside are addresses that are nobody's on the internet, beside those that netip knows: shared, reserved and test networks, forms of IPv6
// that hold an IPv4 address, and a cloud's own service on a public address.
var inside = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"240.0.0.0/4", "168.63.129.16/32", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10")

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// public tells addresses of the internet from those of somebody's own network.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	for _, p := range inside {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// Fetcher gets files from where a caller says, and from nowhere inside the operator's network: every connection is checked by the
// address that it is really made to, also those of redirects. Proxies of the environment are not used, since they would dial for it.
type Fetcher struct {
	allowed map[string]bool
	client  *http.Client
}

var errInside = errors.New("the address is not one of the internet")

// NewFetcher returns a fetcher that may also reach the hosts in a list with commas between, as name or name:port, wherever they are.
func NewFetcher(hosts string) *Fetcher {
	f := &Fetcher{allowed: map[string]bool{}}
	for h := range strings.SplitSeq(hosts, ",") {
		if h = strings.ToLower(strings.TrimSpace(h)); h != "" {
			f.allowed[h] = true
		}
	}
	f.client = &http.Client{
		Transport: &http.Transport{
			DialContext:         dialer(f.allowed),
			TLSHandshakeTimeout: fetchStep, ResponseHeaderTimeout: fetchStep, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true, DisableKeepAlives: true,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			req.Header.Del("Referer") // may hold a secret
			if len(via) > maxHops {
				return fault.Field("data_file_url", "leads through more than %d redirects", maxHops)
			}
			return CheckURL(req.URL)
		},
	}
	return f
}

// Dialer makes connections to addresses of the internet only, and to the hosts in a list with commas between, as NewFetcher takes it.
func Dialer(hosts string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return dialer(NewFetcher(hosts).allowed)
}

func dialer(allowed map[string]bool) func(ctx context.Context, network, address string) (net.Conn, error) {
	free := &net.Dialer{Timeout: fetchStep}
	checked := &net.Dialer{Timeout: fetchStep, Control: control}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, _, err := net.SplitHostPort(address); err == nil && (allowed[strings.ToLower(host)] || allowed[strings.ToLower(address)]) {
			return free.DialContext(ctx, network, address)
		}
		return checked.DialContext(ctx, network, address)
	}
}

// control refuses a connection just before it is made, when its address is known and cannot change any more.
func control(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil || !public(a.Addr()) {
		return errInside
	}
	return nil
}

// CheckURL refuses addresses that are not http or https.
func CheckURL(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return fault.Field("data_file_url", "must be an address with http or https")
	}
	return nil
}

// Get writes the file at an address to w. Its errors name no part of the address, which may hold a secret. What trying again may
// mend is Unavailable; errors of w are returned as they are.
func (f *Fetcher) Get(ctx context.Context, from string, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, fetchFor)
	defer cancel()
	u, err := url.Parse(from)
	if err != nil {
		return fault.Field("data_file_url", "must be an address with http or https")
	}
	if err := CheckURL(u); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fault.Field("data_file_url", "must be an address with http or https")
	}
	req.Header.Set("User-Agent", "rapport-import")
	res, err := f.client.Do(req)
	var said *fault.Error
	switch {
	case errors.Is(err, errInside):
		return fault.Field("data_file_url", "leads to an address that is not allowed")
	case errors.As(err, &said):
		return said
	case err != nil:
		return fault.New(fault.Unavailable, "data_file_url cannot be reached")
	}
	defer res.Body.Close() //nolint:errcheck // read only
	switch {
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusRequestTimeout || res.StatusCode >= 500:
		return fault.New(fault.Unavailable, "data_file_url answers %d", res.StatusCode)
	case res.StatusCode != http.StatusOK:
		return fault.Field("data_file_url", "answers %d", res.StatusCode)
	case res.ContentLength > MaxSize:
		return errSize
	}
	to := &noting{w: w}
	if _, err := io.Copy(to, res.Body); err != nil {
		if to.err != nil {
			return fmt.Errorf("keep the file: %w", to.err)
		}
		return fault.New(fault.Unavailable, "data_file_url broke off")
	}
	return nil
}

// noting tells errors of writing from those of reading.
type noting struct {
	w   io.Writer
	err error
}

// Write is part of io.Writer.
func (n *noting) Write(p []byte) (int, error) {
	k, err := n.w.Write(p)
	if err != nil {
		n.err = err
	}
	return k, err
}
