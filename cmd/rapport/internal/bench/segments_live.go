package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"rapport.example/cmd/rapport/internal/load"
	"rapport.example/internal/api/admin"
	"rapport.example/internal/definition"
	"rapport.example/internal/ingest"
)

const (
	livePeople     = 20_000
	liveSegments   = 200
	liveWindows    = 20 // of these, on the very event that is sent
	crossingPeople = 100_000
	crossingTime   = time.Minute
)

// noSegments is a workspace without any.
const noSegments = "schema: 1\nworkspace: bench\n"

// manySegments is a workspace with liveSegments: windows on the event viewed, on others, and attributes.
func manySegments() string {
	var b strings.Builder
	b.WriteString(noSegments + "segments:\n")
	for i := range liveSegments {
		c := fmt.Sprintf(`{attribute: score, at_least: %d}`, i%100)
		switch {
		case i < liveWindows:
			c = fmt.Sprintf(`{event: viewed, at_least: %d, within: %dd}`, 1+i%5, 1+i)
		case i%3 == 0:
			c = fmt.Sprintf(`{event: event_%d, at_least: 2, within: 30d}`, i)
		case i%3 == 1:
			c = fmt.Sprintf(`{all: [{attribute: plan, is: pro}, {attribute: company, is: Company %d}]}`, i)
		}
		fmt.Fprintf(&b, "  - {id: s%03d, name: Segment %d, conditions: %s}\n", i, i, c)
	}
	return b.String()
}

// live measures what segments cost while events come in, over HTTP, and in this process without it; and people who leave by time alone.
func (x *run) live(ctx context.Context) (err error) {
	served, err := x.served(ctx)
	if err != nil {
		return err
	}
	db, err := x.database(ctx, "live")
	if err != nil {
		return err
	}
	e := &everybody{dir: filepath.Join(x.dir, "live"), url: db.url}
	defer func() { err = errors.Join(err, e.close()) }()
	if err := e.open(ctx); err != nil {
		return err
	}
	if err := e.define(ctx, noSegments); err != nil {
		return err
	}
	t := &traffic{people: livePeople}
	frames, err := framesOf(0, livePeople, t.identify)
	if err == nil {
		err = e.apply(ctx, frames)
	}
	if err != nil {
		return err
	}
	ceiling := 0.0
	for range x.o.Rounds {
		if err := e.define(ctx, noSegments); err != nil {
			return err
		}
		if ceiling, err = e.steady(ctx, t, x.o.Load); err != nil {
			return err
		}
		if err := e.define(ctx, manySegments()); err != nil {
			return err
		}
		if err := e.built(ctx); err != nil {
			return err
		}
		with, err := e.steady(ctx, t, x.o.Load)
		if err != nil {
			return err
		}
		x.r.add(key{"applied events without segments, store alone", 0, "events/s"}, ceiling)
		x.r.add(key{"applied events with 200 segments, store alone", 0, "events/s"}, with)
		x.r.add(key{"what 200 segments cost the store alone", 0, "%"}, 100*(1-with/ceiling))
	}
	if err := x.crossing(ctx, e, "half of what HTTP applies", served/2); err != nil {
		return err
	}
	return x.crossing(ctx, e, "half of what the store alone applies", ceiling/2)
}

// served measures the same over HTTP, single events, until they are applied.
func (x *run) served(ctx context.Context) (ceiling float64, err error) {
	const conns = 64
	db, err := x.database(ctx, "served")
	if err != nil {
		return 0, err
	}
	old := *x
	defer func() { x.child, x.watch, x.seed = old.child, old.watch, old.seed }()
	if x.child, err = x.spawn(ctx, filepath.Join(x.dir, "served"), db.url, "127.0.0.1:1"); err != nil {
		return 0, err
	}
	c := x.child
	defer func() { err = errors.Join(err, c.stop()) }()
	if x.watch, err = watch(ctx, c.dir, db.url); err != nil {
		return 0, err
	}
	w := x.watch
	defer func() { err = errors.Join(err, w.close()) }()
	x.seed = &traffic{people: livePeople}
	apply := func(yaml string) error {
		return c.call(ctx, http.MethodPost, "apply", admin.ApplyRequest{File: "bench.yaml", YAML: yaml, Prune: true}, &admin.ApplyAnswer{})
	}
	rate := func(yaml string) (float64, error) {
		if err := apply(yaml); err != nil {
			return 0, err
		}
		for sweep := int64(1); sweep != 0; {
			var err error
			if sweep, err = w.number(ctx, `SELECT sweep FROM workspaces WHERE id = 1`); err != nil {
				return 0, err
			}
		}
		perSecond := 0.0
		for range 2 { // first so that everybody's document knows the definitions
			p, t := newPoster(c.addr, c.basic), *x.seed
			var res load.Result
			done, err := x.applied(ctx, 1, load.Options{Connections: conns, Duration: x.o.Load, Request: func(dst []byte, n int64) []byte {
				return p.post(dst, func(dst []byte) []byte {
					dst = append(dst, "/api/v1/customers/u"...)
					return append(strconv.AppendInt(dst, t.who(n), 10), "/events"...)
				}, literal(`{"name":"viewed","data":{"amount":5}}`))
			}}, &res)
			if err != nil {
				return 0, err
			}
			perSecond = done.perSecond
		}
		return perSecond, nil
	}
	if err := errors.Join(apply(noSegments), x.makePeople(ctx)); err != nil {
		return 0, err
	}
	for range x.o.Rounds {
		none, err := rate(noSegments)
		if err != nil {
			return 0, err
		}
		ceiling = none
		with, err := rate(manySegments())
		if err != nil {
			return 0, err
		}
		x.r.add(key{"applied events without segments", conns, "events/s"}, none)
		x.r.add(key{"applied events with 200 segments", conns, "events/s"}, with)
		x.r.add(key{"what 200 segments cost", conns, "%"}, 100*(1-with/none))
	}
	return ceiling, nil
}

