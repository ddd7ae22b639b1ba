package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// pieceCache keeps the pieces of segment bitmaps that the partition has touched. One piece is at most 8 KiB, so a
// million people in a hundred segments take 13 MB at worst.
type pieceCache struct {
	bits  map[PieceKey]*roaring.Bitmap
	dirty map[PieceKey]bool
}

const pieceBits = 16

// want loads the pieces of all segments that the ordinals from first to last lie in.
func (c *pieceCache) want(ctx context.Context, tx Tx, t *tenant, first, last uint32) error {
	var keys []PieceKey
	for n := first >> pieceBits; n <= last>>pieceBits; n++ {
		for _, seg := range t.set.Segments() {
			k := PieceKey{Workspace: t.ID, Segment: seg.ID, Piece: n}
			if c.bits[k] == nil {
				keys = append(keys, k)
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if c.bits == nil {
		c.bits, c.dirty = map[PieceKey]*roaring.Bitmap{}, map[PieceKey]bool{}
	}
	found, err := tx.Pieces(ctx, keys)
	if err != nil {
		return err
	}
	for _, k := range keys {
		bm := roaring.New()
		if data := found[k]; data != nil {
			if err := bm.UnmarshalBinary(slices.Clone(data)); err != nil {
				return fmt.Errorf("piece %d of segment %d: %w", k.Piece, k.Segment, err)
			}
		}
		c.bits[k] = bm
	}
	return nil
}

func (c *pieceCache) add(t *tenant, segment int64, ordinal uint32) {
	k := PieceKey{Workspace: t.ID, Segment: segment, Piece: ordinal >> pieceBits}
	if bm := c.bits[k]; bm != nil && bm.CheckedAdd(ordinal&(1<<pieceBits-1)) {
		c.dirty[k] = true
	}
}

func (c *pieceCache) remove(t *tenant, segment int64, ordinal uint32) {
	k := PieceKey{Workspace: t.ID, Segment: segment, Piece: ordinal >> pieceBits}
	if bm := c.bits[k]; bm != nil && bm.CheckedRemove(ordinal&(1<<pieceBits-1)) {
		c.dirty[k] = true
	}
}

// changed returns the pieces to write and takes them as written.
func (c *pieceCache) changed() ([]Piece, error) {
	if len(c.dirty) == 0 {
		return nil, nil
	}
	out := make([]Piece, 0, len(c.dirty))
	for k := range c.dirty {
		bits, err := c.bits[k].ToBytes()
		if err != nil {
			return nil, fmt.Errorf("piece %d of segment %d: %w", k.Piece, k.Segment, err)
		}
		out = append(out, Piece{PieceKey: k, Count: int64(c.bits[k].GetCardinality()), Bits: bits})
	}
	clear(c.dirty)
	slices.SortFunc(out, func(a, b Piece) int {
		if a.Segment != b.Segment {
			return int(a.Segment - b.Segment)
		}
		return int(a.Piece) - int(b.Piece)
	})
	return out, nil
}
