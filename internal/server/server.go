// Package server builds every part of a running Rapport in one straight line, starts the parts in order and stops them
// in reverse. It decides nothing.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/audience"
	"rapport.example/internal/config"
	"rapport.example/internal/delivery"
	"rapport.example/internal/delivery/mailbox"
	"rapport.example/internal/delivery/smtp"
	"rapport.example/internal/engine"
	"rapport.example/internal/fault"
	"rapport.example/internal/heap"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/ingest/natslog"
	"rapport.example/internal/job"
	"rapport.example/internal/link"
	"rapport.example/internal/message"
	"rapport.example/internal/store"
	"rapport.example/internal/workspace"
)

// Info is what a started server says about itself.
type Info struct {
	URL         string       // where it serves
	Fresh       bool         // it made its first workspace just now
	Credentials []Credential // of that workspace, with their secrets; this is the only time they are shown
	Mailbox     bool         // mail goes to the development mailbox
}

// Credential is a new key with its secret.
type Credential struct {
	Kind   workspace.Kind `json:"kind"`
	SiteID string         `json:"site_id,omitempty"`
	Secret string         `json:"secret"`
}

// drainFor is how long a stop waits for requests that are on their way; with the sends after them it stays within ten
// seconds.
const drainFor = 3 * time.Second

// cluster is how many partitions an installation with an external log starts with: it can spread workspaces over that
// many nodes. An embedded one has a single writer anyway.
const cluster = 4

// server is the parts while they are being put together.
type server struct {
	o    config.Serve
	log  *slog.Logger
	now  func() time.Time
	stop []func()

	db     *store.DB
	stream *natslog.Log
	writes *ingest.Log
	people *audience.Audiences
	engine *engine.Engine
	jobs   *job.Runner
	keys   *api.Keys
	fresh  *freshness
	http   *http.Server
	served chan error
	again  chan struct{} // a restored state waits for the next start
	base   string
	listen string // host:port that it really listens on

	started time.Time
}

// Run serves until ctx ends, then drains and returns. ready is called once when requests are answered. After a restore it
// starts anew on the state that was restored.
func Run(ctx context.Context, o config.Serve, log *slog.Logger, ready func(Info)) error {
	if err := o.Validate(); err != nil {
		return err
	}
	for {
		again, listen, err := run(ctx, o, log, ready)
		if !again || err != nil {
			return err
		}
		o.Listen = listen
		ready = func(i Info) { log.Info("serving the restored state", "url", i.URL) }
	}
}

func run(ctx context.Context, o config.Serve, log *slog.Logger, ready func(Info)) (again bool, listen string, err error) {
	s := &server{o: o, log: log, now: time.Now, served: make(chan error, 1), again: make(chan struct{}, 1)}
	defer s.close()
	info, err := s.start(ctx)
	if err != nil {
		return false, "", err
	}
	ready(info)
	select {
	case <-ctx.Done():
		return false, "", nil
	case <-s.again:
		return true, s.listen, nil
	case err := <-s.served:
		return false, "", err
	}
}

// close stops what was started, last first.
func (s *server) close() {
	for i := len(s.stop) - 1; i >= 0; i-- {
		s.stop[i]()
	}
	s.stop = nil
}

func (s *server) later(stop func()) { s.stop = append(s.stop, stop) }

// start builds and starts the parts.
func (s *server) start(ctx context.Context) (Info, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.o.Listen)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return Info{}, fault.New(fault.Conflict, "%s is in use by another program; choose another --listen", s.o.Listen)
		}
		return Info{}, fault.Wrap(fault.Invalid, err, "cannot listen on "+s.o.Listen)
	}
	s.later(func() { _ = listener.Close() }) //nolint:errcheck // the HTTP server has closed it already
	info := Info{URL: "http://" + listener.Addr().String(), Mailbox: s.o.SMTPURL == ""}
	s.listen = listener.Addr().String()
	s.started = s.now()
	if s.base = strings.TrimSuffix(s.o.BaseURL, "/"); s.base == "" {
		s.base = info.URL
	}
	if err := s.state(ctx); err != nil {
		return Info{}, err
	}
	if info.Credentials, err = s.first(ctx); err != nil {
		return Info{}, err
	}
	info.Fresh = info.Credentials != nil
	s.writes = ingest.NewLog(ingest.LogOptions{Stream: s.stream, Now: s.now, Logger: s.log})
	s.later(s.writes.Stop)
	if err := s.credentials(ctx); err != nil {
		return Info{}, err
	}
	worker, signer, err := s.deliver()
	if err != nil {
		return Info{}, err
	}
	s.people = audience.New(s.db, int64(s.o.SegmentMemory)<<20)
	s.engine = engine.New(engine.Options{
		Store: s.db, People: s.people, Log: frames{s.stream}, Deliver: worker, Secret: s.db.Secret(), Owner: id.New(s.now()), Alone: s.o.DatabaseURL == "",
		Now: s.now, Logger: s.log, Confine: heap.Confine, Archived: time.Duration(s.o.ArchiveDays) * 24 * time.Hour,
	})
	s.writes.Pace(s.hold)
	s.fresh = &freshness{engine: s.engine, log: s.writes, last: s.stream.Last, alone: s.o.DatabaseURL == "", check: s.db.Checkpoint, route: s.partition}
	if err := s.engine.Start(ctx); err != nil {
		return Info{}, err
	}
	s.later(s.engine.Stop)
	worker.Start()       // senders stop by Stop, after what they have begun
	s.later(worker.Stop) // before the engine: outcomes still become ops and are applied
	s.jobs = s.runner()
	s.jobs.Start()
	s.later(s.jobs.Stop)              // before the engine, too: jobs give ops to it
	handler, err := s.handler(signer) // handlers take the context of their request
	if err != nil {
		return Info{}, err
	}
	s.http = &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.served <- fmt.Errorf("serve HTTP: %w", err)
		}
	}()
	s.later(s.drain)
	return info, nil
}

