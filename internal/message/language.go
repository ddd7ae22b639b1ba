package message

import (
	"regexp"

	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

// MaxLanguages is how many languages an email may have besides its own.
const MaxLanguages = 100

var languageForm = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}$`)

// LanguageCode reports whether s has the form of a language tag, like de or pt-BR. Case counts: a person's language must be written
// as the variant's.
func LanguageCode(s string) bool { return languageForm.MatchString(s) }

func (v *Variant) fields() []field {
	return []field{{"subject", &v.Subject, MaxLine}, {"preheader", &v.Preheader, MaxLine}, {"body", &v.Body, MaxBody}, {"body_plain", &v.BodyPlain, MaxBody}}
}

// field is the email's field of a name, nil if there is none.
func (e *Email) field(name string) *string {
	for _, f := range e.fields() {
		if f.name == name {
			return f.text
		}
	}
	return nil
}

// languages reads the variants of an email: a mapping of languages to mappings with subject, preheader, body and body_plain.
func (r *reader) languages() map[string]Variant {
	list := r.doc.Get("languages")
	if list == nil || list.Kind() == value.Null {
		return nil
	}
	if list.Kind() != value.Object {
		r.fail("languages", "must be a mapping of languages, like de, to subject and body")
		return nil
	}
	out := map[string]Variant{}
	for code, doc := range list.Fields() {
		path := "languages." + code
		if r.path != "" {
			path = r.path + "." + path
		}
		switch {
		case !LanguageCode(code):
			r.fail("languages", "%q is no language; write it as de or pt-BR", code)
		case len(out) == MaxLanguages:
			r.fail("languages", "must be at most %d", MaxLanguages)
		}
		in := reader{doc: doc, path: path, parsed: r.parsed}
		in.object("a language")
		in.known("subject", "preheader", "body", "body_plain")
		var v Variant
		for _, f := range v.fields() {
			*f.text = in.liquid(f.name, f.most)
		}
		if in.err == nil && v == (Variant{}) {
			in.err = fault.Field(path, "must say something: subject, preheader, body or body_plain")
		}
		if r.err == nil {
			r.err = in.err
		}
		out[code] = v
	}
	return out
}
