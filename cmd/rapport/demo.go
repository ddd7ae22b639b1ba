package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	rapport "rapport.example"
	"rapport.example/internal/api/admin"
	"rapport.example/internal/config"
	"rapport.example/internal/fault"
	"rapport.example/internal/server"
	"rapport.example/internal/workspace"
)

type demoCmd struct {
	Listen   string `help:"Address to serve HTTP on. Default: ${default}." default:"127.0.0.1:8080" env:"RAPPORT_LISTEN" placeholder:"HOST:PORT"`
	People   int    `help:"How many people arrive over the 60 simulated days." default:"320"`
	Seed     uint64 `help:"Seed of the made-up people: the same seed makes the same people." default:"7"`
	LogLevel string `help:"Least level that is logged." enum:"debug,info,warn,error" default:"warn" env:"RAPPORT_LOG_LEVEL"`
}

// demo is a running demo.
type demo struct {
	a      *app
	url    string
	track  string // Authorization
	admin  remote
	client http.Client
}

// Run is the command.
func (c *demoCmd) Run(ctx context.Context, a *app) error {
	shareCPUs()
	dir, err := os.MkdirTemp("", "rapport-demo-")
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "cannot make a scratch folder")
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(a.err, "rapport: the scratch folder was not removed:", err)
		}
	}()
	o := config.Serve{Data: dir, Listen: c.Listen, Limits: "off", LogLevel: c.LogLevel, LogFormat: "text", Region: "us", ArchiveDays: 30}
	serve, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ready, ended := make(chan server.Info, 1), make(chan error, 1)
	go func() {
		ended <- server.Run(serve, o, logger(a, &o), func(i server.Info) { ready <- i })
	}()
	var info server.Info
	select {
	case info = <-ready:
	case err := <-ended:
		return err
	}
	d := newDemo(a, info)
	err = d.run(ctx, info, people(c.People, c.Seed))
	stop()
	if serr := <-ended; serr != nil {
		err = errors.Join(err, serr)
	}
	if ctx.Err() != nil {
		fmt.Fprintln(a.out, "\nstopped; the scratch folder is removed")
		return nil
	}
	return err
}

func newDemo(a *app, info server.Info) *demo {
	d := &demo{a: a, url: info.URL, admin: remote{Server: info.URL}}
	for _, k := range info.Credentials {
		switch k.Kind {
		case workspace.Track:
			d.track = "Basic " + base64.StdEncoding.EncodeToString([]byte(k.SiteID+":"+k.Secret))
		case workspace.Admin:
			d.admin.AdminKey = k.Secret
		default:
		}
	}
	return d
}

func (d *demo) run(ctx context.Context, info server.Info, cast []persona) error {
	req := admin.ApplyRequest{File: "onboarding.yaml", YAML: rapport.Onboarding}
	if err := d.admin.call(ctx, http.MethodPost, "apply", nil, req, &admin.ApplyAnswer{}); err != nil {
		return fmt.Errorf("apply the example: %w", err)
	}
	bar := newProgress(d.a.err, "60 days of arrivals", demoDays)
	for day := range demoDays {
		if err := d.day(ctx, day, cast); err != nil {
			return err
		}
		if err := d.admin.call(ctx, http.MethodPost, "clock", nil, map[string]any{"advance": "24h"}, &admin.ClockAnswer{}); err != nil {
			return fmt.Errorf("advance the clock: %w", err)
		}
		if err := d.react(ctx, cast); err != nil {
			return err
		}
		bar.step()
	}
	bar.done()
	d.welcome(info, len(cast))
	return d.live(ctx, cast)
}

