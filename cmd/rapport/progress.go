package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress is a bar on a terminal and nothing elsewhere.
type progress struct {
	w       io.Writer
	label   string
	n, of   int
	began   time.Time
	visible bool
}

func newProgress(w io.Writer, label string, of int) *progress {
	p := &progress{w: w, label: label, of: of, began: time.Now()}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.visible = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

const barWidth = 30

// step counts one more and redraws.
func (p *progress) step() {
	p.n++
	if !p.visible {
		return
	}
	full := barWidth * p.n / p.of
	left := time.Duration(float64(time.Since(p.began)) / float64(p.n) * float64(p.of-p.n)).Round(time.Second)
	fmt.Fprintf(p.w, "\r%s [%s%s] %3d%%  %s left ", p.label, strings.Repeat("█", full), strings.Repeat("░", barWidth-full), 100*p.n/p.of, left)
}

// done clears the line.
func (p *progress) done() {
	if p.visible {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
