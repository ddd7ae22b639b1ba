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

// to moves the bar to n of of, and tells the rate in units of so many and the time left. While of is 0, nothing is known yet.
func (p *progress) to(n, of int64, unit string, size float64) {
	if !p.visible {
		return
	}
	if of <= 0 {
		fmt.Fprintf(p.w, "\r%s …", p.label)
		return
	}
	n = min(n, of)
	full, took := int(barWidth*n/of), time.Since(p.began)
	left := "?"
	if n > 0 {
		left = time.Duration(float64(took) / float64(n) * float64(of-n)).Round(time.Second).String()
	}
	fmt.Fprintf(p.w, "\r%s [%s%s] %3d%%  %.0f %s/s  %s left \x1b[K", p.label, strings.Repeat("█", full), strings.Repeat("░", barWidth-full),
		100*n/of, float64(n)/size/max(took.Seconds(), 1e-3), unit, left)
}

// at moves the bar to n of what there is, without a guess at the time left. Where there is no terminal it writes a line for each tenth.
func (p *progress) at(n int) {
	if !p.visible {
		if tenth := 1 + 10*n/p.of; tenth != p.n {
			p.n = tenth
			fmt.Fprintf(p.w, "%s: %d%%\n", p.label, 100*n/p.of)
		}
		return
	}
	full := barWidth * n / p.of
	fmt.Fprintf(p.w, "\r%s [%s%s] %3d%% \x1b[K", p.label, strings.Repeat("█", full), strings.Repeat("░", barWidth-full), 100*n/p.of)
}

// done clears the line.
func (p *progress) done() {
	if p.visible {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
