package delivery

import (
	"context"
	"log/slog"
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
	// Refused says why nothing is sent to an address from a sender's domain, "" if it is; nil = nobody refuses.
	Refused func(ctx context.Context, workspace int64, address, domain string) (reason string, err error)
	// Archive keeps what a message says as it is handed over; it must be quick. nil = nothing is kept.
	Archive func(ctx context.Context, a Archive)
	Now     func() time.Time // real time
	Logger  *slog.Logger

	Parallel int           // default 16: messages on their way at a time
	First    time.Duration // default 30 s: at most the wait before the second try; it doubles
	Longest  time.Duration // default 3 h: at most between tries
	Attempts int64         // default 20: then the delivery fails; with the other defaults within 35 hours
	Grace    time.Duration // default 3 s: what Stop leaves messages on their way, and then their reports

	Observe func(Observation) // default none: called once for every job, for metrics; must be quick
}

// Observation is one job from Hand to its report.
type Observation struct {
	State    State         // what was reported
	Waited   time.Duration // for a free sender
	Rendered time.Duration // in message.Render
	Sent     time.Duration // in Channel.Send
	Reports  int           // how often the report was made; more than 1 when the log refused it
	Recorded bool          // false when the report was given up: the delivery will count as unknown
}

// Worker renders and sends claimed deliveries and reports what became of them.
type Worker struct {
	o    Options
	jobs chan waiting
	busy atomic.Int64 // jobs taken and not finished
	done sync.WaitGroup

	mu      sync.RWMutex // held by Hand, so that no job slips in behind Stop
	stopped bool

	senders, sends, reports context.Context // end in this order: taking jobs, sending, reporting
	stop, cut, leave        context.CancelFunc
}

// waiting is a job in the queue.
type waiting struct {
	*Job
	since time.Time
}

// queueFactor is how many jobs wait for each sender, so that senders stay busy between two claims.
const queueFactor = 16

// NewWorker returns a worker that has not started.
func NewWorker(o Options) *Worker {
	if o.Parallel == 0 {
		o.Parallel = 16
	}
	if o.First == 0 {
		o.First = 30 * time.Second
	}
	if o.Longest == 0 {
		o.Longest = 3 * time.Hour
	}
	if o.Attempts == 0 {
		o.Attempts = 20
	}
	if o.Grace == 0 {
		o.Grace = 3 * time.Second
	}
	if o.Observe == nil {
		o.Observe = func(Observation) {}
	}
	w := &Worker{o: o, jobs: make(chan waiting, o.Parallel*queueFactor)}
	w.senders, w.stop = context.WithCancel(context.Background())
	w.sends, w.cut = context.WithCancel(context.Background())
	w.reports, w.leave = context.WithCancel(context.Background())
	return w
}

// Start begins to send and returns at once. A worker is started once.
func (w *Worker) Start() {
	for range w.o.Parallel {
		w.done.Go(func() {
			for w.senders.Err() == nil { // asked first: a select would take another job now and then
				select {
				case <-w.senders.Done():
				case j := <-w.jobs:
					w.run(j)
				}
			}
			w.drain()
		})
	}
}

// drain gives claimed jobs that nothing was done for back to the queue: a stop must not lose them.
func (w *Worker) drain() {
	for {
		select {
		case j := <-w.jobs:
			w.giveBack(w.reports, j, stopped)
		default:
			return
		}
	}
}

// stopped is why a job is given back at a stop.
const stopped = "the server stopped before it was sent"

// Stop finishes the messages on their way, gives the waiting ones back and returns. What takes longer than the grace is
// cut off: a send then ends as one whose time is over, and an outcome that cannot be recorded as unknown. Calling it
// again does nothing.
func (w *Worker) Stop() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.stop()
	finished := make(chan struct{})
	go func() { w.done.Wait(); close(finished) }()
	for _, end := range [...]context.CancelFunc{w.cut, w.leave} {
		t := time.NewTimer(w.o.Grace)
		select {
		case <-finished:
			t.Stop()
			return
		case <-t.C:
			end()
		}
	}
	<-finished
}

// Free is how many jobs Hand takes without waiting; 0 after Stop.
func (w *Worker) Free() int {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.stopped {
		return 0
	}
	return max(0, cap(w.jobs)-int(w.busy.Load()))
}

// Hand takes at most Free() jobs. The slice is the worker's from now on. Jobs that come when the worker has stopped are
// given back to the queue.
func (w *Worker) Hand(jobs []Job) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	w.busy.Add(int64(len(jobs)))
	now := w.o.Now()
	for i := range jobs {
		if j := (waiting{&jobs[i], now}); w.stopped {
			w.giveBack(context.Background(), j, stopped)
		} else {
			w.jobs <- j
		}
	}
}
