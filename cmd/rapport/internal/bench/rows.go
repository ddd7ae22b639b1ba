package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"rapport.example/cmd/rapport/internal/load"
	"rapport.example/internal/api/admin"
)

const (
	peoplePerRequest = 250
	eventsPerRequest = 500
	batchConnections = 8
	mailPerSecond    = 1000
	mailConnections  = 64
)

// populate applies the definitions and makes the people.
func (x *run) populate(ctx context.Context) error {
	req := admin.ApplyRequest{File: "bench.yaml", YAML: definitions()}
	if err := x.child.call(ctx, http.MethodPost, "apply", req, &admin.ApplyAnswer{}); err != nil {
		return fmt.Errorf("apply the definitions: %w", err)
	}
	return x.makePeople(ctx)
}

// makePeople makes the people of the seed.
func (x *run) makePeople(ctx context.Context) error {
	p := newPoster(x.child.addr, x.child.basic)
	operation := func(dst []byte, n int64) []byte {
		dst = fmt.Appendf(dst, `{"type":"person","action":"identify","identifiers":{"id":"u%d"},"attributes":`, n)
		return append(x.seed.attributes(dst, n), '}')
	}
	const step = 10 // requests
	for first := int64(0); first < x.seed.people; first += step * peoplePerRequest {
		x.progress("people", int(first), x.o.People)
		left := x.seed.people - first
		err := x.send(ctx, load.Options{
			Connections: 4, Duration: time.Minute, Count: min(step, (left+peoplePerRequest-1)/peoplePerRequest),
			Request: func(dst []byte, n int64) []byte {
				return p.post(dst, literal("/api/v2/batch"), func(dst []byte) []byte {
					return batchBody(dst, first+n*peoplePerRequest, min(peoplePerRequest, left-n*peoplePerRequest), operation)
				})
			},
		}, &load.Result{})
		if err != nil {
			return err
		}
	}
	n, err := x.child.settled(ctx)
	x.progress("people", x.o.People, x.o.People)
	if err == nil && n.People != x.seed.people {
		err = fmt.Errorf("%d people were made, there are %d", x.seed.people, n.People)
	}
	return err
}

// send runs a load in which nothing may fail.
func (x *run) send(ctx context.Context, o load.Options, into *load.Result) error {
	o.Addr = x.child.addr
	res, err := load.Run(ctx, o)
	if err == nil && res.Failures > 0 {
		err = fmt.Errorf("%d of %d requests failed", res.Failures, res.Requests)
	}
	*into = *res
	return errors.Join(err, ctx.Err())
}

// ceiling measures what the server's HTTP stack can do at best with the requests of the row events, and then, shortly, what a synced write
// takes while that keeps the processors busy: an acknowledgement waits for one that was under way and for its own.
func (x *run) ceiling(ctx context.Context, conns int) error {
	p := newPoster(x.child.addr, x.child.basic)
	requests := func(d time.Duration) load.Options {
		return load.Options{Connections: conns, Duration: d, Request: func(dst []byte, n int64) []byte {
			return p.post(dst, literal("/bench/ceiling"), func(dst []byte) []byte { return x.seed.body(dst, n) })
		}}
	}
	before, err := x.child.usage()
	if err != nil {
		return err
	}
	var res load.Result
	if err := x.send(ctx, requests(x.o.Load), &res); err != nil {
		return err
	}
	x.ceilings[conns] = res.PerSecond()
	after, err := x.child.usage()
	if err != nil {
		return err
	}
	x.r.add(key{"ceiling", conns, "requests/s"}, res.PerSecond())
	x.r.add(key{"ceiling: server CPU per request", conns, "µs"}, float64((after.server-before.server).Microseconds())/float64(res.Requests))
	x.r.add(key{"ceiling: generator's share of the CPU", conns, "%"}, before.share(after))

	over, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(over)
		failed <- x.send(ctx, requests(x.o.Load/3), &load.Result{})
	}()
	took, err := syncWrites(x.dir, func(int) bool {
		select {
		case <-over:
			return false
		case <-time.After(3 * time.Millisecond): // as often as frames are written
			return true
		}
	})
	x.r.add(key{"ceiling: fsync p50 beside it", conns, "ms"}, ms(quantile(took, 0.5)))
	x.r.add(key{"ceiling: fsync p99 beside it", conns, "ms"}, ms(quantile(took, 0.99)))
	return errors.Join(err, <-failed)
}

// events measures single events, acknowledged and applied.
func (x *run) events(ctx context.Context, conns int) error {
	p := newPoster(x.child.addr, x.child.basic)
	t := *x.seed
	var res load.Result
	done, err := x.applied(ctx, 1, load.Options{Connections: conns, Duration: x.o.Load, Request: func(dst []byte, n int64) []byte {
		return p.post(dst, func(dst []byte) []byte {
			dst = append(dst, "/api/v1/customers/u"...)
			return append(strconv.AppendInt(dst, t.who(n), 10), "/events"...)
		}, func(dst []byte) []byte { return t.body(dst, n) })
	}}, &res)
	if err != nil {
		return err
	}
	add := func(name, unit string, v float64) { x.r.add(key{name, conns, unit}, v) }
	add("acknowledged events", "events/s", res.PerSecond())
	add("acknowledgement p50", "ms", ms(res.Quantile(0.5)))
	add("acknowledgement p99", "ms", ms(res.Quantile(0.99)))
	add("applied events", "events/s", done.perSecond)
	add("applied ÷ ceiling", "", done.perSecond/x.ceilings[conns])
	add("lag to applied p50", "ms", ms(quantile(done.lag, 0.5)))
	add("lag to applied p99", "ms", ms(quantile(done.lag, 0.99)))
	add("server CPU per event", "µs", done.cpu)
	add("generator's share of the CPU", "%", done.generator)
	return nil
}

