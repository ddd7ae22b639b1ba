package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"rapport.example/internal/fault"
	"rapport.example/internal/mcp"
)

// verify knows the one key that opens a process that listens.
func (c *mcpCmd) verify(_ context.Context, key, _ string) (mcp.Caller, error) {
	if c.AgentKey == "" || subtle.ConstantTimeCompare([]byte(key), []byte(c.AgentKey)) != 1 {
		return mcp.Caller{}, fault.New(fault.Unauthorized, "the agent key is another one")
	}
	return mcp.Caller{ID: "1", Scopes: c.Scopes}, nil
}

// listen serves agents over HTTP until ctx ends, and prints where.
func (c *mcpCmd) listen(ctx context.Context, a *app, h http.Handler) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "cannot listen at "+c.Listen)
	}
	mux := http.NewServeMux()
	mux.Handle("/mcp", h)
	mux.Handle("/mcp/", h)
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintf(a.out, "serving agents at http://%s/mcp\n", l.Addr())
	go func() {
		<-ctx.Done()
		_ = s.Close() //nolint:errcheck // the process ends
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve agents: %w", err)
	}
	return nil
}
