package engine

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff waits longer after each failure, with jitter so that nodes do not move in step.
type backoff struct{ least, most, next time.Duration }

func newBackoff(least, most time.Duration) *backoff { return &backoff{least, most, least} }

func (b *backoff) reset() { b.next = b.least }

func (b *backoff) sleep(ctx context.Context) {
	t := time.NewTimer(b.next/2 + rand.N(b.next/2+1))
	defer t.Stop()
	b.next = min(2*b.next, b.most)
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
