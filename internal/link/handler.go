package link

import (
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"rapport.example/internal/ingest"
)

// Report makes an op of a reaction; it returns when that is durable.
type Report func(ctx context.Context, workspace int64, m ingest.MetricPayload) error

// handler serves /e/….
type handler struct {
	s      *Signer
	report Report
	now    func() time.Time
	log    *slog.Logger
}

// NewHandler serves the links: GET /e/c/{token} leads on after noting a click, GET /e/o/{token}.gif notes an open,
// GET /e/u/{token} shows the unsubscribe page and changes nothing, POST there unsubscribes (RFC 8058, no login). A
// changed token is 404 everywhere and never leads anywhere.
func NewHandler(s *Signer, report Report, now func() time.Time, log *slog.Logger) http.Handler {
	h := &handler{s, report, now, log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /e/c/{token}", h.click)
	mux.HandleFunc("GET /e/o/{token}", h.open)
	mux.HandleFunc("GET /e/u/{token}", h.ask)
	mux.HandleFunc("POST /e/u/{token}", h.unsubscribe)
	mux.HandleFunc("/e/", func(w http.ResponseWriter, _ *http.Request) { page(w, http.StatusNotFound, unknown) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Cache-Control", "no-store")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("X-Robots-Tag", "noindex")
		r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
		mux.ServeHTTP(w, r)
	})
}

// note reports what happened; a log in trouble must not keep people from where they are going.
func (h *handler) note(r *http.Request, t Token, metric string) error {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	err := h.report(ctx, t.Workspace, ingest.MetricPayload{Delivery: t.Delivery, Metric: metric, Href: t.Href})
	if err != nil {
		h.log.Error("a reaction could not be recorded", "workspace", t.Workspace, "metric", metric, "error", err)
	}
	return err
}

func (h *handler) click(w http.ResponseWriter, r *http.Request) {
	t, err := h.s.Parse(r.PathValue("token"), Click)
	if err != nil || !strings.HasPrefix(t.Href, "http://") && !strings.HasPrefix(t.Href, "https://") {
		page(w, http.StatusNotFound, unknown)
		return
	}
	if r.Method == http.MethodGet { // a HEAD is a machine that checks the link
		_ = h.note(r, t, "clicked") //nolint:errcheck // logged; the person goes on
	}
	w.Header().Set("Location", t.Href)
	w.WriteHeader(http.StatusFound)
}

// pixel is a transparent GIF of one pixel.
var pixel = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")

func (h *handler) open(w http.ResponseWriter, r *http.Request) {
	text, ok := strings.CutSuffix(r.PathValue("token"), ".gif")
	t, err := h.s.Parse(text, Open)
	if !ok || err != nil {
		page(w, http.StatusNotFound, unknown)
		return
	}
	if r.Method == http.MethodGet {
		_ = h.note(r, t, "opened") //nolint:errcheck // logged; the picture is shown
	}
	w.Header().Set("Content-Type", "image/gif")
	_, _ = w.Write(pixel) //nolint:errcheck // the reader is gone; nobody is left to tell
}

func (h *handler) ask(w http.ResponseWriter, r *http.Request) {
	if _, err := h.s.Parse(r.PathValue("token"), Unsubscribe); err != nil {
		page(w, http.StatusNotFound, unknown)
		return
	}
	page(w, http.StatusOK, content{Title: "Unsubscribe", Text: "You will get no more messages from this sender.", Button: "Unsubscribe"})
}

func (h *handler) unsubscribe(w http.ResponseWriter, r *http.Request) {
	t, err := h.s.Parse(r.PathValue("token"), Unsubscribe)
	if err != nil {
		page(w, http.StatusNotFound, unknown)
		return
	}
	if h.note(r, t, "unsubscribed") != nil {
		w.Header().Set("Retry-After", "5")
		page(w, http.StatusServiceUnavailable, content{Title: "Not yet", Text: "We could not save this just now. Please try again in a moment.", Button: "Try again"})
		return
	}
	page(w, http.StatusOK, content{Title: "You are unsubscribed", Text: "You will get no more messages from this sender. You can close this page."})
}

type content struct{ Title, Text, Button string }

var unknown = content{Title: "This link is not valid", Text: "It may have been cut off on its way. Please open it from the message again."}

var layout = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.Title}}</title>
<style>
:root { color-scheme: light dark; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 1.0625rem/1.6 system-ui, sans-serif; background: light-dark(#f6f5f2, #17181c); color: light-dark(#22242a, #ebe9e4); }
main { max-width: 26rem; margin: 1.5rem; padding: 2.25rem; border-radius: 1rem; background: light-dark(#fff, #212329); box-shadow: 0 1px 3px rgb(0 0 0 / .12), 0 8px 30px rgb(0 0 0 / .06); text-align: center; }
h1 { margin: 0 0 .5rem; font-size: 1.375rem; letter-spacing: -.01em; }
p { margin: 0; }
button { margin-top: 1.5rem; padding: .7rem 1.5rem; border: 0; border-radius: .6rem; font: inherit; font-weight: 600; color: #fff; background: #3455db; cursor: pointer; }
button:hover { background: #2745bd; }
button:focus-visible { outline: 3px solid #9db0ff; outline-offset: 2px; }
</style></head>
<body><main><h1>{{.Title}}</h1><p>{{.Text}}</p>{{if .Button}}<form method="post"><button>{{.Button}}</button></form>{{end}}</main></body></html>
`))

func page(w http.ResponseWriter, status int, c content) {
	head := w.Header()
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_ = layout.Execute(w, c) //nolint:errcheck // the reader is gone; nobody is left to tell
}
