// Package audience answers conditions for everybody of a workspace at once: how many people meet one and who they are, which line
// keeps whom out, how far two segments overlap. It reads stored documents in parallel ranges and keeps no more of them than the
// answer. What is asked again soon is kept in columns. It knows no SQL: Source says what it reads.
package audience

import (
	"context"

	"github.com/RoaringBitmap/roaring/v2"

	"rapport.example/internal/definition"
	"rapport.example/internal/event"
	"rapport.example/internal/object"
	"rapport.example/internal/segment"
	"rapport.example/internal/value"
)

// Source is what is read. Its methods are safe for concurrent use and do not wait for writers.
type Source interface {
	// LastPerson is the highest ordinal that was given in the workspace, 0 if none was.
	LastPerson(ctx context.Context, workspace int64) (uint32, error)
	// People calls each with the ordinals in [from, to) that somebody has, ascending.
	People(ctx context.Context, workspace int64, from, to uint32, each func(ordinal uint32) error) error
	// Documents calls each with the stored documents of ordinals in [from, to), ascending. doc is valid during the call.
	Documents(ctx context.Context, workspace int64, from, to uint32, each func(ordinal uint32, doc []byte) error) error
	// Pick is Documents for single people, in any order; those who are not there are left out.
	Pick(ctx context.Context, workspace int64, people []uint32, each func(ordinal uint32, doc []byte) error) error
	// Walk calls each with the activities of the chains that begin at these heads, newest first within each chain.
	Walk(ctx context.Context, workspace int64, heads []int64, each func(event.Activity) error) error
	// LastEvent is the highest sequence of an activity in the workspace, 0 if there is none.
	LastEvent(ctx context.Context, workspace int64) (int64, error)
	// Events calls each with people's events that are wanted, of sequences in [from, to), in any order; i is the place in wanted.
	// data is valid during the call.
	Events(ctx context.Context, workspace, from, to int64, wanted []Wanted, each func(i int, person uint32, at int64, data value.Value) error) error
	// Related calls each with the relationships of ordinals in [from, to) with objects of these types, with the objects, a person's
	// relationships with one type by object.
	Related(ctx context.Context, workspace int64, types []int64, from, to uint32, each func(object.Link) error) error
	// Membership is everybody who is in a segment.
	Membership(ctx context.Context, workspace, segment int64) (*roaring.Bitmap, error)
}

// Query asks a condition of everybody.
type Query struct {
	Workspace int64
	Set       *definition.Set // what the workspace's documents count, and the segments that Tree may refer to
	Tree      *segment.Node   // nil is met by all; the campaigns and messages that it names are Set's
	Now       int64           // Unix ms of the workspace's clock
	Samples   int             // how many people to name at most
}

// Answer is what a query came to.
type Answer struct {
	People  int64           // everybody there is
	Members *roaring.Bitmap // ordinals of those who meet the condition
	Count   int64           // how many they are
	Lines   []Line          // of the tree, as segment.Node.Explain lists them
	Samples []uint32        // some of the members, spread evenly over all of them by ordinal, ascending
	Columns bool            // answered from columns; else by reading everybody's document
}

// Line says for how many people a line of the condition is true.
type Line struct {
	Count int64
	// Alone is how many people this line alone keeps out: they meet every other line of the outermost "all". It is 0 for lines
	// further in, and where the outermost group is another.
	Alone int64
}

// spread picks up to n ordinals evenly.
func spread(members *roaring.Bitmap, n int) []uint32 {
	count := members.GetCardinality()
	n = int(min(uint64(max(n, 0)), count))
	out := make([]uint32, 0, n)
	for i := range n {
		// Select fails beyond the cardinality alone.
		if o, err := members.Select(uint32(uint64(i) * count / uint64(n))); err == nil {
			out = append(out, o)
		}
	}
	return out
}

// Overlap is how many people are in the one, in the other, and in both.
func Overlap(a, b *roaring.Bitmap) (inA, inB, both int64) {
	return int64(a.GetCardinality()), int64(b.GetCardinality()), int64(a.AndCardinality(b))
}
