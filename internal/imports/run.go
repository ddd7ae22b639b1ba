package imports

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/oklog/ulid/v2"

	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/job"
)

// Log is where rows go. Append is as ingest.Log's.
type Log interface {
	Append(ctx context.Context, partition int32, ops ...ingest.Op) (ingest.Position, error)
}

// Requests finds what was applied under the key of a batch, as it does for an Idempotency-Key.
type Requests interface {
	FindRequest(ctx context.Context, workspace int64, hash [16]byte, since int64) (o ingest.Once, received int64, found bool, err error)
}

// Options says what imports work with. All fields are required.
type Options struct {
	Log      Log
	Requests Requests
	Fetch    func(ctx context.Context, url string, to io.Writer) error // as Fetcher.Get
	// Route tells where a workspace's ops go; ok is false if there is no such workspace.
	Route func(workspace int64) (partition int32, ok bool)
	// Caught waits, bounded, until what other processes took for a workspace is applied.
	Caught func(ctx context.Context, workspace int64)
	// Applied waits, bounded, until the op at a position is applied.
	Applied func(ctx context.Context, pos ingest.Position) error
	Now     func() time.Time // real time
}

// Bounds of a batch: what one commit of the log and one saved step of progress have. They are part of what makes two runs cut
// a file alike: see send.
const (
	batchRows  = 500
	batchBytes = 256 << 10
	window     = 3      // batches that may wait to be applied: an import goes as fast as the engine, and leaves room to others
	checkEvery = 20_000 // rows between two steps of progress while a file is checked
)

// Job is the kind of job that imports.
func Job(o Options) job.Kind {
	return job.Kind{
		Name: Kind, Keep: job.Retention{File: KeepFile, Row: KeepRow, Spec: forget},
		Run: func(ctx context.Context, t *job.Task) error { return (&run{Options: o, task: t}).all(ctx) },
	}
}

// forget keeps of an order what is shown: not the address of the file, which may hold a secret.
func forget(order json.RawMessage) json.RawMessage {
	var s Spec
	if json.Unmarshal(order, &s) != nil {
		return json.RawMessage(`{}`)
	}
	s.URL, s.Print, s.Map = "", "", nil
	b, err := json.Marshal(s)
	if err != nil {
		return json.RawMessage(`{}`)
	}
	return b
}

// run is one attempt.
type run struct {
	Options
	task    *job.Task
	spec    Spec
	p       Progress
	source  *stored
	waiting []sent // to be applied, the oldest first
}

// sent is a batch that is durable.
type sent struct {
	pos  ingest.Position
	done int64 // good rows up to its end
}

func (r *run) all(ctx context.Context) (err error) {
	if r.spec, r.p, err = Read(&r.task.Job); err != nil {
		return fault.Wrap(fault.Invalid, err, "the order cannot be read")
	}
	if r.p.Stage == "" {
		if err := r.fetch(ctx); err != nil {
			return err
		}
	}
	r.source = newStored(ctx, r.task, r.p.Size)
	if r.p.Stage == Fetched || r.p.Stage == Checking {
		if err := r.check(ctx); err != nil {
			return err
		}
	}
	return r.apply(ctx)
}

// fetch gets the file. What an attempt before it has left is thrown away.
func (r *run) fetch(ctx context.Context) error {
	r.p = Progress{Stage: Fetched, Size: r.spec.Size}
	if r.spec.URL != "" {
		if err := r.task.Clear(ctx); err != nil {
			return err
		}
		w := &receiving{ctx: ctx, task: r.task}
		if err := r.Fetch(ctx, r.spec.URL, w); err != nil {
			return err
		}
		if err := w.cut(); err != nil {
			return err
		}
		r.p.Size = w.size
	}
	return r.task.Save(ctx, r.p)
}

// check reads the whole file once, so that what is wrong with it is known before any of it is applied.
func (r *run) check(ctx context.Context) error {
	r.p = Progress{Stage: Checking, Size: r.p.Size}
	if err := r.task.Save(ctx, r.p); err != nil {
		return err
	}
	rows, err := Open(&r.spec, r.source)
	if err != nil {
		return err
	}
	bad := []BadRow{}
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		why := row.Bad
		if why == "" {
			_, _, why = r.spec.Op(row.Fields)
		}
		if why == "" {
			r.p.Rows++
		} else if r.p.Bad++; len(bad) < MaxBad {
			bad = append(bad, BadRow{row.Number, why})
		}
		if (r.p.Rows+r.p.Bad)%checkEvery == 0 {
			if err := r.task.Save(ctx, r.p); err != nil {
				return err
			}
		}
	}
	b, err := encodeBad(bad)
	if err != nil {
		return err
	}
	r.p.Stage = Checked
	return r.task.Add(ctx, badPart, b, r.p)
}

func encodeBad(bad []BadRow) ([]byte, error) {
	b, err := json.Marshal(bad)
	if err != nil {
		return nil, fmt.Errorf("encode bad rows: %w", err)
	}
	return b, nil
}

