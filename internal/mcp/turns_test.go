package mcp

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestTurns lets as many in as there is room for, the next when one is done or has had its time, and loses no room to one
// that went away while it waited or that is done after its time.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := make(turns, 2)
		began := time.Now()
		take := func() (done func(), waited time.Duration) {
			t.Helper()
			began := time.Now()
			done, err := turns.take(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return done, time.Since(began)
		}
		long, _ := take()
		short, waited := take()
		if waited != 0 {
			t.Fatalf("the second waited %s", waited)
		}
		gone, leave := context.WithTimeout(t.Context(), time.Millisecond)
		defer leave()
		if _, err := turns.take(gone); err == nil {
			t.Fatal("a third had a turn beside two")
		}
		time.AfterFunc(4*time.Millisecond, short)
		short, waited = take()
		if waited != 4*time.Millisecond {
			t.Errorf("the third waited %s, want the 4 ms until the second was done", waited)
		}
		defer short()
		next, _ := take()
		if at := time.Since(began); at != maxTurn {
			t.Errorf("the fourth began after %s, want %s: the time of the first", at, maxTurn)
		}
		long() // has had its time, and gives no second turn
		if len(turns) != 2 {
			t.Errorf("%d turns are taken, want 2", len(turns))
		}
		next()
		time.Sleep(maxTurn) // by the bubble's clock: should a turn still be counted out, it would be now
		if len(turns) != 0 {
			t.Errorf("%d turns are taken at the end, want none", len(turns))
		}
	})
}
