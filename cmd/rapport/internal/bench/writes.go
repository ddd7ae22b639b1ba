package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"rapport.example/cmd/rapport/internal/load"
)

const (
	mergesPerRound      = 5000
	identifyConnections = 256
	manyAttributes      = 20
)

// identify measures PUT /api/v1/customers/{id} with twenty attributes, three of which change.
func (x *run) identify(ctx context.Context) error {
	p := newPoster(x.child.addr, x.child.basic)
	t := *x.seed
	var res load.Result
	done, err := x.applied(ctx, 1, load.Options{Connections: identifyConnections, Duration: x.o.Load, Request: func(dst []byte, n int64) []byte {
		return p.send(dst, "PUT", func(dst []byte) []byte {
			return strconv.AppendInt(append(dst, "/api/v1/customers/u"...), t.who(n), 10)
		}, func(dst []byte) []byte { return t.profile(dst, n) })
	}}, &res)
	if err != nil {
		return err
	}
	x.r.add(key{"identify with 20 attributes: applied", identifyConnections, "people/s"}, done.perSecond)
	x.r.add(key{"identify: server CPU", identifyConnections, "µs"}, done.cpu)
	return nil
}

// profile is the body of an identify with twenty attributes.
func (t *traffic) profile(dst []byte, n int64) []byte {
	dst = append(dst, '{')
	for i := range int64(manyAttributes) {
		v := i
		if i < 3 {
			v = n + t.offset
		}
		dst = fmt.Appendf(dst, `"attribute_%d":"value %d",`, i, v)
	}
	dst[len(dst)-1] = '}'
	return dst
}

// pipelines measures the batch endpoint of the Pipelines API with the row batch's events.
func (x *run) pipelines(ctx context.Context) error {
	p := newPoster(x.child.addr, x.child.write+":")
	t := *x.seed
	var res load.Result
	done, err := x.applied(ctx, eventsPerRequest, load.Options{Connections: batchConnections, Duration: x.o.Load, Request: func(dst []byte, n int64) []byte {
		return p.post(dst, literal("/v1/batch"), func(dst []byte) []byte {
			return batchBody(dst, n*eventsPerRequest, eventsPerRequest, t.message)
		})
	}}, &res)
	if err != nil {
		return err
	}
	x.r.add(key{"Pipelines batch: applied events", 0, "events/s"}, done.perSecond)
	x.r.add(key{"Pipelines batch: server CPU per event", 0, "µs"}, done.cpu)
	return nil
}

// message is event n as a message of the Pipelines API.
func (t *traffic) message(dst []byte, n int64) []byte {
	name, data := t.event(n)
	dst = append(dst, `{"type":"track","userId":"u`...)
	dst = strconv.AppendInt(dst, t.who(n), 10)
	dst = append(dst, `","event":"`...)
	dst = append(dst, name...)
	dst = strconv.AppendInt(append(dst, `","messageId":"bench-`...), n+t.offset, 10) // no ULID, as none of the libraries makes one
	dst = append(dst, `","properties":`...)
	return append(data(dst), '}')
}

// merges measures v2 batches of merges: pairs of people of six attributes and two events each, made before.
func (x *run) merges(ctx context.Context) error {
	x.pairs++
	first := int64(x.pairs) * mergesPerRound
	send := func(count, perRequest int64, one func([]byte, int64) []byte) (*load.Result, error) {
		p := newPoster(x.child.addr, x.child.basic)
		res := &load.Result{}
		return res, x.send(ctx, load.Options{Connections: 4, Duration: time.Minute, Count: (count + perRequest - 1) / perRequest, Request: func(dst []byte, n int64) []byte {
			return p.post(dst, literal("/api/v2/batch"), func(dst []byte) []byte {
				return batchBody(dst, first+n*perRequest, min(perRequest, count-n*perRequest), one)
			})
		}}, res)
	}
	pair := func(dst []byte, n int64) []byte {
		for i, side := range []string{"a", "b"} {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = fmt.Appendf(dst, `{"type":"person","action":"identify","identifiers":{"id":"%s%d"},"attributes":{"plan":"pro","side":%q,"%s":1,"c":2,"d":3,"e":4}}`, side, n, side, side)
			for range 2 {
				dst = fmt.Appendf(dst, `,{"type":"person","action":"event","identifiers":{"id":"%s%d"},"name":"viewed","attributes":{"page":%d}}`, side, n, n)
			}
		}
		return dst
	}
	if _, err := send(mergesPerRound, 50, pair); err != nil {
		return err
	}
	before, err := x.child.settled(ctx)
	if err != nil {
		return err
	}
	used, err := x.child.usage()
	if err != nil {
		return err
	}
	res, err := send(mergesPerRound, 250, func(dst []byte, n int64) []byte {
		return fmt.Appendf(dst, `{"type":"person","action":"merge","primary":{"id":"a%d"},"secondary":{"id":"b%d"}}`, n, n)
	})
	if err != nil {
		return err
	}
	after, err := x.child.settled(ctx)
	took := time.Since(res.Began)
	if err == nil && before.People-after.People != mergesPerRound {
		err = fmt.Errorf("%d merges were acknowledged, but %d people are fewer", mergesPerRound, before.People-after.People)
	}
	now, usage := x.child.usage()
	if err := errors.Join(err, usage); err != nil {
		return err
	}
	x.r.add(key{"merges: applied", 0, "merges/s"}, mergesPerRound/took.Seconds())
	x.r.add(key{"merges: server CPU", 0, "µs"}, float64((now.server-used.server).Microseconds())/mergesPerRound)
	return nil
}
