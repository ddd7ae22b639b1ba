package imports_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"rapport.example/internal/api/apitest"
	"rapport.example/internal/api/app"
	"rapport.example/internal/event"
	"rapport.example/internal/fault"
	"rapport.example/internal/imports"
	"rapport.example/internal/ingest"
	"rapport.example/internal/job"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world has jobs whose clock only the test moves.
type world struct {
	*apitest.World
	mu      sync.Mutex
	ms      int64
	applied func(context.Context, ingest.Position) error // as imports.Options has it
}

func each(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		w := &world{ms: apitest.Start.UnixMilli()}
		o.Now = w.now
		w.World = apitest.New(t, storetest.Open(t, o))
		w.applied = w.Applied
		fn(t, w)
	})
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.UnixMilli(w.ms)
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ms += d.Milliseconds()
}

// node starts a runner that stops with the test.
func (w *world) node(t *testing.T, owner string, db job.Store, log imports.Log, fetch func(context.Context, string, io.Writer) error) *job.Runner {
	t.Helper()
	k := imports.Job(imports.Options{
		Log: log, Requests: w.DB, Fetch: fetch, Route: func(int64) (int32, bool) { return 0, true },
		Caught: func(ctx context.Context, ws int64) { w.Fresh(ctx, ws) }, Applied: w.applied, Now: w.Now,
	})
	r := job.NewRunner(job.Options{Store: db, Kinds: []job.Kind{k}, Owner: owner, Now: w.now, Logger: slog.New(slog.DiscardHandler), Poll: 5 * time.Millisecond})
	r.Start()
	t.Cleanup(r.Stop)
	return r
}

