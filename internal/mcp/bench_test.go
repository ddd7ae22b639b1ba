package mcp

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// BenchmarkToolCall is one read by a tool, whose back end answers at once.
func BenchmarkToolCall(b *testing.B) {
	back := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"customer":{"id":"1","identifiers":{"id":"1","email":"a@example.com","cio_id":"01"},"attributes":{"plan":"pro","first_name":"Ada"},"unsubscribed":false}}`)
	}))
	b.Cleanup(back.Close)
	_, c := over(b, back.URL, false, nil)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			res, err := c.CallTool(b.Context(), &sdk.CallToolParams{Name: "get_person", Arguments: map[string]any{"id": "1"}})
			if err != nil || res.IsError {
				b.Fatal(err, res)
			}
		}
	})
}
