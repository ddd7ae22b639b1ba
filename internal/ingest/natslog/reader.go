package natslog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/semaphore"

	"rapport.example/internal/ingest"
)

// Reader hands out a partition's frames strictly in sequence. It is for one goroutine.
type Reader struct {
	frames chan arrival
	held   *arrival            // read ahead but not handed out
	room   *semaphore.Weighted // bytes that may still be read ahead
	cancel context.CancelFunc
	done   sync.WaitGroup
}

type arrival struct {
	frame ingest.Frame
	size  int64 // bytes of room that it takes
	err   error
}

const (
	readAhead      = 1024     // frames
	readAheadBytes = 32 << 20 // about; one frame more is always let in
)

// Consume opens a reader from the frame with sequence from on. It goes on by itself after lost connections and changes
// of leader.
func (l *Log) Consume(ctx context.Context, partition int32, from uint64) (*Reader, error) {
	s, err := l.stream(ctx, partition)
	if err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &Reader{frames: make(chan arrival, readAhead), room: semaphore.NewWeighted(readAheadBytes), cancel: cancel}
	r.done.Go(func() { l.read(run, s, partition, from, r) })
	return r, nil
}

// Close ends the reader. Twice is harmless.
func (r *Reader) Close() error {
	r.cancel()
	r.done.Wait()
	return nil
}

// Next returns the frames that are there, about maxOps ops of them and at least one frame, waiting for the first until
// ctx ends. A frame that is damaged, missing or from a newer program is an error (ingest.ErrCorrupt, ErrGap, ErrNewer),
// every time again.
func (r *Reader) Next(ctx context.Context, maxOps int) ([]ingest.Frame, error) {
	var out []ingest.Frame
	ops := 0
	for ops < maxOps {
		a := r.held
		r.held = nil
		if a == nil && len(out) == 0 {
			select {
			case x := <-r.frames:
				a = &x
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if a == nil {
			select {
			case x := <-r.frames:
				a = &x
			default:
				return out, nil
			}
		}
		switch {
		case a.err != nil && len(out) == 0:
			r.held = a
			return nil, a.err
		case a.err != nil:
			r.held = a
			return out, nil //nolint:nilerr // the frames read so far come first; the error is held for the next call
		}
		r.room.Release(a.size)
		out = append(out, a.frame)
		ops += len(a.frame.Ops)
	}
	return out, nil
}

// read fetches messages in order and decodes them. The ordered consumer notices gaps in what reaches it and starts over
// where it was; if it ends altogether it is opened again.
func (l *Log) read(ctx context.Context, s jetstream.Stream, partition int32, next uint64, r *Reader) {
	send := func(a arrival) bool {
		if err := r.room.Acquire(ctx, a.size); err != nil {
			return false
		}
		select {
		case r.frames <- a:
			return a.err == nil
		case <-ctx.Done():
			return false
		}
	}
	for ctx.Err() == nil {
		err := l.readFrom(ctx, s, partition, &next, send)
		if errors.Is(err, ingest.ErrCorrupt) || errors.Is(err, ingest.ErrNewer) || errors.Is(err, ingest.ErrGap) || ctx.Err() != nil {
			return
		}
		l.o.Logger.Debug("log reader starts over", "partition", partition, "next", next, "error", err)
		t := time.NewTimer(100 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

func (l *Log) readFrom(ctx context.Context, s jetstream.Stream, partition int32, next *uint64, send func(arrival) bool) error {
	c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: *next, InactiveThreshold: time.Minute})
	if err != nil {
		return fmt.Errorf("open consumer: %w", err)
	}
	it, err := c.Messages(jetstream.PullMaxMessagesWithBytesLimit(readAhead, readAheadBytes), jetstream.PullHeartbeat(2*time.Second), jetstream.PullExpiry(10*time.Second))
	if err != nil {
		return fmt.Errorf("open consumer: %w", err)
	}
	defer it.Stop()
	stop := context.AfterFunc(ctx, it.Stop)
	defer stop()
	for {
		m, err := it.Next()
		if err != nil {
			return fmt.Errorf("next message: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("message without position: %w", err)
		}
		if meta.Sequence.Stream < *next { // seen before
			continue
		}
		var f ingest.Frame
		if meta.Sequence.Stream != *next {
			err = fmt.Errorf("%w: the next is %d, the log hands out %d", ingest.ErrGap, *next, meta.Sequence.Stream)
		} else {
			f, err = ingest.DecodeFrame(m.Data())
		}
		if err != nil {
			err = fmt.Errorf("frame %d of partition %d: %w", meta.Sequence.Stream, partition, err)
			send(arrival{err: err})
			return err
		}
		f.Partition, f.Seq = partition, meta.Sequence.Stream
		if !send(arrival{frame: f, size: min(int64(len(m.Data())), readAheadBytes)}) {
			return ctx.Err()
		}
		*next = f.Seq + 1
	}
}
