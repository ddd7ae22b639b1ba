package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/audit"
	"rapport.example/internal/catalog"
	"rapport.example/internal/config"
	"rapport.example/internal/fault"
	"rapport.example/internal/id"
	"rapport.example/internal/mcp"
	"rapport.example/internal/server"
	"rapport.example/internal/workspace"
)

type whyCmd struct {
	tenant
	output
	Person   string `arg:"" help:"The person's id, email or cio_…"`
	Campaign string `help:"Only decisions of this campaign: its id in the workspace file, or its number." placeholder:"ID"`
	Limit    int    `help:"How many decisions at most, newest first." default:"50" env:"RAPPORT_WHY_LIMIT"`
}

// Run is the command.
func (c *whyCmd) Run(ctx context.Context, a *app) error {
	q := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	if c.Campaign != "" {
		q.Set("campaign", c.Campaign)
	}
	var out admin.WhyAnswer
	if err := c.call(ctx, http.MethodGet, "people/"+url.PathEscape(c.Person)+"/why", q, nil, &out); err != nil {
		return err
	}
	if c.JSON {
		return a.print(out)
	}
	if len(out.Decisions) == 0 {
		fmt.Fprintln(a.out, "nothing was decided about this person yet")
	}
	for _, d := range out.Decisions {
		fmt.Fprintf(a.out, "%s  %-8s %s: %s\n", time.Unix(d.At, 0).UTC().Format("2006-01-02 15:04:05"), d.Kind, d.Subject, d.Outcome)
		fmt.Fprintf(a.out, "%21s%s\n", "", d.Reason)
	}
	if out.Next != "" {
		fmt.Fprintln(a.out, "older decisions are left out; --limit shows more")
	}
	return nil
}

type clockCmd struct {
	Show    clockShowCmd    `cmd:"" help:"Print the workspace's time."`
	Set     clockSetCmd     `cmd:"" help:"Move the clock forward to a moment."`
	Advance clockAdvanceCmd `cmd:"" help:"Move the clock forward by a duration, like 72h or 3d."`
}

type clockShowCmd struct{ clockTenant }

// Run is the command.
func (c *clockShowCmd) Run(ctx context.Context, a *app) error {
	return c.clock(ctx, a, http.MethodGet, nil)
}

type clockSetCmd struct {
	clockTenant
	Moment string `arg:"" help:"RFC 3339 or Unix seconds."`
}

// Run is the command.
func (c *clockSetCmd) Run(ctx context.Context, a *app) error {
	return c.clock(ctx, a, http.MethodPost, map[string]any{"set": c.Moment})
}

type clockAdvanceCmd struct {
	clockTenant
	Duration string `arg:"" help:"Like 90m, 72h or 3d."`
}

// Run is the command.
func (c *clockAdvanceCmd) Run(ctx context.Context, a *app) error {
	return c.clock(ctx, a, http.MethodPost, map[string]any{"advance": c.Duration})
}

// clockTenant is what the commands for a clock share.
type clockTenant struct {
	tenant
	output
}

func (c *clockTenant) clock(ctx context.Context, a *app, method string, body any) error {
	var out admin.ClockAnswer
	if err := c.call(ctx, method, "clock", nil, body, &out); err != nil {
		return err
	}
	if c.JSON {
		return a.print(out)
	}
	fmt.Fprintf(a.out, "%s", out.Time)
	if out.Offset != 0 {
		fmt.Fprintf(a.out, "  (%s ahead of real time)", time.Duration(out.Offset)*time.Second)
	}
	fmt.Fprintln(a.out)
	return nil
}

type backupCmd struct {
	remote
	To string `arg:"" help:"File to write; it must not exist." placeholder:"FILE"`
}

// Run is the command.
func (c *backupCmd) Run(ctx context.Context, a *app) error {
	f, err := os.OpenFile(c.To, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "cannot make the backup file")
	}
	err = c.call(ctx, http.MethodPost, "backup", nil, nil, io.Writer(f))
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		if rerr := os.Remove(c.To); rerr != nil {
			fmt.Fprintln(a.err, "rapport: the broken backup could not be removed:", rerr)
		}
		return err
	}
	info, err := os.Stat(c.To)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s: %d bytes\n", c.To, info.Size())
	return nil
}

type restoreCmd struct {
	remote
	From    string `arg:"" help:"File that rapport backup wrote." placeholder:"FILE"`
	Replace bool   `help:"Put a state that the server has aside, into a folder of its data folder."`
}

