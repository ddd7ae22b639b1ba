package admin

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"

	"rapport.example/internal/catalog"
	"rapport.example/internal/fault"
)

// servicePolicy is pagePolicy with our own script, which makes tabs of the examples and adds buttons that copy. Without it
// everything is there, one below the other.
const servicePolicy = pagePolicy + "; script-src 'self'"

// serviceRoutes are the pages of the service guide. They are open: what they show is the same for everybody.
func (p *pages) serviceRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /services", p.services)
	mux.HandleFunc("GET /services.md", p.services)
	mux.HandleFunc("GET /services.json", p.services)
	mux.HandleFunc("GET /services/{id}", p.service)
	for name, schema := range map[string][]byte{"service-1.json": catalog.ServiceSchema, "recipe-1.json": catalog.RecipeSchema} {
		mux.HandleFunc("GET /schema/"+name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/schema+json")
			w.Header().Set("Access-Control-Allow-Origin", "*")
			_, _ = w.Write(schema) //nolint:errcheck // it only fails when the reader is gone
		})
	}
}

// answerKind is the kind of answer that a request asks for: by the ending of its path, else by its Accept header.
func answerKind(r *http.Request) string {
	for _, end := range []string{"md", "json"} {
		if strings.HasSuffix(r.URL.Path, "."+end) {
			return end
		}
	}
	accept := r.Header.Get("Accept")
	switch {
	case strings.Contains(accept, "text/html"):
	case strings.Contains(accept, "text/markdown"):
		return "md"
	case strings.Contains(accept, "application/json"):
		return "json"
	}
	return "html"
}

// plain writes an answer that is no page.
func (p *pages) plain(w http.ResponseWriter, r *http.Request, kind, text string, v any) {
	h := w.Header()
	h.Set("Vary", "Accept")
	h.Set("Cache-Control", "public, max-age=300")
	if kind == "md" {
		h.Set("Content-Type", "text/markdown; charset=utf-8")
		_, _ = w.Write([]byte("> [llms.txt](/llms.txt) lists what this server tells agents.\n\n" + text)) //nolint:errcheck // it only fails when the reader is gone
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		p.fail(w, r, fmt.Errorf("encode the guide: %w", err))
		return
	}
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(b) //nolint:errcheck // it only fails when the reader is gone
}

// public is the frame of a page that needs no session: with one it is that of every page.
func (p *pages) public(w http.ResponseWriter, r *http.Request) (frame, error) {
	w.Header().Set("Content-Security-Policy", servicePolicy)
	w.Header().Set("Vary", "Accept, Cookie")
	w.Header().Add("Link", `<`+strings.TrimSuffix(r.URL.EscapedPath(), "/")+`.md>; rel="alternate"; type="text/markdown"`)
	if p.s.sessions.of(r) == nil {
		return frame{Path: r.URL.Path, Section: "services", Guest: true}, nil
	}
	f, err := p.frame(r)
	f.Section = "services"
	return f, err
}

// servicesData is the content of the page that ranks services.
type servicesData struct {
	Intent, Category, Access string
	Categories               []string
	Groups                   []serviceGroup // the ranking, by category
	Hits                     []catalog.Hit  // of an intent
	Recipes                  []catalog.Recipe
	Honesty                  string
}

type serviceGroup struct {
	Category string
	Rows     []catalog.Ranked
}

// ServiceRow is a service in the ranking.
type ServiceRow struct {
	Place         int            `json:"place"`
	ID            string         `json:"id"`
	Name          string         `json:"name"`
	Summary       string         `json:"summary"`
	Own           bool           `json:"own,omitempty"`
	Access        catalog.Access `json:"access"`
	Readiness     catalog.Score  `json:"readiness"`
	AsOf          string         `json:"as_of"`
	Compatibility catalog.Score  `json:"aeo_score"`
	URL           string         `json:"url"`
}

// ServicesAnswer is the ranking, by category.
type ServicesAnswer struct {
	Formula    string                  `json:"formula"`
	How        string                  `json:"how"`
	Categories map[string][]ServiceRow `json:"categories"`
	Recipes    []catalog.Recipe        `json:"recipes"`
}

