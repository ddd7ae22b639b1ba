package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDemo runs a small demo up to its live traffic, asks it something and stops it. It is not parallel, as it moves the
// folder for scratch files to see that nothing stays there.
func TestDemo(t *testing.T) {
	scratch := t.TempDir()
	t.Setenv("TMPDIR", scratch)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	r, w := io.Pipe()
	var errs bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"demo", "--listen", "127.0.0.1:0", "--people", "40"}, &app{out: w, err: &errs})
		_ = w.Close() // a pipe's Close returns nil
	}()
	var text strings.Builder
	lines := bufio.NewScanner(r)
	for lines.Scan() && !strings.Contains(lines.Text(), "Ctrl-C stops") {
		text.WriteString(lines.Text() + "\n")
	}
	for _, want := range []string{"40 people arrived over 60 simulated days", "curl -u ", `"mcpServers"`, "/mcp", "  admin "} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the demo printed\n%s\nwant %q in it", text.String(), want)
		}
	}
	asks := regexp.MustCompile(`RAPPORT_ADMIN_KEY=(\S+) rapport why (\S+) --server (\S+)`).FindStringSubmatch(text.String())
	if asks == nil {
		t.Fatalf("the demo tells no way to ask why:\n%s%s", text.String(), errs.String())
	}
	if code, out, errs := command(t, "why", asks[2], "--server", asks[3], "--admin-key", asks[1]); code != exitOK || !strings.Contains(out, "campaign onboarding") {
		t.Errorf("why %s: exit code %d, %q%q", asks[2], code, out, errs)
	}
	interrupt()
	for lines.Scan() { // the rest, so that it can be written
	}
	if c := <-code; c != exitOK {
		t.Errorf("exit code %d: %s", c, errs.String())
	}
	left, err := os.ReadDir(scratch)
	if err != nil || len(left) > 0 {
		t.Errorf("the scratch folder holds %v, %v after the demo", left, err)
	}
}
