package export_test

import (
	"context"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rapport.example/internal/engine"
	"rapport.example/internal/export"
	"rapport.example/internal/filter"
	"rapport.example/internal/job"
	"rapport.example/internal/person"
	"rapport.example/internal/store"
	"rapport.example/internal/value"
)

// noise is text that does not pack well, so that few people make many parts.
func noise(r *rand.ChaCha8, n int) value.Value {
	b := make([]byte, n)
	_, _ = r.Read(b) // never fails
	return value.Quote(hex.EncodeToString(b))
}

// crowd writes people from to before to, each with size bytes that do not pack.
func (w *world) crowd(t *testing.T, from, to uint32, size int) {
	t.Helper()
	r := rand.NewChaCha8([32]byte{byte(from)})
	c := &engine.Changes{}
	for i := from; i < to; i++ {
		d := doc(t, 1, i, fmt.Sprint(i), "", `{"balance":100}`)
		d.CIO = fmt.Sprintf("%016d", i)
		d.Attributes = append(d.Attributes, person.Attribute{Name: "noise", Value: noise(r, size), At: start / 1000})
		c.PutPeople = append(c.PutPeople, d)
		for _, k := range d.Keys() {
			c.PutKeys = append(c.PutKeys, engine.KeyRow{Key: k, Person: d.Ordinal})
		}
	}
	w.must(t, c)
}

// hanging is a node's view of the database in which the write of one part hangs, as if the node was cut off just before it.
type hanging struct {
	*store.DB
	part            int64
	reached, resume chan struct{}
	late            chan error
}

func hang(db *store.DB, part int64) *hanging {
	return &hanging{db, part, make(chan struct{}), make(chan struct{}), make(chan error, 1)}
}

func (h *hanging) AddJobPart(ctx context.Context, k job.Key, epoch, part int64, b []byte, progress json.RawMessage) error {
	if part != h.part {
		return h.DB.AddJobPart(ctx, k, epoch, part, b, progress)
	}
	close(h.reached)
	<-h.resume
	err := h.DB.AddJobPart(context.WithoutCancel(ctx), k, epoch, part, b, progress)
	h.late <- err
	return err
}

// RenewJob fails once the node is cut off.
func (h *hanging) RenewJob(ctx context.Context, k job.Key, epoch int64, ttl time.Duration) error {
	select {
	case <-h.reached:
		return errors.New("cut off")
	default:
		return h.DB.RenewJob(ctx, k, epoch, ttl)
	}
}

func ids(t *testing.T, file string) []string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(file)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range rows[1:] {
		out = append(out, r[0])
	}
	return out
}

// TestTakeover: the node is cut off in the middle of a file, with parts of it kept. Another one begins anew, on a snapshot that has
// what was written since, and nothing that the first one still writes counts.
func TestTakeover(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		const people, size = 500, 4000
		w.crowd(t, 1, people+1, size)
		h := hang(w.DB, 1)
		a := w.node(t, h, w, "a")
		k := w.order(t, 1, export.Spec{Type: export.Customers, Format: export.CSV})
		<-h.reached
		half := w.wait(t, k, func(j *job.Job) bool { return j.State == job.Running })
		if _, p, err := export.Read(half); err != nil || p.Total != people || p.Parts != 1 || p.Rows == 0 || p.Rows >= people {
			t.Errorf("in the middle: %+v, %v, want one part of a file of %d rows", p, err, people)
		}
		w.must(t, &engine.Changes{DropPeople: []engine.DropPerson{{Ref: person.Ref{Workspace: 1, Ordinal: 1}}}})
		w.crowd(t, people+1, people+3, size)
		w.ms.Add(31_000)
		w.node(t, w, w, "b")
		j := w.wait(t, k, done)
		close(h.resume)
		if err := <-h.late; !errors.Is(err, job.ErrFenced) {
			t.Errorf("the part of the node that lost the export: %v, want ErrFenced", err)
		}
		a.Stop()
		got := ids(t, w.file(t, j))
		if len(got) != people+1 || got[0] != "2" || got[people] != strconv.Itoa(people+2) {
			t.Errorf("%d people, from %s to %s, want %d from 2 to %d", len(got), got[0], got[len(got)-1], people+1, people+2)
		}
		if j.Attempts != 2 || j.Epoch != 2 {
			t.Errorf("done after %d attempts in epoch %d", j.Attempts, j.Epoch)
		}
	})
}

