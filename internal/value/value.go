// Package value holds one JSON value in its canonical form and reads it the ways conditions, messages and APIs need.
//
// Canonical means: compact, valid UTF-8, no lone surrogates, number literals and key order kept as written, the last of
// duplicate keys wins. Two values are equal when their canonical bytes are: 1, 1.0 and "1" differ. The rule is part of
// docs/formats.md, for it decides when an attribute "changed".
package value

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep arrays and objects may nest.
const MaxDepth = 64

// Value is one canonical JSON value. The nil Value means absent, which is not JSON null. Values are immutable: share
// them freely, never write to their bytes.
type Value []byte

// Kind is the JSON type of a value.
type Kind uint8

// The kinds; Absent is the kind of the nil Value.
const (
	Absent Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// Null and the booleans as values.
var (
	NullValue = Value("null")
	True      = Value("true")
	False     = Value("false")
)

// ErrDepth is returned by Parse for input nested deeper than MaxDepth.
var ErrDepth = fmt.Errorf("nested deeper than %d levels", MaxDepth)

// Parse checks raw and returns its canonical form, which never aliases raw. It fails on malformed JSON, invalid UTF-8,
// lone surrogates, trailing bytes and nesting beyond MaxDepth.
func Parse(raw []byte) (Value, error) {
	if depth(raw) > MaxDepth {
		return nil, ErrDepth
	}
	// Strict: refuses duplicate names and invalid UTF-8, re-quotes strings, keeps number literals, drops white space.
	v, err := jsontext.AppendFormat(make([]byte, 0, len(raw)), raw)
	if errors.Is(err, jsontext.ErrDuplicateName) {
		if v, err = jsontext.AppendFormat(nil, raw, jsontext.AllowDuplicateNames(true)); err == nil {
			return dedupe(v), nil
		}
	}
	if err != nil {
		return nil, describe(err)
	}
	return v, nil
}

// describe cuts the library's prefix, which means nothing to a caller of ours.
func describe(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "jsontext: "))
}

// depth is an upper bound of the nesting, counted before anything recursive sees the input.
func depth(raw []byte) int {
	d, most, str := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case str && c == '\\':
			i++
		case c == '"':
			str = !str
		case str:
		case c == '{' || c == '[':
			d++
			most = max(most, d)
		case c == '}' || c == ']':
			d--
		}
	}
	return most
}

// dedupe rewrites v with the last of each set of duplicate names kept, at that last one's place.
func dedupe(v Value) Value {
	switch v.Kind() {
	case Object:
		type field struct {
			name string
			v    Value
		}
		var fields []field
		for k, fv := range v.Fields() {
			for i := range fields {
				if fields[i].name == k {
					fields = append(fields[:i], fields[i+1:]...)
					break
				}
			}
			fields = append(fields, field{k, dedupe(fv)})
		}
		var b Builder
		for _, f := range fields {
			b.Set(f.name, f.v)
		}
		return b.Value()
	case Array:
		out := []byte{'['}
		for e := range v.Elements() {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, dedupe(e)...)
		}
		return append(out, ']')
	default:
		return v
	}
}

// Quote returns s as a JSON string. Invalid UTF-8 is replaced by U+FFFD.
func Quote(s string) Value { return AppendQuote(make([]byte, 0, len(s)+2), s) }

