// Package natslog keeps the log in NATS JetStream: a server in this process with no port open, or a cluster. A partition
// is one stream. What the guarantees rest on is set and then read back at the start.
package natslog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
)

// Options says where the log is. Dir or URL is set.
type Options struct {
	Dir      string // data folder of the embedded server; nobody else may use it
	URL      string // nats://… of a cluster; several are separated by commas
	Replicas int    // of streams on a cluster; default 3, or 1 when the cluster is a single server
	MaxBytes int64  // most bytes of a stream before writes are turned away; default 8 GiB
	Now      func() time.Time
	Logger   *slog.Logger
}

const (
	maxPayload   = 8 << 20 // bytes of one frame that the embedded server takes
	leastPayload = 2 << 20 // that a cluster must take
	dedupe       = 2 * time.Minute
	tryFor       = time.Second // a publish without an answer is repeated after that, and as much for each MiB
	idKey        = "rapport_stream_id"
)

// Log is an open log. It satisfies ingest.Stream and engine.Log but for Consume, whose result is concrete.
type Log struct {
	o    Options
	in   *embedded // nil = a cluster
	nc   *nats.Conn
	js   jetstream.JetStream
	mu   sync.Mutex
	open map[int32]jetstream.Stream
}

// Open starts or connects to the server. Streams are made when a partition is first used.
func Open(ctx context.Context, o Options) (*Log, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = 8 << 30
	}
	l := &Log{o: o, open: map[int32]jetstream.Stream{}}
	opts := []nats.Option{nats.Name("rapport"), nats.MaxReconnects(-1), nats.ReconnectWait(200 * time.Millisecond), nats.RetryOnFailedConnect(false)}
	url := o.URL
	if url == "" {
		var err error
		if l.in, err = embed(o.Dir, o.Logger); err != nil {
			return nil, err
		}
		opts = append(opts, nats.InProcessServer(l.in))
	}
	var err error
	if l.nc, err = nats.Connect(url, opts...); err != nil {
		l.Close()
		return nil, fault.Wrap(fault.Unavailable, err, "cannot reach the log at "+redacted(url))
	}
	if most := l.nc.MaxPayload(); most < leastPayload {
		l.Close()
		return nil, fault.New(fault.Invalid, "the NATS server takes messages of at most %d bytes; set max_payload to %d or more", most, leastPayload)
	}
	if l.js, err = jetstream.New(l.nc); err != nil {
		l.Close()
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	if _, err := l.js.AccountInfo(ctx); err != nil {
		l.Close()
		return nil, fault.Wrap(fault.Invalid, err, "the NATS server does not offer JetStream; start it with -js")
	}
	return l, nil
}

// redacted is a server URL without its credentials.
func redacted(url string) string {
	if i := strings.LastIndexByte(url, '@'); i >= 0 {
		return "nats://" + url[i+1:]
	}
	return url
}

// Close ends the connection and the embedded server. Twice is harmless.
func (l *Log) Close() {
	l.mu.Lock() // a stream that is being opened is opened first
	defer l.mu.Unlock()
	if l.nc != nil {
		l.nc.Close()
	}
	if l.in != nil {
		l.in.close()
	}
}

const (
	namePrefix    = "RAPPORT_P"
	subjectPrefix = "rapport.p."
)

func streamName(partition int32) string { return namePrefix + strconv.Itoa(int(partition)) }
func subject(partition int32) string    { return subjectPrefix + strconv.Itoa(int(partition)) }

// stream opens the partition's stream, making it if it is new, and checks its settings.
func (l *Log) stream(ctx context.Context, partition int32) (jetstream.Stream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.open[partition]; s != nil {
		return s, nil
	}
	if l.in != nil { // the embedded server finishes what it has begun, whoever has gone: it must not outlive Close half-made
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
	}
	name := streamName(partition)
	s, err := l.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = l.js.CreateStream(ctx, l.config(partition))
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another node was first
			s, err = l.js.Stream(ctx, name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", name, err)
	}
	have := s.CachedInfo().Config
	if err := verify(have); err != nil {
		return nil, fault.New(fault.Invalid, "stream %s: %s", name, err)
	}
	if want := l.replicas(); have.Replicas < want {
		l.o.Logger.Warn("stream has fewer replicas than the cluster could hold", "stream", name, "replicas", have.Replicas, "want", want)
	}
	l.open[partition] = s
	return s, nil
}

func (l *Log) replicas() int {
	switch {
	case l.o.Replicas != 0:
		return l.o.Replicas
	case l.in == nil && l.nc.ConnectedClusterName() != "":
		return 3
	}
	return 1
}

func (l *Log) config(partition int32) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: streamName(partition), Subjects: []string{subject(partition)}, Description: "Rapport partition",
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxBytes: l.o.MaxBytes, MaxMsgs: -1, MaxAge: 0, DenyDelete: true, DenyPurge: false, Duplicates: dedupe, Replicas: l.replicas(),
		PersistMode: jetstream.DefaultPersistMode, Metadata: map[string]string{idKey: id.New(l.o.Now())},
	}
}

