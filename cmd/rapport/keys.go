package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

type keysCmd struct {
	Create keysCreateCmd `cmd:"" help:"Create a key and print its secret, once."`
	List   keysListCmd   `cmd:"" help:"List keys without their secrets."`
	Rotate keysRotateCmd `cmd:"" help:"Create a key that takes the place of another one, which ends after an overlap."`
	Allow  keysAllowCmd  `cmd:"" help:"Show or set the addresses from which a workspace's keys may be used."`
	Revoke keysRevokeCmd `cmd:"" help:"Revoke a key at once."`
}

type keysCreateCmd struct {
	tenant
	output
	Kind      string   `required:"" enum:"track,app,write,admin,agent" help:"What the key opens: track, app, write, admin or agent."`
	Name      string   `help:"Label, to recognise it later." placeholder:"TEXT"`
	Scopes    []string `aliases:"scope" help:"Of agent keys: read, read:sensitive, write, write:live, configure, audit; default: read and write. Of App keys: read, write, send; default: all." placeholder:"SCOPE"`
	ReadOnly  bool     `help:"The same as --scopes read."`
	ExpiresIn string   `help:"Lifetime, like 90d. Default: it does not expire." placeholder:"DURATION"`
	Limit     int64    `help:"Of agent keys: requests a minute, to each server. Default: no limit of their own." placeholder:"N"`
}

// Run is the command.
func (c *keysCreateCmd) Run(ctx context.Context, a *app) error {
	if c.ReadOnly && len(c.Scopes) > 0 {
		return fault.New(fault.Invalid, "--read-only and --scopes exclude each other")
	}
	if c.ReadOnly {
		c.Scopes = []string{workspace.Read}
	}
	var out admin.Secret
	req := admin.KeyRequest{Kind: workspace.Kind(c.Kind), Name: c.Name, Workspace: c.Workspace, Scopes: c.Scopes, ExpiresIn: c.ExpiresIn, PerMinute: c.Limit}
	if err := c.call(ctx, http.MethodPost, "keys", nil, req, &out); err != nil {
		return err
	}
	if c.JSON {
		return a.print(out)
	}
	fmt.Fprintln(a.out, credentialLine(out))
	return nil
}

type keysListCmd struct {
	tenant
	output
	Kind string `enum:"track,app,write,admin,agent," default:"" help:"Only keys of this kind."`
}

// Run is the command.
func (c *keysListCmd) Run(ctx context.Context, a *app) error {
	var out admin.KeysAnswer
	if err := c.call(ctx, http.MethodGet, "keys", nil, nil, &out); err != nil {
		return err
	}
	if c.JSON {
		return a.print(out)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tKIND\tWORKSPACE\tNAME\tSITE ID\tSTARTS WITH\tSCOPES\tCREATED\tLAST USED\tSTATE")
	for _, k := range out.Keys {
		if c.Kind != "" && string(k.Kind) != c.Kind {
			continue
		}
		state := "valid"
		switch {
		case k.Revoked != 0:
			state = "revoked " + day(k.Revoked)
		case k.Client != "":
			state = "granted to " + k.Client
		case k.Expires != 0:
			state = "until " + day(k.Expires)
		}
		if k.Replaced != 0 {
			state += ", then " + strconv.FormatInt(k.Replaced, 10)
		}
		ws := strconv.FormatInt(k.Workspace, 10)
		if k.Workspace == 0 {
			ws = "all"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s…\t%s\t%s\t%s\t%s\n", k.ID, k.Kind, ws, k.Name, k.SiteID, k.Prefix, strings.Join(k.Scopes, " "), day(k.Created), day(k.LastUsed), state)
	}
	return w.Flush()
}

func day(sec int64) string {
	if sec == 0 {
		return "never"
	}
	return time.Unix(sec, 0).UTC().Format("2006-01-02")
}

type keysRevokeCmd struct {
	remote
	ID int64 `arg:"" help:"Number of the key, from keys list."`
}

// Run is the command.
func (c *keysRevokeCmd) Run(ctx context.Context, a *app) error {
	if err := c.call(ctx, http.MethodDelete, "keys/"+strconv.FormatInt(c.ID, 10), nil, nil, nil); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "key %d is revoked\n", c.ID)
	return nil
}

type keysRotateCmd struct {
	remote
	output
	ID        int64  `arg:"" help:"Number of the key, from keys list."`
	Overlap   string `help:"How long the old key goes on working: like 24h, or 0s." default:"24h" placeholder:"DURATION"`
	ExpiresIn string `help:"Lifetime of the new key, like 90d. Default: what the old one was made for." placeholder:"DURATION"`
}

// Run is the command.
func (c *keysRotateCmd) Run(ctx context.Context, a *app) error {
	var out admin.Rotation
	req := admin.RotateRequest{Overlap: c.Overlap, ExpiresIn: c.ExpiresIn}
	if err := c.call(ctx, http.MethodPost, "keys/"+strconv.FormatInt(c.ID, 10)+"/rotate", nil, req, &out); err != nil {
		return err
	}
	if c.JSON {
		return a.print(out)
	}
	fmt.Fprintln(a.out, credentialLine(out.Secret))
	fmt.Fprintf(a.out, "key %d takes the place of key %d, which ends at %s\n", out.ID, out.Replaces, time.Unix(out.Ends, 0).UTC().Format(time.RFC3339))
	return nil
}

type keysAllowCmd struct {
	tenant
	output
	Addresses []string `arg:"" optional:"" name:"address" help:"Addresses and networks, like 192.0.2.7 and 10.0.0.0/8: from then on these alone. Default: show the list."`
	Anywhere  bool     `help:"Empty the list: keys may be used from everywhere."`
}

// Run is the command.
func (c *keysAllowCmd) Run(ctx context.Context, a *app) error {
	var out admin.AllowedAddresses
	method, body := http.MethodGet, any(nil)
	switch {
	case c.Anywhere && len(c.Addresses) > 0:
		return fault.New(fault.Invalid, "--anywhere and addresses exclude each other")
	case c.Anywhere || len(c.Addresses) > 0:
		method, body = http.MethodPut, admin.AllowedAddresses{Allow: append([]string{}, c.Addresses...)}
	}
	if err := c.call(ctx, method, "allowed_addresses", nil, body, &out); err != nil {
		return err
	}
	switch {
	case c.JSON:
		return a.print(out)
	case len(out.Allow) == 0:
		fmt.Fprintln(a.out, "keys may be used from everywhere")
	default:
		fmt.Fprintln(a.out, strings.Join(out.Allow, "\n"))
	}
	return nil
}
