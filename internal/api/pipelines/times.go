package pipelines

import (
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
	if ok {
		t = received.Add(-sent.Sub(t))
	} else if !m.sentAt.Empty() {
		dropped = fault.Field("sentAt", "must be a time in ISO 8601")
	}
	m.at = t.Unix()
	return dropped
}

// moment reads a time; Unix seconds are taken too, though not in strict mode.
func moment(v value.Value, strict bool) (time.Time, bool) {
	if _, number := v.Number(); number && strict {
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
