package segment

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

// parseMoment reads "now", "30d ago", "in 3d", the same as "-30d", "+3d" and "3d", Unix seconds, or ISO 8601.
func parseMoment(v value.Value, path string) (moment, error) {
	if v.Kind() == value.String {
		if ms, ok := relative(strings.ToLower(strings.TrimSpace(v.Text()))); ok {
			return moment{relative: true, ms: ms}, nil
		}
	}
	if n, ok := readNumber(v); ok && n.f > mostSecond {
		return moment{}, fault.Field(path, "lies beyond the year 9999: write seconds, not milliseconds")
	}
	ms, ok := readTime(v)
	if !ok {
		return moment{}, fault.Field(path, "must be now, like 30d ago, like in 3d, Unix seconds, or a date like 2026-01-31")
	}
	return moment{ms: ms}, nil
}

// relative reads text relative to now as an offset in ms.
func relative(s string) (ms int64, ok bool) {
	if s == "now" {
		return 0, true
	}
	sign := int64(1)
	if d, ago := strings.CutSuffix(s, " ago"); ago {
		s, sign = d, -1
	} else if d, minus := strings.CutPrefix(s, "-"); minus {
		s, sign = d, -1
	} else if d, in := strings.CutPrefix(s, "in "); in {
		s = d
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	ms, err := ParseDuration(s)
	return sign * ms, err == nil
}

// literal is the moment as it is written in a condition.
func (m moment) literal() value.Value {
	switch {
	case m.relative && m.ms == 0:
		return value.Quote("now")
	case m.relative && m.ms < 0:
		return value.Quote(durationLiteral(-m.ms) + " ago")
	case m.relative:
		return value.Quote("in " + durationLiteral(m.ms))
	case m.ms%1000 == 0:
		return value.Int(m.ms / 1000)
	default:
		return value.Quote(m.String())
	}
}

// String is the moment in English.
func (m moment) String() string {
	switch {
	case m.relative && m.ms == 0:
		return "now"
	case m.relative && m.ms < 0:
		return Duration(-m.ms) + " ago"
	case m.relative:
		return Duration(m.ms) + " from now"
	default:
		return time.UnixMilli(m.ms).UTC().Format(time.RFC3339Nano)
	}
}

const (
	second = int64(1000)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
	week   = 7 * day
)

// ParseDuration reads durations as workspace files write them: 90s, 15m, 2h, 30d, 3w and sums such as 1d12h. The result
// is in milliseconds, above 0 and at most ten years of 366 days.
func ParseDuration(s string) (int64, error) {
	units := map[byte]int64{'s': second, 'm': minute, 'h': hour, 'd': day, 'w': week}
	rest, total := strings.TrimSpace(s), int64(0)
	if strings.HasPrefix(rest, "-") {
		return 0, fmt.Errorf("%q is below zero; write it without the sign", s)
	}
	for rest != "" {
		i := 0
		for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
			i++
		}
		if i == 0 || i > 9 || i == len(rest) || units[rest[i]] == 0 {
			return 0, fmt.Errorf("%q is no duration; write 90s, 15m, 2h, 30d, 3w or 1d12h", s)
		}
		n, err := strconv.ParseInt(rest[:i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%q is no duration: %w", s, err)
		}
		if total += n * units[rest[i]]; total > maxWindow { // at once, before a long sum overflows
			break
		}
		rest = rest[i+1:]
	}
	if total <= 0 || total > maxWindow {
		return 0, fmt.Errorf("%q is no duration between one second and ten years", s)
	}
	return total, nil
}

// durationLiteral writes whole seconds as ParseDuration reads them.
func durationLiteral(ms int64) string {
	switch {
	case ms%day == 0:
		return strconv.FormatInt(ms/day, 10) + "d"
	case ms%hour == 0:
		return strconv.FormatInt(ms/hour, 10) + "h"
	case ms%minute == 0:
		return strconv.FormatInt(ms/minute, 10) + "m"
	default:
		return strconv.FormatInt(ms/second, 10) + "s"
	}
}

// Duration says milliseconds in the largest whole unit: 72 hours are 3 days.
func Duration(ms int64) string {
	for _, u := range [...]struct {
		ms   int64
		name string
	}{{day, "day"}, {hour, "hour"}, {minute, "minute"}, {second, "second"}} {
		switch {
		case ms%u.ms != 0:
		case ms == u.ms:
			return "1 " + u.name
		default:
			return fmt.Sprintf("%d %ss", ms/u.ms, u.name)
		}
	}
	return fmt.Sprintf("%d ms", ms)
}
