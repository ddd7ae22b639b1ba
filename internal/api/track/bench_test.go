package track

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rapport.example/internal/api"
	"rapport.example/internal/ingest"
)

// nowhere accepts everything and keeps nothing, so that the surface alone is measured.
type nowhere struct{}

func (nowhere) Append(context.Context, int32, ...ingest.Op) (ingest.Position, error) {
	return ingest.Position{}, nil
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func BenchmarkTrack(b *testing.B) {
	for _, bb := range []struct{ name, method, path, body string }{
		{"call=event", "POST", "/api/v1/customers/12345/events", `{"name":"order_completed","timestamp":1767312000,"data":{"order_id":"A-100234","total":129.95,"currency":"EUR","items":[{"sku":"S-1","qty":2,"price":40.00},{"sku":"S-2","qty":1,"price":49.95}],"coupon":null,"shipping":{"city":"Berlin","country":"DE","method":"standard"},"first":false}}`},
		{"call=identify", "PUT", "/api/v1/customers/12345", `{"email":"ada@example.com","created_at":1700000000,"first_name":"Ada","plan":"pro","seats":12,"country":"DE","active":true}`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			mux := newMux(b, nowhere{}, api.Limits{})
			r := httptest.NewRequestWithContext(b.Context(), bb.method, bb.path, nil)
			r.Header.Set("Authorization", basic)
			r.ContentLength = int64(len(bb.body))
			w := discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				r.Body = io.NopCloser(strings.NewReader(bb.body))
				mux.ServeHTTP(w, r)
			}
		})
	}
}
