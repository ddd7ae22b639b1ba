package track

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"rapport.example/internal/api"
	"rapport.example/internal/definition"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	objects "rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/workspace"
)

var update = flag.Bool("update", false, "rewrite the archives in testdata")

// start is the moment that all requests of the tests arrive at: 2026-01-02T00:00:00Z.
var start = time.Unix(1767312000, 0)

// memory is a log that keeps what it is given. With fail set it is down.
type memory struct {
	mu    sync.Mutex
	ops   []ingest.Op
	calls int
	fail  error
}

func (m *memory) Append(_ context.Context, partition int32, ops ...ingest.Op) (ingest.Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return ingest.Position{}, m.fail
	}
	m.calls++
	m.ops = append(m.ops, ops...)
	return ingest.Position{Partition: partition, Seq: uint64(m.calls)}, nil
}

// tenants is one workspace with one Track key: site:key.
type tenants struct{}

func (tenants) Workspaces(context.Context) ([]workspace.Workspace, error) {
	return []workspace.Workspace{{ID: 7, Name: "test", Partition: 3}}, nil
}

func (tenants) AllowedAddresses(context.Context) (map[int64][]netip.Prefix, error) { return nil, nil }

func (tenants) Credentials(context.Context) ([]workspace.Credential, error) {
	return []workspace.Credential{
		{ID: 11, Workspace: 7, Kind: workspace.Track, SiteID: "site", Hash: workspace.Hash("key")},
		{ID: 12, Workspace: 7, Kind: workspace.Track, SiteID: "s?te", Hash: workspace.Hash("k~y>")}, // - and _ in URL-safe base64
		{ID: 13, Workspace: 7, Kind: workspace.App, Hash: workspace.Hash("app")},
	}, nil
}

// deliveries finds what a database has as deliveries of workspace 7.
type deliveries struct{ db *store.DB }

func (d deliveries) FindDelivery(ctx context.Context, public string) (workspace int64, partition int32, number int64, err error) {
	if d.db == nil {
		return 0, 0, 0, nil
	}
	_, _, number, err = d.db.FindDelivery(ctx, public)
	if number == 0 {
		return 0, 0, 0, err
	}
	return 7, 3, number, err
}

func newMux(t testing.TB, log api.Appender, limits api.Limits) *api.Mux {
	t.Helper()
	return muxOf(t, log, deliveries{}, limits)
}

func muxOf(t testing.TB, log api.Appender, known Deliveries, limits api.Limits) *api.Mux {
	t.Helper()
	return muxAs(t, log, known, nil, limits)
}

func muxAs(t testing.TB, log api.Appender, known Deliveries, state State, limits api.Limits) *api.Mux {
	t.Helper()
	keys := api.NewKeys(api.KeyOptions{Store: tenants{}, Log: slog.New(slog.DiscardHandler)})
	if err := keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	mux, err := api.NewMux(api.Options{
		Keys: keys, Limiter: api.NewLimiter(limits), Now: func() time.Time { return start }, Log: slog.New(slog.DiscardHandler),
	}, Routes(Options{Log: log, Keys: keys, Deliveries: known, State: state, BaseURL: "https://track.example.com"}))
	if err != nil {
		t.Fatal(err)
	}
	return mux
}

// stateOf shows the state of the effects' workspace as that of workspace 7.
type stateOf struct{ e *effects }

func (s stateOf) FindPerson(ctx context.Context, _ int64, by person.Identifier) (*person.Document, error) {
	return s.e.w.DB.FindPerson(ctx, s.e.w.Workspace.ID, by)
}

func (s stateOf) IsSuppressed(ctx context.Context, _ int64, by person.Identifier) (bool, error) {
	return s.e.w.DB.IsSuppressed(ctx, s.e.w.Workspace.ID, by)
}

func (s stateOf) FindObject(ctx context.Context, _ int64, k objects.Key) (*objects.Object, error) {
	return s.e.w.DB.FindObject(ctx, s.e.w.Workspace.ID, k)
}