// verify names the first setting that a guarantee rests on and that is not as it must be.
func verify(c jetstream.StreamConfig) error {
	switch {
	case len(c.Subjects) != 1 || strings.TrimPrefix(c.Subjects[0], subjectPrefix) != strings.TrimPrefix(c.Name, namePrefix):
		return errors.New("its only subject must be the partition's")
	case c.Mirror != nil || len(c.Sources) > 0 || c.SubjectTransform != nil:
		return errors.New("it must not be filled from other streams")
	case c.Sealed || c.NoAck:
		return errors.New("it must take messages and acknowledge them")
	case c.MaxMsgSize > 0 && c.MaxMsgSize < leastPayload:
		return errors.New("max_msg_size is too small for frames")
	case c.Retention != jetstream.LimitsPolicy:
		return errors.New("retention must be limits")
	case c.Storage != jetstream.FileStorage:
		return errors.New("storage must be file")
	case c.Discard != jetstream.DiscardNew:
		return errors.New("discard must be new: old would drop acknowledged frames when the stream is full")
	case c.MaxAge != 0 || c.MaxMsgs > 0 || c.MaxMsgsPerSubject > 0:
		return errors.New("there must be no limit by age or number: it would drop acknowledged frames")
	case c.MaxBytes <= 0:
		return errors.New("max_bytes must be set")
	case !c.DenyDelete || c.AllowRollup || c.AllowMsgTTL:
		return errors.New("deny_delete must be set, rollup and message TTLs off: single frames must not vanish")
	case c.DenyPurge:
		return errors.New("deny_purge must not be set: applied frames are trimmed")
	case c.PersistMode != jetstream.DefaultPersistMode:
		return errors.New("persist_mode must not be async")
	case c.Duplicates < dedupe:
		return errors.New("the duplicate window must be two minutes at least")
	case c.Metadata[idKey] == "":
		return errors.New("it was not made by rapport: its identity is missing")
	}
	return nil
}

// Publish is part of ingest.Stream.
func (l *Log) Publish(ctx context.Context, partition int32, id string, data []byte) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, tryFor+tryFor*time.Duration(len(data))>>20)
	defer cancel()
	if l.in == nil {
		return l.publish(ctx, partition, id, data)
	}
	life := l.in.life()
	stop := context.AfterFunc(life, cancel) // a server whose disk has failed does not answer
	defer stop()
	if life.Err() != nil {
		return 0, context.Cause(life) // the server's
	}
	seq, err := l.publish(ctx, partition, id, data)
	if err != nil && life.Err() != nil {
		return 0, context.Cause(life) // the server's
	}
	return seq, err
}

func (l *Log) publish(ctx context.Context, partition int32, id string, data []byte) (uint64, error) {
	if _, err := l.stream(ctx, partition); err != nil {
		return 0, err
	}
	ack, err := l.js.Publish(ctx, subject(partition), data, jetstream.WithMsgID(id), jetstream.WithExpectStream(streamName(partition)))
	switch {
	case err == nil:
		return ack.Sequence, nil
	case errors.Is(err, nats.ErrMaxPayload):
		return 0, fmt.Errorf("%w: %d bytes", ingest.ErrTooLarge, len(data))
	case strings.Contains(err.Error(), "maximum bytes exceeded"), strings.Contains(err.Error(), "insufficient storage"), strings.Contains(err.Error(), "insufficient resources"):
		return 0, fmt.Errorf("%w: %w", ingest.ErrFull, err)
	}
	return 0, fmt.Errorf("publish: %w", err)
}

// Last is the sequence of the partition's newest frame, 0 if there is none.
func (l *Log) Last(ctx context.Context, partition int32) (uint64, error) {
	info, err := l.look(ctx, partition)
	if err != nil {
		return 0, err
	}
	return info.State.LastSeq, nil
}

// ID identifies the partition's stream as it is now: one that was deleted and made anew has another.
func (l *Log) ID(ctx context.Context, partition int32) (string, error) {
	info, err := l.look(ctx, partition)
	if err != nil {
		return "", err
	}
	if err := verify(info.Config); err != nil {
		return "", fault.New(fault.Invalid, "stream %s: %s", info.Config.Name, err)
	}
	return info.Config.Metadata[idKey], nil
}

// look asks the server about the stream. If it is gone it is made anew, under another identity: readers of the old one
// notice and stop.
func (l *Log) look(ctx context.Context, partition int32) (*jetstream.StreamInfo, error) {
	s, err := l.stream(ctx, partition)
	if err != nil {
		return nil, err
	}
	info, err := s.Info(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		l.mu.Lock()
		delete(l.open, partition)
		l.mu.Unlock()
		if s, err = l.stream(ctx, partition); err == nil {
			info, err = s.Info(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("look at the stream: %w", err)
	}
	return info, nil
}

// Trim drops frames up to and including seq.
func (l *Log) Trim(ctx context.Context, partition int32, seq uint64) error {
	s, err := l.stream(ctx, partition)
	if err != nil {
		return err
	}
	if err := s.Purge(ctx, jetstream.WithPurgeSequence(seq+1)); err != nil {
		return fmt.Errorf("trim the stream: %w", err)
	}
	return nil
}
