package server

import (
	"context"
	"encoding/json"

	"rapport.example/internal/api"
)

// keysTopic is where nodes tell each other of changes of keys.
const keysTopic = "keys"

// keysChanged is what they tell. A node that does not understand it refreshes all the same.
type keysChanged struct {
	Gone []int64 `json:"gone,omitempty"` // credentials that are no good any more
}

// credentials starts the keys, which hear what other nodes change. An embedded log has no other nodes.
func (s *server) credentials(ctx context.Context) error {
	o := api.KeyOptions{Store: s.db, Touch: s.db.TouchCredentials, Log: s.log}
	if s.o.NATSURL != "" {
		o.Announce = func(gone []int64) error {
			b, err := json.Marshal(keysChanged{gone})
			if err != nil {
				return err
			}
			return s.stream.Announce(keysTopic, b)
		}
	}
	s.keys = api.NewKeys(o)
	if err := s.keys.Start(ctx); err != nil {
		return err
	}
	s.later(s.keys.Stop)
	if s.o.NATSURL == "" {
		return nil
	}
	stop, err := s.stream.Hear(keysTopic, func(data []byte) {
		var m keysChanged
		if err := json.Unmarshal(data, &m); err != nil { // of a newer version, perhaps; what changed is read from the database
			s.log.Debug("did not understand what another node said of keys", "error", err)
		}
		s.keys.Heard(m.Gone)
	})
	if err != nil {
		return err
	}
	s.later(stop)
	return nil
}
