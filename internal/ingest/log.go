package ingest

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/person"
)

// Bounds of a frame and of what may wait for one.
const (
	MaxFrameOps   = 2048
	MaxFrameBytes = 512 << 10 // one op larger than this gets a frame of its own
	maxWaiting    = 64 << 20  // bytes; beyond it requests are turned away
	doubtFor      = 10 * time.Second
	stopGrace     = 2 * time.Second
	crowd         = 8                    // ops of a frame: from here on more are on their way
	crowdWait     = 2 * time.Millisecond // how long they gather for the next one, unless as many calls have come before
	patience      = 4 * time.Second      // in doubt for longer, and newcomers are turned away at once: enough for a cluster to elect
)

// Errors of Stream.Publish whose outcome is known: the frame was not stored by this call.
var (
	// ErrFull says that the stream takes no more frames until some are trimmed, or the disk has room again.
	ErrFull = errors.New("the log is full")
	// ErrTooLarge says that the stream takes no frame of that size.
	ErrTooLarge = errors.New("frame is larger than the log takes")
)

// ErrGap says that the frame to be read next is missing from the stream.
var ErrGap = errors.New("frames are missing from the log")

// Stream is where frames are made durable: a partition is one sequence of messages, numbered from 1 without gaps.
type Stream interface {
	// Publish makes data durable and returns its sequence. Publishing again under the same id, within two minutes, finds
	// the first message instead of storing a second. ErrFull and ErrTooLarge are final; after any other error the outcome is
	// in doubt.
	Publish(ctx context.Context, partition int32, id string, data []byte) (seq uint64, err error)
}

// LogOptions says what a Log works with; all fields are required.
type LogOptions struct {
	Stream Stream
	Now    func() time.Time
	Logger *slog.Logger
}

// Log makes ops durable. While one frame is on its way to the disk the next one gathers, so frames grow with load and a lone
// request waits for nothing. It is safe for concurrent use.
type Log struct {
	o     LogOptions
	pace  atomic.Pointer[func(partition int32) time.Duration]
	run   context.Context // of publishing; ends a while after Stop
	end   context.CancelFunc
	mu    sync.Mutex
	parts map[int32]*gatherer
	acked map[int64]uint64 // by workspace
	who   map[int32]*touched
	ops   map[int32]int64 // acknowledged since the start, by partition
	ended bool
	done  sync.WaitGroup
	spare sync.Pool // of *entry
}

// NewLog returns a log that is ready.
func NewLog(o LogOptions) *Log {
	run, end := context.WithCancel(context.Background())
	return &Log{o: o, run: run, end: end, parts: map[int32]*gatherer{}, acked: map[int64]uint64{}, who: map[int32]*touched{}, ops: map[int32]int64{}}
}

// Pace has each frame but the first be held back as long as hold says when the one before it has been answered. Nobody is turned away for that.
func (l *Log) Pace(hold func(partition int32) time.Duration) { l.pace.Store(&hold) }

// gatherer collects what arrives for one partition while its writer is busy.
type gatherer struct {
	wake    chan struct{} // capacity 1
	enough  int           // calls that wake the writer
	waiting []*entry
	bytes   int
	doubt   time.Time // when the frame that is on its way set out, if a try has failed; else zero
}

// entry is one Append call.
type entry struct {
	ops  []Op
	size int
	done chan struct{}
	pos  Position
	err  error
}

// Append returns when all ops are durable, together and in order; they lie in one frame. An error of kind Unavailable
// means that they are not, or, when ctx ended or the log stayed in doubt, that it is not known. TooLarge means that the
// stream takes no frame of that size: nothing was stored.
func (l *Log) Append(ctx context.Context, partition int32, ops ...Op) (Position, error) {
	if len(ops) == 0 {
		return Position{}, nil
	}
	e := l.entry()
	e.ops, e.size, e.pos, e.err = ops, 0, Position{}, nil
	for i := range ops {
		e.size += EncodedSize(&ops[i])
	}
	if err := l.enqueue(partition, e); err != nil { // the writer outlives the request that started it
		return Position{}, err
	}
	select {
	case <-e.done:
		pos, err := e.pos, e.err
		e.ops = nil
		l.spare.Put(e)
		return pos, err
	case <-ctx.Done(): // the writer still holds the entry: it is not reused
		return Position{}, unavailable(ctx.Err())
	}
}

func (l *Log) entry() *entry {
	if e, ok := l.spare.Get().(*entry); ok {
		return e
	}
	return &entry{done: make(chan struct{}, 1)}
}

func unavailable(err error) error {
	e := fault.Wrap(fault.Unavailable, err, "the log does not take writes at the moment; try again")
	e.RetryAfter = time.Second
	return e
}

func (l *Log) enqueue(partition int32, e *entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return unavailable(errors.New("the server is stopping"))
	}
	g := l.parts[partition]
	if g == nil {
		g = &gatherer{wake: make(chan struct{}, 1)}
		l.parts[partition] = g
		l.done.Go(func() { l.write(partition, g) })
	}
	if !g.doubt.IsZero() && l.o.Now().Sub(g.doubt) > patience {
		return unavailable(errors.New("the log does not answer"))
	}
	if g.bytes+e.size > maxWaiting {
		return unavailable(errors.New("too much waits for the log"))
	}
	g.waiting = append(g.waiting, e)
	g.bytes += e.size
	if len(g.waiting) >= g.enough {
		g.rouse()
	}
	return nil
}

