package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/value"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stream is the far end: it stores a frame once per id, after asking answer what to do with the n-th try.
type stream struct {
	mu     sync.Mutex
	tries  int
	ids    map[string]uint64
	frames []ingest.Frame
	answer func(ctx context.Context, try int) (store bool, err error)
}

func (s *stream) Publish(ctx context.Context, _ int32, id string, data []byte) (uint64, error) {
	s.mu.Lock()
	s.tries++
	try := s.tries
	s.mu.Unlock()
	store, err := s.answer(ctx, try)
	s.mu.Lock()
	defer s.mu.Unlock()
	if store && s.ids[id] == 0 {
		f, derr := ingest.DecodeFrame(append([]byte(nil), data...))
		if derr != nil {
			return 0, derr
		}
		s.frames = append(s.frames, f)
		s.ids[id] = uint64(len(s.frames))
	}
	return s.ids[id], err
}

func fake(t *testing.T, answer func(ctx context.Context, try int) (bool, error)) (*ingest.Log, *stream) {
	t.Helper()
	s := &stream{ids: map[string]uint64{}, answer: answer}
	l := ingest.NewLog(ingest.LogOptions{Stream: s, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(l.Stop)
	return l, s
}

func op(n int64) ingest.Op {
	return ingest.Op{Version: ingest.OpVersion, Workspace: 1, Received: n, ID: id.New(time.Now()), Kind: ingest.Event, Surface: ingest.FromTrack, Payload: value.Value(`{}`)}
}

var errLost = errors.New("the answer was lost")

func never(ctx context.Context, _ int) (bool, error) {
	<-ctx.Done()
	return false, ctx.Err()
}

// TestGroups gathers what arrives while a frame is on its way, cuts by number and bytes, and never splits a call.
func TestGroups(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		l, s := fake(t, func(context.Context, int) (bool, error) { <-release; return true, nil })
		var done sync.WaitGroup
		call := func(ops ...ingest.Op) {
			done.Go(func() {
				if _, err := l.Append(t.Context(), 0, ops...); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		call(op(0)) // a lone one goes at once
		for i := range int64(ingest.MaxFrameOps - 1) {
			call(op(i))
		}
		call(op(1), op(2)) // would make one too many
		big := op(3)
		big.Payload = value.Quote(strings.Repeat("x", ingest.MaxFrameBytes))
		call(big)
		call(op(4))
		close(release)
		done.Wait()
		var sizes []int
		for _, f := range s.frames {
			sizes = append(sizes, len(f.Ops))
		}
		if got, want := fmt.Sprint(sizes), fmt.Sprint([]int{1, ingest.MaxFrameOps - 1, 2, 1, 1}); got != want {
			t.Errorf("ops by frame = %s, want %s", got, want)
		}
	})
}

// TestPause: behind a frame of many calls the next one is cut when as many have come, or after 2 ms; behind one of few at once.
func TestPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const durableIn = 10 * time.Millisecond
		l, s := fake(t, func(context.Context, int) (bool, error) { time.Sleep(durableIn); return true, nil })
		var done sync.WaitGroup
		call := func(n int) {
			for range n {
				done.Go(func() {
					if _, err := l.Append(t.Context(), 0, op(1)); err != nil {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
		}
		begun := time.Now()
		at := func(what string, want time.Duration, ops int) {
			t.Helper()
			s.mu.Lock()
			defer s.mu.Unlock()
			if last := s.frames[len(s.frames)-1]; time.Since(begun) != want || len(last.Ops) != ops {
				t.Errorf("%s: a frame of %d ops was durable after %s, want %d after %s", what, len(last.Ops), time.Since(begun), ops, want)
			}
		}
		call(1)
		call(10) // while that frame is on its way
		time.Sleep(durableIn)
		done.Wait()
		at("behind one call", 2*durableIn, 10)

		begun = time.Now()
		call(9)
		time.Sleep(time.Millisecond)
		call(1) // as many as the last frame had
		done.Wait()
		at("as many as before", time.Millisecond+durableIn, 10)

		begun = time.Now()
		call(9)
		done.Wait()
		at("fewer than before", 2*time.Millisecond+durableIn, 9)
	})
}

// TestPace: while frames are held back all who wait go into the next one, a stop ends it, and what is not worth a timer is no wait.
func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, s := fake(t, func(context.Context, int) (bool, error) { return true, nil })
		const long = 50 * time.Millisecond
		var hold atomic.Int64 // a time.Duration
		hold.Store(int64(long))
		l.Pace(func(int32) time.Duration { return time.Duration(hold.Load()) })
		begun := time.Now()
		var done sync.WaitGroup
		call := func() {
			done.Go(func() {
				if _, err := l.Append(t.Context(), 0, op(1)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		frames := func(what string, after time.Duration, sizes ...int) {
			t.Helper()
			done.Wait()
			var got []int
			for _, f := range s.frames {
				got = append(got, len(f.Ops))
			}
			if !slices.Equal(got, sizes) || time.Since(begun) != after {
				t.Errorf("%s: frames of %v after %s, want %v after %s", what, got, time.Since(begun), sizes, after)
			}
		}
		call() // nothing is before it
		frames("the first", 0, 1)
		for range 30 {
			call()
			time.Sleep(time.Millisecond)
		}
		frames("held back", long, 1, 30)

		call()
		hold.Store(int64(100 * time.Microsecond))
		frames("once more", 2*long, 1, 30, 1)
		call()
		call()
		frames("no longer", 2*long, 1, 30, 1, 1, 1)

		hold.Store(int64(time.Hour))
		call()
		call()
		l.Stop()
		frames("until the end", 2*long, 1, 30, 1, 1, 1, 1, 1)
	})
}

// TestDoubtEnds repeats under the same id until the answer comes; all calls of the frame get it.
func TestDoubtEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, s := fake(t, func(_ context.Context, try int) (bool, error) {
			if try < 5 {
				return true, errLost
			}
			return true, nil
		})
		pos, err := l.Append(t.Context(), 0, op(1))
		if err != nil || pos.Seq != 1 || len(s.frames) != 1 || s.tries != 5 {
			t.Errorf("Append = %+v, %v after %d tries with %d frames, want frame 1 after 5 tries", pos, err, s.tries, len(s.frames))
		}
	})
}

// TestDoubtStays gives up after ten seconds. Who comes when it has lasted for four is turned away at once; afterwards the
// next one is let through to see.
func TestDoubtStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, s := fake(t, func(ctx context.Context, try int) (bool, error) {
			if try > 1 && ctx.Err() == nil && time.Since(epoch) > 30*time.Second {
				return true, nil
			}
			return false, errLost
		})
		took := func(want time.Duration) {
			t.Helper()
			began := time.Now()
			_, err := l.Append(t.Context(), 0, op(1))
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.Unavailable || f.RetryAfter != time.Second {
				t.Errorf("Append = %v, want Unavailable with a second to wait", err)
			}
			if got := time.Since(began); got != want {
				t.Errorf("Append took %s, want %s", got, want)
			}
		}
		var done sync.WaitGroup
		done.Go(func() { took(10 * time.Second) })
		time.Sleep(5 * time.Second) // virtual
		took(0)
		done.Wait()
		took(10 * time.Second)
		time.Sleep(10*time.Second + time.Millisecond) // virtual
		if _, err := l.Append(t.Context(), 0, op(2)); err != nil {
			t.Errorf("Append when the log is back: %v", err)
		}
		if len(s.frames) != 1 {
			t.Errorf("%d frames, want 1", len(s.frames))
		}
	})
}

