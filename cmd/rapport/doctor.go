package main

import (
	"context"
	"fmt"
	"os"

	"rapport.example/internal/doctor"
	"rapport.example/internal/fault"
)

type doctorCmd struct {
	URL    string `arg:"" optional:"" help:"Origin of any server, like https://mail.example.com. Default: ${default}." default:"http://127.0.0.1:8080" env:"RAPPORT_SERVER"`
	Key    string `help:"A bearer token that may read: shows the API's limits. It is sent to one read operation alone." env:"RAPPORT_APP_KEY" placeholder:"KEY"`
	JSON   bool   `name:"json" help:"Print JSON."`
	Strict bool   `help:"Fail for warnings and what was skipped, too."`
}

// Help says what is looked at.
func (*doctorCmd) Help() string {
	return `Looks at a server as an AI agent does that has never met it: llms.txt, documentation as Markdown, OpenAPI documents with examples, OAuth and MCP metadata, skills, headers. At most sixty GET requests to that one host; nothing is changed there. Exit code 1 if a row fails.`
}

// marks stand before rows.
var marks = map[doctor.Status]string{doctor.OK: "✔", doctor.Warned: "!", doctor.Failed: "✘", doctor.Skipped: "–"}

// colours are for terminals.
var colours = map[doctor.Status]string{doctor.OK: "\x1b[32m", doctor.Warned: "\x1b[33m", doctor.Failed: "\x1b[31m", doctor.Skipped: "\x1b[2m"}

// Run is the command.
func (c *doctorCmd) Run(ctx context.Context, a *app) error {
	bar := newProgress(a.err, "looking", 1)
	r, err := doctor.Run(ctx, doctor.Options{Key: c.Key, Progress: func(done, all int, _ string) { bar.to(int64(done), int64(all), "rows", 1) }}, c.URL)
	bar.done()
	if err != nil {
		return err
	}
	if c.JSON {
		if err := a.print(r); err != nil {
			return err
		}
	} else {
		c.tell(a, r)
	}
	left := r.Failed
	if c.Strict {
		left = len(r.Rows) - r.Passed
	}
	if left > 0 {
		return fault.New(fault.Conflict, "%d of %d rows are not as they should be", left, len(r.Rows))
	}
	return nil
}

// tell prints the rows, and under those that are not ok what they are for and what to do.
func (c *doctorCmd) tell(a *app, r *doctor.Report) {
	colour := false
	if f, ok := a.out.(*os.File); ok && os.Getenv("NO_COLOR") == "" {
		info, err := f.Stat()
		colour = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	wide := 0
	for _, row := range r.Rows {
		wide = max(wide, len(row.Name))
	}
	for _, row := range r.Rows {
		mark := marks[row.Status]
		if colour {
			mark = colours[row.Status] + mark + "\x1b[0m"
		}
		fmt.Fprintf(a.out, "%s %-*s  %s\n", mark, wide, row.Name, row.Found)
		if row.Status != doctor.OK {
			fmt.Fprintf(a.out, "  %*s  %s\n  %*s  %s\n", wide, "", row.Why, wide, "", row.Fix)
		}
	}
	fmt.Fprintf(a.out, "\n%s: %d of %d, %d %%\n", r.Server, r.Passed, r.Passed+r.Failed, r.Percent())
}