func (s stateOf) HasRelationship(ctx context.Context, who person.Ref, object int64) (bool, error) {
	return s.e.w.DB.HasRelationship(ctx, who, object)
}

func (s stateOf) CurrentDefinitions(ctx context.Context, _ int64, kind string) ([]definition.Row, error) {
	return s.e.w.DB.CurrentDefinitions(ctx, s.e.w.Workspace.ID, kind)
}

// basic is the Authorization of the test key.
var basic = "Basic " + base64.StdEncoding.EncodeToString([]byte("site:key"))

// TestArchives sends the requests of each archive and compares the answers, the ops, and what the ops leave in a database
// of each kind when the engine has applied them. A request has a request line, headers, an empty line and a body; an
// Authorization is added unless it has one or says "Authorization: none". A file "define" is a workspace file that is applied at its
// place; in an archive with one, the surface sees the workspace's state.
func TestArchives(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txtar"), func(t *testing.T) {
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
	log := &memory{}
	effects := newEffects(t, db)
	var state State
	if slices.ContainsFunc(in.Files, func(f txtar.File) bool { return strings.HasPrefix(f.Name, "define") }) {
		state = stateOf{effects}
	}
	mux := muxAs(t, log, deliveries{db}, state, api.Limits{})
	out := &txtar.Archive{Comment: in.Comment}
	for _, f := range in.Files {
		if strings.HasPrefix(f.Name, "define") {
			effects.w.Define(string(f.Data))
			out.Files = append(out.Files, f)
			continue
		}
		rest, ok := strings.CutPrefix(f.Name, "request")
		if !ok {
			continue
		}
		log.ops, log.calls = nil, 0
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, request(t, effects.in(f.Data)))
		out.Files = append(out.Files, f,
			txtar.File{Name: "response" + rest, Data: answer(w)},
			txtar.File{Name: "ops" + rest, Data: []byte(effects.out(string(opsText(log))))})
		for i := range log.ops {
			checkOp(t, &log.ops[i])
		}
		if told := effects.of(log.ops); len(log.ops) > 0 {
			out.Files = append(out.Files, txtar.File{Name: "effect" + rest, Data: told})
		} else if len(told) > 0 {
			t.Errorf("%s: no op, but %s", f.Name, told)
		}
	}
	return out
}

// request makes an http.Request of an archive's text, through the parser of the real server.
func request(t testing.TB, text []byte) *http.Request {
	t.Helper()
	head, body, _ := bytes.Cut(text, []byte("\n\n"))
	body = bytes.TrimSuffix(body, []byte("\n"))
	lines := strings.Split(strings.TrimRight(string(head), "\n"), "\n")
	var b strings.Builder
	b.WriteString(lines[0] + " HTTP/1.1\r\n")
	has := map[string]bool{}
	for _, l := range lines[1:] {
		name, _, _ := strings.Cut(strings.ToLower(l), ":")
		has[name] = true
		if strings.ToLower(l) != "authorization: none" {
			b.WriteString(l + "\r\n")
		}
	}
	for _, add := range []struct{ name, value string }{
		{"host", "track.test"}, {"authorization", basic}, {"x-request-id", "req-1"}, {"content-length", strconv.Itoa(len(body))},
	} {
		if !has[add.name] && (add.name != "content-length" || len(body) > 0) {
			b.WriteString(add.name + ": " + add.value + "\r\n")
		}
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(b.String() + "\r\n" + string(body))))
	if err != nil {
		t.Fatal(err)
	}
	return r.WithContext(t.Context())
}

// answer prints a response with the headers that say something.
func answer(w *httptest.ResponseRecorder) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d %s\n", w.Code, http.StatusText(w.Code))
	for _, h := range []string{"Allow", "Content-Length", "Content-Type", "Retry-After", "WWW-Authenticate"} {
		if v := w.Header().Get(h); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", h, v)
		}
	}
	b.WriteByte('\n')
	b.Write(w.Body.Bytes())
	return b.Bytes()
}

