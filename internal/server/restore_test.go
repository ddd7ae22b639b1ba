package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTakeStaged starts after a crash at every step of taking a restored state: in the end the new state is in its place
// and the old one whole in its folder, and another start changes nothing. What a crash has left of a backup goes; other files
// stay, whatever they are called.
func TestTakeStaged(t *testing.T) {
	t.Parallel()
	const at = "20270101-000000.000"
	whole := map[string]string{
		"rapport.db": "old", "rapport.db-wal": "old wal", "log/1": "old log", staged + at + "/rapport.db": "new", "lock": "1", replaced + "earlier/rapport.db": "x",
		passing + "1/rapport.db": "everybody", staged + "notes.txt": "mine", "backup-2026/rapport.db": "mine",
	}
	want := map[string]string{
		"rapport.db": "new", replaced + at + "/rapport.db": "old", replaced + at + "/rapport.db-wal": "old wal", replaced + at + "/log/1": "old log",
		"lock": "1", replaced + "earlier/rapport.db": "x", staged + "notes.txt": "mine", "backup-2026/rapport.db": "mine",
	}
	steps := [][2]string{ // renames, in order
		{"rapport.db-wal", replaced + at + "/rapport.db-wal"},
		{"rapport.db", replaced + at + "/rapport.db"},
		{"log", replaced + at + "/log"},
		{staged + at + "/rapport.db", "rapport.db"},
	}
	for crash := range len(steps) + 1 {
		dir := t.TempDir()
		for name, text := range whole {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for i, s := range steps[:crash] {
			if i == 0 {
				if err := os.Mkdir(filepath.Join(dir, replaced+at), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Rename(filepath.Join(dir, s[0]), filepath.Join(dir, s[1])); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := takeStaged(dir); err != nil {
				t.Fatalf("after %d steps: %v", crash, err)
			}
			if diff := cmp.Diff(want, files(t, dir)); diff != "" {
				t.Errorf("after %d steps (-want +got):\n%s", crash, diff)
			}
		}
	}
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, rerr := filepath.Rel(dir, path)
		out[name] = string(b)
		if err == nil {
			err = rerr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