func (s *server) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), drainFor)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.log.Warn("some requests did not finish in time", "error", err)
		_ = s.http.Close() //nolint:errcheck // it is over
	}
}

// state opens the database and the log.
func (s *server) state(ctx context.Context) error {
	release, err := lock(s.o.Data)
	if err != nil {
		return err
	}
	s.later(release)
	if err := takeStaged(s.o.Data); err != nil {
		return err
	}
	so := store.Options{Dir: s.o.Data, Now: s.now, Log: s.log}
	if s.o.DatabaseURL != "" {
		so.Dir, so.URL = "", s.o.DatabaseURL
	}
	if s.db, err = store.Open(ctx, so); err != nil {
		return err
	}
	s.later(func() {
		if err := s.db.Close(); err != nil {
			s.log.Warn("close the database", "error", err)
		}
	})
	no := natslog.Options{Dir: filepath.Join(s.o.Data, "log"), URL: s.o.NATSURL, Now: s.now, Logger: s.log}
	partitions := 1
	if s.o.NATSURL != "" {
		no.Dir, partitions = "", cluster
	} else if err := os.MkdirAll(no.Dir, 0o700); err != nil {
		return fault.Wrap(fault.Invalid, err, "cannot create the folder of the log")
	}
	if s.stream, err = natslog.Open(ctx, no); err != nil {
		return err
	}
	s.later(s.stream.Close)
	have, err := s.db.Partitions(ctx)
	if err != nil {
		return err
	}
	if len(have) == 0 {
		return s.db.EnsurePartitions(ctx, partitions)
	}
	return nil
}

// deliver builds the worker and what signs its links.
func (s *server) deliver() (*delivery.Worker, *link.Signer, error) {
	var channel delivery.Channel = &mailbox.Channel{Save: func(ctx context.Context, m mailbox.Mail) error {
		return s.db.SaveMail(ctx, store.Mail{
			Workspace: m.Workspace, Delivery: m.Delivery, Person: m.Person, Sender: m.Sender,
			Recipient: m.Recipient, Subject: m.Subject, Source: m.Source, Created: m.Created,
		})
	}}
	if s.o.SMTPURL != "" {
		so, err := smtp.ParseURL(s.o.SMTPURL)
		if err != nil {
			return nil, nil, err
		}
		so.Now = s.now
		c, err := smtp.New(so)
		if err != nil {
			return nil, nil, err
		}
		s.later(c.Close)
		channel = c
	}
	signer := link.NewSigner(s.db.Secret(), s.base)
	var archive func(context.Context, delivery.Archive)
	if s.o.ArchiveDays > 0 {
		archive = s.db.Archive
	}
	return delivery.NewWorker(delivery.Options{
		Channel: channel, Now: s.now, Logger: s.log, Parallel: 16, Refused: s.db.Refused, Archive: archive,
		Links: func(d *delivery.Delivery) message.Links { return signer.For(d.Workspace, d.ID) },
		Report: func(ctx context.Context, ws int64, o ingest.OutcomePayload) error {
			return s.append(ctx, ws, ingest.FromDelivery, ingest.Outcome, o)
		},
	}), signer, nil
}

// append makes an op of what the server itself has to say.
func (s *server) append(ctx context.Context, ws int64, from ingest.Surface, kind ingest.Kind, payload any) error {
	partition, ok := s.partition(ws)
	if !ok {
		return fault.New(fault.NotFound, "workspace %d is gone", ws)
	}
	v, err := ingest.Encode(payload)
	if err != nil {
		return err
	}
	now := s.now()
	_, err = s.writes.Append(ctx, partition, ingest.Op{Version: ingest.OpVersion, Workspace: ws, Received: now.UnixMilli(), ID: id.New(now), Surface: from, Kind: kind, Payload: v})
	return err
}

func (s *server) partition(ws int64) (int32, bool) {
	w, ok := s.keys.Workspace(ws)
	return w.Partition, ok
}

// frames shows the log to the engine.
type frames struct{ *natslog.Log }

// Consume is part of engine.Log.
func (f frames) Consume(ctx context.Context, partition int32, from uint64) (engine.Reader, error) {
	return f.Log.Consume(ctx, partition, from)
}
