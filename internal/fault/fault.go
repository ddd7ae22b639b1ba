// Package fault names the kinds of errors that travel through the program.
//
// A lower layer says what went wrong in the terms of the domain (not found, invalid, conflict, …) and the surfaces turn
// the kind into a status code in one table of their own. The message of an *Error is written for the caller of the API
// and holds no internals; what Err wraps is for the log alone.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the class of an error, from which surfaces derive status codes and workers derive whether to retry.
type Kind uint8

// The kinds. Internal is the kind of every error that is not an *Error.
const (
	Internal     Kind = iota // a defect or a broken dependency; details reach the log only
	Invalid                  // the input is wrong; the caller must change it
	NotFound                 // the thing named does not exist in this workspace
	Conflict                 // the thing exists already or is in use
	Unauthorized             // no or wrong credentials
	Forbidden                // right credentials, not allowed
	TooLarge                 // over a size limit
	RateLimited              // over a rate limit; RetryAfter says when
	Unavailable              // a dependency is down or full; try again, RetryAfter says when
	Unsupported              // known, but not built yet
)

var names = [...]string{"internal", "invalid", "not found", "conflict", "unauthorized", "forbidden", "too large", "rate limited", "unavailable", "unsupported"}

// String is the kind in words.
func (k Kind) String() string {
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Error is an error with a kind and a message that may be shown to the caller.
type Error struct {
	Kind       Kind
	Msg        string        // a sentence fragment without final period, safe to show
	Field      string        // the input field at fault, if one is; dotted path
	RetryAfter time.Duration // for RateLimited and Unavailable; 0 = unknown
	Err        error         // the cause, for the log; may be nil
}

// Error is the message with its field and cause.
func (e *Error) Error() string {
	s := e.Msg
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of kind k with a formatted message.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Msg: fmt.Sprintf(format, args...)}
}

// Field returns an Invalid error about one input field.
func Field(field, format string, args ...any) *Error {
	e := New(Invalid, format, args...)
	e.Field = field
	return e
}

// Wrap keeps err for the log and shows msg to the caller.
func Wrap(k Kind, err error, msg string) *Error { return &Error{Kind: k, Msg: msg, Err: err} }

// KindOf returns the kind of the outermost *Error in err's chain, Internal if there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err's kind is k. It is false for a nil err.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }
