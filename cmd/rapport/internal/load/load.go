// Package load drives an HTTP server with prepared requests over a fixed number of connections. It speaks just enough
// HTTP/1.1 to be cheap beside the server that it measures: on a small machine a costly generator would be what is measured.
package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Options says what to send.
type Options struct {
	Addr        string        // host:port
	Connections int           // each has one request under way at a time
	Duration    time.Duration // how long new requests are begun
	Count       int64         // most requests; 0 = as many as the duration allows
	Rate        float64       // requests per second over all connections; 0 = as fast as they are answered
	// Request writes request n (from 0, each number once) behind dst and returns the extended slice. Connections call it
	// at the same time.
	Request func(dst []byte, n int64) []byte
}

// Result is what came of it.
type Result struct {
	Requests int64
	Failures int64 // answers other than 2xx
	Began    time.Time
	Elapsed  time.Duration
	Latency  []time.Duration // sorted; of answered requests
	Answered []time.Duration // sorted; when they were answered, since Began
}

// PerSecond is the rate of answered requests.
func (r *Result) PerSecond() float64 { return float64(r.Requests) / r.Elapsed.Seconds() }

// Quantile is the latency that this share of requests did not exceed, 0 if there were none.
func (r *Result) Quantile(q float64) time.Duration {
	if len(r.Latency) == 0 {
		return 0
	}
	return r.Latency[min(len(r.Latency)-1, int(q*float64(len(r.Latency))))]
}

// Run sends requests until Duration is over, Count are sent or ctx ends, and waits for the last answers.
func Run(ctx context.Context, o Options) (*Result, error) {
	var (
		mu    sync.Mutex
		total = Result{Began: time.Now()}
		errs  []error
		wg    sync.WaitGroup
		turn  = turns{o: o, began: total.Began}
	)
	for range o.Connections {
		wg.Go(func() {
			r, err := connection(ctx, o, &turn)
			mu.Lock()
			defer mu.Unlock()
			total.Requests += r.Requests
			total.Failures += r.Failures
			total.Latency = append(total.Latency, r.Latency...)
			total.Answered = append(total.Answered, r.Answered...)
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	total.Elapsed = time.Since(total.Began)
	slices.Sort(total.Latency)
	slices.Sort(total.Answered)
	return &total, errors.Join(errs...)
}

// turns hands out request numbers, at the wanted rate if there is one. A channel would cost more than the request.
type turns struct {
	o     Options
	began time.Time
	last  atomic.Int64
}

func (t *turns) next(ctx context.Context) (int64, bool) {
	if ctx.Err() != nil || time.Since(t.began) >= t.o.Duration {
		return 0, false
	}
	n := t.last.Add(1) - 1
	if t.o.Count > 0 && n >= t.o.Count {
		return 0, false
	}
	if t.o.Rate > 0 {
		at := time.Duration(float64(n) / t.o.Rate * float64(time.Second))
		if at >= t.o.Duration {
			return 0, false
		}
		time.Sleep(at - time.Since(t.began))
	}
	return n, true
}

func connection(ctx context.Context, o Options, turn *turns) (Result, error) {
	var r Result
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", o.Addr)
	if err != nil {
		return r, fmt.Errorf("connect: %w", err)
	}
	defer c.Close() //nolint:errcheck // everything was read
	in := bufio.NewReaderSize(c, 4096)
	var buf []byte
	for {
		n, ok := turn.next(ctx)
		if !ok {
			return r, nil
		}
		buf = o.Request(buf[:0], n)
		began := time.Now()
		if _, err := c.Write(buf); err != nil {
			return r, fmt.Errorf("request %d: %w", n, err)
		}
		status, err := answer(in)
		if err != nil {
			return r, fmt.Errorf("answer to request %d: %w", n, err)
		}
		now := time.Now()
		r.Requests++
		if status/100 != 2 {
			r.Failures++
		}
		r.Latency = append(r.Latency, now.Sub(began))
		r.Answered = append(r.Answered, now.Sub(turn.began))
	}
}

var lengthName = []byte("content-length:")

// answer reads one response with a Content-Length and returns its status.
func answer(in *bufio.Reader) (int, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 {
		return 0, fmt.Errorf("no HTTP answer: %q", line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, fmt.Errorf("no HTTP answer: %q", line)
	}
	length := 0
	for {
		line, err = in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		if len(line) > len(lengthName) && bytes.EqualFold(line[:len(lengthName)], lengthName) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(lengthName):]))); err != nil {
				return 0, err
			}
		}
	}
	_, err = io.CopyN(io.Discard, in, int64(length))
	return status, err
}
