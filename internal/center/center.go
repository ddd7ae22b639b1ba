package center

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// Store is what the page reads.
type Store interface {
	// FindPerson is nil if the identifier finds nobody.
	FindPerson(ctx context.Context, workspace int64, by person.Identifier) (*person.Document, error)
	// CurrentDefinitions lists the living definitions of a kind, by id.
	CurrentDefinitions(ctx context.Context, workspace int64, kind string) ([]definition.Row, error)
}

// Options is what the page works with. All fields are required.
type Options struct {
	Store  Store
	Signer *Signer
	// Change makes what somebody chose durable and waits, bounded, until it is applied.
	Change func(ctx context.Context, workspace int64, p ingest.IdentifyPayload) error
	// Fresh waits, bounded, until what the workspace had acknowledged is applied.
	Fresh func(ctx context.Context, workspace int64) (stale bool)
	Now   func() time.Time
	Log   *slog.Logger
}

// Handler serves the page under Path: GET shows what somebody chose, POST takes their choice.
type Handler struct {
	o     Options
	pages pages
}

// NewHandler makes a Handler.
func NewHandler(o Options) *Handler { return &Handler{o, newPages()} }

// maxForm bounds what the page sends, in bytes.
const maxForm = 64 << 10

// ServeHTTP answers requests under Path.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("Referrer-Policy", "no-referrer") // the address is a key
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("X-Robots-Tag", "noindex, nofollow")
	head.Set("Content-Security-Policy", h.pages.policy)
	token := strings.Trim(strings.TrimPrefix(r.URL.Path, Path), "/")
	t, err := h.o.Signer.parse(token, h.o.Now())
	switch {
	case fault.Is(err, fault.NotFound):
		h.pages.tooOld(w)
	case err != nil:
		h.pages.broken(w)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		h.show(w, r, t, false)
	case r.Method == http.MethodPost:
		h.choose(w, r, t)
	default:
		head.Set("Allow", "GET, HEAD, POST")
		http.Error(w, "this method is not allowed here", http.StatusMethodNotAllowed)
	}
}

// choice is a topic as somebody has it, in their language.
type choice struct {
	*definition.Topic
	Text definition.TopicText
	On   bool
}

// find reads a person and their choices, with topics as they are called in a language (Accept-Language); d is nil if they are gone.
func (h *Handler) find(ctx context.Context, t ticket, language string) (d *person.Document, list []choice, err error) {
	if d, err = h.o.Store.FindPerson(ctx, t.workspace, person.Identifier{Type: person.ByCIO, Value: t.cio}); err != nil || d == nil {
		return nil, nil, err
	}
	rows, err := h.o.Store.CurrentDefinitions(ctx, t.workspace, definition.Topics)
	if err != nil {
		return nil, nil, err
	}
	for i := range rows {
		topic, err := definition.ParseTopic(rows[i].Body)
		if err != nil {
			return nil, nil, err
		}
		topic.ID = rows[i].ID
		list = append(list, choice{topic, topic.In(language), topic.Wants(d.Get(person.Preferences))})
	}
	return d, list, nil
}

func (h *Handler) show(w http.ResponseWriter, r *http.Request, t ticket, saved bool) {
	h.o.Fresh(r.Context(), t.workspace)
	d, list, err := h.find(r.Context(), t, r.Header.Get("Accept-Language"))
	switch {
	case err != nil:
		h.o.Log.Error("a subscription page could not be read", "workspace", t.workspace, "error", err)
		h.pages.failed(w)
	case d == nil:
		h.pages.broken(w) // whoever had the link is gone
	default:
		h.pages.center(w, shown{Choices: list, Unsubscribed: d.Unsubscribed, Saved: saved})
	}
}

// choose takes the form: the topics that are ticked, or all=off for nothing at all.
func (h *Handler) choose(w http.ResponseWriter, r *http.Request, t ticket) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form is too long or was cut off", http.StatusBadRequest)
		return
	}
	d, list, err := h.find(r.Context(), t, r.Header.Get("Accept-Language"))
	if err == nil && d != nil {
		err = h.o.Change(r.Context(), t.workspace, ingest.IdentifyPayload{By: ingest.By{CIO: t.cio}, Attributes: h.chosen(r, list), UpdateOnly: true})
	}
	if err != nil {
		h.o.Log.Error("what somebody subscribed to could not be recorded", "workspace", t.workspace, "error", err)
		h.pages.failed(w)
		return
	}
	h.show(w, r, t, true)
}

func (h *Handler) chosen(r *http.Request, list []choice) value.Value {
	var b value.Builder
	if r.PostForm.Get("all") == "off" {
		return b.Set("unsubscribed", value.True).Value()
	}
	b.Set("unsubscribed", value.False)
	for _, c := range list {
		b.Set(person.Preferences+".topics."+c.Key(), value.OfBool(r.PostForm.Get(c.Key()) == "on"))
	}
	return b.Value()
}