// day sends what happens on one day as one batch.
func (d *demo) day(ctx context.Context, day int, cast []persona) error {
	var ops []map[string]any
	for i := range cast {
		ops = append(ops, cast[i].on(day)...)
	}
	for len(ops) > 0 {
		n := min(200, len(ops))
		if err := d.post(ctx, "/api/v2/batch", map[string]any{"batch": ops[:n]}); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}

// on is what a person does on a day.
func (p *persona) on(day int) []map[string]any {
	who := map[string]any{"id": p.id}
	event := func(name string, data map[string]any) map[string]any {
		return map[string]any{"type": "person", "action": "event", "identifiers": who, "name": name, "attributes": data}
	}
	var ops []map[string]any
	if day == p.arrives {
		ops = append(ops, map[string]any{"type": "person", "action": "identify", "identifiers": who, "attributes": map[string]any{
			"email": p.email, "first_name": p.first, "last_name": p.last, "plan": p.plan, "country": p.country,
		}}, event("signed_up", map[string]any{"plan": p.plan, "source": p.source}))
	}
	if p.activates >= 0 && day == p.arrives+p.activates {
		ops = append(ops, event("activated", map[string]any{"project": "first"}))
	}
	for _, after := range p.buys {
		if day == p.arrives+after {
			ops = append(ops, event("purchase", map[string]any{"amount": 9 + 10*(after%5), "currency": "EUR"}))
		}
	}
	return ops
}

var oneLink = regexp.MustCompile(`https?://[^"'<> ]+/e/[cu]/[^"'<> ]+`)

// react lets people do something with the mail that they got: some click, a few unsubscribe.
func (d *demo) react(ctx context.Context, cast []persona) error {
	var page struct {
		Messages []struct {
			To, HTML string
		}
	}
	if err := d.admin.call(ctx, http.MethodGet, "mailbox", url.Values{"limit": {"20"}}, nil, &page); err != nil {
		return fmt.Errorf("read the mailbox: %w", err)
	}
	for i, m := range page.Messages {
		links := oneLink.FindAllString(m.HTML, -1)
		for _, l := range links {
			unsubscribe := strings.Contains(l, "/e/u/")
			if unsubscribe != leaves(cast, m.To) || !unsubscribe && i%3 != 0 {
				continue
			}
			if err := d.visit(ctx, l, unsubscribe); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

func leaves(cast []persona, to string) bool {
	for i := range cast {
		if strings.Contains(to, cast[i].email) {
			return cast[i].leaves
		}
	}
	return false
}

func (d *demo) visit(ctx context.Context, link string, post bool) error {
	method, body := http.MethodGet, ""
	if post {
		method, body = http.MethodPost, "List-Unsubscribe=One-Click"
	}
	req, err := http.NewRequestWithContext(ctx, method, link, strings.NewReader(body))
	if err != nil {
		return err
	}
	if post {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("follow a link: %w", err)
	}
	return res.Body.Close()
}

func (d *demo) post(ctx context.Context, path string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", d.track)
	req.Header.Set("Content-Type", "application/json")
	res, err := d.client.Do(req)
	if err != nil {
		return fmt.Errorf("send traffic: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	if res.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 500)) //nolint:errcheck // the status says enough
		return fmt.Errorf("send traffic: %s: %s", res.Status, text)
	}
	return nil
}

// firstSteps is a request to try: somebody who signs up.
const firstSteps = `{"batch":[{"type":"person","action":"identify","identifiers":{"id":"42"},"attributes":{"email":"ada@example.com","plan":"pro"}},` +
	`{"type":"person","action":"event","identifiers":{"id":"42"},"name":"signed_up","attributes":{"plan":"pro"}}]}`

// welcome prints what there is to try.
func (d *demo) welcome(info server.Info, n int) {
	out := d.a.out
	var track, agent string
	for _, k := range info.Credentials {
		switch k.Kind {
		case workspace.Track:
			track = k.SiteID + ":" + k.Secret
		case workspace.Agent:
			agent = k.Secret
		default:
		}
	}
	fmt.Fprintf(out, "\n%d people arrived over %d simulated days. Look at their mail:\n\n  %s   (log in with the admin key below)\n\n", n, demoDays, info.URL)
	for _, k := range info.Credentials {
		if k.SiteID != "" {
			fmt.Fprintf(out, "  %-6s %s:%s\n", k.Kind, k.SiteID, k.Secret)
		} else {
			fmt.Fprintf(out, "  %-6s %s\n", k.Kind, k.Secret)
		}
	}
	fmt.Fprintf(out, "\nSend a person and an event, as any Customer.io client would; the welcome mail is there a moment later:\n\n  curl -u %s %s/api/v2/batch -H 'Content-Type: application/json' -d '%s'\n", track, info.URL, firstSteps)
	fmt.Fprintf(out, "\nFor this workspace it is %s now: its clock runs %d days ahead. Send no timestamps, or such as count from then.\n", time.Now().AddDate(0, 0, demoDays).Format(time.DateOnly), demoDays)
	fmt.Fprintf(out, "\nAsk why somebody got a message:\n\n  RAPPORT_ADMIN_KEY=%s rapport why u0001 --server %s\n", d.admin.AdminKey, info.URL)
	fmt.Fprintf(out, "\nConnect an agent (MCP):\n\n  {\"mcpServers\":{\"rapport\":{\"type\":\"http\",\"url\":\"%s/mcp\",\"headers\":{\"Authorization\":\"Bearer %s\"}}}}\n", info.URL, agent)
	fmt.Fprintf(out, "\nA little live traffic keeps flowing. Ctrl-C stops.\n")
}

// live sends an event now and then until ctx ends.
func (d *demo) live(ctx context.Context, cast []persona) error {
	names := []string{"logged_in", "logged_in", "purchase", "activated", "invited_friend"}
	for {
		t := time.NewTimer(time.Second + rand.N(2*time.Second))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		p := cast[rand.IntN(len(cast))]
		body := map[string]any{"name": names[rand.IntN(len(names))], "data": map[string]any{"source": "live"}}
		if err := d.post(ctx, "/api/v1/customers/"+p.id+"/events", body); err != nil && ctx.Err() == nil {
			return err
		}
	}
}
