package api

import (
	"net/http"
	"sync"
	"time"

	"rapport.example/internal/fault"
)

// daily counts workspaces' requests of one day, UTC.
type daily struct {
	mu   sync.Mutex
	day  int64 // since 1970
	used map[int64]int
}

const secondsOfDay = 24 * 60 * 60

// allow is Limiter.allow for a limit per day. Its error says nothing of when to come back, as the vendor's does not for
// daily limits; RateLimit-Reset does.
func (d *daily) allow(h http.Header, workspace int64, limit float64, now time.Time) error {
	at, most := now.Unix(), max(1, int(limit))
	d.mu.Lock()
	if today := at / secondsOfDay; today != d.day || d.used == nil {
		d.day, d.used = today, map[int64]int{}
	}
	n := d.used[workspace]
	if n < most {
		d.used[workspace]++
	}
	d.mu.Unlock()
	tell(h, LimitArchive, most, max(0, most-n-1), secondsOfDay-at%secondsOfDay, "86400")
	if n < most {
		return nil
	}
	e := fault.New(fault.RateLimited, "rate limited to %d requests per day", most)
	e.RetryAfter = -1
	return e
}
