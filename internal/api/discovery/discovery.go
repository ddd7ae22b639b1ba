// Package discovery serves what a server shows to whoever knows nothing but its address: llms.txt, the documentation as pages and as
// Markdown, the list of its APIs, the forms by which MCP clients and registries know it, skills, and what crawlers ask for. All of it
// is open and the same for everybody.
package discovery

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
)

// Options is what is shown.
type Options struct {
	Docs   fs.FS // NAME.md, adr/NAME.md and images/FILE
	Skills fs.FS // NAME/SKILL.md
	// Server is server.json: the form of the MCP registry, with {host} in the addresses.
	Server []byte
	// Base is the server's address as others see it, without a slash at the end; "" = that of the request.
	Base    string
	Version string
	// Example is a workspace file to begin with, which the documentation links to.
	Example string
	// Contracts are the paths of OpenAPI documents that are served, by the path of the API that they describe.
	Contracts map[string]string
}

// Handler serves the documents. It is safe for concurrent use.
type Handler struct {
	o     Options
	mux   *http.ServeMux
	docs  []document
	skill []skill
}

// document is a page of the documentation.
type document struct {
	Name, Title, Text string // Name is its path under /docs/
	html              []byte
}

// skill is a file for agents.
type skill struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Description string `json:"description"`
	URL         string `json:"url"`
	Digest      string `json:"digest"`
	text        []byte
}

// Paths are those that New's handler answers, as patterns of http.ServeMux without a method.
func Paths() []string {
	return []string{
		"/llms.txt", "/llms-full.txt", "/docs", "/docs/", "/robots.txt", "/sitemap.xml", "/server.json", "/.well-known/api-catalog",
		"/.well-known/mcp/server-card.json", "/.well-known/agent-skills/", "/examples/",
	}
}

// New reads what there is. An error means that a file that belongs to the program is not as it should be.
func New(o Options) (*Handler, error) {
	h := &Handler{o: o, mux: http.NewServeMux()}
	if err := h.readDocs(); err != nil {
		return nil, err
	}
	if err := h.readSkills(); err != nil {
		return nil, err
	}
	for pattern, serve := range map[string]http.HandlerFunc{
		"/llms.txt": h.llms, "/llms-full.txt": h.full, "/docs": h.contents, "/docs/{page...}": h.page, "/docs/images/{file}": h.image, "/robots.txt": h.robots, "/sitemap.xml": h.sitemap,
		"/server.json": h.server, "/.well-known/mcp/server-card.json": h.card, "/.well-known/api-catalog": h.catalog,
		"/examples/onboarding.yaml": h.example, "/.well-known/agent-skills/index.json": h.index, "/.well-known/agent-skills/{name}/SKILL.md": h.skillFile,
	} {
		h.mux.HandleFunc("GET "+pattern, serve)
	}
	return h, nil
}

// ServeHTTP is part of http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cache-Control", "public, max-age=300")
	head.Add("Link", CatalogLink)
	h.mux.ServeHTTP(w, r)
}

// CatalogLink is the Link field by which a page leads to the list of APIs, RFC 9727.
const CatalogLink = `</.well-known/api-catalog>; rel="api-catalog"`

func (h *Handler) readDocs() error {
	for _, pattern := range []string{"*.md", "adr/*.md"} {
		files, err := fs.Glob(h.o.Docs, pattern)
		if err != nil {
			return fmt.Errorf("list the documentation: %w", err)
		}
		for _, file := range files {
			text, err := fs.ReadFile(h.o.Docs, file)
			if err != nil {
				return fmt.Errorf("read the documentation: %w", err)
			}
			title, _, _ := strings.Cut(strings.TrimPrefix(string(text), "# "), "\n")
			d := document{Name: strings.TrimSuffix(file, ".md"), Title: title, Text: string(text)}
			if d.html, err = render(text); err != nil {
				return fmt.Errorf("render %s: %w", file, err)
			}
			h.docs = append(h.docs, d)
		}
	}
	return nil
}

func (h *Handler) readSkills() error {
	files, err := fs.Glob(h.o.Skills, "*/SKILL.md")
	if err != nil {
		return fmt.Errorf("list the skills: %w", err)
	}
	for _, file := range files {
		text, err := fs.ReadFile(h.o.Skills, file)
		if err != nil {
			return fmt.Errorf("read the skills: %w", err)
		}
		sum := sha256.Sum256(text)
		s := skill{Type: "skill-md", URL: "/.well-known/agent-skills/" + file, Digest: "sha256:" + hex.EncodeToString(sum[:]), text: text}
		for line := range strings.SplitSeq(string(text), "\n") {
			if v, ok := strings.CutPrefix(line, "name: "); ok && s.Name == "" {
				s.Name = v
			}
			if v, ok := strings.CutPrefix(line, "description: "); ok && s.Description == "" {
				s.Description = v
			}
		}
		if s.Name != path.Dir(file) || s.Description == "" {
			return fmt.Errorf("%s must begin with a name, which is that of its folder, and a description", file)
		}
		h.skill = append(h.skill, s)
	}
	return nil
}

