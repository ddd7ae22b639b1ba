package batch_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"rapport.example/internal/batch"
)

// TestGroup has many calls share flushes: what came while one ran goes into the next, in order, and each call hears of its own.
func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var flushed [][]int
		first := make(chan struct{})
		var g batch.Group[int]
		broken := errors.New("broken")
		g.Flush = func(_ context.Context, items []int) error {
			flushed = append(flushed, slices.Clone(items))
			if len(flushed) == 1 {
				<-first
			}
			if items[0] == batch.Size+1 {
				return broken
			}
			return nil
		}
		var said []<-chan error
		for i := range batch.Size + 11 {
			said = append(said, g.Add(i))
			synctest.Wait()
		}
		close(first)
		g.Wait()
		if len(flushed) != 3 || len(flushed[0]) != 1 || len(flushed[1]) != batch.Size || len(flushed[2]) != 10 {
			t.Fatalf("flushed %d times: %v", len(flushed), flushed)
		}
		for i := range said {
			if items := slices.Concat(flushed...); items[i] != i {
				t.Fatalf("item %d is %d", i, items[i])
			}
			want := error(nil)
			if i > batch.Size {
				want = broken
			}
			if err := <-said[i]; !errors.Is(err, want) {
				t.Errorf("item %d: %v, want %v", i, err, want)
			}
		}
	})
}

// TestGroupLeft has a caller that does not wait: the item is flushed all the same.
func TestGroupLeft(t *testing.T) {
	var mu sync.Mutex
	n := 0
	g := batch.Group[int]{Flush: func(_ context.Context, items []int) error {
		mu.Lock()
		defer mu.Unlock()
		n += len(items)
		return nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = g.Do(ctx, 1) // it may have been quick enough
	g.Wait()
	if mu.Lock(); n != 1 {
		t.Errorf("%d items were flushed, want 1", n)
	}
}
