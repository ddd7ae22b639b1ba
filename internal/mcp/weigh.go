package mcp

import (
	"encoding/json"
	"fmt"
	"strings"
)

// weigh estimates how many tokens a text costs a model, rather too many than too few. It looks at bytes: words of small letters are cheap, what
// reads like noise – capitals, digits, punctuation, bytes of other scripts – is dear.
func weigh(b []byte) int {
	const unit = 100
	sum, run, mixed := 0, 0, false
	end := func() {
		switch {
		case run > 16 || mixed:
			sum += run * 70
		default:
			sum += unit/2 + run*17
		}
		run, mixed = 0, false
	}
	for _, c := range b {
		switch {
		case c >= 'a' && c <= 'z':
			run++
			continue
		case c >= 'A' && c <= 'Z' || c >= '0' && c <= '9':
			mixed = mixed || run > 0
			run++
			continue
		}
		if run > 0 {
			end()
		}
		switch {
		case c >= 0x80:
			sum += 50
		case c == ' ':
			sum += 10
		default:
			sum += 60
		}
	}
	end()
	return sum / unit
}

// weightOf is what a value costs as JSON.
func weightOf(v any) int {
	b, err := json.Marshal(v)
	if err != nil {
		return 0
	}
	return weigh(b)
}

// shrunk is a value whose long texts, lists and maps are cut until it costs no more than room.
func shrunk[T any](v T, room int) (out T, err error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return out, fmt.Errorf("encode a row: %w", err)
	}
	for _, to := range [...]struct{ text, entries int }{{16_000, 400}, {8_000, 200}, {4_000, 100}, {1_000, 100}, {250, 40}, {60, 10}, {10, 3}} {
		var plain any
		if err := json.Unmarshal(raw, &plain); err != nil {
			return out, fmt.Errorf("decode a row: %w", err)
		}
		b, err := json.Marshal(shorten(plain, to.text, to.entries, true))
		if err != nil {
			return out, fmt.Errorf("encode a row: %w", err)
		}
		out = *new(T)
		if err := json.Unmarshal(b, &out); err != nil {
			return out, fmt.Errorf("decode a row: %w", err)
		}
		if weigh(b) <= room {
			break
		}
	}
	return out, nil
}

// shorten cuts texts of more than text bytes, and lists and maps of more than entries; the map at the top keeps all.
func shorten(v any, text, entries int, top bool) any {
	switch v := v.(type) {
	case string:
		return cutTo(v, text)
	case []any:
		v = v[:min(len(v), entries)]
		for i := range v {
			v[i] = shorten(v[i], text, entries, false)
		}
		return v
	case map[string]any:
		for i, k := range sortedKeys(v) {
			if i >= entries && !top {
				delete(v, k)
				continue
			}
			v[k] = shorten(v[k], text, entries, false)
		}
	}
	return v
}

// cutTo is text of at most n bytes, with a mark where it was cut.
func cutTo(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
