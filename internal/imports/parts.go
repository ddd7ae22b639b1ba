package imports

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"

	"rapport.example/internal/fault"
	"rapport.example/internal/job"
)

// badPart is the number of the part that has the bad rows. The file's own count from 0.
const badPart = int64(1) << 40

// Pack makes a part of bytes of the file: PartSize of them, but in the last part.
func Pack(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	if _, err := w.Write(b); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return out.Bytes(), nil
}

// unpack is the opposite of Pack.
func unpack(b []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(r, PartSize+1))
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return out, nil
}

// Parts is how many parts a file of a size has.
func Parts(size int64) int64 { return (size + PartSize - 1) / PartSize }

// partReader is the part of job.Task that gives parts back.
type partReader interface {
	Part(ctx context.Context, part int64) ([]byte, error)
}

// stored is a file in the parts of a job. It holds one part at a time.
type stored struct {
	ctx  context.Context // io.Reader has none, and this lives as long as one run of the job
	task partReader
	size int64
	part int64 // that is held, -1 = none
	held []byte
}

func newStored(ctx context.Context, t partReader, size int64) *stored {
	return &stored{ctx: ctx, task: t, size: size, part: -1}
}

// From is part of Source.
func (s *stored) From(offset int64) io.Reader { return &storedFrom{s, offset} }

type storedFrom struct {
	*stored
	offset int64
}

// Read is part of io.Reader.
func (s *storedFrom) Read(p []byte) (int, error) {
	if s.offset >= s.size {
		return 0, io.EOF
	}
	if part := s.offset / PartSize; part != s.part {
		packed, err := s.task.Part(s.ctx, part)
		if err != nil {
			return 0, err
		}
		if packed == nil {
			return 0, fault.New(fault.Invalid, "a part of the file is missing")
		}
		b, err := unpack(packed)
		if err != nil {
			return 0, err
		}
		if want := min(PartSize, s.size-part*PartSize); int64(len(b)) != want {
			return 0, fault.New(fault.Invalid, "a part of the file has not the size that it should have")
		}
		s.part, s.held = part, b
	}
	n := copy(p, s.held[s.offset%PartSize:])
	s.offset += int64(n)
	return n, nil
}

// errSize says that a file is larger than MaxSize.
var errSize = fault.New(fault.TooLarge, "the file is larger than %d bytes", MaxSize)

// receiving cuts what is written to it into the parts of a job.
type receiving struct {
	ctx  context.Context // as in stored
	task *job.Task
	size int64
	held []byte
}

// Write is part of io.Writer.
func (w *receiving) Write(p []byte) (int, error) {
	n := len(p)
	if w.size+int64(len(w.held))+int64(n) > MaxSize {
		return 0, errSize
	}
	for len(p) > 0 {
		take := min(PartSize-len(w.held), len(p))
		w.held = append(w.held, p[:take]...)
		p = p[take:]
		if len(w.held) == PartSize {
			if err := w.cut(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// cut keeps a part.
func (w *receiving) cut() error {
	if len(w.held) == 0 {
		return nil
	}
	b, err := Pack(w.held)
	if err != nil {
		return err
	}
	next := w.size + int64(len(w.held))
	if err := w.task.Add(w.ctx, w.size/PartSize, b, Progress{Size: next}); err != nil {
		return err
	}
	w.size, w.held = next, w.held[:0]
	return nil
}

// Bad reads the bad rows of a job, MaxBad at most; none before it is Checked, and none once the file was deleted.
func Bad(ctx context.Context, files interface {
	JobPart(ctx context.Context, k job.Key, part int64) ([]byte, error)
}, k job.Key,
) ([]BadRow, error) {
	b, err := files.JobPart(ctx, k, badPart)
	if err != nil || b == nil {
		return nil, err
	}
	return decodeBad(b)
}
