package mcp

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// logged is a log's text, which goroutines of the protocol library may still add to.
type logged struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write is part of io.Writer.
func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

// String is what was written so far.
func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// TestQuiet: calls, and what clients do wrong, are details of the log. An operator who asks for these sees them.
func TestQuiet(t *testing.T) {
	t.Parallel()
	b := newBackend(t, whole)
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		var said logged
		s, c := over(t, b.URL, false, func(o *Options) {
			o.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: level}))
		})
		call1(t, c, "get_workspace", m{})
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		theirs(s.o.Logger).With("a", 1).WithGroup("g").Error("a client's mistake")
		text := said.String()
		if level == slog.LevelInfo && text != "" {
			t.Errorf("at level info it says:\n%s", text)
		}
		if level == slog.LevelDebug && (!strings.Contains(text, "server connecting") || !strings.Contains(text, "level=DEBUG msg=\"a client's mistake\" a=1")) {
			t.Errorf("at level debug it says:\n%s", text)
		}
	}
	if theirs(nil) != nil {
		t.Error("no log became one")
	}
}
