package api

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"rapport.example/internal/fault"
	"rapport.example/internal/id"
)

// read reads the whole body into buf, up to the route's bound.
func (c *Call) read(buf *[]byte) error {
	most, size := c.Route.MaxBody, c.R.ContentLength
	e := c.R.Header.Get("Content-Encoding")
	if c.Route.Gzip && strings.EqualFold(e, "gzip") {
		return c.unpack(buf)
	}
	if e != "" && !strings.EqualFold(e, "identity") {
		return WithStatus(http.StatusUnsupportedMediaType, fault.New(fault.Invalid, "content encoding is not supported: send the body as it is"))
	}
	if size > most {
		return tooLarge(most)
	}
	b := (*buf)[:0]
	if size >= 0 {
		var err error
		if b, err = fill(b, c.R.Body, int(size)); err != nil {
			return fault.Wrap(fault.Invalid, err, "the body could not be read")
		}
	} else {
		var err error
		if b, err = io.ReadAll(http.MaxBytesReader(c.W, c.R.Body, most)); err != nil {
			var large *http.MaxBytesError
			if errors.As(err, &large) {
				return tooLarge(most)
			}
			return fault.Wrap(fault.Invalid, err, "the body could not be read")
		}
	}
	*buf, c.Body = b, b
	return nil
}

// trusted is how much memory a body gets for its Content-Length alone, in bytes.
const trusted = 64 << 10

// fill reads size bytes into b. What has not come yet takes no more memory than what has: who only says that much is coming,
// on many connections, must not fill the memory.
func fill(b []byte, r io.Reader, size int) ([]byte, error) {
	for len(b) < size {
		at, upto := len(b), min(size, max(cap(b), 2*len(b), trusted))
		b = slices.Grow(b, upto-at)[:upto]
		if _, err := io.ReadFull(r, b[at:]); err != nil {
			return b[:at], err
		}
	}
	return b, nil
}

// hurry bounds how long the body of a caller without a key may take. The caller calls stop when it is read.
func (c *Call) hurry(wait time.Duration) (stop func()) {
	conn := http.NewResponseController(c.W)
	t := time.AfterFunc(wait, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) }) //nolint:errcheck // a connection of a test may not know deadlines
	return func() {
		if !t.Stop() {
			_ = conn.SetReadDeadline(time.Time{}) //nolint:errcheck // as above
		}
	}
}

// unpack reads a body that is packed with gzip.
func (c *Call) unpack(buf *[]byte) error {
	most := c.Route.MaxBody
	if c.R.ContentLength > most {
		return tooLarge(most)
	}
	b := bytes.NewBuffer((*buf)[:0])
	z, err := gzip.NewReader(http.MaxBytesReader(c.W, c.R.Body, most))
	if err == nil {
		_, err = b.ReadFrom(io.LimitReader(z, most+1))
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return tooLarge(most)
	case err != nil:
		return fault.Wrap(fault.Invalid, err, "the body is not valid gzip")
	}
	if int64(b.Len()) > most {
		return tooLarge(most)
	}
	*buf, c.Body = b.Bytes(), b.Bytes()
	return nil
}

func tooLarge(most int64) error {
	return fault.New(fault.TooLarge, "the body is larger than %d bytes", most)
}

// requestID takes over the caller's X-Request-Id if it is short and plain, else it makes one.
func requestID(r *http.Request, now time.Time) string {
	s := r.Header.Get("X-Request-Id")
	if s == "" || len(s) > 64 {
		return id.New(now)
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return id.New(now)
		}
	}
	return s
}
