package export_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/tools/txtar"

	"rapport.example/internal/delivery"
	"rapport.example/internal/engine"
	"rapport.example/internal/export"
	"rapport.example/internal/job"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/store/storetest"
	"rapport.example/internal/value"
)

var update = flag.Bool("update", false, "rewrite the archives in testdata")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const start = int64(1_767_312_000_000) // 2026-01-02

// world is a database with two workspaces, a clock that only the test moves, and the engine's way to write.
type world struct {
	*store.DB
	ms    *atomic.Int64
	lease engine.Lease
}

func (w *world) now() time.Time { return time.UnixMilli(w.ms.Load()) }

func each(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		w := &world{ms: &atomic.Int64{}}
		w.ms.Store(4_102_444_800_000) // 2100: sockets compare deadlines made of it with the real time
		o.Now = w.now
		w.DB = storetest.Open(t, o)
		ctx := t.Context()
		if err := w.EnsurePartitions(ctx, 1); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"acme", "other"} {
			if _, err := w.CreateWorkspace(ctx, name, 0); err != nil {
				t.Fatal(err)
			}
		}
		lease, ok, err := w.Acquire(ctx, 0, "test", 10000*time.Hour, true)
		if err != nil || !ok {
			t.Fatalf("Acquire = %v, %v", ok, err)
		}
		w.lease = lease
		fn(t, w)
	})
}

// write commits changes as the engine does.
func (w *world) write(ctx context.Context, c *engine.Changes) error {
	return w.Transact(ctx, w.lease, func(tx engine.Tx) error { return tx.Write(ctx, c) })
}

