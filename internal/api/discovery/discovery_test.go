package discovery_test

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	rapport "rapport.example"
	"rapport.example/internal/api/discovery"
	"rapport.example/internal/doctor"
	"rapport.example/internal/server"
)

// open is the handler over the program's own documents.
func open(t *testing.T, edit func(*discovery.Options)) http.Handler {
	t.Helper()
	o := discovery.Options{
		Docs: server.Pages(), Skills: server.Skills(), Server: rapport.Server, Example: rapport.Onboarding, Version: "v1.2.3",
		Contracts: map[string]string{"/v1": "/openapi/app.json"},
	}
	if edit != nil {
		edit(&o)
	}
	h, err := discovery.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(t *testing.T, h http.Handler, path, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://msg.example"+path, http.NoBody)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestLinks follows every link of llms.txt, the sitemap, the catalogue of APIs and the pages that leads to these documents: none is
// broken, and none is named by another host.
func TestLinks(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	texts := map[string]string{"/llms.txt": `\]\(([^)\s]+)\)`, "/sitemap.xml": `<loc>([^<]+)<`, "/.well-known/api-catalog": `"href": "([^"]+)"`, "/docs": `href="([^"]+)"`}
	seen := map[string]bool{}
	n := 0
	for len(texts) > 0 {
		next := map[string]string{}
		for page, form := range texts {
			w := get(t, h, page, "text/html")
			if w.Code != http.StatusOK {
				t.Errorf("%s answers %d", page, w.Code)
			}
			for _, m := range regexp.MustCompile(form).FindAllStringSubmatch(w.Body.String(), -1) {
				at, _, _ := strings.Cut(strings.TrimPrefix(m[1], "http://msg.example"), "#")
				if strings.Contains(at, "://") || at == "" || strings.HasPrefix(at, "/static/") || strings.HasPrefix(at, "/services") {
					continue
				}
				if strings.HasPrefix(page, "/docs/") && !strings.HasPrefix(at, "/") {
					at = page[:strings.LastIndexByte(page, '/')+1] + at
					for strings.Contains(at, "/../") {
						before, after, _ := strings.Cut(at, "/../")
						at = before[:strings.LastIndexByte(before, '/')+1] + after
					}
				}
				switch at {
				case "/schema/workspace-1.json", "/", "/mcp", "/readyz", "/openapi/app.json", "/openapi/track.json", "/openapi/pipelines.json", "/openapi/admin.json", "/v1", "/api", "/admin/v1", "/v1/batch":
					continue
				}
				if seen[at] {
					continue
				}
				seen[at] = true
				n++
				if strings.HasPrefix(at, "/docs/") && !strings.HasSuffix(at, ".md") {
					next[at] = `(?:href|src)="([^"]+)"`
				}
				if w := get(t, h, at, ""); w.Code != http.StatusOK || w.Body.Len() == 0 {
					t.Errorf("%s links to %s, which answers %d", page, m[1], w.Code)
				}
			}
		}
		texts = next
	}
	if n < 30 {
		t.Errorf("%d links were followed", n)
	}
}

// TestDoctor: what this package serves is as the doctor wants it.
func TestDoctor(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			w.Header().Add("Link", discovery.CatalogLink)
			return
		}
		h.ServeHTTP(w, r)
	}))
	defer s.Close()
	r, err := doctor.Run(t.Context(), doctor.Options{}, s.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		switch row.ID {
		case "llms", "llms-full", "markdown", "robots", "sitemap", "links", "api-catalog", "server-json", "server-card", "skills", "deprecation":
			if row.Status != doctor.OK {
				t.Errorf("%s: %s", row.ID, row.Found)
			}
		}
	}
}

// TestForms: documents that programs read are of their form, and name the address that they were asked at.
func TestForms(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *discovery.Options) { o.Base = "https://mail.example.com" })
	for path, kind := range map[string]string{
		"/server.json": "application/json", "/.well-known/mcp/server-card.json": "application/json",
		"/.well-known/api-catalog": "application/linkset+json", "/.well-known/agent-skills/index.json": "application/json",
	} {
		w := get(t, h, path, "")
		if !json.Valid(w.Body.Bytes()) || w.Header().Get("Content-Type") != kind {
			t.Errorf("%s is %s:\n%s", path, w.Header().Get("Content-Type"), w.Body)
		}
		if path != "/.well-known/agent-skills/index.json" && !strings.Contains(w.Body.String(), "https://mail.example.com/mcp") || strings.Contains(w.Body.String(), "{host}") {
			t.Errorf("%s does not name the server:\n%s", path, w.Body)
		}
	}
	if w := get(t, h, "/server.json", ""); !strings.Contains(w.Body.String(), `"version": "1.2.3"`) {
		t.Errorf("server.json is of another version:\n%s", w.Body)
	}
	var site struct {
		URLs []struct {
			Loc string `xml:"loc"`
		} `xml:"url"`
	}
	if err := xml.Unmarshal(get(t, h, "/sitemap.xml", "").Body.Bytes(), &site); err != nil || len(site.URLs) < 10 || site.URLs[0].Loc != "https://mail.example.com/docs" {
		t.Errorf("sitemap: %v, %+v", err, site)
	}
	for _, path := range []string{"/docs/none", "/docs/none.md", "/docs/../rapport.go", "/.well-known/agent-skills/none/SKILL.md", "/docs/adr"} {
		if w := get(t, h, path, ""); w.Code == http.StatusOK {
			t.Errorf("%s answers 200", path)
		}
	}
}

// TestOddFiles: a skill that does not say what it is keeps the server from starting.
func TestOddFiles(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"no front matter", "---\nname: other\ndescription: x\n---\n", "---\nname: odd\n---\n"} {
		_, err := discovery.New(discovery.Options{Docs: fstest.MapFS{}, Skills: fstest.MapFS{"odd/SKILL.md": {Data: []byte(text)}}})
		if err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