// steady is the rate once everybody's document knows the definitions.
func (e *everybody) steady(ctx context.Context, t *traffic, load time.Duration) (float64, error) {
	if _, err := e.rate(ctx, t, load); err != nil {
		return 0, err
	}
	return e.rate(ctx, t, load)
}

// rate is how many events of one name are applied per second.
func (e *everybody) rate(ctx context.Context, t *traffic, load time.Duration) (float64, error) {
	n, rate := int64(10*opsPerFrame), 0.0
	for range 2 { // first a short one, to know how many fit into the time
		frames, err := framesOf(0, n, func(i int64, at time.Time, opID string) (ingest.Op, error) { return view(t, i, at, opID) })
		if err != nil {
			return 0, err
		}
		began := time.Now()
		if err := e.apply(ctx, frames); err != nil {
			return 0, err
		}
		rate = float64(n) / time.Since(began).Seconds()
		t.offset += n
		n = max(n, int64(rate*load.Seconds()/2))
	}
	return rate, nil
}

// view is event n, whose name is always the same.
func view(t *traffic, n int64, at time.Time, opID string) (ingest.Op, error) {
	by := ingest.By{ID: "u" + strconv.FormatInt(t.who(n), 10)}
	payload, err := ingest.Encode(ingest.EventPayload{By: by, Type: 1, Name: "viewed", ID: string(t.id(nil, n))})
	return ingest.Op{Version: ingest.OpVersion, Workspace: 1, Received: at.UnixMilli(), ID: opID, Surface: ingest.FromTrack, Kind: ingest.Event, Payload: payload}, err
}

// crossing lets people leave a window one after the other, while events come in at a rate.
func (x *run) crossing(ctx context.Context, e *everybody, beside string, rate float64) error {
	people := min(crossingPeople, max(x.o.People, 1000))
	if err := e.define(ctx, noSegments+"segments:\n  - {id: recent, name: Recent, conditions: {event: crossed, within: 1h}}\n"); err != nil {
		return err
	}
	if err := e.built(ctx); err != nil {
		return err
	}
	first := time.Now().Add(time.Duration(people/2000+5) * time.Second).Truncate(time.Second)
	due := make([]time.Time, people)
	frames, err := framesOf(0, int64(people), func(n int64, at time.Time, opID string) (ingest.Op, error) {
		due[n] = first.Add((crossingTime * time.Duration(n) / time.Duration(people)).Truncate(time.Second))
		payload, err := ingest.Encode(ingest.EventPayload{
			By: ingest.By{ID: "v" + strconv.FormatInt(n, 10)}, Type: 1, Name: "crossed", Timestamp: due[n].Add(-time.Hour).Unix(),
		})
		return ingest.Op{Version: ingest.OpVersion, Workspace: 1, Received: at.UnixMilli(), ID: opID, Surface: ingest.FromTrack, Kind: ingest.Event, Payload: payload}, err
	})
	if err == nil {
		err = e.apply(ctx, frames)
	}
	if err != nil {
		return err
	}
	rows, err := e.db.CurrentDefinitions(ctx, 1, definition.Segments)
	if err != nil || len(rows) != 1 {
		return errors.Join(err, errors.New("one segment should be there"))
	}
	if time.Now().After(first) {
		return errors.New("the people came too slowly")
	}
	return x.leaving(ctx, e, rows[0].ID, due, beside, rate)
}

// leaving looks at who has left while events come in.
func (x *run) leaving(ctx context.Context, e *everybody, segment int64, due []time.Time, beside string, rate float64) error {
	t := &traffic{people: livePeople, offset: time.Now().UnixNano()} // events that were never there
	const step = 50 * time.Millisecond
	var worst time.Duration
	var lags []time.Duration
	end, sent, began, last := due[len(due)-1].Add(5*time.Second), int64(0), time.Now(), uint64(0)
	for {
		now := time.Now()
		left, err := e.db.CountMembers(ctx, 1, segment)
		if err != nil {
			return err
		}
		if gone := len(due) - int(left); gone < len(due) && due[gone].Before(now) {
			lags = append(lags, now.Sub(due[gone]))
			worst = max(worst, now.Sub(due[gone]))
		} else {
			lags = append(lags, 0)
		}
		if left == 0 {
			break
		}
		if now.After(end.Add(30 * time.Second)) {
			return fmt.Errorf("%d people have not left", left)
		}
		at, _ := e.eng.Applied(0) // the log holds what was appended last
		if n := int64(rate*now.Sub(began).Seconds()) - sent; n > 0 && at >= last && now.Before(end) {
			frames, err := framesOf(sent, n, func(i int64, at time.Time, opID string) (ingest.Op, error) { return view(t, i, at, opID) })
			if err != nil {
				return err
			}
			last = e.log.append(frames)
			sent += n
		}
		if err := pause(ctx, step); err != nil {
			return err
		}
	}
	slices.Sort(lags)
	x.r.add(key{"100,000 leave in a minute, beside " + beside + ": longest after their moment", 0, "ms"}, ms(worst))
	x.r.add(key{"100,000 leave in a minute, beside " + beside + ": p50", 0, "ms"}, ms(quantile(lags, 0.5)))
	x.r.add(key{"100,000 leave in a minute, beside " + beside + ": events meanwhile", 0, "events/s"}, float64(sent)/time.Since(began).Seconds())
	return nil
}
