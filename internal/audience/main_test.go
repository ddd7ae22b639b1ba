package audience

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain makes TestEverybody draw often enough for some ten thousand conditions. For more: go test ./internal/audience -rapid.checks=40000.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "2000"); err != nil { // the command line is read after this
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
