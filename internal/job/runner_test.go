package job_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"rapport.example/internal/fault"
	"rapport.example/internal/job"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is time that only the test moves, so that no lease runs out by itself.
type clock struct{ ms atomic.Int64 }

func (c *clock) now() time.Time          { return time.UnixMilli(c.ms.Load()) }
func (c *clock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// world is one database that nodes share.
type world struct {
	*store.DB
	clock *clock
}

func each(t *testing.T, fn func(t *testing.T, w world)) {
	t.Helper()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		c := &clock{}
		c.ms.Store(1_800_000_000_000)
		o.Now = c.now
		fn(t, world{storetest.Open(t, o), c})
	})
}

// node starts a runner that stops with the test.
func (w world) node(t *testing.T, owner string, keep job.Retention, run func(ctx context.Context, t *job.Task) error) *job.Runner {
	t.Helper()
	r := job.NewRunner(job.Options{
		Store: w, Kinds: []job.Kind{{Name: "work", Run: run, Keep: keep}}, Owner: owner, Now: w.clock.now,
		Logger: slog.New(slog.DiscardHandler), Poll: 5 * time.Millisecond, Sweep: 5 * time.Millisecond, Attempts: 3,
	})
	r.Start()
	t.Cleanup(r.Stop)
	return r
}

func (w world) create(t *testing.T, ws int64) job.Key {
	t.Helper()
	j, err := w.CreateJob(t.Context(), ws, "work", json.RawMessage(`{"a":1}`), job.Queued)
	if err != nil {
		t.Fatal(err)
	}
	return j.Key
}

// wait returns the job once it is as wanted.
func (w world) wait(t *testing.T, k job.Key, want func(*job.Job) bool) *job.Job {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		j, err := w.Job(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		if j != nil && want(j) {
			return j
		}
		if time.Now().After(end) {
			t.Fatalf("job %v stays %+v", k, j)
		}
		w.tick(t)
	}
}

// tick lets others run for a moment.
func (world) tick(t *testing.T) {
	t.Helper()
	timer := time.NewTimer(2 * time.Millisecond)
	defer timer.Stop()
	<-timer.C
}

func is(s job.State) func(*job.Job) bool { return func(j *job.Job) bool { return j.State == s } }

// TestTakeover: a node that hangs loses its job when the lease is over; another goes on from the saved progress, and nothing
// that the first still writes counts, nor does its end.
func TestTakeover(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		k := w.create(t, 1)
		reached, resume, left := make(chan struct{}), make(chan struct{}), make(chan []error, 1)
		a := w.node(t, "a", job.Retention{}, func(ctx context.Context, task *job.Task) error {
			if err := task.Add(ctx, 0, []byte("first"), map[string]int{"n": 1}); err != nil {
				return err
			}
			close(reached)
			<-resume // hangs, whatever becomes of its lease
			left <- []error{task.Save(ctx, 7), task.Add(ctx, 1, []byte("of a"), 7), task.Clear(ctx)}
			return nil // and believes that it is done
		})
		<-reached
		w.clock.advance(31 * time.Second)
		seen := make(chan job.Job, 1)
		w.node(t, "b", job.Retention{}, func(ctx context.Context, task *job.Task) error {
			seen <- task.Job
			return task.Add(ctx, 1, []byte("second"), map[string]int{"n": 2})
		})
		j := w.wait(t, k, is(job.Done))
		close(resume)
		for i, err := range <-left {
			if !errors.Is(err, job.ErrFenced) {
				t.Errorf("write %d of the node that lost the job: %v, want ErrFenced", i, err)
			}
		}
		a.Stop() // its end is written, or would be
		if got := <-seen; string(got.Progress) != `{"n":1}` || got.Owner != "b" || got.Epoch != 2 || string(got.Spec) != `{"a":1}` {
			t.Errorf("taken over: %+v, want with the progress of the first, epoch 2", got)
		}
		after := w.wait(t, k, is(job.Done))
		if diff := cmp.Diff(j, after); diff != "" || string(after.Progress) != `{"n":2}` || after.Attempts != 2 {
			t.Errorf("the job after its end: %+v (-before +after):\n%s", after, diff)
		}
		for part, want := range []string{"first", "second", ""} {
			if got, err := w.JobPart(t.Context(), k, int64(part)); string(got) != want || err != nil {
				t.Errorf("part %d = %q, %v, want %q", part, got, err, want)
			}
		}
	})
}

