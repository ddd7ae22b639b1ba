package api

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

// Shape is the form of an endpoint's error bodies. Customer.io's differ from endpoint to endpoint and its clients parse
// exactly these.
type Shape uint8

// The shapes. A 401 of the first three is {"meta":{"error":…,"status":401}}.
const (
	MetaError      Shape = iota // {"meta":{"error":"…"}}: Track in general and /v1/send
	MetaErrors                  // {"meta":{"errors":["…"]}}: Track devices, events, segments
	ItemErrors                  // {"errors":[{"reason","field","message"}]}: Track v2, with batch_index on batches
	AppErrors                   // {"errors":[{"detail","status"}]}: App, with meta.error and meta.status on a 401
	Problem                     // RFC 9457 problem details: admin
	PipelineErrors              // {"meta":{"errors":["…"]},"code":"…","message":"…"}: Pipelines in strict mode
)

// statuses is the one table from kinds of faults to HTTP status codes.
var statuses = map[fault.Kind]int{
	fault.Internal:     http.StatusInternalServerError,
	fault.Invalid:      http.StatusBadRequest,
	fault.NotFound:     http.StatusNotFound,
	fault.Conflict:     http.StatusConflict,
	fault.Unauthorized: http.StatusUnauthorized,
	fault.Forbidden:    http.StatusForbidden,
	fault.TooLarge:     http.StatusRequestEntityTooLarge,
	fault.RateLimited:  http.StatusTooManyRequests,
	fault.Unavailable:  http.StatusServiceUnavailable,
	fault.Unsupported:  http.StatusNotImplemented,
}

// reasons is the reason member of ItemErrors. The vendor documents no vocabulary; this one is ours.
var reasons = map[fault.Kind]string{
	fault.Internal: "internal", fault.Invalid: "invalid", fault.NotFound: "not_found", fault.Conflict: "conflict",
	fault.Unauthorized: "unauthorized", fault.Forbidden: "forbidden", fault.TooLarge: "too_large",
	fault.RateLimited: "rate_limited", fault.Unavailable: "unavailable", fault.Unsupported: "unsupported",
}

// Reason is the word for a kind of fault in the reason member of v2 errors.
func Reason(k fault.Kind) string { return reasons[k] }

// StatusOf is the status code that err is answered with.
func StatusOf(err error) int {
	var s *statusError
	if errors.As(err, &s) {
		return s.status
	}
	for _, e := range Errors(err) {
		return statuses[fault.KindOf(e)]
	}
	return http.StatusInternalServerError
}

// WithStatus answers err with a status other than that of its kind, where an endpoint's documentation asks for one.
func WithStatus(status int, err error) error { return &statusError{status, err} }

type statusError struct {
	status int
	error
}

func (s *statusError) Unwrap() error { return s.error }

// Item is one entry of ItemErrors.
type Item struct {
	Index   int // place in the batch, from 0; -1 = not a batch
	Kind    fault.Kind
	Field   string
	Message string
}

// Items are the errors of a v2 request. As an error they are answered in ItemErrors with the status of the first one.
type Items []Item

// Error lists the messages.
func (it Items) Error() string {
	s := make([]string, len(it))
	for i := range it {
		s[i] = it[i].Message
	}
	return strings.Join(s, "; ")
}

// ItemOf is err as the entry at a place of a batch, or -1.
func ItemOf(index int, err error) Item {
	e := public(err)
	return Item{index, e.Kind, e.Field, e.Msg}
}

// Body is {"errors":[…]}.
func (it Items) Body() value.Value {
	out := []byte{'['}
	for i := range it {
		if i > 0 {
			out = append(out, ',')
		}
		var b value.Builder
		if it[i].Index >= 0 {
			b.Set("batch_index", value.Int(int64(it[i].Index)))
		}
		b.Set("reason", value.Quote(reasons[it[i].Kind])).Set("field", value.Quote(it[i].Field)).
			Set("message", value.Quote(it[i].Message))
		out = append(out, b.Value()...)
	}
	var b value.Builder
	return b.Set("errors", append(out, ']')).Value()
}

