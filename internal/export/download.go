package export

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rapport.example/internal/job"
)

// Files is where files lie.
type Files interface {
	// Job is nil if there is none.
	Job(ctx context.Context, k job.Key) (*job.Job, error)
	// JobPart is nil if there is no such part.
	JobPart(ctx context.Context, k job.Key, part int64) ([]byte, error)
	CountJobRead(ctx context.Context, k job.Key) error
}

// partIn is how long a reader may take for one part; then it counts as gone.
const partIn = 5 * time.Minute

// Handler serves files under Path: 403 for a link that was changed, 410 for one whose time is over or whose file was deleted.
type Handler struct {
	files  Files
	signer *Signer
	now    func() time.Time
	log    *slog.Logger
}

// NewHandler makes a Handler.
func NewHandler(files Files, signer *Signer, now func() time.Time, log *slog.Logger) *Handler {
	return &Handler{files, signer, now, log}
}

// ServeHTTP answers requests under Path.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("Referrer-Policy", "no-referrer") // the address is a key
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("X-Robots-Tag", "noindex, nofollow")
	head.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "only GET is known here")
		return
	}
	token, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Path), "/")
	t, err := h.signer.parse(token)
	switch {
	case err != nil:
		refuse(w, http.StatusForbidden, "the link is incomplete or was changed")
		return
	case !h.now().Before(t.until):
		refuse(w, http.StatusGone, "the link's 15 minutes are over; ask for another one")
		return
	}
	j, err := h.files.Job(r.Context(), t.Key)
	switch {
	case err != nil:
		h.log.Error("a file cannot be served", "workspace", t.Workspace, "export", t.ID, "error", err)
		refuse(w, http.StatusServiceUnavailable, "the file cannot be read now; try again")
	case j == nil || j.Created != t.created || j.State != job.Done || h.over(j):
		refuse(w, http.StatusGone, "the file was deleted: files are kept for a day")
	default:
		h.Serve(w, r, j)
	}
}

// over tells whether the file's time is over, also before somebody has deleted it.
func (h *Handler) over(j *job.Job) bool { return Over(j, h.now()) }

// Over tells whether the file of a job that is done was deleted or is about to be.
func Over(j *job.Job, now time.Time) bool {
	return j.Expired || !now.Before(time.UnixMilli(j.Updated).Add(KeepFile))
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") //nolint:errcheck // the caller is gone; nobody is left to tell
}

// Serve answers with the file of a job that is done, part by part, packed for who takes it so. The length goes ahead: where
// something breaks, the reader sees that the file is not whole. A GET counts as a download.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, j *job.Job) {
	spec, done, err := Read(j)
	if err == nil && r.Method == http.MethodGet {
		err = h.files.CountJobRead(r.Context(), j.Key)
	}
	if err != nil {
		h.log.Error("a file cannot be served", "workspace", j.Workspace, "export", j.ID, "error", err)
		refuse(w, http.StatusServiceUnavailable, "the file cannot be read now; try again")
		return
	}
	head, size, packed := w.Header(), done.Size, takesGzip(r)
	head.Set("Content-Type", "text/csv; charset=utf-8")
	if spec.Format == JSONL {
		head.Set("Content-Type", "application/x-ndjson; charset=utf-8")
	}
	head.Set("Content-Disposition", `attachment; filename="`+Name(j.ID, &spec)+`"`)
	head.Add("Vary", "Accept-Encoding")
	if packed {
		head.Set("Content-Encoding", "gzip")
		size = done.Packed
	}
	head.Set("Content-Length", strconv.FormatInt(size, 10))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	defer func() { _ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) }() //nolint:errcheck // or there never was one
	for part := range done.Parts {
		if err := h.part(w, r, j.Key, part, packed); err != nil {
			if r.Context().Err() == nil {
				h.log.Warn("a download broke off", "workspace", j.Workspace, "export", j.ID, "part", part, "error", err)
			}
			return
		}
	}
}

var errGone = errors.New("the part is not there any more")

func (h *Handler) part(w http.ResponseWriter, r *http.Request, k job.Key, part int64, packed bool) error {
	b, err := h.files.JobPart(r.Context(), k, part)
	if err != nil {
		return err
	}
	if b == nil {
		return errGone
	}
	err = http.NewResponseController(w).SetWriteDeadline(h.now().Add(partIn))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("bound the time of a part: %w", err)
	}
	if packed {
		_, err = w.Write(b)
		return err
	}
	gz, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	_, err = io.Copy(w, gz) //nolint:gosec // what is unpacked is ours, and bounded by maxUnpacked
	return err
}

// takesGzip reads Accept-Encoding: gzip without a weight of 0.
func takesGzip(r *http.Request) bool {
	for one := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(one), ";")
		if strings.TrimSpace(name) == "gzip" {
			q, found := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
			n, err := strconv.ParseFloat(q, 64)
			return !found || err == nil && n > 0
		}
	}
	return false
}
