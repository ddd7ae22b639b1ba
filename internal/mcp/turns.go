package mcp

import (
	"context"
	"runtime"
	"sync"
	"time"
)

const (
	atOnce  = 5                     // requests in work for each thread that runs Go: most of a call is waiting for its record
	maxTurn = 50 * time.Millisecond // after which the next may begin although this one is not done: it waits for something
)

// turns lets requests into work in the order in which they came. When more come than the processors can do, all of them
// at once would take equally long on average, but some of them much longer than others. One that works for long, because it
// waits for a limit or for a service, does not keep the others out.
type turns chan struct{}

// newTurns returns the turns of a server that has this process for itself.
func newTurns() turns { return make(turns, atOnce*runtime.GOMAXPROCS(0)) }

// take waits for a turn, which done ends. The error is that of ctx.
func (t turns) take(ctx context.Context) (done func(), err error) {
	select {
	case t <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	end := sync.OnceFunc(func() { <-t })
	over := time.AfterFunc(maxTurn, end)
	return func() {
		over.Stop()
		end()
	}, nil
}
