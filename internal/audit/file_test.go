package audit_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"rapport.example/internal/audit"
)

func appendTo(t *testing.T, f *audit.File, n int) {
	t.Helper()
	for range n {
		e := audit.Entry{At: 1_800_000_000_000, ID: "01JD", Tool: "get_person", Arguments: map[string]any{"id": "…"}, Outcome: "ok"}
		if err := f.Append(&e); err != nil {
			t.Error(err)
		}
	}
}

// TestFile: several writers of one file make one chain, also when one of them broke off in the middle of a line; what was touched is found.
func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "audit.jsonl")
	var wg sync.WaitGroup
	for range 4 {
		f, err := audit.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { appendTo(t, f, 5) })
	}
	wg.Wait()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(append(bytes.Clone(whole), whole[:40]...))
	f, err := audit.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, f, 1)
	var chain audit.Chain
	if err := audit.Verify(path, &chain); err != nil || chain.Seq != 21 {
		t.Errorf("%d entries hold: %v", chain.Seq, err)
	}
	half := audit.Chain{Seq: chain.Seq, Hash: chain.Hash}
	appendTo(t, f, 1)
	if err := audit.Verify(path, &half); err != nil || half.Seq != 22 {
		t.Errorf("from behind 21: %d, %v", half.Seq, err)
	}
	for _, from := range []audit.Chain{{Seq: 21}, {Seq: 99, Hash: chain.Hash}} {
		if err := audit.Verify(path, &from); err == nil {
			t.Errorf("a check from %d with another hash passed", from.Seq)
		}
	}
	n := 0
	if err := f.Each(func(*audit.Entry) error { n++; return nil }); err != nil || n != 22 {
		t.Errorf("%d entries: %v", n, err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for name, touched := range map[string][]byte{
		"changed":       bytes.Replace(whole, []byte(`"outcome":"ok"`), []byte(`"outcome":"no"`), 1),
		"taken out":     bytes.Join(append(bytes.SplitAfter(whole, []byte("\n"))[:3], lines[4:]...), nil),
		"a field more":  bytes.Replace(whole, []byte(`{"`), []byte(`{"x":1,"`), 1),
		"two in a line": bytes.Replace(whole, []byte("}\n"), []byte("}"), 1),
	} {
		write(touched)
		var b *audit.Break
		if err := audit.Verify(path, &audit.Chain{}); !errors.As(err, &b) {
			t.Errorf("%s: %v, want a break", name, err)
		}
		if _, err := audit.Open(path); !errors.As(err, &b) {
			t.Errorf("%s: opened, %v", name, err)
		}
	}
}
