package liquid

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
)

type engineDate = func(time.Time, func(string) string) (string, error)

var wide = regexp.MustCompile(`%[-_^#0:]*\d{3}`)

// formatDate writes a moment by a strftime format, in UTC. Text that is no moment stays as it is, as in Ruby's Liquid.
func formatDate(engine engineDate, now time.Time, v any, format func(string) string) (string, error) {
	t, ok, err := moment(v, now)
	if err != nil {
		return "", err
	}
	if !ok {
		return fmt.Sprint(v), nil
	}
	f := format("%a, %b %d, %y")
	if len(f) > 1<<10 || wide.MatchString(f) { // a directive's width is how much it writes
		return "", errors.New("the format is too long")
	}
	return engine(t, func(string) string { return f })
}

// moment reads Unix seconds, ISO 8601 text, now and today.
func moment(v any, now time.Time) (t time.Time, ok bool, err error) {
	s, text := v.(string)
	s = strings.TrimSpace(s)
	if text && (s == "now" || s == "today") {
		if now.IsZero() {
			return t, false, errors.New("the current time is not known here")
		}
		return now.UTC(), true, nil
	}
	if v == nil || text && s == "" {
		return t, false, nil
	}
	if _, f, _ := figure(v); !text || f != 0 || s == "0" {
		const most = 253402300799 // the year 9999
		if _, isBool := v.(bool); isBool || math.IsNaN(f) || math.Abs(f) > most {
			return t, false, nil
		}
		whole := math.Floor(f)
		return time.Unix(int64(whole), int64((f-whole)*1e9)).UTC(), true, nil
	}
	for _, layout := range [...]string{
		time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999 -0700", "2006-01-02 15:04:05.999999999",
		"2006-01-02 15:04", "2006-01-02", time.RFC1123Z, time.RFC1123, "January 2, 2006", "Jan 2, 2006", "2 January 2006", "2 Jan 2006",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true, nil
		}
	}
	return t, false, nil
}