// AppendQuote appends what Quote returns.
func AppendQuote(dst []byte, s string) []byte {
	if plain(s) {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	out, err := jsontext.AppendQuote(dst, strings.ToValidUTF8(s, "\uFFFD"))
	if err != nil { // unreachable: the input is valid UTF-8 by now
		return append(dst, `""`...)
	}
	return out
}

// plain reports whether s is its own JSON string but for the quotes, as most names and ids are.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// Int returns n as a JSON number.
func Int(n int64) Value { return strconv.AppendInt(nil, n, 10) }

// OfBool returns b as a JSON boolean.
func OfBool(b bool) Value {
	if b {
		return True
	}
	return False
}

// Kind returns the JSON type, read from the first byte.
func (v Value) Kind() Kind {
	if len(v) == 0 {
		return Absent
	}
	switch v[0] {
	case 'n':
		return Null
	case 't', 'f':
		return Bool
	case '"':
		return String
	case '[':
		return Array
	case '{':
		return Object
	default:
		return Number
	}
}

// Equal reports whether a and b have the same canonical bytes.
func Equal(a, b Value) bool { return bytes.Equal(a, b) }

// Empty reports whether v clears an attribute: absent, null or the empty string.
func (v Value) Empty() bool {
	return len(v) == 0 || v.Kind() == Null || (len(v) == 2 && v[0] == '"')
}

// Text is v as the App API prints attributes: a string's content, anything else its JSON text, "" if absent.
func (v Value) Text() string {
	if v.Kind() != String {
		return string(v)
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1])
	}
	b, err := jsontext.AppendUnquote(nil, []byte(v))
	if err != nil {
		return string(v[1 : len(v)-1])
	}
	return string(b)
}

// Number reads a JSON number, or a string that holds one, as float64. Literals beyond float64 read as ±Inf.
func (v Value) Number() (float64, bool) {
	var s string
	switch v.Kind() {
	case Number:
		s = string(v)
	case String:
		s = strings.TrimSpace(v.Text())
		if s == "" || strings.ContainsAny(s, "xXpP_nNiI") { // ParseFloat also reads hex, Inf and NaN
			return 0, false
		}
	default:
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return f, true
}

// Bool reads true and false, also as strings of any case.
func (v Value) Bool() (val, ok bool) {
	switch v.Kind() {
	case Bool:
		return v[0] == 't', true
	case String:
		switch strings.ToLower(v.Text()) {
		case "true":
			return true, true
		case "false":
			return false, true
		}
	default:
	}
	return false, false
}

// Time reads a moment: Unix seconds as a number or numeric string (fractions allowed), or ISO 8601 text with or without
// time and zone (UTC when missing). Milliseconds are read as seconds, as the vendor does: the result lies far ahead.
// Moments outside the years 1 to 9999 are clamped.
func (v Value) Time() (time.Time, bool) {
	if f, ok := v.Number(); ok {
		const least, most = -62135596800, 253402300799
		switch {
		case f != f:
			return time.Time{}, false
		case f < least:
			return time.Unix(least, 0).UTC(), true
		case f > most:
			return time.Unix(most, 0).UTC(), true
		}
		sec := int64(f)
		return time.Unix(sec, int64((f-float64(sec))*1e9)).UTC(), true
	}
	if v.Kind() != String {
		return time.Time{}, false
	}
	s := v.Text()
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// Fields walks an object's members in order; it yields nothing for other kinds.
func (v Value) Fields() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if v.Kind() != Object {
			return
		}
		for i := 1; i < len(v) && v[i] == '"'; {
			end := skip(v, i)
			name := Value(v[i:end]).Text()
			start := end + 1 // ':'
			end = skip(v, start)
			if !yield(name, v[start:end:end]) {
				return
			}
			i = end + 1 // ',' or '}'
		}
	}
}

// Elements walks an array's elements in order; it yields nothing for other kinds.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != Array || len(v) == 2 {
			return
		}
		for i := 1; i < len(v)-1; {
			end := skip(v, i)
			if !yield(v[i:end:end]) {
				return
			}
			i = end + 1
		}
	}
}

// skip returns the index just behind the value that starts at i. v is canonical, so no white space and no surprises.
func skip(v []byte, i int) int {
	switch v[i] {
	case '"':
		for i++; v[i] != '"'; i++ {
			if v[i] == '\\' {
				i++
			}
		}
		return i + 1
	case '{', '[':
		for d := 0; ; i++ {
			switch v[i] {
			case '"':
				i = skip(v, i) - 1
			case '{', '[':
				d++
			case '}', ']':
				if d--; d == 0 {
					return i + 1
				}
			}
		}
	default:
		for i < len(v) && v[i] != ',' && v[i] != '}' && v[i] != ']' {
			i++
		}
		return i
	}
}

