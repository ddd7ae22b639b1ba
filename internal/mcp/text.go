package mcp

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// rfc3339 is a moment of the APIs, in Unix seconds, as tools show it; "" for what is none.
func rfc3339(n json.Number) string {
	sec, err := n.Int64()
	if err != nil || sec == 0 {
		return ""
	}
	return time.Unix(sec, 0).UTC().Format(time.RFC3339)
}

// seconds reads a moment of a tool's input, 0 if there is none.
func seconds(field, s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0, invalid(field, "must be RFC 3339, like 2026-01-31T12:00:00Z")
	}
	return at.Unix(), nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// textOf is a value as the App API would read it back.
func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// clean takes control characters, bidirectional overrides and what nobody sees out of text that came from outside, so that it cannot
// disguise itself in a terminal or a chat, or hold words that only a model reads (Unicode's tags). Joiners stay: scripts need them.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < 0x20 || r >= 0x7f && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e || r == 0x200f || r == 0x061c,
			r == 0x200b || r >= 0x2060 && r <= 0x2064 || r == 0xfeff, r >= 0xe0000 && r <= 0xe0fff:
			return -1
		}
		return r
	}, s)
}

// cleanAll cleans all text in a JSON value, also the names.
func cleanAll(v any) any {
	switch v := v.(type) {
	case string:
		return clean(v)
	case []any:
		for i := range v {
			v[i] = cleanAll(v[i])
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[clean(k)] = cleanAll(x)
		}
		return out
	}
	return v
}

// text is a string of the APIs that may be null.
type text string

// UnmarshalJSON takes strings and numbers as they are, and null as "".
func (t *text) UnmarshalJSON(b []byte) error {
	*t = ""
	if string(b) == "null" {
		return nil
	}
	if len(b) > 0 && b[0] != '"' {
		*t = text(b)
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*t = text(clean(s))
	return nil
}

// escaped is text as one segment of a path. It encodes more than must be: an unencoded + or @ has the hosted service answer an empty list.
func escaped(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