// TestCancel: a job that is canceled is over whatever the node that works on it does, and what it had written stays.
func TestCancel(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		k := w.create(t, 1)
		reached, resume, left := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		a := w.node(t, "a", job.Retention{}, func(ctx context.Context, task *job.Task) error {
			if err := task.Save(ctx, 1); err != nil {
				return err
			}
			close(reached)
			<-resume
			err := task.Save(ctx, 2)
			left <- err
			return err
		})
		<-reached
		if err := w.CancelJob(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		if err := w.CancelJob(t.Context(), k); !errors.Is(err, job.ErrFenced) {
			t.Errorf("canceled again: %v, want ErrFenced", err)
		}
		close(resume)
		if err := <-left; !errors.Is(err, job.ErrFenced) {
			t.Errorf("a write after that: %v, want ErrFenced", err)
		}
		a.Stop()
		if j := w.wait(t, k, is(job.Failed)); j.Error != job.Canceled || string(j.Progress) != "1" || j.Owner != "" {
			t.Errorf("the job: %+v", j)
		}
	})
}

// TestStop: a stopping node gives its job back, which another takes at once, and that counts as no attempt.
func TestStop(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		k := w.create(t, 1)
		reached := make(chan struct{})
		a := w.node(t, "a", job.Retention{}, func(ctx context.Context, _ *job.Task) error {
			close(reached)
			<-ctx.Done()
			return ctx.Err()
		})
		<-reached
		a.Stop()
		if j := w.wait(t, k, is(job.Queued)); j.Attempts != 0 || j.Owner != "" {
			t.Errorf("given back: %+v, want no attempt and no owner", j)
		}
		w.node(t, "b", job.Retention{}, func(context.Context, *job.Task) error { return nil })
		w.wait(t, k, is(job.Done))
	})
}

// TestOnce: two nodes with one database do each of many jobs once, those of one workspace numbered in order.
func TestOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		var mu sync.Mutex
		runs := map[job.Key]int{}
		run := func(_ context.Context, task *job.Task) error {
			mu.Lock()
			defer mu.Unlock()
			runs[task.Key]++
			return nil
		}
		a := w.node(t, "a", job.Retention{}, run)
		w.node(t, "b", job.Retention{}, run)
		want := map[job.Key]int{}
		for i := range 20 {
			k := w.create(t, int64(i%2+1))
			if k.ID != int64(i/2+1) {
				t.Errorf("job %d of its workspace has the number %d", i/2+1, k.ID)
			}
			want[k] = 1
			a.Wake("work")
			a.Wake("unknown")
		}
		for k := range want {
			w.wait(t, k, is(job.Done))
		}
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(want, runs); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
		all, err := w.Jobs(t.Context(), 2, "work", 3)
		if err != nil || len(all) != 3 || all[0].ID != 10 || all[2].ID != 8 {
			t.Errorf("Jobs = %+v, %v, want 10, 9, 8", all, err)
		}
	})
}

// TestFailures: which errors end a job, and with what words; what is tried again, and how often.
func TestFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		run      func() error
		state    job.State
		attempts int64
		reason   string
	}{
		"invalid":     {func() error { return fmt.Errorf("read: %w", fault.Field("url", "leads nowhere")) }, job.Failed, 1, "url leads nowhere"},
		"internal":    {func() error { return errors.New("secret detail") }, job.Failed, 3, "given up after 3 attempts"},
		"unavailable": {func() error { return fault.New(fault.Unavailable, "no answer") }, job.Failed, 3, "given up after 3 attempts"},
		"panic":       {func() error { panic("secret detail") }, job.Failed, 3, "given up after 3 attempts"},
		"success":     {func() error { return nil }, job.Done, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, w world) {
				k := w.create(t, 1)
				w.node(t, "a", job.Retention{}, func(context.Context, *job.Task) error { return c.run() })
				j := w.wait(t, k, func(j *job.Job) bool {
					if j.State == job.Queued && j.Lease > 0 {
						w.clock.advance(time.Second)
					}
					return !j.Open()
				})
				if j.State != c.state || j.Attempts != c.attempts || j.Error != c.reason {
					t.Errorf("ended as %s after %d attempts: %q, want %s, %d, %q", j.State, j.Attempts, j.Error, c.state, c.attempts, c.reason)
				}
			})
		})
	}
}

