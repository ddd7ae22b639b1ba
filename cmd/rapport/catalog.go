package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"rapport.example/internal/catalog"
	"rapport.example/internal/catalog/probe"
	"rapport.example/internal/config"
	"rapport.example/internal/fault"
	"rapport.example/internal/server"
)

// catalogCmd works without a server.
type catalogCmd struct {
	Search  catalogSearchCmd  `cmd:"" help:"Find services for a task."`
	Show    catalogShowCmd    `cmd:"" help:"Print how to connect a service: the guide with its sources."`
	Score   catalogScoreCmd   `cmd:"" help:"Print both scores of services, with the inputs."`
	Rank    catalogRankCmd    `cmd:"" help:"List services by readiness, for each category."`
	Explain catalogExplainCmd `cmd:"" help:"Print how a service's scores came about, check by check."`
	Probe   catalogProbeCmd   `cmd:"" help:"Ask hosts that you name what they serve to agents: at most ten GET requests each, without credentials."`
}

// guided is what all commands of the guide take.
type guided struct {
	JSON bool   `name:"json" help:"Print JSON."`
	From string `name:"from" help:"Take Rapport's own entry from this running server, which has been asked what it serves. Default: from the program alone." env:"RAPPORT_CATALOG_FROM" placeholder:"URL"`
}

// catalog is the program's, with its own entry.
func (g *guided) catalog(ctx context.Context) (*catalog.Catalog, error) {
	c, err := ownGuide(ctx, "http://127.0.0.1:8080")
	if err != nil || g.From == "" {
		return c, err
	}
	own, err := ownEntry(ctx, strings.TrimSuffix(g.From, "/"))
	if err != nil {
		return nil, err
	}
	return c.With(*own), nil
}

// ownGuide is the guide as the program alone knows it: a server's entry has the vendor's limits and what the program declares.
func ownGuide(ctx context.Context, base string) (*catalog.Catalog, error) {
	o := config.Serve{LimitTrack: 100, LimitApp: 10, LimitSend: 100, LimitPipelines: 1000}
	return server.Guide(ctx, o, base, nil, time.Now())
}

// maxEntry is the longest entry that is read from a server, in bytes.
const maxEntry = 4 << 20

