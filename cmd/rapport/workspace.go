package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
)

type applyCmd struct {
	remote
	output
	File   string `short:"f" required:"" help:"Workspace file, which names its workspace; - reads standard input." placeholder:"FILE" env:"RAPPORT_APPLY_FILE"`
	DryRun bool   `help:"Show what would change and change nothing."`
	Prune  bool   `help:"Remove what the file leaves out."`
	Wait   bool   `help:"Wait until segments are built, and show how far they are."`

	Timeout time.Duration `help:"With --wait: how long at most, such as 10m. Default: as long as it takes." placeholder:"DURATION" env:"RAPPORT_APPLY_TIMEOUT"`
}

// Run is the command.
func (c *applyCmd) Run(ctx context.Context, a *app) error {
	text, err := readInput(a, c.File)
	if err != nil {
		return err
	}
	var out admin.ApplyAnswer
	err = c.call(ctx, http.MethodPost, "apply", nil, admin.ApplyRequest{File: filepath.Base(c.File), YAML: string(text), DryRun: c.DryRun, Prune: c.Prune}, &out)
	if err != nil {
		return err
	}
	if c.JSON {
		err = a.print(out)
	} else {
		printPlan(a, &out)
	}
	if err != nil || !c.Wait || c.DryRun {
		return err
	}
	t := tenant{c.remote, out.Workspace.Name}
	return t.built(ctx, a, "", c.Timeout)
}

func readInput(a *app, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(a.in)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "cannot read the workspace file")
	}
	return b, nil
}

func printPlan(a *app, out *admin.ApplyAnswer) {
	verb := func(would, did string) string {
		if out.DryRun {
			return would
		}
		return did
	}
	switch {
	case out.Created:
		fmt.Fprintf(a.out, "workspace %s: %s\n", out.Workspace.Name, verb("would be created", "created"))
	case out.Named:
		fmt.Fprintf(a.out, "workspace %s: the unnamed workspace %s\n", out.Workspace.Name, verb("would get this name", "got this name"))
	default:
		fmt.Fprintf(a.out, "workspace %s\n", out.Workspace.Name)
	}
	for _, part := range []struct {
		sign string
		list []definition.Change
	}{{"+", out.Plan.Add}, {"~", out.Plan.Change}, {"-", out.Plan.Remove}} {
		for _, ch := range part.list {
			fmt.Fprintf(a.out, "  %s %s %s\n", part.sign, ch.Kind, ch.Slug)
			for _, f := range ch.Fields {
				fmt.Fprintf(a.out, "      %s\n", f)
			}
		}
	}
	if out.Plan.Empty() {
		fmt.Fprintf(a.out, "no change (%d definitions are as in the file)\n", out.Plan.Same)
	} else {
		fmt.Fprintf(a.out, "%d added, %d changed, %d removed, %d as before%s\n", len(out.Plan.Add), len(out.Plan.Change), len(out.Plan.Remove), out.Plan.Same, verb(" (dry run: nothing was done)", ""))
	}
	for _, s := range out.Starts {
		people := "everybody"
		if s.People != nil {
			people = fmt.Sprintf("%d people", *s.People)
		}
		fmt.Fprintf(a.out, "campaign %s %s for %s in segment %s now, if its filter and frequency let them in\n", s.Campaign, verb("would start", "starts"), people, s.Segment)
	}
	for _, w := range out.Warnings {
		fmt.Fprintf(a.out, "warning: line %d: %s: %s\n", w.Line, w.Field, w.Message)
	}
	for _, k := range out.Credentials {
		fmt.Fprintln(a.out, credentialLine(k))
	}
}

func credentialLine(k admin.Secret) string {
	if k.SiteID != "" {
		return fmt.Sprintf("%-6s site id %s, api key %s  (shown once)", k.Kind, k.SiteID, k.Secret)
	}
	return fmt.Sprintf("%-6s %s  (shown once)", k.Kind, k.Secret)
}

type exportFileCmd struct{ tenant }

// Run is the command.
func (c *exportFileCmd) Run(ctx context.Context, a *app) error {
	var b bytes.Buffer
	if err := c.call(ctx, http.MethodGet, "export", nil, nil, &b); err != nil {
		return err
	}
	_, err := b.WriteTo(a.out)
	return err
}
