package discovery

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

//go:embed page.html
var pageFile embed.FS

// LLMs is llms.txt without the documentation, with {{base}} for the server's address.
//
//go:embed llms.txt
var LLMs []byte

// pageOf is the frame of a page; a failure to parse it is found by every test.
var pageOf = template.Must(template.ParseFS(pageFile, "page.html"))

// about says for whom a page is, in the order in which llms.txt lists them. Others come after.
var about = []struct{ name, note string }{
	{"agents", "how an agent connects, tools, scopes, the record"},
	{"track-and-app", "the Track and App APIs: what is there, limits, errors, and where the vendor is silent"},
	{"pipelines", "the Pipelines API"},
	{"segments", "the condition language"},
	{"workspace-files", "segments, campaigns and messages as files"},
	{"imports", "files of people and events, in"},
	{"exports", "files of people and deliveries, out"},
	{"operating", "flags, keys, backups, deprecation"},
	{"services", "the service guide and its scores"},
	{"glossary", "what words mean here"},
}

// optional are pages that an agent rarely needs.
var optional = map[string]string{"formats": "what is stored, byte by byte", "performance": "what was measured", "agents-tools": "what the tools cost in tokens"}

// llms is llms.txt: what the server is, and where everything is.
func (h *Handler) llms(w http.ResponseWriter, r *http.Request) {
	base := h.base(r)
	out := bytes.ReplaceAll(LLMs, []byte("{{base}}"), []byte(base))
	out = append(bytes.TrimRight(out, "\n"), "\n\n## Docs\n\n"...)
	line := func(name, note string) {
		for _, d := range h.docs {
			if d.Name == name {
				out = append(out, "- ["+d.Title+"]("+base+"/docs/"+name+".md): "+note+"\n"...)
			}
		}
	}
	for _, a := range about {
		line(a.name, a.note)
	}
	out = append(out, "\n## Guides\n\n"...)
	for _, s := range h.skill {
		note, _, _ := strings.Cut(s.Description, ". ")
		out = append(out, "- [Skill: "+s.Name+"]("+base+s.URL+"): "+note+"\n"...)
	}
	out = append(out, "- [Service guide]("+base+"/services.md): services that an agent can use, ranked\n"+
		"- [Deprecation policy]("+base+"/docs/operating.md#deprecation): how long what goes away still works\n\n## Optional\n\n"+
		"- [Everything in one text]("+base+"/llms-full.txt): all pages above\n"...)
	for _, name := range []string{"formats", "performance", "agents-tools"} {
		line(name, optional[name])
	}
	send(w, "text/plain; charset=utf-8", out)
}

// full is the documentation in one text.
func (h *Handler) full(w http.ResponseWriter, r *http.Request) {
	out := []byte("# Rapport: all documentation\n\n> The pages of " + h.base(r) + "/docs, one after the other. llms.txt is shorter.\n")
	for _, a := range about {
		for _, d := range h.docs {
			if d.Name == a.name {
				out = append(out, "\n---\n\nSource: "+h.base(r)+"/docs/"+d.Name+"\n\n"+d.Text...)
			}
		}
	}
	send(w, "text/plain; charset=utf-8", out)
}

type shown struct {
	Title string
	Name  string
	Body  template.HTML
	Pages []document
}

// contents lists the pages.
func (h *Handler) contents(w http.ResponseWriter, _ *http.Request) {
	var list strings.Builder
	list.WriteString("<h1>Documentation</h1>\n<ul>\n")
	for _, a := range about {
		for _, d := range h.docs {
			if d.Name == a.name {
				list.WriteString(`<li><a href="/docs/` + d.Name + `">` + template.HTMLEscapeString(d.Title) + "</a>: " + template.HTMLEscapeString(a.note) + "</li>\n")
			}
		}
	}
	list.WriteString("</ul>\n")
	h.show(w, shown{Title: "Documentation", Body: template.HTML(list.String())}) //nolint:gosec // ours
}

// page is one page, as Markdown to whoever asks for it.
func (h *Handler) page(w http.ResponseWriter, r *http.Request) {
	name, plain := strings.CutSuffix(r.PathValue("page"), ".md")
	accept := r.Header.Get("Accept")
	plain = plain || strings.Contains(accept, "text/markdown") && !strings.Contains(accept, "text/html")
	for _, d := range h.docs {
		if d.Name != name {
			continue
		}
		w.Header().Set("Vary", "Accept")
		w.Header().Add("Link", `</docs/`+d.Name+`.md>; rel="alternate"; type="text/markdown"`)
		if plain {
			send(w, "text/markdown; charset=utf-8", []byte("> [llms.txt](/llms.txt) lists what this server tells agents.\n\n"+d.Text))
			return
		}
		h.show(w, shown{Title: d.Title, Name: d.Name, Body: template.HTML(d.html)}) //nolint:gosec // rendered from our own files
		return
	}
	http.NotFound(w, r)
}

// image is a picture that a page shows.
func (h *Handler) image(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, h.o.Docs, "images/"+r.PathValue("file"))
}

func (h *Handler) show(w http.ResponseWriter, s shown) {
	for _, a := range about {
		for _, d := range h.docs {
			if d.Name == a.name {
				s.Pages = append(s.Pages, d)
			}
		}
	}
	var out bytes.Buffer
	if err := pageOf.Execute(&out, s); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	send(w, "text/html; charset=utf-8", out.Bytes())
}

// render makes HTML of a page's Markdown. Links to other files of the documentation lead to their pages.
func render(source []byte) ([]byte, error) {
	md := goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(
		parser.WithAutoHeadingID(), parser.WithASTTransformers(util.Prioritized(linker{}, 100))))
	var out bytes.Buffer
	err := md.Convert(source, &out)
	return out.Bytes(), err
}

type linker struct{}

// Transform is part of parser.ASTTransformer.
func (linker) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	_ = ast.Walk(doc, func(n ast.Node, enter bool) (ast.WalkStatus, error) { //nolint:errcheck // the function below does not fail
		if l, ok := n.(*ast.Link); ok && enter && !bytes.Contains(l.Destination, []byte("://")) {
			file, at, found := bytes.Cut(l.Destination, []byte("#"))
			file = bytes.TrimSuffix(file, []byte(".md"))
			if name, schema := bytes.CutPrefix(file, []byte("../internal/definition/schema/")); schema { // it is served
				file = append([]byte("/schema/"), name...)
			}
			if l.Destination = file; found {
				l.Destination = append(append(bytes.Clone(file), '#'), at...)
			}
		}
		return ast.WalkContinue, nil
	})
}