// TestPoison: a job that kills its node each time is given up, too.
func TestPoison(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		k := w.create(t, 1)
		for range 3 { // claims of nodes that died
			if j, err := w.ClaimJob(t.Context(), "work", "dead", time.Second); j == nil || err != nil {
				t.Fatalf("ClaimJob = %+v, %v", j, err)
			}
			w.clock.advance(time.Minute)
		}
		w.node(t, "a", job.Retention{}, func(context.Context, *job.Task) error { return errors.New("must not run") })
		if j := w.wait(t, k, is(job.Failed)); j.Error != "given up after 3 attempts" {
			t.Errorf("given up with %q", j.Error)
		}
	})
}

// TestAge: files go first, then jobs, each when its time has come; numbers are not given again. A job whose parts stopped
// coming in fails.
func TestAge(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := t.Context()
		half, err := w.CreateJob(ctx, 1, "work", json.RawMessage(`{}`), job.Preparing)
		if err != nil {
			t.Fatal(err)
		}
		k := w.create(t, 1)
		w.node(t, "a", job.Retention{File: 24 * time.Hour, Row: 90 * 24 * time.Hour}, func(ctx context.Context, task *job.Task) error {
			for i := range int64(20) {
				if err := task.Add(ctx, i, []byte("part"), i); err != nil {
					return err
				}
			}
			return nil
		})
		w.wait(t, k, is(job.Done))
		if err := errors.Join(w.AddToJob(ctx, half.Key, 0, []byte("part")), w.CountJobRead(ctx, k), w.CountJobRead(ctx, k)); err != nil {
			t.Fatal(err)
		}
		w.clock.advance(23 * time.Hour)
		w.wait(t, half.Key, func(j *job.Job) bool { return j.State == job.Failed && j.Error == "its upload broke off" })
		if err := w.AddToJob(ctx, half.Key, 1, []byte("late")); !errors.Is(err, job.ErrFenced) {
			t.Errorf("a part after the end: %v, want ErrFenced", err)
		}
		if b, err := w.JobPart(ctx, k, 19); string(b) != "part" || err != nil {
			t.Errorf("part 19 after 23 hours = %q, %v", b, err)
		}
		w.clock.advance(2 * time.Hour)
		j := w.wait(t, k, func(j *job.Job) bool { return j.Expired })
		if j.Reads != 2 || j.State != job.Done {
			t.Errorf("expired: %+v, want done and read twice", j)
		}
		for part := range int64(20) {
			if b, err := w.JobPart(ctx, k, part); b != nil || err != nil {
				t.Errorf("part %d after its time = %q, %v", part, b, err)
			}
		}
		w.clock.advance(100 * 24 * time.Hour)
		for end := time.Now().Add(time.Minute); ; w.tick(t) {
			j, err := w.Job(ctx, k)
			if err != nil || time.Now().After(end) {
				t.Fatalf("the job after 100 days: %+v, %v", j, err)
			}
			if j == nil {
				break
			}
		}
		if again := w.create(t, 1); again.ID != 3 {
			t.Errorf("the next number is %d, want 3", again.ID)
		}
	})
}

// TestPrepare: a job is claimed only once its parts are there, and a workspace cannot pile up work.
func TestPrepare(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := t.Context()
		j, err := w.CreateJob(ctx, 1, "work", json.RawMessage(`{}`), job.Preparing)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := w.ClaimJob(ctx, "work", "a", time.Second); c != nil || err != nil {
			t.Fatalf("ClaimJob of one that is prepared = %+v, %v", c, err)
		}
		if err := errors.Join(w.AddToJob(ctx, j.Key, 0, []byte("x")), w.AddToJob(ctx, j.Key, 0, []byte("y")), w.StartJob(ctx, j.Key, "")); err != nil {
			t.Fatal(err)
		}
		if err := w.StartJob(ctx, j.Key, "again"); !errors.Is(err, job.ErrFenced) {
			t.Errorf("StartJob again = %v, want ErrFenced", err)
		}
		got := make(chan string, 1)
		w.node(t, "a", job.Retention{}, func(ctx context.Context, task *job.Task) error {
			b, err := task.Part(ctx, 0)
			got <- string(b)
			return err
		})
		if b := <-got; b != "y" {
			t.Errorf("the job read %q, want y", b)
		}
		for range job.MostOpen {
			if _, err := w.CreateJob(ctx, 2, "work", json.RawMessage(`{}`), job.Preparing); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.CreateJob(ctx, 2, "work", json.RawMessage(`{}`), job.Queued); !fault.Is(err, fault.RateLimited) {
			t.Errorf("CreateJob beyond the bound = %v, want rate limited", err)
		}
		w.create(t, 3)
	})
}
