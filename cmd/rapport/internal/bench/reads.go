package bench

import (
	"context"
	"errors"
	"strconv"

	"rapport.example/cmd/rapport/internal/load"
)

const (
	readConnections  = 64
	writeConnections = 64
	readsPerSecond   = 1000 // a hundred times what the vendor lets a workspace read
)

// reads measures GET /v1/customers/{id}/attributes while events are taken in: the reads at half of what ingestion can do, and what
// they cost ingestion that does all it can. A read sees everything that was acknowledged before it, so it waits for the engine.
func (x *run) reads(ctx context.Context) error {
	alone, _, err := x.beside(ctx, 0, -1)
	if err != nil {
		return err
	}
	half := alone.perSecond / 2
	_, paced, err := x.beside(ctx, half, readsPerSecond)
	if err != nil {
		return err
	}
	add := func(name, unit string, v float64) { x.r.add(key{"attribute reads " + name, readConnections, unit}, v) }
	add("beside half the ingestion: p50", "ms", ms(paced.Quantile(0.5)))
	add("beside half the ingestion: p99", "ms", ms(paced.Quantile(0.99)))
	add("beside half the ingestion", "reads/s", paced.PerSecond())
	_, free, err := x.beside(ctx, half, 0)
	if err != nil {
		return err
	}
	add("beside half the ingestion, as many as go: p99", "ms", ms(free.Quantile(0.99)))
	add("beside half the ingestion, as many as go", "reads/s", free.PerSecond())
	both, _, err := x.beside(ctx, 0, readsPerSecond)
	if err != nil {
		return err
	}
	x.r.add(key{"ingestion without reads", writeConnections, "events/s"}, alone.perSecond)
	x.r.add(key{"ingestion beside " + strconv.Itoa(readsPerSecond) + " reads/s", writeConnections, "events/s"}, both.perSecond)
	x.r.add(key{"what reads cost ingestion", writeConnections, "%"}, max(0, 100*(1-both.perSecond/alone.perSecond)))
	return nil
}

// beside takes events in, at a rate or as fast as it goes (0), and reads at a rate meanwhile; 0 is as fast as it goes, -1 not at all.
func (x *run) beside(ctx context.Context, events, reads float64) (done *outcome, read *load.Result, err error) {
	w, r, t := newPoster(x.child.addr, x.child.basic), newBearer(x.child.addr, x.child.key), *x.seed
	read = &load.Result{}
	failed := make(chan error, 1)
	begin := func() {
		if reads < 0 {
			failed <- nil
			return
		}
		failed <- x.send(ctx, load.Options{Connections: readConnections, Duration: x.o.Load, Rate: reads, Request: func(dst []byte, n int64) []byte {
			return r.send(dst, "GET", func(dst []byte) []byte {
				dst = append(dst, "/v1/customers/u"...)
				return append(strconv.AppendInt(dst, t.who(n+1<<40), 10), "/attributes"...) // not the order in which they are written
			}, literal(""))
		}}, read)
	}
	if _, err := x.child.settled(ctx); err != nil {
		return nil, nil, err
	}
	go begin()
	done, err = x.applied(ctx, 1, load.Options{Connections: writeConnections, Duration: x.o.Load, Rate: events, Request: func(dst []byte, n int64) []byte {
		return w.post(dst, func(dst []byte) []byte {
			dst = append(dst, "/api/v1/customers/u"...)
			return append(strconv.AppendInt(dst, t.who(n), 10), "/events"...)
		}, func(dst []byte) []byte { return t.body(dst, n) })
	}}, &load.Result{})
	return done, read, errors.Join(err, <-failed)
}
