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

// reads measures GET /v1/customers/{id}/attributes: by itself, at half of what ingestion can do meanwhile, and what it costs ingestion
// that does all it can. A read sees everything that was acknowledged before it, so it waits for the engine.
func (x *run) reads(ctx context.Context) error {
	if err := x.quiet(ctx); err != nil {
		return err
	}
	alone, _, err := x.beside(ctx, 0, -1)
	if err != nil {
		return err
	}
	half := alone.perSecond / 2
	for _, way := range []struct {
		name string
		rate float64
	}{{"", readsPerSecond}, {", as many as go", 0}} {
		_, read, err := x.beside(ctx, half, way.rate)
		if err != nil {
			return err
		}
		x.told(" beside half the ingestion"+way.name, read)
	}
	both, _, err := x.beside(ctx, 0, readsPerSecond)
	if err != nil {
		return err
	}
	x.r.add(key{"ingestion without reads", writeConnections, "events/s"}, alone.perSecond)
	x.r.add(key{"ingestion beside " + strconv.Itoa(readsPerSecond) + " reads/s", writeConnections, "events/s"}, both.perSecond)
	x.r.add(key{"what reads cost ingestion", writeConnections, "%"}, max(0, 100*(1-both.perSecond/alone.perSecond)))
	return nil
}

// quiet reads while nothing is written.
func (x *run) quiet(ctx context.Context) error {
	if _, err := x.child.settled(ctx); err != nil {
		return err
	}
	before, err := x.child.usage()
	if err != nil {
		return err
	}
	var read load.Result
	if err := x.send(ctx, x.readLoad(readsPerSecond), &read); err != nil {
		return err
	}
	after, err := x.child.usage()
	if err != nil {
		return err
	}
	x.told("", &read)
	x.r.add(key{"attribute reads: server CPU per read", readConnections, "µs"}, float64((after.server-before.server).Microseconds())/float64(read.Requests))
	return nil
}

func (x *run) told(name string, read *load.Result) {
	x.r.add(key{"attribute reads" + name + ": p50", readConnections, "ms"}, ms(read.Quantile(0.5)))
	x.r.add(key{"attribute reads" + name + ": p99", readConnections, "ms"}, ms(read.Quantile(0.99)))
	x.r.add(key{"attribute reads" + name, readConnections, "reads/s"}, read.PerSecond())
}

func (x *run) readLoad(rate float64) load.Options {
	p, t := newBearer(x.child.addr, x.child.key), *x.seed
	return load.Options{Connections: readConnections, Duration: x.o.Load, Rate: rate, Request: func(dst []byte, n int64) []byte {
		return p.send(dst, "GET", func(dst []byte) []byte {
			dst = append(dst, "/v1/customers/u"...)
			return append(strconv.AppendInt(dst, t.who(n+1<<40), 10), "/attributes"...) // not in the order of writes
		}, literal(""))
	}}
}

// beside takes events in, at a rate or as fast as it goes (0), and reads at a rate meanwhile; 0 is as fast as it goes, -1 not at all.
func (x *run) beside(ctx context.Context, events, reads float64) (done *outcome, read *load.Result, err error) {
	w, t := newPoster(x.child.addr, x.child.basic), *x.seed
	read = &load.Result{}
	failed := make(chan error, 1)
	if _, err := x.child.settled(ctx); err != nil {
		return nil, nil, err
	}
	go func() {
		if reads < 0 {
			failed <- nil
			return
		}
		failed <- x.send(ctx, x.readLoad(reads), read)
	}()
	done, err = x.applied(ctx, 1, load.Options{Connections: writeConnections, Duration: x.o.Load, Rate: events, Request: func(dst []byte, n int64) []byte {
		return w.post(dst, func(dst []byte) []byte {
			dst = append(dst, "/api/v1/customers/u"...)
			return append(strconv.AppendInt(dst, t.who(n), 10), "/events"...)
		}, func(dst []byte) []byte { return t.body(dst, n) })
	}}, &load.Result{})
	return done, read, errors.Join(err, <-failed)
}