// batch measures the batch endpoint.
func (x *run) batch(ctx context.Context) error {
	p := newPoster(x.child.addr, x.child.basic)
	t := *x.seed
	var res load.Result
	done, err := x.applied(ctx, eventsPerRequest, load.Options{Connections: batchConnections, Duration: x.o.Load, Request: func(dst []byte, n int64) []byte {
		return p.post(dst, literal("/api/v2/batch"), func(dst []byte) []byte {
			return batchBody(dst, n*eventsPerRequest, eventsPerRequest, t.operation)
		})
	}}, &res)
	if err != nil {
		return err
	}
	x.batched = done.perSecond
	x.r.add(key{"batch: applied events", 0, "events/s"}, done.perSecond)
	x.r.add(key{"batch: server CPU per event", 0, "µs"}, done.cpu)
	return nil
}

// outcome is what became of a load after everything was applied.
type outcome struct {
	perSecond float64         // events, until the last was applied
	lag       []time.Duration // sorted: from acknowledged to applied, the n-th against the n-th
	cpu       float64         // µs of the server per event
	generator float64         // percent of the CPU time that was used
}

// applied runs a load of requests with each so many events, and waits until every acknowledged one is applied. It fails
// unless the database then has exactly one new activity for each.
func (x *run) applied(ctx context.Context, each int64, o load.Options, res *load.Result) (*outcome, error) {
	if _, err := x.child.settled(ctx); err != nil {
		return nil, err
	}
	from, err := x.watch.last(ctx)
	if err != nil {
		return nil, err
	}
	before, err := x.child.usage()
	if err != nil {
		return nil, err
	}
	want, followed := make(chan int64, 1), make(chan error, 1)
	var samples []sample
	go func() {
		var err error
		samples, err = x.watch.follow(ctx, from, want)
		followed <- err
	}()
	err = x.send(ctx, o, res)
	sent := res.Requests * each
	x.seed.offset += sent
	want <- sent
	if err = errors.Join(err, <-followed); err != nil {
		return nil, err
	}
	end := samples[len(samples)-1].at
	after, err := x.child.usage()
	if err != nil {
		return nil, err
	}
	if _, err := x.child.settled(ctx); err != nil {
		return nil, err
	}
	if n, err := x.watch.rows(ctx, from); err != nil || n != sent {
		return nil, errors.Join(err, fmt.Errorf("%d events were acknowledged, but %d were applied", sent, n))
	}
	return &outcome{
		perSecond: float64(sent) / end.Sub(res.Began).Seconds(), lag: lags(res, each, samples),
		cpu: float64((after.server - before.server).Microseconds()) / float64(sent), generator: before.share(after),
	}, nil
}

// lags pairs the n-th acknowledgement with the n-th applied event.
func lags(res *load.Result, each int64, samples []sample) []time.Duration {
	out := make([]time.Duration, 0, len(res.Answered))
	i := 0
	for n, at := range res.Answered {
		for i < len(samples)-1 && samples[i].n < (int64(n)+1)*each {
			i++
		}
		out = append(out, max(0, samples[i].at.Sub(res.Began.Add(at))))
	}
	slices.Sort(out)
	return out
}

// mail measures from writing an event's request to the mail server having its mail.
func (x *run) mail(ctx context.Context) error {
	if _, err := x.child.settled(ctx); err != nil {
		return err
	}
	x.sink.reset()
	p := newPoster(x.child.addr, x.child.basic)
	t := *x.seed
	var res load.Result
	err := x.send(ctx, load.Options{Connections: mailConnections, Duration: x.o.Load, Rate: mailPerSecond, Request: func(dst []byte, n int64) []byte {
		return p.post(dst, func(dst []byte) []byte {
			dst = append(dst, "/api/v1/customers/u"...)
			return append(strconv.AppendInt(dst, t.who(n), 10), "/events"...)
		}, func(dst []byte) []byte {
			return fmt.Appendf(dst, `{"name":%q,"data":{"at":"%d"}}`, mailEvent, time.Now().UnixMicro())
		})
	}}, &res)
	if err != nil {
		return err
	}
	if _, err := x.child.settled(ctx); err != nil {
		return err
	}
	took, odd := x.sink.reset()
	if odd > 0 || int64(len(took)) != res.Requests {
		return fmt.Errorf("%d events should have sent a mail each; %d came, %d without their moment", res.Requests, len(took), odd)
	}
	slices.Sort(took)
	x.seed.offset += res.Requests
	x.r.add(key{"event to SMTP p50", 0, "ms"}, ms(quantile(took, 0.5)))
	x.r.add(key{"event to SMTP p99", 0, "ms"}, ms(quantile(took, 0.99)))
	x.r.add(key{"mail: events", 0, "events/s"}, res.PerSecond())
	return nil
}
