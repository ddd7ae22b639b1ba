package mcp

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"rapport.example/internal/audit"
)

// book is a back end that answers each read at once and takes records as it is told to.
type book struct {
	mu      sync.Mutex
	answer  func(entries []audit.Entry) int // the status of a request to record; nil = 204
	entries []audit.Entry                   // that were taken, in order
	sizes   []int                           // of the requests that were taken
}

func (b *book) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil || !strings.HasPrefix(r.URL.Path, "/agents/v1/audit") {
		says(http.StatusOK, m{"customer": m{"id": "1", "identifiers": m{"id": "1"}, "attributes": m{"plan": "pro"}}})(w, r)
		return
	}
	var in struct{ Entries []audit.Entry }
	if strings.HasSuffix(r.URL.Path, "/batch") {
		err = json.Unmarshal(raw, &in)
	} else {
		in.Entries = make([]audit.Entry, 1)
		err = json.Unmarshal(raw, &in.Entries[0])
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	answer := b.answer
	b.mu.Unlock()
	status := http.StatusNoContent
	if answer != nil {
		status = answer(in.Entries)
	}
	if status == http.StatusNoContent {
		b.mu.Lock()
		b.entries, b.sizes = append(b.entries, in.Entries...), append(b.sizes, len(in.Entries))
		b.mu.Unlock()
	}
	w.WriteHeader(status)
}

func (b *book) says(answer func(entries []audit.Entry) int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = answer
}

// with opens a client of tools that read from the book and record in it.
func (b *book) with(t *testing.T, log *slog.Logger) (*Server, *sdk.ClientSession) {
	t.Helper()
	back := httptest.NewServer(b)
	t.Cleanup(back.Close)
	return over(t, back.URL, false, func(o *Options) { o.Audit, o.Logger = nil, log })
}

func get(t *testing.T, s *sdk.ClientSession) error {
	t.Helper()
	res, err := s.CallTool(t.Context(), &sdk.CallToolParams{Name: "get_person", Arguments: m{"id": "1"}})
	if err == nil && res.IsError {
		t.Fatal(res.StructuredContent)
	}
	return err
}

// TestReadsAreToldSoon answers reads before the server has recorded them, and what changes something after. Those that ended meanwhile
// are told together, in order; nothing is lost when the program ends.
func TestReadsAreToldSoon(t *testing.T) {
	t.Parallel()
	var b book
	asked, go_ := make(chan int, 10), make(chan int)
	b.says(func(entries []audit.Entry) int {
		asked <- len(entries)
		return <-go_
	})
	s, c := b.with(t, slog.New(slog.DiscardHandler))
	if err := get(t, c); err != nil {
		t.Fatal(err)
	}
	if n := <-asked; n != 1 {
		t.Fatalf("%d entries came, want 1", n)
	}
	for range 300 { // the book waits, the reads do not
		if err := get(t, c); err != nil {
			t.Fatal(err)
		}
	}
	wrote := make(chan error)
	go func() {
		_, err := c.CallTool(t.Context(), &sdk.CallToolParams{Name: "track_event", Arguments: m{"id": "1", "name": "x"}})
		wrote <- err
	}()
	go_ <- http.StatusNoContent
	if n := <-asked; n < 100 {
		t.Errorf("%d entries came together, want as many as there is room for", n)
	}
	select {
	case err := <-wrote:
		t.Errorf("a write was answered before it was recorded: %v", err)
	default:
	}
	b.says(nil)
	go_ <- http.StatusNoContent
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	for range 50 {
		if err := get(t, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if len(b.entries) != 352 || b.entries[301].Tool != "track_event" {
		t.Errorf("%d entries were taken, want 352, of which the 302nd is the write", len(b.entries))
	}
	if !slices.IsSortedFunc(b.entries, func(a, b audit.Entry) int { return cmp.Compare(a.At, b.At) }) {
		t.Error("the entries did not come in order")
	}
}

// TestUnrecordedReadsEnd refuses calls while earlier ones cannot be recorded, and has all recorded once it can be.
func TestUnrecordedReadsEnd(t *testing.T) {
	t.Parallel()
	var b book
	b.says(func([]audit.Entry) int { return http.StatusUnauthorized })
	s, c := b.with(t, slog.New(slog.DiscardHandler))
	if err := get(t, c); err != nil {
		t.Errorf("the first read, which is answered before anybody knows: %v", err)
	}
	if _, err := c.CallTool(t.Context(), &sdk.CallToolParams{Name: "track_event", Arguments: m{"id": "1", "name": "x"}}); err == nil {
		t.Error("a write was answered that is not recorded")
	}
	for range 18 { // the write waited until it was known
		if get(t, c) == nil {
			t.Error("a read was answered while an earlier one cannot be recorded")
		}
	}
	if err := s.Close(); err == nil {
		t.Error("nothing was said of what is not recorded")
	}
	b.says(nil)
	if err := get(t, c); err != nil {
		t.Errorf("a read after the server came back: %v", err)
	}
	if len(b.entries) != 21 {
		t.Errorf("%d entries were recorded, want all 21", len(b.entries))
	}
}

// TestEntriesThatDoNotFit are told one by one, and those that a server does not take at all are told in the log: an agent cannot stop
// its record by an entry that is refused. A server of an earlier version takes no more than one at once.
func TestEntriesThatDoNotFit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		refuse func(entries []audit.Entry) bool
		status int
		taken  int
		most   int
	}{
		{"too long together", func(e []audit.Entry) bool { return len(e) > 60 }, http.StatusRequestEntityTooLarge, 151, 50},
		{"an earlier version", func(e []audit.Entry) bool { return len(e) > 1 }, http.StatusNotFound, 151, 1},
		{"one that does not fit", func(e []audit.Entry) bool {
			return slices.ContainsFunc(e, func(e audit.Entry) bool { return e.Took == -1 })
		}, http.StatusBadRequest, 150, 150},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var b book
			b.says(func(e []audit.Entry) int {
				if c.refuse(e) {
					return c.status
				}
				return http.StatusNoContent
			})
			var log bytes.Buffer
			s, _ := b.with(t, slog.New(slog.NewTextHandler(&log, nil)))
			cl, err := s.client(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r := s.recorder(cl)
			var all []*audit.Entry
			for i := range 151 {
				all = append(all, &audit.Entry{Tool: "x", ID: "x", Took: int64(i)})
			}
			all[75].Took = -1
			err = r.tell(t.Context(), all)
			if err != nil {
				t.Error(err)
			}
			if len(b.entries) != c.taken || slices.Max(b.sizes) > c.most {
				t.Errorf("%d entries were taken, want %d; up to %d together, want %d", len(b.entries), c.taken, slices.Max(b.sizes), c.most)
			}
			if told := strings.Contains(log.String(), "takes no such entry"); told != (c.taken < 151) {
				t.Errorf("the log says: %s", &log)
			}
		})
	}
}