// Errors takes errors.Join apart, in order. It gives nothing only for nil.
func Errors(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, Errors(e)...)
		}
		return out
	}
	if s, ok := err.(*statusError); ok { //nolint:errorlint // joined errors are taken apart one level at a time
		return Errors(s.error)
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// public is what a caller may see of err: its *fault.Error, or a bland one.
func public(err error) *fault.Error {
	var e *fault.Error
	if !errors.As(err, &e) || e.Kind == fault.Internal {
		return &fault.Error{Kind: fault.Internal, Msg: "internal error"}
	}
	return e
}

// sentence is the one string that shapes without a field member have for an error.
func sentence(err error) string {
	e := public(err)
	if e.Field != "" {
		return e.Field + ": " + e.Msg
	}
	return e.Msg
}

// render makes the body and content type of err in a shape.
func render(shape Shape, status int, err error, requestID string) (body value.Value, contentType string) {
	list := Errors(err)
	var items Items
	isItems := errors.As(err, &items)
	switch {
	case shape == Problem:
		return problem(status, list, requestID), "application/problem+json"
	case shape == AppErrors:
		return appErrors(status, list), jsonType
	case shape == PipelineErrors:
		return pipelineErrors(list), jsonType
	case status == http.StatusUnauthorized:
		return object("meta", unauthorizedMeta(sentence(err))), jsonType
	case isItems:
		return items.Body(), jsonType
	case shape == ItemErrors:
		for _, e := range list {
			items = append(items, ItemOf(-1, e))
		}
		return items.Body(), jsonType
	case shape == MetaErrors:
		return object("meta", object("errors", sentences(list))), jsonType
	default:
		return object("meta", object("error", value.Quote(joined(list)))), jsonType
	}
}

func object(name string, v value.Value) value.Value {
	var b value.Builder
	return b.Set(name, v).Value()
}

func unauthorizedMeta(msg string) value.Value {
	var b value.Builder
	return b.Set("error", value.Quote(msg)).Set("status", value.Int(http.StatusUnauthorized)).Value()
}

// pipelineErrors has the vendor's shape, and the two members that its Python client asks for.
func pipelineErrors(list []error) value.Value {
	var b value.Builder
	code := reasons[fault.Internal]
	for _, e := range list {
		code = reasons[public(e).Kind]
		break
	}
	return b.Set("meta", object("errors", sentences(list))).Set("code", value.Quote(code)).Set("message", value.Quote(joined(list))).Value()
}

func joined(list []error) string {
	s := make([]string, len(list))
	for i, e := range list {
		s[i] = sentence(e)
	}
	return strings.Join(s, "; ")
}

func sentences(list []error) value.Value {
	out := []byte{'['}
	for i, e := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, value.Quote(sentence(e))...)
	}
	return append(out, ']')
}

func appErrors(status int, list []error) value.Value {
	out := []byte{'['}
	for i, e := range list {
		if i > 0 {
			out = append(out, ',')
		}
		var b value.Builder
		b.Set("detail", value.Quote(sentence(e))).Set("status", value.Quote(strconv.Itoa(status)))
		if f := public(e).Field; f != "" && status == http.StatusUnprocessableEntity {
			b.Set("source", object("pointer", value.Quote("/"+strings.ReplaceAll(f, ".", "/"))))
		}
		out = append(out, b.Value()...)
	}
	var b value.Builder
	b.Set("errors", append(out, ']'))
	if status == http.StatusUnauthorized {
		b.Set("meta", unauthorizedMeta(joined(list)))
	}
	return b.Value()
}

// problem is RFC 9457, with the request id and the field at fault as extensions.
func problem(status int, list []error, requestID string) value.Value {
	var b value.Builder
	b.Set("type", value.Quote("about:blank")).Set("title", value.Quote(http.StatusText(status))).
		Set("status", value.Int(int64(status))).Set("detail", value.Quote(joined(list)))
	for _, e := range list {
		if f := public(e).Field; f != "" {
			b.Set("field", value.Quote(f))
			break
		}
	}
	return b.Set("request_id", value.Quote(requestID)).Value()
}
