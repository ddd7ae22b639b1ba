// Package batch lets calls that come at the same time share one costly step, as a database's group commit does.
package batch

import (
	"context"
	"sync"
	"time"
)

const (
	// Size bounds the items of one flush.
	Size = 200
	// timeout bounds one flush, which no caller's context may cut short.
	timeout = 30 * time.Second
)

// Group lets concurrent calls of Do share one flush: while one runs, the next gathers. No timer, so a lone call waits for nothing.
// Flush is set before the first call and gets one to Size items in the order in which they came; one flush runs at a time.
type Group[T any] struct {
	Flush func(ctx context.Context, items []T) error

	mu      sync.Mutex
	items   []T
	waiters []chan error
	busy    bool
	running sync.WaitGroup
}

// Do adds an item and waits until it is flushed. If ctx ends first, it may still be flushed.
func (g *Group[T]) Do(ctx context.Context, item T) error {
	done := g.Add(item)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Add gives the channel that says what became of the item.
func (g *Group[T]) Add(item T) <-chan error {
	done := make(chan error, 1)
	g.mu.Lock()
	g.items, g.waiters = append(g.items, item), append(g.waiters, done)
	if !g.busy {
		g.busy = true
		g.running.Go(g.run)
	}
	g.mu.Unlock()
	return done
}

// run flushes until nothing is left.
func (g *Group[T]) run() {
	for {
		g.mu.Lock()
		n := min(len(g.items), Size)
		if n == 0 {
			g.busy = false
			g.mu.Unlock()
			return
		}
		items, waiters := g.items[:n:n], g.waiters[:n:n]
		g.items, g.waiters = g.items[n:], g.waiters[n:]
		g.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		err := g.Flush(ctx, items)
		cancel()
		for _, w := range waiters {
			w <- err
		}
	}
}

// Wait returns when nothing runs; calls of Do and Add must have ended.
func (g *Group[T]) Wait() { g.running.Wait() }
