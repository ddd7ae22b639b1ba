package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rapport.example/internal/fault"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

const jsonType = "application/json; charset=utf-8"

// Call is one request on its way through a handler. It is valid until the handler returns.
type Call struct {
	W          http.ResponseWriter
	R          *http.Request
	Route      *Route
	Workspace  int64                 // that the credential belongs to; 0 for admin keys and open routes
	Partition  int32                 // of that workspace
	Credential *workspace.Credential // nil on open routes; never write to it
	Body       []byte                // the whole body; reused after the handler returns, so copy what is kept
	Now        time.Time             // when the request was read, real time
	RequestID  string                // the caller's X-Request-Id, or a new ULID

	names []string
	vals  [maxParams]string
	query url.Values
	rw    response

	needs     func(scope string) error // of a request with an agent key, else nil
	once      *Once                    // nil without an Idempotency-Key
	onceKey   string                   // it
	stamped   uint64                   // ops
	mine, was *claim                   // the claim of this call; that of the same request, sent before
	looked    bool                     // for was
}

// Param returns a percent-decoded parameter of the path, "" if the route has none of that name.
func (c *Call) Param(name string) string {
	for i, n := range c.names {
		if n == name {
			return c.vals[i]
		}
	}
	return ""
}

// Strict reports whether the caller asks that what can be checked at the door is refused there: X-Strict-Mode: 1.
func (c *Call) Strict() bool { return c.R.Header.Get("X-Strict-Mode") == "1" }

// NotJSON begins the message of Object's error for what is no JSON. The parser's words behind it may repeat some of the body: they
// are for the caller, and not to be kept.
const NotJSON = "the body is not valid JSON"

// Object reads the body as a JSON object. The value does not alias Body.
func (c *Call) Object() (value.Value, error) {
	v, err := value.Parse(c.Body)
	if err != nil {
		return nil, fault.New(fault.Invalid, NotJSON+": %s", clean(err.Error()))
	}
	if v.Kind() != value.Object {
		return nil, fault.New(fault.Invalid, "the body must be a JSON object")
	}
	return v, nil
}

// clean cuts a parser's message at what could repeat the caller's bytes at length.
func clean(msg string) string {
	const most = 200
	if len(msg) > most {
		msg = msg[:most] + "…"
	}
	return strings.ToValidUTF8(msg, "\uFFFD")
}

// Decode reads the body into a struct by encoding/json, for surfaces that are not on the hot path. With known, names
// that the struct does not have are refused.
func (c *Call) Decode(dst any, known bool) error {
	v, err := c.Object()
	if err != nil {
		return err
	}
	d := json.NewDecoder(strings.NewReader(string(v)))
	if known {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(dst); err != nil {
		var t *json.UnmarshalTypeError
		if errors.As(err, &t) && t.Field != "" {
			return fault.Field(t.Field, "must not be a JSON %s", t.Value)
		}
		return fault.New(fault.Invalid, "the body does not fit: %s", clean(strings.TrimPrefix(err.Error(), "json: ")))
	}
	return nil
}

// Empty answers 200 with {} and a newline, Track's success.
func (c *Call) Empty() error { return c.Raw(http.StatusOK, value.Value("{}")) }

// NoContent answers 204.
func (c *Call) NoContent() error {
	c.W.WriteHeader(http.StatusNoContent)
	return nil
}

// JSON answers with body encoded by encoding/json, without escaping HTML.
func (c *Call) JSON(status int, body any) error {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return fmt.Errorf("encode response: %w", err)
	}
	return c.Raw(status, value.Value(strings.TrimSuffix(b.String(), "\n")))
}

// Raw answers with a JSON value and a newline.
func (c *Call) Raw(status int, body value.Value) error { return c.write(status, body, jsonType) }

func (c *Call) write(status int, body value.Value, contentType string) error {
	h := c.W.Header()
	if contentType == jsonType {
		h["Content-Type"] = jsonHeader
	} else {
		h.Set("Content-Type", contentType)
	}
	if len(body) == 2 {
		h["Content-Length"] = threeHeader
	} else {
		h.Set("Content-Length", strconv.Itoa(len(body)+1))
	}
	c.W.WriteHeader(status)
	out := body
	if len(body) == 2 {
		out = emptyBody
	} else {
		out = append(out[:len(out):len(out)], '\n')
	}
	if _, err := c.W.Write(out); err != nil && c.R.Method != http.MethodHead {
		return nil // the caller is gone; there is nobody left to tell
	}
	return nil
}

// Header values that every response shares. They are full slices of capacity one: nothing can append to them.
var (
	jsonHeader  = []string{jsonType}
	threeHeader = []string{"3"}
	starHeader  = []string{"*"}
	cacheHeader = []string{"no-cache, no-store, must-revalidate, max-age=0"}
	sniffHeader = []string{"nosniff"}
	emptyBody   = []byte("{}\n")
)

// response notes what was answered.
type response struct {
	http.ResponseWriter
	status int
	keep   bool // what is written
	kept   []byte
}

func (r *response) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
		r.ResponseWriter.WriteHeader(status)
	}
}

func (r *response) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.keep && len(r.kept) <= onceAnswer {
		r.kept = append(r.kept, b...)
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }
