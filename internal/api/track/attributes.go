package track

import (
	"errors"
	"strings"

	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

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
			err = r.identifyRelations(full, f, p)
		case "id", "email", "cio_id":
			err = r.bodyIdentifier(full, idTypes[name], f)
		case "created_at":
			if _, ok := f.Time(); !ok && r.strict && !absent(f) {
				err = fault.Field(full, "must be a Unix timestamp in seconds")
			}
		case "anonymous_id":
			if r.strict && !absent(f) {
				_, err = text(full, f, true, person.MaxID)
			}
		case "phone":
			err = r.phone(full, f)
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
	case strings.HasPrefix(name, "_"):
		return fault.Field(field, "attribute names must not start with _")
	case len(v.Text()) > person.MaxAttributeValue:
		return fault.Field(field, "is longer than %d bytes", person.MaxAttributeValue)
	}
	if _, problem := person.ParsePreference(name, v); problem != "" {
		return fault.Field(field, "%s", problem)
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

// phone checks in strict mode an attribute that may be an identifier.
func (r reader) phone(field string, v value.Value) error {
	if !r.strict || absent(v) {
		return nil
	}
	if on, err := r.byPhone(); err != nil || !on {
		return errors.Join(err, r.attribute(field, "phone", v))
	}
	_, err := identifier(field, person.ByPhone, v)
	return err
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

// with returns an object with one member set, as its last.
func with(v value.Value, name string, f value.Value) value.Value {
	var b value.Builder
	for n, old := range v.Fields() {
		if n != name {
			b.Set(n, old)
		}
	}
	return b.Set(name, f).Value()
}
