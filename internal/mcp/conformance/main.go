//go:build conformance

// Command conformance serves what the protocol's conformance suite asks for – its tools, prompts and resources – through the HTTP stack of
// package mcp: the router of both eras, agent keys, the audit log, limits and the protection against other origins. It prints its address.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"rapport.example/internal/audit"
	"rapport.example/internal/mcp"
	"rapport.example/internal/workspace"
)

func main() {
	key := flag.String("key", "", "the agent key that opens the server")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *key); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, key string) error {
	s, err := mcp.New(mcp.Options{
		URL: "http://127.0.0.1:1", Scopes: workspace.Scopes(), Secret: []byte("conformance"), Now: time.Now,
		Logger: slog.New(slog.DiscardHandler), Audit: func(*audit.Entry) error { return nil },
		Verify: func(_ context.Context, got, _ string) (mcp.Caller, error) {
			if got != key {
				return mcp.Caller{}, errors.New("another key")
			}
			return mcp.Caller{ID: "1", Workspace: "1", Scopes: workspace.Scopes()}, nil
		},
	})
	if err != nil {
		return err
	}
	yes := func(context.Context, *sdk.SubscribeRequest) error { return nil }
	no := func(context.Context, *sdk.UnsubscribeRequest) error { return nil }
	handler := s.Fixture(&sdk.ServerOptions{
		SubscribeHandler: yes, UnsubscribeHandler: no,
		CompletionHandler: func(context.Context, *sdk.CompleteRequest) (*sdk.CompleteResult, error) {
			return &sdk.CompleteResult{Completion: sdk.CompletionResultDetails{Values: []string{}}}, nil
		},
	}, func(m *sdk.Server) {
		tools(m)
		asking(m)
		rounds(m)
		prompts(m)
		resources(m)
	})
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/mcp\n", l.Addr())
	mux := http.NewServeMux()
	mux.Handle("/mcp", handler)
	h := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = h.Close() //nolint:errcheck // the process ends
	}()
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
