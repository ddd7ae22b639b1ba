// Command rapport is the customer-messaging platform: the server, and the tools that talk to one.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"rapport.example/internal/config"
	"rapport.example/internal/fault"
	"rapport.example/internal/heap"
	"rapport.example/internal/server"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // it was tried and did not work
	exitUsage  = 2 // the command line is wrong, or something that it needs is missing
)

// app is what a command runs with.
type app struct {
	out, err io.Writer
	in       io.Reader
}

// cli is the whole command line.
type cli struct {
	Serve      serveCmd      `cmd:"" help:"Run the server."`
	Demo       demoCmd       `cmd:"" help:"Run a server on a scratch folder with believable people and live traffic."`
	Apply      applyCmd      `cmd:"" help:"Create and change what a workspace file names."`
	Export     exportCmd     `cmd:"" help:"Write a workspace as a file that apply reads, or its people."`
	Import     importCmd     `cmd:"" help:"Read a file of people, events, objects or relationships into a workspace."`
	Keys       keysCmd       `cmd:"" help:"Create, list and revoke keys."`
	Agents     agentsCmd     `cmd:"" help:"Show and change what the agents of a workspace may do."`
	Audit      auditCmd      `cmd:"" help:"List and check the record of what agents did."`
	Why        whyCmd        `cmd:"" help:"Tell why a person got a message, or did not."`
	Segments   segmentsCmd   `cmd:"" help:"Look at segments and who is in them."`
	Rejections rejectionsCmd `cmd:"" help:"List what was accepted and not applied, and why."`
	Clock      clockCmd      `cmd:"" help:"Show or move a workspace's clock, to see what happens later."`
	Backup     backupCmd     `cmd:"" help:"Copy the state of a running server into a file."`
	Restore    restoreCmd    `cmd:"" help:"Make a backup the state of a running server."`
	Migrate    migrateCmd    `cmd:"" help:"Bring a database to this program's schema without serving."`
	Catalog    catalogCmd    `cmd:"" help:"The service guide: find, read and score services that an agent can use."`
	Doctor     doctorCmd     `cmd:"" help:"Look at a server as an agent does that has never met it, and say what it does not find."`
	OpenAPI    openapiCmd    `cmd:"" name:"openapi" help:"Print the OpenAPI document of an API."`
	MCP        mcpCmd        `cmd:"" name:"mcp" help:"Serve an AI agent over standard input and output."`
	Bench      benchCmd      `cmd:"" help:"Measure this machine: requests, applied events, mail."`
	Completion completionCmd `cmd:"" help:"Print shell completion."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

func main() {
	floor := heap.Setup()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], &app{out: os.Stdout, err: os.Stderr, in: os.Stdin})
	stop()
	runtime.KeepAlive(floor)
	os.Exit(code)
}

// run parses args, runs the command and turns its error into an exit code.
func run(ctx context.Context, args []string, a *app) int {
	exited := -1
	p, err := parser(ctx, a, func(code int) { exited = code })
	if err != nil {
		fmt.Fprintln(a.err, "rapport:", err)
		return exitUsage
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := p.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(a.err, "rapport: %v\nTry rapport --help.\n", err)
		return exitUsage
	}
	if err := k.Run(p); err != nil {
		return report(a, err)
	}
	return exitOK
}

// parser reads the command line; exit is called after --help.
func parser(ctx context.Context, a *app, exit func(code int)) (*kong.Kong, error) {
	return kong.New(&cli{}, kong.Name("rapport"), kong.Description("Rapport decides who gets which message when. https://rapport.example"),
		kong.Writers(a.out, a.err), kong.Exit(exit), kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Help(helpWithExamples),
		kong.Bind(a), kong.BindTo(ctx, (*context.Context)(nil)), kong.DefaultEnvars("RAPPORT"), kong.Resolvers(kong.ResolverFunc(fromFile)))
}

// report prints an error for a person: what went wrong and what to do, without internals of known kinds.
func report(a *app, err error) int {
	if errors.Is(err, context.Canceled) {
		return exitFailed
	}
	fmt.Fprintln(a.err, "rapport:", err)
	var f *fault.Error
	if errors.As(err, &f) && f.Kind == fault.Invalid {
		return exitUsage
	}
	return exitFailed
}

// fromFile answers the value of a variable RAPPORT_X from the file that RAPPORT_X_FILE names, so that secrets need not
// stand in the environment. The command line goes before it.
func fromFile(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
	for _, name := range f.Envs {
		path := os.Getenv(name + "_FILE")
		if path == "" {
			continue
		}
		if os.Getenv(name) != "" {
			return nil, fmt.Errorf("%s and %s_FILE are both set; keep one", name, name)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s_FILE: %w", name, err)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	return nil, nil //nolint:nilnil // kong's way to say that there is nothing here
}

// logger is the server's, on standard error.
func logger(a *app, o *config.Serve) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	h := &slog.HandlerOptions{Level: level}
	if o.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(a.err, h))
	}
	return slog.New(slog.NewTextHandler(a.err, h))
}

type serveCmd struct {
	config.Serve `embed:""`
}

// Help names what has no flag.
func (*serveCmd) Help() string {
	return `On a new data folder, RAPPORT_SITE_ID, RAPPORT_API_KEY, RAPPORT_APP_KEY, RAPPORT_WRITE_KEY, RAPPORT_AGENT_KEY (agk_…) and RAPPORT_ADMIN_KEY become the first workspace's credentials. What is not set is generated and printed once.`
}

// Run is the command.
func (c *serveCmd) Run(ctx context.Context, a *app) error {
	shareCPUs()
	log := logger(a, &c.Serve)
	return server.Run(ctx, c.Serve, log, func(i server.Info) {
		printCredentials(a, i)
		log.Info("serving", "url", i.URL, "development_mailbox", i.Mailbox)
	})
}

// fewCPUs is up to how many CPUs a server runs twice as many threads as there are.
const fewCPUs = 4

// shareCPUs gives a server on few CPUs more threads than these. With as many the engine keeps one to itself for as long as Go's
// scheduler lets it, 10 ms; with more, the system shares them out in smaller pieces, and who reads meanwhile waits half as long.
// GOMAXPROCS in the environment counts for more.
func shareCPUs() {
	if n := runtime.GOMAXPROCS(0); os.Getenv("GOMAXPROCS") == "" && n <= fewCPUs {
		runtime.GOMAXPROCS(2 * n)
	}
}

// printCredentials shows what the first start has made. It is the only time that the secrets are seen.
func printCredentials(a *app, i server.Info) {
	if !i.Fresh {
		return
	}
	fmt.Fprintln(a.out, "A new workspace was made. These credentials are shown once:")
	for _, k := range i.Credentials {
		if k.SiteID != "" {
			fmt.Fprintf(a.out, "  %-6s site id %s, api key %s\n", k.Kind, k.SiteID, k.Secret)
			continue
		}
		fmt.Fprintf(a.out, "  %-6s %s\n", k.Kind, k.Secret)
	}
}
