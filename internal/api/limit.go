package api

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"rapport.example/internal/fault"
)

// Limits are requests per second per workspace, for this process. 0 = none.
type Limits struct{ Track, App, Send float64 }

// Limiter counts requests per workspace and class in token buckets that hold one second's worth.
type Limiter struct {
	limits  [LimitSend + 1]float64
	mu      sync.RWMutex
	buckets map[bucketKey]*rate.Limiter
}

type bucketKey struct {
	workspace int64
	class     Class
}

// NewLimiter returns a limiter with all buckets full.
func NewLimiter(l Limits) *Limiter {
	return &Limiter{
		limits:  [...]float64{LimitTrack: l.Track, LimitApp: l.App, LimitSend: l.Send},
		buckets: map[bucketKey]*rate.Limiter{},
	}
}

// Allow takes one token at the time now and writes the RateLimit header fields. Its error is RateLimited and says when
// to come back.
func (l *Limiter) Allow(h http.Header, workspace int64, class Class, now time.Time) error {
	limit := l.limits[class]
	if limit <= 0 {
		return nil
	}
	b := l.bucket(bucketKey{workspace, class}, limit)
	ok, left := b.AllowN(now, 1), b.TokensAt(now)
	h.Set("RateLimit-Limit", strconv.Itoa(b.Burst()))
	h.Set("RateLimit-Remaining", strconv.Itoa(int(max(left, 0))))
	h.Set("RateLimit-Reset", strconv.Itoa(int(math.Ceil((float64(b.Burst())-left)/limit))))
	if ok {
		return nil
	}
	wait := time.Duration((1 - left) / limit * float64(time.Second))
	e := fault.New(fault.RateLimited, "rate limited to %s requests per second", strconv.FormatFloat(limit, 'f', -1, 64))
	e.RetryAfter = wait
	return e
}

func (l *Limiter) bucket(k bucketKey, limit float64) *rate.Limiter {
	l.mu.RLock()
	b := l.buckets[k]
	l.mu.RUnlock()
	if b != nil {
		return b
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b = l.buckets[k]; b == nil {
		b = rate.NewLimiter(rate.Limit(limit), max(1, int(math.Ceil(limit))))
		l.buckets[k] = b
	}
	return b
}