// Help is what --help shows besides.
func (c *restoreCmd) Help() string {
	return `The running server takes the backup for its state and starts anew on it, within a few seconds. Its keys are those of
the backup from then on.

Examples:
  rapport serve --data ./new &
  rapport restore rapport-2027-01-01.backup            # into a server that nobody has used yet
  rapport restore --replace rapport-2027-01-01.backup  # what is there goes into replaced-… of the data folder`
}

// restartWithin bounds the wait for the server after a restore. It drains first, and then opens what may be large.
const restartWithin = 5 * time.Minute

// Run is the command.
func (c *restoreCmd) Run(ctx context.Context, a *app) error {
	f, err := os.Open(c.From)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "cannot read the backup")
	}
	defer f.Close() //nolint:errcheck // read only
	info, err := f.Stat()
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "cannot read the backup")
	}
	before, err := c.started(ctx)
	if err != nil {
		return err
	}
	query := url.Values{}
	if c.Replace {
		query.Set("replace", "true")
	}
	sent := &sending{f: f, bar: newProgress(a.err, "sending", max(1, int(info.Size()>>sendingStep)))}
	var out struct{ Aside string }
	err = c.call(ctx, http.MethodPost, "restore", query, sent, &out)
	sent.bar.done()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, restartWithin)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if now, err := c.started(ctx); err == nil && now != before {
			break
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "the server took the backup and did not come back within %s; its log says why", restartWithin)
		case <-tick.C:
		}
	}
	fmt.Fprintf(a.out, "restored; the keys are those of the backup. What was there before is in %s on the server.\n", out.Aside)
	return nil
}

// started says when the server has started, by its own words.
func (c *restoreCmd) started(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.Server, "/")+"/readyz", http.NoBody)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "--server is not an address")
	}
	client := http.Client{Timeout: 10 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return "", c.unreachable(err)
	}
	defer res.Body.Close() //nolint:errcheck // not read
	at := res.Header.Get("X-Rapport-Started")
	if at == "" {
		return "", fault.New(fault.Unavailable, "the server is not ready (%s)", res.Status)
	}
	return at, nil
}

// sending is a file on its way, with a bar that moves once per MiB.
type sending struct {
	f    *os.File
	n    int64
	bar  *progress
	seen int64
}

const sendingStep = 20 // bits of a MiB

// Read is part of io.Reader.
func (s *sending) Read(b []byte) (int, error) {
	n, err := s.f.Read(b)
	for s.n += int64(n); s.n>>sendingStep > s.seen; s.seen++ {
		s.bar.step()
	}
	return n, err
}

type migrateCmd struct {
	Data        string `help:"Data folder. Default: ${default}." default:"./rapport-data" env:"RAPPORT_DATA" placeholder:"DIR"`
	DatabaseURL string `name:"database-url" help:"PostgreSQL database instead." env:"RAPPORT_DATABASE_URL" placeholder:"URL"`
}

// Run is the command.
func (c *migrateCmd) Run(ctx context.Context, a *app) error {
	done, err := server.Migrate(ctx, config.Serve{Data: c.Data, DatabaseURL: c.DatabaseURL})
	if err != nil {
		return err
	}
	for _, name := range done {
		fmt.Fprintln(a.out, "applied", name)
	}
	if len(done) == 0 {
		fmt.Fprintln(a.out, "the schema is up to date")
	}
	return nil
}

type mcpCmd struct {
	Connection string   `help:"What to work on: self (a Rapport server) or customerio (the hosted service)." enum:"self,customerio" default:"self" env:"RAPPORT_CONNECTION"`
	Server     string   `help:"Address of the running server. Default: ${default}." default:"http://127.0.0.1:8080" env:"RAPPORT_SERVER" placeholder:"URL"`
	AgentKey   string   `help:"Agent key (agk_…), for self." env:"RAPPORT_AGENT_KEY" placeholder:"KEY"`
	Region     string   `help:"Of the hosted service: us or eu." enum:"us,eu" default:"us" env:"RAPPORT_REGION"`
	SiteID     string   `help:"Of the Track API of the hosted service." env:"RAPPORT_SITE_ID" placeholder:"ID"`
	APIKey     string   `name:"api-key" help:"Of the Track API of the hosted service." env:"RAPPORT_API_KEY" placeholder:"KEY"`
	AppKey     string   `help:"App API key of the hosted service." env:"RAPPORT_APP_KEY" placeholder:"KEY"`
	TrackURL   string   `help:"Instead of the hosted service's Track API." env:"RAPPORT_TRACK_URL" placeholder:"URL"`
	AppURL     string   `help:"Instead of the hosted service's App API." env:"RAPPORT_APP_URL" placeholder:"URL"`
	Scopes     []string `help:"On the hosted service: what the agent may do. read, read:sensitive, write, write:live, configure, audit. Default: read." placeholder:"SCOPE"`
	AuditFile  string   `help:"On the hosted service: file that records what the agent did; none for no record. Default: audit.jsonl in the user's folder of rapport." env:"RAPPORT_AUDIT_FILE" placeholder:"FILE"`
	Toolsets   []string `help:"Toolsets to offer, or all. Default: context, people, segments, messages, catalog." env:"RAPPORT_TOOLSETS" placeholder:"SET"`
	Tools      []string `help:"Tools to offer besides." env:"RAPPORT_TOOLS" placeholder:"TOOL"`
	Exclude    []string `name:"exclude-tools" help:"Tools not to offer." env:"RAPPORT_EXCLUDE_TOOLS" placeholder:"TOOL"`
	ReadOnly   bool     `help:"Offer only tools that change nothing." env:"RAPPORT_READ_ONLY"`
	Listen     string   `help:"On the hosted service: serve over HTTP at this address instead, to whoever has the agent key." env:"RAPPORT_MCP_LISTEN" placeholder:"HOST:PORT"`
}

