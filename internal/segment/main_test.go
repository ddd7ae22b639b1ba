package segment

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain makes each property test draw ten thousand times. For more: go test ./internal/segment -rapid.checks=1000000.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "10000"); err != nil { // the command line is read after this
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
