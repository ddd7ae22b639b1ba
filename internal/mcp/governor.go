package mcp

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// class is a part of the API with a limit of its own.
type class string

const (
	trackClass   class = "track"
	appClass     class = "app"
	archiveClass class = "archived_message"
	auditClass   class = "audit" // without a limit
)

// Limits is how many requests a back end takes of a workspace, 0 = as many as come.
type Limits struct {
	Track   float64 // per second
	App     float64 // per second
	Archive float64 // archived messages per day
}

// VendorLimits are those of the hosted service.
func VendorLimits() Limits { return Limits{Track: 100, App: 10, Archive: 100} }

// How the governor behaves: it stays below the limit, lets nobody wait longer than maxWait, and goes at half the pace for
// slowFor after the back end refused a request.
const (
	headroom = 0.8
	maxWait  = 20 * time.Second
	slowFor  = time.Minute
)

// governor keeps the requests of all callers within the limits of one workspace. Callers that wait are served in turn, whatever
// number of requests each of them has waiting.
type governor struct {
	now     func() time.Time
	mu      sync.RWMutex // of the map
	buckets map[class]*bucket
}

func newGovernor(l Limits, now func() time.Time) *governor {
	g := &governor{now: now, buckets: map[class]*bucket{}}
	g.limit(trackClass, l.Track)
	g.limit(appClass, l.App)
	g.limit(archiveClass, l.Archive)
	return g
}

// limit gives a class its limit, unless it has one or there is none.
func (g *governor) limit(c class, limit float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if limit <= 0 || g.buckets[c] != nil {
		return
	}
	rate, burst := headroom*limit, max(1, limit/2)
	switch c {
	case trackClass:
		burst = max(1, limit/5)
	case archiveClass:
		rate, burst = rate/(24*time.Hour).Seconds(), max(1, rate)
	case appClass, auditClass:
	}
	g.buckets[c] = &bucket{rate: rate, burst: burst, tokens: burst, at: g.now(), callers: map[string][]chan struct{}{}}
}

// learn takes the limit of a class from an answer of a server whose limits nobody told this process.
func (g *governor) learn(c class, h http.Header) {
	if c != trackClass && c != appClass || g.bucket(c) != nil {
		return
	}
	if n, err := strconv.Atoi(h.Get("RateLimit-Limit")); err == nil {
		g.limit(c, float64(n))
	}
}

func (g *governor) bucket(c class) *bucket {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.buckets[c]
}

// bucket is a token bucket with a queue for each caller.
type bucket struct {
	mu      sync.Mutex
	rate    float64 // tokens per second
	burst   float64
	tokens  float64
	at      time.Time // of tokens
	slow    time.Time // half the rate until then
	callers map[string][]chan struct{}
	turn    []string // callers with a queue, whose turn is next first
	waiting int
	timer   *time.Timer
}

// fill adds the tokens of the time that has passed.
func (b *bucket) fill(now time.Time) {
	if d := now.Sub(b.at).Seconds(); d > 0 {
		b.tokens = min(b.burst, b.tokens+d*b.pace(now))
	}
	b.at = now
}

func (b *bucket) pace(now time.Time) float64 {
	if now.Before(b.slow) {
		return b.rate / 2
	}
	return b.rate
}

// wait returns when the caller may send one request of a class, or a rate_limited error if that would take too long.
func (g *governor) wait(ctx context.Context, c class, caller string) error {
	b := g.bucket(c)
	if b == nil {
		return nil
	}
	b.mu.Lock()
	now := g.now()
	b.fill(now)
	if b.waiting == 0 && b.tokens >= 1 {
		b.tokens--
		b.mu.Unlock()
		return nil
	}
	need := time.Duration((float64(b.waiting) + 1 - b.tokens) / b.pace(now) * float64(time.Second))
	if need > maxWait {
		b.mu.Unlock()
		return rateLimited(c, need)
	}
	turn := make(chan struct{})
	if len(b.callers[caller]) == 0 {
		b.turn = append(b.turn, caller)
	}
	b.callers[caller] = append(b.callers[caller], turn)
	b.waiting++
	b.schedule(g)
	b.mu.Unlock()

	over := time.NewTimer(maxWait)
	defer over.Stop()
	select {
	case <-turn:
		return nil
	case <-over.C:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.leave(caller, turn) {
		return nil // it was served at the same moment
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return rateLimited(c, maxWait)
}

// leave takes a waiter out of its queue; false if it was served already.
func (b *bucket) leave(caller string, turn chan struct{}) bool {
	i := slices.Index(b.callers[caller], turn)
	if i < 0 {
		return false
	}
	b.callers[caller] = slices.Delete(b.callers[caller], i, i+1)
	b.waiting--
	if len(b.callers[caller]) == 0 {
		delete(b.callers, caller)
		b.turn = slices.DeleteFunc(b.turn, func(c string) bool { return c == caller })
	}
	return true
}

// schedule has the waiters served as tokens come.
func (b *bucket) schedule(g *governor) {
	if b.timer != nil || b.waiting == 0 {
		return
	}
	d := time.Duration(max(0, 1-b.tokens) / b.pace(g.now()) * float64(time.Second))
	b.timer = time.AfterFunc(d, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.timer = nil
		b.fill(g.now())
		for b.waiting > 0 && b.tokens >= 1 {
			b.tokens--
			caller := b.turn[0]
			next := b.callers[caller][0]
			b.turn = append(b.turn[1:], caller) // behind the others; leave takes it out if nothing of it waits
			b.leave(caller, next)
			close(next)
		}
		b.schedule(g)
	})
}

// refused notes that the back end did not take a request of a class, and slows the class down.
func (g *governor) refused(c class) {
	if b := g.bucket(c); b != nil {
		b.mu.Lock()
		b.fill(g.now())
		b.slow, b.tokens = g.now().Add(slowFor), min(b.tokens, 0)
		b.mu.Unlock()
	}
}

// left is how many requests of each limited class may be sent at once now.
func (g *governor) left() map[string]int {
	out := map[string]int{}
	g.mu.RLock()
	defer g.mu.RUnlock()
	for c, b := range g.buckets {
		b.mu.Lock()
		b.fill(g.now())
		out[string(c)] = int(math.Floor(max(0, b.tokens)))
		b.mu.Unlock()
	}
	return out
}

func rateLimited(c class, wait time.Duration) error {
	s := int(math.Ceil(wait.Seconds()))
	return &toolError{
		Code: "rate_limited", Retryable: true, RetryAfter: s, Status: http.StatusTooManyRequests,
		Message: fmt.Sprintf("too many requests wait for the %s API already", c), Hint: "get_workspace shows what is left; wait " + strconv.Itoa(s) + " s or ask for less",
	}
}
