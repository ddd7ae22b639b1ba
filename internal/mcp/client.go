package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client speaks the Track and App APIs over HTTP, to a Rapport server or to the hosted service alike, within the limits of
// its governor. It never follows redirects to another host.
type Client struct {
	o    ClientOptions
	http *http.Client
	gov  *governor
	// paged is called after each page of a long count; nil = nobody listens.
	paged func()
}

// ClientOptions says where the APIs are and what opens them.
type ClientOptions struct {
	TrackURL string      // origin, e.g. http://127.0.0.1:8080; paths start with /api/v1
	AppURL   string      // origin; paths start with /v1
	Track    string      // Authorization header for Track
	App      string      // Authorization header for App
	Header   http.Header // goes with every request; nil = none
	Caller   string      // who shares the limits fairly with others
	Once     bool        // the back end knows Idempotency-Key: a write that brings one may be sent again
}

// How long a call may take with all its tries, and each try.
const (
	callTimeout = 30 * time.Second
	tryTimeout  = 10 * time.Second
	tries       = 4
	maxAnswer   = 4 << 20
)

// newHTTP is the transport of all clients of a server.
func newHTTP(over http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: over, Timeout: tryTimeout,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Host != via[0].URL.Host {
				return errors.New("redirect to another host refused")
			}
			return nil
		},
	}
}

// APIError is an answer other than 2xx, or no answer at all (Status 0).
type APIError struct {
	Status     int
	Message    string
	RetryAfter int // seconds, 0 = unknown
	RequestID  string
	Foreign    bool // Message is in the back end's own words
}

// Error is the message with its status.
func (e *APIError) Error() string {
	if e.Status == 0 {
		return e.Message
	}
	return fmt.Sprintf("%s (HTTP %d)", e.Message, e.Status)
}

// call is one request to a back end.
type call struct {
	class  class
	method string
	path   string // escaped
	as     string // what the record says of path; "" = the path without the identifiers of people
	query  url.Values
	body   any
	key    string // Idempotency-Key
	again  bool   // may be sent again although it might have been carried out
}

// read gets from the App API.
func (c *Client) read(ctx context.Context, path string, query url.Values, into any) error {
	_, err := c.do(ctx, call{class: appClass, method: http.MethodGet, path: path, query: query, again: true}, into)
	return err
}

// ask reads from the App API by a request with a body.
func (c *Client) ask(ctx context.Context, path string, query url.Values, body, into any) error {
	_, err := c.do(ctx, call{class: appClass, method: http.MethodPost, path: path, query: query, body: body, again: true}, into)
	return err
}

// do sends a request, again if the back end was too busy, and decodes the answer.
func (c *Client) do(ctx context.Context, r call, into any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var raw []byte
	if r.body != nil {
		var err error
		if raw, err = json.Marshal(r.body); err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
	}
	for try, lost := 0, false; ; try++ {
		if err := c.gov.wait(ctx, r.class, c.o.Caller); err != nil {
			return nil, err
		}
		h, err := c.try(ctx, r, raw, into)
		var api *APIError
		if errors.As(err, &api) && api.Status == http.StatusNotFound && r.method == http.MethodDelete && lost {
			return h, nil // the try whose answer was lost has deleted it
		}
		if !errors.As(err, &api) || try == tries-1 || ctx.Err() != nil {
			return h, err
		}
		lost = lost || api.Status == 0 || api.Status >= 500
		switch {
		case api.Status == http.StatusTooManyRequests:
			c.gov.refused(r.class)
		case r.again && (api.Status == 0 || api.Status >= 500 && api.Status != http.StatusNotImplemented):
		default:
			return h, err
		}
		if !pause(ctx, backoff(try, api.RetryAfter)) {
			return h, err
		}
	}
}

// backoff is how long to wait after a try: what the back end asked for, else half a second doubled each time, at random up to that.
func backoff(try, retryAfter int) time.Duration {
	if retryAfter > 0 {
		return time.Duration(retryAfter) * time.Second
	}
	return rand.N(500 * time.Millisecond << try)
}

// pause waits, or is false at once if the context ends before.
func pause(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *Client) try(ctx context.Context, q call, raw []byte, into any) (http.Header, error) {
	origin, auth := c.o.AppURL, c.o.App
	if q.class == trackClass {
		origin, auth = c.o.TrackURL, c.o.Track
	}
	u := origin + q.path
	if len(q.query) > 0 {
		u += "?" + q.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, q.method, u, bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	maps.Copy(r.Header, c.o.Header)
	r.Header.Set("Authorization", auth)
	r.Header.Set("User-Agent", "rapport-mcp")
	if raw != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.key != "" {
		r.Header.Set("Idempotency-Key", q.key)
	}
	rec := recordOf(ctx)
	if rec != nil {
		r.Header.Set("X-Rapport-Audit", rec.id)
	}
	began := c.gov.now()
	res, err := c.http.Do(r)
	if err != nil {
		rec.called(q, 0, c.gov.now().Sub(began))
		return nil, &APIError{Message: "the server did not answer: " + plain(err)}
	}
	defer res.Body.Close() //nolint:errcheck // read only
	c.gov.learn(q.class, res.Header)
	rec.called(q, res.StatusCode, c.gov.now().Sub(began))
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, &APIError{Message: "the answer broke off: " + plain(err)}
	case len(answer) > maxAnswer:
		return res.Header, &toolError{
			Code: "upstream_error", Message: "the answer is longer than 4 MiB", Status: res.StatusCode, Hint: "ask for less: a smaller limit, or fewer parts",
		}
	case res.StatusCode/100 != 2:
		return res.Header, &APIError{
			Status: res.StatusCode, Message: c.scrub(errorMessage(answer)), RetryAfter: retryAfter(res.Header), RequestID: res.Header.Get("X-Request-Id"), Foreign: true,
		}
	case into == nil:
		return res.Header, nil
	}
	d := json.NewDecoder(bytes.NewReader(answer))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return res.Header, &APIError{Status: http.StatusBadGateway, Message: "the answer is not the JSON that was expected"}
	}
	return res.Header, nil
}

// retryAfter reads the header as seconds or as a date, 0 if it is neither.
func retryAfter(h http.Header) int {
	v := h.Get("Retry-After")
	if s, err := strconv.Atoi(v); err == nil {
		return max(0, s)
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, int(time.Until(at).Seconds())+1)
	}
	return 0
}

// plain is a transport error without its URL, which may hold an identifier.
func plain(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err.Error()
	}
	return err.Error()
}

// errorMessage reads every error envelope of the APIs; an unknown one is quoted up to 300 bytes.
func errorMessage(raw []byte) string {
	var e struct {
		Meta struct {
			Error  string   `json:"error"`
			Errors []string `json:"errors"`
		} `json:"meta"`
		Errors []struct {
			Detail  string `json:"detail"`
			Message string `json:"message"`
			Field   string `json:"field"`
			Reason  string `json:"reason"`
		} `json:"errors"`
	}
	if json.Unmarshal(raw, &e) == nil {
		switch {
		case e.Meta.Error != "":
			return e.Meta.Error
		case len(e.Meta.Errors) > 0:
			return strings.Join(e.Meta.Errors, "; ")
		case len(e.Errors) > 0:
			var out []string
			for _, x := range e.Errors {
				s := x.Detail + x.Message
				if s == "" {
					s = x.Reason
				}
				if x.Field != "" {
					s = x.Field + ": " + s
				}
				out = append(out, s)
			}
			return strings.Join(out, "; ")
		}
	}
	if len(raw) > 300 {
		raw = raw[:300]
	}
	return strings.ToValidUTF8(string(raw), "\uFFFD")
}
