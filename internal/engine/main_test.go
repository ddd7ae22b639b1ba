package engine_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain makes the property tests draw the same every time, so that a run on a loaded machine is no lottery. To draw
// other things, and more of them: go test ./internal/engine -rapid.seed=0 -rapid.checks=10000.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.seed", "1"); err != nil { // the command line is read after this
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
