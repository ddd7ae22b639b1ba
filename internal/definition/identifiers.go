package definition

import (
	"rapport.example/internal/fault"
	"rapport.example/internal/journey"
	"rapport.example/internal/value"
)

// People is the slug of the one definition of kind Identifying. In a workspace file it is no list of definitions but a list of
// words, identifiers: [id, email, phone]; kept, it is {"id": "people", "by": [words]}.
const People = "people"

// identifying reads the list of a workspace file: id and email, which every workspace identifies people by, and phone where wanted.
func identifying(list value.Value) (body value.Value, err error) {
	const want = "must be [id, email] or [id, email, phone]"
	if list.Kind() != value.Array {
		return nil, fault.New(fault.Invalid, want)
	}
	named := map[string]bool{}
	for e := range list.Elements() {
		word := e.Text()
		if known := word == "id" || word == "email" || word == "phone"; e.Kind() != value.String || !known || named[word] {
			return nil, fault.New(fault.Invalid, want)
		}
		named[word] = true
	}
	if !named["id"] || !named["email"] {
		return nil, fault.New(fault.Invalid, want)
	}
	words := value.Value(`["id","email"]`)
	if named["phone"] {
		words = value.Value(`["id","email","phone"]`)
	}
	var b value.Builder
	return b.Set("id", value.Quote(People)).Set("by", words).Value(), nil
}

// parseIdentifying checks a body as it is kept.
func parseIdentifying(body value.Value) (phone bool, err error) {
	if err := journey.Only(body, "", "id", "by"); err != nil {
		return false, err
	}
	if body.Get("id").Text() != People {
		return false, fault.Field("id", "must be %s", People)
	}
	if _, err := identifying(body.Get("by")); err != nil {
		return false, fault.Field("by", "must be [id, email] or [id, email, phone]")
	}
	for e := range body.Get("by").Elements() {
		phone = phone || e.Text() == "phone"
	}
	return phone, nil
}

// ByPhone reports whether the workspace of these rows, current ones of kind Identifying, identifies people by phone.
func ByPhone(rows []Row) bool {
	for i := range rows {
		r := &rows[i]
		if r.Kind != Identifying || !r.Current || r.Deleted {
			continue
		}
		if phone, err := parseIdentifying(r.Body); err == nil {
			return phone
		}
	}
	return false
}