// upload makes a job of a file.
func (w *world) upload(t *testing.T, spec *imports.Spec, file string) job.Key {
	t.Helper()
	spec.Size, spec.Surface = int64(len(file)), ingest.FromAdmin
	if err := spec.Check(); err != nil {
		t.Fatal(err)
	}
	j, err := app.CreateImport(t.Context(), w.DB, nil, w.Workspace.ID, spec, job.Preparing)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n*imports.PartSize < len(file); n++ {
		b, err := imports.Pack([]byte(file[n*imports.PartSize : min((n+1)*imports.PartSize, len(file))]))
		if err == nil {
			err = w.DB.AddToJob(t.Context(), j.Key, int64(n), b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.DB.StartJob(t.Context(), j.Key, ""); err != nil {
		t.Fatal(err)
	}
	return j.Key
}

// wait returns the job once it is over, with how far it came.
func (w *world) wait(t *testing.T, k job.Key) (*job.Job, imports.Progress) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		j, err := w.DB.Job(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		if !j.Open() {
			_, p, err := imports.Read(j)
			if err != nil {
				t.Fatal(err)
			}
			return j, p
		}
		if time.Now().After(end) {
			t.Fatalf("the job stays %+v", j)
		}
		timer := time.NewTimer(2 * time.Millisecond)
		<-timer.C
	}
}

func (w *world) bad(t *testing.T, k job.Key) []imports.BadRow {
	t.Helper()
	bad, err := imports.Bad(t.Context(), w.DB, k)
	if err != nil {
		t.Fatal(err)
	}
	return bad
}

func (w *world) find(t *testing.T, id string) *person.Document {
	t.Helper()
	d, err := w.DB.FindPerson(t.Context(), w.Workspace.ID, person.Identifier{Type: person.ByID, Value: id})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// activities counts the activities of a type, by name.
func (w *world) activities(t *testing.T, kind event.Type) map[string]int {
	t.Helper()
	out := map[string]int{}
	for from := int64(0); ; {
		page, next, err := w.DB.Activities(t.Context(), w.Workspace.ID, app.ActivityQuery{From: from, Type: kind, Limit: 500})
		if err != nil {
			t.Fatal(err)
		}
		for i := range page {
			out[page[i].Name]++
		}
		if from = next; next == 0 {
			return out
		}
	}
}

// TestPeople imports people from several parts, some of whom exist; then only new ones, then only those who exist.
func TestPeople(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		const people = 1700
		w.Do(w.Identify("7", `{"plan":"old","kept":true}`))
		w.node(t, "a", w.DB, w, nil)
		var file strings.Builder
		fill := strings.Repeat("x", 900)
		file.WriteString("id,plan,fill\n")
		for i := range people {
			fmt.Fprintf(&file, "%d,pro,%s\n", i, fill)
		}
		file.WriteString(",no id,\n3\n")
		k := w.upload(t, &imports.Spec{Type: imports.People, Identifier: "id", Mode: imports.All}, file.String())
		j, p := w.wait(t, k)
		want := imports.Progress{
			Stage: imports.Importing, Size: int64(file.Len()), Rows: people, Bad: 2, Done: people, Applied: people, Row: people + 2, Offset: int64(file.Len()), Batch: p.Batch,
		}
		if diff := cmp.Diff(want, p); diff != "" || j.State != job.Done || imports.State(j, &p) != "imported" {
			t.Errorf("%+v (-want +got):\n%s", j, diff)
		}
		if diff := cmp.Diff([]imports.BadRow{{people + 1, "id is missing"}, {people + 2, "has 1 cells, and the first line 3"}}, w.bad(t, k)); diff != "" {
			t.Errorf("bad rows (-want +got):\n%s", diff)
		}
		n, err := w.DB.CountPeople(t.Context(), w.Workspace.ID)
		if d := w.find(t, "7"); err != nil || n != people || d.Get("plan").Text() != "pro" || d.Get("kept").Text() != "true" {
			t.Errorf("%d people, %v; 7 is %+v", n, err, d)
		}
		for _, c := range []struct {
			mode     imports.Mode
			old, new string // plans after it
		}{{imports.OnlyNew, "pro", "second"}, {imports.OnlyExisting, "third", ""}} {
			id, plan := string(c.mode), map[imports.Mode]string{imports.OnlyNew: "second", imports.OnlyExisting: "third"}[c.mode]
			j, _ := w.wait(t, w.upload(t, &imports.Spec{Type: imports.People, Identifier: "id", Mode: c.mode}, "id,plan\n7,"+plan+"\n"+id+","+plan+"\n"))
			got := ""
			if d := w.find(t, id); d != nil {
				got = d.Get("plan").Text()
			}
			if old := w.find(t, "7").Get("plan").Text(); j.State != job.Done || old != c.old || got != c.new {
				t.Errorf("%s: %s; the plan of 7 is %q, want %q; that of a new one %q, want %q", c.mode, j.Error, old, c.old, got, c.new)
			}
		}
		if n := len(w.activities(t, event.FailedChange)); n != 0 {
			t.Errorf("%d failed changes", n)
		}
	})
}

// TestKinds imports objects, relationships and events; a file that is none fails with its reason.
func TestKinds(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.Do(w.Identify("1", `{}`))
		w.node(t, "a", w.DB, w, func(_ context.Context, url string, to io.Writer) error {
			if url != "http://files.example/a" {
				return fault.Field("data_file_url", "answers 404")
			}
			_, err := io.WriteString(to, `{"object_id":"acme","name":"Acme"}`)
			return err
		})
		for _, c := range []struct {
			spec  imports.Spec
			file  string
			state job.State
			error string
		}{
			{imports.Spec{Type: imports.Objects, ObjectType: 1, Mode: imports.All, URL: "http://files.example/a"}, "", job.Done, ""},
			{imports.Spec{Type: imports.Objects, ObjectType: 1, Mode: imports.All, URL: "http://files.example/b"}, "", job.Failed, "data_file_url answers 404"},
			{imports.Spec{Type: imports.Relationships, Identifier: "id", ObjectType: 1, Mode: imports.All}, "id,object_id,role\n1,acme,boss\n", job.Done, ""},
			{imports.Spec{Type: imports.Events, Identifier: "id", Mode: imports.All}, "id,name\n1,bought\n1,sold\n", job.Done, ""},
			{imports.Spec{Type: imports.Events, Identifier: "id", Mode: imports.All}, "id,id\n", job.Failed, "two columns are named id"},
			{imports.Spec{Type: imports.Events, Identifier: "id", Mode: imports.All}, "", job.Failed, "the file is empty: its first line must name the columns"},
		} {
			var k job.Key
			if c.spec.URL == "" {
				k = w.upload(t, &c.spec, c.file)
			} else {
				j, err := app.CreateImport(t.Context(), w.DB, nil, w.Workspace.ID, &c.spec, job.Queued)
				if err != nil {
					t.Fatal(err)
				}
				k = j.Key
			}
			if j, _ := w.wait(t, k); j.State != c.state || j.Error != c.error {
				t.Errorf("%s: %s %q, want %s %q", c.spec.Type, j.State, j.Error, c.state, c.error)
			}
		}
		if diff := cmp.Diff(map[string]int{"bought": 1, "sold": 1}, w.activities(t, event.Track)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		list, err := w.DB.ObjectsOf(t.Context(), w.find(t, "1").Ref, 0, 10)
		if err != nil || len(list) != 1 || list[0].Object.ID != "acme" || list[0].Relationship.Get("role").Text() != "boss" {
			t.Errorf("objects of 1: %+v, %v", list, err)
		}
	})
}

