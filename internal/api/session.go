package api

import (
	"time"

	"rapport.example/internal/workspace"
)

// Credential returns the credential with this id for a session that was started with it: nil if it is unknown, revoked
// or expired at the real time now. Never write to it.
func (k *Keys) Credential(id int64, now time.Time) *workspace.Credential {
	for _, e := range k.snap.Load().entries {
		if c := &e.credential; c.ID == id {
			if k.forgotten(id) || c.Expires != 0 && now.UnixMilli() >= c.Expires {
				return nil
			}
			return c
		}
	}
	return nil
}
