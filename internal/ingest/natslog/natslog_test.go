package natslog_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/ingest/natslog"
	"rapport.example/internal/value"
)

func open(t testing.TB, dir string, maxBytes int64) *natslog.Log {
	t.Helper()
	l, err := natslog.Open(t.Context(), natslog.Options{Dir: dir, MaxBytes: maxBytes, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func op(n int64) ingest.Op {
	return ingest.Op{Version: ingest.OpVersion, Workspace: 1, Received: n, ID: id.New(time.Now()), Kind: ingest.Event, Surface: ingest.FromTrack, Payload: value.Value(fmt.Sprintf(`{"n":%d}`, n))}
}

func newLog(t testing.TB, s ingest.Stream) *ingest.Log {
	t.Helper()
	l := ingest.NewLog(ingest.LogOptions{Stream: s, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(l.Stop)
	return l
}

// drain reads frames from seq until it has seen n ops, and fails on a gap.
func drain(t *testing.T, s *natslog.Log, from uint64, n int) []ingest.Op {
	t.Helper()
	r, err := s.Consume(t.Context(), 0, from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out []ingest.Op
	for next := from; len(out) < n; {
		frames, err := r.Next(ctx, 100)
		if err != nil {
			t.Fatalf("Next after %d ops: %v", len(out), err)
		}
		for _, f := range frames {
			if f.Seq != next {
				t.Fatalf("frame %d, want %d", f.Seq, next)
			}
			next++
			out = append(out, f.Ops...)
		}
	}
	return out
}

// TestAcknowledgedIsRead appends from many goroutines, restarts the server and finds every acknowledged op once.
func TestAcknowledgedIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 0)
	l := newLog(t, s)
	const writers, each = 32, 50
	var wg sync.WaitGroup
	var failed atomic.Int64
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := l.Append(t.Context(), 0, op(int64(w*each+i)), op(-1)); err != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	l.Stop()
	if failed.Load() != 0 {
		t.Fatalf("%d appends failed", failed.Load())
	}
	last, err := s.Last(t.Context(), 0)
	if err != nil || last == 0 || last > writers*each {
		t.Fatalf("Last = %d, %v", last, err)
	}
	before, err := s.ID(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()

	s = open(t, dir, 0)
	if after, err := s.ID(t.Context(), 0); err != nil || after != before {
		t.Errorf("stream id after a restart = %q, %v, want %q", after, err, before)
	}
	seen := map[int64]int{}
	for _, o := range drain(t, s, 1, 2*writers*each) {
		seen[o.Received]++
	}
	for i := range int64(writers * each) {
		if seen[i] != 1 {
			t.Fatalf("op %d was read %d times", i, seen[i])
		}
	}
}

// TestDoubt repeats a publish whose answer was lost and stores it once.
func TestDoubt(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 0)
	l := newLog(t, &lossy{Log: s})
	for i := range int64(20) {
		if pos, err := l.Append(t.Context(), 0, op(i)); err != nil || pos.Seq != uint64(i+1) {
			t.Fatalf("Append %d = %+v, %v", i, pos, err)
		}
	}
	if got := drain(t, s, 1, 20); len(got) != 20 {
		t.Errorf("%d ops, want 20", len(got))
	}
}

// lossy stores every frame and loses every other answer.
type lossy struct {
	*natslog.Log
	n int
}

func (l *lossy) Publish(ctx context.Context, partition int32, id string, data []byte) (uint64, error) {
	seq, err := l.Log.Publish(ctx, partition, id, data)
	if l.n++; l.n%2 == 1 && err == nil {
		return 0, errors.New("the answer was lost")
	}
	return seq, err
}

// TestFull turns writes away instead of dropping the oldest, and takes them again after a trim.
func TestFull(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 256<<10)
	l := newLog(t, s)
	big := op(1)
	big.Payload = value.Quote(string(make([]byte, 0, 1)) + fmt.Sprintf("%050000d", 7))
	var err error
	var last ingest.Position
	for range 20 {
		pos, e := l.Append(t.Context(), 0, big)
		if err = e; err != nil {
			break
		}
		last = pos
	}
	if !fault.Is(err, fault.Unavailable) || !errors.Is(err, ingest.ErrFull) {
		t.Fatalf("Append to a full log = %v, want Unavailable because it is full", err)
	}
	if err := s.Trim(t.Context(), 0, last.Seq); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), 0, big); err != nil {
		t.Errorf("Append after a trim: %v", err)
	}
}

// TestTooLarge answers at once, holds nobody up and stores nothing.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 0)
	l := newLog(t, s)
	huge := op(1)
	huge.Payload = value.Quote(strings.Repeat("x", 9<<20))
	if _, err := l.Append(t.Context(), 0, huge); !fault.Is(err, fault.TooLarge) || !errors.Is(err, ingest.ErrTooLarge) {
		t.Errorf("Append of 9 MiB = %v, want TooLarge", err)
	}
	if pos, err := l.Append(t.Context(), 0, op(2)); err != nil || pos.Seq != 1 {
		t.Errorf("Append after it = %+v, %v, want frame 1", pos, err)
	}
}

// TestContiguous keeps the ops of one call together and in order, and says where the first one lies.
func TestContiguous(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 0)
	l := newLog(t, s)
	const callers, calls, each = 16, 20, 7
	at := make([][]ingest.Position, callers)
	var done sync.WaitGroup
	for c := range callers {
		done.Go(func() {
			for k := range calls {
				var ops []ingest.Op
				for i := range each {
					ops = append(ops, op(int64((c*calls+k)*each+i)))
				}
				pos, err := l.Append(t.Context(), 0, ops...)
				if err != nil {
					t.Error(err)
				}
				at[c] = append(at[c], pos)
			}
		})
	}
	done.Wait()
	r, err := s.Consume(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	frames := map[uint64]ingest.Frame{}
	for n := 0; n < callers*calls*each; {
		got, err := r.Next(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range got {
			frames[f.Seq] = f
			n += len(f.Ops)
		}
	}
	for c := range callers {
		for k, pos := range at[c] {
			for i := range each {
				want := int64((c*calls+k)*each + i)
				if got := frames[pos.Seq].Ops[pos.Index+i].Received; got != want {
					t.Fatalf("op %d of call %d/%d at %+v is %d, want %d", i, c, k, pos, got, want)
				}
			}
		}
	}
	if got := l.Acked(0, 1); got != uint64(len(frames)) {
		t.Errorf("Acked = %d, want %d", got, len(frames))
	}
	t.Logf("%d calls in %d frames", callers*calls, len(frames))
}

// TestDown answers Unavailable within a bounded time once the server is gone.
func TestDown(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 0)
	l := newLog(t, s)
	if _, err := l.Append(t.Context(), 0, op(1)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := l.Append(ctx, 0, op(2)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Append without a server = %v, want Unavailable", err)
	}
}

func BenchmarkLogAppend(b *testing.B) {
	for _, conc := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("backend=embedded/conc=%d", conc), func(b *testing.B) {
			l := newLog(b, open(b, b.TempDir(), 0))
			b.SetParallelism(max(1, conc/2))
			b.ReportAllocs()
			o := op(1)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := l.Append(b.Context(), 0, o); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		})
	}
}
