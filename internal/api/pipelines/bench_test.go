package pipelines_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkBatch measures a batch of 500 events as customerio-node sends them, up to the log.
func BenchmarkBatch(b *testing.B) {
	const messages = 500
	var body strings.Builder
	body.WriteString(`{"batch":[`)
	for i := range messages {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"userId":"u%d","event":"viewed","properties":{"page":"/pricing","n":%d},"messageId":"7b1f0a5e-6a43-4d5e-8b1a-%012d","timestamp":"2026-01-01T12:00:00.000Z","context":{"library":{"name":"customerio-node","version":"5.2.0"}},"type":"track"}`, i, i, i)
	}
	body.WriteString(`]}`)
	log := &memory{}
	mux := newMux(b, log, anybody{}, nil)
	b.ReportAllocs()
	for b.Loop() {
		log.ops = log.ops[:0]
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/batch", strings.NewReader(body.String()))
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code != http.StatusOK || len(log.ops) != messages {
			b.Fatalf("%d, %d ops", w.Code, len(log.ops))
		}
	}
	b.ReportMetric(float64(b.N)*messages/b.Elapsed().Seconds(), "events/s")
}
