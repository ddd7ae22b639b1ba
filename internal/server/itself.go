package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
)

// itself carries requests of this process to its own handler without a connection: what a tool asks of the APIs costs no more than
// the work. All that a request over the network meets, it meets.
type itself struct{ handler http.Handler }

// alone is a context that ends with another one and has none of its values: a request does not inherit what its caller's was told.
type alone struct{ context.Context }

// Value is part of context.Context.
func (alone) Value(any) any { return nil }

// held is an answer as it is written.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is part of http.ResponseWriter.
func (h *held) Header() http.Header { return h.header }

// WriteHeader is part of http.ResponseWriter.
func (h *held) WriteHeader(status int) {
	if h.status == 0 && status >= http.StatusOK {
		h.status, h.header = status, h.header.Clone()
	}
}

// Write is part of http.ResponseWriter.
func (h *held) Write(b []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.body.Write(b)
}

// RoundTrip is part of http.RoundTripper.
func (t *itself) RoundTrip(r *http.Request) (*http.Response, error) {
	to, err := url.ParseRequestURI(r.URL.RequestURI())
	if err != nil {
		return nil, err
	}
	in := r.Clone(alone{r.Context()})
	in.URL, in.RequestURI, in.Host, in.RemoteAddr, in.Proto, in.ProtoMajor, in.ProtoMinor = to, to.RequestURI(), r.URL.Host, "127.0.0.1:0", "HTTP/1.1", 1, 1
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := &held{header: http.Header{}}
	if err := t.serve(w, in); err != nil {
		return nil, err
	}
	w.WriteHeader(http.StatusOK)
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.header,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// serve answers a request in the goroutine of whoever asks: handlers end with their request's context, so that they can give up, and a
// goroutine of its own would grow its stack anew for each request.
func (t *itself) serve(w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		if recover() != nil { // a connection would have been closed
			err = errors.New("the answer broke off")
		}
	}()
	t.handler.ServeHTTP(w, r)
	return r.Context().Err()
}
