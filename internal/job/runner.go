package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"rapport.example/internal/fault"
)

// Store keeps jobs. Writes of a claim are fenced: they fail with ErrFenced unless the job still runs under that epoch.
type Store interface {
	// ClaimJob takes the oldest open job of a kind that nobody holds, for owner and ttl; nil if there is none.
	ClaimJob(ctx context.Context, kind, owner string, ttl time.Duration) (*Job, error)
	RenewJob(ctx context.Context, k Key, epoch int64, ttl time.Duration) error
	FinishJob(ctx context.Context, k Key, epoch int64, o Outcome) error
	Files
	// ExpireJobs deletes what is older than its retention, a bounded step of it; more says that there may be some left.
	ExpireJobs(ctx context.Context, kind string, r Retention) (more bool, err error)
	// Transient tells errors that are worth another try.
	Transient(err error) bool
}

// Files is what a running job writes and reads.
type Files interface {
	SaveJob(ctx context.Context, k Key, epoch int64, progress json.RawMessage) error
	// AddJobPart keeps a part, in one commit with the progress; one of the same number is replaced. nil leaves progress.
	AddJobPart(ctx context.Context, k Key, epoch, part int64, bytes []byte, progress json.RawMessage) error
	// DropJobParts deletes all parts.
	DropJobParts(ctx context.Context, k Key, epoch int64) error
	// JobPart is nil if there is no such part.
	JobPart(ctx context.Context, k Key, part int64) ([]byte, error)
}

// Kind is what a Runner does for one kind of job.
type Kind struct {
	Name string
	// Run does the job, from t.Job.Progress on. It returns soon after ctx has ended. A fault of a kind that trying again
	// cannot mend (Invalid, NotFound, …) fails the job with its message; any other error is tried again, Options.Attempts
	// times at most. A Run whose node died is followed by another one: it must not matter that some of it is done twice.
	Run  func(ctx context.Context, t *Task) error
	Keep Retention // zero values keep for ever
}

// Task is a claimed job. Its writes fail with ErrFenced when the claim was lost; Run then returns that error.
type Task struct {
	Job
	files Files
}

// Save keeps how far the job is.
func (t *Task) Save(ctx context.Context, progress any) error {
	b, err := json.Marshal(progress)
	if err != nil {
		return fmt.Errorf("encode the progress: %w", err)
	}
	if err := t.files.SaveJob(ctx, t.Key, t.Epoch, b); err != nil {
		return err
	}
	t.Progress = b
	return nil
}

// Add keeps a part, in one commit with the progress. A part of the same number is replaced.
func (t *Task) Add(ctx context.Context, part int64, bytes []byte, progress any) error {
	b, err := json.Marshal(progress)
	if err != nil {
		return fmt.Errorf("encode the progress: %w", err)
	}
	if err := t.files.AddJobPart(ctx, t.Key, t.Epoch, part, bytes, b); err != nil {
		return err
	}
	t.Progress = b
	return nil
}

// Clear deletes all parts.
func (t *Task) Clear(ctx context.Context) error { return t.files.DropJobParts(ctx, t.Key, t.Epoch) }

// Part reads a part, nil if there is none of this number.
func (t *Task) Part(ctx context.Context, part int64) ([]byte, error) {
	return t.files.JobPart(ctx, t.Key, part)
}

// Options says what a Runner works with. All fields are required unless a default is given.
type Options struct {
	Store  Store
	Kinds  []Kind
	Owner  string           // names this process among all nodes
	Now    func() time.Time // real time
	Logger *slog.Logger

	Lease    time.Duration // default 30 s: how long a dead node keeps a job
	Poll     time.Duration // default 1 s: how often each kind looks for work
	Sweep    time.Duration // default 10 min: how often old jobs are looked for
	Attempts int64         // default 10
}

// Runner works on jobs: one of each kind at a time.
type Runner struct {
	o    Options
	wake map[string]chan struct{}
	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup
}

// NewRunner returns a runner that has not started.
func NewRunner(o Options) *Runner {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.Lease, 30 * time.Second}, {&o.Poll, time.Second}, {&o.Sweep, 10 * time.Minute}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.Attempts == 0 {
		o.Attempts = 10
	}
	r := &Runner{o: o, wake: map[string]chan struct{}{}}
	for _, k := range o.Kinds {
		r.wake[k.Name] = make(chan struct{}, 1)
	}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

// Start begins to work and returns at once. A runner is started once.
func (r *Runner) Start() {
	for _, k := range r.o.Kinds {
		r.done.Go(func() { r.work(k) })
		r.done.Go(func() { r.sweep(k) })
	}
}

// Stop ends the jobs on their way, gives them back so that another node takes them at once, and returns. Calling it again
// does nothing.
func (r *Runner) Stop() {
	r.stop()
	r.done.Wait()
}

// Wake has the runner look for jobs of a kind now. It never waits.
func (r *Runner) Wake(kind string) {
	select {
	case r.wake[kind] <- struct{}{}:
	default: // it will look anyway, or has no such kind
	}
}

