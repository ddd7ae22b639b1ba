package pipelines_test

import (
	"bytes"
	"compress/gzip"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/api/pipelines"
	"rapport.example/internal/ingest"
	"rapport.example/internal/store/storetest"
)

func packed(t testing.TB, body string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestBounds holds messages and batches to their sizes from both sides, as they are and packed as the vendor's Python client
// does it.
func TestBounds(t *testing.T) {
	t.Parallel()
	h := newHarness(t, storetest.Open(t, storetest.Options(t, storetest.SQLite)), api.Limits{})
	message := func(size int) string {
		const around = `{"type":"track","userId":"u1","event":"Seen","properties":{"p":""}}`
		return `{"type":"track","userId":"u1","event":"Seen","properties":{"p":"` + strings.Repeat("x", size-len(around)) + `"}}`
	}
	batch := func(size int) string {
		list := strings.Repeat(message(20_000)+",", 24)
		return `{"batch":[` + list + message(size-len(list)-len(`{"batch":[]}`)) + `]}`
	}
	for _, tt := range []struct {
		name, path, body string
		status, events   int
	}{
		{"message at bound", "track", message(pipelines.MaxMessage), 200, 1},
		{"message over bound", "track", message(pipelines.MaxMessage + 1), 413, 0},
		{"item at bound", "batch", `{"batch":[` + message(pipelines.MaxMessage) + `]}`, 200, 1},
		{"item over bound", "batch", `{"batch":[` + message(pipelines.MaxMessage+1) + `]}`, 413, 0},
		{"batch at bound", "batch", batch(pipelines.MaxBatch), 200, 25},
		{"batch over bound", "batch", batch(pipelines.MaxBatch + 1), 413, 0},
		{"many messages", "batch", `{"batch":[` + strings.Repeat(message(100)+",", 5000) + message(100) + `]}`, 200, 5001},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, gzipped := range []bool{false, true} {
				for _, strict := range []bool{false, true} {
					var headers []string
					body := tt.body
					if gzipped {
						body, headers = packed(t, body), append(headers, "Content-Encoding", "gzip")
					}
					want := http.StatusOK
					if strict {
						headers, want = append(headers, "X-Strict-Mode", "1"), tt.status
					}
					w := h.post("/v1/"+tt.path, body, headers...)
					events, refused := 0, 0
					for i := range h.ops {
						switch h.ops[i].Kind {
						case ingest.Event:
							events++
						case ingest.Refused:
							refused++
						default:
						}
					}
					if w.Code != want || events != tt.events || (refused > 0) != (tt.status != http.StatusOK && !strict) {
						t.Errorf("gzip %t, strict %t: %d, %d events, %d refused, want %d and %d events", gzipped, strict, w.Code, events, refused, want, tt.events)
					}
				}
			}
		})
	}
	t.Run("broken gzip", func(t *testing.T) {
		for _, body := range []string{"", "x", packed(t, `{"userId":"u1"}`)[:20]} {
			if w := h.post("/v1/identify", body, "Content-Encoding", "gzip", "X-Strict-Mode", "1"); w.Code != http.StatusBadRequest {
				t.Errorf("%q: %d %s", body, w.Code, w.Body)
			}
		}
	})
}

// TestStrangers tells the log of requests without a known key, once a minute.
func TestStrangers(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	now := start
	keys := api.NewKeys(api.KeyOptions{})
	mux, err := api.NewMux(api.Options{Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)},
		pipelines.Routes(pipelines.Options{Log: &memory{}, Keys: keys, Logger: slog.New(slog.NewTextHandler(&text, nil))}))
	if err != nil {
		t.Fatal(err)
	}
	for i, body := range []string{`{"userId":"u1","writeKey":"secret-key"}`, `{"userId":"u1"`, `{"userId":"u1"}`, `{"userId":"u1"}`} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/i", strings.NewReader(body)))
		if w.Code != http.StatusOK {
			t.Errorf("request %d: %d", i, w.Code)
		}
		if i == 2 {
			now = now.Add(time.Minute)
		}
	}
	if lines := strings.Count(text.String(), "\n"); lines != 2 || !strings.Contains(text.String(), "count=3") || strings.Contains(text.String(), "secret") {
		t.Errorf("%d lines:\n%s", lines, &text)
	}
}
