package admin_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/api/apitest"
	"rapport.example/internal/export"
	"rapport.example/internal/ingest"
	"rapport.example/internal/job"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

// TestExports: while people come, change and go, a file has everybody who stayed exactly once, all acknowledged before the order as
// they then were or are since; what is wrong with an order is told, and nothing of another workspace.
func TestExports(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		woken := make(chan string, 100)
		s := newServer(t, db, func(o *admin.Options) { o.Wake = func(kind string) { woken <- kind } })
		other, err := db.CreateWorkspace(t.Context(), "other", 0)
		if err != nil {
			t.Fatal(err)
		}
		const stay = 50
		for i := range stay {
			s.Do(s.Identify(fmt.Sprint("stays", i), `{"n":0}`), s.Identify(fmt.Sprint("goes", i), `{"n":0}`))
		}
		queued := call[admin.Export](s, "POST", "exports/people", admin.PeopleExportRequest{Format: export.JSONL}, 200)
		if queued.State != job.Queued || <-woken != export.Kind {
			t.Errorf("ordered: %+v, want queued", queued)
		}
		path := fmt.Sprintf("exports/%d", queued.ID)
		if p := call[problem](s, "GET", path+"/file", nil, http.StatusConflict); !strings.Contains(p.Detail, "not done") {
			t.Errorf("a file before its time: %+v", p)
		}
		r := job.NewRunner(job.Options{Store: db, Kinds: []job.Kind{export.Job(db)}, Owner: "a", Now: time.Now, Logger: slog.New(slog.DiscardHandler), Poll: 5 * time.Millisecond})
		r.Start()
		t.Cleanup(r.Stop)

		stop := make(chan struct{})
		var writing sync.WaitGroup
		writing.Go(func() {
			for n := 1; n <= stay; n++ {
				select {
				case <-stop:
					return
				default:
				}
				s.Do(s.Identify(fmt.Sprint("stays", n-1), fmt.Sprintf(`{"n":%d}`, n)), s.Identify(fmt.Sprint("comes", n), `{}`),
					s.Op(ingest.Delete, ingest.PersonPayload{By: ingest.By{ID: fmt.Sprint("goes", n-1)}}))
			}
		})
		for range 3 {
			file := s.file(s.done(queued))
			for i := range stay {
				if n := strings.Count(file, fmt.Sprintf(`{"id":"stays%d",`, i)); n != 1 {
					t.Errorf("stays%d is there %d times", i, n)
				}
			}
			comes, goes := strings.Count(file, `{"id":"comes`), strings.Count(file, `{"id":"goes`)
			if changed := stay - strings.Count(file, `"n":0}}`) + goes; comes+goes != stay || changed != comes {
				t.Errorf("of one moment: %d have come, %d have not gone, %d have changed", comes, goes, changed)
			}
			queued = call[admin.Export](s, "POST", "exports/people", admin.PeopleExportRequest{Format: export.JSONL}, 200)
		}
		close(stop)
		writing.Wait()
		s.Do(s.Identify("last", `{"n":-1}`)) // acknowledged before the order
		last := s.done(call[admin.Export](s, "POST", "exports/people", admin.PeopleExportRequest{
			Format: export.JSONL, Filter: value.Value(`{"attribute":{"field":"n","operator":"eq","value":-1}}`),
		}, 200))
		var line struct{ ID string }
		if file := s.file(last); json.Unmarshal([]byte(file), &line) != nil || line.ID != "last" || last.Total != 1 || last.Rows != 1 || last.Size != int64(len(file)) {
			t.Errorf("by a filter: %+v, %s", last, file)
		}

		for body, field := range map[string]string{
			`{}`: "format", `{"format":"xml"}`: "format", `{"format":"csv","filter":{"segment":{"id":9}}}`: "filter.segment.id", `{"format":"csv","filter":[]}`: "filter",
		} {
			if p := call[problem](s, "POST", "exports/people", json.RawMessage(body), 400); p.Field != field {
				t.Errorf("%s: %+v, want a word about %s", body, p, field)
			}
		}
		call[problem](s, "GET", "exports/x", nil, 400)
		for _, missing := range []string{"exports/99", "exports/99/file", path + "?workspace=other", path + "/file?workspace=" + fmt.Sprint(other.ID), path + "?workspace=none"} {
			call[problem](s, "GET", missing, nil, 404)
		}
	})
}

// done waits for the end of an export.
func (s *server) done(e admin.Export) admin.Export {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); e.State != job.Done; {
		if time.Now().After(end) || e.State == job.Failed {
			s.t.Fatalf("the export stays %+v", e)
		}
		timer := time.NewTimer(2 * time.Millisecond)
		<-timer.C
		e = call[admin.Export](s, "GET", fmt.Sprintf("exports/%d", e.ID), nil, 200)
	}
	return e
}

func (s *server) file(e admin.Export) string {
	s.t.Helper()
	w := s.request("GET", fmt.Sprintf("/admin/v1/exports/%d/file", e.ID), "", "Authorization", "Bearer "+apitest.AdminKey)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/x-ndjson; charset=utf-8" {
		s.t.Fatalf("the file: %d %s", w.Code, w.Header())
	}
	return w.Body.String()
}