// work claims and runs jobs of one kind until the runner stops.
func (r *Runner) work(k Kind) {
	for r.ctx.Err() == nil {
		j, err := r.o.Store.ClaimJob(r.ctx, k.Name, r.o.Owner, r.o.Lease)
		switch {
		case err == nil && j != nil:
			r.run(k, j)
			continue
		case err != nil && r.ctx.Err() == nil:
			r.o.Logger.Warn("jobs cannot be looked for; it will be tried again", "kind", k.Name, "error", err)
		}
		r.pause(r.o.Poll, r.wake[k.Name])
	}
}

// pause waits until a time has passed, something wakes it, or the runner stops.
func (r *Runner) pause(d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-r.ctx.Done():
	}
}

// finishIn bounds how long the end of a job may take to be written, also at a stop.
const finishIn = 3 * time.Second

// run does one claimed job and writes how it ended.
func (r *Runner) run(k Kind, j *Job) {
	log := r.o.Logger.With("kind", j.Kind, "workspace", j.Workspace, "job", j.ID)
	ctx, cancel := context.WithCancelCause(r.ctx)
	var beat sync.WaitGroup
	beat.Go(func() { r.heartbeat(ctx, cancel, j) })
	err := r.attempt(ctx, k, j, log)
	if errors.Is(context.Cause(ctx), ErrFenced) {
		err = ErrFenced
	}
	cancel(nil)
	beat.Wait()
	if errors.Is(err, ErrFenced) {
		log.Warn("a job was taken over by another node, or canceled")
		return
	}
	o := r.outcome(j, err)
	if err != nil && !o.Free {
		log.Warn("a job ended with an error", "state", o.State, "attempt", j.Attempts, "error", err)
	}
	end, over := context.WithTimeout(context.WithoutCancel(ctx), finishIn)
	defer over()
	if err := r.o.Store.FinishJob(end, j.Key, j.Epoch, o); err != nil && !errors.Is(err, ErrFenced) {
		log.Warn("the end of a job could not be written; it will be run again when its lease is over", "error", err)
	}
}

// attempt runs the handler. One that kills its node again and again is not run for ever.
func (r *Runner) attempt(ctx context.Context, k Kind, j *Job, log *slog.Logger) (err error) {
	if j.Attempts > r.o.Attempts {
		return fault.New(fault.Conflict, "given up after %d attempts", r.o.Attempts)
	}
	defer func() {
		if p := recover(); p != nil {
			log.Error("a job panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errors.New("the handler panicked")
		}
	}()
	return k.Run(ctx, &Task{Job: *j, files: r.o.Store})
}

// outcome decides what an attempt's error means for the job.
func (r *Runner) outcome(j *Job, err error) Outcome {
	var f *fault.Error
	switch {
	case err == nil:
		return Outcome{State: Done}
	case r.ctx.Err() != nil:
		return Outcome{State: Queued, Again: r.o.Now().UnixMilli(), Free: true}
	case errors.As(err, &f) && f.Kind != fault.Internal && f.Kind != fault.Unavailable && f.Kind != fault.RateLimited:
		return Outcome{State: Failed, Error: message(f)}
	case j.Attempts >= r.o.Attempts:
		return Outcome{State: Failed, Error: fmt.Sprintf("given up after %d attempts", j.Attempts)}
	}
	why := "an internal error; it will be tried again"
	if f != nil && f.Kind == fault.Unavailable {
		why = message(f)
	}
	return Outcome{State: Queued, Error: why, Again: r.o.Now().Add(backoff(j.Attempts)).UnixMilli()}
}

func message(f *fault.Error) string {
	if f.Field != "" {
		return f.Field + " " + f.Msg
	}
	return f.Msg
}

// backoff is the wait behind the nth attempt.
func backoff(n int64) time.Duration {
	const most = 5 * time.Minute
	d := time.Second
	for ; n > 1 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}

// heartbeat prolongs the lease until ctx ends. When it is lost, or may be by now, it ends the attempt.
func (r *Runner) heartbeat(ctx context.Context, lost context.CancelCauseFunc, j *Job) {
	every := r.o.Lease / 3
	until := r.o.Now().Add(r.o.Lease)
	for {
		t := time.NewTimer(every)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		began := r.o.Now()
		bounded, cancel := context.WithTimeout(ctx, every)
		err := r.o.Store.RenewJob(bounded, j.Key, j.Epoch, r.o.Lease)
		cancel()
		switch {
		case err == nil:
			until = began.Add(r.o.Lease)
		case errors.Is(err, ErrFenced) || !r.o.Now().Before(until):
			lost(ErrFenced)
			return
		}
	}
}

// sweep deletes what is old, a step at a time.
func (r *Runner) sweep(k Kind) {
	for r.ctx.Err() == nil {
		more, err := r.o.Store.ExpireJobs(r.ctx, k.Name, k.Keep)
		if err != nil && r.ctx.Err() == nil {
			r.o.Logger.Warn("old jobs cannot be deleted; it will be tried again", "kind", k.Name, "error", err)
		}
		if !more || err != nil {
			r.pause(r.o.Sweep, nil)
		}
	}
}
