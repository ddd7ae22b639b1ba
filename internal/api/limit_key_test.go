package api_test

import (
	"testing"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

// TestAllowKey holds an agent key to its own limit, and no other one.
func TestAllowKey(t *testing.T) {
	t.Parallel()
	l, now := api.NewLimiter(api.Limits{}), time.Unix(1767312000, 0)
	c, free := &workspace.Credential{ID: 1, PerMinute: 60}, &workspace.Credential{ID: 2}
	for i := range 6 {
		if err := l.AllowKey(c, now); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if err := l.AllowKey(c, now); !fault.Is(err, fault.RateLimited) {
		t.Errorf("the seventh at once: %v", err)
	}
	if err := l.AllowKey(free, now); err != nil {
		t.Errorf("a key without a limit: %v", err)
	}
	if err := l.AllowKey(c, now.Add(time.Second)); err != nil {
		t.Errorf("a second later: %v", err)
	}
}