func (p *pages) services(w http.ResponseWriter, r *http.Request) {
	all, err := p.s.guide(r.Context())
	if err != nil {
		p.fail(w, r, err)
		return
	}
	q := r.URL.Query()
	d := servicesData{
		Intent: strings.TrimSpace(q.Get("q")), Category: q.Get("category"), Access: q.Get("access"), Categories: all.Categories(), Recipes: all.Recipes(), Honesty: catalog.Honesty,
	}
	hits, err := all.Search(catalog.Query{Intent: d.Intent, Category: d.Category, Access: catalog.Access(d.Access), Limit: 100})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if kind := answerKind(r); kind != "html" {
		p.plain(w, r, kind, all.Markdown(d.Category), ranking(all, d.Category))
		return
	}
	if d.Intent != "" {
		for i := range hits {
			hits[i].Place = 0 // the best fit stands first, whatever its place in the ranking
		}
		d.Hits = hits
	} else {
		d.Groups = groups(hits, d.Categories)
	}
	f, err := p.public(w, r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	f.Title, f.Data = "Services", d
	p.render(w, http.StatusOK, "services.html", f)
}

func groups(hits []catalog.Hit, categories []string) (out []serviceGroup) {
	for _, c := range categories {
		g := serviceGroup{Category: c}
		for _, h := range hits {
			if h.Category == c {
				h.Place = len(g.Rows) + 1
				g.Rows = append(g.Rows, h.Ranked)
			}
		}
		if len(g.Rows) > 0 {
			out = append(out, g)
		}
	}
	return out
}

func ranking(all *catalog.Catalog, category string) ServicesAnswer {
	out := ServicesAnswer{Formula: catalog.FormulaVersion, How: catalog.Honesty, Categories: map[string][]ServiceRow{}, Recipes: all.Recipes()}
	for _, c := range all.Categories() {
		if category != "" && c != category {
			continue
		}
		for _, r := range all.Rank(c) {
			out.Categories[c] = append(out.Categories[c], ServiceRow{
				r.Place, r.ID, r.Name, r.Summary, r.Own, r.Access, r.Readiness.Score, r.Readiness.AsOf, r.Compatibility, "/services/" + r.ID,
			})
		}
	}
	return out
}

func (p *pages) service(w http.ResponseWriter, r *http.Request) {
	all, err := p.s.guide(r.Context())
	if err != nil {
		p.fail(w, r, err)
		return
	}
	id, kind := r.PathValue("id"), answerKind(r)
	if kind != "html" {
		id = strings.TrimSuffix(id, "."+kind)
	}
	d := all.Detail(id)
	switch {
	case d == nil:
		p.fail(w, r, fault.New(fault.NotFound, "there is no such service in the guide"))
		return
	case kind != "html":
		p.plain(w, r, kind, d.Markdown(), d)
		return
	}
	f, err := p.public(w, r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	f.Title, f.Data = "Connect "+d.Service.Name, d
	p.render(w, http.StatusOK, "service.html", f)
}

// refs are links to the facts that something rests on; the numbers are those of the page's list of facts.
func refs(d *catalog.Detail, keys ...any) template.HTML {
	var b strings.Builder
	put := func(key string) {
		if n := d.Number(key); n > 0 {
			fmt.Fprintf(&b, `<a class="ref" href="#fact-%d" aria-label="Fact %d">%d</a>`, n, n, n)
		}
	}
	for _, k := range keys {
		switch k := k.(type) {
		case string:
			put(k)
		case []string:
			for _, key := range k {
				put(key)
			}
		}
	}
	return template.HTML(b.String()) //nolint:gosec // numbers and our own words only
}

// gradeClass is the colour of a grade. None is red: most low ones say that little is verified, not that a service is bad.
func gradeClass(g catalog.Grade) string {
	if strings.HasPrefix(string(g), "A") {
		return "good"
	}
	return ""
}

// accessName is how far an agent gets, for people.
func accessName(a catalog.Access) string {
	switch a {
	case catalog.Verified:
		return "Verified"
	case catalog.Connectable:
		return "Connectable"
	case catalog.InfoOnly:
		return "Information only"
	}
	return string(a)
}

// web tells addresses that a browser can open from places in our own source.
func web(source string) bool {
	return strings.HasPrefix(source, "https://") || strings.HasPrefix(source, "http://")
}

// shortly is an address by its host and the last part of its path.
func shortly(source string) string {
	u, err := url.Parse(source)
	if err != nil {
		return source
	}
	switch dir, last := path.Split(strings.Trim(u.Path, "/")); {
	case dir != "":
		return u.Host + "/…/" + last
	case last != "":
		return u.Host + "/" + last
	}
	return u.Host
}

// slash is where a line may end, hyphened are words in which it should not: hosts such as api-eu, options, dates.
var (
	slash    = regexp.MustCompile(`[^:/]/`)
	hyphened = regexp.MustCompile(`[\w.]*-+\w[\w.-]*`)
)

// maxWhole is the longest word with a hyphen, in bytes, that fits every column of a phone in one piece.
const maxWhole = 20

// lines is text whose lines may end behind a slash of a path and do not end at a hyphen.
func lines(text string) template.HTML {
	text = slash.ReplaceAllString(template.HTMLEscapeString(text), "$0<wbr>")
	return template.HTML(hyphened.ReplaceAllStringFunc(text, func(word string) string { //nolint:gosec // escaped
		if len(word) > maxWhole {
			return word
		}
		return `<wbr><span class="whole">` + word + "</span>"
	}))
}

func plus(n, m int) int { return n + m }
