package rapport

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// lines are the arrows of ARCHITECTURE.md: a package imports its own line and the lines under it, never a line above.
var lines = []string{
	"cmd e2e",
	"internal/server",
	"internal/store internal/config internal/heap",
	"internal/api internal/mcp",
	"internal/engine",
	"internal/delivery internal/journey internal/ingest internal/link internal/definition internal/job internal/export internal/center internal/imports internal/audience",
	"internal/segment internal/message internal/filter",
	"liquid",
	"internal/workspace internal/person internal/object internal/event internal/timer internal/catalog internal/audit internal/doctor",
	"internal/fault internal/id internal/value internal/batch",
}

const module = "rapport.example"

// level is a package's line, from 0 for the highest; the last and more for the root, which holds what is embedded from there,
// and for the tools, which are a module of their own; -1 for a package without a place.
func level(t *testing.T, pkg string) int {
	t.Helper()
	if pkg == "." || strings.HasPrefix(pkg, "tools/") {
		return len(lines)
	}
	for i, l := range lines {
		for _, prefix := range strings.Fields(l) {
			if pkg == prefix || strings.HasPrefix(pkg, prefix+"/") {
				return i
			}
		}
	}
	t.Errorf("package %s has no place in the arrows: add it to ARCHITECTURE.md and to this test", pkg)
	return -1
}

// TestArrows holds every import of the tree, those of tests left out, to the arrows.
func TestArrows(t *testing.T) {
	t.Parallel()
	for file, f := range sources(t, parser.ImportsOnly) {
		from := filepath.ToSlash(filepath.Dir(file))
		at := level(t, from)
		for _, imp := range f {
			to, ok := strings.CutPrefix(imp, module)
			if !ok {
				continue
			}
			to = strings.TrimPrefix(to, "/")
			if to == "" {
				to = "."
			}
			if under := level(t, to); under < at {
				t.Errorf("%s imports %s, which lies above it", file, to)
			}
			if from == "liquid" {
				t.Errorf("%s imports %s: liquid imports nothing of ours", file, to)
			}
		}
	}
}

// sources maps the Go files that git knows to their imports.
func sources(t *testing.T, mode parser.Mode) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, file := range tracked(t) {
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || isTestKit(file) {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, mode)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Error(err)
			}
			out[file] = append(out[file], p)
		}
		if out[file] == nil {
			out[file] = []string{}
		}
	}
	return out
}

// isTestKit tells packages that only tests use: their names end in test, and they may reach for anything.
func isTestKit(file string) bool {
	for _, dir := range strings.Split(filepath.ToSlash(filepath.Dir(file)), "/") {
		if strings.HasSuffix(dir, "test") {
			return true
		}
	}
	return false
}

func tracked(t *testing.T) []string {
	t.Helper()
	b, err := exec.CommandContext(t.Context(), "git", "ls-files").Output()
	if err == nil && len(b) > 0 {
		return strings.Fields(string(b))
	}
	var out []string // not a checkout: every file below
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestPackageComments wants one package comment in every package.
func TestPackageComments(t *testing.T) {
	t.Parallel()
	has := map[string]bool{}
	for file := range sources(t, parser.ImportsOnly) {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Error(err)
			continue
		}
		dir := filepath.Dir(file)
		has[dir] = has[dir] || f.Doc != nil
	}
	var without []string
	for dir, ok := range has {
		if !ok {
			without = append(without, dir)
		}
	}
	slices.Sort(without)
	if len(without) > 0 {
		t.Errorf("packages without a package comment: %v", without)
	}
}
