package track

import (
	"bytes"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"

	"rapport.example/internal/api"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

// Bounds of timestamps, in Unix seconds. Milliseconds are taken as given, as the vendor takes them; what lies beyond is
// a mistake of another kind. Strict mode refuses milliseconds too: they lie behind the year 9999.
const (
	minTimestamp       = -62135596800
	maxTimestamp       = 100_000_000_000_000
	maxStrictTimestamp = 253402300799
)

// reader checks what a caller sent. In strict mode it refuses what would otherwise be accepted and dropped when applied.
type reader struct {
	strict bool
	phones func() (bool, error) // tells whether a phone identifies people in this workspace; nil = it does not
}

func (s *surface) read(c *api.Call) reader {
	return reader{c.Strict(), sync.OnceValues(func() (bool, error) { return s.phones(c) })}
}

// phones looks a setting up that is needed only where somebody is named by phone.
func (s *surface) phones(c *api.Call) (bool, error) {
	if s.o.State == nil {
		return false, nil
	}
	rows, err := s.o.State.CurrentDefinitions(c.R.Context(), c.Workspace, definition.Identifying)
	return definition.ByPhone(rows), err
}

// byPhone reports whether a phone identifies people.
func (r reader) byPhone() (bool, error) {
	if r.phones == nil {
		return false, nil
	}
	return r.phones()
}

// body reads a whole request body as one object.
func (r reader) body(c *api.Call) (value.Value, error) {
	v, err := c.Object()
	if err != nil {
		return nil, err
	}
	return v, noNUL(v)
}

// noNUL refuses U+0000, which PostgreSQL's text cannot hold. In canonical JSON it can only be written \u0000.
func noNUL(v value.Value) error {
	for rest := v; ; {
		i := bytes.Index(rest, []byte(`\u0000`))
		if i < 0 {
			return nil
		}
		slashes := 0
		for i-1-slashes >= 0 && rest[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return fault.New(fault.Invalid, "NUL characters are not allowed")
		}
		rest = rest[i+len(`\u0000`):]
	}
}

// absent reports whether an optional member counts as not given: missing, null or "".
func absent(v value.Value) bool { return v.Empty() }

// timestamp reads Unix seconds as a number or a numeric string; 0 if absent.
func (r reader) timestamp(field string, v value.Value) (int64, error) {
	if absent(v) {
		return 0, nil
	}
	f, ok := v.Number()
	most := float64(maxTimestamp)
	if r.strict {
		most = maxStrictTimestamp
	}
	switch {
	case !ok:
		return 0, fault.Field(field, "must be a Unix timestamp in seconds")
	case f < minTimestamp || f > most:
		return 0, fault.Field(field, "is out of range: it must be a Unix timestamp in seconds")
	}
	return int64(f), nil
}

// text reads a required string that is not empty after trimming. Numbers are taken as their text where asked.
func text(field string, v value.Value, numbers bool, most int) (string, error) {
	k := v.Kind()
	if k != value.String && (k != value.Number || !numbers) {
		if k == value.Absent || k == value.Null {
			return "", fault.Field(field, "is required")
		}
		return "", fault.Field(field, "must be a string")
	}
	s := v.Text()
	switch {
	case strings.TrimSpace(s) == "":
		return "", fault.Field(field, "must not be empty")
	case len(s) > most:
		return "", fault.Field(field, "is longer than %d bytes", most)
	}
	return s, nil
}

// eventID reads the id by which an event that is sent again is known. One that is no ULID is not used, so
// that an unrelated id which a client lifted out of the data never makes events disappear; strict mode refuses it.
func (r reader) eventID(field string, v value.Value) (string, error) {
	if absent(v) {
		return "", nil
	}
	if u, err := ulid.ParseStrict(v.Text()); err == nil && v.Kind() == value.String {
		return u.String(), nil
	}
	if r.strict {
		return "", fault.Field(field, "must be a ULID")
	}
	return "", nil
}

// object reads an optional object.
func object(field string, v value.Value) (value.Value, error) {
	switch v.Kind() {
	case value.Absent, value.Null:
		return nil, nil
	case value.Object:
		return v, nil
	default:
		return nil, fault.Field(field, "must be an object")
	}
}

// segment checks what came in a path.
func segment(field, s string, most int) error {
	switch {
	case strings.TrimSpace(s) == "":
		return fault.Field(field, "must not be empty")
	case len(s) > most:
		return fault.Field(field, "is longer than %d bytes", most)
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		return fault.Field(field, "must be valid UTF-8 without NUL")
	}
	return nil
}