// Get returns an object's member by exact name, nil if v is no object or has none.
func (v Value) Get(name string) Value {
	if v.Kind() != Object {
		return nil
	}
	for i := 1; v[i] == '"'; {
		end := skip(v, i)
		start := end + 1 // ':'
		next := skip(v, start)
		if v[i:end].named(name) {
			return v[start:next:next]
		}
		i = next + 1
		if v[next] == '}' {
			break
		}
	}
	return nil
}

// named reports whether v, a string, has this content.
func (v Value) named(name string) bool {
	if bytes.IndexByte(v, '\\') >= 0 {
		return v.Text() == name
	}
	return string(v[1:len(v)-1]) == name
}

// At returns an array's element, counted from 0, or with i below 0 from the end: -1 is the last. It is nil if v is no array or has
// not so many.
func (v Value) At(i int) Value {
	if i < 0 {
		for range v.Elements() {
			i++
		}
	}
	if i < 0 {
		return nil
	}
	for e := range v.Elements() {
		if i == 0 {
			return e
		}
		i--
	}
	return nil
}

// Path follows dots through objects: "a.b" is member b of member a. A member whose own name contains the dots wins.
func (v Value) Path(path string) Value {
	if f := v.Get(path); f != nil {
		return f
	}
	for i := 0; i < len(path); i++ {
		if path[i] != '.' {
			continue
		}
		if f := v.Get(path[:i]); f != nil {
			if got := f.Path(path[i+1:]); got != nil {
				return got
			}
		}
	}
	return nil
}

// Any decodes v for templates: nil, bool, string, int64 where the literal is one, float64 otherwise, []any, and
// map[string]any.
func (v Value) Any() any {
	switch v.Kind() {
	case Bool:
		return v[0] == 't'
	case String:
		return v.Text()
	case Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
		f, _ := v.Number()
		return f
	case Array:
		out := []any{}
		for e := range v.Elements() {
			out = append(out, e.Any())
		}
		return out
	case Object:
		out := map[string]any{}
		for k, f := range v.Fields() {
			out[k] = f.Any()
		}
		return out
	default:
		return nil
	}
}

// MarshalJSON makes a Value stand for itself in encoding/json; an absent one is null.
func (v Value) MarshalJSON() ([]byte, error) {
	if len(v) == 0 {
		return NullValue, nil
	}
	return v, nil
}

// UnmarshalJSON parses data into v.
func (v *Value) UnmarshalJSON(data []byte) error {
	p, err := Parse(data)
	if err != nil {
		return err
	}
	*v = p
	return nil
}

// With is an object with one member set, at its place or as its last, or without it if to is nil. What is no object counts as an
// empty one.
func (v Value) With(name string, to Value) Value {
	var b Builder
	found := false
	for k, f := range v.Fields() {
		if k == name {
			f, found = to, true
		}
		b.Set(k, f)
	}
	if !found {
		b.Set(name, to)
	}
	return b.Value()
}

// List is an array of values.
func List(values ...Value) Value {
	out := Value{'['}
	for i, v := range values {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, v...)
	}
	return append(out, ']')
}

// Builder writes an object member by member. The zero Builder is ready; names must not repeat.
type Builder struct{ buf []byte }

// Set appends one member. An absent value is left out.
func (b *Builder) Set(name string, v Value) *Builder {
	if len(v) == 0 {
		return b
	}
	if len(b.buf) == 0 {
		b.buf = append(make([]byte, 0, 96), '{')
	} else {
		b.buf = append(b.buf, ',')
	}
	b.buf = AppendQuote(b.buf, name)
	b.buf = append(b.buf, ':')
	b.buf = append(b.buf, v...)
	return b
}

// Value returns the finished object; the Builder must not be used afterwards.
func (b *Builder) Value() Value {
	if len(b.buf) == 0 {
		return Value("{}")
	}
	return append(b.buf, '}')
}
