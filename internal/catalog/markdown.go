package catalog

import (
	"fmt"
	"slices"
	"strings"
)

// Honesty says how to read a score. It stands under every one that is shown.
const Honesty = "Scores are computed from the facts by published rules (" + FormulaVersion + "), without anybody's judgement. A fact that was read in a public source " +
	"earns 60 % of a check's points, a probe of our own 85 %, tasks that were carried out all of them; a claim earns nothing, and so does what nobody has verified. " +
	"Sources were read on the day that is given, some of them in an archived copy. Probes, tests, imported numbers and reports of agents are never added up."

// Markdown is the ranking as a page of Markdown.
func (c *Catalog) Markdown(category string) string {
	var b strings.Builder
	b.WriteString("# Services that an agent can use\n\n")
	for _, name := range c.Categories() {
		if category != "" && name != category {
			continue
		}
		fmt.Fprintf(&b, "## %s\n\n| # | Service | Readiness | Compatibility | Access |\n|---|---|---|---|---|\n", CategoryName(name))
		for _, r := range c.Rank(name) {
			own := ""
			if r.Own {
				own = " (our own)"
			}
			fmt.Fprintf(&b, "| %d | [%s](/services/%s.md)%s | %s | %s | %s |\n", r.Place, cell(r.Name), r.ID, own, r.Readiness, r.Compatibility, r.Access)
		}
		b.WriteByte('\n')
	}
	return b.String() + Honesty + "\n"
}

// CategoryName is a category for people.
func CategoryName(c string) string {
	if c == "" {
		return ""
	}
	return strings.ToUpper(c[:1]) + strings.ReplaceAll(c[1:], "-", " ")
}

// cell keeps a text inside its cell of a table.
func cell(s string) string { return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s) }

// Markdown is the connection guide as a page of Markdown. Numbers in brackets are facts, listed with source and date at its end.
func (d *Detail) Markdown() string {
	s := d.Service
	var b strings.Builder
	fmt.Fprintf(&b, "# How to connect %s\n\n%s\n\n", s.Name, s.Summary)
	if s.Own {
		b.WriteString("This is our own product, scored by the same rules as every other.\n\n")
	}
	fmt.Fprintf(&b, "- Readiness: %s (%s), place %d of %d in %s\n", d.Readiness, d.Readiness.Label, d.Place, d.Of, CategoryName(s.Category))
	fmt.Fprintf(&b, "- Compatibility (AEO): %s\n- Access: %s\n- Homepage: %s\n", d.Compatibility.Score, d.Access, s.Homepage)
	if s.Docs != "" {
		fmt.Fprintf(&b, "- Documentation: %s\n", s.Docs)
	}
	d.notes(&b, "Set-up", s.Guide.Setup)
	d.ways(&b)
	if len(s.Endpoints) > 0 {
		b.WriteString("\n## Endpoints\n\n| API | Method | Path | Purpose |\n|---|---|---|---|\n")
		for _, e := range s.Endpoints {
			fmt.Fprintf(&b, "| %s | %s | `%s` | %s%s |\n", cell(e.API), e.Method, cell(e.Path), cell(e.Purpose), d.refs(e.Fact))
		}
	}
	if len(s.Guide.Quickstart) > 0 {
		b.WriteString("\n## Quickstart\n")
		for _, q := range s.Guide.Quickstart {
			fmt.Fprintf(&b, "\n### %s%s\n\n```%s\n%s\n```\n", LangName(q.Lang), d.refs(q.Fact), fence(q.Lang), strings.TrimRight(q.Code, "\n"))
		}
	}
	d.notes(&b, "Pitfalls", s.Guide.Pitfalls)
	d.notes(&b, "Tips", s.Guide.Tips)
	if len(s.FAQ) > 0 {
		b.WriteString("\n## Questions\n")
		for _, q := range s.FAQ {
			fmt.Fprintf(&b, "\n**%s** %s%s\n", q.Question, q.Answer, d.refs(q.Facts...))
		}
	}
	d.corrections(&b)
	b.WriteString("\n" + d.Explain())
	d.recipes(&b)
	d.facts(&b)
	return b.String()
}

// LangName is the language of an example for people.
func LangName(lang string) string {
	switch lang {
	case "curl":
		return "cURL"
	case "go":
		return "Go"
	case "node":
		return "Node"
	case "python":
		return "Python"
	case "mcp":
		return "MCP"
	}
	return lang
}

func fence(lang string) string {
	switch lang {
	case "curl":
		return "sh"
	case "node":
		return "js"
	case "mcp":
		return "json"
	}
	return lang
}

func (d *Detail) refs(keys ...string) string {
	var out strings.Builder
	for _, k := range keys {
		if n := d.Number(k); n > 0 {
			fmt.Fprintf(&out, " [%d]", n)
		}
	}
	return out.String()
}

func (d *Detail) notes(b *strings.Builder, title string, list []Note) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n", title)
	for i, n := range list {
		mark := "-"
		if title == "Set-up" {
			mark = fmt.Sprintf("%d.", i+1)
		}
		fmt.Fprintf(b, "%s %s%s\n", mark, n.Text, d.refs(n.Facts...))
	}
}

