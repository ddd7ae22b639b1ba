package bench

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// hertz is what /proc counts CPU time in; Linux promises it to programs on all machines.
const hertz = 100

// cpu is the CPU time that the server has used since its start.
func (c *child) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("the server's CPU time (this needs Linux): %w", err)
	}
	_, rest, ok := strings.Cut(string(b), ") ") // the name may hold blanks
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, errors.New("the server's CPU time cannot be read")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / hertz, errors.Join(err1, err2)
}

// peak is the most memory that the server has had, in MB.
func (c *child) peak() (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("the server's memory (this needs Linux): %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 64)
			return kb / 1024, err
		}
	}
	return 0, errors.New("the server's memory cannot be read")
}

// own is the CPU time that this process has used.
func own() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// usage is what both processes have used between two moments.
type usage struct {
	at           time.Time
	server, self time.Duration
}

func (c *child) usage() (usage, error) {
	server, err := c.cpu()
	if err != nil {
		return usage{}, err
	}
	self, err := own()
	return usage{time.Now(), server, self}, err
}

// share is this process's part of the CPU time that both used since u, in percent.
func (u usage) share(now usage) float64 {
	return 100 * float64(now.self-u.self) / float64(max(1, now.self-u.self+now.server-u.server))
}

const syncs = 200

// fsync measures what a synced write of 4 KiB costs in the scratch folder just now.
func (x *run) fsync() error {
	took, err := syncWrites(x.dir, func(i int) bool { return i < syncs })
	if err != nil {
		return err
	}
	x.r.add(key{"fsync p50", 0, "ms"}, ms(quantile(took, 0.5)))
	x.r.add(key{"fsync p99", 0, "ms"}, ms(quantile(took, 0.99)))
	return nil
}

// syncWrites is how long synced writes of 4 KiB take in dir, the shortest first, one after the other for as long as more says.
func syncWrites(dir string, more func(i int) bool) (took []time.Duration, err error) {
	f, err := os.CreateTemp(dir, "fsync")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	page := make([]byte, 4096)
	for i := 0; more(i); i++ {
		began := time.Now()
		if _, err := f.Write(page); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took, nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
