package pipelines

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

// single takes one message.
func (s *surface) single(kind string) api.Handler {
	return func(c *api.Call) error {
		v, err := c.Object()
		if err != nil {
			return err
		}
		if err := s.admit(c, v.Get("writeKey")); err != nil {
			return err
		}
		t := newTaking(c, defaults{})
		t.take(-1, kind, v)
		return s.finish(c, t)
	}
}

// batch takes many messages. In strict mode it takes all or none, for a caller who is told of faults sends again.
func (s *surface) batch(c *api.Call) error {
	v, err := c.Object()
	if err != nil {
		return err
	}
	if err := s.admit(c, v.Get("writeKey")); err != nil {
		return err
	}
	list := v.Get("batch")
	if list.Kind() != value.Array {
		return fault.Field("batch", "must be a list of messages")
	}
	t := newTaking(c, defaults{context: v.Get("context"), integrations: v.Get("integrations"), sentAt: v.Get("sentAt")})
	t.batch(list)
	return s.finish(c, t)
}

// admit finds the workspace by the Authorization header, or else by the key in the body, and counts the request.
func (s *surface) admit(c *api.Call, key value.Value) error {
	if c.Credential != nil {
		return nil
	}
	a, err := s.o.Keys.Authenticate(c.R.Header.Get("Authorization"), api.WriteKey, c.Now)
	if err != nil && key.Kind() == value.String {
		a, err = s.o.Keys.Secret(workspace.Write, key.Text(), c.Now)
	}
	if err != nil {
		return s.stranger(c, err)
	}
	c.Credential, c.Workspace, c.Partition = a.Credential, a.Workspace.ID, a.Workspace.Partition
	if s.o.Limiter == nil {
		return nil
	}
	return s.o.Limiter.Allow(c.W.Header(), c.Workspace, api.LimitPipelines, c.Now)
}

// stranger counts a request without a key that is known, as the mux does where keys stand in a header, and returns err unless there
// were too many.
func (s *surface) stranger(c *api.Call, err error) error {
	if s.o.Limiter == nil {
		return err
	}
	if many := s.o.Limiter.Refuse(c.W.Header(), c.R.RemoteAddr, c.Now); many != nil {
		return many
	}
	return err
}

// finish makes what was taken durable, with a note of what was not, and answers.
func (s *surface) finish(c *api.Call, t *taking) error {
	if c.Strict() && len(t.faults) > 0 {
		return errors.Join(t.faults...)
	}
	for _, r := range t.refused {
		payload, err := ingest.Encode(r)
		if err != nil {
			return err
		}
		t.add(ingest.Refused, payload)
	}
	if err := s.accept(c, t.ops); err != nil {
		return err
	}
	return c.Empty()
}

// fail answers 200 to what is the caller's fault, unless they asked to be told. Where their key is good, an activity says
// what was wrong.
func (s *surface) fail(c *api.Call, err error) error {
	status := api.StatusOf(err)
	if c.Strict() || status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
		return err
	}
	if status == http.StatusUnauthorized {
		s.strange.note(s.o.Logger, c.Now)
		return c.Empty()
	}
	if status == http.StatusRequestEntityTooLarge { // who is still sending would not see the answer
		_, _ = io.CopyN(io.Discard, c.R.Body, maxDrain) //nolint:errcheck // it may end when it likes
	}
	switch denied := s.admit(c, nil); {
	case fault.Is(denied, fault.Unauthorized): // the key may be in the body that cannot be read
		s.strange.note(s.o.Logger, c.Now)
		return c.Empty()
	case denied != nil:
		return denied
	}
	t := newTaking(c, defaults{})
	t.refuse(-1, ingest.RefusedPayload{}, err)
	return s.finish(c, t)
}

// maxDrain is how much of a body that is too large is read and thrown away, in bytes.
const maxDrain = 1 << 20

// strangers counts requests that were answered 200 and belong to no workspace. The log tells of them once a minute, for there
// is nowhere else to look.
type strangers struct {
	mu    sync.Mutex
	count int
	told  time.Time
}

func (s *strangers) note(log *slog.Logger, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count++; now.Sub(s.told) < time.Minute {
		return
	}
	log.Warn("Pipelines requests without a key that is known were answered 200 and dropped", "count", s.count)
	s.count, s.told = 0, now
}

// accept makes ops durable, all or none. A failure that the log does not explain is a log in trouble.
func (s *surface) accept(c *api.Call, ops []ingest.Op) error {
	if len(ops) == 0 {
		return nil
	}
	_, err := c.Append(s.o.Log, c.Partition, ops...)
	if err != nil && fault.Is(err, fault.Internal) {
		return fault.Wrap(fault.Unavailable, err, "the write could not be made durable: send it again")
	}
	return err
}

// taking gathers what one request comes to.
type taking struct {
	c       *api.Call
	d       defaults
	ops     []ingest.Op
	refused []ingest.RefusedPayload // each reason and person once
	index   map[ingest.RefusedPayload]int
	faults  []error // of the messages that refused are, for strict mode
}

func newTaking(c *api.Call, d defaults) *taking {
	return &taking{c: c, d: d, index: map[ingest.RefusedPayload]int{}}
}

// maxFaults is how many faults a strict answer lists.
const maxFaults = 100

// refuse notes that the message at a place of the batch, from 0, or the only one, -1, is not taken, or a part of it.
func (t *taking) refuse(place int, r ingest.RefusedPayload, err error) {
	for _, one := range api.Errors(err) {
		e := public(one)
		if len(t.faults) < maxFaults {
			told := *e
			if place >= 0 {
				told.Field = strings.TrimSuffix("batch["+strconv.Itoa(place)+"]."+e.Field, ".")
			}
			t.faults = append(t.faults, &told)
		}
		r.Reason = e.Msg
		if strings.HasPrefix(e.Msg, api.NotJSON) {
			r.Reason = api.NotJSON
		}
		if e.Field != "" {
			r.Reason = e.Field + ": " + e.Msg
		}
		t.note(r)
	}
}

// note counts a message that is not applied.
func (t *taking) note(r ingest.RefusedPayload) {
	i, seen := t.index[r]
	if !seen {
		i = len(t.refused)
		t.index[r] = i
		t.refused = append(t.refused, r)
	}
	t.refused[i].Count++
}

// public is what may be told of err.
func public(err error) *fault.Error {
	var e *fault.Error
	if !errors.As(err, &e) {
		return fault.New(fault.Invalid, "the message could not be read")
	}
	return e
}

// add puts an op behind those of the request.
func (t *taking) add(kind ingest.Kind, payload value.Value) {
	c := t.c
	t.ops = append(t.ops, ingest.Op{
		Version: ingest.OpVersion, Workspace: c.Workspace, Received: c.Now.UnixMilli(), ID: id.New(c.Now), Surface: ingest.FromPipelines,
		Credential: c.Credential.ID, Request: c.RequestID, Kind: kind, Payload: payload,
	})
}
