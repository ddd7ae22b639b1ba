package person

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFoldGolden keeps the folding rule fixed: stored identifiers are looked up by what it gives.
func TestFoldGolden(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, in := range []string{
		"Ann@Example.com", " ann@example.com\t", "a.n.n+tag@example.com", "\u00c4NN@EX\u00c4MPLE.com", "a\u0308nn@example.com", "\u0130@example.com",
		"STRASSE@example.com", "stra\u00dfe@example.com", "\u03a3\u03a3@example.com", "\u00a0ann@example.com\u2003", "an n@example.com", "\u212a@example.com",
	} {
		fmt.Fprintf(&got, "%+q\n\t%+q\n", in, FoldEmail(in))
	}
	path := filepath.Join("testdata", "fold-1.txt")
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("folded emails (-golden +got):\n%s", diff)
	}
}