// ways lists MCP servers and APIs.
func (d *Detail) ways(b *strings.Builder) {
	for _, m := range d.Service.MCP {
		fmt.Fprintf(b, "\n## MCP server (%s)%s\n\n", m.Kind, d.refs(m.Fact))
		row(b, "Address", m.URL)
		row(b, "Command", m.Command)
		row(b, "Transports", strings.Join(m.Transports, ", "))
		row(b, "Auth", m.Auth)
		if m.Tools > 0 {
			row(b, "Tools", fmt.Sprint(m.Tools))
		}
		row(b, "Scopes", strings.Join(m.Scopes, ", "))
	}
	for _, a := range d.Service.APIs {
		fmt.Fprintf(b, "\n## %s API%s\n\n", a.Name, d.refs(a.Facts...))
		for _, region := range Regions(a) {
			row(b, "Base URL ("+region+")", a.BaseURLs[region])
		}
		row(b, "Versions", strings.Join(a.Versions, ", "))
		row(b, "Auth", strings.Join(a.Auth, "; "))
		row(b, "Body", strings.Join(a.ContentType, ", "))
		row(b, "Pagination", strings.Join(a.Pagination, "; "))
		for _, l := range a.RateLimits {
			row(b, "Limit, "+l.Class, l.Limit+d.refs(l.Fact))
		}
		row(b, "Errors", strings.Join(a.ErrorFormat, "; "))
		row(b, "Idempotency", a.Idempotency)
		row(b, "Webhooks", a.Webhooks)
		row(b, "OpenAPI", a.OpenAPI)
		row(b, "Sandbox", a.Sandbox)
	}
}

// Regions lists the regions of an API, by name.
func Regions(a API) []string {
	var out []string
	for r := range a.BaseURLs {
		out = append(out, r)
	}
	slices.Sort(out)
	return out
}

func row(b *strings.Builder, name, value string) {
	if value != "" {
		fmt.Fprintf(b, "- %s: %s\n", name, value)
	}
}

func (d *Detail) corrections(b *strings.Builder) {
	if len(d.Service.Corrections()) == 0 && len(d.Service.Changes) == 0 {
		return
	}
	b.WriteString("\n## Corrections and changes\n\n")
	for _, f := range d.Service.Corrections() {
		fmt.Fprintf(b, "- ~~%s~~ (%s, %s). Now: %s%s\n", f.Value, f.Source, f.CheckedAt, d.Service.Fact(f.ReplacedBy).Value, d.refs(f.ReplacedBy))
	}
	for _, c := range d.Service.Changes {
		fmt.Fprintf(b, "- %s: %s%s\n", c.Date, c.Text, d.refs(c.Fact))
	}
}

// Explain shows how the two scores came about, check by check, as Markdown.
func (d *Detail) Explain() string {
	var b strings.Builder
	r := d.Readiness
	fmt.Fprintf(&b, "## Readiness %s\n\n%.2f of %g points, facts as of %s, formula %s. Most points rest on %s (%s).\n",
		r, r.Points, r.Possible, r.AsOf, r.Formula, r.Evidence, r.Evidence.Label())
	for _, dom := range r.Domains {
		fmt.Fprintf(&b, "\n### %s: %.2f of %g\n\n| Check | Outcome | Points | Evidence |\n|---|---|---|---|\n", dom.Name, dom.Points, dom.Possible)
		for _, c := range dom.Results {
			shown := string(c.Evidence) + d.refs(c.Facts...)
			if c.Reason != "" {
				shown = c.Reason
			}
			fmt.Fprintf(&b, "| %s | %s | %.2f of %g | %s |\n", c.Name, c.Outcome, c.Points, c.Possible, cell(shown))
		}
	}
	c := d.Compatibility
	fmt.Fprintf(&b, "\n## Compatibility (AEO) %s\n\nInputs: %s. Formula %s.\n", c.Score, c.Inputs, c.Formula)
	if p := c.AsPublished; p != nil {
		fmt.Fprintf(&b, "\n%s published %.2f, %s on %s; from the inputs of that day (%s) the formula gives %s. %s\n",
			p.Directory, p.Score, p.Grade, p.AsOf, p.Inputs, p.Recomputed, p.Inferred)
	}
	fmt.Fprintf(&b, "\n%s\n", Honesty)
	return b.String()
}

// String lists the inputs in words.
func (in Inputs) String() string {
	have := []string{"MCP " + in.MCP}
	for _, x := range []struct {
		name string
		ok   bool
	}{{"API", in.API}, {"authentication", in.Auth}, {"three reports", in.Reports}, {"80 % success", in.Success}, {"trust", in.Trust}} {
		if x.ok {
			have = append(have, x.name)
		} else {
			have = append(have, "no "+x.name)
		}
	}
	return strings.Join(have, ", ")
}

func (d *Detail) recipes(b *strings.Builder) {
	if len(d.Recipes) == 0 {
		return
	}
	b.WriteString("\n## Recipes\n")
	for _, r := range d.Recipes {
		fmt.Fprintf(b, "\n### %s\n\nRisk %s, evidence %s (%s), verified %s, source %s\n\n", r.Goal, r.Risk, r.Evidence, r.Evidence.Label(), r.LastVerified, r.Source)
		for i, s := range r.Steps {
			fmt.Fprintf(b, "%d. %s: `%s`\n", i+1, s.Service, s.Operation)
			if s.ErrorHint != "" {
				fmt.Fprintf(b, "   - %s\n", s.ErrorHint)
			}
		}
		for _, g := range r.Gotchas {
			fmt.Fprintf(b, "- Mind: %s\n", g)
		}
	}
}

func (d *Detail) facts(b *strings.Builder) {
	b.WriteString("\n## Facts\n\n| # | Fact | Source | Checked | Evidence |\n|---|---|---|---|---|\n")
	for i, f := range d.Service.Facts {
		text := f.Value
		if f.Status != "" {
			text = f.Status + ": " + text
		}
		if f.Note != "" {
			text += " (" + f.Note + ")"
		}
		fmt.Fprintf(b, "| %d | %s | %s | %s | %s |\n", i+1, cell(text), cell(f.Source), f.CheckedAt, f.Evidence)
	}
}
