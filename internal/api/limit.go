package api

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

// Limits are requests per second per workspace, for this process; of Open per client address, of Archive per day. 0 = none.
type Limits struct{ Track, App, Send, Open, Pipelines, Archive float64 }

// maxAddresses bounds the client addresses that a Limiter remembers; when there are more it begins anew.
const maxAddresses = 10_000

// Limiter counts requests per workspace and class in token buckets that hold one second's worth.
type Limiter struct {
	limits  [refused + 1]float64
	daily   daily
	mu      sync.RWMutex
	buckets map[bucketKey]*rate.Limiter
	keys    map[int64]*rate.Limiter // by credential: as many as have a limit
	open    int                     // buckets of addresses
}

// AllowKey counts a request of an agent key that has a limit of its own, in requests a minute, of which a tenth may come at once; for others it
// does nothing. Its error is RateLimited.
func (l *Limiter) AllowKey(c *workspace.Credential, now time.Time) error {
	if c == nil || c.PerMinute <= 0 {
		return nil
	}
	l.mu.Lock()
	b := l.keys[c.ID]
	if b == nil {
		b = rate.NewLimiter(rate.Limit(float64(c.PerMinute)/60), max(1, int(c.PerMinute/10)))
		l.keys[c.ID] = b
	}
	l.mu.Unlock()
	if b.AllowN(now, 1) {
		return nil
	}
	e := fault.New(fault.RateLimited, "this agent key is limited to %d requests per minute", c.PerMinute)
	e.RetryAfter = time.Duration((1 - b.TokensAt(now)) / float64(b.Limit()) * float64(time.Second))
	return e
}

type bucketKey struct {
	workspace int64
	class     Class
	address   netip.Prefix // of LimitOpen and refused
}

// NewLimiter returns a limiter with all buckets full.
func NewLimiter(l Limits) *Limiter {
	return &Limiter{
		limits:  [...]float64{LimitTrack: l.Track, LimitApp: l.App, LimitSend: l.Send, LimitOpen: l.Open, LimitPipelines: l.Pipelines, LimitArchive: l.Archive, refused: l.Open},
		buckets: map[bucketKey]*rate.Limiter{}, keys: map[int64]*rate.Limiter{},
	}
}

// Allow takes one token at the time now and writes the RateLimit header fields. Its error is RateLimited and says when
// to come back.
func (l *Limiter) Allow(h http.Header, workspace int64, class Class, now time.Time) error {
	return l.allow(h, bucketKey{workspace: workspace, class: class}, now)
}

// AllowAddress is Allow for LimitOpen and a client address as http.Request.RemoteAddr has it. Of IPv6 the first 64 bits
// count, for whoever has one address there has them all.
func (l *Limiter) AllowAddress(h http.Header, remote string, now time.Time) error {
	return l.allow(h, addressKey(LimitOpen, remote), now)
}

// Refuse counts a request that is refused whoever asks: without a key that is known, from an address that is not allowed, without
// the scope, or for what there is not. Such requests count by client address, so that nobody can use up a workspace's limit without
// its key, and have the limit of Open. An error, RateLimited, is the answer in place of the refusal.
func (l *Limiter) Refuse(h http.Header, remote string, now time.Time) error {
	return l.allow(h, addressKey(refused, remote), now)
}

func addressKey(class Class, remote string) bucketKey {
	k := bucketKey{class: class}
	if at, err := netip.ParseAddrPort(remote); err == nil {
		a, bits := at.Addr().Unmap().WithZone(""), 32
		if a.Is6() {
			bits = 64
		}
		k.address = netip.PrefixFrom(a, bits).Masked()
	}
	return k
}

func (l *Limiter) allow(h http.Header, k bucketKey, now time.Time) error {
	limit := l.limits[k.class]
	if limit <= 0 {
		return nil
	}
	if k.class == LimitArchive {
		return l.daily.allow(h, k.workspace, limit, now)
	}
	b := l.bucket(k, limit)
	ok, left := b.AllowN(now, 1), b.TokensAt(now)
	tell(h, k.class, b.Burst(), int(max(left, 0)), int64(math.Ceil((float64(b.Burst())-left)/limit)), "1")
	if ok {
		return nil
	}
	wait := time.Duration((1 - left) / limit * float64(time.Second))
	e := fault.New(fault.RateLimited, "rate limited to %s requests per second", strconv.FormatFloat(limit, 'f', -1, 64))
	e.RetryAfter = wait
	return e
}

// policies name the limits in RateLimit-Policy and RateLimit.
var policies = [...]string{LimitTrack: `"track"`, LimitApp: `"app"`, LimitSend: `"send"`, LimitOpen: `"open"`, LimitPipelines: `"pipelines"`, LimitArchive: `"archive"`, refused: `"open"`}

// tell writes how much of a limit there is, how much is left, and in how many seconds it is whole again: in the fields that are common, and
// in those of the IETF's draft "RateLimit header fields for HTTP". window is in seconds, too.
func tell(h http.Header, class Class, most, left int, reset int64, window string) {
	quota, remaining, seconds := strconv.Itoa(most), strconv.Itoa(left), strconv.FormatInt(reset, 10)
	h.Set("RateLimit-Limit", quota)
	h.Set("RateLimit-Remaining", remaining)
	h.Set("RateLimit-Reset", seconds)
	h.Set("RateLimit-Policy", policies[class]+";q="+quota+";w="+window)
	h.Set("RateLimit", policies[class]+";r="+remaining+";t="+seconds)
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
		if k.class == LimitOpen || k.class == refused {
			l.room()
		}
		b = rate.NewLimiter(rate.Limit(limit), max(1, int(math.Ceil(limit))))
		l.buckets[k] = b
	}
	return b
}

// room counts a new address, and forgets all of them when there are too many: a limit that is late by a second is better
// than a table that grows without bound.
func (l *Limiter) room() {
	if l.open++; l.open <= maxAddresses {
		return
	}
	for k := range l.buckets {
		if k.class == LimitOpen || k.class == refused {
			delete(l.buckets, k)
		}
	}
	l.open = 1
}