func decodeBad(b []byte) (bad []BadRow, err error) {
	if err := json.Unmarshal(b, &bad); err != nil {
		return nil, fmt.Errorf("decode bad rows: %w", err)
	}
	return bad, nil
}

// apply gives the rows to the log, from where the progress says, and returns when all are applied.
func (r *run) apply(ctx context.Context) error {
	rows, err := Open(&r.spec, r.source)
	if err != nil {
		return err
	}
	rows.Resume(r.p.Row, r.p.Offset)
	again := r.task.Epoch > 1 // an attempt before may have sent the next batch
	if again {
		r.Caught(ctx, r.task.Workspace)
	}
	r.p.Stage = Importing
	for {
		ops, last, err := r.batch(rows)
		if err != nil {
			return err
		}
		if len(ops) > 0 {
			if err := r.send(ctx, ops, again); err != nil {
				return err
			}
			again = false
		}
		r.p.Done += int64(len(ops))
		r.p.Batch++
		r.p.Row, r.p.Offset = rows.Position()
		if len(r.waiting) > 0 {
			r.waiting[len(r.waiting)-1].done = r.p.Done
		}
		for len(r.waiting) >= window || last && len(r.waiting) > 0 {
			if err := r.oldest(ctx); err != nil {
				return err
			}
		}
		if last {
			r.p.Applied = r.p.Done
		}
		if err := r.task.Save(ctx, r.p); err != nil || last {
			return err
		}
	}
}

// batch reads the ops of the next batch, none if its rows are all bad; last says that there is no other behind it. Where it ends
// depends on nothing but the file.
func (r *run) batch(rows *Rows) (ops []ingest.Op, last bool, err error) {
	size := 0
	for read := 0; read < batchRows && size < batchBytes; read++ {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return ops, true, nil
		}
		if err != nil {
			return nil, false, err
		}
		if row.Bad != "" {
			continue
		}
		kind, payload, bad := r.spec.Op(row.Fields)
		if bad != "" {
			continue
		}
		id := r.id(row.Number)
		if e, ok := payload.(ingest.EventPayload); ok && e.ID == "" {
			e.ID = id // is known for longer than the batch's key
			payload = e
		}
		v, err := ingest.Encode(payload)
		if err != nil {
			return nil, false, err
		}
		size += len(v)
		ops = append(ops, ingest.Op{Version: ingest.KeyedVersion, Workspace: r.task.Workspace, ID: id, Surface: r.spec.Surface, Kind: kind, Payload: v})
	}
	return ops, false, nil
}

// hash is of something of this import.
func (r *run) hash(of string, n int64) [32]byte {
	b := binary.BigEndian.AppendUint64([]byte("import "+of), uint64(r.task.Workspace))
	b = binary.BigEndian.AppendUint64(b, uint64(r.task.ID))
	return sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(n)))
}

// id is the id of a row's op, the same in every attempt.
func (r *run) id(row int64) string {
	var id ulid.ULID
	h := r.hash("row", row)
	copy(id[6:], h[:])
	_ = id.SetTime(uint64(r.task.Created)) //nolint:errcheck // it fails after the year 10889
	return id.String()
}

// send makes a batch durable, and tries until it is or ctx ends. Every try is a request of its own under the batch's key, as with an
// Idempotency-Key: of all that reach the log, also from a node that lost the job, the engine applies one.
func (r *run) send(ctx context.Context, ops []ingest.Op, again bool) error {
	h := r.hash("batch", r.p.Batch)
	once := ingest.Once{Hash: [16]byte(h[:16]), Print: [16]byte(h[16:])}
	if again {
		_, _, found, err := r.Requests.FindRequest(ctx, r.task.Workspace, once.Hash, r.Now().Add(-ingest.OnceFor).UnixMilli())
		if err != nil {
			return err
		}
		if found {
			return nil
		}
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		partition, ok := r.Route(r.task.Workspace)
		if !ok {
			return fault.New(fault.NotFound, "the workspace is gone")
		}
		if _, err := rand.Read(once.Nonce[:]); err != nil {
			return fmt.Errorf("make a nonce: %w", err)
		}
		now := r.Now().UnixMilli()
		mine := make([]ingest.Op, len(ops)) // the log may still hold those of a try before
		for i := range ops {
			mine[i] = ops[i]
			mine[i].Received, mine[i].Once = now, &ingest.Once{Hash: once.Hash, Print: once.Print, Nonce: once.Nonce}
		}
		pos, err := r.Log.Append(ctx, partition, mine...)
		switch {
		case err == nil:
			r.waiting = append(r.waiting, sent{pos: pos})
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case fault.Is(err, fault.TooLarge):
			return fault.Wrap(fault.TooLarge, err, "a row is larger than the log takes")
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// oldest waits until the oldest batch is applied, however long the engine is behind.
func (r *run) oldest(ctx context.Context) error {
	for {
		err := r.Applied(ctx, r.waiting[0].pos)
		if err == nil {
			r.p.Applied = r.waiting[0].done
			r.waiting = r.waiting[1:]
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
