package natslog

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// announceFor bounds how long Announce waits for the server to have taken a message.
const announceFor = time.Second

// announcePrefix keeps announcements apart from the subjects of streams.
const announcePrefix = "rapport.tell."

// Announce tells all processes of this log, this one too, something that is lost on whoever is not connected at the moment: it is for
// what is stored elsewhere and would be noticed later anyway. It returns when the server has the message.
func (l *Log) Announce(topic string, data []byte) error {
	if err := l.nc.Publish(announcePrefix+topic, data); err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	if err := l.nc.FlushTimeout(announceFor); err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	return nil
}

// Hear calls fn for each announcement of a topic, one at a time, until stop.
func (l *Log) Hear(topic string, fn func(data []byte)) (stop func(), err error) {
	sub, err := l.nc.Subscribe(announcePrefix+topic, func(m *nats.Msg) { fn(m.Data) })
	if err != nil {
		return nil, fmt.Errorf("hear announcements: %w", err)
	}
	if err := l.nc.FlushTimeout(announceFor); err != nil {
		return nil, fmt.Errorf("hear announcements: %w", err)
	}
	return func() { _ = sub.Unsubscribe() }, nil //nolint:errcheck // it fails only on a connection that is closed
}
