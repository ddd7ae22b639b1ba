package doctor_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rapport.example/internal/doctor"
	"rapport.example/internal/fault"
)

// page is what a path answers.
type page struct {
	status int
	kind   string
	body   string
	header [][2]string
}

const skill = "---\nname: connect\ndescription: How to connect.\n---\nSay hello.\n"

// site is a server that has everything.
func site() map[string]page {
	digest := sha256.Sum256([]byte(skill))
	html := func(body string, links ...string) page {
		p := page{200, "text/html", body, nil}
		for _, l := range links {
			p.header = append(p.header, [2]string{"Link", l})
		}
		return p
	}
	doc := func(body string) page { return page{200, "application/json", body, nil} }
	return map[string]page{
		"/":                        html("hello", `</.well-known/api-catalog>; rel="api-catalog"`),
		"/llms.txt":                {200, "text/plain", "# Acme\n\n> Sends mail.\n\n## Docs\n\n- [Start](/docs/start.md): how\n- [Deprecation](/docs/deprecation.md): what goes away\n", nil},
		"/docs/start":              html("<h1>Start</h1>", `</docs/start.md>; rel="alternate"; type="text/markdown"`),
		"/docs/start as Markdown":  {200, "text/markdown", "All pages: [llms.txt](/llms.txt)\n\n# Start\n", nil},
		"/docs/start.md":           {200, "text/markdown", "All pages: [llms.txt](/llms.txt)\n\n# Start\n", nil},
		"/llms-full.txt":           {200, "text/plain", "# Acme\n\n" + strings.Repeat("Everything.\n", 100), nil},
		"/robots.txt":              {200, "text/plain", "User-agent: *\nContent-Signal: search=yes, ai-input=yes\nAllow: /docs/\nDisallow: /v1/\nSitemap: /sitemap.xml\n", nil},
		"/sitemap.xml":             {200, "application/xml", "<urlset><url><loc>/docs/start</loc></url></urlset>", nil},
		"/.well-known/api-catalog": {200, "application/linkset+json", `{"linkset":[{"anchor":"/v1","service-desc":[{"href":"/openapi/app.json"}],"service-doc":[{"href":"/docs/start"}]}]}`, nil},
		"/openapi/app.json": doc(`{"openapi":"3.1.0","paths":{"/v1/things":{"parameters":[],"get":{"operationId":"listThings","x-agentic":{"class":"read"},"responses":{
			"200":{"content":{"application/json":{"example":{}}}},"429":{"$ref":"#/components/responses/Limited"}}},"post":{"operationId":"makeThing","x-agentic":{"class":"write"},
			"parameters":[{"$ref":"#/components/parameters/Idem"}],"requestBody":{"content":{"application/json":{"examples":{"one":{}}}}},
			"responses":{"200":{"content":{"application/json":{"example":{}}}},"429":{"$ref":"#/components/responses/Limited"}}}},
			"/admin/v1/things":{"get":{"operationId":"adminThings","x-agentic":{"class":"read"},"responses":{"200":{"content":{"application/json":{"example":{}}}},"429":{"$ref":"#/components/responses/Limited"}}}}},
			"components":{"parameters":{"Idem":{"name":"Idempotency-Key","in":"header"}},"responses":{"Limited":{"headers":{"Retry-After":{}},
			"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}}}}}}`),
		"/v1/things":                                {200, "application/json", `[]`, [][2]string{{"RateLimit", `"app";r=9;t=1`}, {"RateLimit-Policy", `"app";q=10;w=1`}}},
		"/admin/v1/things":                          {401, "application/problem+json", `{"type":"about:blank","title":"Unauthorized","status":401}`, nil},
		"/.well-known/oauth-protected-resource":     doc(`{"resource":"http://x/mcp","authorization_servers":["http://x"]}`),
		"/.well-known/oauth-protected-resource/mcp": doc(`{"resource":"http://x/mcp","authorization_servers":["http://x"]}`),
		"/.well-known/oauth-authorization-server":   doc(`{"issuer":"http://x","authorization_endpoint":"http://x/a","token_endpoint":"http://x/t","code_challenge_methods_supported":["S256"]}`),
		"/mcp":                                 {401, "application/json", `{}`, [][2]string{{"WWW-Authenticate", `Bearer resource_metadata="http://x/.well-known/oauth-protected-resource/mcp", scope="read"`}}},
		"/server.json":                         doc(`{"name":"example.acme/mail","description":"Sends mail.","version":"1.0.0","remotes":[{"type":"streamable-http","url":"http://x/mcp"}]}`),
		"/.well-known/mcp/server-card.json":    doc(`{"name":"example.acme/mail"}`),
		"/.well-known/agent-skills/index.json": doc(`{"skills":[{"name":"connect","description":"How to connect.","url":"/skills/connect/SKILL.md","digest":"sha256:` + hex.EncodeToString(digest[:]) + `"}]}`),
		"/skills/connect/SKILL.md":             {200, "text/markdown", skill, nil},
	}
}

