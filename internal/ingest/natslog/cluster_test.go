package natslog_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/ingest/natslog"
	"rapport.example/internal/ingest/natslog/natstest"
)

func connect(t testing.TB, c *natstest.Cluster) *natslog.Log {
	t.Helper()
	l, err := natslog.Open(t.Context(), natslog.Options{URL: c.URL(), MaxBytes: 1 << 30, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// collector reads a partition in the background and keeps how often it saw each op.
type collector struct {
	mu   sync.Mutex
	seen map[int64]int
	seq  uint64
	err  error
	more chan struct{} // capacity 1
}

func collect(t *testing.T, s *natslog.Log) *collector {
	t.Helper()
	r, err := s.Consume(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{seen: map[int64]int{}, more: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for {
			frames, err := r.Next(ctx, 1000)
			c.add(frames, err)
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *collector) add(frames []ingest.Frame, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	for _, f := range frames {
		if f.Seq != c.seq+1 {
			c.err = ingest.ErrGap
		}
		c.seq = f.Seq
		for _, o := range f.Ops {
			c.seen[o.Received]++
		}
	}
	select {
	case c.more <- struct{}{}:
	default:
	}
}

// until waits until ok holds for what was read.
func (c *collector) until(t *testing.T, d time.Duration, ok func() bool) {
	t.Helper()
	end := time.NewTimer(d)
	defer end.Stop()
	for {
		c.mu.Lock()
		good, err := ok(), c.err
		c.mu.Unlock()
		if good {
			return
		}
		if err != nil {
			t.Fatalf("reading: %v", err)
		}
		select {
		case <-c.more:
		case <-end.C:
			t.Fatalf("not read within %s: %d ops in %d frames are there", d, len(c.seen), c.seq)
		}
	}
}

// TestLeaderKilled stops the stream's leader under load, twice: what was acknowledged is read once, in sequence.
func TestLeaderKilled(t *testing.T) {
	t.Parallel()
	c := natstest.Start(t, 3)
	s := connect(t, c)
	l := newLog(t, s)
	read := collect(t, s)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	var n int64
	acked := map[int64]bool{}
	acks := make(chan struct{}, 1)
	var writers sync.WaitGroup
	defer writers.Wait()
	defer stop()
	for range 16 {
		writers.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				n++
				me := n
				mu.Unlock()
				_, err := l.Append(t.Context(), 0, op(me))
				if err != nil && !fault.Is(err, fault.Unavailable) {
					t.Errorf("Append = %v, want Unavailable at most", err)
				}
				if err == nil {
					mu.Lock()
					acked[me] = true
					mu.Unlock()
					select {
					case acks <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	await := func(what string) {
		t.Helper()
		select {
		case <-acks:
		case <-time.After(60 * time.Second):
			t.Fatal("nothing is acknowledged any more: " + what)
		}
	}
	for round := range 2 {
		for range 200 {
			await("before the kill")
		}
		leader := c.Leader("RAPPORT_P0")
		began := time.Now()
		c.Kill(leader)
		down := time.Since(began)
		<-acks // one may lie there from before
		await("after the kill")
		written := time.Since(began)
		mu.Lock()
		last := n
		mu.Unlock()
		read.until(t, 60*time.Second, func() bool { return read.seen[last] > 0 || hasAbove(read.seen, last) })
		t.Logf("round %d: node %d was down after %s; the log took writes %s after the kill began, the reader had them after %s", round, leader, down, written, time.Since(began))
		c.Restart(leader)
		c.Settled("RAPPORT_P0")
	}
	stop()
	writers.Wait()
	read.until(t, 60*time.Second, func() bool {
		for me := range acked {
			if read.seen[me] == 0 {
				return false
			}
		}
		return true
	})
	for me, times := range read.seen {
		if times > 1 {
			t.Errorf("op %d (acknowledged: %v) was read %d times", me, acked[me], times)
		}
	}
	t.Logf("%d ops sent, %d acknowledged, %d read in %d frames", n, len(acked), len(read.seen), read.seq)
}

func hasAbove(seen map[int64]int, n int64) bool {
	for me := range seen {
		if me > n {
			return true
		}
	}
	return false
}

// TestServerRestarts takes the only server away: writes are turned away within the bound, then taken again, and the
// reader goes on where it was.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	c := natstest.Start(t, 1)
	s := connect(t, c)
	l := newLog(t, s)
	read := collect(t, s)
	if _, err := l.Append(t.Context(), 0, op(1)); err != nil {
		t.Fatal(err)
	}
	read.until(t, time.Minute, func() bool { return read.seen[1] == 1 })
	c.Kill(0)
	began := time.Now()
	_, err := l.Append(t.Context(), 0, op(2))
	if !fault.Is(err, fault.Unavailable) || time.Since(began) > 30*time.Second {
		t.Fatalf("Append without a server = %v after %s, want Unavailable within 10 s", err, time.Since(began))
	}
	c.Restart(0)
	began = time.Now()
	if _, err := l.Append(t.Context(), 0, op(3)); err != nil {
		t.Fatalf("Append to the restarted server: %v", err)
	}
	written := time.Since(began)
	read.until(t, time.Minute, func() bool { return read.seen[3] == 1 })
	t.Logf("written %s after the restart, read after %s", written, time.Since(began))
	if read.seen[1] != 1 || read.seen[2] > 1 {
		t.Errorf("read %v, want op 1 once and op 2 once at most", read.seen)
	}
}

// TestSettings refuses a stream whose settings do not carry the guarantees.
func TestSettings(t *testing.T) {
	t.Parallel()
	c := natstest.Start(t, 1)
	s := connect(t, c)
	for partition, tt := range []struct {
		name   string
		names  string // what the error speaks of
		change func(*jetstream.StreamConfig)
	}{
		{"discard old", "discard", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }},
		{"age", "age or number", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }},
		{"number", "age or number", func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 }},
		{"no size", "max_bytes", func(c *jetstream.StreamConfig) { c.MaxBytes = -1 }},
		{"memory", "storage", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }},
		{"interest", "retention", func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }},
		{"deletes", "deny_delete", func(c *jetstream.StreamConfig) { c.DenyDelete = false }},
		{"no purge", "deny_purge", func(c *jetstream.StreamConfig) { c.DenyPurge = true }},
		{"window", "duplicate window", func(c *jetstream.StreamConfig) { c.Duplicates = time.Minute }},
		{"subject", "subject", func(c *jetstream.StreamConfig) { c.Subjects = []string{"other." + c.Name} }},
		{"no acks", "acknowledge", func(c *jetstream.StreamConfig) { c.NoAck = true }},
		{"async", "persist_mode", func(c *jetstream.StreamConfig) { c.PersistMode = jetstream.AsyncPersistMode }},
		{"foreign", "identity", func(c *jetstream.StreamConfig) { c.Metadata = nil }},
		{"small", "max_msg_size", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1000 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			js := jetStream(t, c)
			partition := int32(partition + 1)
			if _, err := s.ID(t.Context(), partition); err != nil { // makes a good one
				t.Fatal(err)
			}
			good, err := js.Stream(t.Context(), natslog.StreamName(partition))
			if err != nil {
				t.Fatal(err)
			}
			config := good.CachedInfo().Config
			if err := js.DeleteStream(t.Context(), config.Name); err != nil {
				t.Fatal(err)
			}
			tt.change(&config)
			if _, err := js.CreateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			if _, err := connect(t, c).Last(t.Context(), partition); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tt.names) {
				t.Errorf("a stream opened: %v, want Invalid about %s", err, tt.names)
			}
		})
	}
}

// TestNewIdentity tells a stream that was deleted and made anew from the one before.
func TestNewIdentity(t *testing.T) {
	t.Parallel()
	c := natstest.Start(t, 1)
	s := connect(t, c)
	before, err := s.ID(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := jetStream(t, c).DeleteStream(t.Context(), natslog.StreamName(0)); err != nil {
		t.Fatal(err)
	}
	after, err := s.ID(t.Context(), 0)
	if err != nil || after == before || after == "" {
		t.Errorf("ID of the new stream = %q, %v; the old one was %q", after, err, before)
	}
}

func jetStream(t *testing.T, c *natstest.Cluster) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// TestReaderStops says what is wrong with the next frame instead of passing over it, every time again.
func TestReaderStops(t *testing.T) {
	t.Parallel()
	f := ingest.Frame{ID: "01JZZZZZZZZZZZZZZZZZZZZZZZ", Ops: []ingest.Op{op(1)}}
	good, err := ingest.EncodeFrame(nil, &f)
	if err != nil {
		t.Fatal(err)
	}
	f.Ops[0].Version = ingest.KeyedVersion + 1
	newer, err := ingest.EncodeFrame(nil, &f)
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte(nil), good...)
	damaged[len(damaged)-1] ^= 1
	s := open(t, t.TempDir(), 0)
	for i, tt := range []struct {
		name   string
		second []byte
		trim   uint64
		want   error
	}{
		{"corrupt", damaged, 0, ingest.ErrCorrupt},
		{"newer", newer, 0, ingest.ErrNewer},
		{"gap", good, 1, ingest.ErrGap},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			partition := int32(i)
			for n, data := range [][]byte{good, tt.second, good} {
				if seq, err := s.Publish(t.Context(), partition, string(rune('a'+n)), data); err != nil || seq != uint64(n+1) {
					t.Fatalf("Publish = %d, %v", seq, err)
				}
			}
			if tt.trim > 0 {
				if err := s.Trim(t.Context(), partition, tt.trim); err != nil {
					t.Fatal(err)
				}
			}
			r, err := s.Consume(t.Context(), partition, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for read := 0; ; {
				frames, err := r.Next(ctx, 10)
				if read += len(frames); err == nil {
					continue
				}
				if !errors.Is(err, tt.want) || tt.trim == 0 && read != 1 {
					t.Fatalf("Next behind %d frames = %v, want %v", read, err, tt.want)
				}
				if _, again := r.Next(ctx, 10); !errors.Is(again, tt.want) {
					t.Fatalf("Next again = %v, want %v", again, tt.want)
				}
				return
			}
		})
	}
}
