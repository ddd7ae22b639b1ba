package engine

import (
	"context"
	"slices"

	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
)

// RequestKey names a request by the hash of its Idempotency-Key.
type RequestKey struct {
	Workspace int64
	Hash      [16]byte
}

// Request is the request whose ops were applied under a key.
type Request struct {
	Workspace int64
	ingest.Once
	Received int64 // Unix ms, real time
}

// once leaves out the ops of requests whose Idempotency-Key another request has had in the last 24 hours, which leave an
// activity, and remembers the keys of the others. Ops without a key cost nothing.
func (p *partition) once(ctx context.Context, tx Tx, ops []*ingest.Op) ([]*ingest.Op, error) {
	var keys []RequestKey
	for _, op := range ops {
		if op.Once != nil {
			keys = append(keys, RequestKey{op.Workspace, op.Once.Hash})
		}
	}
	if len(keys) == 0 {
		return ops, nil
	}
	slices.SortFunc(keys, compareRequestKeys)
	rows, err := tx.Requests(ctx, slices.Compact(keys))
	if err != nil {
		return nil, err
	}
	known := map[RequestKey]Request{}
	for _, r := range rows {
		known[RequestKey{r.Workspace, r.Hash}] = r
	}
	b := p.newBatch()
	rest := make([]*ingest.Op, 0, len(ops))
	repeats := map[ingest.Once]int64{} // left out, by request
	var lasts []*ingest.Op             // of each request that is left out
	for _, op := range ops {
		if op.Once == nil {
			rest = append(rest, op)
			continue
		}
		k := RequestKey{op.Workspace, op.Once.Hash}
		r, seen := known[k]
		seen = seen && op.Received-r.Received < ingest.OnceFor.Milliseconds()
		switch {
		case !seen:
			r = Request{op.Workspace, *op.Once, op.Received}
			known[k] = r
			b.c.Requests = append(b.c.Requests, r)
		case r.Nonce != op.Once.Nonce:
			if repeats[*op.Once]++; repeats[*op.Once] == 1 {
				lasts = append(lasts, op)
			}
			continue
		}
		rest = append(rest, op)
	}
	for _, op := range lasts {
		same := known[RequestKey{op.Workspace, op.Once.Hash}].Print == op.Once.Print
		if err := p.leftOut(ctx, tx, b, op, same, repeats[*op.Once]); err != nil {
			return nil, err
		}
	}
	return rest, b.write(ctx, tx)
}

// leftOut says that a request's ops are not applied.
func (p *partition) leftOut(ctx context.Context, tx Tx, b *batch, op *ingest.Op, same bool, ops int64) error {
	t, err := p.tenant(ctx, tx, op.Workspace)
	if err != nil || t == nil {
		return err
	}
	reason := "the Idempotency-Key was used for another request in the last 24 hours"
	if same {
		reason = "the same request was applied under its Idempotency-Key already"
	}
	at := op.Received + t.Clock
	b.note(t, nil, event.Activity{Type: event.FailedChange, At: at, Received: at, Data: object("reason", reason, "op", op.ID, "count", ops)})
	return nil
}

func compareRequestKeys(x, y RequestKey) int {
	if x.Workspace != y.Workspace {
		return int(x.Workspace - y.Workspace)
	}
	return slices.Compare(x.Hash[:], y.Hash[:])
}
