package pipelines

import (
	"math"
	"time"

	"rapport.example/internal/fault"
	"rapport.example/internal/value"
)

// happened sets when the message happened by the server's clock: as long before it was received as it happened before it was
// sent, by the sender's clock, which may go wrong. Without sentAt the sender's clock is believed. A time that is not one is
// left out, so that the message counts as of now: dropped says so.
func (m *message) happened(received time.Time, strict bool) (dropped error) {
	own, field := m.timestamp, "timestamp"
	if !m.original.Empty() && (own.Empty() || !m.sentAt.Empty()) {
		own, field = m.original, "originalTimestamp"
	}
	t, ok := moment(own, strict)
	switch {
	case own.Empty():
		return nil
	case !ok:
		return fault.Field(field, "must be a time in ISO 8601")
	}
	sent, ok := moment(m.sentAt, strict)
	switch d := sent.Sub(t); {
	case m.sentAt.Empty():
	case !ok:
		dropped = fault.Field("sentAt", "must be a time in ISO 8601")
	case d == math.MaxInt64 || d == math.MinInt64: // more than a time.Duration holds
		dropped = fault.Field("sentAt", "is centuries away from the %s", field)
	default:
		t = received.Add(-d)
	}
	m.at = t.Unix()
	return dropped
}

// moment reads a time; Unix seconds of the years 1 to 9999 are taken too, though not in strict mode. Milliseconds are none of them: they
// would make what is written now the last word until then.
func moment(v value.Value, strict bool) (time.Time, bool) {
	if f, number := v.Number(); number && (strict || f < -62135596800 || f > 253402300799) {
		return time.Time{}, false
	}
	return v.Time()
}

// seconds turns ISO 8601 text into Unix seconds and leaves everything else as it is.
func seconds(v value.Value) value.Value {
	if _, number := v.Number(); number {
		return v
	}
	if t, ok := v.Time(); ok {
		return value.Int(t.Unix())
	}
	return v
}
