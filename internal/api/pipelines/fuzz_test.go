package pipelines_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rapport.example/internal/api"
	"rapport.example/internal/api/pipelines"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/workspace"
)

// anybody lets every key in.
type anybody struct{}

func (anybody) Authenticate(string, api.Auth, time.Time) (api.Access, error) {
	return api.Access{Credential: &workspace.Credential{ID: 1, Workspace: 1}, Workspace: workspace.Workspace{ID: 1}}, nil
}

func (a anybody) Secret(workspace.Kind, string, time.Time) (api.Access, error) {
	return a.Authenticate("", api.WriteKey, time.Time{})
}

// memory is a log that keeps what it is given. With fail set it is down.
type memory struct {
	ops  []ingest.Op
	fail error
}

func (m *memory) Append(_ context.Context, _ int32, ops ...ingest.Op) (ingest.Position, error) {
	m.ops = append(m.ops, ops...)
	return ingest.Position{}, m.fail
}

func newMux(tb testing.TB, log api.Appender, keys pipelines.Keys, limiter *api.Limiter) *api.Mux {
	tb.Helper()
	none := slog.New(slog.DiscardHandler)
	mux, err := api.NewMux(api.Options{Now: func() time.Time { return start }, Log: none},
		pipelines.Routes(pipelines.Options{Log: log, Keys: keys, Limiter: limiter, Logger: none}))
	if err != nil {
		tb.Fatal(err)
	}
	return mux
}

// FuzzMessages sends any body to every path. Without strict mode the answer is 200 and something is done or noted; in strict
// mode a body is taken whole or refused. What is taken decodes.
func FuzzMessages(f *testing.F) {
	for _, m := range good {
		f.Add(m.body)
		f.Add(`{"batch":[` + m.body[:1] + `"type":"` + m.path + `",` + m.body[1:] + `]}`)
	}
	for _, s := range []string{
		`{"batch":[1,{"type":"group","groupId":"g","userId":"u","traits":{"object_type_id":2,"relationshipAttributes":{"a":1}}}],"sentAt":"x","context":{"device":{}}}`,
		`{"type":"track","event":"Relationship Deleted","properties":{"objectId":"o"},"userId":"cio_x"}`, `{"userId":"\u0000","traits":{"email":"@"}}`, `[]`, ``,
	} {
		f.Add(s)
	}
	log := &memory{}
	mux := newMux(f, log, anybody{}, nil)
	f.Fuzz(func(t *testing.T, body string) {
		for path := range strings.FieldsSeq("identify track page screen group alias batch") {
			for _, strict := range []string{"", "1"} {
				log.ops = log.ops[:0]
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/"+path, strings.NewReader(body))
				r.Header.Set("X-Strict-Mode", strict)
				w := httptest.NewRecorder()
				mux.ServeHTTP(w, r)
				taken := w.Code == http.StatusOK
				if !taken && (strict == "" || w.Code != http.StatusBadRequest && w.Code != http.StatusRequestEntityTooLarge) {
					t.Fatalf("%s, strict %q: %d %s", path, strict, w.Code, w.Body)
				}
				if taken != (len(log.ops) > 0) {
					t.Fatalf("%s, strict %q: %d with %d ops", path, strict, w.Code, len(log.ops))
				}
				for i := range log.ops {
					decodes(t, &log.ops[i])
				}
			}
		}
	})
}

// FuzzPacked sends any bytes as a packed body.
func FuzzPacked(f *testing.F) {
	for _, m := range good {
		f.Add(packed(f, m.body))
	}
	whole := packed(f, strings.Repeat("x", pipelines.MaxMessage))
	for _, b := range []string{whole, whole[:len(whole)/2], whole + whole, packed(f, ""), "\x1f\x8b\x08", ""} {
		f.Add(b)
	}
	log := &memory{}
	mux := newMux(f, log, anybody{}, nil)
	f.Fuzz(func(t *testing.T, body string) {
		for _, strict := range []string{"", "1"} {
			log.ops = log.ops[:0]
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/track", strings.NewReader(body))
			r.Header.Set("Content-Encoding", "gzip")
			r.Header.Set("X-Strict-Mode", strict)
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			taken := w.Code == http.StatusOK
			if !taken && (strict == "" || w.Code != http.StatusBadRequest && w.Code != http.StatusRequestEntityTooLarge) || taken != (len(log.ops) > 0) {
				t.Fatalf("strict %q: %d %s with %d ops", strict, w.Code, w.Body, len(log.ops))
			}
			for i := range log.ops {
				decodes(t, &log.ops[i])
			}
		}
	})
}

func decodes(t *testing.T, o *ingest.Op) {
	t.Helper()
	var err error
	switch o.Kind {
	case ingest.Identify:
		_, err = ingest.Decode[ingest.IdentifyPayload](o)
	case ingest.Event:
		_, err = ingest.Decode[ingest.EventPayload](o)
	case ingest.Delete, ingest.Suppress, ingest.Unsuppress:
		_, err = ingest.Decode[ingest.PersonPayload](o)
	case ingest.Merge:
		_, err = ingest.Decode[ingest.MergePayload](o)
	case ingest.Metric:
		_, err = ingest.Decode[ingest.MetricPayload](o)
	case ingest.AddDevice, ingest.DeleteDevice:
		_, err = ingest.Decode[ingest.DevicePayload](o)
	case ingest.Object, ingest.DeleteObject:
		_, err = ingest.Decode[ingest.ObjectPayload](o)
	case ingest.Unrelate:
		_, err = ingest.Decode[ingest.RelatePayload](o)
	case ingest.Refused:
		var p ingest.RefusedPayload
		if p, err = ingest.Decode[ingest.RefusedPayload](o); p.Reason == "" || p.Count < 1 {
			t.Fatalf("refused without a reason: %s", o.Payload)
		}
	default:
		t.Fatalf("op of kind %d", o.Kind)
	}
	if err != nil {
		t.Fatalf("%s %s: %v", kinds[o.Kind], o.Payload, err)
	}
}

// TestLogInTrouble answers 503 when nothing can be made durable, whatever was asked and in what mode.
func TestLogInTrouble(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]error{"full": fault.New(fault.Unavailable, "the log is full"), "broken": context.DeadlineExceeded} {
		mux := newMux(t, &memory{fail: fail}, anybody{}, nil)
		for _, body := range []string{`{"userId":"u1","event":"Seen"}`, `{"userId":"u1"}`, `{`} {
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/track", strings.NewReader(body)))
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
				t.Errorf("%s, %s: %d %v", name, body, w.Code, w.Header())
			}
		}
	}
}

// TestLimits lets a workspace's requests through as often as it may, and answers 429 to the others in every mode.
func TestLimits(t *testing.T) {
	t.Parallel()
	mux := newMux(t, &memory{}, anybody{}, api.NewLimiter(api.Limits{Pipelines: 2}))
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests, http.StatusTooManyRequests} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/t", strings.NewReader(`{"userId":"u1","event":"Seen"}`))
		if i%2 == 1 {
			r = httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/projects/key/settings", nil)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("request %d: %d, want %d", i, w.Code, want)
		}
	}
}