// serve answers with pages. One named "PATH as Markdown" is for whoever asks for Markdown, one under /v1/ takes the key.
func serve(t *testing.T, pages map[string]page, ids bool) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ids {
			w.Header().Set("X-Request-Id", "1")
		}
		p, there := pages[r.URL.Path]
		if m, two := pages[r.URL.Path+" as Markdown"]; two && r.Header.Get("Accept") == "text/markdown" {
			p = m
		}
		if key := r.Header.Get("Authorization") == "Bearer k"; !there || key != strings.HasPrefix(r.URL.Path, "/v1/") || r.Method != http.MethodGet {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		for _, h := range p.header {
			w.Header().Add(h[0], h[1])
		}
		w.Header().Set("Content-Type", p.kind+"; charset=utf-8")
		w.WriteHeader(p.status)
		_, _ = w.Write([]byte(p.body))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func look(t *testing.T, url string) *doctor.Report {
	t.Helper()
	r, err := doctor.Run(t.Context(), doctor.Options{Key: "k"}, url)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// not lists the rows that are not ok, with what was found.
func not(r *doctor.Report) (ids []string, found string) {
	ids = []string{}
	for _, row := range r.Rows {
		if row.Status != doctor.OK {
			ids = append(ids, row.ID)
			found += fmt.Sprintf("%s %s: %s\n", row.Status, row.ID, row.Found)
			if row.Why == "" || row.Fix == "" {
				found += "it lacks what it is for or what to do\n"
			}
		}
	}
	return ids, found
}

func TestEverythingThere(t *testing.T) {
	t.Parallel()
	r := look(t, serve(t, site(), true))
	if ids, found := not(r); len(ids) > 0 || r.Percent() != 100 || r.Passed != len(r.Rows) {
		t.Errorf("%d of %d:\n%s", r.Passed, len(r.Rows), found)
	}
}

// TestEachRow takes one thing away at a time.
func TestEachRow(t *testing.T) {
	t.Parallel()
	edit := func(path, old, new string) func(map[string]page) {
		return func(s map[string]page) {
			p := s[path]
			if p.body = strings.Replace(p.body, old, new, 1); p.body == s[path].body {
				panic(path + " does not hold " + old)
			}
			s[path] = p
		}
	}
	without := func(path string) func(map[string]page) { return func(s map[string]page) { delete(s, path) } }
	bare := func(path string) func(map[string]page) {
		return func(s map[string]page) { p := s[path]; p.header = nil; s[path] = p }
	}
	spec := "/openapi/app.json"
	for _, c := range []struct {
		name string
		do   func(map[string]page)
		want []string
	}{
		{"no llms.txt", without("/llms.txt"), []string{"llms", "markdown", "links", "deprecation"}},
		{"llms.txt without a summary", edit("/llms.txt", "> ", ""), []string{"llms"}},
		{"llms.txt too long", edit("/llms.txt", "> ", "> "+strings.Repeat("long ", 3000)), []string{"llms", "llms-full"}},
		{"llms.txt without a policy", edit("/llms.txt", "- [Deprecation](/docs/deprecation.md): what goes away\n", ""), []string{"deprecation"}},
		{"no llms-full.txt", without("/llms-full.txt"), []string{"llms-full"}},
		{"no Markdown for who asks", without("/docs/start as Markdown"), []string{"markdown"}},
		{"no .md", without("/docs/start.md"), []string{"markdown"}},
		{"Markdown that leads nowhere", edit("/docs/start.md", "All pages: [llms.txt](/llms.txt)\n\n", ""), []string{"markdown"}},
		{"no robots.txt", without("/robots.txt"), []string{"robots"}},
		{"robots.txt shuts all out", edit("/robots.txt", "Allow: /docs/\nDisallow: /v1/", "Disallow: /"), []string{"robots"}},
		{"no content signals", edit("/robots.txt", "Content-Signal", "X"), []string{"robots"}},
		{"no sitemap", without("/sitemap.xml"), []string{"sitemap"}},
		{"no Link on the first page", bare("/"), []string{"links"}},
		{"no Link on a page", bare("/docs/start"), []string{"links"}},
		{"no API catalogue", without("/.well-known/api-catalog"), []string{"api-catalog", "openapi", "operation-ids", "examples", "errors", "limits", "agentic", "idempotency", "problems", "rate-limit"}},
		{"OpenAPI 3.0", edit(spec, "3.1.0", "3.0.3"), []string{"openapi", "operation-ids", "examples", "errors", "limits", "agentic", "idempotency", "problems", "rate-limit"}},
		{"an operation id twice", edit(spec, "makeThing", "listThings"), []string{"operation-ids"}},
		{"no example of an answer", edit(spec, `{"example":{}}`, `{}`), []string{"examples"}},
		{"no example of a request", edit(spec, `{"examples":{"one":{}}}`, `{}`), []string{"examples"}},
		{"an error of no schema", edit(spec, `"schema":{"$ref"`, `"schema":{"x"`), []string{"errors"}},
		{"429 without headers", edit(spec, `"headers":{"Retry-After":{}}`, `"headers":{}`), []string{"limits"}},
		{"no class", edit(spec, `"class":"read"`, `"class":""`), []string{"agentic"}},
		{"no Idempotency-Key", edit(spec, "Idempotency-Key", "X"), []string{"idempotency"}},
		{"admin errors of another kind", func(s map[string]page) { p := s["/admin/v1/things"]; p.kind = "text/html"; s["/admin/v1/things"] = p }, []string{"problems"}},
		{"admin is open", func(s map[string]page) { p := s["/admin/v1/things"]; p.status = 200; s["/admin/v1/things"] = p }, []string{"problems"}},
		{"no RateLimit", bare("/v1/things"), []string{"rate-limit"}},
		{"no resource metadata", without("/.well-known/oauth-protected-resource"), []string{"resource-metadata"}},
		{"no metadata for /mcp", without("/.well-known/oauth-protected-resource/mcp"), []string{"resource-metadata"}},
		{"no server metadata", without("/.well-known/oauth-authorization-server"), []string{"server-metadata"}},
		{"PKCE plain", edit("/.well-known/oauth-authorization-server", `["S256"]`, `["S256","plain"]`), []string{"server-metadata"}},
		{"MCP says nothing", bare("/mcp"), []string{"challenge"}},
		{"MCP is open", func(s map[string]page) { p := s["/mcp"]; p.status = 200; s["/mcp"] = p }, []string{"challenge"}},
		{"no server.json", without("/server.json"), []string{"server-json"}},
		{"server.json leads nowhere", edit("/server.json", `"remotes"`, `"x"`), []string{"server-json"}},
		{"no card", without("/.well-known/mcp/server-card.json"), []string{"server-card"}},
		{"no skills", without("/.well-known/agent-skills/index.json"), []string{"skills"}},
		{"a skill was changed", edit("/skills/connect/SKILL.md", "hello", "something else"), []string{"skills"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := site()
			c.do(s)
			ids, found := not(look(t, serve(t, s, true)))
			if diff := cmp.Diff(c.want, ids); diff != "" || strings.Contains(found, "it lacks what it is for") {
				t.Errorf("not ok (-want +got):\n%s\n%s", diff, found)
			}
		})
	}
}

// TestBareServer: a server that answers everything alike passes nothing.
func TestBareServer(t *testing.T) {
	t.Parallel()
	r := look(t, serve(t, nil, false))
	if r.Passed != 0 || r.Failed == 0 || r.Percent() != 0 {
		_, found := not(r)
		t.Errorf("%d passed:\n%s", r.Passed, found)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<html>the same to everything</html>"))
	}))
	defer s.Close()
	if r := look(t, s.URL); r.Passed != 0 {
		t.Errorf("%d passed of a page that answers everything", r.Passed)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"", "http://mail.example.com", "https://a:b@example.com", "https://example.com/path", "ftp://localhost", "https://example.com?x=1"} {
		if _, err := doctor.Run(t.Context(), doctor.Options{}, wrong); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v, want Invalid", wrong, err)
		}
	}
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	if _, err := doctor.Run(t.Context(), doctor.Options{}, s.URL); !fault.Is(err, fault.Unavailable) {
		t.Errorf("nobody there: %v, want Unavailable", err)
	}
}
