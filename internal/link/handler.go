package link

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"rapport.example/internal/ingest"
)

// How long a reader waits at most for a click or open to be recorded, and a person for unsubscribing.
const (
	patience = 2 * time.Second
	care     = 10 * time.Second
)

// Handler serves what Signer.For makes, under /e/:
//
//	GET  /e/c/{token}      reports clicked, then redirects
//	GET  /e/o/{token}.gif  reports opened, answers with an image of one pixel
//	GET  /e/u/{token}      a page with a button; does not act, as mail scanners follow links
//	POST /e/u/{token}      reports unsubscribed: from that page, or in one click (RFC 8058)
//
// HEAD reports nothing. A token that was changed is a page with status 404, never a redirect.
type Handler struct {
	signer *Signer
	report Report
	now    func() time.Time
	log    *slog.Logger
	mux    *http.ServeMux
	pages  pages
}

// Report makes one reaction durable.
type Report = func(ctx context.Context, workspace int64, m ingest.MetricPayload) error

// NewHandler makes a Handler. now tells the log how long a failing report took.
func NewHandler(signer *Signer, report Report, now func() time.Time, log *slog.Logger) *Handler {
	h := &Handler{signer: signer, report: report, now: now, log: log, mux: http.NewServeMux(), pages: newPages()}
	h.mux.HandleFunc("GET /e/c/{token}", h.click)
	h.mux.HandleFunc("GET /e/o/{file}", h.open)
	h.mux.HandleFunc("GET /e/u/{token}", h.ask)
	h.mux.HandleFunc("POST /e/u/{token}", h.unsubscribe)
	h.mux.HandleFunc("/e/", func(w http.ResponseWriter, _ *http.Request) { h.pages.notFound(w) })
	return h
}

// ServeHTTP answers requests under /e/.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("Referrer-Policy", "no-referrer") // the address is a key; the page it leads to must not see it
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("X-Robots-Tag", "noindex, nofollow")
	head.Set("Content-Security-Policy", h.pages.policy)
	h.mux.ServeHTTP(w, r)
}

// tell reports in the time there is, even if the reader has gone on. It logs what fails, without the link.
func (h *Handler) tell(r *http.Request, t Token, metric string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), within)
	defer cancel()
	started := h.now()
	err := h.report(ctx, t.Workspace, ingest.MetricPayload{Delivery: t.Delivery, Metric: metric, Href: t.Href})
	if err != nil {
		h.log.Error("a reaction could not be recorded", "metric", metric, "workspace", t.Workspace, "delivery", t.Delivery,
			"error", err, "took", h.now().Sub(started))
	}
	return err
}

func (h *Handler) click(w http.ResponseWriter, r *http.Request) {
	t, err := h.signer.Parse(r.PathValue("token"), Click)
	if err != nil || !web(t.Href) {
		h.pages.notFound(w)
		return
	}
	if r.Method == http.MethodGet {
		_ = h.tell(r, t, "clicked", patience) //nolint:errcheck // logged; the reader wants the page, not our count
	}
	w.Header().Set("Location", location(t.Href))
	w.WriteHeader(http.StatusFound)
}

// location escapes what cannot stand in a header; everything else stays as it was written.
func location(href string) string {
	var out strings.Builder
	for i := range len(href) {
		if c := href[i]; c <= ' ' || c >= 0x7f {
			const hex = "0123456789ABCDEF"
			out.WriteByte('%')
			out.WriteByte(hex[c>>4])
			out.WriteByte(hex[c&15])
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

// dot is a transparent GIF of one pixel.
const dot = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

func (h *Handler) open(w http.ResponseWriter, r *http.Request) {
	token, gif := strings.CutSuffix(r.PathValue("file"), ".gif")
	t, err := h.signer.Parse(token, Open)
	if err != nil || !gif {
		h.pages.notFound(w)
		return
	}
	if r.Method == http.MethodGet {
		_ = h.tell(r, t, "opened", patience) //nolint:errcheck // logged; the mail shows its image either way
	}
	w.Header().Set("Content-Type", "image/gif")
	_, _ = io.WriteString(w, dot) //nolint:errcheck // a reader who has left needs no answer
}

func (h *Handler) ask(w http.ResponseWriter, r *http.Request) {
	if _, err := h.signer.Parse(r.PathValue("token"), Unsubscribe); err != nil {
		h.pages.notFound(w)
		return
	}
	h.pages.ask(w)
}

// unsubscribe acts on any body: that of RFC 8058, as form or multipart, that of the page, or none. To have the token and
// to POST is what counts.
func (h *Handler) unsubscribe(w http.ResponseWriter, r *http.Request) {
	t, err := h.signer.Parse(r.PathValue("token"), Unsubscribe)
	if err != nil {
		h.pages.notFound(w)
		return
	}
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 4<<10)); err != nil {
		h.log.Debug("the body of an unsubscribe request was cut off", "error", err)
	}
	if err := h.tell(r, t, "unsubscribed", care); err != nil {
		h.pages.failed(w)
		return
	}
	h.pages.done(w)
}
