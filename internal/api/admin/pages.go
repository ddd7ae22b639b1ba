package admin

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/catalog"
	"rapport.example/internal/fault"
	"rapport.example/internal/workspace"
)

//go:embed pages
var pageFiles embed.FS

// pagePolicy lets a page use its own style sheet and pictures, frame our own mail bodies, and nothing else: no scripts.
const pagePolicy = "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Pages serves the server-rendered pages. Everything but the login, the service guide and the files of pages
// needs a session; whoever has none is sent to the login.
func (s *Surface) Pages() http.Handler {
	p := &pages{s, template.Must(template.New("").Funcs(pageFuncs()).ParseFS(pageFiles, "pages/*.html"))}
	mux := http.NewServeMux()
	static, err := fs.Sub(pageFiles, "pages/static")
	if err != nil { // unreachable: the folder is embedded
		static = pageFiles
	}
	files := http.StripPrefix("/static/", http.FileServerFS(static))
	mux.HandleFunc("GET /static/{file}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=600")
		files.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /login", p.loginForm)
	mux.HandleFunc("POST /login", p.login)
	mux.HandleFunc("POST /logout", p.logout)
	mux.HandleFunc("GET /{$}", p.private(p.mailbox))
	mux.HandleFunc("GET /mail/{id}", p.private(p.mail))
	mux.HandleFunc("GET /mail/{id}/body", p.private(p.body))
	mux.HandleFunc("GET /mail/{id}/source", p.private(p.source))
	mux.HandleFunc("GET /people", p.private(p.people))
	mux.HandleFunc("GET /people/{person}", p.private(p.person))
	mux.HandleFunc("GET /segments", p.private(p.segments))
	mux.HandleFunc("GET /segments/{segment}", p.private(p.segment))
	p.serviceRoutes(mux)
	p.consentRoutes(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p.fail(w, r, fault.New(fault.NotFound, "there is no such page"))
	})
	return secure(s.sessions.cross.Handler(mux))
}

// pageFuncs are what templates call.
func pageFuncs() template.FuncMap {
	return template.FuncMap{
		"moment": moment, "iso": iso, "address": address, "day": day, "count": grouped, "ms": func(sec int64) int64 { return sec * 1000 },
		"category": catalog.CategoryName, "lang": catalog.LangName, "regions": catalog.Regions, "honesty": func() string { return catalog.Honesty },
		"refs": refs, "gradeClass": gradeClass, "web": web, "shortly": shortly, "lines": lines, "plus": plus, "accessName": accessName,
		"accesses": func() []catalog.Access {
			return []catalog.Access{catalog.Verified, catalog.Connectable, catalog.InfoOnly}
		},
		"join":    func(list []string) string { return strings.Join(list, ", ") },
		"percent": func(rate float64) string { return strconv.FormatFloat(rate*100, 'f', 0, 64) + " %" },
	}
}

// secure sets the headers that every page has.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		h.Add("Link", `</.well-known/api-catalog>; rel="api-catalog"`)
		next.ServeHTTP(w, r)
	})
}

type pages struct {
	s    *Surface
	tmpl *template.Template
}

// frame is what every page shows around its content.
type frame struct {
	Title      string
	Section    string // of the navigation
	Guest      bool   // nobody is signed in
	Now        string // the workspace's clock, where it was moved
	Workspace  workspace.Workspace
	Workspaces []workspace.Workspace
	Path       string
	Data       any
}

