package export_test

import (
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rapport.example/internal/export"
	"rapport.example/internal/job"
	"rapport.example/internal/store"
)

// serve runs the handler as a server and makes links to it.
func (w *world) serve(t *testing.T, files export.Files) (*httptest.Server, *export.Signer) {
	t.Helper()
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	signer := export.NewSigner(w.Secret(), s.URL+"/")
	mux.Handle(export.Path, export.NewHandler(files, signer, w.now, slog.New(slog.DiscardHandler)))
	return s, signer
}

// fetch sends a request as it is: nothing is unpacked.
func fetch(t *testing.T, s *httptest.Server, method, url, encoding string) (*http.Response, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", encoding)
	res, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res, string(b), err
}

// TestDownload: the file comes whole, packed or not, under its name, and is counted; a link that was changed, is of another
// installation or too old, or whose file is gone, says so.
func TestDownload(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.crowd(t, 1, 401, 4000)
		w.node(t, w, w, "a")
		k := w.order(t, 1, export.Spec{
			Type: export.Customers, Format: export.CSV, Description: "some", Filter: parse(t, `{"not":{"attribute":{"field":"email","operator":"eq","value":"secret@example.com"}}}`),
		})
		j := w.wait(t, k, done)
		want := w.file(t, j)
		s, signer := w.serve(t, w)
		url := signer.Link(j, "customers-1.csv", w.now())

		res, got, err := fetch(t, s, "GET", url, "identity")
		if err != nil || res.StatusCode != http.StatusOK || got != want {
			t.Errorf("GET = %d, %d bytes, %v, want %d bytes", res.StatusCode, len(got), err, len(want))
		}
		for name, want := range map[string]string{
			"Content-Disposition": `attachment; filename="customers-1.csv"`, "Content-Type": "text/csv; charset=utf-8", "Cache-Control": "no-store",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		res, got, err = fetch(t, s, "GET", url, "br;q=1, gzip;q=0.5")
		if err != nil || res.Header.Get("Content-Encoding") != "gzip" || int64(len(got)) != res.ContentLength {
			t.Fatalf("packed: %v, %v, %d bytes", err, res.Header, len(got))
		}
		gz, err := gzip.NewReader(strings.NewReader(got))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(gz); err != nil || string(b) != want {
			t.Errorf("unpacked: %d bytes, %v, want %d", len(b), err, len(want))
		}
		if res, _, _ := fetch(t, s, "GET", url, "gzip;q=0"); res.Header.Get("Content-Encoding") != "" {
			t.Errorf("packed for somebody who does not take it")
		}
		if res, got, _ := fetch(t, s, "HEAD", url, "identity"); res.StatusCode != http.StatusOK || got != "" || res.ContentLength != int64(len(want)) {
			t.Errorf("HEAD = %d, %d bytes, length %d", res.StatusCode, len(got), res.ContentLength)
		}
		if j := w.wait(t, k, done); j.Reads != 3 {
			t.Errorf("%d downloads are counted, want 3", j.Reads)
		}

		refused := func(name, method, url string, status int, text string) {
			t.Helper()
			if res, got, _ := fetch(t, s, method, url, "gzip"); res.StatusCode != status || !strings.Contains(got, text) || strings.Contains(got, "balance") {
				t.Errorf("%s: %d %q, want %d with %q", name, res.StatusCode, got, status, text)
			}
		}
		token := len(s.URL + export.Path)
		for i := token; url[i] != '/'; i++ {
			c := byte('A')
			if url[i] == c {
				c = 'B'
			}
			refused("changed", "GET", url[:i]+string(c)+url[i+1:], http.StatusForbidden, "changed")
		}
		refused("cut", "GET", url[:token+10], http.StatusForbidden, "changed")
		refused("none", "GET", s.URL+export.Path, http.StatusForbidden, "changed")
		refused("long", "GET", url[:token]+strings.Repeat("A", 4000), http.StatusForbidden, "changed")
		other := export.NewSigner([]byte("another secret"), s.URL)
		refused("of another installation", "GET", other.Link(j, "x", w.now()), http.StatusForbidden, "changed")
		foreign := *j
		foreign.Workspace = 2
		refused("of no file", "GET", signer.Link(&foreign, "x", w.now()), http.StatusGone, "deleted")
		older := *j
		older.Created--
		refused("of a number that was given again", "GET", signer.Link(&older, "x", w.now()), http.StatusGone, "deleted")
		refused("POST", "POST", url, http.StatusMethodNotAllowed, "GET")

		w.ms.Add(export.LinkFor.Milliseconds() - 1)
		if res, _, _ := fetch(t, s, "HEAD", url, "identity"); res.StatusCode != http.StatusOK {
			t.Errorf("in the last moment: %d", res.StatusCode)
		}
		w.ms.Add(1)
		refused("too old", "GET", url, http.StatusGone, "15 minutes")
		w.ms.Add(export.KeepFile.Milliseconds())
		refused("deleted", "GET", signer.Link(j, "x", w.now()), http.StatusGone, "deleted")
		j = w.wait(t, k, func(j *job.Job) bool { return j.Expired })
		if b, err := w.JobPart(t.Context(), k, 0); b != nil || err != nil || j.State != job.Done {
			t.Errorf("after a day: %d bytes of part 0, %v, state %s", len(b), err, j.State)
		}
		if string(j.Spec) != `{"type":"customers","format":"csv","description":"some"}` {
			t.Errorf("after a day: the order %s, want nothing of the filter", j.Spec)
		}
		refused("deleted", "GET", signer.Link(j, "x", w.now()), http.StatusGone, "deleted")
	})
}

