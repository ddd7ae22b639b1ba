package pipelines_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"rapport.example/internal/api"
	"rapport.example/internal/api/apitest"
	"rapport.example/internal/api/app"
	"rapport.example/internal/api/pipelines"
	"rapport.example/internal/id"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

var update = flag.Bool("update", false, "rewrite the archives in testdata")

const writeKey = "write-key-of-the-tests"

// start is the moment that all requests arrive at.
var start = apitest.Start

// harness is the surface over a real engine and database.
type harness struct {
	t      *testing.T
	w      *apitest.World
	mux    *api.Mux
	ops    []ingest.Op // of the last request
	calls  int
	fail   error // of the log
	last   int64 // activity told already
	people map[uint32]string
}

func newHarness(t *testing.T, db *store.DB, limits api.Limits) *harness {
	t.Helper()
	h := &harness{t: t, w: apitest.New(t, db), people: map[uint32]string{}}
	if _, err := db.CreateCredential(t.Context(), workspace.Credential{Workspace: h.w.Workspace.ID, Kind: workspace.Write, Name: "write", Hash: workspace.Hash(writeKey)}); err != nil {
		t.Fatal(err)
	}
	if err := h.w.Keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	limiter, none := api.NewLimiter(limits), slog.New(slog.DiscardHandler)
	mux, err := api.NewMux(api.Options{Keys: h.w.Keys, Limiter: limiter, Now: func() time.Time { return start }, Log: none},
		pipelines.Routes(pipelines.Options{Log: h, Keys: h.w.Keys, Limiter: limiter, Logger: none}))
	if err != nil {
		t.Fatal(err)
	}
	h.mux = mux
	return h
}

// Append is api.Appender: the ops are applied before it returns.
func (h *harness) Append(ctx context.Context, partition int32, ops ...ingest.Op) (ingest.Position, error) {
	if h.fail != nil {
		return ingest.Position{}, h.fail
	}
	h.ops, h.calls = append(h.ops, ops...), h.calls+1
	pos, err := h.w.Append(ctx, partition, ops...)
	if err == nil {
		err = h.w.Applied(ctx, pos)
	}
	return pos, err
}

// serve answers a request. h.ops are those that it came to.
func (h *harness) serve(r *http.Request) *httptest.ResponseRecorder {
	h.ops, h.calls = nil, 0
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, r)
	return w
}

func (h *harness) post(path, body string, headers ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequestWithContext(h.t.Context(), http.MethodPost, path, strings.NewReader(body))
	r.SetBasicAuth(writeKey, "")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return h.serve(r)
}

