package natslog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
)

const (
	startFor   = 20 * time.Second
	healEvery  = time.Second
	probeBytes = 4 << 20 // that the disk must have room for before the server is started again
)

var errDisk = fmt.Errorf("%w: its disk is full or fails", ingest.ErrFull)

// embedded is the server in this process. JetStream gives a stream up for good when a write to its file fails, be it only
// because the disk was full for a moment. So the server is started again once the disk takes writes; connections and
// readers come back by themselves.
type embedded struct {
	dir string
	log *slog.Logger

	mu    sync.Mutex
	ns    *server.Server
	alive context.Context // of ns; ends, with errDisk, when its disk fails
	fail  context.CancelCauseFunc
	fatal string // why ns did not start
	ended chan struct{}
	once  sync.Once
	tasks sync.WaitGroup
}

func embed(dir string, log *slog.Logger) (*embedded, error) {
	e := &embedded{dir: dir, log: log, ended: make(chan struct{})}
	if err := e.start(); err != nil {
		e.close()
		return nil, err
	}
	e.tasks.Go(e.heal)
	return e, nil
}

// start starts a server. SyncAlways is what makes a published frame durable: JetStream's default syncs every two minutes.
func (e *embedded) start() error {
	ns, err := server.NewServer(&server.Options{
		ServerName: "rapport", DontListen: true, NoSigs: true, JetStream: true, StoreDir: e.dir, SyncAlways: true,
		MaxPayload: maxPayload, JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 40,
	})
	if err != nil {
		return fmt.Errorf("start the log: %w", err)
	}
	alive, fail := context.WithCancelCause(context.Background())
	e.mu.Lock()
	e.ns, e.alive, e.fail, e.fatal = ns, alive, fail, ""
	e.mu.Unlock()
	ns.SetLoggerV2(words{e, fail}, false, false, false)
	go ns.Start()
	for end := time.After(startFor); !ns.ReadyForConnections(100 * time.Millisecond); {
		select {
		case <-e.ended:
			return errors.New("the log is closed while it starts")
		case <-end:
			return fault.New(fault.Unavailable, "the log did not start within %s; is %s on a full or read-only disk?", startFor, e.dir)
		default:
		}
		e.mu.Lock()
		fatal := e.fatal
		e.mu.Unlock()
		if fatal != "" {
			return fault.New(fault.Unavailable, "the log in %s does not start: %s", e.dir, fatal)
		}
	}
	if c := ns.JetStreamConfig(); c == nil || !c.SyncAlways {
		return errors.New("the log does not sync each write, which acknowledgements rest on")
	}
	return nil
}

// InProcessConn is part of nats.InProcessConnProvider.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	ns := e.ns
	e.mu.Unlock()
	return ns.InProcessConn()
}

// life ends when the running server's disk fails.
func (e *embedded) life() context.Context {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.alive
}

// heal starts the server again when its disk has failed and takes writes again.
func (e *embedded) heal() {
	for {
		select {
		case <-e.ended:
			return
		case <-e.life().Done():
		}
		e.log.Error("the disk of the log is full or fails; writes are turned away until it takes them again", "dir", e.dir)
		for !e.again() {
			select {
			case <-e.ended:
				return
			case <-time.After(healEvery):
			}
		}
		e.log.Warn("the log takes writes again", "dir", e.dir)
	}
}

// again reports whether a new server runs in place of the failed one.
func (e *embedded) again() bool {
	if err := probe(e.dir); err != nil {
		e.log.Debug("the log's disk does not take writes yet", "error", err)
		return false
	}
	e.stop()
	if err := e.start(); err != nil {
		e.log.Error("the log could not be started again, it will be tried again", "error", err)
		e.fail(errDisk)
		return false
	}
	return true
}

// probe writes a file and removes it.
func probe(dir string) error {
	name := filepath.Join(dir, "room.tmp")
	defer os.Remove(name) //nolint:errcheck // it may not be there
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probeBytes))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (e *embedded) stop() {
	if e.ns != nil {
		e.ns.Shutdown()
		e.ns.WaitForShutdown()
	}
}

// close ends the server. Twice is harmless.
func (e *embedded) close() {
	e.once.Do(func() { close(e.ended) })
	e.tasks.Wait()
	e.stop()
	if e.fail != nil {
		e.fail(context.Canceled)
	}
}

// words passes the server's words on, few of which an operator needs, and listens for a failed disk: there is no other
// sign of it but time-outs.
type words struct {
	e    *embedded
	fail context.CancelCauseFunc // of the server that speaks
}

// Noticef is part of server.Logger.
func (w words) Noticef(format string, v ...any) { w.debug(format, v) }

// Warnf is part of server.Logger.
func (w words) Warnf(format string, v ...any) { w.debug(format, v) }

// Fatalf is part of server.Logger.
func (w words) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	w.e.log.Error("log server", "message", text)
	w.e.mu.Lock()
	defer w.e.mu.Unlock()
	w.e.fatal = text
}

// Errorf is part of server.Logger.
func (w words) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	w.e.log.Error("log server", "message", text)
	if strings.Contains(strings.ToLower(text), "critical write error") {
		w.fail(errDisk)
	}
}

// Debugf is part of server.Logger.
func (w words) Debugf(format string, v ...any) { w.debug(format, v) }

// Tracef is part of server.Logger.
func (w words) Tracef(format string, v ...any) { w.debug(format, v) }

func (w words) debug(format string, v []any) {
	w.e.log.Debug("log server", "message", fmt.Sprintf(format, v...))
}