func ownEntry(ctx context.Context, base string) (*catalog.Service, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/services/"+catalog.OwnID+".json", http.NoBody)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "--from is not an address")
	}
	client := http.Client{Timeout: 30 * time.Second}
	res, err := client.Do(r)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the server cannot be reached")
	}
	defer res.Body.Close() //nolint:errcheck // read only
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", res.Status)
	}
	var d struct {
		Service *catalog.Service `json:"service"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxEntry)).Decode(&d); err != nil || d.Service == nil || d.Service.ID != catalog.OwnID {
		return nil, fault.New(fault.Invalid, "what the server answered is not the entry of a Rapport server")
	}
	return d.Service, nil
}

// detail is one service, or an error that names those whose id is close.
func (g *guided) detail(ctx context.Context, id string) (*catalog.Detail, error) {
	c, err := g.catalog(ctx)
	if err != nil {
		return nil, err
	}
	return detailOf(c, id)
}

func detailOf(c *catalog.Catalog, id string) (*catalog.Detail, error) {
	if d := c.Detail(id); d != nil {
		return d, nil
	}
	hits, err := c.Search(catalog.Query{Intent: id[:min(len(id), 100)], Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(hits) == 1 {
		return nil, fault.New(fault.NotFound, "there is no service %q; did you mean %s?", id, hits[0].ID)
	}
	return nil, fault.New(fault.NotFound, "there is no service %q; rapport catalog rank lists all", id)
}

type catalogSearchCmd struct {
	guided
	Intent   []string `arg:"" help:"What is to be done, in words."`
	Category string   `help:"Only services of this category." placeholder:"NAME"`
	Ready    string   `enum:"verified,connectable,info_only," default:"" help:"Only verified, connectable or info_only services."`
	Limit    int      `help:"How many at most, 1 to 100. Default: ${default}." default:"5" env:"RAPPORT_CATALOG_LIMIT"`
}

// Run is the command.
func (c *catalogSearchCmd) Run(ctx context.Context, a *app) error {
	all, err := c.catalog(ctx)
	if err != nil {
		return err
	}
	hits, err := all.Search(catalog.Query{Intent: strings.Join(c.Intent, " "), Category: c.Category, Access: catalog.Access(c.Ready), Limit: c.Limit})
	if err != nil {
		return err
	}
	if c.JSON {
		return a.print(map[string]any{"services": hits})
	}
	if len(hits) == 0 {
		fmt.Fprintln(a.out, "no service fits; try other words, or rapport catalog rank")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tREADINESS\tCOMPATIBILITY\tACCESS\tWHY")
	for _, h := range hits {
		fmt.Fprintf(w, "%s\t%.2f %s\t%.2f %s\t%s\t%s\n", h.ID, h.Readiness.Score.Score, h.Readiness.Grade, h.Compatibility.Score, h.Compatibility.Grade, h.Access, strings.Join(h.Why, ", "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "\nThe guide of the first: rapport catalog show %s\n", hits[0].ID)
	return nil
}

type catalogShowCmd struct {
	guided
	ID string `arg:"" help:"Id of the service."`
}

// Run is the command.
func (c *catalogShowCmd) Run(ctx context.Context, a *app) error {
	d, err := c.detail(ctx, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return a.print(d)
	}
	fmt.Fprint(a.out, d.Markdown())
	return nil
}

type catalogExplainCmd struct {
	guided
	ID string `arg:"" help:"Id of the service."`
}

// Run is the command.
func (c *catalogExplainCmd) Run(ctx context.Context, a *app) error {
	d, err := c.detail(ctx, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return a.print(map[string]any{"id": c.ID, "readiness": d.Readiness, "aeo_score": d.Compatibility})
	}
	fmt.Fprintf(a.out, "# %s\n\n%s", d.Service.Name, d.Explain())
	return nil
}

type catalogScoreCmd struct {
	guided
	IDs []string `arg:"" optional:"" help:"Ids of services. Default: all."`
}

// Run is the command.
func (c *catalogScoreCmd) Run(ctx context.Context, a *app) error {
	all, err := c.catalog(ctx)
	if err != nil {
		return err
	}
	if len(c.IDs) == 0 {
		for _, s := range all.Services() {
			c.IDs = append(c.IDs, s.ID)
		}
	}
	type score struct {
		ID            string             `json:"id"`
		Readiness     catalog.Score      `json:"readiness"`
		AsOf          string             `json:"as_of"`
		Compatibility catalog.Compatible `json:"aeo_score"`
	}
	scores := []score{}
	for _, id := range c.IDs {
		d, err := detailOf(all, id)
		if err != nil {
			return err
		}
		scores = append(scores, score{id, d.Readiness.Score, d.Readiness.AsOf, d.Compatibility})
	}
	if c.JSON {
		return a.print(map[string]any{"scores": scores})
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tREADINESS\tAS OF\tCOMPATIBILITY\tINPUTS")
	for _, s := range scores {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.ID, s.Readiness, s.AsOf, s.Compatibility.Score, s.Compatibility.Inputs)
	}
	return w.Flush()
}

type catalogRankCmd struct {
	guided
	Category string `help:"Only this category." placeholder:"NAME"`
}

// Run is the command.
func (c *catalogRankCmd) Run(ctx context.Context, a *app) error {
	all, err := c.catalog(ctx)
	if err != nil {
		return err
	}
	out := map[string][]catalog.Ranked{}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, name := range all.Categories() {
		if c.Category != "" && name != c.Category {
			continue
		}
		out[name] = all.Rank(name)
		if c.JSON {
			continue
		}
		fmt.Fprintf(w, "%s\n", strings.ToUpper(name))
		for _, r := range out[name] {
			own := ""
			if r.Own {
				own = "our own"
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%.2f\t%s\t%s\n", r.Place, r.ID, r.Readiness.Grade, r.Readiness.Score.Score, r.Access, own)
		}
	}
	if len(out) == 0 {
		return fault.New(fault.Invalid, "there is no category %q; there are %s", c.Category, strings.Join(all.Categories(), ", "))
	}
	if c.JSON {
		return a.print(map[string]any{"categories": out})
	}
	return w.Flush()
}

type catalogProbeCmd struct {
	Hosts   []string `arg:"" help:"Origins to ask, like https://api.example.com. No other host is asked."`
	Service string   `help:"Show what the findings would make of this service's score." placeholder:"ID"`
	JSON    bool     `name:"json" help:"Print JSON."`
}

// maxProbes is how many hosts one command asks.
const maxProbes = 10

// Run is the command.
func (c *catalogProbeCmd) Run(ctx context.Context, a *app) error {
	if len(c.Hosts) > maxProbes {
		return fault.New(fault.Invalid, "at most %d hosts at a time", maxProbes)
	}
	var d *catalog.Detail
	if c.Service != "" {
		var err error
		if d, err = (&guided{}).detail(ctx, c.Service); err != nil {
			return err
		}
	}
	results := []probe.Result{}
	for _, host := range c.Hosts {
		r, err := probe.Run(ctx, probe.Options{Now: time.Now}, host)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	out := map[string]any{"results": results}
	if d != nil {
		s := *d.Service
		for _, r := range results {
			s.Facts = append(s.Facts[:len(s.Facts):len(s.Facts)], r.Facts...)
		}
		out["service_id"], out["readiness"], out["readiness_with_findings"] = s.ID, d.Readiness.Score, catalog.Ready(&s).Score
	}
	if c.JSON {
		return a.print(out)
	}
	for _, r := range results {
		fmt.Fprintf(a.out, "%s, %d requests\n", r.Host, r.Requests)
		for _, f := range r.Facts {
			fmt.Fprintf(a.out, "  found      %s (%s)\n", f.Value, f.Source)
		}
		for _, m := range r.Missing {
			fmt.Fprintf(a.out, "  not found  %s\n", m)
		}
		if len(r.Failed) > 0 {
			fmt.Fprintf(a.out, "  no answer  %s\n", strings.Join(r.Failed, ", "))
		}
	}
	if d != nil {
		fmt.Fprintf(a.out, "readiness of %s: %s, with these findings %s\n", c.Service, d.Readiness.Score, out["readiness_with_findings"])
	}
	return nil
}