// broken is a database that loses a part, or whose parts cannot be read.
type broken struct {
	*store.DB
	part int64
	err  error
}

func (b broken) JobPart(ctx context.Context, k job.Key, part int64) ([]byte, error) {
	if part == b.part {
		return nil, b.err
	}
	return b.DB.JobPart(ctx, k, part)
}

// TestBrokenDownload: where a part is missing or cannot be read the reader sees that the file is not whole.
func TestBrokenDownload(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.crowd(t, 1, 401, 4000)
		w.node(t, w, w, "a")
		j := w.wait(t, w.order(t, 1, export.Spec{Type: export.Customers, Format: export.JSONL}), done)
		for _, err := range []error{nil, context.DeadlineExceeded} {
			s, signer := w.serve(t, broken{w.DB, 1, err})
			for _, encoding := range []string{"identity", "gzip"} {
				res, got, err := fetch(t, s, "GET", signer.Link(j, "x", w.now()), encoding)
				if err == nil || got == "" || res.StatusCode != http.StatusOK {
					t.Errorf("%s: %d, %d bytes and no error", encoding, res.StatusCode, len(got))
				}
			}
		}
	})
}

// TestUnread: a link to an export that is not done, or failed, leads to nothing.
func TestUnread(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		j, err := w.CreateJob(t.Context(), 1, export.Kind, []byte(`{"type":"customers","format":"csv","filter":{"segment":{}}}`), job.Queued)
		if err != nil {
			t.Fatal(err)
		}
		s, signer := w.serve(t, w)
		url := signer.Link(&j, "x", w.now())
		if res, got, _ := fetch(t, s, "GET", url, "gzip"); res.StatusCode != http.StatusGone {
			t.Errorf("before the end: %d %q", res.StatusCode, got)
		}
		w.node(t, w, w, "a")
		failed := w.wait(t, j.Key, func(j *job.Job) bool { return j.State == job.Failed })
		if failed.Error != "the filter cannot be read" || failed.Attempts != 1 {
			t.Errorf("failed after %d attempts with %q", failed.Attempts, failed.Error)
		}
		if res, got, _ := fetch(t, s, "GET", url, "gzip"); res.StatusCode != http.StatusGone {
			t.Errorf("after it failed: %d %q", res.StatusCode, got)
		}
	})
}
