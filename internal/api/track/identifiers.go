package track

import (
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// path reads the person that a v1 path names.
func path(c *api.Call) (ingest.By, error) {
	i, err := person.ParsePath(c.Param("identifier"))
	if err != nil {
		return ingest.By{}, err
	}
	return ingest.ByIdentifier(i), nil
}

// identifiers reads a v2 identifiers object: exactly one of id, email and cio_id, and phone where the workspace identifies by it.
func (r reader) identifiers(field string, v value.Value) (ingest.By, error) {
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
		if name == "phone" {
			var err error
			if ok, err = r.byPhone(); err != nil {
				return by, err
			}
			kind = person.ByPhone
		}
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

// visitor reads the identifiers of an operation that may be about somebody who has none yet but an anonymous_id, which other
// programs that speak this API send in the identifiers' place.
func (r reader) visitor(v value.Value, by *ingest.By) (anonymous string, err error) {
	a := v.Get("anonymous_id")
	alone := !absent(a)
	for name, f := range v.Fields() {
		alone = alone && (absent(f) || name == "anonymous_id")
	}
	if !alone {
		*by, err = r.identifiers("identifiers", v)
		return "", err
	}
	return text("identifiers.anonymous_id", a, true, person.MaxID)
}

var idTypes = map[string]person.KeyType{"id": person.ByID, "email": person.ByEmail, "cio_id": person.ByCIO}

// identifier reads one identifier of a known type. Numbers are taken as their text; a cio_ prefix is cut.
func identifier(field string, kind person.KeyType, v value.Value) (person.Identifier, error) {
	most := person.MaxID
	if kind == person.ByCIO {
		most += len("cio_")
	}
	s, err := text(field, v, kind == person.ByID, most)
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
	case person.ByPhone:
		phone, ok := person.ParsePhone(s)
		if !ok {
			return person.Identifier{}, fault.Field(field, "must be a phone number in E.164 form, as +15550100123")
		}
		s = phone
	default:
	}
	i, err := person.Check(person.Identifier{Type: kind, Value: s})
	if err != nil {
		return i, fault.Field(field, "must be at most %d bytes of UTF-8", person.MaxID)
	}
	return i, nil
}
