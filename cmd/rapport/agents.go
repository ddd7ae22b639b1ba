package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/api/oauth"
	"rapport.example/internal/audit"
	"rapport.example/internal/fault"
)

type agentsCmd struct {
	Show  agentsShowCmd  `cmd:"" help:"Show what the agents of a workspace may do."`
	Stop  agentsStopCmd  `cmd:"" help:"Stop all agents of a workspace: from now on they read, and write nothing."`
	Start agentsStartCmd `cmd:"" help:"Let stopped agents go on."`
	Live  agentsLiveCmd  `cmd:"" help:"Let agents use the scope write:live, or not."`

	Clients agentsClientsCmd `cmd:"" help:"Register programs that ask people for access over OAuth."`
}

type agentsClientsCmd struct {
	Add    clientsAddCmd    `cmd:"" help:"Register a client. One whose client_id is an https address needs none: it describes itself there."`
	List   clientsListCmd   `cmd:"" help:"List the clients that were registered."`
	Remove clientsRemoveCmd `cmd:"" help:"Forget a client, and end all that it was granted."`
}

type clientsAddCmd struct {
	remote
	output
	ID       string   `arg:"" help:"The client_id that the program sends."`
	Name     string   `help:"What people are shown. Default: the client_id." placeholder:"TEXT"`
	Redirect []string `required:"" help:"Address that answers may go to: https, http on this machine (any port), or a scheme of the program's own. Repeat it for more." placeholder:"URL"`
}

// Run is the command.
func (c *clientsAddCmd) Run(ctx context.Context, a *app) error {
	var out oauth.Client
	if err := c.call(ctx, http.MethodPost, "clients", nil, admin.ClientRequest{ID: c.ID, Name: c.Name, Redirects: c.Redirect}, &out); err != nil {
		return err
	}
	if c.JSON {
		return a.print(out)
	}
	fmt.Fprintf(a.out, "client %s is registered\n", out.ID)
	return nil
}

type clientsListCmd struct {
	remote
	output
}

// Run is the command.
func (c *clientsListCmd) Run(ctx context.Context, a *app) error {
	var out admin.ClientsAnswer
	if err := c.call(ctx, http.MethodGet, "clients", nil, nil, &out); err != nil {
		return err
	}
	if c.JSON {
		return a.print(out)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CLIENT ID\tNAME\tCREATED\tREDIRECTS")
	for _, one := range out.Clients {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", one.ID, one.Name, day(one.Created/1000), strings.Join(one.Redirects, " "))
	}
	return w.Flush()
}

type clientsRemoveCmd struct {
	remote
	ID string `arg:"" help:"The client_id."`
}

// Run is the command.
func (c *clientsRemoveCmd) Run(ctx context.Context, a *app) error {
	if err := c.call(ctx, http.MethodDelete, "clients/"+url.PathEscape(c.ID), nil, nil, nil); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "client %s is removed; what it was granted has ended\n", c.ID)
	return nil
}

type agentsShowCmd struct {
	tenant
	output
}

// Run is the command.
func (c *agentsShowCmd) Run(ctx context.Context, a *app) error {
	var out admin.AgentsAnswer
	if err := c.call(ctx, http.MethodGet, "agents", nil, nil, &out); err != nil {
		return err
	}
	return printAgents(a, c.output, out)
}

func printAgents(a *app, o output, out admin.AgentsAnswer) error {
	if o.JSON {
		return a.print(out)
	}
	state, live := "read and write as their keys say", "no"
	if out.Stopped {
		state = "are stopped: they read, and write nothing"
	}
	if out.Live {
		live = "yes"
	}
	fmt.Fprintf(a.out, "agents           %s\nuse write:live   %s\nrecorded calls   %d\n", state, live, out.Recorded)
	return nil
}

type agentsStopCmd struct {
	tenant
	output
}

// Run is the command.
func (c *agentsStopCmd) Run(ctx context.Context, a *app) error {
	return c.set(ctx, a, c.output, map[string]bool{"stopped": true})
}

type agentsStartCmd struct {
	tenant
	output
}

// Run is the command.
func (c *agentsStartCmd) Run(ctx context.Context, a *app) error {
	return c.set(ctx, a, c.output, map[string]bool{"stopped": false})
}

type agentsLiveCmd struct {
	tenant
	output
	State string `arg:"" enum:"on,off" help:"on or off."`
}

// Run is the command.
func (c *agentsLiveCmd) Run(ctx context.Context, a *app) error {
	return c.set(ctx, a, c.output, map[string]bool{"live": c.State == "on"})
}

func (t *tenant) set(ctx context.Context, a *app, o output, change map[string]bool) error {
	var out admin.AgentsAnswer
	if err := t.call(ctx, http.MethodPut, "agents", nil, change, &out); err != nil {
		return err
	}
	return printAgents(a, o, out)
}

type auditCmd struct {
	List   auditListCmd   `cmd:"" help:"List what agents did and were refused, newest first."`
	Verify auditVerifyCmd `cmd:"" help:"Check that no entry of the record was changed, taken out or put in."`
}

type auditListCmd struct {
	tenant
	output
	Tool  string `help:"Only calls of this tool; http for calls of the API without one." placeholder:"NAME"`
	Limit int    `help:"How many at most." default:"50" env:"RAPPORT_AUDIT_LIMIT"`
}

// auditPage is how many entries a request asks for.
const auditPage = 500

