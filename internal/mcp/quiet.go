package mcp

import (
	"context"
	"log/slog"
)

// quiet is a log in which everything is a detail. The protocol library's words are for it: it tells of each session and each request
// without one, that is of each call, and calls a client's mistake an error of the server's.
type quiet struct{ slog.Handler }

// theirs is the log for the protocol library; nil stands for none.
func theirs(log *slog.Logger) *slog.Logger {
	if log == nil {
		return nil
	}
	return slog.New(quiet{log.Handler()})
}

// Enabled is part of slog.Handler.
func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

// Handle is part of slog.Handler.
func (q quiet) Handle(ctx context.Context, r slog.Record) error { //nolint:gocritic // the interface's
	r.Level = slog.LevelDebug
	return q.Handler.Handle(ctx, r)
}

// WithAttrs is part of slog.Handler.
func (q quiet) WithAttrs(as []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(as)} }

// WithGroup is part of slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