// cut is a node's view of the log and the database that is cut off around one batch.
type cut struct {
	*store.DB
	imports.Log
	batch           int  // the one around which it happens, from 0
	before          bool // it is durable
	n               int
	reached, resume chan struct{}
	late            chan error
}

func (c *cut) Append(ctx context.Context, partition int32, ops ...ingest.Op) (ingest.Position, error) {
	if c.n++; c.n-1 != c.batch {
		return c.Log.Append(ctx, partition, ops...)
	}
	put := func() (ingest.Position, error) { return c.Log.Append(context.WithoutCancel(ctx), partition, ops...) }
	var pos ingest.Position
	var err error
	if !c.before {
		pos, err = put()
	}
	close(c.reached)
	<-c.resume
	if c.before {
		pos, err = put() // and nevertheless it gets there
	}
	c.late <- err
	return pos, err
}

// RenewJob fails once the node is cut off.
func (c *cut) RenewJob(ctx context.Context, k job.Key, epoch int64, ttl time.Duration) error {
	select {
	case <-c.reached:
		return errors.New("cut off")
	default:
		return c.DB.RenewJob(ctx, k, epoch, ttl)
	}
}

// TestTakeover: a node is cut off just before, or just after, a batch is durable. Another goes on from the progress, and what the
// first one still sends has no effect: every row is applied once.
func TestTakeover(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		before bool
		batch  int
	}{{true, 0}, {true, 2}, {false, 0}, {false, 1}, {false, 3}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, w *world) {
				const rows = 1800 // four batches
				var file strings.Builder
				file.WriteString("id,name\n")
				want := map[string]int{}
				for i := range rows {
					fmt.Fprintf(&file, "%d,e%d\n", i%10, i)
					want[fmt.Sprintf("e%d", i)] = 1
				}
				x := &cut{DB: w.DB, Log: w, batch: c.batch, before: c.before, reached: make(chan struct{}), resume: make(chan struct{}), late: make(chan error, 1)}
				a := w.node(t, "a", x, x, nil)
				k := w.upload(t, &imports.Spec{Type: imports.Events, Identifier: "id", Mode: imports.All}, file.String())
				<-x.reached
				w.pass(31 * time.Second)
				w.node(t, "b", w.DB, w, nil)
				j, p := w.wait(t, k)
				close(x.resume)
				if err := <-x.late; err != nil {
					t.Error(err)
				}
				a.Stop()
				w.Fresh(t.Context(), w.Workspace.ID)
				if j.State != job.Done || j.Owner != "" || j.Epoch != 2 || p.Done != rows || p.Applied != rows {
					t.Errorf("%+v %+v", j, p)
				}
				if diff := cmp.Diff(want, w.activities(t, event.Track)); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				raw, err := json.Marshal(w.activities(t, event.FailedEvent))
				if err != nil || string(raw) != "{}" {
					t.Errorf("failed events: %s, %v", raw, err)
				}
			})
		})
	}
}

// troubled is a log that fails now and then, once with the ops stored nevertheless.
type troubled struct {
	imports.Log
	n int
}

func (l *troubled) Append(ctx context.Context, partition int32, ops ...ingest.Op) (ingest.Position, error) {
	down := fault.New(fault.Unavailable, "the log is down")
	switch l.n++; l.n {
	case 1, 3:
		return ingest.Position{}, down
	case 4:
		_, err := l.Log.Append(ctx, partition, ops...)
		return ingest.Position{}, errors.Join(err, down)
	}
	return l.Log.Append(ctx, partition, ops...)
}

// TestTrouble: an import waits while the log is down or the engine is behind. A batch of which it is not known whether it is stored is
// sent again and counts once.
func TestTrouble(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		const rows = 1200
		var file strings.Builder
		file.WriteString("id,name\n")
		want := map[string]int{}
		for i := range rows {
			fmt.Fprintf(&file, "1,e%d\n", i)
			want[fmt.Sprintf("e%d", i)] = 1
		}
		behind := 3
		w.applied = func(ctx context.Context, pos ingest.Position) error {
			if behind--; behind >= 0 {
				return errors.New("not applied in time")
			}
			return w.World.Applied(ctx, pos)
		}
		w.node(t, "a", w.DB, &troubled{Log: w}, nil)
		j, p := w.wait(t, w.upload(t, &imports.Spec{Type: imports.Events, Identifier: "id", Mode: imports.All}, file.String()))
		if j.State != job.Done || j.Attempts != 1 || p.Applied != rows {
			t.Errorf("%+v %+v", j, p)
		}
		if diff := cmp.Diff(want, w.activities(t, event.Track)); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}