// epoch is when a synctest bubble begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// TestBounds turns away what would not fit into memory, and calls whose context ends get their answer then.
func TestBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := fake(t, never)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		big := op(1)
		big.Payload = value.Quote(strings.Repeat("x", 16<<20))
		var done sync.WaitGroup
		var mu sync.Mutex
		at := map[time.Duration]int{}
		for range 7 { // one on its way, three waiting: with a fourth they would be more than 64 MiB
			done.Go(func() {
				began := time.Now()
				_, err := l.Append(ctx, 0, big)
				if !fault.Is(err, fault.Unavailable) {
					t.Errorf("Append = %v, want Unavailable", err)
				}
				mu.Lock()
				defer mu.Unlock()
				at[time.Since(began)]++
			})
			synctest.Wait()
		}
		done.Wait()
		if at[0] != 3 || at[3*time.Second] != 4 {
			t.Errorf("answers by time = %v, want 3 at once and 4 when the context ends", at)
		}
	})
}

// TestStop answers everybody within two seconds though the log does not answer, and nobody afterwards.
func TestStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := fake(t, never)
		var done sync.WaitGroup
		for i := range int64(5) {
			done.Go(func() {
				if _, err := l.Append(t.Context(), int32(i%2), op(i)); !fault.Is(err, fault.Unavailable) {
					t.Errorf("Append = %v, want Unavailable", err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		l.Stop()
		done.Wait()
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("Stop took %s, want 2 s", took)
		}
		if _, err := l.Append(t.Context(), 0, op(9)); !fault.Is(err, fault.Unavailable) {
			t.Errorf("Append after Stop = %v, want Unavailable", err)
		}
	})
}