func (w *world) must(t *testing.T, c *engine.Changes) {
	t.Helper()
	if err := w.write(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func parse(tb testing.TB, text string) value.Value {
	tb.Helper()
	v, err := value.Parse([]byte(text))
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return v
}

// doc is a person with attributes given as a JSON object.
func doc(tb testing.TB, ws int64, ordinal uint32, id, email, attributes string) *person.Document {
	tb.Helper()
	d := &person.Document{Ref: person.Ref{Workspace: ws, Ordinal: ordinal}, CIO: strings.Repeat(string(rune('a'+ordinal%26)), 16), ID: id, Email: email, Created: start}
	for name, v := range parse(tb, attributes).Fields() {
		d.Attributes = append(d.Attributes, person.Attribute{Name: name, Value: v, At: start / 1000})
	}
	return d
}

// node starts a runner on a store, which may be the world's with faults; it stops with the test.
func (w *world) node(t *testing.T, s job.Store, from export.Store, owner string) *job.Runner {
	t.Helper()
	r := job.NewRunner(job.Options{
		Store: s, Kinds: []job.Kind{export.Job(from)}, Owner: owner, Now: w.now, Logger: slog.New(slog.DiscardHandler),
		Poll: 5 * time.Millisecond, Sweep: 5 * time.Millisecond,
	})
	r.Start()
	t.Cleanup(r.Stop)
	return r
}

func (w *world) order(t *testing.T, ws int64, s export.Spec) job.Key {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	j, err := w.CreateJob(t.Context(), ws, export.Kind, b, job.Queued)
	if err != nil {
		t.Fatal(err)
	}
	return j.Key
}

// wait returns the job once it is as wanted.
func (w *world) wait(t *testing.T, k job.Key, want func(*job.Job) bool) *job.Job {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		j, err := w.Job(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		if j != nil && want(j) {
			return j
		}
		if time.Now().After(end) {
			t.Fatalf("export %v stays %+v", k, j)
		}
		timer := time.NewTimer(2 * time.Millisecond)
		<-timer.C
	}
}

func done(j *job.Job) bool { return j.State == job.Done }

// file is what a job has made, unpacked. Its progress must agree with it.
func (w *world) file(t *testing.T, j *job.Job) string {
	t.Helper()
	_, p, err := export.Read(j)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	for part := range p.Parts {
		b, err := w.JobPart(t.Context(), j.Key, part)
		if err != nil || b == nil {
			t.Fatalf("part %d of %d: %v", part, p.Parts, err)
		}
		if len(b) > job.PartSize+128<<10 {
			t.Errorf("part %d has %d bytes", part, len(b))
		}
		packed.Write(b)
	}
	if b, err := w.JobPart(t.Context(), j.Key, p.Parts); b != nil || err != nil {
		t.Errorf("there is a part behind the last: %d bytes, %v", len(b), err)
	}
	size := packed.Len()
	gz, err := gzip.NewReader(&packed) // reads all members as one file
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	if p.Size != int64(len(out)) || p.Packed != int64(size) || p.Rows != p.Total {
		t.Errorf("progress %+v of a file of %d bytes, %d packed", p, len(out), size)
	}
	return string(out)
}

// some fills workspace 1 with people and deliveries that are hard to write down, and workspace 2 with what must not be seen.
func some(tb testing.TB) *engine.Changes {
	tb.Helper()
	c := &engine.Changes{PutPeople: []*person.Document{
		doc(tb, 1, 1, "1", "Ada@Example.com", `{"plan":"pro","age":36,"created_at":1700000000,"tags":["a","b"],"note":"=1+2, \"quoted\"\nand a second line","beta":true}`),
		doc(tb, 1, 2, "", "b@example.com", `{"plan":"+free","at":"@x","minus":"-1","empty":"","nothing":null,"größe":" lead"}`),
		doc(tb, 1, 3, "3", "", `{"phone":"no number","address":{"city":"Oslo"},"small":0.10}`),
		doc(tb, 2, 1, "1", "secret@example.com", `{"secret":"secret"}`),
	}}
	c.PutPeople[1].Unsubscribed = true
	c.PutPeople[0].Phone = "+15550100123"
	c.PutPeople[0].Segments = []person.Membership{{Segment: 4, Since: start}}
	for _, d := range c.PutPeople {
		for _, k := range d.Keys() {
			c.PutKeys = append(c.PutKeys, engine.KeyRow{Key: k, Person: d.Ordinal})
		}
	}
	bits, err := roaring.BitmapOf(1).ToBytes()
	if err != nil {
		tb.Fatal(err)
	}
	c.Pieces = append(c.Pieces, engine.Piece{PieceKey: engine.PieceKey{Workspace: 1, Segment: 4}, Count: 1, Bits: bits})
	send := func(ws, id int64, public string, who uint32, campaign, transactional int64, state delivery.State, metrics, reason string) {
		d := delivery.Delivery{
			Workspace: ws, ID: id, Public: public, Person: who, Campaign: campaign, Action: "welcome", Visit: 1, Transactional: transactional,
			Version: 1, State: state, Created: start + id*1000, Recipient: "Ada <ada@example.com>", Subject: "Hi, \"you\"", Reason: reason, Metrics: parse(tb, metrics),
		}
		if campaign != 0 {
			d.Journey, d.ActionID = id, 7
		}
		c.NewDeliveries = append(c.NewDeliveries, d)
	}
	send(1, 1, "d1", 1, 1, 0, delivery.Sent, `{"created":1767312001,"sent":1767312002,"opened":1767312010,"clicked":1767312011}`, "")
	send(1, 2, "d2", 1, 0, 7, delivery.Bounced, `{"created":1767312002,"bounced":1767312003}`, "550 no such user")
	send(1, 3, "d3", 2, 1, 0, delivery.Suppressed, `{"created":1767312003,"suppressed":1767312003}`, "the person is unsubscribed")
	send(1, 4, "d4", 9, 1, 0, delivery.Sent, `{"created":1767312004,"sent":1767312005}`, "") // its person was deleted
	send(2, 1, "x1", 1, 1, 0, delivery.Sent, `{"created":1767312001}`, "")
	c.NewDeliveries[0].Data = parse(tb, `{"event":{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","name":"signed_up","timestamp":1767312000,"data":{}}}`)
	return c
}

// TestFiles holds each kind of file against its archive.
func TestFiles(t *testing.T) {
	t.Parallel()
	const name = "testdata/files.txtar"
	want, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	deliveries := func(q export.DeliveryFilter) export.Spec {
		if q.Until == 0 {
			q.Until = start * 2
		}
		return export.Spec{Type: export.Deliveries, Format: export.CSV, Deliveries: q}
	}
	people := func(format export.Format, filter string) export.Spec {
		s := export.Spec{Type: export.Customers, Format: format}
		if filter != "" {
			s.Filter = parse(t, filter)
		}
		return s
	}
	const nobody = `{"attribute":{"field":"plan","operator":"eq","value":"none"}}`
	each(t, func(t *testing.T, w *world) {
		w.must(t, some(t))
		w.node(t, w, w, "a")
		got := &txtar.Archive{Comment: want.Comment}
		for _, f := range []struct {
			name string
			spec export.Spec
		}{
			{"everybody.csv", people(export.CSV, "")},
			{"everybody.jsonl", people(export.JSONL, "")},
			{"segment.csv", people(export.CSV, `{"segment":{"id":4}}`)},
			{"filter.jsonl", people(export.JSONL, `{"or":[{"attribute":{"field":"plan","operator":"eq","value":"+free"}},{"attribute":{"field":"small","operator":"exists"}}]}`)},
			{"nobody.csv", people(export.CSV, nobody)},
			{"nobody.jsonl", people(export.JSONL, nobody)},
			{"campaign.csv", deliveries(export.DeliveryFilter{Campaign: 1, Attributes: []string{"plan", "email", "none"}})},
			{"action.csv", deliveries(export.DeliveryFilter{Action: 7, Metric: "sent", Template: 7})},
			{"transactional.csv", deliveries(export.DeliveryFilter{Transactional: 7})},
			{"template.csv", deliveries(export.DeliveryFilter{Transactional: 7, Template: 8})},
			{"period.csv", deliveries(export.DeliveryFilter{Campaign: 1, Since: start + 2000, Until: start + 4000})},
			{"newsletter.csv", deliveries(export.DeliveryFilter{Newsletter: 1})},
		} {
			j := w.wait(t, w.order(t, 1, f.spec), done)
			got.Files = append(got.Files, txtar.File{Name: f.name, Data: []byte(w.file(t, j))})
		}
		if *update {
			if w.Backend() == storetest.SQLite {
				if err := os.WriteFile(name, txtar.Format(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			return
		}
		if diff := cmp.Diff(string(txtar.Format(want)), string(txtar.Format(got))); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	})
}
