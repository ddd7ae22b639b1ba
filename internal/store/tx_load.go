package store

import (
	"context"
	"fmt"

	"rapport.example/internal/definition"
	"rapport.example/internal/delivery"
	"rapport.example/internal/engine"
	"rapport.example/internal/workspace"
)

// Workspaces lists all workspaces of the lease's partition by id.
func (t *tx) Workspaces(ctx context.Context) ([]workspace.Workspace, error) {
	const sql = `SELECT ` + workspaceColumns + ` FROM workspaces WHERE partition_id = $1 ORDER BY id`
	return list(ctx, t.c, sql, []any{t.partition}, scanWorkspace)
}

// Counters reads all counters of a workspace by name; missing ones are 0.
func (t *tx) Counters(ctx context.Context, ws int64) (map[string]int64, error) {
	out := map[string]int64{}
	err := t.c.query(ctx, `SELECT name, last FROM counters WHERE workspace = $1`, []any{ws}, func(r row) error {
		var name string
		var last int64
		err := r.Scan(&name, &last)
		out[name] = last
		return err
	})
	return out, err
}

// Definitions lists the current, not deleted definitions of a workspace, and with old also every earlier, not deleted
// version of campaigns, by kind, id and version; of segments that are being built the version that answers meanwhile as well.
func (t *tx) Definitions(ctx context.Context, ws int64, old bool) ([]definition.Row, error) {
	return list(ctx, t.c, definitionsSQL, []any{ws, old}, scanDefinition)
}

const definitionsSQL = `SELECT ` + definitionColumns + ` FROM definitions d
	WHERE workspace = $1 AND NOT deleted AND (current OR ($2 AND kind = 'campaigns') OR (kind = 'segments' AND EXISTS (
		SELECT 1 FROM segment_builds b WHERE b.workspace = d.workspace AND b.segment = d.id AND b.live = d.version AND b.state <> 5)))
	ORDER BY kind, id, version`

// Deliveries reads the deliveries that exist, in no particular order.
func (t *tx) Deliveries(ctx context.Context, refs []engine.DeliveryRef) ([]delivery.Delivery, error) {
	const sql = `WITH k (workspace, id) AS ({rows})
		SELECT ` + deliveryColumns + ` FROM k CROSS JOIN deliveries d WHERE d.workspace = k.workspace AND d.id = k.id`
	keys := set{
		col(refs, func(r engine.DeliveryRef) int64 { return r.Workspace }),
		col(refs, func(r engine.DeliveryRef) int64 { return r.ID }),
	}
	return lookUp(ctx, t.c, sql, keys, scanDelivery)
}

// PublicDeliveries is part of engine.Tx.
func (t *tx) PublicDeliveries(ctx context.Context, keys []engine.DeliveryKey) ([]delivery.Delivery, error) {
	const sql = `WITH k (workspace, public_id) AS ({rows})
		SELECT ` + deliveryColumns + ` FROM k CROSS JOIN deliveries d WHERE d.public_id = k.public_id AND d.workspace = k.workspace`
	rows := set{
		col(keys, func(k engine.DeliveryKey) int64 { return k.Workspace }),
		col(keys, func(k engine.DeliveryKey) string { return clean(k.Public) }),
	}
	return lookUp(ctx, t.c, sql, rows, scanDelivery)
}

const (
	queuedSQL = `SELECT ` + deliveryColumns + ` FROM deliveries d
		WHERE d.workspace = $1 AND d.state = 1 AND d.due <= $2 ORDER BY d.due, d.id LIMIT $3`
	lostSQL = `SELECT ` + deliveryColumns + ` FROM deliveries d
		WHERE d.workspace = $1 AND d.state = 2 AND d.lease < $2 ORDER BY d.lease, d.id LIMIT $3`
)

// DueDeliveries lists queued deliveries of a workspace with Due ≤ now, oldest first; and in-flight ones with Lease < now.
// Each of the two lists is at most limit long, so that a full queue does not hide lost ones.
func (t *tx) DueDeliveries(ctx context.Context, ws, now int64, limit int) ([]delivery.Delivery, error) {
	queued, err := list(ctx, t.c, queuedSQL, []any{ws, now, int64(limit)}, scanDelivery)
	if err != nil {
		return nil, fmt.Errorf("queued deliveries: %w", err)
	}
	lost, err := list(ctx, t.c, lostSQL, []any{ws, now, int64(limit)}, scanDelivery)
	if err != nil {
		return nil, fmt.Errorf("lost deliveries: %w", err)
	}
	return append(queued, lost...), nil
}

// NextDelivery is the earliest of queued deliveries' Due and in-flight ones' Lease in a workspace, 0 if there is none.
func (t *tx) NextDelivery(ctx context.Context, ws int64) (int64, error) {
	const sql = `SELECT coalesce(min(at), 0) FROM (
		SELECT (SELECT due FROM deliveries WHERE workspace = $1 AND state = 1 ORDER BY due LIMIT 1) AS at
		UNION ALL
		SELECT (SELECT lease FROM deliveries WHERE workspace = $1 AND state = 2 ORDER BY lease LIMIT 1)) AS q`
	var next int64
	err := t.c.query(ctx, sql, []any{ws}, func(r row) error { return r.Scan(&next) })
	return next, err
}

// Suppressed tells which of the hashes are in the workspace's suppression list.
func (t *tx) Suppressed(ctx context.Context, ws int64, hashes [][]byte) (map[string]bool, error) {
	const sql = `WITH k (workspace, hash) AS ({rows})
		SELECT s.hash FROM k CROSS JOIN suppressions s WHERE s.workspace = k.workspace AND s.hash = k.hash`
	out := map[string]bool{}
	err := t.c.querySet(ctx, sql, set{repeat(ws, len(hashes)), hashes}, func(r row) error {
		var hash []byte
		err := r.Scan(&hash)
		out[string(hash)] = true
		return err
	})
	return out, err
}

// Pieces reads pieces of segment bitmaps; missing ones are absent from the result.
func (t *tx) Pieces(ctx context.Context, keys []engine.PieceKey) (map[engine.PieceKey][]byte, error) {
	out := make(map[engine.PieceKey][]byte, len(keys))
	err := t.c.querySet(ctx, piecesSQL, pieceKeys(keys), func(r row) error {
		var k engine.PieceKey
		var piece int64
		var bits []byte
		err := r.Scan(&k.Workspace, &k.Segment, &piece, &bits)
		k.Piece = uint32(piece)
		out[k] = bits
		return err
	})
	return out, err
}

const piecesSQL = `WITH k (workspace, segment, piece) AS ({rows})
	SELECT s.workspace, s.segment, s.piece, s.bits FROM k CROSS JOIN segment_pieces s
	WHERE s.workspace = k.workspace AND s.segment = k.segment AND s.piece = k.piece`

func pieceKeys(keys []engine.PieceKey) set {
	return set{
		col(keys, func(k engine.PieceKey) int64 { return k.Workspace }),
		col(keys, func(k engine.PieceKey) int64 { return k.Segment }),
		col(keys, func(k engine.PieceKey) int64 { return int64(k.Piece) }),
	}
}
