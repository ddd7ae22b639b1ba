package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// File is a record in a file of its own, one entry a line as JSON, for connections whose other end keeps none. Several processes
// may append to one file; each entry is on disk when Append returns.
type File struct {
	path  string
	mu    sync.Mutex
	chain Chain // of what was read so far
	read  int64 // bytes
}

// Open begins or goes on with the record in a file, whose folder is made if it is missing. A record that does not hold is refused
// with a *Break: nothing is appended to it.
func Open(path string) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the record: %w", err)
	}
	r := &File{path: path}
	return r, r.locked(func(*os.File) error { return nil })
}

// Append chains an entry to the record, and gives it its Seq and Hash.
func (r *File) Append(e *Entry) error {
	return r.locked(func(f *os.File) error {
		if err := e.Seal(r.chain.Seq+1, r.chain.Hash); err != nil {
			return err
		}
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encode an audit entry: %w", err)
		}
		line = append(line, '\n')
		if _, err := f.WriteAt(line, r.read); err != nil {
			return fmt.Errorf("write the record: %w", err)
		}
		if err := f.Sync(); err != nil {
			return fmt.Errorf("write the record: %w", err)
		}
		r.chain, r.read = Chain{e.Seq, e.Hash}, r.read+int64(len(line))
		return nil
	})
}

// Each calls visit with the entries, the oldest first, until it answers an error. It reads a file that may grow meanwhile.
func (r *File) Each(visit func(e *Entry) error) error {
	f, err := os.Open(r.path)
	if err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	_, err = walk(f, visit)
	return err
}

// locked runs with the file open, nobody else appending, and what others appended read.
func (r *File) locked(run func(*os.File) error) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the record: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }() // which gives the lock back
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock the record: %w", err)
	}
	if _, err := f.Seek(r.read, io.SeekStart); err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	n, err := walk(f, r.chain.Add)
	if err != nil {
		return err
	}
	r.read += n
	// What follows the last whole line is an entry whose writing broke off: its call was never answered. The next one takes its place.
	if err := f.Truncate(r.read); err != nil {
		return fmt.Errorf("write the record: %w", err)
	}
	return run(f)
}

// Verify walks the record in a file from behind the entry that chain holds. Its error is a *Break where it does not hold.
func Verify(path string, chain *Chain) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	from, last := *chain, int64(0)
	_, err = walk(f, func(e *Entry) error {
		last = e.Seq
		switch {
		case e.Seq == from.Seq && e.Hash != from.Hash:
			return &Break{e.Seq, "is not the one that the check begins behind"}
		case e.Seq <= from.Seq:
			return nil
		}
		return chain.Add(e)
	})
	if err == nil && last < from.Seq {
		return &Break{last + 1, "is missing"}
	}
	return err
}

// walk visits the whole lines of a record, and tells how many bytes they have.
func walk(from io.Reader, visit func(e *Entry) error) (n int64, err error) {
	lines := bufio.NewReaderSize(from, 64<<10)
	for at := int64(1); ; at++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("read the record: %w", err)
		}
		var e Entry
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields() // which no hash would cover
		if err := d.Decode(&e); err != nil || d.More() {
			return n, &Break{at, "cannot be read"}
		}
		if err := visit(&e); err != nil {
			return n, err
		}
		n += int64(len(line))
	}
}
