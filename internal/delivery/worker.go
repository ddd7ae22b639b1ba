package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"rapport.example/internal/ingest"
	"rapport.example/internal/message"
)

// Options says what a worker works with. All fields are required unless a default is given.
type Options struct {
	Channel Channel
	// Report makes the outcome an op; it returns when that is durable.
	Report func(ctx context.Context, workspace int64, o ingest.OutcomePayload) error
	Links  func(d *Delivery) message.Links
	Now    func() time.Time
	Logger *slog.Logger

	Parallel int           // default 16: messages on their way at a time
	First    time.Duration // default 30 s: about the wait before the second try; it doubles
	Longest  time.Duration // default 1 h: between tries
	Attempts int64         // default 20: then the delivery fails
}

// Worker renders and sends claimed deliveries and reports what became of them.
type Worker struct {
	o    Options
	jobs chan *Job
	busy atomic.Int64 // jobs taken and not finished
	stop context.CancelFunc
	done sync.WaitGroup
}

// NewWorker returns a worker that has not started.
func NewWorker(o Options) *Worker {
	if o.Parallel == 0 {
		o.Parallel = 16
	}
	if o.First == 0 {
		o.First = 30 * time.Second
	}
	if o.Longest == 0 {
		o.Longest = time.Hour
	}
	if o.Attempts == 0 {
		o.Attempts = 20
	}
	return &Worker{o: o, jobs: make(chan *Job, o.Parallel*queueFactor)}
}

// queueFactor is how many jobs wait for each sender, so that senders stay busy between two claims.
const queueFactor = 16

// Start begins to send and returns at once.
func (w *Worker) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	for range w.o.Parallel {
		w.done.Go(func() {
			for {
				select {
				case j := <-w.jobs:
					w.run(j) //nolint:contextcheck // a send that was begun is finished, within its own deadline
				case <-ctx.Done():
					w.drain() //nolint:contextcheck // what is given back at a stop must still be reported
					return
				}
			}
		})
	}
}

// drain gives claimed jobs that nothing was done for back to the queue: a stop must not lose them.
func (w *Worker) drain() {
	for {
		select {
		case j := <-w.jobs:
			w.report(j, ingest.OutcomePayload{State: uint8(Queued), Reason: "the server stopped before it was sent", RetryAt: w.o.Now().UnixMilli()})
			w.busy.Add(-1)
		default:
			return
		}
	}
}

// Stop finishes the messages on their way, gives the waiting ones back and returns. Calling it again does nothing.
func (w *Worker) Stop() {
	if w.stop != nil {
		w.stop()
	}
	w.done.Wait()
}

// Free is how many jobs Hand would take without waiting.
func (w *Worker) Free() int { return cap(w.jobs) - int(w.busy.Load()) }

// Hand takes at most Free() jobs. The slice is the worker's from now on.
func (w *Worker) Hand(jobs []Job) {
	w.busy.Add(int64(len(jobs)))
	for i := range jobs {
		w.jobs <- &jobs[i]
	}
}

// run walks one job through render, send, report.
func (w *Worker) run(j *Job) {
	defer w.busy.Add(-1)
	mail, r := w.render(j)
	out := ingest.OutcomePayload{}
	if mail != nil {
		if len(mail.To) > 0 {
			out.Recipient = Address(mail.To[0])
		}
		out.Subject = mail.Subject
		if j.Deadline.Before(w.o.Now()) { // it waited here too long: its lease may run out during the hand-over
			r = Receipt{Queued, "it waited too long for a free sender"}
		} else {
			r = w.send(j, mail)
		}
	}
	out.State, out.Reason = uint8(r.State), r.Reason
	if r.State == Queued {
		if j.Delivery.Attempts >= w.o.Attempts {
			out.State, out.Reason = uint8(Failed), fmt.Sprintf("given up after %d attempts: %s", j.Delivery.Attempts, r.Reason)
		} else {
			out.RetryAt = w.o.Now().Add(w.backoff(j.Delivery.Attempts)).UnixMilli()
		}
	}
	w.report(j, out)
}

func (w *Worker) render(j *Job) (mail *message.Mail, r Receipt) {
	defer func() {
		if p := recover(); p != nil {
			w.o.Logger.Error("render failed", "delivery", j.Delivery.Public, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			mail, r = nil, Receipt{Failed, "the message could not be rendered"}
		}
	}()
	mail, err := message.Render(j.Email, j.Layout, j.From, j.Scope, w.o.Links(&j.Delivery))
	switch {
	case errors.Is(err, message.ErrNoAddress):
		return nil, Receipt{Suppressed, err.Error()}
	case err != nil:
		return nil, Receipt{Failed, "the message could not be rendered: " + err.Error()}
	}
	return mail, Receipt{}
}

func (w *Worker) send(j *Job, mail *message.Mail) Receipt {
	ctx, cancel := context.WithDeadline(context.Background(), j.Deadline)
	defer cancel()
	d := &j.Delivery
	return w.o.Channel.Send(ctx, mail, Envelope{Workspace: d.Workspace, Delivery: d.ID, Person: d.Person, PublicID: d.Public, At: time.UnixMilli(j.Scope.Now).UTC()})
}

// backoff doubles from First up to Longest, with full jitter over the upper half so that retries spread.
func (w *Worker) backoff(attempt int64) time.Duration {
	d := w.o.Longest
	if attempt < 30 {
		d = min(w.o.First<<max(0, attempt-1), w.o.Longest)
	}
	return d/2 + rand.N(d/2+1)
}

// report repeats until the outcome is durable or nobody would believe it any more: when the lease has run out, the
// delivery counts as unknown.
func (w *Worker) report(j *Job, o ingest.OutcomePayload) {
	d := &j.Delivery
	o.Delivery, o.Epoch, o.At = d.ID, d.Epoch, w.o.Now().UnixMilli()
	ctx, cancel := context.WithDeadline(context.Background(), time.UnixMilli(d.Lease).Add(time.Minute))
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := w.o.Report(ctx, d.Workspace, o)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			w.o.Logger.Error("an outcome could not be recorded", "delivery", d.Public, "state", State(o.State).String(), "error", errors.Join(err, ctx.Err()))
			return
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}
