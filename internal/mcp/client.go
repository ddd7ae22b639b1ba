package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client speaks the Track and App APIs over HTTP, to a Rapport server or to the hosted service alike. It never follows
// redirects to another host and tries nothing twice: whether a call may be repeated is for its caller to say.
type Client struct {
	o    ClientOptions
	http *http.Client
}

// ClientOptions says where the APIs are and what opens them.
type ClientOptions struct {
	TrackURL string // origin, e.g. http://127.0.0.1:8080; paths start with /api/v1
	AppURL   string // origin; paths start with /v1
	Track    string // Authorization header for Track
	App      string // Authorization header for App
	Timeout  time.Duration
}

const maxAnswer = 4 << 20

// NewClient returns a client. Timeout defaults to 30 s for a whole call.
func NewClient(o ClientOptions) *Client {
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	return &Client{o: o, http: &http.Client{
		Timeout: o.Timeout,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Host != via[0].URL.Host {
				return errors.New("redirect to another host refused")
			}
			return nil
		},
	}}
}

// APIError is an answer other than 2xx, or no answer at all (Status 0).
type APIError struct {
	Status     int
	Message    string
	RetryAfter int // seconds, 0 = unknown
	RequestID  string
}

// Error is the message with its status.
func (e *APIError) Error() string {
	if e.Status == 0 {
		return e.Message
	}
	return fmt.Sprintf("%s (HTTP %d)", e.Message, e.Status)
}

// track sends a Track request; into may be nil.
func (c *Client) track(ctx context.Context, method, path string, body any) error {
	_, err := c.do(ctx, method, c.o.TrackURL+path, c.o.Track, body, nil)
	return err
}

// app sends an App request and decodes its answer.
func (c *Client) app(ctx context.Context, path string, query url.Values, into any) (http.Header, error) {
	u := c.o.AppURL + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, u, c.o.App, nil, into)
}

func (c *Client) do(ctx context.Context, method, u, auth string, body, into any) (http.Header, error) {
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		send = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, u, send)
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	r.Header.Set("Authorization", auth)
	r.Header.Set("User-Agent", "rapport-mcp")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(r)
	if err != nil {
		return nil, &APIError{Message: "the server did not answer: " + plain(err)}
	}
	defer res.Body.Close() //nolint:errcheck // read only
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, &APIError{Message: "the answer broke off: " + plain(err)}
	}
	if res.StatusCode/100 != 2 {
		retry, _ := strconv.Atoi(res.Header.Get("Retry-After")) //nolint:errcheck // absent or a date: unknown
		return res.Header, &APIError{Status: res.StatusCode, Message: errorMessage(raw), RetryAfter: retry, RequestID: res.Header.Get("X-Request-Id")}
	}
	if into == nil {
		return res.Header, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return res.Header, &APIError{Status: res.StatusCode, Message: "the answer is not the JSON that was expected"}
	}
	return res.Header, nil
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
