package doctor

import (
	"fmt"
	"regexp"
	"strings"
)

const maxLLMs = 10 << 10 // bytes of llms.txt

func documents() []check {
	return []check{
		{
			"llms", "/llms.txt", "An agent that knows only the address reads it first.",
			"Serve text: # Name, a line of quote, then ## sections with - [name](url): note, 10 KB at most.", llms,
		},
		{"llms-full", "/llms-full.txt", "Agents with room read everything in one request.", "Serve all documentation as one Markdown text.", full},
		{
			"markdown", "Documentation as Markdown", "HTML costs an agent several times the tokens.",
			"Answer Accept: text/markdown, and the same address with .md, with Markdown whose first line links to /llms.txt.", markdown,
		},
		{
			"robots", "/robots.txt", "Crawlers for search and for training ask it what they may read.",
			"Allow documentation, name the sitemap, and add a Content-Signal line.", robots,
		},
		{"sitemap", "Sitemap", "It lists the pages that there are.", "Serve /sitemap.xml with the address of every page and name it in robots.txt.", sitemap},
		{
			"links", "Link headers", "A client finds the API and the Markdown of a page without guessing.",
			`Send Link: </.well-known/api-catalog>; rel="api-catalog" and, on pages, rel="alternate"; type="text/markdown".`, links,
		},
	}
}

var (
	textLink = regexp.MustCompile(`(?m)^- \[[^\]]+\]\(([^)\s]+)\)`)
	docLink  = regexp.MustCompile(`(?m)^- \[[^\]]+\]\(([^)\s]*/docs/[^)\s]+)\)`)
)

func llms(l *look) finding {
	a := l.get("/llms.txt", "text/plain")
	if why := a.missing(); why != "" {
		return bad(why)
	}
	text := string(a.body)
	links := textLink.FindAllString(text, -1)
	switch {
	case !strings.HasPrefix(text, "# "):
		return bad("its first line is not a heading, # Name")
	case !strings.Contains(text, "\n> "):
		return bad("it has no summary, a line that begins with >")
	case !strings.Contains(text, "\n## "):
		return bad("it has no ## sections")
	case len(links) == 0:
		return bad("it has no links of the form - [name](url): note")
	case len(text) > maxLLMs:
		return bad(fmt.Sprintf("it has %d bytes, more than %d", len(text), maxLLMs))
	}
	return ok(fmt.Sprintf("%d links, %d bytes", len(links), len(text)))
}

func full(l *look) finding {
	a := l.get("/llms-full.txt", "text/plain")
	if why := a.missing(); why != "" {
		return bad(why)
	}
	if !strings.HasPrefix(string(a.body), "# ") || len(a.body) <= len(l.get("/llms.txt", "text/plain").body) {
		return bad("it is no longer than llms.txt, or does not begin with a heading")
	}
	return ok(fmt.Sprintf("%d KB", len(a.body)>>10))
}

// page is a page of the documentation that llms.txt names, without .md.
func (l *look) page() string {
	m := docLink.FindSubmatch(l.get("/llms.txt", "text/plain").body)
	if m == nil {
		return ""
	}
	return strings.TrimSuffix(string(m[1]), ".md")
}

func markdown(l *look) finding {
	page := l.page()
	if page == "" {
		return bad("llms.txt names no page under /docs/")
	}
	for _, a := range []*answer{l.get(page, "text/markdown"), l.get(page+".md", "")} {
		if why := a.missing(); why != "" {
			return bad(why)
		}
		switch {
		case a.kind != "text/markdown":
			return bad(fmt.Sprintf("%s answers %s", a.path, a.kind))
		case !strings.Contains(a.line(0), "llms.txt"):
			return bad(a.path + ": its first line does not link to /llms.txt")
		}
	}
	return ok(page)
}

var blocked = regexp.MustCompile(`(?mi)^user-agent:\s*\*\s*\n(?:.*\n)*?disallow:\s*/\s*$`)

func robots(l *look) finding {
	a := l.get("/robots.txt", "")
	if why := a.missing(); why != "" {
		return bad(why)
	}
	text := strings.ToLower(string(a.body))
	switch {
	case !strings.Contains(text, "user-agent:"):
		return bad("it has no User-agent line")
	case blocked.MatchString(text + "\n"):
		return bad("it keeps everybody out of everything")
	case !strings.Contains(text, "sitemap:"):
		return bad("it names no sitemap")
	case !strings.Contains(text, "content-signal:"):
		return bad("it has no Content-Signal line")
	}
	return ok("with sitemap and content signals")
}

func sitemap(l *look) finding {
	a := l.get("/sitemap.xml", "")
	if why := a.missing(); why != "" {
		return bad(why)
	}
	n := strings.Count(string(a.body), "<loc>")
	if !strings.Contains(string(a.body), "<urlset") || n == 0 {
		return bad("it lists no pages")
	}
	return ok(fmt.Sprintf("%d pages", n))
}

func links(l *look) finding {
	if head := strings.Join(l.get("/", "").header.Values("Link"), ", "); !strings.Contains(head, `rel="api-catalog"`) {
		return bad(`/ has no Link with rel="api-catalog"`)
	}
	page := l.page()
	if page == "" {
		return bad("llms.txt names no page under /docs/")
	}
	head := strings.Join(l.get(page, "text/html").header.Values("Link"), ", ")
	if !strings.Contains(head, `rel="alternate"`) || !strings.Contains(head, "text/markdown") {
		return bad(page + ` has no Link with rel="alternate"; type="text/markdown"`)
	}
	return ok("api-catalog and alternate")
}