// TestArchives sends the requests of each archive and compares the answers, the ops, and what these leave in a database of
// each kind. A request has a request line, headers, an empty line and a body; the write key is added unless it has an
// Authorization or says "Authorization: none". <x 9> in it stands for nine x.
func TestArchives(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			want, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(bytes.TrimSpace(want.Comment)) == 0 {
				t.Error("the archive's head comment does not say what it guards")
			}
			if *update {
				got := replay(t, want, storetest.Open(t, storetest.Options(t, storetest.SQLite)))
				if err := os.WriteFile(file, txtar.Format(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				got := replay(t, want, db)
				if diff := cmp.Diff(string(txtar.Format(want)), string(txtar.Format(got))); diff != "" {
					t.Errorf("archive (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func replay(t *testing.T, in *txtar.Archive, db *store.DB) *txtar.Archive {
	t.Helper()
	h := newHarness(t, db, api.Limits{})
	out := &txtar.Archive{Comment: in.Comment}
	for _, f := range in.Files {
		rest, ok := strings.CutPrefix(f.Name, "request")
		if !ok {
			continue
		}
		w := h.serve(h.request(f.Data))
		out.Files = append(out.Files, f, txtar.File{Name: "response" + rest, Data: answer(w)})
		if len(h.ops) > 0 {
			out.Files = append(out.Files, txtar.File{Name: "ops" + rest, Data: h.told()}, txtar.File{Name: "effect" + rest, Data: h.effect()})
		}
	}
	return out
}

var (
	long = regexp.MustCompile(`<x ([0-9]+)>`)
	runs = regexp.MustCompile(`x{50,}`)
	opID = regexp.MustCompile(`"op":"[0-9A-Z]{26}"`)
	made = regexp.MustCompile(`"cio_object_id":"[a-z0-9]+"`)
)

// request makes an http.Request of an archive's text, through the parser of the real server.
func (h *harness) request(text []byte) *http.Request {
	h.t.Helper()
	text = long.ReplaceAllFunc(text, func(mark []byte) []byte {
		n, err := strconv.Atoi(string(long.FindSubmatch(mark)[1]))
		if err != nil {
			h.t.Fatal(err)
		}
		return bytes.Repeat([]byte("x"), n)
	})
	head, body, _ := bytes.Cut(text, []byte("\n\n"))
	body = bytes.TrimSuffix(body, []byte("\n"))
	first, more, _ := strings.Cut(strings.TrimRight(string(head), "\n"), "\n")
	if !strings.Contains(strings.ToLower(more), "authorization:") {
		more += "\nAuthorization: Basic " + base64.StdEncoding.EncodeToString([]byte(writeKey+":"))
	}
	var b strings.Builder
	b.WriteString(first + " HTTP/1.1\r\nHost: cdp.test\r\nX-Request-Id: req-1\r\n")
	for l := range strings.SplitSeq(more, "\n") {
		if l != "" && l != "Authorization: none" {
			b.WriteString(l + "\r\n")
		}
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(b.String())))
	if err != nil {
		h.t.Fatal(err)
	}
	return r.WithContext(h.t.Context())
}

// answer prints a response with the headers that say something.
func answer(w *httptest.ResponseRecorder) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d %s\n", w.Code, http.StatusText(w.Code))
	for _, h := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Allow", "Content-Type", "Retry-After", "WWW-Authenticate"} {
		if v := w.Header().Get(h); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", h, v)
		}
	}
	b.WriteByte('\n')
	b.Write(w.Body.Bytes())
	if !bytes.HasSuffix(b.Bytes(), []byte("\n")) {
		b.WriteByte('\n')
	}
	return b.Bytes()
}

var kinds = map[ingest.Kind]string{
	ingest.Identify: "identify", ingest.Delete: "delete", ingest.Event: "event", ingest.AddDevice: "add device", ingest.DeleteDevice: "delete device",
	ingest.Suppress: "suppress", ingest.Unsuppress: "unsuppress", ingest.Merge: "merge", ingest.Metric: "metric", ingest.Refused: "refused",
	ingest.Object: "object", ingest.DeleteObject: "delete object", ingest.Relate: "relate", ingest.Unrelate: "unrelate",
}

// told prints the ops of the last request.
func (h *harness) told() []byte {
	var b bytes.Buffer
	for i := range h.ops {
		o := &h.ops[i]
		if o.Version != ingest.OpVersion || o.Workspace != h.w.Workspace.ID || o.Received != start.UnixMilli() || len(o.ID) != 26 ||
			o.Surface != ingest.FromPipelines || o.Credential == 0 || o.Request != "req-1" {
			h.t.Errorf("incomplete envelope: %+v", o)
		}
		fmt.Fprintf(&b, "%s %s\n", kinds[o.Kind], o.Payload)
	}
	if h.calls > 1 {
		fmt.Fprintf(&b, "in %d appends\n", h.calls)
	}
	return h.hide(b.Bytes())
}

const most = 9 // people of an archive

func (h *harness) cio(ordinal uint32) string {
	return id.CIO(h.w.DB.Secret(), h.w.Workspace.ID, ordinal)
}

// hide replaces what differs from run to run.
func (h *harness) hide(b []byte) []byte {
	s := opID.ReplaceAllString(string(b), `"op":"…"`)
	s = made.ReplaceAllString(s, `"cio_object_id":"…"`)
	for i := uint32(1); i <= most; i++ {
		s = strings.ReplaceAll(s, h.cio(i), fmt.Sprintf("<cio %d>", i))
	}
	return []byte(runs.ReplaceAllStringFunc(s, func(run string) string { return fmt.Sprintf("<x %d>", len(run)) }))
}

// effect prints what is new: activities, people that changed, and who is gone.
func (h *harness) effect() []byte {
	h.t.Helper()
	var b bytes.Buffer
	list, _, err := h.w.DB.Activities(h.t.Context(), h.w.Workspace.ID, app.ActivityQuery{Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	for i := len(list) - 1; i >= 0; i-- {
		a := list[i]
		if a.Seq <= h.last {
			continue
		}
		h.last = a.Seq
		fmt.Fprintf(&b, "%s %q of %d", a.Type, a.Name, a.Person)
		if a.At != start.UnixMilli() {
			fmt.Fprintf(&b, " at %s", time.UnixMilli(a.At).UTC().Format(time.RFC3339))
		}
		if a.Anonymous != "" {
			fmt.Fprintf(&b, " anonymous %q", a.Anonymous)
		}
		fmt.Fprintf(&b, " %s\n", a.Data)
	}
	for i := uint32(1); i <= most; i++ {
		d, err := h.w.DB.FindPerson(h.t.Context(), h.w.Workspace.ID, person.Identifier{Type: person.ByCIO, Value: h.cio(i)})
		if err != nil {
			h.t.Fatal(err)
		}
		now := "is gone\n"
		if d != nil {
			now = h.described(d)
		}
		if was := h.people[i]; was != now && (was != "" || d != nil) {
			fmt.Fprintf(&b, "person %d %s", i, now)
			h.people[i] = now
		}
	}
	return h.hide(b.Bytes())
}

func (h *harness) described(d *person.Document) string {
	h.t.Helper()
	var b strings.Builder
	related, err := h.w.DB.ObjectsOf(h.t.Context(), d.Ref, 0, 100)
	if err != nil {
		h.t.Fatal(err)
	}
	fmt.Fprintf(&b, "id %q email %q\n", d.ID, d.Email)
	for _, a := range d.Attributes {
		fmt.Fprintf(&b, "  %s = %s\n", a.Name, a.Value)
	}
	for _, a := range d.Anonymous {
		fmt.Fprintf(&b, "  anonymous id %q\n", a.Name)
	}
	for _, r := range related {
		fmt.Fprintf(&b, "  related to %d %q\n", r.Object.Type, r.Object.ID)
	}
	for _, v := range d.Devices {
		fmt.Fprintf(&b, "  device %s on %s at %d %s\n", value.Quote(v.Token), v.Platform, v.LastUsed, v.Attributes)
	}
	return b.String()
}
