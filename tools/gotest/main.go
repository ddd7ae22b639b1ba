// Command gotest is go test for the Makefile: it prints a line a package, everything about a test that failed, and
// counts a skipped test as failed, for what cannot run has not passed.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// event is a line of go test -json.
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build
	Test       string
	Elapsed    float64
	Output     string
}

type name struct{ pkg, test string }

// run is what is known so far.
type run struct {
	w                       io.Writer
	output                  map[name]*strings.Builder // of what has not ended yet
	passed, failed, skipped int
}

func main() {
	cmd := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(2)
	}
	r := &run{w: os.Stdout, output: map[name]*strings.Builder{}}
	r.read(out)
	err = cmd.Wait()
	fmt.Printf("%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	if r.skipped > 0 {
		fmt.Println("a skipped test counts as failed")
	}
	if err != nil || r.failed+r.skipped > 0 {
		os.Exit(1)
	}
}

func (r *run) read(in io.Reader) {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		switch {
		case len(line) == 0:
		case json.Unmarshal(line, &e) != nil:
			fmt.Fprintf(r.w, "%s", line) // not from the test binary: go itself has something to say
		default:
			r.take(e)
		}
		if err != nil {
			return
		}
	}
}

// take adds one event. Packages and tests alike end with pass, fail or skip; a package without tests skips, too.
func (r *run) take(e event) {
	key := name{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.w, e.Output)
	case "output":
		if r.output[key] == nil {
			r.output[key] = &strings.Builder{}
		}
		r.output[key].WriteString(e.Output)
	case "pass", "fail", "skip":
		text := r.output[key]
		delete(r.output, key)
		if e.Test == "" {
			r.ended(e, text)
			return
		}
		switch e.Action {
		case "pass":
			r.passed++
			return
		case "fail":
			r.failed++
		case "skip":
			r.skipped++
		}
		r.show(text)
	}
}

// ended prints a package's line. One that fell over shows what its unfinished tests had printed: the panic is there.
func (r *run) ended(e event, text *strings.Builder) {
	switch e.Action {
	case "pass":
		fmt.Fprintf(r.w, "ok    %s  %.1fs\n", e.Package, e.Elapsed)
	case "fail":
		for key, rest := range r.output {
			if key.pkg == e.Package {
				r.show(rest)
				delete(r.output, key)
			}
		}
		r.show(text)
		fmt.Fprintf(r.w, "FAIL  %s  %.1fs\n", e.Package, e.Elapsed)
	}
}

func (r *run) show(text *strings.Builder) {
	if text != nil {
		fmt.Fprint(r.w, text.String())
	}
}
