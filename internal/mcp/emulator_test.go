package mcp_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// emulator stands in for the hosted service: a server of ours with the vendor's limits, without what the vendor does not have, and with
// the faults of a service far away. Its counters are by class of request, so a run of the same requests meets the same faults.
type emulator struct {
	*httptest.Server
	t    *testing.T
	next http.Handler

	busy atomic.Int32 // how many more requests to the App API are too many
	slow atomic.Int32 // which of the next repeatable requests gets no answer

	mu      sync.Mutex
	struck  map[string]int // faults that a request met since it last came through; a third one would be bad luck
	seen    map[string]int // requests by class
	faults  map[string]int // what was injected
	outside []string       // requests that the vendor does not know
	refused int            // requests that the limits themselves refused
}

// newEmulator stands in front of a server with the vendor's limits.
func newEmulator(t *testing.T, server string) *emulator {
	t.Helper()
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	e := &emulator{t: t, next: httputil.NewSingleHostReverseProxy(to), struck: map[string]int{}, seen: map[string]int{}, faults: map[string]int{}}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

// count numbers a request within its class, from 1.
func (e *emulator) count(class string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen[class]++
	return e.seen[class]
}

// repeatable are requests that may reach the service twice and have one effect: reads, and writes that set something or name themselves.
func repeatable(r *http.Request) bool {
	path := r.URL.Path
	return r.Method == http.MethodGet || r.Method == http.MethodPut || r.Method == http.MethodDelete || strings.HasPrefix(path, "/v1/customers") ||
		strings.HasSuffix(path, "/events") || strings.HasSuffix(path, "_customers") && strings.HasPrefix(path, "/api/v1/segments/")
}

// ServeHTTP passes a request on, unless it is its turn to go wrong.
func (e *emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	track := strings.HasPrefix(r.URL.Path, "/api/")
	if !track && !strings.HasPrefix(r.URL.Path, "/v1/") || strings.HasPrefix(r.Header.Get("Authorization"), "Bearer agk_") {
		e.mu.Lock()
		e.outside = append(e.outside, r.Method+" "+r.URL.Path)
		e.mu.Unlock()
		http.NotFound(w, r)
		return
	}
	r.Header.Del("Idempotency-Key") // nobody there knows them
	r.Header.Del("X-Rapport-Audit")
	if fault := e.fault(r, body, track); fault != nil {
		fault(w)
		return
	}
	e.next.ServeHTTP(&plain{w, e}, r)
}

// fault is what goes wrong with a request; nil = nothing.
func (e *emulator) fault(r *http.Request, body []byte, track bool) func(http.ResponseWriter) {
	n, again := e.count(map[bool]string{true: "track", false: "app"}[track]), 0
	if repeatable(r) {
		again = e.count("repeatable")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	same := r.Method + r.URL.String() + string(body)
	if e.struck[same] == 2 {
		delete(e.struck, same)
		return nil
	}
	strike := func(name string, f func(http.ResponseWriter)) func(http.ResponseWriter) {
		e.struck[same]++
		e.faults[name]++
		return f
	}
	says := func(status int, text string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { http.Error(w, text, status) }
	}
	lost := func(then func(http.ResponseWriter)) func(http.ResponseWriter) { // carried out, and the answer does not arrive
		return func(w http.ResponseWriter) {
			e.next.ServeHTTP(httptest.NewRecorder(), r)
			then(w)
		}
	}
	switch {
	case track && n%4 == 2 || !track && e.busy.Add(-1) >= 0:
		return strike("429", func(w http.ResponseWriter) {
			if n%8 < 4 {
				w.Header().Set("Retry-After", "1")
			}
			says(http.StatusTooManyRequests, `{"meta":{"error":"rate limited"}}`)(w)
		})
	case again > 0 && e.slow.Add(-1) == 0:
		return strike("time-out", func(http.ResponseWriter) { <-r.Context().Done() }) // the caller gives up
	case again%13 == 6:
		return strike("503", says(http.StatusServiceUnavailable, "<html>bad gateway</html>"))
	case again%9 == 3:
		return strike("500", lost(says(http.StatusInternalServerError, `{"errors":[{"detail":"internal error","status":"500"}]}`)))
	case again%17 == 9:
		return strike("reset", lost(func(http.ResponseWriter) { panic(http.ErrAbortHandler) }))
	}
	delete(e.struck, same)
	return nil
}

// plain takes from answers what the vendor's do not say.
type plain struct {
	http.ResponseWriter
	e *emulator
}

// WriteHeader is part of http.ResponseWriter.
func (p *plain) WriteHeader(status int) {
	for name := range p.Header() {
		if strings.HasPrefix(name, "X-Rapport-") || strings.HasPrefix(name, "Ratelimit") || name == "Idempotency-Replayed" {
			p.Header().Del(name)
		}
	}
	if status == http.StatusTooManyRequests {
		p.e.mu.Lock()
		p.e.refused++
		p.e.mu.Unlock()
	}
	p.ResponseWriter.WriteHeader(status)
}
