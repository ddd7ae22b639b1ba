package api

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestFill reads bodies that come in pieces, and gives one that does not come no memory for what it says of itself.
func TestFill(t *testing.T) {
	t.Parallel()
	whole := bytes.Repeat([]byte("0123456789"), 50_000)
	for _, room := range []int{0, 100, 1 << 20} {
		got, err := fill(make([]byte, 0, room), slow{bytes.NewReader(whole)}, len(whole))
		if err != nil || !bytes.Equal(got, whole) {
			t.Errorf("fill with room for %d = %d bytes, %v", room, len(got), err)
		}
	}
	got, err := fill(nil, strings.NewReader("a few"), 500<<10)
	if !errors.Is(err, io.ErrUnexpectedEOF) || cap(got) > 2*trusted {
		t.Errorf("a body that breaks off takes %d bytes of memory, %v", cap(got), err)
	}
}

// slow hands out a few bytes at a time.
type slow struct{ r io.Reader }

func (s slow) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), 4999)]) }

// TestBodyWait: without a key nobody holds a connection by a body that does not come.
func TestBodyWait(t *testing.T) {
	t.Parallel()
	open := route(http.MethodPost, "/api/v1/open", MetaError, (*Call).Empty)
	open.MaxBody = 1 << 20
	srv := httptest.NewServer(newMux(t, Options{BodyWait: 100 * time.Millisecond}, open))
	defer srv.Close()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // the server has closed it
	if _, err := io.WriteString(conn, "POST /api/v1/open HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusBadRequest {
		t.Errorf("a body that does not come is answered %d, %v; want 400", res.StatusCode, err)
	}
}

// TestGzip: a body's bound holds for it packed and unpacked, however its length is told.
func TestGzip(t *testing.T) {
	t.Parallel()
	r := route(http.MethodPost, "/x", MetaError, func(c *Call) error { return c.JSON(200, len(c.Body)) })
	r.MaxBody, r.Gzip = 1000, true
	m := newMux(t, Options{}, r)
	pack := func(level int, b []byte) []byte {
		var out bytes.Buffer
		z, err := gzip.NewWriterLevel(&out, level)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	zeros := func(n int) []byte { return make([]byte, n) }
	for what, tt := range map[string]struct {
		body   []byte
		status int
	}{
		"good":                      {pack(gzip.BestSpeed, zeros(1000)), 200},
		"too large unpacked":        {pack(gzip.BestSpeed, zeros(1001)), 413},
		"far too large unpacked":    {pack(gzip.BestSpeed, zeros(100_000)), 413},
		"too large packed too":      {pack(gzip.NoCompression, zeros(2000)), 413},
		"packed larger than itself": {pack(gzip.NoCompression, zeros(995)), 413},
		"no gzip":                   {zeros(100), 400},
		"empty":                     {nil, 400},
		"broken off":                {pack(gzip.NoCompression, zeros(500))[:300], 400},
	} {
		for _, length := range []bool{true, false} {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/x", bytes.NewReader(tt.body))
			req.Header.Set("Content-Encoding", "gzip")
			if !length {
				req.ContentLength = -1
			}
			w := httptest.NewRecorder()
			if m.ServeHTTP(w, req); w.Code != tt.status {
				t.Errorf("%s, length told: %v: %d %s, want %d", what, length, w.Code, w.Body, tt.status)
			}
		}
	}
}
