package mcp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"

	"rapport.example/internal/audit"
	"rapport.example/internal/batch"
)

// recorder tells a Rapport server that is another process of the calls of one key. Calls that end at the same time are told together.
//
// A call that changed something, or was refused, is answered when the server has its entry. One that only read is answered at once, so
// that it takes one round trip to the server and not two: whoever could stop this process before it tells of a read could as well read
// without it. Once entries could not be told, every call waits until they are, and fails if it cannot be: nobody reads on unrecorded.
type recorder struct {
	c     *Client
	log   *slog.Logger
	group batch.Group[*audit.Entry]

	mu     sync.Mutex
	late   []*audit.Entry // could not be told yet
	queued int            // neither told nor late
}

// maxUntold bounds the entries that are not told yet.
const maxUntold = 1000

// recorder is that of the key of a client.
func (s *Server) recorder(c *Client) *recorder {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.recorders[c.o.App]
	if r == nil {
		own := *c
		r = &recorder{c: &own, log: s.o.Logger}
		r.group.Flush = r.tell
		s.recorders[c.o.App] = r
	}
	return r
}

// keep tells of a call. With soon, it does not wait unless something is wrong.
func (r *recorder) keep(ctx context.Context, e *audit.Entry, soon bool) error {
	r.mu.Lock()
	soon = soon && len(r.late) == 0 && r.queued < maxUntold
	r.queued++
	r.mu.Unlock()
	told := r.group.Add(e)
	if soon {
		return nil
	}
	select {
	case err := <-told:
		return err
	case <-ctx.Done(): // what was done stays done, and is told
		return ctx.Err()
	}
}

// flush returns when what was kept before is told, with an error if it could not be.
func (r *recorder) flush(ctx context.Context) error {
	return r.group.Do(ctx, nil)
}

// tell tells of entries, after those that are late. What cannot be told is late; the oldest are dropped where they are too many. An entry
// whose answer was lost may be told twice, with one id.
func (r *recorder) tell(ctx context.Context, entries []*audit.Entry) (err error) {
	entries = slices.DeleteFunc(slices.Clone(entries), func(e *audit.Entry) bool { return e == nil }) // flush's
	r.mu.Lock()
	all := slices.Concat(r.late, entries)
	r.queued -= len(entries)
	r.mu.Unlock()
	for most := batch.Size; len(all) > 0; {
		n := min(len(all), most)
		err = r.c.record(ctx, all[:n])
		var a *APIError
		switch refused := errors.As(err, &a) && slices.Contains(unfitStatus, a.Status); {
		case refused && n > 1: // they are too long together, one of them does not fit, or the server is of an earlier version
			most = n / 2
			continue
		case refused:
			r.log.Error("the server takes no such entry", "tool", all[0].Tool, "audit_id", all[0].ID, "error", err)
		case err != nil:
			r.mu.Lock()
			r.late = slices.Clone(all[max(0, len(all)-maxUntold):])
			r.mu.Unlock()
			return err
		}
		all = all[n:]
	}
	r.mu.Lock()
	r.late = nil
	r.mu.Unlock()
	return err
}

// unfitStatus are the answers to what will never be taken.
var unfitStatus = []int{http.StatusBadRequest, http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity}

// record has the server record calls, all or none.
func (c *Client) record(ctx context.Context, entries []*audit.Entry) error {
	q := call{class: auditClass, method: http.MethodPost, path: "/agents/v1/audit/batch", body: map[string]any{"entries": entries}}
	if len(entries) == 1 {
		q.path, q.body = "/agents/v1/audit", entries[0]
	}
	_, err := c.do(ctx, q, nil)
	return err
}

// Close tells the server of calls that it does not know of yet. Nothing may be called any more.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, r := range s.recorders {
		err = errors.Join(err, r.flush(ctx))
	}
	return err
}
