package track

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
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
type reader struct{ strict bool }

func read(c *api.Call) reader { return reader{c.Strict()} }

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

// path reads the person that a v1 path names.
func path(c *api.Call) (ingest.By, error) {
	i, err := person.ParsePath(c.Param("identifier"))
	if err != nil {
		return ingest.By{}, err
	}
	return ingest.ByIdentifier(i), nil
}

// identifiers reads a v2 identifiers object: exactly one of id, email and cio_id.
func identifiers(field string, v value.Value) (ingest.By, error) {
	if v.Kind() != value.Object {
		return ingest.By{}, fault.Field(field, "must be an object with exactly one of id, email and cio_id")
	}
	var by ingest.By
	n := 0
	for name, f := range v.Fields() {
		if absent(f) {
			continue // clients fill in what they do not know with null
		}
		kind, ok := idTypes[name]
		if !ok {
			return by, fault.Field(field+"."+name, "is not an identifier of people in this workspace")
		}
		i, err := identifier(field+"."+name, kind, f)
		if err != nil {
			return by, err
		}
		by = ingest.ByIdentifier(i)
		n++
	}
	if n != 1 {
		return ingest.By{}, fault.Field(field, "must have exactly one of id, email and cio_id")
	}
	return by, nil
}

var idTypes = map[string]person.KeyType{"id": person.ByID, "email": person.ByEmail, "cio_id": person.ByCIO}

// identifier reads one identifier of a known type. Numbers are taken as their text; a cio_ prefix is cut.
func identifier(field string, kind person.KeyType, v value.Value) (person.Identifier, error) {
	s, err := text(field, v, kind == person.ByID, person.MaxID+len("cio_"))
	if err != nil {
		return person.Identifier{}, err
	}
	switch kind {
	case person.ByCIO:
		s = strings.TrimPrefix(s, "cio_")
	case person.ByEmail:
		if s = strings.TrimSpace(s); !person.LooksLikeEmail(s) {
			return person.Identifier{}, fault.Field(field, "must be an email address")
		}
	}
	i, err := person.Check(person.Identifier{Type: kind, Value: s})
	if err != nil {
		return i, fault.Field(field, "must be at most %d bytes of UTF-8", person.MaxID)
	}
	return i, nil
}

// attributes checks an identify's attributes and takes out what is about the write and not the person.
//
// Undocumented by the vendor and decided here: more than 300 attributes are refused; a name or value over its limit is
// accepted, and that one attribute dropped with an activity when the op is applied, for one long value must not cost
// the caller the rest. Strict mode refuses it.
func (r reader) attributes(field string, v value.Value, p *ingest.IdentifyPayload) error {
	n, cut := 0, false
	for name, f := range v.Fields() {
		n++
		full := field + name
		var err error
		switch name {
		case "_update":
			p.UpdateOnly, cut = truth(f), true
		case "_timestamp":
			cut = true
			if p.Timestamp == 0 {
				p.Timestamp, err = r.timestamp(full, f)
			}
		case "cio_relationships":
			cut = true
			err = relationships(full, f)
		case "id", "email", "cio_id":
			err = r.bodyIdentifier(full, idTypes[name], f)
		case "created_at":
			if _, ok := f.Time(); !ok && r.strict && !absent(f) {
				err = fault.Field(full, "must be a Unix timestamp in seconds")
			}
		default:
			err = r.attribute(full, name, f)
		}
		if err != nil {
			return err
		}
	}
	if n > person.MaxAttributes {
		return fault.New(fault.Invalid, "more than %d attributes in one call", person.MaxAttributes)
	}
	if p.Attributes = v; cut {
		p.Attributes = without(v, "_update", "_timestamp", "cio_relationships")
	}
	return nil
}

// attribute checks one attribute in strict mode.
func (r reader) attribute(field, name string, v value.Value) error {
	if name == "" {
		return fault.Field(strings.TrimSuffix(field, "."), "an attribute without a name is not allowed")
	}
	switch {
	case !r.strict:
		return nil
	case len(name) > person.MaxAttributeName:
		return fault.Field(name[:person.MaxAttributeName]+"…", "the attribute's name is longer than %d bytes", person.MaxAttributeName)
	case len(v.Text()) > person.MaxAttributeValue:
		return fault.Field(field, "is longer than %d bytes", person.MaxAttributeValue)
	}
	return nil
}

// bodyIdentifier checks an identifier among the attributes. Empty ones change nothing. An email without the shape of
// one is left to the rules of identity, which note a failed change; strict mode refuses it.
func (r reader) bodyIdentifier(field string, kind person.KeyType, v value.Value) error {
	if absent(v) {
		return nil
	}
	if kind == person.ByEmail && !r.strict {
		kind = person.ByID
	}
	_, err := identifier(field, kind, v)
	return err
}

// relationships lets empty ones pass; objects come later.
func relationships(field string, v value.Value) error {
	if absent(v) || string(v) == "[]" || string(v) == "{}" {
		return nil
	}
	e := fault.New(fault.Unsupported, "relationships are not supported yet")
	e.Field = field
	return e
}

// truth reads a flag as the vendor reads unsubscribed: true, any-case "true", 1 or "1".
func truth(v value.Value) bool {
	if b, ok := v.Bool(); ok {
		return b
	}
	return v.Text() == "1"
}

// without returns an object without some members.
func without(v value.Value, names ...string) value.Value {
	var b value.Builder
next:
	for name, f := range v.Fields() {
		for _, n := range names {
			if n == name {
				continue next
			}
		}
		b.Set(name, f)
	}
	return b.Value()
}

// eventID reads the id under which a repeat of an event is ignored. One that is no ULID is not used, so that an
// unrelated id which a client lifted out of the data never makes events disappear; strict mode refuses it.
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
	}
	return nil, fault.Field(field, "must be an object")
}

// token checks a device token that came in a path.
func token(s string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return fault.Field("device_id", "must not be empty")
	case len(s) > MaxToken:
		return fault.Field("device_id", "is longer than %d bytes", MaxToken)
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		return fault.Field("device_id", "must be valid UTF-8 without NUL")
	}
	return nil
}
