package liquid

import (
	"fmt"
	"html"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/filters"
)

// The filters that the scanner puts where a value must be, and behind what a loop goes over.
const (
	needFilter = "_need"
	eachFilter = "_each"
)

// table is a set of filters by name; a filter is a function as the engine takes it.
type table map[string]any

// AddFilter satisfies the engine's interface.
func (t table) AddFilter(name string, fn any) { t[name] = fn }

// all are the engine's filters with ours in place of those that are wrong, have no bound, or tell about Go.
func all(o Options) table {
	t := table{}
	filters.AddStandardFilters(t)
	date, _ := t["date"].(engineDate)
	delete(t, "type")
	delete(t, "inspect")
	t["date"] = func(v any, format func(string) string) (string, error) { return formatDate(date, o.Now, v, format) }
	t["default"] = byDefault
	for name, fn := range arithmetic() {
		t[name] = fn
	}
	for name, fn := range texts() {
		t[name] = fn
	}
	t[needFilter] = func(v any, name string) (any, error) {
		if v == nil {
			return nil, &missingError{name}
		}
		return v, nil
	}
	t[eachFilter] = pairs
	return t
}

// pairs is what a loop goes over: for a mapping its [name, value] pairs by name, so that the same data always gives the
// same mail. What is missing has no elements, which leads a loop to its else.
func pairs(v any) any {
	switch v := v.(type) {
	case nil:
		return []any{}
	case map[string]any:
		out := make([]any, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = append(out, []any{k, v[k]})
		}
		return out
	}
	return v
}

// use adds the filters that a template needs to c, each charging b for what goes in and comes out.
func use(c *expressions.Config, names []string, b *budget, o Options) {
	t := all(o)
	for _, name := range names {
		c.AddFilter(name, metered(name, reflect.ValueOf(t[name]), b))
	}
}

func metered(name string, fn reflect.Value, b *budget) any {
	charge := func(vs []reflect.Value) {
		n := 16
		for _, v := range vs {
			if v.Kind() != reflect.Func && v.CanInterface() {
				n += size(v.Interface())
			}
		}
		if err := b.charge(n); err != nil {
			panic(expressions.FilterError{FilterName: name, Err: err})
		}
	}
	return reflect.MakeFunc(fn.Type(), func(in []reflect.Value) []reflect.Value {
		charge(in)
		out := fn.Call(in)
		charge(out[:1])
		return out
	}).Interface()
}

// byDefault also takes an empty text for missing, as the vendor does.
func byDefault(v, otherwise any) any {
	if s, ok := v.(string); ok && s == "" || v == nil || v == false {
		return otherwise
	}
	if r := reflect.ValueOf(v); (r.Kind() == reflect.Slice || r.Kind() == reflect.Map) && r.Len() == 0 {
		return otherwise
	}
	return v
}

// texts are filters on text that count characters, not bytes, and say no to what would not fit.
func texts() table {
	return table{
		"capitalize": func(s string) string {
			r, n := utf8.DecodeRuneInString(s)
			if n == 0 {
				return ""
			}
			return string(unicode.ToUpper(r)) + s[n:]
		},
		"downcase":    strings.ToLower,
		"upcase":      strings.ToUpper,
		"escape_once": func(s string) string { return html.EscapeString(html.UnescapeString(s)) },
		"replace": func(s, old, new string) (string, error) {
			if err := fits(len(s) + strings.Count(s, old)*len(new)); err != nil {
				return "", err
			}
			return strings.ReplaceAll(s, old, new), nil
		},
		"join":          join,
		"slice":         part,
		"truncate":      truncate,
		"truncatewords": truncateWords,
	}
}

func fits(n int) error {
	if n < 0 || n > MaxOutput {
		return fmt.Errorf("would give more than %d bytes", MaxOutput)
	}
	return nil
}

func join(list []any, sep func(string) string) (string, error) {
	by := sep(" ")
	parts := make([]string, 0, len(list))
	n := 0
	for _, v := range list {
		if v == nil {
			continue
		}
		p := fmt.Sprint(v)
		if n += len(p) + len(by); n > MaxOutput {
			return "", fits(n)
		}
		parts = append(parts, p)
	}
	return strings.Join(parts, by), nil
}

// part takes length characters from start on; a start below zero counts from the end.
func part(s string, start int, length func(int) int) string {
	rs := []rune(s)
	n := length(1)
	if start < 0 {
		start += len(rs)
	}
	if start < 0 || start >= len(rs) || n <= 0 {
		return ""
	}
	return string(rs[start : start+min(n, len(rs)-start)])
}

// truncate cuts s so that it has length characters, the ellipsis included.
func truncate(s string, length func(int) int, ellipsis func(string) string) string {
	n, end := length(50), []rune(ellipsis("..."))
	rs := []rune(s)
	if len(rs) <= n {
		return s
	}
	return string(rs[:min(max(0, n-len(end)), len(rs))]) + string(end)
}

// truncateWords keeps the first length words.
func truncateWords(s string, length func(int) int, ellipsis func(string) string) string {
	n, seen, in := max(1, length(15)), 0, false
	for i, r := range s {
		switch space := unicode.IsSpace(r); {
		case space:
			in = false
		case !in:
			if in = true; seen == n {
				return strings.TrimRightFunc(s[:i], unicode.IsSpace) + ellipsis("...")
			}
			seen++
		}
	}
	return s
}
