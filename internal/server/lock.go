package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"rapport.example/internal/fault"
)

// lock makes sure that one process at a time serves a data folder. The lock is the kernel's and goes with the process,
// however it ends.
func lock(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "cannot create the data folder "+dir)
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "cannot write to the data folder "+dir)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid := make([]byte, 16)
		n, _ := f.Read(pid) //nolint:errcheck // an unreadable pid only makes the message shorter
		if cerr := f.Close(); cerr != nil {
			err = errors.Join(err, cerr)
		}
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fault.New(fault.Conflict, "the data folder %s is served by another rapport already (pid %s); stop it or choose another --data", dir, pid[:n])
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := f.Truncate(0); err == nil {
		_, err = fmt.Fprintf(f, "%d", os.Getpid())
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "cannot write to the data folder "+dir)
		}
	}
	return func() {
		_ = f.Close() //nolint:errcheck // closing gives the lock back whatever it says
	}, nil
}
