package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

type (
	// ClockAnswer is a workspace's clock.
	ClockAnswer struct {
		Workspace int64  `json:"workspace"`
		Now       int64  `json:"now"`    // Unix seconds
		Time      string `json:"time"`   // the same in RFC 3339
		Offset    int64  `json:"offset"` // seconds that it runs ahead of real time
	}

	// ClockRequest moves a workspace's clock. Exactly one member is set.
	ClockRequest struct {
		Advance string      `json:"advance,omitempty"` // a duration such as 72h or 3d
		Set     value.Value `json:"set,omitempty"`     // RFC 3339 or Unix seconds, not before the clock's now
	}

	// StatusAnswer tells how the server is.
	StatusAnswer struct {
		Partitions []PartitionState  `json:"partitions"`
		Workspaces []WorkspaceStatus `json:"workspaces"`
		Server     map[string]any    `json:"server,omitempty"`
	}

	// WorkspaceStatus is a workspace with what it holds.
	WorkspaceStatus struct {
		Workspace
		Counts
	}
)

// mostAhead bounds how far one call may move a clock.
const mostAhead = 10 * 366 * 24 * time.Hour

func (s *Surface) clock(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, clock(w, s.o.Now()))
}

func clock(w workspace.Workspace, now time.Time) ClockAnswer {
	at := w.Now(now)
	return ClockAnswer{w.ID, at / 1000, time.UnixMilli(at).UTC().Format(time.RFC3339), w.Clock / 1000}
}

// moveClock answers when everything that fell due by then, with what it set off, has been carried out.
func (s *Surface) moveClock(c *api.Call) error {
	var in ClockRequest
	if err := c.Decode(&in, true); err != nil {
		return err
	}
	w, err := s.of(c)
	if err != nil {
		return err
	}
	by, err := advance(in, w.Now(c.Now))
	if err != nil {
		return err
	}
	if by > 0 {
		if err := s.carryOut(c, w, ingest.Clock, ingest.ClockPayload{Advance: by}); err != nil {
			return err
		}
	}
	if w, err = s.reread(c.R.Context(), w); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, clock(w, s.o.Now()))
}

// advance is by how many ms the request moves a clock that stands at now.
func advance(in ClockRequest, now int64) (int64, error) {
	var by time.Duration
	switch {
	case (in.Advance != "") == !in.Set.Empty():
		return 0, fault.New(fault.Invalid, "exactly one of advance and set is needed")
	case in.Advance != "":
		d, err := duration("advance", in.Advance)
		if err != nil {
			return 0, err
		}
		by = d
	default:
		t, ok := in.Set.Time()
		if !ok {
			return 0, fault.Field("set", "must be a time in RFC 3339 or Unix seconds")
		}
		if t.UnixMilli() < now-now%1000 {
			return 0, fault.Field("set", "lies before the clock's time; clocks move forwards only")
		}
		by = min(t.Sub(time.UnixMilli(now)), mostAhead+1)
	}
	if by > mostAhead {
		return 0, fault.New(fault.Invalid, "a clock moves at most ten years at once")
	}
	return by.Milliseconds(), nil
}

func (s *Surface) status(c *api.Call) error {
	ctx := c.R.Context()
	partitions, err := s.o.Store.PartitionStates(ctx)
	if err != nil {
		return err
	}
	all, err := s.o.Store.Workspaces(ctx)
	if err != nil {
		return err
	}
	out := StatusAnswer{Partitions: partitions, Workspaces: []WorkspaceStatus{}}
	for _, w := range all {
		n, err := s.o.Store.Counts(ctx, w.ID)
		if err != nil {
			return err
		}
		out.Workspaces = append(out.Workspaces, WorkspaceStatus{s.tenant(w), n})
	}
	if s.o.Status != nil {
		out.Server = s.o.Status(ctx)
	}
	return c.JSON(http.StatusOK, out)
}

// backup streams. When it fails half way, the connection breaks off, so that nobody takes a part for the whole.
func (s *Surface) backup(c *api.Call) error {
	if s.o.Backup == nil {
		return fault.New(fault.Unsupported, "this server's state is backed up with the tools of its database")
	}
	w := &late{ResponseWriter: c.W, name: fmt.Sprintf("rapport-%s.backup", c.Now.UTC().Format("20060102-150405"))}
	err := s.o.Backup(c.R.Context(), w)
	if err != nil && w.begun {
		s.o.Logger.Error("backup broke off", "request_id", c.RequestID, "error", err)
		panic(http.ErrAbortHandler) // net/http's way to break a connection off
	}
	return err
}

// RestoreAnswer says what a restore does with the state that was there.
type RestoreAnswer struct {
	Aside string `json:"aside"` // folder on the server's machine
}

// restore reads a backup as it comes.
func (s *Surface) restore(c *api.Call) error {
	if s.o.Restore == nil {
		return fault.New(fault.Unsupported, "this server's state is restored with the tools of its database, or its log is not its own: see docs/operating.md")
	}
	aside, err := s.o.Restore(c.R.Context(), c.R.Body, c.QueryBool("replace"))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, RestoreAnswer{aside})
}

// late writes the headers with the first bytes, so that an error before them can still be answered.
type late struct {
	http.ResponseWriter
	name  string
	begun bool
}

func (l *late) Write(b []byte) (int, error) {
	if !l.begun {
		l.begun = true
		h := l.Header()
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Disposition", `attachment; filename="`+l.name+`"`)
	}
	return l.ResponseWriter.Write(b)
}

// fresh waits for a workspace's acknowledged writes, for pages.
func (s *Surface) fresh(ctx context.Context, ws int64) {
	if s.o.Fresh != nil {
		s.o.Fresh(ctx, ws)
	}
}