// base is the server's address for who asks.
func (h *Handler) base(r *http.Request) string {
	if h.o.Base != "" {
		return h.o.Base
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func send(w http.ResponseWriter, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(body) //nolint:errcheck // it only fails when the reader is gone
}

func sendJSON(w http.ResponseWriter, kind string, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, "the document could not be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	send(w, kind, append(b, '\n'))
}

// robots lets everybody read what is open, and says for what.
func (h *Handler) robots(w http.ResponseWriter, r *http.Request) {
	text := "# What is open here is for everybody, agents and search included.\nUser-agent: *\nContent-Signal: search=yes, ai-input=yes, ai-train=yes\n" +
		"Allow: /docs\nAllow: /services\nAllow: /llms.txt\nAllow: /.well-known/\nDisallow: /v1/\nDisallow: /api/\nDisallow: /admin/\nDisallow: /e/\nDisallow: /mcp\n\n" +
		"Sitemap: " + h.base(r) + "/sitemap.xml\n"
	send(w, "text/plain; charset=utf-8", []byte(text))
}

func (h *Handler) sitemap(w http.ResponseWriter, r *http.Request) {
	var out strings.Builder
	out.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">` + "\n")
	for _, page := range slices.Concat([]string{"/docs", "/services"}, h.pages()) {
		out.WriteString("  <url><loc>" + h.base(r) + page + "</loc></url>\n")
	}
	out.WriteString("</urlset>\n")
	send(w, "application/xml; charset=utf-8", []byte(out.String()))
}

func (h *Handler) pages() (out []string) {
	for _, d := range h.docs {
		out = append(out, "/docs/"+d.Name)
	}
	return out
}

// catalog is the list of APIs, RFC 9727 in the form of RFC 9264.
func (h *Handler) catalog(w http.ResponseWriter, r *http.Request) {
	type target struct {
		Href  string `json:"href"`
		Type  string `json:"type,omitempty"`
		Title string `json:"title,omitempty"`
	}
	type context struct {
		Anchor      string   `json:"anchor"`
		Description []target `json:"service-desc,omitempty"`
		Docs        []target `json:"service-doc,omitempty"`
		Meta        []target `json:"service-meta,omitempty"`
		Status      []target `json:"status,omitempty"`
		Item        []target `json:"item,omitempty"`
	}
	base := h.base(r)
	docs := func(page, title string) []target {
		return []target{{base + "/docs/" + page + ".md", "text/markdown", title}, {base + "/docs/" + page, "text/html", title}}
	}
	about := map[string][]target{
		"/api": docs("track-and-app", "Track API"), "/v1": docs("track-and-app", "App API"), "/v1/batch": docs("pipelines", "Pipelines API"),
		"/admin/v1": docs("operating", "Operators' API"),
	}
	list := []context{{Anchor: base + "/.well-known/api-catalog"}}
	for _, api := range []string{"/api", "/v1", "/v1/batch", "/admin/v1"} {
		c := context{Anchor: base + api, Docs: about[api], Status: []target{{base + "/readyz", "text/plain", ""}}}
		if path := h.o.Contracts[api]; path != "" {
			c.Description = []target{{base + path, "application/openapi+json", ""}}
		}
		list[0].Item = append(list[0].Item, target{base + api, "", about[api][0].Title})
		list = append(list, c)
	}
	list = append(list, context{Anchor: base + "/mcp", Docs: docs("agents", "MCP"), Meta: []target{{base + "/server.json", "application/json", "MCP server"}}})
	list[0].Item = append(list[0].Item, target{base + "/mcp", "", "MCP"})
	w.Header().Set("Link", CatalogLink)
	sendJSON(w, "application/linkset+json", map[string]any{"linkset": list})
}

// registry is server.json for this server.
func (h *Handler) registry(r *http.Request) (map[string]any, error) {
	var doc map[string]any
	if err := json.Unmarshal(h.o.Server, &doc); err != nil {
		return nil, fmt.Errorf("server.json: %w", err)
	}
	if v := strings.TrimPrefix(h.o.Version, "v"); strings.Count(v, ".") >= 2 && v[0] >= '0' && v[0] <= '9' {
		doc["version"] = v
	}
	remotes, _ := doc["remotes"].([]any)
	for _, one := range remotes {
		if m, ok := one.(map[string]any); ok {
			address, _ := m["url"].(string)
			m["url"] = strings.Replace(address, "https://{host}", h.base(r), 1)
			delete(m, "variables")
		}
	}
	return doc, nil
}

func (h *Handler) server(w http.ResponseWriter, r *http.Request) {
	doc, err := h.registry(r)
	if err != nil {
		http.Error(w, "server.json cannot be read", http.StatusInternalServerError)
		return
	}
	sendJSON(w, "application/json", doc)
}

// card is what of server.json a client may look at before it connects. Its form is a draft.
func (h *Handler) card(w http.ResponseWriter, r *http.Request) {
	doc, err := h.registry(r)
	if err != nil {
		http.Error(w, "server.json cannot be read", http.StatusInternalServerError)
		return
	}
	out := map[string]any{"experimental": true}
	for _, key := range []string{"name", "title", "description", "version", "websiteUrl", "remotes"} {
		if v, ok := doc[key]; ok {
			out[key] = v
		}
	}
	sendJSON(w, "application/json", out)
}

func (h *Handler) example(w http.ResponseWriter, _ *http.Request) {
	send(w, "application/yaml; charset=utf-8", []byte(h.o.Example))
}

func (h *Handler) index(w http.ResponseWriter, _ *http.Request) {
	sendJSON(w, "application/json", map[string]any{"$schema": "https://schemas.agentskills.io/discovery/0.2.0/schema.json", "skills": h.skill})
}

func (h *Handler) skillFile(w http.ResponseWriter, r *http.Request) {
	for _, s := range h.skill {
		if s.Name == r.PathValue("name") {
			send(w, "text/markdown; charset=utf-8", s.text)
			return
		}
	}
	http.NotFound(w, r)
}
