package segment

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"rapport.example/internal/value"
)

// The readers here see a person's values as value.Number, value.Bool and value.Time do, to which tests hold them, but
// without allocating: they run for every condition of every write.

// readNumber reads a JSON number, or text that holds one. Literals beyond float64 read as ±Inf.
func readNumber(v value.Value) (number, bool) {
	switch v.Kind() {
	case value.Number:
	case value.String:
		if bytes.IndexByte(v, '\\') >= 0 { // white space around it may be
			v = value.Value(v.Text())
		} else {
			v = v[1 : len(v)-1]
		}
		v = bytes.TrimSpace(v)
		if len(v) == 0 || v[0] > '9' || bytes.ContainsAny(v, "xXpP_nNiI") { // ParseFloat also reads hex, Inf and NaN
			return number{}, false
		}
	default:
		return number{}, false
	}
	if f, ok := few(v); ok {
		return number{f: f}, true
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return number{}, false
	}
	n := number{f: f}
	if math.Abs(f) >= 1<<53 { // below, float64 tells all whole numbers apart
		n.lit = string(v)
	}
	return n, true
}

// few reads what is most often there, up to fifteen digits, in a third of ParseFloat's time.
func few(digits []byte) (float64, bool) {
	if len(digits) == 0 || len(digits) > 15 {
		return 0, false
	}
	n := int64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return float64(n), true
}

// compare is exact where both are whole numbers, and as exact as float64 otherwise.
func (n number) compare(m number) int {
	switch {
	case n.f < m.f:
		return -1
	case n.f > m.f:
		return 1
	case math.Abs(n.f) < 1<<53:
		return 0
	}
	a, aok := digits(n.lit)
	b, bok := digits(m.lit)
	if !aok || !bok {
		return 0
	}
	c := len(a) - len(b)
	if c == 0 {
		c = strings.Compare(a, b)
	}
	if n.f < 0 {
		c = -c
	}
	return c
}

// digits are those of a whole number's literal without sign and leading zeros; ok is false for fractions and exponents.
func digits(lit string) (s string, ok bool) {
	s = strings.TrimLeft(strings.TrimLeft(lit, "+-"), "0")
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return "", false
		}
	}
	return s, true
}

// readBool reads true and false, also as text of any case.
func readBool(v value.Value) (val, ok bool) {
	switch {
	case v.Kind() == value.Bool:
		return v[0] == 't', true
	case len(v) == 6 && bytes.EqualFold(v, []byte(`"true"`)):
		return true, true
	case len(v) == 7 && bytes.EqualFold(v, []byte(`"false"`)):
		return false, true
	}
	return false, false
}

// The years 1 to 9999, to which moments are clamped, in Unix seconds.
const (
	leastSecond = -62135596800
	mostSecond  = 253402300799
)

// readTime reads a moment, rounded to whole ms: Unix seconds as a number or text, or ISO 8601 text with or without time and
// zone (UTC when missing).
func readTime(v value.Value) (ms int64, ok bool) {
	if !dated(v) {
		n, ok := readNumber(v)
		return seconds(min(max(n.f, leastSecond), mostSecond)), ok
	}
	s, layout := v[1:len(v)-1], "2006-01-02"
	switch {
	case len(s) > len(layout) && s[10] == ' ':
		layout = "2006-01-02 15:04:05"
	case len(s) > len(layout):
		layout = "2006-01-02T15:04:05.999999999"
		if c := s[len(s)-6]; s[len(s)-1] == 'Z' || c == '+' || c == '-' {
			layout = time.RFC3339Nano
		}
	}
	t, err := time.Parse(layout, string(s))
	if err != nil {
		return 0, false
	}
	return t.Round(time.Millisecond).UnixMilli(), true
}

// dated reports whether v is text with dashes where a date has them, and a number has not: no error need be made to see
// that it is none.
func dated(v value.Value) bool {
	return len(v) >= len(`"2006-01-02"`) && v[0] == '"' && v[5] == '-' && v[8] == '-'
}

// seconds are Unix seconds in ms. Whole and fraction apart, for the product would not be exact.
func seconds(f float64) int64 {
	whole, part := math.Modf(f)
	return int64(whole)*1000 + int64(math.Round(part*1000))
}