// Run is the command.
func (c *auditListCmd) Run(ctx context.Context, a *app) error {
	if c.Limit < 1 {
		return fault.New(fault.Invalid, "--limit must be at least 1")
	}
	out := admin.AuditAnswer{Entries: []audit.Entry{}}
	for seq := int64(0); len(out.Entries) < c.Limit; {
		var page admin.AuditAnswer
		q := url.Values{"newest": {"true"}, "seq": {strconv.FormatInt(seq, 10)}, "limit": {strconv.Itoa(auditPage)}}
		if err := c.call(ctx, http.MethodGet, "audit", q, nil, &page); err != nil {
			return err
		}
		out.Head = page.Head
		for _, e := range page.Entries {
			if (c.Tool == "" || e.Tool == c.Tool) && len(out.Entries) < c.Limit {
				out.Entries = append(out.Entries, e)
			}
		}
		if len(page.Entries) < auditPage {
			break
		}
		seq = page.Entries[len(page.Entries)-1].Seq
	}
	if c.JSON {
		return a.print(out)
	}
	if len(out.Entries) == 0 {
		fmt.Fprintln(a.out, "no agent did anything")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SEQ\tWHEN\tKEY\tTOOL\tOUTCOME\tREQUESTS\tAUDIT ID")
	for i := range out.Entries {
		e := &out.Entries[i]
		outcome := e.Outcome
		if e.Rule != "" {
			outcome += " (" + e.Rule + ")"
		}
		fmt.Fprintf(w, "%d\t%s\t%d\t%s\t%s\t%s\t%s\n", e.Seq, time.UnixMilli(e.At).UTC().Format("2006-01-02 15:04:05"), e.Key, e.Tool, outcome, requests(e.Calls), e.ID)
	}
	return w.Flush()
}

// requests shows up to three of the requests.
func requests(calls []audit.Call) string {
	var out []string
	for _, c := range calls[:min(len(calls), 3)] {
		out = append(out, fmt.Sprintf("%s %s %d", c.Method, c.Path, c.Status))
	}
	if len(calls) > 3 {
		out = append(out, fmt.Sprintf("and %d more", len(calls)-3))
	}
	return strings.Join(out, ", ")
}

type auditVerifyCmd struct {
	tenant
	output
	From int64  `help:"Begin behind this entry, whose hash --hash is, as an earlier check printed it. Default: the first." placeholder:"SEQ"`
	Hash string `help:"Of the entry --from." placeholder:"HEX"`
	File string `help:"Check this file, which rapport mcp --audit-file wrote, and no server's record." placeholder:"FILE"`
}

// auditVerdict is what a check found.
type auditVerdict struct {
	OK   bool       `json:"ok"`
	Seq  int64      `json:"seq"` // of the newest entry that holds
	Hash audit.Hash `json:"hash"`
	Why  string     `json:"why,omitempty"`
}

// Run is the command.
func (c *auditVerifyCmd) Run(ctx context.Context, a *app) error {
	chain := audit.Chain{Seq: c.From}
	if (c.From != 0) != (c.Hash != "") {
		return fault.New(fault.Invalid, "--from and --hash belong together")
	}
	if c.Hash != "" {
		if err := chain.Hash.UnmarshalText([]byte(c.Hash)); err != nil {
			return fault.Wrap(fault.Invalid, err, "--hash is not a hash of 64 hexadecimal digits")
		}
	}
	check := c.walk
	if c.File != "" {
		check = c.walkFile
	}
	broken, err := check(ctx, &chain)
	if err != nil {
		return err
	}
	v := auditVerdict{OK: broken == nil, Seq: chain.Seq, Hash: chain.Hash}
	if broken != nil {
		v.Why = broken.Error()
	}
	if c.JSON {
		if err := a.print(v); err != nil {
			return err
		}
	} else if v.OK {
		fmt.Fprintf(a.out, "the record holds: %d entries\n\nTo check later only what is new, and that this stays:\n\n  rapport audit verify --from %d --hash %x\n", v.Seq-c.From, v.Seq, v.Hash[:])
	}
	if broken != nil {
		return fault.New(fault.Conflict, "the record does not hold: %s", broken)
	}
	return nil
}

// walkFile checks all entries of a file.
func (c *auditVerifyCmd) walkFile(_ context.Context, chain *audit.Chain) (broken *audit.Break, err error) {
	err = audit.Verify(c.File, chain)
	switch {
	case errors.As(err, &broken):
		return broken, nil
	case err != nil:
		return nil, fault.Wrap(fault.Invalid, err, "the record cannot be read")
	}
	return nil, nil
}

// walk checks all entries; broken says where the chain does not hold.
func (c *auditVerifyCmd) walk(ctx context.Context, chain *audit.Chain) (broken *audit.Break, err error) {
	for {
		var page admin.AuditAnswer
		q := url.Values{"seq": {strconv.FormatInt(chain.Seq, 10)}, "limit": {strconv.Itoa(auditPage)}}
		if err := c.call(ctx, http.MethodGet, "audit", q, nil, &page); err != nil {
			return nil, err
		}
		for i := range page.Entries {
			if err := chain.Add(&page.Entries[i]); errors.As(err, &broken) {
				return broken, nil
			}
		}
		switch {
		case len(page.Entries) == auditPage:
		case chain.Seq < page.Head.Seq:
			return &audit.Break{Seq: chain.Seq + 1, Why: "is missing"}, nil
		case chain.Seq == page.Head.Seq && chain.Hash != page.Head.Hash && chain.Seq > 0:
			return &audit.Break{Seq: chain.Seq, Why: "is not the newest one that was written"}, nil
		default:
			return nil, nil
		}
	}
}