// TestStop: a node that stops in the middle gives the export back at once.
func TestStop(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		const people = 500
		w.crowd(t, 1, people+1, 4000)
		h := hang(w.DB, 1)
		a := w.node(t, h, w, "a")
		k := w.order(t, 1, export.Spec{Type: export.Customers, Format: export.CSV})
		<-h.reached
		stopped := make(chan struct{})
		go func() { a.Stop(); close(stopped) }()
		close(h.resume)
		<-h.late
		<-stopped
		w.node(t, w, w, "b")
		if got := ids(t, w.file(t, w.wait(t, k, done))); len(got) != people {
			t.Errorf("%d people, want %d", len(got), people)
		}
	})
}

// TestWriters: while an export is made, writers move money between two people in one commit each, and add people. The file shows
// one moment: the sum is right, and those added are there up to one, not beyond.
func TestWriters(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		const people = 400
		w.crowd(t, 1, people+1, 2000)
		ctx, stop := context.WithCancel(t.Context())
		var writing sync.WaitGroup
		written := make(chan struct{}, 1)
		writing.Go(func() {
			for n := int64(1); ctx.Err() == nil; n++ {
				first, last := w.paid(1, 100-n), w.paid(people, 100+n)
				added := w.paid(uint32(people+n), 0)
				if err := w.write(ctx, &engine.Changes{PutPeople: []*person.Document{first, last, added}}); err != nil && ctx.Err() == nil {
					t.Errorf("write: %v", err)
					return
				}
				select {
				case written <- struct{}{}:
				default:
				}
			}
		})
		t.Cleanup(func() { stop(); writing.Wait() })
		w.node(t, w, slow{w.DB, written}, "a")
		for range 3 {
			file := w.file(t, w.wait(t, w.order(t, 1, export.Spec{Type: export.Customers, Format: export.CSV}), done))
			rows, err := csv.NewReader(strings.NewReader(file)).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			sum, at := 0, map[string]int{}
			for i, name := range rows[0] {
				at[name] = i
			}
			for i, r := range rows[1:] {
				if r[0] != strconv.Itoa(i+1) {
					t.Fatalf("row %d is of person %s", i+1, r[0])
				}
				n, err := strconv.Atoi(r[at["balance"]])
				if err != nil {
					t.Fatal(err)
				}
				sum += n
			}
			moved, _ := strconv.Atoi(rows[people][at["balance"]])
			if sum != 100*people || len(rows)-1 != people+moved-100 {
				t.Errorf("the sum is %d, want %d; %d rows with %d moved", sum, 100*people, len(rows)-1, moved-100)
			}
		}
	})
}

// paid is a person with a balance.
func (w *world) paid(ordinal uint32, balance int64) *person.Document {
	return &person.Document{
		Ref: person.Ref{Workspace: 1, Ordinal: ordinal}, CIO: fmt.Sprintf("%016d", ordinal), ID: fmt.Sprint(ordinal), Created: start,
		Attributes: []person.Attribute{{Name: "balance", Value: value.Int(balance), At: start / 1000}},
	}
}

// slow is a database whose snapshots last until something was written between one person and the next, now and then.
type slow struct {
	*store.DB
	written chan struct{}
}

func (s slow) Export(ctx context.Context, ws int64, fn func(export.Snapshot) error) error {
	return s.DB.Export(ctx, ws, func(snap export.Snapshot) error { return fn(slowly{snap, s.written}) })
}

type slowly struct {
	export.Snapshot
	written chan struct{}
}

func (s slowly) People(ctx context.Context, f *filter.Filter, each func(*person.Document) error) error {
	n := 0
	return s.Snapshot.People(ctx, f, func(d *person.Document) error {
		if n++; n%100 == 50 {
			select {
			case <-s.written:
			case <-time.After(10 * time.Second): // the writer may be waiting for something else
			}
		}
		return each(d)
	})
}