// URL is a path with query parameters (name, value, …; empty values are left out) that stays in the workspace.
func (f frame) URL(path string, params ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		if params[i+1] != "" {
			q.Set(params[i], params[i+1])
		}
	}
	if len(f.Workspaces) > 1 {
		q.Set("workspace", strconv.FormatInt(f.Workspace.ID, 10))
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// Person is the address of a person's page.
func (f frame) Person(cio string) string { return f.URL("/people/cio_" + cio) }

// Label names a workspace.
func (frame) Label(w workspace.Workspace) string {
	if w.Name == "" {
		return fmt.Sprintf("Workspace %d", w.ID)
	}
	return w.Name
}

// view is the work of a page: it fills the frame and names the template.
type view func(w http.ResponseWriter, r *http.Request, f *frame) (name string, err error)

// private runs a view for whoever has a session, in the workspace that the query names.
func (p *pages) private(v view) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if p.s.sessions.of(r) == nil {
			http.Redirect(w, r, "/login?"+url.Values{"next": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
			return
		}
		f, err := p.frame(r)
		if err != nil {
			p.fail(w, r, err)
			return
		}
		name, err := v(w, r, &f)
		if err != nil {
			p.fail(w, r, err)
			return
		}
		if name != "" {
			p.render(w, http.StatusOK, name, f)
		}
	}
}

func (p *pages) frame(r *http.Request) (frame, error) {
	f := frame{Path: r.URL.Path}
	var err error
	if f.Workspaces, err = p.s.o.Store.Workspaces(r.Context()); err != nil {
		return f, err
	}
	if f.Workspace, err = p.s.workspace(r.Context(), r.URL.Query().Get("workspace")); err != nil {
		return f, err
	}
	if f.Workspace.Clock != 0 {
		f.Now = moment(f.Workspace.Now(p.s.o.Now()))
	}
	p.s.fresh(r.Context(), f.Workspace.ID)
	return f, nil
}

// render writes a whole page or, when a template fails, none of it.
func (p *pages) render(w http.ResponseWriter, status int, name string, f frame) {
	var b bytes.Buffer
	if err := p.tmpl.ExecuteTemplate(&b, name, f); err != nil {
		p.s.o.Logger.Error("page failed", "page", name, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) //nolint:errcheck // it only fails when the reader is gone
}

// problem is the content of an error page.
type problem struct {
	Status int
	Text   string
}

func (p *pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, text := api.StatusOf(err), "Something went wrong. The server's log says what."
	if status < http.StatusInternalServerError {
		text = sentenceOf(err)
	} else {
		p.s.o.Logger.Error("page failed", "method", r.Method, "error", err)
	}
	p.render(w, status, "error.html", frame{Title: http.StatusText(status), Path: r.URL.Path, Data: problem{status, text}})
}

// sentenceOf is an error's message as a sentence.
func sentenceOf(err error) string {
	text := err.Error()
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

const momentForm = "2 Jan 2006 15:04:05"

// moment shows Unix ms in UTC.
func moment(ms int64) string { return time.UnixMilli(ms).UTC().Format(momentForm) }

// day shows the day of Unix ms in UTC.
func day(ms int64) string { return time.UnixMilli(ms).UTC().Format("2 Jan 2006") }

// grouped is a number with a narrow space between groups of three digits.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// iso is Unix ms for machines.
func iso(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// address shows an address of a mail without the quotes that its header needs.
func address(s string) string {
	a, err := mail.ParseAddress(s)
	switch {
	case err != nil:
		return s
	case a.Name == "":
		return a.Address
	}
	return a.Name + " <" + a.Address + ">"
}

// loginData is the content of the login page.
type loginData struct{ Next, Error string }

func (p *pages) loginForm(w http.ResponseWriter, r *http.Request) {
	next := local(r.URL.Query().Get("next"))
	if p.s.sessions.of(r) != nil {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	p.render(w, http.StatusOK, "login.html", frame{Title: "Sign in", Data: loginData{Next: next}})
}

func (p *pages) login(w http.ResponseWriter, r *http.Request) {
	now := p.s.o.Now()
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	if err := r.ParseForm(); err != nil {
		p.fail(w, r, fault.New(fault.Invalid, "the form could not be read"))
		return
	}
	data := loginData{Next: local(r.PostForm.Get("next"))}
	status := http.StatusUnauthorized
	if !p.s.logins.allow(r, now) {
		status, data.Error = http.StatusTooManyRequests, "Too many attempts. Wait a moment and try again."
		w.Header().Set("Retry-After", "12")
	} else if a, err := p.s.o.Keys.Secret(workspace.Admin, strings.TrimSpace(r.PostForm.Get("key")), now); err == nil {
		http.SetCookie(w, p.s.sessions.cookie(a.Credential, r))
		http.Redirect(w, r, data.Next, http.StatusSeeOther)
		return
	} else {
		data.Error = "This is not an admin key."
	}
	p.render(w, status, "login.html", frame{Title: "Sign in", Data: data})
}

// local lets a redirect lead to a path of this server only.
func local(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

func (p *pages) logout(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, p.s.sessions.set("", -1, r))
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