func (g *gatherer) rouse() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// take removes what fits into one frame.
func (l *Log) take(g *gatherer) (batch []*entry, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, ops, size := 0, 0, 0
	for _, e := range g.waiting {
		if n > 0 && (ops+len(e.ops) > MaxFrameOps || size+e.size > MaxFrameBytes) {
			break
		}
		n, ops, size = n+1, ops+len(e.ops), size+e.size
	}
	batch = append(batch, g.waiting[:n]...)
	rest := copy(g.waiting, g.waiting[n:])
	clear(g.waiting[rest:])
	g.waiting = g.waiting[:rest]
	g.bytes -= size
	return batch, l.ended
}

// write is the partition's writer: one frame at a time, each with everything that gathered meanwhile.
func (l *Log) write(partition int32, g *gatherer) {
	var buf []byte
	for {
		batch, ended := l.take(g)
		if len(batch) == 0 {
			if ended {
				return
			}
			<-g.wake
			continue
		}
		f := Frame{Partition: partition, ID: id.New(l.o.Now())}
		for _, e := range batch {
			f.Ops = append(f.Ops, e.ops...)
		}
		var err error
		if buf, err = EncodeFrame(buf[:0], &f); err == nil {
			f.Seq, err = l.publish(partition, g, f.ID, buf)
		}
		l.answer(batch, &f, err)
		l.rest(partition, g, len(batch))
	}
}

// leastHold is worth a timer.
const leastHold = time.Millisecond

// rest is what lies between two frames: for as long as the next one is held back; else, while many calls arrive, a moment in which they
// gather, since each frame is a sync, and fewer syncs leave more of the machine to those who wait. The moment ends when as many calls are
// there as the last frame answered, for then all who were answered have come again.
func (l *Log) rest(partition int32, g *gatherer, answered int) {
	wait, enough := time.Duration(0), math.MaxInt
	if hold := l.pace.Load(); hold != nil {
		wait = (*hold)(partition)
	}
	if wait < leastHold {
		if answered < crowd {
			return
		}
		wait, enough = crowdWait, answered
	}
	if l.gathers(g, enough) {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-g.wake:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	g.enough = 0
}

// gathers has the writer be roused only by so many calls, unless as many are there or the log ends.
func (l *Log) gathers(g *gatherer, enough int) (full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || len(g.waiting) >= enough {
		return true
	}
	select { // whoever roused the writer before does not count
	case <-g.wake:
	default:
	}
	g.enough = enough
	return false
}

// publish repeats a doubtful publish under the same id until its outcome is known, for a bounded time.
func (l *Log) publish(partition int32, g *gatherer, frame string, data []byte) (uint64, error) {
	ctx, cancel := context.WithTimeout(l.run, doubtFor)
	defer cancel()
	began := l.o.Now()
	seq, err := l.o.Stream.Publish(ctx, partition, frame, data)
	if known(err) {
		return seq, err
	}
	l.doubt(g, began)
	defer l.doubt(g, time.Time{})
	for wait := 10 * time.Millisecond; !known(err) && ctx.Err() == nil; wait = min(2*wait, time.Second) {
		l.o.Logger.Warn("publish in doubt, it is repeated", "partition", partition, "frame", frame, "error", err)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
			seq, err = l.o.Stream.Publish(ctx, partition, frame, data)
		case <-ctx.Done():
			t.Stop()
		}
	}
	if !known(err) {
		l.o.Logger.Error("the outcome of a publish stayed in doubt", "partition", partition, "frame", frame, "error", err)
	}
	return seq, err
}

// known reports whether err says what became of a publish.
func known(err error) bool {
	return err == nil || errors.Is(err, ErrFull) || errors.Is(err, ErrTooLarge)
}

func (l *Log) doubt(g *gatherer, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g.doubt = since
}

func (l *Log) answer(batch []*entry, f *Frame, err error) {
	switch {
	case err == nil:
		l.mu.Lock()
		who := l.who[f.Partition]
		if who == nil {
			who = newTouched()
			l.who[f.Partition] = who
		}
		for i := range f.Ops {
			l.acked[f.Ops[i].Workspace] = f.Seq
			who.note(&f.Ops[i], f.Seq)
		}
		l.ops[f.Partition] += int64(len(f.Ops))
		l.mu.Unlock()
	case errors.Is(err, ErrTooLarge): // such a frame is a single call's
		err = fault.Wrap(fault.TooLarge, err, "the request is larger than the log takes")
	default:
		err = unavailable(err)
	}
	index := 0
	for _, e := range batch {
		e.pos, e.err = Position{f.Partition, f.Seq, index}, err
		index += len(e.ops)
		e.done <- struct{}{}
	}
}

// Acked is the newest sequence that this process has acknowledged for a workspace, 0 if there is none.
func (l *Log) Acked(_ int32, workspace int64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked[workspace]
}

// Touched is the newest sequence by which this process has acknowledged something that may change the attributes of whoever has
// one of the identifiers, 0 if there is none. It may be later than that, never earlier. That somebody comes to be by an event does
// not count.
func (l *Log) Touched(partition int32, workspace int64, who ...person.Identifier) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.who[partition]
	if t == nil {
		return 0
	}
	return t.of(workspace, who)
}

// Ops is how many ops of a partition this process has acknowledged since it started.
func (l *Log) Ops(partition int32) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ops[partition]
}

// Stop turns new writes away, lets the waiting ones through and returns when that is done. Those that a log in trouble has
// not taken after two seconds are answered as in doubt. Twice is harmless.
func (l *Log) Stop() {
	l.mu.Lock()
	l.ended = true
	for _, g := range l.parts {
		g.rouse()
	}
	l.mu.Unlock()
	late := time.AfterFunc(stopGrace, l.end)
	l.done.Wait()
	late.Stop()
	l.end()
}
