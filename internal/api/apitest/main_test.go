package apitest_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain makes the property tests draw the same every time, so that a run on a loaded machine is no lottery. To draw
// other things, and more of them: go test ./internal/api/apitest -rapid.seed=0 -rapid.checks=200.
func TestMain(m *testing.M) {
	for name, v := range map[string]string{"rapid.seed": "1", "rapid.checks": "4"} {
		if err := flag.Set(name, v); err != nil { // the command line is read after this
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}