var kinds = map[ingest.Kind]string{
	ingest.Identify: "identify", ingest.Delete: "delete", ingest.Event: "event", ingest.AddDevice: "add device",
	ingest.DeleteDevice: "delete device", ingest.Suppress: "suppress", ingest.Unsuppress: "unsuppress",
	ingest.Form: "form", ingest.SegmentAdd: "segment add", ingest.SegmentDrop: "segment drop", ingest.Merge: "merge",
	ingest.Metric: "metric", ingest.Object: "object", ingest.DeleteObject: "delete object", ingest.Relate: "relate", ingest.Unrelate: "unrelate",
}

func opsText(log *memory) []byte {
	var b bytes.Buffer
	for _, o := range log.ops {
		fmt.Fprintf(&b, "%s %s\n", kinds[o.Kind], o.Payload)
	}
	if log.calls > 1 {
		fmt.Fprintf(&b, "in %d appends\n", log.calls)
	}
	return b.Bytes()
}

// checkOp fails unless the envelope is complete and the payload decodes into the struct of its kind and back.
func checkOp(t testing.TB, o *ingest.Op) {
	t.Helper()
	if o.Version != ingest.OpVersion || o.Workspace != 7 || o.Received != start.UnixMilli() || len(o.ID) != 26 ||
		o.Surface != ingest.FromTrack || o.Credential == 0 && o.Kind != ingest.Metric || o.Request == "" {
		t.Errorf("incomplete envelope: %+v", o)
	}
	var again any
	var err error
	switch o.Kind {
	case ingest.Identify:
		again, err = ingest.Decode[ingest.IdentifyPayload](o)
	case ingest.Delete, ingest.Suppress, ingest.Unsuppress:
		again, err = ingest.Decode[ingest.PersonPayload](o)
	case ingest.Event:
		again, err = ingest.Decode[ingest.EventPayload](o)
	case ingest.AddDevice, ingest.DeleteDevice:
		again, err = ingest.Decode[ingest.DevicePayload](o)
	case ingest.Merge:
		again, err = ingest.Decode[ingest.MergePayload](o)
	case ingest.Object, ingest.DeleteObject:
		again, err = ingest.Decode[ingest.ObjectPayload](o)
	case ingest.Relate, ingest.Unrelate:
		again, err = ingest.Decode[ingest.RelatePayload](o)
	case ingest.Form:
		again, err = ingest.Decode[ingest.FormPayload](o)
	case ingest.Metric:
		again, err = ingest.Decode[ingest.MetricPayload](o)
	case ingest.SegmentAdd, ingest.SegmentDrop:
		again, err = ingest.Decode[ingest.SegmentPayload](o)
	default:
		t.Fatalf("op of kind %d", o.Kind)
	}
	if err != nil {
		t.Fatalf("payload %s: %v", o.Payload, err)
	}
	encoded, err := ingest.Encode(again)
	if err != nil || string(encoded) != string(o.Payload) {
		t.Errorf("payload %s, decoded and encoded again %s, %v", o.Payload, encoded, err)
	}
}

func send(t testing.TB, mux *api.Mux, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", basic)
	for h := range slices.Chunk(headers, 2) {
		r.Header.Set(h[0], h[1])
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

var errFull = fault.Wrap(fault.Unavailable, errors.New("stream full"), "the log is full")

// sendBody sends a body with a known length, or chunked.
func sendBody(t testing.TB, mux *api.Mux, method, path, body string, chunked bool) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", basic)
	if chunked {
		r.ContentLength = -1
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

// sendRoute fills every parameter of a route's path with id.
func sendRoute(t testing.TB, mux *api.Mux, route api.Route, id, body string, headers []string) *httptest.ResponseRecorder {
	t.Helper()
	var path []string
	for seg := range strings.SplitSeq(route.Path, "/") {
		if strings.HasPrefix(seg, "{segment") {
			seg = "4"
		} else if strings.HasPrefix(seg, "{") {
			seg = url.PathEscape(id)
		}
		path = append(path, seg)
	}
	return send(t, mux, route.Method, strings.Join(path, "/"), body, headers...)
}
