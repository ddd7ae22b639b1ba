package track

import (
	"errors"

	"rapport.example/internal/api"
	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// reservedFields are what the vendor drops from a submission (track-api §4).
var reservedFields = [...]string{"form_id", "form_name", "form_type", "form_url", "form_url_param"}

// form takes the submission of a form. A form that is not known comes to be, even if the answer is 400 because no field is
// an identifier.
func (s *surface) form(c *api.Call) error {
	r, p := s.read(c), ingest.FormPayload{Form: c.Param("form_id")}
	if err := segment("form_id", p.Form, person.MaxID); err != nil {
		return err
	}
	v, err := r.body(c)
	if err != nil {
		return err
	}
	if p.Fields, err = r.fields(v.Get("data")); err != nil {
		return err
	}
	who, unknown := respondent(p.Fields)
	if unknown == nil {
		p.By = ingest.ByIdentifier(who)
	} else {
		p.Fields = names(p.Fields)
	}
	payload, err := ingest.Encode(p)
	if err != nil {
		return err
	}
	if err := s.applicable(c, ingest.Form, payload); err != nil {
		return err
	}
	if err := s.accept(c, op(c, ingest.Form, payload)); err != nil {
		return err
	}
	if unknown != nil {
		return unknown
	}
	return c.NoContent()
}

// fields reads a submission's data: strings only. null counts as left out, as clients fill in what they do not
// know. Strict mode refuses what could not become an attribute.
func (r reader) fields(v value.Value) (value.Value, error) {
	if v.Kind() != value.Object {
		return nil, fault.Field("data", "must be an object with the form's fields")
	}
	var b value.Builder
	var errs []error
	n := 0
	for name, f := range without(v, reservedFields[:]...).Fields() {
		switch {
		case f.Kind() == value.Null:
			continue
		case f.Kind() != value.String:
			errs = append(errs, fault.Field("data."+name, "must be a string"))
		case name == "" || len(name) > person.MaxAttributeName:
			errs = append(errs, fault.Field("data", "names of fields must be 1 to %d bytes long", person.MaxAttributeName))
		case name == "id" || name == "email":
			if r.strict {
				errs = append(errs, r.bodyIdentifier("data."+name, idTypes[name], f))
			}
		default:
			errs = append(errs, r.attribute("data."+name, name, f))
		}
		n++
		b.Set(name, f)
	}
	switch err := errors.Join(errs...); {
	case err != nil:
		return nil, err
	case n > person.MaxAttributes:
		return nil, fault.Field("data", "has more than %d fields", person.MaxAttributes)
	case len(b.Value()) > event.MaxData:
		return nil, fault.Field("data", "is larger than %d bytes", event.MaxData)
	}
	return b.Value(), nil
}

// respondent is the person that the fields name: by id, else by email. What cannot be either maps to nobody.
func respondent(fields value.Value) (person.Identifier, error) {
	var errs []error
	for _, name := range [...]string{"id", "email"} {
		f := fields.Get(name)
		if absent(f) {
			continue
		}
		i, err := identifier("data."+name, idTypes[name], f)
		if err == nil {
			return i, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return person.Identifier{}, fault.Field("data", "must have an id or an email, so that the submission can be somebody's")
	}
	return person.Identifier{}, errors.Join(errs...)
}

// names keeps of fields that belong to nobody only what they are called.
func names(fields value.Value) value.Value {
	var b value.Builder
	for name := range fields.Fields() {
		b.Set(name, value.Quote(""))
	}
	return b.Value()
}
