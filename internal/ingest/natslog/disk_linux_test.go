package natslog_test

import (
	"errors"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/value"
)

// TestDisk lets writes to the log's file fail as they do on a full disk: they are turned away at once, and taken again
// soon after there is room, without a restart. It is not parallel, as the limit is the whole process's.
func TestDisk(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limit := func(most uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: most, Max: before.Max}); err != nil {
			t.Error(err)
		}
	}
	defer limit(before.Cur)
	dir := t.TempDir()
	s := open(t, dir, 0)
	l := newLog(t, s)
	read := collect(t, s)
	limit(1 << 20)
	big := op(0)
	big.Payload = value.Quote(string(make([]byte, 100<<10)))
	n := int64(0)
	for ; ; n++ {
		big.Received = n
		began := time.Now()
		_, err := l.Append(t.Context(), 0, big)
		if err == nil && n < 100 {
			continue
		}
		if took := time.Since(began); !fault.Is(err, fault.Unavailable) || !errors.Is(err, ingest.ErrFull) || took > 8*time.Second {
			t.Fatalf("Append %d to a full disk = %v after %s, want Unavailable at once", n, err, took)
		}
		break
	}
	began := time.Now()
	if _, err := l.Append(t.Context(), 0, op(1000)); !errors.Is(err, ingest.ErrFull) || time.Since(began) > 8*time.Second {
		t.Errorf("Append again = %v after %s, want ErrFull at once", err, time.Since(began))
	}
	limit(before.Cur)
	end := time.NewTimer(time.Minute)
	defer end.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ok := false; !ok; {
		select {
		case <-tick.C:
			_, err := l.Append(t.Context(), 0, op(2000))
			ok = err == nil
		case <-end.C:
			t.Fatal("there is room again, and nothing is taken")
		}
	}
	t.Logf("writes are taken %s after there is room", time.Since(began))
	read.until(t, time.Minute, func() bool { return read.seen[2000] == 1 })
	for i := range n {
		if read.seen[i] != 1 {
			t.Errorf("op %d was read %d times", i, read.seen[i])
		}
	}
}
