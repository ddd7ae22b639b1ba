package bench

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// Report is what was measured.
type Report struct {
	Machine  Machine `json:"machine"`
	Database string  `json:"database"` // sqlite or postgres
	Log      string  `json:"log"`      // embedded or nats
	People   int     `json:"people"`
	Rounds   int     `json:"rounds"`
	Seconds  float64 `json:"seconds"` // of load per row and round
	PeakMB   float64 `json:"-"`
	Rows     []*Row  `json:"rows"`
	// Warnings are the first lines that the server has logged as warnings.
	Warnings []string `json:"warnings,omitempty"`
}

// Machine says where it was measured.
type Machine struct {
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"`
	OS    string `json:"os"`
	Go    string `json:"go"`
	Dir   string `json:"scratch"`
}

// Row is one measured quantity.
type Row struct {
	Name        string    `json:"name"`
	Connections int       `json:"connections,omitempty"`
	Unit        string    `json:"unit"`
	Median      float64   `json:"median"`
	Min         float64   `json:"min"`
	Max         float64   `json:"max"`
	Values      []float64 `json:"values"` // one per round, in order
	Wanted      string    `json:"wanted,omitempty"`
	Met         *bool     `json:"met,omitempty"` // whether the median is as wanted
}

type key struct {
	name        string
	connections int
	unit        string
}

func newReport(o *Options, dir string) *Report {
	r := &Report{Database: "sqlite", Log: "embedded", People: o.People, Rounds: o.Rounds, Seconds: o.Load.Seconds()}
	if o.DatabaseURL != "" {
		r.Database = "postgres"
	}
	if o.NATSURL != "" {
		r.Log = "nats"
	}
	r.Machine = Machine{CPU: cpuModel(), Cores: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), Dir: dir}
	return r
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(b)) {
		if name, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// goal is what a quantity should be: at least or at most so much.
type goal struct {
	name        string
	connections int // 0 = any
	atLeast     bool
	sqlite      float64
	postgres    float64
}

var goals = []goal{
	{"applied ÷ ceiling", 256, true, 0.40, 0.35},
	{"batch ÷ store alone", 0, true, 0.8, 0.8},
	{"acknowledgement p99", 64, false, 10, 10},
	{"lag to applied p99", 0, false, 500, 500},
	{"event to SMTP p99", 0, false, 250, 250},
	{"attribute reads beside half the ingestion: p99", 0, false, 5, 5},
	{"what reads cost ingestion", 0, false, 20, 20},
	{"CPU with a million waiting timers", 0, false, 2, 2},
	{"everybody, three lines: cold", 0, false, 2000, 2000},
	{"everybody, never counted event properties: cold", 0, false, 2000, 2000},
	{"everybody, never counted nested three deep: cold", 0, false, 2000, 2000},
	{"everybody, three lines: warm", 0, false, 50, 50},
	{"segment saved to membership written", 0, false, 3000, 3000},
	{"memory while a segment is built, on top", 0, false, 150, 150},
	{"what 200 segments cost", 0, false, 25, 25},
	{"tool call over its API call: p99", 0, false, 25, 25},
	{"tool call over its API call, 4 calls/s each: p99", 0, false, 25, 25},
	{"tool call at /mcp: p99 over the API call's", 0, false, 25, 25},
	{"a crowd: refused by the service (429)", 0, false, 0, 0},
	{"100,000 leave in a minute, beside half of what HTTP applies: longest after their moment", 0, false, 2000, 2000},
	{"100,000 leave in a minute, beside half of what the store alone applies: longest after their moment", 0, false, 2000, 2000},
}

// add records a value of a round.
func (r *Report) add(k key, v float64) {
	i := slices.IndexFunc(r.Rows, func(w *Row) bool { return w.Name == k.name && w.Connections == k.connections })
	if i < 0 {
		i = len(r.Rows)
		r.Rows = append(r.Rows, &Row{Name: k.name, Connections: k.connections, Unit: k.unit})
	}
	w := r.Rows[i]
	w.Values = append(w.Values, v)
	s := slices.Sorted(slices.Values(w.Values))
	w.Min, w.Max, w.Median = s[0], s[len(s)-1], s[len(s)/2]
	if len(s)%2 == 0 {
		w.Median = (s[len(s)/2-1] + s[len(s)/2]) / 2
	}
	for _, g := range goals {
		if g.name != k.name || g.connections != 0 && g.connections != k.connections {
			continue
		}
		bound, sign := g.sqlite, "≤"
		if r.Database == "postgres" {
			bound = g.postgres
		}
		met := w.Median <= bound
		if g.atLeast {
			met, sign = w.Median >= bound, "≥"
		}
		w.Wanted, w.Met = fmt.Sprintf("%s %g", sign, bound), &met
	}
}

// Print writes the report as a table.
func (r *Report) Print(out io.Writer) error {
	fmt.Fprintf(out, "%s, %d cores, %s, %s; scratch in %s\n", r.Machine.CPU, r.Machine.Cores, r.Machine.OS, r.Machine.Go, r.Machine.Dir)
	fmt.Fprintf(out, "%s, log %s; %d people, 20 segments, 5 running campaigns; %d rounds of %gs; median (least to most)\n\n", r.Database, r.Log, r.People, r.Rounds, r.Seconds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tCONNECTIONS\tMEDIAN\tSPREAD\tUNIT\tWANTED")
	for _, row := range r.Rows {
		n, want := "", row.Wanted
		if row.Connections > 0 {
			n = fmt.Sprint(row.Connections)
		}
		if row.Met != nil && !*row.Met {
			want += "  missed"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s to %s\t%s\t%s\n", row.Name, n, number(row.Median), number(row.Min), number(row.Max), row.Unit, want)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, line := range r.Warnings {
		fmt.Fprintln(out, "the server warned:", line)
	}
	return nil
}

func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
