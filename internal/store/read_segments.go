package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"

	"rapport.example/internal/definition"
)

// CurrentDefinitions lists the current, not deleted definitions of one kind, or of all kinds if kind is "", by kind and id.
func (db *DB) CurrentDefinitions(ctx context.Context, ws int64, kind string) ([]definition.Row, error) {
	const sql = `SELECT ` + definitionColumns + ` FROM definitions
		WHERE workspace = $1 AND current AND NOT deleted AND (kind = $2 OR $2 = '') ORDER BY kind, id`
	return list(ctx, db, sql, []any{ws, kind}, scanDefinition)
}

// CampaignVersions lists all versions of one campaign, or of all if id is 0, by id and version.
func (db *DB) CampaignVersions(ctx context.Context, ws, id int64) ([]definition.Row, error) {
	const sql = `SELECT ` + definitionColumns + ` FROM definitions
		WHERE workspace = $1 AND kind = '` + definition.Campaigns + `' AND (id = $2 OR $2 = 0) ORDER BY id, version`
	return list(ctx, db, sql, []any{ws, id}, scanDefinition)
}

// CountMembers counts the people in a segment.
func (db *DB) CountMembers(ctx context.Context, ws, segment int64) (n int64, err error) {
	const sql = `SELECT CAST(coalesce(sum(count), 0) AS BIGINT) FROM segment_pieces WHERE workspace = $1 AND segment = $2`
	_, err = db.queryOne(ctx, sql, []any{ws, segment}, &n)
	return n, err
}

// SegmentSizes counts the people in each segment of a workspace; segments without anybody may be left out.
func (db *DB) SegmentSizes(ctx context.Context, ws int64) (map[int64]int64, error) {
	const sql = `SELECT segment, CAST(sum(count) AS BIGINT) FROM segment_pieces WHERE workspace = $1 GROUP BY segment`
	out := map[int64]int64{}
	err := db.queryRows(ctx, sql, []any{ws}, func(r row) error {
		var segment, n int64
		err := r.Scan(&segment, &n)
		out[segment] = n
		return err
	})
	return out, err
}

var errEnough = errors.New("enough rows")

// Members lists up to limit ordinals above after of the people in a segment, ascending. Ordinals never change, so pages
// one after the other show everyone who stays in the segment exactly once.
func (db *DB) Members(ctx context.Context, ws, segment int64, after uint32, limit int) ([]uint32, error) {
	const sql = `SELECT piece, bits FROM segment_pieces WHERE workspace = $1 AND segment = $2 AND piece >= $3 ORDER BY piece`
	var out []uint32
	first := int64(after >> pieceBits)
	err := db.queryRows(ctx, sql, []any{ws, segment, first}, func(r row) error {
		var piece int64
		var bits []byte
		if err := r.Scan(&piece, &bits); err != nil {
			return err
		}
		bm := roaring.New()
		if err := bm.UnmarshalBinary(bits); err != nil {
			return fmt.Errorf("piece %d of segment %d: %w", piece, segment, err)
		}
		it := bm.Iterator()
		if piece == first {
			it.AdvanceIfNeeded(after&(1<<pieceBits-1) + 1)
		}
		for it.HasNext() {
			if len(out) == limit {
				return errEnough
			}
			out = append(out, uint32(piece)<<pieceBits|it.Next())
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return out, nil
}

// pieceBits is the width of an ordinal's place within a piece, as in the engine.
const pieceBits = 16
