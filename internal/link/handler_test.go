package link

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"image/gif"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"rapport.example/internal/ingest"
)

var update = flag.Bool("update", false, "rewrite the archives in testdata")

// reports keeps what is reported. With fail set it is down.
type reports struct {
	mu   sync.Mutex
	got  []string
	fail error
}

func (r *reports) add(ctx context.Context, workspace int64, m ingest.MetricPayload) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := ctx.Deadline(); !ok {
		return errors.New("a report has no deadline")
	}
	if r.fail != nil {
		return r.fail
	}
	r.got = append(r.got, strings.TrimSpace(fmt.Sprintf("%d/%d %s %s", workspace, m.Delivery, m.Metric, m.Href)))
	return nil
}

func newHandler(r *reports, out *strings.Builder) *Handler {
	log := slog.New(slog.DiscardHandler)
	if out != nil {
		log = slog.New(slog.NewTextHandler(out, nil))
	}
	return NewHandler(signer, r.add, func() time.Time { return time.Unix(1767312000, 0) }, log)
}

// TestPages plays the requests of each archive in order. In them, {click}, {open} and {unsubscribe} are the paths of one
// delivery's links; a file "down" makes reports fail from there on.
func TestPages(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no archives", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, txtar.Parse(data))
			if *update {
				if err := os.WriteFile(name, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(data), string(got)); diff != "" {
				t.Errorf("%s (-want +got), -update accepts it:\n%s", name, diff)
			}
		})
	}
}

func play(t *testing.T, a *txtar.Archive) []byte {
	t.Helper()
	r := &reports{}
	h := newHandler(r, nil)
	l := signer.For(7, 9)
	paths := strings.NewReplacer("{click}", path(l.Click("https://shop.example/a b?x=1&y=ü#z")), "{open}", path(l.Open()), "{unsubscribe}", path(l.Unsubscribe()))
	out := &txtar.Archive{Comment: a.Comment}
	for _, f := range a.Files {
		switch kind, number, _ := strings.Cut(f.Name, " "); kind {
		case "down":
			r.fail = errors.New("the log is down")
			out.Files = append(out.Files, f)
		case "request":
			req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(paths.Replace(strings.ReplaceAll(string(f.Data), "\n", "\r\n")))))
			if err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req.WithContext(t.Context()))
			out.Files = append(out.Files, f, txtar.File{Name: "response " + number, Data: []byte(show(w))},
				txtar.File{Name: "reports " + number, Data: []byte(strings.Join(append(r.got, ""), "\n"))})
			r.got = nil
		}
	}
	return txtar.Format(out)
}

func path(url string) string { return strings.TrimPrefix(url, "https://mail.example.com") }

// show writes a response; the look of pages is left out.
func show(w *httptest.ResponseRecorder) string {
	var b strings.Builder
	res := w.Result()
	fmt.Fprintln(&b, res.Status)
	var names []string
	for k := range res.Header {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		fmt.Fprintf(&b, "%s: %s\n", k, res.Header.Get(k))
	}
	body := strings.Replace(w.Body.String(), style, "…", 1)
	if strings.HasPrefix(body, "GIF89a") {
		body = fmt.Sprintf("%q", body)
	}
	return strings.TrimRight(b.String()+"\n"+body, "\n") + "\n"
}

func TestOneClickBodies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ kind, body string }{
		"form":      {"application/x-www-form-urlencoded", "List-Unsubscribe=One-Click"},
		"multipart": {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n"},
		"none":      {"", ""},
		"long":      {"text/plain", strings.Repeat("x", 100_000)},
	} {
		r := &reports{}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, signer.For(7, 9).Unsubscribe(), strings.NewReader(c.body))
		req.Header.Set("Content-Type", c.kind)
		w := httptest.NewRecorder()
		newHandler(r, nil).ServeHTTP(w, req)
		if w.Code != http.StatusOK || !slices.Equal(r.got, []string{"7/9 unsubscribed"}) {
			t.Errorf("%s: %d, %v, want 200 and one report", name, w.Code, r.got)
		}
	}
}

// TestFailureIsLogged holds that a click leads on when it cannot be counted, and that the log does not tell the link.
func TestFailureIsLogged(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	r := &reports{fail: errors.New("the log is down")}
	url := signer.For(7, 9).Click("https://shop.example/secret-path")
	w := httptest.NewRecorder()
	newHandler(r, &out).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, nil))
	if w.Code != http.StatusFound || w.Header().Get("Location") != "https://shop.example/secret-path" {
		t.Errorf("a click = %d to %q, want 302 to the page", w.Code, w.Header().Get("Location"))
	}
	if s := out.String(); !strings.Contains(s, "the log is down") || strings.Contains(s, "secret-path") || strings.Contains(s, tokenOf(url)) {
		t.Errorf("logged %s", s)
	}
}

func TestPixel(t *testing.T) {
	t.Parallel()
	image, err := gif.Decode(strings.NewReader(dot))
	if err != nil || image.Bounds().Dx() != 1 || image.Bounds().Dy() != 1 {
		t.Fatalf("Decode = %v, %v, want one pixel", image, err)
	}
	if _, _, _, alpha := image.At(0, 0).RGBA(); alpha != 0 {
		t.Errorf("the pixel has alpha %d, want none", alpha)
	}
}

// TestReaderGone holds that a reader who closes the page at once is counted.
func TestReaderGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var err error
	h := NewHandler(signer, func(ctx context.Context, _ int64, _ ingest.MetricPayload) error { err = ctx.Err(); return err }, time.Now, slog.New(slog.DiscardHandler))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, signer.For(7, 9).Open(), nil))
	if err != nil {
		t.Errorf("the report of a reader who left: %v, want none", err)
	}
}