// Run is the command.
func (c *mcpCmd) Run(ctx context.Context, a *app) error {
	config := config.Serve{LogLevel: "warn"}
	o := mcp.Options{
		Secret: []byte(id.Secret(32)), Version: version(), Logger: logger(a, &config), Now: time.Now,
		Operations: server.Operations(), Docs: server.Pages(), Skills: server.Skills(),
		Select: mcp.Selection{Toolsets: c.Toolsets, Tools: c.Tools, Exclude: c.Exclude, ReadOnly: c.ReadOnly},
	}
	switch {
	case c.Listen != "" && c.Connection != "customerio":
		return fault.New(fault.Invalid, "--listen is for the hosted service: a Rapport server serves agents itself, at /mcp")
	case c.Listen != "" && !strings.HasPrefix(c.AgentKey, "agk_"):
		return fault.New(fault.Invalid, "--listen needs RAPPORT_AGENT_KEY, RAPPORT_AGENT_KEY_FILE or --agent-key: a key that you make up, which starts with agk_ and which agents bring")
	case c.Connection == "customerio":
		if c.Scopes == nil {
			c.Scopes = []string{workspace.Read}
		}
		o.Scopes = c.Scopes
		o.Hosted = &mcp.Hosted{
			Region: c.Region, TrackURL: strings.TrimSuffix(c.TrackURL, "/"), AppURL: strings.TrimSuffix(c.AppURL, "/"),
			SiteID: c.SiteID, APIKey: c.APIKey, AppKey: c.AppKey,
		}
		o.Limits, o.Verify = mcp.VendorLimits(), c.verify
		if err := c.record(&o); err != nil {
			return err
		}
	case !strings.HasPrefix(c.AgentKey, "agk_"):
		return fault.New(fault.Invalid, "no agent key: set RAPPORT_AGENT_KEY, RAPPORT_AGENT_KEY_FILE or --agent-key to a key that starts with agk_ (rapport keys create --kind agent)")
	default:
		o.URL, o.Key = strings.TrimSuffix(c.Server, "/"), c.AgentKey
	}
	all, err := ownGuide(ctx, o.URL)
	if err != nil {
		return err
	}
	o.Guide = func(context.Context) (*catalog.Catalog, error) { return all, nil }
	s, err := mcp.New(o)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the tools cannot be offered so")
	}
	if c.Listen != "" {
		return c.listen(ctx, a, s.Handler())
	}
	return s.Stdio(ctx)
}

// record has what the agent does recorded in a file, since the hosted service keeps no record.
func (c *mcpCmd) record(o *mcp.Options) error {
	path := c.AuditFile
	switch path {
	case "none":
		return nil
	case "":
		dir, err := os.UserConfigDir()
		if err != nil {
			return fault.Wrap(fault.Invalid, err, "there is no folder for the record of what the agent does: name a file with --audit-file")
		}
		path = filepath.Join(dir, "rapport", "audit.jsonl")
	}
	f, err := audit.Open(path)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "what the agent does cannot be recorded in "+path)
	}
	o.Audit, o.Recorded = f.Append, f.Each
	return nil
}

type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Run is the command.
func (c *versionCmd) Run(a *app) error {
	if c.JSON {
		return a.print(map[string]string{"version": version()})
	}
	fmt.Fprintln(a.out, "rapport", version())
	return nil
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "development, commit " + s.Value
		}
	}
	return "development"
}
