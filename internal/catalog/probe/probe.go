// Package probe asks one host, which the operator names, what it serves to agents. It sends a fixed handful of GET requests,
// one after the other, within bounds of time and size, without credentials, and never leaves the host.
package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rapport.example/internal/catalog"
	"rapport.example/internal/fault"
)

// Bounds of a run.
const (
	MaxRequests = 10               // of one host
	maxTime     = 60 * time.Second // of a run
	maxWait     = 8 * time.Second  // for one answer
	maxBody     = 256 << 10        // bytes that are read of an answer
	pause       = 250 * time.Millisecond
)

// question is one request and what its answer must be like.
type question struct {
	key, path, accept string
	checks            []string
	yes               string
	ok                func(kind string, body []byte) bool
}

func questions() []question {
	return []question{
		{"probe.llms", "/llms.txt", "text/plain", []string{"discovery.llms"}, "llms.txt is served.", isLLMs},
		{"probe.markdown", "/", "text/markdown", []string{"discovery.markdown"}, "The first page answers Markdown to whoever asks for it.", isKind("text/markdown")},
		{"probe.openapi", "/openapi.json", "application/json", []string{"contract.openapi"}, "An OpenAPI document is served.", hasMember("openapi", "swagger")},
		{"probe.api_catalog", "/.well-known/api-catalog", "application/linkset+json", []string{"discovery.api_catalog"}, "An API catalogue (RFC 9727) is served.", hasMember("linkset")},
		{"probe.oauth", "/.well-known/oauth-protected-resource", "application/json", []string{"auth.oauth_metadata"}, "Protected-resource metadata (RFC 9728) is served.", hasMember("resource")},
		{"probe.card", "/.well-known/mcp/server-card.json", "application/json", []string{"discovery.registry"}, "An MCP server card is served.", hasMember("name", "serverInfo")},
		{"probe.skills", "/.well-known/agent-skills/index.json", "application/json", []string{"discovery.skills"}, "An index of agent skills is served.", hasMember("skills")},
	}
}

// Result is what a host answered.
type Result struct {
	Host     string         `json:"host"`
	Facts    []catalog.Fact `json:"facts"`    // E2, of what is there; what is not found proves nothing and fails no check
	Missing  []string       `json:"missing"`  // checks whose document was not found at its usual place
	Requests int            `json:"requests"` // that were sent
	Failed   []string       `json:"failed,omitempty"`
}

// Options say how a probe reaches its host.
type Options struct {
	// Transport sends the requests; nil = the usual one.
	Transport http.RoundTripper
	// Now dates the facts.
	Now func() time.Time
	// Pause waits between requests; nil = a quarter of a second.
	Pause func(ctx context.Context) error
}

// Run asks a host, named as https://host or, on this machine, http://host:port. Its error is Invalid for another address; what a
// host does not answer is in the result.
func Run(ctx context.Context, o Options, host string) (Result, error) {
	base, err := Origin("host", host)
	if err != nil {
		return Result{}, err
	}
	if o.Pause == nil {
		o.Pause = wait
	}
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	client := &http.Client{Transport: o.Transport, Timeout: maxWait, CheckRedirect: Stay}
	r := Result{Host: base.String(), Facts: []catalog.Fact{}, Missing: []string{}}
	headers := false
	for i, q := range questions() {
		if i > 0 {
			if err := o.Pause(ctx); err != nil {
				return r, fmt.Errorf("the probe was cut off: %w", err)
			}
		}
		r.Requests++
		found, limited, err := ask(ctx, client, base, q)
		if err != nil {
			r.Failed = append(r.Failed, q.path)
		}
		fact := catalog.Fact{Source: base.String() + q.path, CheckedAt: o.Now().UTC().Format(time.DateOnly), Evidence: catalog.Probed}
		if found {
			fact.Key, fact.Value, fact.Passes = q.key, q.yes, q.checks
			r.Facts = append(r.Facts, fact)
		} else {
			r.Missing = append(r.Missing, q.checks...)
		}
		if limited && !headers {
			headers = true
			fact.Key, fact.Value, fact.Passes = "probe.limit_headers", "Answers carry rate limit headers.", []string{"runtime.limit_headers"}
			r.Facts = append(r.Facts, fact)
		}
	}
	return r, nil
}

// Origin reads the address of a server that is to be looked at: https anywhere, http on this machine only; without a scheme it is
// https. An error names the field.
func Origin(field, host string) (*url.URL, error) {
	if !strings.Contains(host, "://") {
		host = "https://" + host
	}
	u, err := url.Parse(host)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, fault.Field(field, "must be an origin like https://api.example.com")
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return nil, fault.Field(field, "must be https, or http on this machine")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// Stay is a http.Client's CheckRedirect that follows at most two, and none to another host.
func Stay(r *http.Request, via []*http.Request) error {
	if r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme || len(via) > 2 {
		return http.ErrUseLastResponse
	}
	return nil
}

func wait(ctx context.Context) error {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func ask(ctx context.Context, c *http.Client, base *url.URL, q question) (found, limited bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String()+q.path, http.NoBody)
	if err != nil {
		return false, false, err
	}
	r.Header.Set("Accept", q.accept)
	r.Header.Set("User-Agent", "rapport-catalog-probe")
	res, err := c.Do(r)
	if err != nil {
		return false, false, err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	for _, h := range []string{"RateLimit", "RateLimit-Remaining", "X-RateLimit-Remaining", "RateLimit-Policy"} {
		limited = limited || res.Header.Get(h) != ""
	}
	if res.StatusCode != http.StatusOK {
		return false, limited, nil
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return false, limited, err
	}
	if len(body) > maxBody && q.key != "probe.openapi" { // an OpenAPI document may be long: its first part tells
		return false, limited, errors.New("the answer is too long")
	}
	kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	return q.ok(kind, body), limited, nil
}

// isLLMs tells an llms.txt from the page that a site answers to everything.
func isLLMs(kind string, body []byte) bool {
	return (kind == "text/plain" || kind == "text/markdown") && strings.HasPrefix(strings.TrimSpace(string(body)), "# ")
}

func isKind(want string) func(string, []byte) bool {
	return func(kind string, _ []byte) bool { return kind == want }
}

// hasMember tells a JSON object that has one of some members. Of one that was cut, its beginning is searched.
func hasMember(names ...string) func(string, []byte) bool {
	return func(_ string, body []byte) bool {
		if len(body) > maxBody {
			head := string(body[:4096])
			for _, n := range names {
				if strings.Contains(head, `"`+n+`"`) {
					return true
				}
			}
			return false
		}
		var o map[string]json.RawMessage
		if json.Unmarshal(body, &o) != nil {
			return false
		}
		for _, n := range names {
			if _, ok := o[n]; ok {
				return true
			}
		}
		return false
	}
}
