package mcp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestGovernor holds the pace, that callers are served in turn, and that nobody waits longer than the bound.
func TestGovernor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGovernor(Limits{App: 10}, time.Now)
		begin := time.Now()
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		ask := func(caller string) {
			wg.Go(func() {
				if err := g.wait(t.Context(), appClass, caller); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, caller)
				mu.Unlock()
			})
			synctest.Wait()
		}
		for range 45 {
			ask("greedy")
		}
		ask("modest")
		wg.Wait()
		if took := time.Since(begin); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("46 calls took %v, want 41 of them at 8 a second", took)
		}
		for i, who := range order {
			if who == "modest" && i > 8 {
				t.Errorf("the modest caller was served as number %d", i)
			}
		}
		if got := g.left()["app"]; got != 0 {
			t.Errorf("left %d", got)
		}
		time.Sleep(time.Second)
		if got := g.left()["app"]; got != 5 {
			t.Errorf("left after a second: %d, want the burst", got)
		}
		g.refused(appClass)
		for range 80 { // 80 calls at 4 a second are 20 seconds
			wg.Go(func() { _ = g.wait(t.Context(), appClass, "many") })
		}
		synctest.Wait()
		var limited *toolError
		if err := g.wait(t.Context(), appClass, "late"); !errors.As(err, &limited) || limited.Code != "rate_limited" || limited.RetryAfter < 20 {
			t.Errorf("the call behind them: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.wait(ctx, trackClass, "x"); err != nil {
			t.Errorf("a class without a limit: %v", err)
		}
		wg.Wait()
	})
}

// TestGovernorCancel holds that who gives up leaves the queue.
func TestGovernorCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGovernor(Limits{Track: 1}, time.Now)
		if err := g.wait(t.Context(), trackClass, "a"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if err := g.wait(ctx, trackClass, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled: %v", err)
		}
		begin := time.Now()
		if err := g.wait(t.Context(), trackClass, "b"); err != nil || time.Since(begin) > time.Second {
			t.Errorf("the next one: %v after %v", err, time.Since(begin))
		}
		if b := g.buckets[trackClass]; b.waiting != 0 || len(b.callers) != 0 || len(b.turn) != 0 {
			t.Errorf("the queue holds %d %v %v", b.waiting, b.callers, b.turn)
		}
	})
}

// TestTries holds what is sent again: what the back end was too busy for, and reads and repeatable writes that failed.
func TestTries(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		answers []int // one for each try; the last one stays
		again   bool
		tries   int32
		code    string
	}{
		{"at once", []int{200}, false, 1, ""},
		{"busy, then not", []int{429, 429, 200}, false, 3, ""},
		{"always busy", []int{429}, false, 4, "rate_limited"},
		{"a read that failed", []int{503, 200}, true, 2, ""},
		{"a write that failed", []int{503, 200}, false, 1, "upstream_error"},
		{"not built", []int{501}, true, 1, "unsupported_on_connection"},
		{"refused", []int{400}, true, 1, "invalid_input"},
		{"broken off", []int{0, 200}, true, 2, ""},
		{"redirected", []int{302}, true, 4, "upstream_timeout"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				status := test.answers[min(int(n.Add(1)), len(test.answers))-1]
				if status == 0 {
					panic(http.ErrAbortHandler)
				}
				if status == 302 {
					w.Header().Set("Location", "http://other.example/")
				}
				w.WriteHeader(status)
				fmt.Fprint(w, `{"errors":[{"detail":"no"}]}`)
			}))
			defer s.Close()
			c := &Client{o: ClientOptions{AppURL: s.URL}, http: newHTTP(nil), gov: newGovernor(Limits{}, time.Now)}
			_, err := c.do(t.Context(), call{class: appClass, method: http.MethodPost, path: "/", again: test.again}, nil)
			var e *toolError
			errors.As(told(err), &e)
			if n.Load() != test.tries || e == nil != (test.code == "") || e != nil && e.Code != test.code {
				t.Errorf("%d tries, %v; want %d, %q", n.Load(), err, test.tries, test.code)
			}
			if e != nil && strings.Contains(e.Message, "other.example") {
				t.Errorf("the message repeats where it was sent: %s", e.Message)
			}
		})
	}
}
