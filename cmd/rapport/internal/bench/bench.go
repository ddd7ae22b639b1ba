// Package bench measures a server that runs as a process of its own on this machine. The process that calls Run makes the
// load, takes the mail and looks at the database; it is the same for all rows.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"rapport.example/internal/fault"
)

// Options says what to measure. All fields but the URLs, Only and Progress are required.
type Options struct {
	Executable  string // the program under test: this one
	DatabaseURL string // PostgreSQL in which scratch databases may be created; "" = SQLite
	NATSURL     string // "" = the log inside the server
	People      int
	Rounds      int
	Load        time.Duration // of load per row and round
	Connections []int
	Only        []string // rows, see Rows; empty = all
	// Progress is told how far a step is, from 0 of something to all of it. It may be nil.
	Progress func(label string, n, of int)
}

// Rows names what can be measured, in the order in which it is.
var Rows = []string{"ceiling", "events", "batch", "alone", "mail", "identify", "pipelines", "merges", "reads", "search", "export", "import", "timers", "segments", "live", "mcp"}

// Validate names the first option at fault, in an error of kind Invalid.
func (o *Options) Validate() error {
	switch {
	case o.People < 1 || o.People > 10_000_000:
		return fault.Field("--people", "must be 1 to 10000000")
	case o.Rounds < 1 || o.Rounds > 100:
		return fault.Field("--rounds", "must be 1 to 100")
	case o.Load < time.Second || o.Load > time.Minute:
		return fault.Field("--seconds", "must be 1 to 60")
	case len(o.Connections) == 0:
		return fault.Field("--connections", "must name at least one number")
	}
	for _, n := range o.Connections {
		if n < 1 || n > 4096 {
			return fault.Field("--connections", "must be numbers from 1 to 4096")
		}
	}
	for _, name := range o.Only {
		if !slices.Contains(Rows, name) {
			return fault.Field("--only", "knows no row %q; there are %v", name, Rows)
		}
	}
	return nil
}

// run is one benchmark under way.
type run struct {
	o     Options
	dir   string
	sink  *sink
	child *child
	watch *watcher
	seed  *traffic
	alone *alone
	r     *Report
	made  []string // names of scratch databases

	ceilings map[int]float64 // of this round, by connections
	batched  float64         // of this round
	pairs    int             // rounds of merges so far
	blanks   int             // empty servers so far
}

// Run measures. It makes scratch data in the system's temporary folder, and removes it.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "rapport-bench-")
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "cannot make a scratch folder")
	}
	x := &run{o: o, dir: dir, r: newReport(&o, dir), ceilings: map[int]float64{}, seed: &traffic{people: int64(o.People)}}
	defer func() { err = errors.Join(err, x.close(), os.RemoveAll(dir)) }() // the clean-up runs though the caller has gone
	if x.wants("ceiling", "events", "batch", "mail", "identify", "pipelines", "merges", "reads", "search", "export") {
		if err := x.start(ctx); err != nil {
			return nil, err
		}
	}
	if x.wants("alone") {
		if x.alone, err = x.newAlone(ctx); err != nil {
			return nil, err
		}
	}
	for i := range o.Rounds {
		x.progress("measure", i, o.Rounds)
		if err := x.round(ctx); err != nil {
			return nil, fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	x.progress("measure", o.Rounds, o.Rounds)
	if x.child != nil {
		if err := x.high(); err != nil {
			return nil, err
		}
		x.r.add(key{"peak memory of the server", 0, "MB"}, x.r.PeakMB)
	}
	if x.wants("timers") {
		if err := x.timers(ctx); err != nil {
			return nil, err
		}
	}
	if x.wants("segments") {
		if err := x.segments(ctx); err != nil {
			return nil, fmt.Errorf("segments: %w", err)
		}
	}
	if x.wants("live") {
		if err := x.live(ctx); err != nil {
			return nil, fmt.Errorf("live: %w", err)
		}
	}
	if x.wants("mcp") {
		if err := x.agents(ctx); err != nil {
			return nil, fmt.Errorf("mcp: %w", err)
		}
	}
	return x.r, nil
}

// round measures every row once.
func (x *run) round(ctx context.Context) error {
	for _, n := range x.o.Connections {
		if err := x.fsync(); err != nil {
			return err
		}
		if x.wants("ceiling", "events") {
			if err := x.ceiling(ctx, n); err != nil {
				return fmt.Errorf("ceiling: %w", err)
			}
		}
		if x.wants("events") {
			if err := x.events(ctx, n); err != nil {
				return fmt.Errorf("events: %w", err)
			}
		}
	}
	x.batched = 0
	for _, row := range []struct {
		name string
		do   func(context.Context) error
	}{{"batch", x.batch}, {"alone", x.storeAlone}, {"mail", x.mail}, {"identify", x.identify}, {"pipelines", x.pipelines}, {"merges", x.merges}, {"reads", x.reads}, {"search", x.search}, {"export", x.export}, {"import", x.imports}} {
		if x.wants(row.name) {
			if err := row.do(ctx); err != nil {
				return fmt.Errorf("%s: %w", row.name, err)
			}
		}
	}
	return ctx.Err()
}

// start brings the server under test up, with its definitions and people.
func (x *run) start(ctx context.Context) (err error) {
	if x.sink, err = newSink(); err != nil { // the sink lives as long as the bench
		return err
	}
	db, err := x.database(ctx, "server")
	if err != nil {
		return err
	}
	x.child, err = x.spawn(ctx, filepath.Join(x.dir, "server"), db.url, x.sink.addr)
	if err != nil {
		return err
	}
	if x.watch, err = watch(ctx, x.child.dir, db.url); err != nil {
		return err
	}
	return x.populate(ctx)
}

// close undoes start and newAlone; it is fine with half of them done.
func (x *run) close() error {
	var errs []error
	if x.alone != nil {
		errs = append(errs, x.alone.close())
	}
	if x.watch != nil {
		errs = append(errs, x.watch.close())
	}
	if x.child != nil {
		errs = append(errs, x.child.stop())
		x.r.Warnings = x.child.warns
	}
	if x.sink != nil {
		errs = append(errs, x.sink.close())
	}
	return errors.Join(append(errs, x.dropDatabases())...)
}

func (x *run) wants(rows ...string) bool {
	if len(x.o.Only) == 0 {
		return true
	}
	return slices.ContainsFunc(rows, func(r string) bool { return slices.Contains(x.o.Only, r) })
}

func (x *run) progress(label string, n, of int) {
	if x.o.Progress != nil {
		x.o.Progress(label, n, of)
	}
}
