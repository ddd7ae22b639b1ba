package value

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestCanonicalGolden keeps the canonical form fixed: stored documents hold it, and whether an attribute changed is
// whether these bytes did.
func TestCanonicalGolden(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, in := range []string{
		` { "b" : 1.0 , "a" : [ 1 , 2e0 , -0 , 1E+2 ] } `, `{"b":1,"a":2}`, `{"a":1,"b":2,"a":3}`, `[{"a":{"x":1},"a":{"y":2}}]`,
		`12345678901234567890.123`, `1e400000`, `"1"`, `"\u00e9\u00E9"`, `"\u003c\/script\u003e & \u0026"`, `"\b\f\n\r\t\u0000\u001f\u007f\"\\"`,
		`"\ud83d\ude00"`, `"\u2028"`, `null`, `true`, `{}`, `[]`,
		`"\ud800"`, "\"\xff\"", "\"\x00\"", `01`, `+1`, `.5`, `NaN`, `{"a":}`, `{"a":1,}`, `1 2`, ``,
		strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth), strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1),
	} {
		out := "refused"
		if v, err := Parse([]byte(in)); err == nil {
			out = fmt.Sprintf("%q", v)
		}
		fmt.Fprintf(&got, "%q\n\t%s\n", in, out)
	}
	path := filepath.Join("testdata", "canonical-1.txt")
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
		t.Errorf("canonical forms (-golden +got):\n%s", diff)
	}
}
