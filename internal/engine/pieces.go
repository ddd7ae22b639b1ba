package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// pieceCache keeps the pieces of bitmaps that the partition has touched. One piece is at most 8 KiB, so a million people in a hundred
// segments take 13 MB at worst.
type pieceCache struct {
	bits  map[PieceKey]*roaring.Bitmap
	dirty map[PieceKey]bool
	ready map[pieceAt]bool // all of a workspace's bitmaps are there for these ordinals
}

type pieceAt struct {
	workspace int64
	piece     uint32
}

const pieceBits = 16

// The bitmaps of a workspace share one numbering. Membership has the segment's number; the others lie beside.
const (
	enteredFrom = int64(1) << 40
	toBeginFrom = int64(1) << 41
	// WaitingFrom is the least number of the bitmaps of those for whom something is still to be done: to look at them because an object
	// that they are related to has changed, or to begin a campaign.
	WaitingFrom = toSettle

	toSettle = toBeginFrom - 1
)

// nextOf is the bitmap of the membership that is being built.
func nextOf(segment int64) int64 { return -segment }

// enteredOf is the bitmap of those who entered it since the build began: not because it began.
func enteredOf(segment int64) int64 { return -enteredFrom - segment }

// toBegin is the bitmap of those who are still to begin a campaign, because they are in its segment without having entered it lately.
func toBegin(campaign int64) int64 { return toBeginFrom + campaign }

// bitmaps lists the numbers of all bitmaps that a person may be in.
func (t *tenant) bitmaps() []int64 {
	out := make([]int64, 0, len(t.set.Segments())+2*len(t.builds)+len(t.begin)+1)
	for _, seg := range t.set.Segments() {
		out = append(out, seg.ID)
	}
	for _, b := range t.building() {
		out = append(out, nextOf(b.Segment), enteredOf(b.Segment))
	}
	if len(t.unsettled) > 0 {
		out = append(out, toSettle)
	}
	for _, c := range slices.Sorted(maps.Keys(t.begin)) {
		out = append(out, toBegin(c))
	}
	return out
}

// want loads the pieces of all bitmaps that the ordinals from first to last lie in.
func (c *pieceCache) want(ctx context.Context, tx Tx, t *tenant, first, last uint32) error {
	var keys []PieceKey
	for n := first >> pieceBits; n <= last>>pieceBits; n++ {
		if at := (pieceAt{t.ID, n}); !c.ready[at] {
			for _, bm := range t.bitmaps() {
				keys = append(keys, PieceKey{Workspace: t.ID, Segment: bm, Piece: n})
			}
		}
	}
	if err := c.read(ctx, tx, keys); err != nil {
		return err
	}
	for n := first >> pieceBits; n <= last>>pieceBits; n++ {
		c.ready[pieceAt{t.ID, n}] = true
	}
	return nil
}

// read loads the pieces that are not there.
func (c *pieceCache) read(ctx context.Context, tx Tx, keys []PieceKey) error {
	if c.bits == nil {
		c.bits, c.dirty, c.ready = map[PieceKey]*roaring.Bitmap{}, map[PieceKey]bool{}, map[pieceAt]bool{}
	}
	keys = slices.DeleteFunc(keys, func(k PieceKey) bool { return c.bits[k] != nil })
	if len(keys) == 0 {
		return nil
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

// forget drops a workspace's bitmaps of these numbers, and sees to it that others are looked for. Nothing of them may be unwritten.
func (c *pieceCache) forget(workspace int64, numbers ...int64) {
	for k := range c.bits {
		if k.Workspace == workspace && slices.Contains(numbers, k.Segment) {
			delete(c.bits, k)
			delete(c.dirty, k)
		}
	}
	for at := range c.ready {
		if at.workspace == workspace {
			delete(c.ready, at)
		}
	}
}

func (c *pieceCache) has(t *tenant, segment int64, ordinal uint32) bool {
	bm := c.bits[PieceKey{Workspace: t.ID, Segment: segment, Piece: ordinal >> pieceBits}]
	return bm != nil && bm.Contains(ordinal&(1<<pieceBits-1))
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

// put replaces a piece.
func (c *pieceCache) put(k PieceKey, bm *roaring.Bitmap) { c.bits[k], c.dirty[k] = bm, true }

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
		return cmp.Or(cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Segment, b.Segment), cmp.Compare(a.Piece, b.Piece))
	})
	return out, nil
}
